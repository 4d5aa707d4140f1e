"""The system-call filter and Landlock, each alone: the same code in a real jail with the layer and without it."""

from __future__ import annotations

import errno
import json
import os
import socket
import struct
import subprocess
import tempfile
from ast import literal_eval
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import nbformat
import pyseccomp
import pytest
from attack_kit import inside, outside
from workspace_kit import ENVIRONMENT, ROOT, RunningHub

from sandbox.workspaces.clean_room import box as room_box
from sandbox.workspaces.clean_room.run import RoomCaps, RunState, run_notebook
from sandbox.workspaces.host.limits import CgroupHost, Limits
from sandbox.workspaces.jails import jail
from sandbox.workspaces.jails.jail import JailSpec, Mount, start_jail
from sandbox.workspaces.jails.landlock import WHOLE_ABI, landlock_abi
from sandbox.workspaces.jails.seccomp import compile_filter

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="jails with users of their own need root"),
]
UID = 230_001
MARK = 133  # EHWPOISON: an error that no other layer gives
NO_FILTER = struct.pack("=HBBI", 0x06, 0, 0, 0x7FFF0000)
LIMITS = Limits(memory_bytes=1024**3, processes=128, cpu_percent=200)

EARLIER_DENIED = (
    "mount", "umount2", "pivot_root", "chroot", "move_mount", "open_tree", "fsopen", "fsconfig", "fsmount",
    "fspick", "mount_setattr", "setns", "unshare", "ptrace", "process_vm_readv", "process_vm_writev",
    "pidfd_getfd", "kcmp", "bpf", "perf_event_open", "add_key", "request_key", "keyctl", "io_uring_setup",
    "io_uring_enter", "io_uring_register", "userfaultfd", "open_by_handle_at", "name_to_handle_at",
    "kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module", "reboot",
    "swapon", "swapoff", "acct", "quotactl", "syslog", "settimeofday", "clock_settime", "clock_adjtime",
    "adjtimex", "sethostname", "setdomainname", "iopl", "ioperm", "lookup_dcookie", "vhangup", "nfsservctl",
    "fanotify_init", "migrate_pages", "move_pages", "mbind", "set_mempolicy",
)  # fmt: skip
"""Every call that the earlier deny-list named, but personality: that one is held by its argument."""

LET_THROUGH_EARLIER = (
    "setuid", "setresuid", "setgid", "setgroups", "capset", "shmget", "msgget", "semget", "mq_open", "io_setup",
    "vmsplice", "modify_ldt", "process_madvise", "seccomp", "quotactl_fd", "set_mempolicy_home_node", "ustat",
)  # fmt: skip
"""Calls that the deny-list forgot and nothing in a notebook needs."""

WRONG = 0xFFFFFFFFFFFFFFFF
BY_ARGUMENT: dict[str, tuple[str, tuple[int, ...]]] = {
    "clone into a new user namespace": ("clone", (0x10000000 | 17, 0, 0, 0, 0)),
    "clone into a new network": ("clone", (0x40000000 | 17, 0, 0, 0, 0)),
    "packet socket": ("socket", (17, 3, 0)),
    "vsock": ("socket", (40, 1, 0)),
    "audit by netlink": ("socket", (16, 3, 9)),
    "crypto by AF_ALG": ("socket", (38, 5, 0)),
    "typing into a terminal": ("ioctl", (WRONG, 0x5412, 0)),
    "typing, hidden by the upper half": ("ioctl", (WRONG, 0x100005412, 0)),
    "a console's selection": ("ioctl", (WRONG, 0x541C, 0)),
    "no address randomization": ("personality", (0x0040000,)),
    "a device": ("mknodat", (WRONG, 0, 0o60600, 0)),
    "pair of another family": ("socketpair", (30, 1, 0, 0)),
}

CALLS = """
import ctypes, json, os, sys
calls = json.loads(sys.argv[1])
libc = ctypes.CDLL(None, use_errno=True)
found = {}
for name, number, arguments in calls:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        ctypes.set_errno(0)
        given = [ctypes.c_ulong(a) for a in arguments]
        here = os.getpid()
        answer = libc.syscall(ctypes.c_long(number), *given)
        if os.getpid() == here:
            os.write(writing, str(ctypes.get_errno() if answer == -1 else 0).encode())
        os._exit(0)
    os.close(writing)
    found[name] = int(os.read(reading, 20) or -1)
    os.close(reading)
    os.waitpid(child, 0)
print(json.dumps(found))
"""


