"""Reads a file in a process of its own: a jail without a network, with little memory and little time.

A file can be made to cost far more than its size says, and a parser can be talked into more than reading. Both end
here: what the process does not answer in time, or answers otherwise than agreed, blocks. Where bubblewrap cannot make a
jail (inside some containers) the process has the same caps, an empty environment and no jail.

    python -m sandbox.airlock.files.apart     (limits, caps and file on standard input, the answer on standard output)
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import msgspec

from sandbox.airlock.files.kinds import Limits, Read
from sandbox.airlock.findings import Finding, Severity

_ROOT: Final = Path(__file__).parents[3]
_ANSWER: Final = 4
_SCRATCH: Final = "/tmp"  # noqa: S108 - the jail's own, made new for each
_MODULE: Final = "sandbox.airlock.files.apart"


@dataclass(frozen=True, slots=True)
class Caps:
    """The most that reading one file may take: bytes of addresses, seconds of work and of waiting."""

    addresses: int = 3 * 1024**3
    cpu_seconds: int = 60
    wall_seconds: float = 90


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the process is told beside the file."""

    limits: Limits
    caps: Caps
    size: int


def read_apart(data: bytes, limits: Limits, caps: Caps | None = None) -> Read:
    """Return what `read_file` says of these bytes, read in a process of its own; no answer, or a wrong one, blocks."""
    caps = caps or Caps()
    if len(data) > limits.bytes:
        return _read_here(data[: limits.bytes + 1], limits)
    head = msgspec.msgpack.encode(_Asked(limits, caps, len(data)))
    asked = len(head).to_bytes(8, "big") + head + data
    try:
        with tempfile.TemporaryFile() as said, _filter() as seccomp:
            done = subprocess.run(
                _command(seccomp.fileno() if seccomp else None), input=asked, stdout=said, stderr=subprocess.DEVNULL,
                env=_variables(), timeout=caps.wall_seconds, check=False, start_new_session=True, cwd="/",
                pass_fds=(seccomp.fileno(),) if seccomp else (),
            )  # fmt: skip
            if done.returncode != 0 or said.tell() > _ANSWER * limits.bytes + 64 * 1024**2:
                return _costly()
            said.seek(0)
            return msgspec.msgpack.decode(said.read(), type=Read)
    except (subprocess.TimeoutExpired, OSError, msgspec.MsgspecError):
        return _costly()


@cache
def can_jail() -> bool:
    """Return whether this host lets bubblewrap make a jail of the kind that files are read in."""
    with suppress(OSError, subprocess.SubprocessError):
        return (
            subprocess.run([*_jail(None), "/usr/bin/true"], capture_output=True, timeout=10, check=False).returncode
            == 0
        )
    return False


def main() -> int:
    """Read one file as told on standard input, and answer; return the exit code."""
    told = sys.stdin.buffer
    length = int.from_bytes(told.read(8), "big")
    asked = msgspec.msgpack.decode(told.read(length), type=_Asked)
    for kind, most in (
        (resource.RLIMIT_AS, asked.caps.addresses), (resource.RLIMIT_CPU, asked.caps.cpu_seconds),
        (resource.RLIMIT_CORE, 0), (resource.RLIMIT_NOFILE, 64), (resource.RLIMIT_FSIZE, asked.caps.addresses),
    ):  # fmt: skip
        resource.setrlimit(kind, (most, most))
    found = _read_here(told.read(asked.size), asked.limits)
    sys.stdout.buffer.write(msgspec.msgpack.encode(found))
    return 0


def _read_here(data: bytes, limits: Limits) -> Read:
    from sandbox.airlock.files.reading import read_file  # Parsers are loaded where files are read, after the caps.

    return read_file(data, limits)


def _costly() -> Read:
    accepted = "a file that can be read with the memory and time that a file may take"
    return Read(None, (Finding("checker_failed", Severity.BLOCK, accepted),))


def _command(seccomp: int | None) -> list[str]:
    python = [sys.executable, "-P", "-s", "-m", _MODULE]
    return [*_jail(seccomp), *python] if can_jail() else python


def _jail(seccomp: int | None) -> list[str]:
    """Return bubblewrap's command up to what is run: the programs and the code to read, nothing to write to disk."""
    shown = {Path(sys.prefix).resolve(), Path(sys.prefix), *(_ROOT / name for name in ("sandbox", "shuzha"))}
    if not Path(sys.base_prefix).is_relative_to("/usr"):
        shown.add(Path(sys.base_prefix).resolve())
    options = [
        "bwrap", "--unshare-user", "--unshare-all", "--disable-userns", "--new-session", "--die-with-parent",
        "--cap-drop", "ALL", "--ro-bind", "/usr", "/usr", "--symlink", "usr/bin", "/bin", "--symlink", "usr/lib",
        "/lib", "--symlink", "usr/lib64", "/lib64", "--proc", "/proc", "--dev", "/dev", "--size",
        str(64 * 1024**2), "--tmpfs", _SCRATCH,
    ]  # fmt: skip
    for path in sorted(shown):
        if path.exists():
            options += ["--ro-bind", str(path), str(path)]
    if seccomp is not None:
        options += ["--seccomp", str(seccomp)]
    return [*options, "--remount-ro", "/", "--chdir", "/", "--"]


class _filter:  # noqa: N801 - read as a word: with _filter() as file
    """The filter of system calls that every jail has, in an open file; None where no jail can be made."""

    def __init__(self) -> None:
        self._file: tempfile._TemporaryFileWrapper[bytes] | None = None

    def __enter__(self) -> tempfile._TemporaryFileWrapper[bytes] | None:
        if can_jail():
            self._file = tempfile.NamedTemporaryFile()
            self._file.write(_program())
            self._file.flush()
            self._file.seek(0)
        return self._file

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()


@cache
def _program() -> bytes:
    from sandbox.workspaces.jails.seccomp import compile_filter  # Needs libseccomp, which the process inside has not.

    return compile_filter()


def _variables() -> dict[str, str]:
    return {
        "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "PYTHONPATH": str(_ROOT), "POLARS_MAX_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1", "HOME": _SCRATCH,
    } | ({"LD_LIBRARY_PATH": os.environ["LD_LIBRARY_PATH"]} if "LD_LIBRARY_PATH" in os.environ else {})  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
