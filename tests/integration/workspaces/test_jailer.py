"""The jailer under a real hub: kernels apart, killed and found again, ended with their server; no root, no groups."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from workspace_kit import ENVIRONMENT, RunningHub, wait_until

from sandbox.workspaces.host.limits import Cgroup, CgroupHost, Limits
from sandbox.workspaces.jailer.keeper import MOST_KERNELS, Keeper
from sandbox.workspaces.jailer.verbs import KernelPorts, KernelStart
from sandbox.workspaces.jails.jail import check_host
from sandbox.workspaces.jails.warden import Warden, group_name, kernel_group_name
from sandbox.workspaces.records.controls import ControlsWriter, FileControls
from sandbox.workspaces.records.hub_settings import HubSettings
from sandbox.workspaces.records.runtime import runtime_paths
from sandbox.workspaces.records.specs import FileSpecs, GrantedRelease, WorkspaceSpec
from shuzha.core.errors import NotAllowed, NotFound, Unavailable

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="jails with users of their own need root")


class Kernel:
    """One kernel of a workspace, over the gate's REST and websocket."""

    def __init__(self, hub: RunningHub, account: str, workspace: str) -> None:
        self.hub, self.account, self.workspace = hub, account, workspace
        self.base = f"{hub.path(account, workspace)}/api/kernels"
        self.id = self.ask("POST", "", {"name": "python3"})["id"]

    def ask(self, method: str, path: str, body: object = None) -> dict[str, str]:
        with httpx.Client(headers=self.hub.headers(), timeout=30) as browser:
            answer = browser.request(method, f"{self.base}{path}", json=body)
            assert answer.status_code < 300, answer.text
            return dict(answer.json()) if answer.content else {}

    def run(self, code: str, seconds: float = 20) -> str:
        self.hub._kernels[self.workspace] = self.id
        return self.hub.run_code(self.account, self.workspace, code, seconds).text.strip()


def groups(hub: RunningHub, workspace: str) -> tuple[Cgroup, Cgroup]:
    """Return the control groups of the server and of the kernels."""
    host, runtime = CgroupHost.detect(), hub.settings.runtime
    return host.group(group_name(runtime, workspace)), host.group(kernel_group_name(runtime, workspace))


def mounts_of(hub: RunningHub, workspace: str) -> list[str]:
    return [line for line in Path("/proc/mounts").read_text().splitlines() if f"/run/{workspace}/" in line]


