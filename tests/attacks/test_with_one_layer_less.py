"""The same code in a jail as every jail is built, and in one that lacks a single layer, where it must succeed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from attack_kit import JAIL_UID, batch, in_a_jail, outcomes, run_in_a_jail, running_jail

from sandbox.workspaces.host.limits import Limits

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="jails with users of their own need root"),
]
MIB = 1024**2
SMALL = Limits(
    memory_bytes=160 * MIB, processes=32, cpu_percent=50, open_files=256, file_bytes=8 * MIB, scratch_bytes=4 * MIB
)
HELD, FREE = "refused", "reached"


# --- files ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def zones() -> Iterator[Path]:
    """What a platform keeps beside its workspaces, readable by everybody by mistake."""
    folder = Path(tempfile.mkdtemp(prefix="sz-", dir="/tmp"))
    for name in ("raw/social_insurance.parquet", "lake/entry/v1.parquet", "records.db", "keys/signing", "hub/hub.db"):
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("a value")
    shutil.copy("/usr/bin/id", folder / "id")
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    (folder / "id").chmod(0o4755)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.attack(
    what="raw zone, lake, the platform's records, keys, the hub's database, readable by mistake",
    route="code in a jail", layer="mount namespace", control="the same jail with that folder mounted",
)  # fmt: skip
def test_zones_that_are_not_mounted_do_not_exist(zones: Path) -> None:
    code = batch({str(file): f"open({str(file)!r}).read()" for file in zones.rglob("*") if file.is_file()})
    held, free = outcomes(run_in_a_jail(code)), outcomes(run_in_a_jail(code, more=("--ro-bind", *[str(zones)] * 2)))
    assert set(held.values()) == {"refused FileNotFoundError 2"}
    assert {how for name, how in free.items() if name != str(zones / "id")} == {FREE}
    assert len(free) == 6


@pytest.mark.attack(
    what="devices of the host: disks, loop devices and their control, memory, the kernel's log, virtual machines, FUSE",
    route="code in a jail", layer="mount namespace", control="the same jail with the host's /dev: each is there",
)  # fmt: skip
def test_devices_of_the_host_are_not_there() -> None:
    plain = {"null", "zero", "full", "random", "urandom", "tty", "console", "ptmx"}
    devices = [p for p in Path("/dev").iterdir() if p.name not in plain and not p.is_symlink()]
    devices = [p for p in devices if p.is_block_device() or p.is_char_device()]
    assert devices
    code = batch({str(one): f"import os\nos.stat({str(one)!r})" for one in devices})
    assert set(outcomes(run_in_a_jail(code)).values()) == {"refused FileNotFoundError 2"}
    assert set(outcomes(run_in_a_jail(code, more=("--dev-bind", "/dev", "/dev"))).values()) == {FREE}


@pytest.mark.attack(
    what="a program of root's with the setuid bit", route="a program in a jail", layer="no new privileges",
    control="the same program started by the same user outside a jail is root",
)  # fmt: skip
def test_setuid_program_makes_nobody_root(zones: Path) -> None:
    body = f"import subprocess\nreturn subprocess.run([{str(zones / 'id')!r}, '-u'], text=True, stdout=-1).stdout"
    assert in_a_jail(body, more=("--ro-bind", str(zones), str(zones))) == ["reached", repr("1000\n")]
    done = subprocess.run([str(zones / "id"), "-u"], user=JAIL_UID, group=JAIL_UID, capture_output=True, check=True)
    assert done.stdout == b"0\n", "the control"


APART = ("--unshare-user", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try")


@pytest.mark.attack(
    what="/proc of the host's processes: their names, variables, memory, folders", route="code in a jail",
    layer="process namespace", control="the same jail with the host's processes lists them and reads their names",
)  # fmt: skip
def test_processes_of_the_host_are_not_seen() -> None:
    body = f"return open('/proc/{os.getpid()}/stat').read().split()[0]"
    assert in_a_jail(body)[0] == HELD
    assert in_a_jail(body, swap={"--unshare-all": APART}) == ["reached", repr(str(os.getpid()))], "the control"


@pytest.mark.attack(
    what="/proc of a process of another user: variables, memory, open files", route="code in a jail that sees it",
    layer="user of its own", control="the same code by root",
)  # fmt: skip
def test_what_is_seen_of_another_users_process_is_not_read() -> None:
    files = {name: f"/proc/{os.getpid()}/{name}" for name in ("environ", "maps", "root/etc/passwd", "fd/0")}
    code = batch({name: f"import os\nos.close(os.open({path!r}, os.O_PATH if 'fd' in {path!r} else os.O_RDONLY))"
                  for name, path in files.items()})  # fmt: skip
    held = outcomes(run_in_a_jail(code, swap={"--unshare-all": APART}))
    assert set(held.values()) == {"refused PermissionError 13"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(outcomes(done.stdout).values()) == {FREE}, "the control"


# --- resources ------------------------------------------------------------------------------------------------------

FORKS = """
import os, signal
children = []
try:
    for _ in range(60):
        child = os.fork()
        if child == 0:
            signal.pause()
        children.append(child)
finally:
    for child in children:
        os.kill(child, 9)
"""
THREADS = """
import threading
stop = threading.Event()
try:
    for _ in range(60):
        threading.Thread(target=stop.wait, daemon=True).start()
finally:
    stop.set()
