"""After the jailer: what a service plants where root works and swaps meanwhile; what would keep the jailer waiting."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from workspace_kit import ENVIRONMENT

from sandbox.workspaces.host.limits import CgroupHost
from sandbox.workspaces.jailer.keeper import Keeper
from sandbox.workspaces.jailer.verbs import KernelPorts, KernelStart
from sandbox.workspaces.jails.warden import Warden, kernel_group_name
from sandbox.workspaces.records.controls import ControlsWriter, FileControls, Orders
from sandbox.workspaces.records.hub_settings import HubSettings
from sandbox.workspaces.records.runtime import RuntimePaths, RuntimeUnsafe, give_socket, listen_for, make_runtime
from sandbox.workspaces.records.specs import FileSpecs, WorkspaceSpec
from shuzha.core.errors import ShuzhaError
from shuzha.core.service_user import ServiceUser, acting_as, starting_as

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="a service user apart from the jailer's needs root"),
]
SERVICE = ServiceUser(61_007, 61_007)
EVIL = "w-evil"


@pytest.fixture
def settings() -> Iterator[HubSettings]:
    with tempfile.TemporaryDirectory(prefix="sz-", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o711)
        for one in ("releases", "homes", "specs", "run"):
            (folder / one).mkdir(mode=0o711)
        made = HubSettings(
            bind_ip="127.0.0.1", bind_port=1, public_url="http://127.0.0.1:1/", state=folder / "hub",
            runtime=folder / "run", specs=folder / "specs", releases=folder / "releases", homes=folder / "homes",
            controls=folder / "controls.json", usage=folder / "usage.db", environment=ENVIRONMENT,
            service_token_file=folder / "token", test_password="x", service_uid=SERVICE.uid,
        )  # fmt: skip
        make_runtime(made.runtime, SERVICE.uid)
        yield made


def plant(settings: HubSettings, way: str, target: Path) -> None:
    """Have the service user lead a workspace's folder of marks, or all its folders, to `target`."""
    folder = settings.runtime / EVIL
    with acting_as(SERVICE):
        if way == "folder":
            folder.mkdir()
            (folder / "kernels").symlink_to(target)
        else:
            folder.symlink_to(target.parent)


@pytest.mark.parametrize("way", ["folder", "link"])
@pytest.mark.parametrize("verb", ["stop", "adopt", "destroy"])
@pytest.mark.attack(
    what="a workspace's folder that the service made, or a link in its place, to have root delete files elsewhere",
    route="a service that was taken over, by the jailer's verbs and at its start", layer="jailer",
    control="without the question whose folder it is, root's files are gone",
)  # fmt: skip
def test_a_planted_folder_has_root_delete_nothing(
    settings: HubSettings, monkeypatch: pytest.MonkeyPatch, verb: str, way: str
) -> None:
    target = settings.runtime.parent / "root" / "kernels"
    target.mkdir(parents=True)

    def go() -> bool:
        for name in ("passwd", "shadow"):
            (target / name).write_text("root's own")
        keeper = Keeper(settings, CgroupHost.detect(settings.runtime / "none"))
        with contextlib.suppress(OSError):
            {"stop": lambda: keeper.stop(EVIL, 0.0), "adopt": keeper.adopt, "destroy": lambda: keeper.destroy(EVIL)}[
                verb
            ]()
        return sorted(one.name for one in target.iterdir()) == ["passwd", "shadow"]

    plant(settings, way, target)
    assert go()
    monkeypatch.setattr(RuntimePaths, "is_own", lambda _: True)
    assert not go(), "the control"


SLEEP = "import time; time.sleep(60)"