@pytest.mark.root
@needs_root
class TestUnderAHub:
    def test_kernels_are_apart_and_one_ends_alone(self, hub: RunningHub, workspace: str) -> None:
        one, two = Kernel(hub, "acc_alice", workspace), Kernel(hub, "acc_alice", workspace)
        assert one.run("x = 1; print(x)") == "1"
        assert two.run("print('x' in dir())") == "False"
        one.ask("DELETE", f"/{one.id}")
        assert two.run("print(2)") == "2"
        paths = runtime_paths(hub.settings.runtime, workspace)
        assert [mark.name for mark in paths.kernel_marks.iterdir()] == [two.id]
        assert [folder.name for folder in paths.ipc.iterdir()] == [two.id]
        two.ask("DELETE", f"/{two.id}")
        assert not groups(hub, workspace)[1].list_processes()

    def test_interrupt_reaches_a_busy_kernel(self, hub: RunningHub, workspace: str) -> None:
        kernel = Kernel(hub, "acc_alice", workspace)
        assert kernel.run("print(1)") == "1"

        async def both() -> str:
            code = "import time\ntry:\n    time.sleep(60)\nexcept KeyboardInterrupt:\n    print('interrupted')"
            running = asyncio.create_task(asyncio.to_thread(kernel.run, code, 30))
            await asyncio.sleep(1)
            await asyncio.to_thread(kernel.ask, "POST", f"/{kernel.id}/interrupt")
            return await running

        assert asyncio.run(both()) == "interrupted"

    def test_restart_gives_the_same_kernel_an_empty_memory(self, hub: RunningHub, workspace: str) -> None:
        kernel = Kernel(hub, "acc_alice", workspace)
        assert kernel.run("kept = 1; print(kept)") == "1"
        kernel.ask("POST", f"/{kernel.id}/restart")
        assert kernel.run("print('kept' in dir())") == "False"

    @pytest.mark.slow
    def test_kernel_that_ran_out_of_memory_is_started_again(self, hub: RunningHub) -> None:
        limits = Limits(memory_bytes=300 * 1024**2, processes=64, cpu_percent=100, scratch_bytes=16 * 1024**2)
        name = hub.open_workspace("acc_oom", limits=limits)
        kernel = Kernel(hub, "acc_oom", name)
        first = kernel.run("import os; print(os.stat('/proc/self').st_mtime)")
        with contextlib.suppress(TimeoutError):
            kernel.run("x = bytes(600 * 1024**2); x = x + x", 5)
        again = wait_until(lambda: _answer(kernel), 30, "the kernel after it was ended")
        assert again != first, "another process, under the same id"
        assert kernel.ask("GET", f"/{kernel.id}")["id"] == kernel.id

    def test_jailer_killed_and_started_again_goes_on(self, hub: RunningHub, workspace: str) -> None:
        kernel = Kernel(hub, "acc_alice", workspace)
        assert kernel.run("kept = 6 * 7; print(kept)") == "42"
        hub.kill_jailer()
        try:
            assert kernel.run("print(kept + 1)") == "43", "jails outlive the jailer"
        finally:
            hub.start_jailer()
        assert hub.jailer().poll(workspace) is None
        assert kernel.run("print(kept + 2)") == "44"
        another = Kernel(hub, "acc_alice", workspace)
        assert another.run("print('a new one')") == "a new one"
        kernel.ask("DELETE", f"/{kernel.id}")
        assert another.run("print('still')") == "still"
        before = hub.jailer().measure(workspace)
        assert before["server"]["processes"] == 3
        another.ask("DELETE", f"/{another.id}")
        assert hub.jailer().measure(workspace)["kernels"]["processes"] == before["kernels"]["processes"] - 3
        with hub.client() as client:
            assert client.wait_ready("acc_alice", workspace).ready

    @pytest.mark.slow
    def test_warden_of_a_jailer_that_was_started_again_obeys(self, hub: RunningHub) -> None:
        name = hub.open_workspace("acc_bob")
        kernel = Kernel(hub, "acc_bob", name)
        assert kernel.run("print(1)") == "1"
        hub.kill_jailer()
        hub.start_jailer()
        hub.controls.suspend(name, "a look at it")
        wait_until(lambda: all(group.is_frozen() for group in groups(hub, name)), 2, "freezing of both groups")
        hub.controls.resume(name)
        wait_until(lambda: not any(group.is_frozen() for group in groups(hub, name)), 2, "thawing")
        assert kernel.run("print(2)") == "2"
        hub.controls.suspend(name, "a look at it")
        with hub.client() as client:
            client.stop_server("acc_bob", name)
            client.wait_stopped("acc_bob", name, 10)
        assert not any(group.list_processes() for group in groups(hub, name)), "frozen processes are ended, too"

    @pytest.mark.slow
    def test_kernels_end_with_a_server_that_is_killed(self, hub: RunningHub) -> None:
        name = hub.open_workspace("acc_carol")
        kernel = Kernel(hub, "acc_carol", name)
        assert kernel.run("print(1)") == "1"
        server, kernels = groups(hub, name)
        assert kernels.list_processes()
        os.kill(max(server.list_processes()), signal.SIGKILL)
        wait_until(lambda: not kernels.list_processes(), 5, "the end of the kernels")
        wait_until(lambda: not mounts_of(hub, name), 5, "the end of their mounts")
        assert hub.jailer().poll(name) is not None
        with hub.client() as client:
            wait_until(lambda: client.find_server("acc_carol", name) is None, 15, "the hub's notice")
            client.start_server("acc_carol", name)
            assert client.wait_ready("acc_carol", name).ready
        assert hub.run_code("acc_carol", name, "print('back')").text.strip() == "back"

    def test_stop_leaves_no_process_mount_mark_or_group(self, hub: RunningHub) -> None:
        name = hub.open_workspace("acc_dave")
        assert Kernel(hub, "acc_dave", name).run("print(1)") == "1"
        assert len(mounts_of(hub, name)) == 3, "the control: three mounts while it runs"
        with hub.client() as client:
            client.stop_server("acc_dave", name)
            client.wait_stopped("acc_dave", name)
        runtime = hub.settings.runtime
        left = {group_name(runtime, name), kernel_group_name(runtime, name)} & set(CgroupHost.detect().list_groups())
        assert not left
        assert mounts_of(hub, name) == []
        paths = runtime_paths(runtime, name)
        assert not paths.mark.exists()
        assert list(paths.kernel_marks.iterdir()) == []
        hub.specs.remove(name)
        assert (hub.settings.server_logs / f"{name}.log").exists()
        hub.jailer().destroy(name)
        assert not (hub.settings.homes / name).exists()
        assert not (runtime / name).exists()
        assert not (hub.settings.server_logs / f"{name}.log").exists()


