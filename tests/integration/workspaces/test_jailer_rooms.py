"""Clean rooms that an unprivileged platform has the jailer make: driven from outside, gone with whoever asked."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import nbformat
import polars as pl
import pytest
from workspace_kit import ENVIRONMENT, ROOT, wait_until

from sandbox.workspaces.clean_room.box import FIRST_ROOM_UID, ROOM_UIDS, RoomJob, new_job
from sandbox.workspaces.clean_room.door import make_door, name_of
from sandbox.workspaces.clean_room.specs import RoomSpecs, specs_of
from sandbox.workspaces.clean_room.verbs import ROOMS_SOCKET, OpenRoom
from sandbox.workspaces.host.limits import CgroupHost, Limits
from sandbox.workspaces.records.hub_settings import VARIABLE, HubSettings
from sandbox.workspaces.records.specs import GrantedRelease, WorkspaceRefused
from shuzha.core.service_user import ServiceUser, starting_as

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="a service user apart from the jails' needs root"),
]
SERVICE, STRANGER = ServiceUser(61_007, 61_007), ServiceUser(61_008, 61_008)
LIMITS = Limits(memory_bytes=600 * 1024**2, processes=64, cpu_percent=200)
DRIVER = """
import json, sys
from pathlib import Path
from sandbox.workspaces.clean_room.run import RoomCaps, run_notebook
from sandbox.workspaces.records.hub_settings import parse_settings
from sandbox.workspaces.host.limits import Limits
from sandbox.workspaces.clean_room.client import JailerRooms
from sandbox.workspaces.clean_room.door import make_door, name_of
from sandbox.workspaces.clean_room.specs import specs_of
from sandbox.workspaces.clean_room.verbs import ROOMS_SOCKET
from sandbox.workspaces.records.specs import GrantedRelease
settings = parse_settings(Path(sys.argv[1]).read_text())
rooms = JailerRooms(settings.runtime / ROOMS_SOCKET, specs_of(settings))
caps = RoomCaps(wall_seconds=60, jail=Limits(**json.loads(sys.argv[3])))
try:
    run = run_notebook(
        sys.stdin.buffer.read(), [GrantedRelease("social_insurance", Path(sys.argv[2]))],
        environment=settings.environment, rooms=rooms, caps=caps, report=lambda *_: print(flush=True),
    )
except Exception as error:
    print(json.dumps({"error": type(error).__name__, "said": str(error)}))
else:
    print(json.dumps({
        "state": run.state, "log": run.log, "names": [one.name for one in run.outputs.declared],
        "contents": [(one.content or b"").decode() for one in run.outputs.declared], "problems": run.outputs.problems,
    }))
"""
OUTPUTS = """
import json, os, tempfile, pathlib
outbox = pathlib.Path("/job/outbox")
def declare(name, file):
    (outbox / f"{name}.json").write_text(json.dumps({"name": name, "kind": "file", "file": file, "media": "text/csv"}))
(outbox / "plain.csv").write_text("a,b"); declare("plain", "plain.csv")
with tempfile.NamedTemporaryFile("w", dir=outbox, delete=False) as closed: closed.write("c,d")
declare("closed", os.path.basename(closed.name))
(outbox / "shut.csv").write_text("e,f"); declare("shut", "shut.csv"); (outbox / "shut.csv").chmod(0)
(outbox / "deep").mkdir(); (outbox / "deep" / "in.csv").write_text("g,h"); declare("inner", "deep/in.csv")
os.symlink("/etc/passwd", outbox / "linked"); declare("linked", "linked")
os.link(outbox / "plain.csv", outbox / "second"); declare("second", "second")
(outbox / "shut.csv.json").write_text("{"); os.chmod(outbox, 0)
"""


@dataclass
class House:
    """A jailer that answers, the folders around it, and runs of notebooks asked for by the service user."""

    folder: Path
    settings: HubSettings
    release: Path
    jailer: subprocess.Popen[bytes] | None = None

    @property
    def socket(self) -> Path:
        return self.settings.runtime / ROOMS_SOCKET

    @property
    def specs(self) -> RoomSpecs:
        return specs_of(self.settings)

    def start(self) -> None:
        self.jailer = subprocess.Popen(
            [sys.executable, "-m", "sandbox.workspaces.jailer"], cwd=ROOT,
            env={**os.environ, VARIABLE: str(self.folder / "hub.json")},
            stdout=(self.folder / "jailer.log").open("ab"), stderr=subprocess.STDOUT,
        )  # fmt: skip
        wait_until(self._answers, 20, "the jailer")

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(self.socket)) == 0

    def drive(self, *cells: str, user: ServiceUser = SERVICE) -> subprocess.Popen[bytes]:
        """Start a run of these cells by `user`, in a process of its own, and return it."""
        document = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        process = subprocess.Popen(
            [sys.executable, "-c", DRIVER, str(self.folder / "hub.json"), str(self.release), json.dumps(limits())],
            env={"PYTHONPATH": str(ROOT), "HOME": str(self.folder)}, cwd="/",
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, preexec_fn=starting_as(user),
        )  # fmt: skip
        assert process.stdin is not None
        process.stdin.write(nbformat.writes(document).encode())
        process.stdin.close()
        return process

    def run(self, *cells: str, user: ServiceUser = SERVICE) -> dict[str, Any]:
        """Return what came of a run."""
        process = self.drive(*cells, user=user)
        assert process.stdout is not None
        said = process.stdout.read().decode().strip().splitlines()
        process.wait(10)
        return json.loads(said[-1])

    def rooms(self) -> list[str]:
        """Return what is there of rooms: boxes, control groups, mounts."""
        boxes = [str(path) for path in (self.settings.runtime / "rooms").glob("*")]
        prefix = f"room-{name_of(self.settings.runtime)}-"
        groups = [name for name in CgroupHost.detect().list_groups() if name.startswith(prefix)]
        mounts = [line for line in Path("/proc/mounts").read_text().splitlines() if f"{self.settings.runtime}/" in line]
        return [*boxes, *groups, *mounts]

    def processes(self) -> list[int]:
        """Return the host's processes of rooms."""
        return [pid for pid, uid in users_of_processes() if uid in range(FIRST_ROOM_UID, FIRST_ROOM_UID + ROOM_UIDS)]