@pytest.mark.attack(
    what="a mark that names somebody else's process, in a file of root's to which the service leads the warden",
    route="a service that was taken over, by an order to suspend", layer="jailer",
    control="without the question whose folder it is, the process is killed",
)  # fmt: skip
def test_a_planted_mark_has_root_kill_nobody(settings: HubSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    logs = settings.runtime.parent / "logs"
    logs.mkdir()
    with subprocess.Popen([sys.executable, "-c", SLEEP]) as victim:
        try:
            began = Path(f"/proc/{victim.pid}/stat").read_text().rpartition(")")[2].split()[19]
            # What a jailed server says is kept in a file of root's: its words may be chosen.
            (logs / "w-one.log").write_text(f"{victim.pid} {began} 1\n")
            plant(settings, "folder", logs)
            warden = Warden(CgroupHost.detect(settings.runtime / "none"), settings.runtime)
            warden.obey(Orders(suspended={EVIL: "planted"}))
            with pytest.raises(subprocess.TimeoutExpired):
                victim.wait(0.2)
            monkeypatch.setattr(RuntimePaths, "is_own", lambda _: True)
            warden.obey(Orders(suspended={EVIL: "planted"}))
            assert victim.wait(5) == -9, "the control"
        finally:
            victim.kill()


SWAP = """
import os, sys
place, target = sys.argv[1:]
print(flush=True)
while True:
    try:
        if not os.path.islink(place):
            os.unlink(place)
            os.symlink(target, place)
    except OSError:
        pass
"""


def listen_in_place(path: Path) -> None:
    """Put the socket in its folder and give it away there: the control, what the jailer must not do."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as listening:
        path.unlink(missing_ok=True)
        listening.bind(os.fspath(path))
        give_socket(path, SERVICE.uid)


@pytest.mark.attack(
    what="a link to a file of root's, swapped in for the server's socket while root gives that to the service",
    route="a service that was taken over, in the folder of that socket", layer="jailer",
    control="a socket that is given away in that folder gives the file away",
)  # fmt: skip
def test_a_swapped_socket_gives_no_file_of_root_away(settings: HubSettings) -> None:
    paths = RuntimePaths(settings.runtime / "w-one")
    paths.make(230_001, SERVICE.uid)
    secret = settings.runtime.parent / "shadow"
    secret.write_text("root's own")
    with subprocess.Popen(
        [sys.executable, "-c", SWAP, str(paths.inward), str(secret)], stdout=subprocess.PIPE,
        preexec_fn=starting_as(SERVICE),
    ) as swapping:  # fmt: skip
        assert swapping.stdout is not None
        swapping.stdout.readline()
        try:
            for _ in range(2000):
                with contextlib.suppress(OSError):
                    listen_for(paths.inward, SERVICE.uid).close()
                assert secret.stat().st_uid == 0
            for _ in range(200_000):
                listen_in_place(paths.inward)
                if secret.stat().st_uid:
                    break
            assert secret.stat().st_uid == SERVICE.uid, "the control"
        finally:
            swapping.kill()


@pytest.mark.attack(
    what="the folder of all sockets, or the one above, made beforehand by somebody else",
    route="another user of the host", layer="jailer",
    control="in a folder of root's, which others may write to but replace nothing in, it is made",
)  # fmt: skip
@pytest.mark.parametrize("which", ["run", "run/8003"])
def test_a_folder_of_sockets_made_by_a_stranger_is_not_used(tmp_path: Path, which: str) -> None:
    (tmp_path / "run").mkdir(mode=0o755)
    (tmp_path / which).mkdir(exist_ok=True)
    os.chown(tmp_path / which, 61_008, 61_008)
    with pytest.raises(RuntimeUnsafe, match="another user could replace"):
        make_runtime(tmp_path / "run" / "8003", SERVICE.uid)
    os.chown(tmp_path / which, 0, 0)
    (tmp_path / "run").chmod(0o1777)
    make_runtime(tmp_path / "run" / "8003", SERVICE.uid)
    assert (tmp_path / "run" / "8003").stat().st_gid == SERVICE.uid, "the control"


# --- a suspension that finds a jail half started --------------------------------------------------------------------

NAME = "w-one"


def let_start(settings: HubSettings) -> None:
    """Write the specification of one workspace, which may be started."""
    ControlsWriter(settings.controls).start()
    specs = FileSpecs(
        settings.specs, release_root=settings.releases, home_root=settings.homes,
        controls=FileControls(settings.controls),
    )  # fmt: skip
    specs.write(WorkspaceSpec(NAME, "acc_alice", 230_001, settings.homes / NAME, ()))


def begin(verb: Callable[[], object]) -> threading.Thread:
    def run() -> None:
        with contextlib.suppress(ShuzhaError):
            verb()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


@pytest.mark.attack(
    what="a kernel asked for as its workspace is suspended: frozen before it runs, it holds its jailer up",
    route="the server's REST, again and again until the suspension", layer="jailer",
    control="whoever starts it waits for as long as it stands still",
)  # fmt: skip
def test_a_kernel_frozen_in_its_start_holds_nobody_up(settings: HubSettings) -> None:
    let_start(settings)
    host = CgroupHost.detect()
    keeper, group = Keeper(settings, host), host.group(kernel_group_name(settings.runtime, NAME))
    asked = [KernelStart(f"0b9d2f6e-13a5-4c1b-9d53-{n:012x}", "k" * 32, KernelPorts(1, 2, 3, 4, 5)) for n in (1, 2)]
    try:
        keeper.start(NAME, "acc_alice", {})
        keeper.start_kernel(NAME, asked[0])
        assert group.freeze()
        starting = begin(lambda: keeper.start_kernel(NAME, asked[1]))
        starting.join(0.5)
        assert starting.is_alive(), "the control"
        for verb in (keeper.sweep, lambda: keeper.stop(NAME, 0.0)):
            other = begin(verb)
            other.join(10)
            assert not other.is_alive()
        starting.join(10)
        assert not starting.is_alive()
        assert keeper.poll_kernel(NAME, asked[1].kernel) is not None
    finally:
        group.kill()
        keeper.stop(NAME, 0.0)