def _answer(kernel: Kernel) -> str:
    try:
        return kernel.run("import os; print(os.stat('/proc/self').st_mtime)", 5)
    except TimeoutError:
        return ""


# --- without a hub, without root's means ----------------------------------------------------------------------------

NAME = "w-one"


@pytest.fixture
def keeper() -> Iterator[tuple[Keeper, HubSettings]]:
    """A keeper on a host that is said to have no control groups, and its settings, over one workspace."""
    if reasons := check_host():
        pytest.skip(f"this host builds no jails: {reasons[0]}")
    folder = Path(tempfile.mkdtemp(prefix="sz-", dir="/tmp"))
    folder.chmod(0o711)
    settings = make_settings(folder)
    keeper = Keeper(settings, CgroupHost.detect(folder / "none"))
    yield keeper, settings
    keeper.stop(NAME, 0.0)
    shutil.rmtree(folder)


def make_settings(folder: Path) -> HubSettings:
    for name in ("releases", "homes", "specs", "run"):
        (folder / name).mkdir(mode=0o711)
    settings = HubSettings(
        bind_ip="127.0.0.1", bind_port=1, public_url="http://127.0.0.1:1/", state=folder / "hub",
        runtime=folder / "run", specs=folder / "specs", releases=folder / "releases", homes=folder / "homes",
        controls=folder / "controls.json", usage=folder / "usage.db", environment=ENVIRONMENT,
        service_token_file=folder / "token", test_password="x",
    )  # fmt: skip
    ControlsWriter(settings.controls).start()
    (settings.releases / "rel").mkdir(mode=0o755)
    uid = 230_001
    spec = WorkspaceSpec(
        NAME, "acc_alice", uid, settings.homes / NAME, (GrantedRelease("insurance", settings.releases / "rel"),)
    )
    find_specs(settings).write(spec)
    return settings


def find_specs(settings: HubSettings) -> FileSpecs:
    return FileSpecs(
        settings.specs, release_root=settings.releases, home_root=settings.homes,
        controls=FileControls(settings.controls),
    )  # fmt: skip


def kernel_start(number: int = 1) -> KernelStart:
    return KernelStart(f"0b9d2f6e-13a5-4c1b-9d53-{number:012x}", "k" * 32, KernelPorts(1, 2, 3, 4, 5))


def lives(keeper: Keeper, number: int = 1) -> bool:
    return keeper.poll_kernel(NAME, kernel_start(number).kernel) is None


def test_keeper_without_groups_starts_finds_and_ends(keeper: tuple[Keeper, HubSettings]) -> None:
    first, settings = keeper
    first.start(NAME, "acc_alice", {})
    first.start_kernel(NAME, kernel_start(1))
    first.start_kernel(NAME, kernel_start(2))
    assert first.poll(NAME) is None
    assert lives(first, 1)
    second = Keeper(settings, CgroupHost.detect(settings.runtime / "none"))
    assert second.adopt() == (NAME,)
    second.stop_kernel(NAME, kernel_start(1).kernel)
    assert (lives(second, 1), lives(second, 2)) == (False, True)
    second.stop(NAME, 0.0)
    assert second.poll(NAME) is not None
    assert not lives(second, 2)
    wait_until(lambda: not lives(first, 2), 2, "its end as the first keeper sees it")