def limits() -> dict[str, int]:
    return {name: getattr(LIMITS, name) for name in ("memory_bytes", "processes", "cpu_percent")}


def users_of_processes() -> Iterator[tuple[int, int]]:
    for place in Path("/proc").iterdir():
        if place.name.isdigit():
            try:
                yield int(place.name), place.stat().st_uid
            except OSError:
                continue


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    folder = Path(tempfile.mkdtemp(prefix="sz-", dir="/tmp"))
    folder.chmod(0o711)
    for name, mode in (("releases", 0o711), ("homes", 0o711), ("own", 0o711), ("specs", 0o700), ("state", 0o700)):
        (folder / name).mkdir(mode=mode)
        os.chown(folder / name, SERVICE.uid, SERVICE.gid)
    release = folder / "releases" / "rel_1"
    release.mkdir()
    pl.DataFrame({"resident_id": ["p1", "p2"]}).write_parquet(release / "data.parquet")
    settings = HubSettings(
        bind_ip="127.0.0.1", bind_port=1, public_url="http://127.0.0.1/", state=folder / "state",
        runtime=folder / "run", specs=folder / "specs", releases=folder / "releases", homes=folder / "homes",
        own=folder / "own", controls=folder / "controls.json", usage=folder / "usage.db", environment=ENVIRONMENT,
        service_token_file=folder / "token", test_password="of a test", service_uid=SERVICE.uid,
    )  # fmt: skip
    (folder / "hub.json").write_text(settings.to_json())
    found = House(folder, settings, release)
    try:
        found.start()
        yield found
    finally:
        if found.jailer is not None:
            found.jailer.terminate()
            found.jailer.wait(10)
        left = found.rooms()
        shutil.rmtree(folder, ignore_errors=True)
        assert left == []


def test_the_service_user_drives_a_room_of_another_user(house: House) -> None:
    process = house.drive("import time, os, pathlib", "while not pathlib.Path('/tmp/go').exists(): time.sleep(0.05)")
    try:
        assert process.stdout is not None
        process.stdout.readline()  # the first cell has run
        users = {uid for pid, uid in users_of_processes() if pid in house.processes()}
        assert len(users) == 1
        assert SERVICE.uid not in users
        box = next((house.settings.runtime / "rooms").glob("room-*"))
        assert box.stat().st_uid == 0
        assert stat_of(box / "sockets") == (users.pop(), SERVICE.gid, 0o2770)
    finally:
        process.kill()
        process.wait(10)
    wait_until(lambda: not house.rooms() and not house.processes(), 15, "the room's end with its driver")


