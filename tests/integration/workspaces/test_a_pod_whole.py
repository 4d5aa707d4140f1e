"""A workspace as a pod from the click to the end: a real hub, the real spawner, both containers, the pods' gate.

The cluster is a kit that runs the manifest's containers on this host (`cluster_kit`), without policies and gVisor.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from cluster_kit import Cluster, running_cluster
from workspace_kit import RunningHub, running_hub, wait_until

from sandbox.workspaces.hub.pods import HUB_PORT, PLATFORM_PORT, SERVER_PORT
from sandbox.workspaces.jails.landlock import landlock_abi
from sandbox.workspaces.platform_socket import PlatformSockets

PORTS = (SERVER_PORT, HUB_PORT, PLATFORM_PORT)


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


pytestmark = [
    pytest.mark.root,
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="containers with users of their own need root"),
    pytest.mark.skipif(not all(map(is_free, PORTS)), reason="a pod's ports are fixed, and one is taken on this host"),
]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with running_cluster() as (cluster, kubeconfig), pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBECONFIG", kubeconfig)
        yield cluster


@pytest.fixture(scope="module")
def hub(cluster: Cluster) -> Iterator[RunningHub]:
    for hub in running_hub(spawner="kubernetes", pod_address="127.0.0.1"):
        cluster.claims = {
            "shuzha-releases": hub.settings.releases, "shuzha-homes": hub.settings.homes,
            "shuzha-own": hub.folder / "own",
        }  # fmt: skip
        wait_until(lambda: not is_free(HUB_PORT), 20, "the pods' gate")
        yield hub


class Answers:
    """A platform that says who asked."""

    def datasets(self, workspace: str) -> list[dict[str, Any]]:
        return [{"name": f"asked by {workspace}", "title": "", "rows": 1, "columns": []}]


def test_a_workspace_runs_as_a_pod_and_ends_as_one(hub: RunningHub, cluster: Cluster) -> None:
    workspace = hub.open_workspace("acc_alice")
    pod = f"workspace-{workspace}"
    assert set(cluster.pods) == {pod}

    def run(code: str) -> str:
        done = hub.run_code("acc_alice", workspace, code)
        return (done.text + done.error).strip()

    read = "import polars as pl; print(pl.read_parquet('/data/social_insurance/part-0.parquet').height)"
    assert run(read) == "1000"
    assert run("import os; print(sorted(n for n in os.environ if 'TOKEN' in n or 'JUPYTERHUB' in n))") == "[]"
    assert run("print(os.listdir('/data/own'))") == "[]"
    assert "Read-only" in run("open('/data/own/x', 'w')")
    assert "Read-only" in run("open('/data/social_insurance/x', 'w')")
    assert run("open('/home/analyst/notebooks/mine.txt', 'w').write('x'); print(os.getcwd())").endswith("/home/analyst")
    # The server's container is another: none of its processes is seen, and no port is reached where Landlock is.
    seen = "lines = [open(f'/proc/{p}/cmdline', 'rb').read() for p in os.listdir('/proc') if p.isdigit()]\n"
    seen += "print(sum(b'singleuser' in line for line in lines))"
    assert run(seen) == "0"
    if landlock_abi() >= 4:
        for port in PORTS:
            assert "PermissionError" in run(f"import socket; socket.create_connection(('127.0.0.1', {port}))")
    assert (hub.settings.homes / workspace / "notebooks" / "mine.txt").exists()

    async def ask() -> str:
        sockets = PlatformSockets(hub.settings.runtime, Answers())  # type: ignore[arg-type]
        spec = hub.specs.find(workspace)
        assert spec is not None
        await sockets.open(workspace, spec.uid)
        line = b'{"verb": "datasets"}\n'
        code = "s = socket.socket(socket.AF_UNIX); s.connect(os.environ['SHUZHA_PLATFORM_SOCKET'])\n"
        code += f"s.sendall({line!r}); print(s.makefile().readline())"
        try:
            return await asyncio.to_thread(run, "import os, socket\n" + code)
        finally:
            await sockets.close(workspace)

    assert f"asked by {workspace}" in asyncio.run(ask())
    hub.stop_process()
    hub.start()
    assert run("print(os.path.exists('notebooks/mine.txt'))") == "True", "a restarted hub finds the pod and its kernel"
    assert cluster.asked.count(f"create {pod}") == 1
    with hub.client() as client:
        client.stop_server("acc_alice", workspace)
        client.wait_stopped("acc_alice", workspace)
    assert f"delete {pod}" in cluster.asked
    assert not cluster.lives(pod)
    assert (hub.settings.homes / workspace / "notebooks" / "mine.txt").exists(), "the home outlives the pod"


def test_a_suspended_workspace_loses_its_pod(hub: RunningHub, cluster: Cluster) -> None:
    workspace = hub.open_workspace("acc_bob")
    pod = f"workspace-{workspace}"
    assert cluster.lives(pod)
    hub.controls.suspend(workspace, "held for a test")
    wait_until(lambda: f"delete {pod}" in cluster.asked, 15, "the pod's end")
    assert not cluster.lives(pod)
    hub.controls.resume(workspace)
