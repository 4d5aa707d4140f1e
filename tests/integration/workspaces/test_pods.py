"""What runs in and beside a pod, without a cluster: the kernels' starter in a jail, and the gate that pods reach."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import sys
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from queue import Empty
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from jupyter_client.blocking.client import BlockingKernelClient
from workspace_kit import ENVIRONMENT, ROOT, wait_until

from sandbox.workspaces.host.limits import CgroupHost, Limits
from sandbox.workspaces.hub.pod_gate import PodGate
from sandbox.workspaces.hub.pods import KERNELS_COMMAND, make_pod_token
from sandbox.workspaces.jails.inside import shuzha_starter
from sandbox.workspaces.jails.jail import Jail, JailSpec, Mount, start_jail
from sandbox.workspaces.jails.landlock import landlock_abi
from sandbox.workspaces.platform_socket import PlatformSockets
from sandbox.workspaces.records.runtime import runtime_paths

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="jails with users of their own need root")
UID = 230_002
PORTS = {name: n for n, name in enumerate(("shell_port", "iopub_port", "stdin_port", "control_port", "hb_port"), 1)}
KEY = "a-key-of-a-test-only"


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="sz-", dir="/tmp") as name:
        Path(name).chmod(0o711)
        yield Path(name)


@pytest.fixture
def container(folder: Path) -> Iterator[Jail]:
    """The kernels' container as far as one host can make it: the same command, folders and user."""
    for name in ("starter", "platform", "sockets", "home", "home/notebooks", "home/notebooks/deep"):
        (folder / name).mkdir()
        os.chown(folder / name, UID, UID)
    mounts = (
        Mount(folder / "starter", "/gate/jailer", writable=True),
        Mount(folder / "platform", "/gate/platform", writable=True),
        Mount(folder / "sockets", "/job/sockets", writable=True),
        Mount(folder / "home", "/home/analyst", writable=True),
        Mount(ROOT / "sandbox/workspaces/jails/inside", "/etc/jupyter"),
    )
    variables = (
        ("HOME", "/home/analyst"), ("PATH", "/opt/env/bin:/usr/bin:/bin"), ("IPYTHONDIR", "/tmp/ipython"),
        ("PYTHONDONTWRITEBYTECODE", "1"), ("SHUZHA_PLATFORM_ADDRESS", "127.0.0.1:1"),
        ("SHUZHA_PLATFORM_TOKEN", "a token of a test only"), ("SHUZHA_WORKSPACE", "w-one"),
    )  # fmt: skip
    limits = Limits(memory_bytes=1024**3, processes=128)
    spec = JailSpec("pod-kernels", UID, ENVIRONMENT, mounts, tuple(KERNELS_COMMAND), variables, limits)
    running = start_jail(spec, CgroupHost.detect(), output=sys.stderr.fileno())
    yield running
    running.stop(grace=0)


def listens(folder: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as connection:
        return connection.connect_ex(str(folder / "starter" / "jailer.sock")) == 0


def ask(folder: Path, **fields: Any) -> dict[str, Any]:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(folder / "starter" / "jailer.sock"))
        connection.sendall(json.dumps(fields).encode() + b"\n")
        answer: dict[str, Any] = json.loads(connection.makefile().readline())
        return answer


def greets(client: BlockingKernelClient) -> bool:
    """Return whether the kernel answers and is heard: its heart may miss a beat on a busy host."""
    client.kernel_info()
    with contextlib.suppress(Empty):
        client.get_shell_msg(timeout=1)
        client.get_iopub_msg(timeout=1)
        return True
    return False


def run_code(client: BlockingKernelClient, code: str) -> str:
    said: list[str] = []

    def keep(message: dict[str, Any]) -> None:
        said.append(str(message["content"].get("text") or message["content"].get("evalue") or ""))

    client.execute_interactive(code, timeout=30, output_hook=keep)
    return "".join(said).strip()


@pytest.mark.root
@ROOT_ONLY
def test_starter_starts_kernels_for_the_server_and_keeps_its_token(folder: Path, container: Jail) -> None:
    wait_until(lambda: listens(folder), what="the starter")
    kernel = str(uuid.uuid4())
    assert ask(folder, verb="start", kernel=kernel, key=KEY, ports=PORTS, directory="deep") == {
        "ok": True, "result": None,
    }  # fmt: skip
    client = BlockingKernelClient()
    place = str(folder / "sockets" / kernel / "k")
    client.load_connection_info({
        **PORTS, "transport": "ipc", "ip": place, "key": KEY.encode(), "signature_scheme": "hmac-sha256",
    })  # fmt: skip
    client.start_channels()
    try:
        wait_until(lambda: greets(client), 30, "the kernel")
        assert run_code(client, "import os; print(os.getcwd())") == "/home/analyst/notebooks/deep"
        assert run_code(client, "print([n for n in os.environ if 'TOKEN' in n or 'ADDRESS' in n])") == "[]"
        peek = "starter = next(p for p in os.listdir('/proc') if p.isdigit() and b'shuzha_starter' in"
        peek += " open(f'/proc/{p}/cmdline','rb').read() and b'bwrap' not in open(f'/proc/{p}/cmdline','rb').read())\n"
        assert "Permission denied" in run_code(client, peek + "open(f'/proc/{starter}/environ').read()")
        if landlock_abi() >= 6:
            assert "not permitted" in run_code(client, "os.kill(int(starter), 9)")
        assert ask(folder, verb="poll", kernel=kernel) == {"ok": True, "result": None}
        again = ask(folder, verb="start", kernel=kernel, key=KEY, ports=PORTS)
        assert not again["ok"]
    finally:
        client.stop_channels()
    assert ask(folder, verb="stop", kernel=kernel)["ok"]
    wait_until(lambda: ask(folder, verb="poll", kernel=kernel)["result"] == -9, what="the kernel's end")
    assert not (folder / "sockets" / kernel).exists()