def stat_of(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_uid, status.st_gid, status.st_mode & 0o7777


def test_outputs_are_read_whatever_mode_the_notebook_gave_them_and_no_link_is(house: House) -> None:
    done = house.run(
        "import polars as pl\nassert pl.read_parquet('/data/social_insurance/data.parquet').height == 2", OUTPUTS
    )
    assert done["state"] == "done", done
    assert dict(zip(done["names"], done["contents"], strict=True)) == {"closed": "c,d", "inner": "g,h", "shut": "e,f"}
    assert len(done["problems"]) == 4, done["problems"]
    assert not any("root:" in one for one in done["problems"])
    assert house.rooms() == []


def test_a_killed_driver_leaves_no_room(house: House) -> None:
    process = house.drive("1 + 1", "import os\nif os.fork() == 0:\n    os.setsid()\nwhile True: pass")
    assert process.stdout is not None
    process.stdout.readline()
    assert house.processes()
    process.kill()
    process.wait(10)
    wait_until(lambda: not house.rooms() and not house.processes(), 15, "the room's end with its driver")
    assert list(house.specs._folder.glob("room-*")), "its specification stays until a worker starts again"
    house.specs.clear()
    assert not list(house.specs._folder.glob("room-*"))


def test_a_killed_jailer_ends_rooms_and_the_next_one_sweeps(house: House) -> None:
    process = house.drive("1 + 1", "while True: pass")
    assert process.stdout is not None
    process.stdout.readline()
    assert house.jailer is not None
    house.jailer.kill()
    house.jailer.wait(10)
    wait_until(lambda: not house.processes(), 15, "the room's end with the jailer")
    said = json.loads(process.stdout.read().decode().strip().splitlines()[-1])
    process.wait(10)
    assert said["error"] == "JailFailed", said
    house.start()
    wait_until(lambda: not house.rooms(), 10, "the sweeping")
    assert house.run("1 + 1")["state"] == "done"


def test_a_room_ends_with_its_lease_whatever_its_driver_does(house: House) -> None:
    job = new_job([GrantedRelease("x", house.release)], LIMITS, 1024**2)
    house.specs.write(job)
    said = asyncio.run(hold(house, job.name, lease=1.0))
    assert said == b"", "the connection was closed from the other side"
    assert house.rooms() == []
    house.specs.remove(job.name)


async def hold(house: House, room: str, lease: float) -> bytes:
    """Open a room at a door of its own, do nothing, and return what is said after the opening."""
    door = make_door(house.settings)
    door.lease = lease
    path = house.settings.runtime / "short.sock"
    await door.open(path, 0)
    try:
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(msgspec.json.encode(OpenRoom(room, "0123456789abcdef")) + b"\n")
        assert b'"open"' in await reader.readline()
        said = await asyncio.wait_for(reader.read(), 15)
        writer.close()
        return said
    finally:
        await door.close()
        path.unlink()


def test_another_user_is_refused(house: House) -> None:
    code = "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); print(s.recv(100))"
    command = [sys.executable, "-I", "-c", code, str(house.socket)]
    asked = subprocess.run(command, capture_output=True, text=True, check=False, preexec_fn=starting_as(STRANGER))
    assert "Permission denied" in asked.stderr
    house.socket.chmod(0o666)  # The control: the file's mode out of the way, the peer's user is what refuses.
    try:
        asked = subprocess.run(command, capture_output=True, text=True, check=False, preexec_fn=starting_as(STRANGER))
        assert asked.stdout == "b''\n", asked.stderr
    finally:
        house.socket.chmod(0o600)
    assert "refuse the user 61008" in (house.folder / "jailer.log").read_text()


@pytest.mark.parametrize("line", [
    b"{}\n", b"\x00\x01\n", b'{"verb":"room","room":"../x","key":"0123456789abcdef"}\n', b"x" * 70_000 + b"\n",
    b'{"verb":"room","room":"room-0123456789","key":"0123456789abcdef","mounts":["/"]}\n',
])  # fmt: skip
def test_what_is_no_request_is_answered_with_silence(house: House, line: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as asking:
        asking.settimeout(10)
        asking.connect(str(house.socket))
        asking.sendall(line)
        assert asking.recv(100) == b""


def test_an_unknown_room_is_refused(house: House) -> None:
    assert "no room named" in ask(house, "room-0123456789")


def ask(house: House, room: str) -> str:
    with socket.socket(socket.AF_UNIX) as asking:
        asking.settimeout(10)
        asking.connect(str(house.socket))
        asking.sendall(msgspec.json.encode(OpenRoom(room, "0123456789abcdef")) + b"\n")
        return asking.makefile().readline()


Forge = Callable[[RoomJob], dict[str, Any]]
FORGED: dict[str, Forge] = {
    "a folder of the host": lambda job: {"releases": [{"name": "x", "path": "/etc"}]},
    "a way out of the zone": lambda job: {"releases": [{"name": "x", "path": f"{job.releases[0].path}/../../token"}]},
    "a name that leaves": lambda job: {"releases": [{"name": "../x", "path": str(job.releases[0].path)}]},
    "another's own file": lambda job: {"releases": [{"name": "own/x", "path": str(job.releases[0].path)}]},
    "a boundless outbox": lambda job: {"outbox_bytes": 1024**5},
    "another room's": lambda job: {"name": "room-ffffffffff"},
}


@pytest.mark.parametrize("forged", FORGED)
def test_a_specification_with_too_much_is_refused(house: House, forged: str) -> None:
    job = new_job([GrantedRelease("x", house.release)], LIMITS, 1024**2)
    house.specs.write(job)
    path = house.specs._path(job.name)
    assert '"open"' in ask(house, job.name), "the control: as it was written it is opened"
    wait_until(lambda: not house.rooms(), 10, "the room's end with its connection")
    body = json.loads(path.read_bytes()) | FORGED[forged](job)
    path.write_text(json.dumps(body))
    try:
        assert '"refused"' in ask(house, job.name)
        with pytest.raises(WorkspaceRefused):
            house.specs.load(job.name)
    finally:
        path.unlink()
    assert house.rooms() == []