"""
LOTS: dict[str, tuple[str, str, str]] = {
    "processes": (FORKS, "processes", "refused BlockingIOError 11"),
    "threads": (THREADS, "processes", "refused RuntimeError"),
    "open files": ("held = [open('/dev/null') for _ in range(1000)]", "open_files", "refused OSError 24"),
    "pipes": ("import os\nheld = [os.pipe() for _ in range(500)]", "open_files", "refused OSError 24"),
    "a large file": (
        "import signal\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN)\nopen('/tmp/x', 'wb').truncate(9 * 2**20)",
        "file_bytes", "refused OSError 27",
    ),
    "a sparse file of a TiB": (
        "import signal\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN)\nopen('/tmp/y', 'wb').truncate(2**40)",
        "file_bytes", "refused OSError 27",
    ),
    "many bytes in /tmp": (
        "with open('/tmp/z', 'wb', 0) as f:\n    for _ in range(6):\n        assert f.write(bytes(2**20)) == 2**20",
        "scratch_bytes", "refused OSError 28",
    ),
    "many bytes in /dev/shm": (
        "with open('/dev/shm/z', 'wb', 0) as f:\n    for _ in range(6):\n        assert f.write(bytes(2**20)) == 2**20",
        "scratch_bytes", "refused OSError 28",
    ),
}  # fmt: skip
LARGER = Limits(
    memory_bytes=512 * MIB, processes=256, cpu_percent=200, open_files=4096, file_bytes=2**41, scratch_bytes=32 * MIB
)


@pytest.fixture(scope="module")
def lots() -> dict[str, dict[str, str]]:
    """What came of taking much of each, within small limits, and with each larger limit by itself."""
    code = batch({what: body for what, (body, _, _) in LOTS.items()})
    fields = {field for _, field, _ in LOTS.values()}
    found = {field: run_in_a_jail(code, limits=replace(SMALL, **{field: getattr(LARGER, field)})) for field in fields}
    return {name: outcomes(text) for name, text in {"": run_in_a_jail(code, limits=SMALL), **found}.items()}


@pytest.mark.parametrize("what", LOTS)
@pytest.mark.attack(
    what="processes and threads without end", route="code in a jail", layer="control group",
    control="the same jail with this one limit larger",
)  # fmt: skip
@pytest.mark.attack(
    what="open files, pipes, one large file, one sparse file of a TiB", route="code in a jail", layer="process limit",
    control="the same jail with this one limit larger",
)  # fmt: skip
@pytest.mark.attack(
    what="filling /tmp and /dev/shm", route="code in a jail", layer="memory file system",
    control="the same jail with this one limit larger",
)  # fmt: skip
def test_taking_much_ends_at_its_limit(lots: dict[str, dict[str, str]], what: str) -> None:
    _, field, refused = LOTS[what]
    assert lots[""][what].startswith(refused)
    assert lots[field][what] == FREE, "the control"


@pytest.mark.attack(
    what="more memory than granted", route="code in a jail", layer="control group",
    control="the same jail with a larger limit",
)  # fmt: skip
def test_memory_beyond_the_limit_ends_the_process() -> None:
    body = "held = bytearray(300 * 2**20)\nheld[::4096] = b'x' * len(held[::4096])\nreturn len(held)"
    assert in_a_jail(body, limits=SMALL)[0] == "ended"
    assert in_a_jail(body, limits=replace(SMALL, memory_bytes=512 * MIB)) == ["reached", repr(300 * MIB)]


@pytest.mark.attack(
    what="more processor than granted", route="a busy process in a jail", layer="control group",
    control="the same jail with a larger share",
)  # fmt: skip
def test_processor_is_held_to_its_share() -> None:
    body = "import time\nend = time.process_time() + 0.3\nwhile time.process_time() < end: pass"
    assert waits_for_the_processor(body, replace(SMALL, cpu_percent=10)) > 0
    assert waits_for_the_processor(body, replace(SMALL, cpu_percent=6400)) == 0, "the control"


def waits_for_the_processor(code: str, limits: Limits) -> int:
    """Return how often the group had used up its share."""
    with running_jail(code, limits=limits) as (said, group):
        said.read()
        text = (group.paths.get("cpu") or group.paths["unified"]).joinpath("cpu.stat").read_text()
        return int(dict(line.split() for line in text.splitlines())["nr_throttled"])


WATCHES = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
taken = 0
while taken < {most} and libc.inotify_init1(0) >= 0:
    taken += 1
{after}
"""


@pytest.mark.attack(
    what="all watchers of files that a user may have", route="code in a jail, while another jail runs",
    layer="user of its own", control="in a jail of the same user there are none left",
)  # fmt: skip
def test_watchers_taken_by_one_workspace_are_not_missed_by_another() -> None:
    most = int(Path("/proc/sys/fs/inotify/max_user_instances").read_text())
    if most > 2000:
        pytest.skip(f"this host gives each user {most} watchers: more than a jail has open files")
    hold = "print('held', flush=True)\nimport time\ntime.sleep(60)"
    with running_jail(WATCHES.format(most=most + 50, after=hold), JAIL_UID) as (said, _):
        assert said.readline() == "held\n"
        ask = WATCHES.format(most=20, after="print(taken)")
        assert run_in_a_jail(ask, uid=JAIL_UID + 1) == "20\n"
        assert run_in_a_jail(ask, uid=JAIL_UID) == "0\n", "the control"