def make_calls(program: bytes, monkeypatch: pytest.MonkeyPatch, calls: list[tuple[str, int, tuple[int, ...]]]) -> Any:
    """Return the error of each call, made by number in a real jail that has `program` as its filter; 0 is success."""
    monkeypatch.setattr(jail, "compile_filter", lambda: program)
    command = ("/opt/env/bin/python", "-I", "-c", CALLS, json.dumps(calls))
    reading, writing = os.pipe()
    running = start_jail(
        JailSpec("second-layers", UID, ENVIRONMENT, (), command, limits=LIMITS, directory="/"),
        CgroupHost.detect(), output=writing,
    )  # fmt: skip
    os.close(writing)
    try:
        with os.fdopen(reading) as said:
            return json.loads(said.read().splitlines()[-1])
    finally:
        running.stop(grace=0)


def numbered(names: tuple[str, ...]) -> list[tuple[str, int, tuple[int, ...]]]:
    here = pyseccomp.system_arch()
    found = [(name, int(pyseccomp.resolve_syscall(here, name)), (WRONG,) * 6) for name in names]
    return [one for one in found if one[1] >= 0]


@pytest.mark.attack(
    what="every call that needs a right or is needed by nothing: mounts, ptrace, bpf, keys, io_uring, System V ...",
    route="a program in a jail", layer="seccomp",
    control="the same calls without the filter give other answers",
)  # fmt: skip
@pytest.mark.attack(
    what="exotic sockets (packet, vsock, audit netlink, AF_ALG), namespaces by clone, typing into terminals, devices",
    route="a program in a jail", layer="seccomp",
    control="the same calls without the filter give other answers",
)  # fmt: skip
def test_filter_refuses_what_it_does_not_list(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = numbered(EARLIER_DENIED + LET_THROUGH_EARLIER)
    assert len(calls) > 60
    calls += [(name, int(pyseccomp.resolve_syscall(pyseccomp.system_arch(), call)), arguments)
              for name, (call, arguments) in BY_ARGUMENT.items()]  # fmt: skip
    refused = make_calls(compile_filter(), monkeypatch, calls)
    assert {name: error for name, error in refused.items() if error != errno.EPERM} == {}
    # It is the filter that refuses, not a missing capability: another error in its place shows through everywhere ...
    marked = make_calls(compile_filter(MARK), monkeypatch, calls)
    assert {name: error for name, error in marked.items() if error != MARK} == {}
    # ... and the control, the same jail without it: other errors, or success.
    free = make_calls(NO_FILTER, monkeypatch, calls)
    assert [name for name, error in free.items() if error == MARK] == []
    assert len([name for name, error in free.items() if error != errno.EPERM]) > 40, free


@pytest.mark.attack(
    what="clone3, calls to come, 32-bit numbers",
    route="a program in a jail", layer="seccomp",
    control="without the filter clone3 reaches the kernel",
)  # fmt: skip
def test_filter_answers_unknown_calls_as_an_old_kernel_would(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = [("clone3", 435, (0, 0)), ("a call to come", 600, (0,)), ("x32", 0x40000000 + 39, (0,))]
    answers = make_calls(compile_filter(MARK), monkeypatch, calls)
    assert answers == {"clone3": errno.ENOSYS, "a call to come": errno.ENOSYS, "x32": errno.ENOSYS}
    control = make_calls(NO_FILTER, monkeypatch, [("clone3", 435, (0, 0))])
    assert control["clone3"] == errno.EINVAL


@pytest.mark.works
def test_filter_is_in_force_beside_the_first_layers() -> None:
    status = "import re\nprint(dict(re.findall(r'(\\w+):\\s*(\\w+)', open('/proc/self/status').read())))"
    reading, writing = os.pipe()
    running = start_jail(
        JailSpec("second-layers", UID, ENVIRONMENT, (), ("/opt/env/bin/python", "-I", "-c", status), directory="/"),
        CgroupHost.detect(), output=writing,
    )  # fmt: skip
    os.close(writing)
    with os.fdopen(reading) as said:
        found = literal_eval(said.read())
    running.stop(grace=0)
    assert (found["Seccomp"], found["NoNewPrivs"], found["CapEff"], found["CapBnd"]) == ("2", "1", "0" * 16, "0" * 16)


# --- Landlock -----------------------------------------------------------------------------------------------------

NEIGHBOUR = """
import os, socket, time
plain = socket.socket(socket.AF_UNIX)
plain.bind("\\0neighbour")
plain.listen()
tcp = socket.create_server(("127.0.0.1", 4567))
open("/tmp/neighbour", "w").write(str(os.getpid()))
time.sleep(300)
"""
"""A process of the same jail, started before the launcher and so outside its rules."""

WAIT = """
import os, time
deadline = time.monotonic() + 20
while not os.path.exists("/tmp/neighbour") and time.monotonic() < deadline:
    time.sleep(0.02)
neighbour = int(open("/tmp/neighbour").read())
outcomes = {}
def attempt(name, tries):
    try:
        tries()
        outcomes[name] = 0
    except OSError as error:
        outcomes[name] = error.errno
"""

ATTEMPTS = {
    "write to a mount that no rule names": "open('/job/extra/planted', 'w').write('x')",
    "truncate a file of such a mount": "os.truncate('/job/extra/there', 0)",
    "remove a file of such a mount": "os.remove('/job/extra/also')",
    "make a folder in such a mount": "os.mkdir('/job/extra/folder')",
    "run a program of one's own": "__import__('subprocess').run([own_program()], check=True)",
    "rename a thread of one's own by its file": "open('/proc/self/comm', 'w').write('bash')",
    "connect to an abstract socket of another": "socket.socket(socket.AF_UNIX).connect('\\0neighbour')",
    "signal a process of another": "os.kill(neighbour, 0)",
    "stop a process of another": "os.kill(neighbour, 19)",
    "bind a TCP port": "socket.socket().bind(('127.0.0.1', 0))",
    "connect to a TCP port": "socket.create_connection(('127.0.0.1', 4567), timeout=5)",
}
EXPECTED = dict.fromkeys(ATTEMPTS, errno.EACCES) | {
    name: errno.EPERM for name in ATTEMPTS if "of another" in name
}  # fmt: skip

WORKS = {
    "write at home": "open('/home/analyst/mine', 'w').write('x')",
    "rename across folders": "os.makedirs('/home/analyst/a'), os.rename('/home/analyst/mine', '/home/analyst/a/b')",
    "write in memory": "open('/tmp/x', 'w').write('x'), open('/dev/shm/x', 'w').write('x')",
    "declare an output": "open('/job/outbox/x.csv', 'w').write('x')",
    "discard": "open('/dev/null', 'w').write('x')",
    "run a program": "__import__('subprocess').run('ls / | cat', shell=True, check=True, stdout=-1)",
    "a terminal": "os.openpty()",
    "children": "children()",
    "own abstract socket": "abstract()",
    "list interfaces": "socket.if_nameindex()",
}
HELPERS = """
import socket
def own_program():
    import shutil
    shutil.copy("/usr/bin/true", "/tmp/own")
    os.chmod("/tmp/own", 0o755)
    return "/tmp/own"
def children():
    child = os.fork()
    if child == 0:
        time.sleep(60)
        os._exit(0)
    os.kill(child, 9)
    os.waitpid(child, 0)
def abstract():
    listening, calling = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
    listening.bind("\\0mine")
    listening.listen()
    calling.connect("\\0mine")
"""

PLAIN_KERNEL = ("/opt/env/bin/python", "-P", "-s", "-m", "ipykernel_launcher", "-f", room_box.INSIDE_CONNECTION)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="sz-", dir="/tmp") as name:
        Path(name).chmod(0o711)
        yield Path(name)


def outcomes_of(folder: Path, command: tuple[str, ...], attempts: dict[str, str]) -> dict[str, int]:
    """Return the error of each attempt in a real kernel that `command` starts beside a neighbour; 0 is success."""
    extra = folder / "extra"
    extra.mkdir(exist_ok=True)
    for name in ("there", "also"):
        (extra / name).write_text("x")
    subprocess.run(["chmod", "-R", "a+rwX", str(extra)], check=True)
    start = ("/bin/sh", "-c", '"$0" -I -c "$1" & shift; exec "$@"', "/opt/env/bin/python", NEIGHBOUR, *command)
    build = room_box.build_room

    def with_neighbour(*arguments: Any) -> JailSpec:
        spec = build(*arguments)
        return replace(spec, command=start, mounts=(*spec.mounts, Mount(extra, "/job/extra", writable=True)))

    cells = [WAIT + HELPERS, *(f"attempt({name!r}, lambda: ({body}))" for name, body in attempts.items())]
    cells.append("import json\nprint(json.dumps(outcomes))")
    document = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(room_box, "build_room", with_neighbour)
        run = run_notebook(
            nbformat.writes(document).encode(), [], environment=ENVIRONMENT, work=folder / "rooms",
            caps=RoomCaps(wall_seconds=60, jail=LIMITS),
        )  # fmt: skip
    assert run.state is RunState.DONE, (run.log, run.failed)
    output = nbformat.reads(run.notebook.decode(), as_version=4).cells[-1].outputs[0]
    found: dict[str, int] = json.loads(output.text)
    return found


@pytest.mark.skipif(landlock_abi() < WHOLE_ABI, reason="this host's Landlock lacks rules that are tried here")
@pytest.mark.attack(
    what="writing, truncating, removing in a mount that is writable by mistake; own programs; abstract sockets"
    " and signals to a neighbour; TCP",
    route="a clean room's kernel", layer="Landlock",
    control="the same kernel without its launcher",
)  # fmt: skip
def test_landlock_refuses_what_the_mounts_would_allow(folder: Path) -> None:
    held = outcomes_of(folder, room_box.KERNEL_COMMAND, ATTEMPTS)
    assert held == EXPECTED
    free = outcomes_of(folder, PLAIN_KERNEL, ATTEMPTS)
    assert free == dict.fromkeys(ATTEMPTS, 0), "the control: the launcher left out"


@pytest.mark.works
def test_landlock_leaves_what_a_notebook_needs(folder: Path) -> None:
    assert outcomes_of(folder, room_box.KERNEL_COMMAND, WORKS) == dict.fromkeys(WORKS, 0)


OWN_PROGRAM = """
import shutil, subprocess, tempfile
with tempfile.TemporaryDirectory() as folder:
    subprocess.run([shutil.copy("/usr/bin/true", folder)], check=True)
"""
INTERACTIVE = {
    "bind": ("import socket\nsocket.socket().bind(('127.0.0.1', 0))", ["refused", "PermissionError", errno.EACCES]),
    "connect": ("import socket\nsocket.create_connection(('127.0.0.1', {port}))", ["refused", "PermissionError", 13]),
    "signal": ("import os\nos.kill(1, 0)", ["refused", "PermissionError", errno.EPERM]),
    "own program": (
        OWN_PROGRAM,
        ["refused", "PermissionError", errno.EACCES],
    ),
}  # fmt: skip


@pytest.mark.skipif(landlock_abi() < WHOLE_ABI, reason="this host's Landlock lacks rules that are tried here")
@pytest.mark.parametrize("name", INTERACTIVE)
@pytest.mark.attack(
    what="binding, connecting, signals, own programs",
    route="code in a kernel", layer="Landlock",
    control="the same code on the host",
)  # fmt: skip
def test_landlock_holds_an_analysts_kernel_too(hub: RunningHub, workspace: str, name: str) -> None:
    body, expected = INTERACTIVE[name]
    with socket.create_server(("127.0.0.1", 0)) as listening:
        code = body.replace("{port}", str(listening.getsockname()[1]))
        assert inside(hub, workspace, code) == expected
        assert outside(code)[0] == "reached"


@pytest.mark.works
def test_launcher_is_roots_own_file() -> None:
    for name in ("shuzha_kernel.py", "shuzha_output.py"):
        assert not (ROOT / "sandbox/workspaces/jails/inside" / name).stat().st_mode & 0o022