def test_keeper_ends_kernels_whose_server_ended_while_nobody_looked(keeper: tuple[Keeper, HubSettings]) -> None:
    first, settings = keeper
    first.start(NAME, "acc_alice", {})
    first.start_kernel(NAME, kernel_start())
    pid = int(runtime_paths(settings.runtime, NAME).mark.read_text().split()[0])
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: first.poll(NAME) is not None, 5, "the end of the server")
    second = Keeper(settings, CgroupHost.detect(settings.runtime / "none"))
    assert second.adopt() == ()
    wait_until(lambda: not lives(first), 5, "the end of the kernel")


def test_keeper_starts_nothing_that_may_not_run(keeper: tuple[Keeper, HubSettings]) -> None:
    one, settings = keeper
    with pytest.raises(NotAllowed, match="not open"):
        one.start_kernel(NAME, kernel_start())
    with pytest.raises(NotAllowed, match="no open workspace of this name"):
        one.start(NAME, "acc_bob", {})
    with pytest.raises(NotFound):
        one.prepare("w-unknown")
    one.start(NAME, "acc_alice", {})
    with pytest.raises(NotAllowed, match="can still be started"):
        one.destroy(NAME)
    ControlsWriter(settings.controls).suspend(NAME, "the authorization ended")
    with pytest.raises(NotAllowed, match="the authorization ended"):
        one.start_kernel(NAME, kernel_start())
    Warden(CgroupHost.detect(settings.runtime / "none"), settings.runtime).obey(FileControls(settings.controls).read())
    wait_until(lambda: one.poll(NAME) is not None, 5, "the end of a jail that cannot be frozen")
    with pytest.raises(NotAllowed, match="the authorization ended"):
        one.start(NAME, "acc_alice", {})


def test_keeper_bounds_the_number_of_kernels(keeper: tuple[Keeper, HubSettings], monkeypatch) -> None:
    one, _ = keeper
    monkeypatch.setattr("sandbox.workspaces.jailer.keeper.MOST_KERNELS", 2)
    assert MOST_KERNELS > 2
    one.start(NAME, "acc_alice", {})
    for number in (1, 2, 2):
        one.start_kernel(NAME, kernel_start(number))
    with pytest.raises(NotAllowed, match="has 2 kernels"):
        one.start_kernel(NAME, kernel_start(3))


def test_keeper_refuses_a_folder_of_sockets_that_another_user_made(keeper: tuple[Keeper, HubSettings]) -> None:
    one, settings = keeper
    (settings.runtime / NAME).symlink_to("/etc")
    with pytest.raises(Unavailable, match="no folder"):
        one.prepare(NAME)
    (settings.runtime / NAME).unlink()
    (settings.runtime / NAME).mkdir()
    if os.geteuid() == 0:
        os.chown(settings.runtime / NAME, 65534, 65534)
        with pytest.raises(Unavailable, match="another user"):
            one.prepare(NAME)
        os.chown(settings.runtime / NAME, 0, 0)
    one.prepare(NAME)


UNPRIVILEGED = """
import importlib.util, json, os, pathlib, shutil, sys, tempfile
found = importlib.util.spec_from_file_location("kit", sys.argv[1])
kit = importlib.util.module_from_spec(found)
found.loader.exec_module(kit)
os.setgroups([])
os.setgid(1000)
os.setuid(1000)
folder = pathlib.Path(tempfile.mkdtemp(prefix="szu-", dir="/tmp"))
settings = kit.make_settings(folder)
one = kit.Keeper(settings)
one.start(kit.NAME, "acc_alice", {})
one.start_kernel(kit.NAME, kit.kernel_start())
pid = (settings.runtime / kit.NAME / "jail").read_text().split()[0]
said = {"user": os.stat(f"/proc/{pid}").st_uid, "server": one.poll(kit.NAME), "kernel": kit.lives(one)}
said["found"] = kit.Keeper(settings).adopt()
one.stop(kit.NAME, 0.0)
said["ended"] = one.poll(kit.NAME) is not None and not kit.lives(one)
shutil.rmtree(folder)
print(json.dumps(said))
"""


@pytest.mark.root
@needs_root
def test_keeper_works_for_a_user_who_is_not_root() -> None:
    """All as one user: no user of its own for a jail, no control group, marks instead."""
    done = subprocess.run(
        [sys.executable, "-c", UNPRIVILEGED, __file__], capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(part for part in sys.path if part)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    said = json.loads(done.stdout)
    assert said == {"user": 1000, "server": None, "kernel": True, "found": [NAME], "ended": True}
