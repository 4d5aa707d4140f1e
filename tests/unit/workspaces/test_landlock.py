"""Landlock's rules by version: each older one really applied to a process of this host, which may speak a newer one."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.workspaces.jails.inside import shuzha_kernel
from sandbox.workspaces.jails.landlock import (
    KERNEL_LAUNCHER,
    WHOLE_ABI,
    describe_landlock,
    kernel_command,
    landlock_abi,
)
from shuzha.core.settings import Settings
from shuzha.server.doctor import check_landlock

HERE = landlock_abi()

TRIES = """
import importlib.util, json, os, signal, socket, sys
spec = importlib.util.spec_from_file_location("launcher", sys.argv[1])
launcher = importlib.util.module_from_spec(spec)
spec.loader.exec_module(launcher)
folder, abi = sys.argv[2], int(sys.argv[3])
neighbour = socket.socket(socket.AF_UNIX)
neighbour.bind("\\0" + folder)
neighbour.listen()
reading, writing = os.pipe()
parent = os.getpid()
if os.fork():
    os.close(writing)
    print(os.read(reading, 4096).decode())
    os.wait()
    raise SystemExit
places = ((launcher.RUN, ("/usr", "/bin", "/lib", "/lib64")), (launcher.CHANGE, (f"{folder}/own",)))
if abi:
    launcher.restrict(abi, places)
found = {}
def attempt(name, tries):
    try:
        tries()
        found[name] = 0
    except OSError as error:
        found[name] = error.errno
attempt("write own", lambda: open(f"{folder}/own/mine", "w").write("x"))
attempt("write", lambda: open(f"{folder}/else/new", "w"))
attempt("read", lambda: open(f"{folder}/else/file").read())
attempt("rename across", lambda: os.rename(f"{folder}/own/one/file", f"{folder}/own/two/file"))
attempt("truncate", lambda: os.truncate(f"{folder}/else/file", 0))
attempt("bind", lambda: socket.socket().bind(("127.0.0.1", 0)))
attempt("signal", lambda: os.kill(parent, 0))
attempt("abstract", lambda: socket.socket(socket.AF_UNIX).connect("\\0" + folder))
os.write(writing, json.dumps(found).encode())
"""


def outcomes(folder: Path, abi: int) -> dict[str, int]:
    """Return what a process may still do that held itself to the rules of `abi`; 0 holds it to none."""
    for name in ("own/one", "own/two", "else"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for name in ("own/one/file", "else/file"):
        (folder / name).write_text("x")
    command = [sys.executable, "-I", "-c", TRIES, shuzha_kernel.__file__, str(folder), str(abi)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    found: dict[str, int] = json.loads(done.stdout)
    return found


@pytest.mark.skipif(HERE < 1, reason="this host's kernel has no Landlock")
@pytest.mark.parametrize("abi", range(WHOLE_ABI + 1))
def test_each_version_holds_what_it_has_rules_for(tmp_path: Path, abi: int) -> None:
    if abi > HERE:
        pytest.skip(f"this host's Landlock is version {HERE}")
    held = {
        "write own": 0,
        "write": errno.EACCES if abi >= 1 else 0,
        "read": errno.EACCES if abi >= 1 else 0,
        "rename across": errno.EXDEV if abi == 1 else 0,
        "truncate": errno.EACCES if abi >= 3 else 0,
        "bind": errno.EACCES if abi >= 4 else 0,
        "signal": errno.EPERM if abi >= 6 else 0,
        "abstract": errno.EPERM if abi >= 6 else 0,
    }
    assert outcomes(tmp_path, abi) == held


@pytest.mark.skipif(HERE < WHOLE_ABI, reason="this host's Landlock lacks rules")
def test_a_newer_version_than_we_know_is_used_as_the_newest_known(tmp_path: Path) -> None:
    assert shuzha_kernel.handled(99) == shuzha_kernel.handled(WHOLE_ABI)
    assert outcomes(tmp_path, 99)["signal"] == errno.EPERM


def test_a_host_without_landlock_is_said_and_starts_kernels(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def absent(number: int, *_: object) -> int:
        import ctypes

        ctypes.set_errno(errno.ENOSYS)
        return -1

    monkeypatch.setattr(shuzha_kernel, "_call", absent)
    assert landlock_abi() == 0
    check = check_landlock(Settings(tmp_path))
    assert not check.ok
    assert not check.needed
    assert "absent" in check.found
    started: list[str] = []
    monkeypatch.setattr(shuzha_kernel, "_be_the_kernel", lambda: started.append("kernel"))
    shuzha_kernel.main()
    assert started == ["kernel"]


@pytest.mark.parametrize("refusal", [errno.EPERM, errno.EINVAL])
def test_a_host_that_refuses_the_rules_starts_no_kernel(monkeypatch: pytest.MonkeyPatch, refusal: int) -> None:
    def refuse(number: int, *_: object) -> int:
        import ctypes

        ctypes.set_errno(refusal)
        return -1

    monkeypatch.setattr(shuzha_kernel, "_call", refuse)
    monkeypatch.setattr(shuzha_kernel, "_be_the_kernel", lambda: pytest.fail("the kernel started"))
    with pytest.raises(OSError, match="Landlock") as raised:
        shuzha_kernel.main()
    assert raised.value.errno == refusal


def test_sentence_names_what_is_lacking() -> None:
    assert "no rule for TCP ports" in describe_landlock(3)
    assert "no rule" not in describe_landlock(WHOLE_ABI)
    assert "no rule" not in describe_landlock(WHOLE_ABI + 5)


def test_command_keeps_the_analysts_modules_out_until_the_rules_hold() -> None:
    command = kernel_command("/job/connection/kernel.json")
    assert command[1:4] == ("-P", "-s", KERNEL_LAUNCHER)
    assert os.path.isabs(command[0])  # noqa: PTH117
    writable = [path for rights, paths in shuzha_kernel.PLACES for path in paths if rights & shuzha_kernel.MAKE_REG]
    assert writable == ["/home/analyst", "/tmp", "/dev/shm", "/job/sockets", "/job/outbox"]