@pytest.mark.root
@ROOT_ONLY
def test_starter_refuses_what_is_no_kernel(folder: Path, container: Jail) -> None:
    wait_until(lambda: listens(folder), what="the starter")
    kernel = str(uuid.uuid4())
    for fields in (
        {"verb": "start", "kernel": "../../etc", "key": KEY, "ports": PORTS},
        {"verb": "start", "kernel": kernel, "key": "short", "ports": PORTS},
        {"verb": "start", "kernel": kernel, "key": KEY, "ports": {"shell_port": 1}},
        {"verb": "run", "kernel": kernel},
        {"kernel": kernel},
        [],
    ):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(folder / "starter" / "jailer.sock"))
            connection.sendall(json.dumps(fields).encode() + b"\n")
            assert json.loads(connection.makefile().readline())["ok"] is False
    assert ask(folder, verb="poll", kernel=kernel) == {"ok": True, "result": 0}
    assert not list((folder / "sockets").iterdir())


class Answers:
    """A platform that says who asked."""

    def datasets(self, workspace: str) -> list[dict[str, Any]]:
        return [{"name": workspace}]


async def talk(path: Path, line: bytes) -> bytes:
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(line)
    try:
        async with asyncio.timeout(5):
            return await reader.readline()
    finally:
        writer.close()


async def test_platform_socket_is_carried_to_the_workspace_that_the_token_is_for(folder: Path) -> None:
    """A kernel's line goes through the starter's relay and the pods' gate to its own platform socket, and back."""
    sockets = PlatformSockets(folder / "run", Answers())  # type: ignore[arg-type]
    for name in ("w-one", "w-two"):
        runtime_paths(folder / "run", name).make()
        await sockets.open(name, os.geteuid())
    gate = PodGate("http://127.0.0.1:9", folder / "run", "a secret of a test only")
    await gate.open("127.0.0.1", 0, 0)
    token = make_pod_token("a secret of a test only", "w-one")
    asked = b'{"verb": "datasets"}\n'
    try:
        answers = {}
        for name, greeting in {
            "own": {"workspace": "w-one", "token": token},
            "another's": {"workspace": "w-two", "token": token},
            "none": {"workspace": "w-one", "token": ""},
            "a path": {"workspace": "../w-one", "token": token},
        }.items():
            address, path = f"127.0.0.1:{gate.ports[1]}", folder / f"{len(answers)}.sock"
            server = await asyncio.start_unix_server(
                lambda r, w, a=address, g=greeting: shuzha_starter.relay(a, g, r, w), str(path)
            )
            answers[name] = await talk(path, asked)
            server.close()
        assert json.loads(answers.pop("own")) == {"ok": True, "result": [{"name": "w-one"}]}
        assert answers == {"another's": b"", "none": b"", "a path": b""}
        direct = await talk(runtime_paths(folder / "run", "w-two").platform, asked)
        assert json.loads(direct)["ok"], "the control: the other workspace's socket answers who may reach it"
    finally:
        await gate.close()
        for name in ("w-one", "w-two"):
            await sockets.close(name)


async def test_pods_gate_passes_four_routes_of_the_hub(folder: Path) -> None:
    seen: list[str] = []

    async def hub(request: web.Request) -> web.Response:
        seen.append(f"{request.method} {request.path} {request.headers.get('Authorization', '')}")
        return web.json_response({"version": "6"})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", hub)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.UnixSite(runner, str(folder / "hub.sock"))
    await site.start()
    gate = PodGate(f"http+unix://{str(folder / 'hub.sock').replace('/', '%2F')}", folder / "run", "x")
    await gate.open("127.0.0.1", 0, 0)
    base = f"http://127.0.0.1:{gate.ports[0]}"
    passing = [
        ("GET", "/hub/api/"),
        ("GET", "/hub/api/user"),
        ("POST", "/hub/api/oauth2/token"),
        ("POST", "/hub/api/users/u-1/activity"),
    ]
    closed = [
        ("GET", "/hub/api/users"), ("DELETE", "/hub/api/users/u-1"), ("GET", "/hub/home"), ("GET", "/hub/login"),
        ("POST", "/hub/api/users/u-1/servers/w"), ("POST", "/hub/api/users/../shutdown"), ("POST", "/hub/api/shutdown"),
        ("GET", "/hub/api/users/u-1/activity"), ("POST", "/hub/api/users/a/b/activity"),
    ]  # fmt: skip
    try:
        async with aiohttp.ClientSession(headers={"Authorization": "token t", "Cookie": "c=1"}) as session:
            statuses = []
            for method, path in passing + closed:
                async with session.request(method, base + path) as answer:
                    statuses.append(answer.status)
    finally:
        await gate.close()
        await runner.cleanup()
    assert statuses == [200] * len(passing) + [403] * len(closed)
    assert seen == [f"{method} {path} token t" for method, path in passing]


def test_starter_is_the_standard_librarys_alone() -> None:
    source = (ROOT / "sandbox/workspaces/jails/inside/shuzha_starter.py").read_text()
    imported = {line.split()[1].split(".")[0] for line in source.splitlines() if line.startswith(("import ", "from "))}
    assert imported <= set(sys.stdlib_module_names)
