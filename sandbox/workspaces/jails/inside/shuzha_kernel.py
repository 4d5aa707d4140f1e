"""Starts a notebook's kernel after giving up, by Landlock, what its jail's mounts might wrongly still allow.

It runs first in a kernel's jail, in the sandbox environment, from the standard library alone. The rules hold for every
thread and child that follows, and nothing inside can take them off. A host without Landlock starts the kernel all the
same (`shuzha doctor` says so); a host that has it and refuses the rules starts none.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import sys
from collections.abc import Iterable
from typing import Any

_CREATE, _ADD, _RESTRICT = 444, 445, 446  # the same numbers on every machine
_VERSION = 1
_PATH_BENEATH = 1
_NO_NEW_PRIVS = 38

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR, REMOVE_DIR, REMOVE_FILE = (1 << n for n in range(6))
MAKE_CHAR, MAKE_DIR, MAKE_REG, MAKE_SOCK, MAKE_FIFO, MAKE_BLOCK, MAKE_SYM = (1 << n for n in range(6, 13))
REFER, TRUNCATE, IOCTL_DEV = (1 << n for n in range(13, 16))
BIND_TCP, CONNECT_TCP = 1, 2
ABSTRACT_SOCKETS, SIGNALS = 1, 2

READ = READ_FILE | READ_DIR
RUN = READ | EXECUTE
CHANGE = (
    READ | WRITE_FILE | TRUNCATE | REFER | REMOVE_DIR | REMOVE_FILE | MAKE_DIR | MAKE_REG | MAKE_SOCK | MAKE_FIFO
    | MAKE_SYM
)  # fmt: skip
DEVICE = READ_FILE | WRITE_FILE | TRUNCATE | IOCTL_DEV
_OF_A_FILE = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV

PLACES = (
    (RUN, ("/usr", "/bin", "/sbin", "/lib", "/lib64", "/opt/env")),
    (READ, ("/etc", "/data", "/gate", "/job", "/proc")),
    (READ_DIR, ("/dev", "/")),
    (DEVICE, ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty", "/dev/pts")),
    (CHANGE, ("/home/analyst", "/tmp", "/dev/shm", "/job/sockets", "/job/outbox")),  # noqa: S108 - the jail's own
)
"""What a kernel may do where; a place that its jail does not have needs no rule. `/` itself may only be listed: its
right is given to that folder and, by Landlock's nature, to folders beneath, to none of which it adds reading files."""


def find_abi() -> int:
    """Return the version of Landlock that this host's kernel speaks, 0 when it has none or it is switched off."""
    found = _call(_CREATE, None, ctypes.c_size_t(0), _VERSION)
    if found >= 0:
        return found
    if ctypes.get_errno() in (errno.ENOSYS, errno.EOPNOTSUPP):
        return 0
    raise _failed("ask for its version")


def handled(abi: int) -> tuple[int, int, int]:
    """Return what rules can speak about under `abi`: rights on files, on TCP ports, and scopes."""
    files = (1 << 13) - 1
    for since, right in ((2, REFER), (3, TRUNCATE), (5, IOCTL_DEV)):
        files |= right if abi >= since else 0
    return files, BIND_TCP | CONNECT_TCP if abi >= 4 else 0, ABSTRACT_SOCKETS | SIGNALS if abi >= 6 else 0


def restrict(abi: int, places: Iterable[tuple[int, tuple[str, ...]]] = PLACES) -> None:
    """Hold this process and all that it starts to `places`, to no TCP, and to signals and abstract sockets of its own.

    What `abi` has no rule for stays as the jail leaves it. Raises OSError when the kernel refuses the rules.
    """
    files, ports, scopes = handled(abi)
    attributes = struct.pack("=QQQ", files, ports, scopes)[: 8 if abi < 4 else 16 if abi < 6 else 24]
    rules = _call(_CREATE, attributes, ctypes.c_size_t(len(attributes)), 0)
    if rules < 0:
        raise _failed("make rules")
    try:
        for rights, paths in places:
            for path in paths:
                _allow(rules, path, rights & files)
        if ctypes.CDLL(None, use_errno=True).prctl(_NO_NEW_PRIVS, 1, 0, 0, 0):
            raise _failed("give up new privileges")
        if _call(_RESTRICT, rules, 0):
            raise _failed("hold to its rules")
    finally:
        os.close(rules)


def _allow(rules: int, path: str, rights: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        kept = rights if os.path.isdir(path) else rights & _OF_A_FILE  # noqa: PTH112 - pathlib costs a start 5 ms
        if kept and _call(_ADD, rules, _PATH_BENEATH, struct.pack("=Qi", kept, place), 0):
            raise _failed(f"allow {path}")
    finally:
        os.close(place)


def _call(number: int, *arguments: Any) -> int:
    given = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    return int(ctypes.CDLL(None, use_errno=True).syscall(ctypes.c_long(number), *given))


def _failed(what: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"cannot start the kernel: Landlock could not {what}: {os.strerror(number)}")


def _speak_without_tcp() -> None:
    """Let forked children of the kernel print, and show no debugger: ipykernel does both over TCP on loopback."""
    import zmq
    from zmq.eventloop.zmqstream import ZMQStream

    sys.modules["debugpy"] = None  # type: ignore[assignment]
    from ipykernel.iostream import IOPubThread  # type: ignore[import-not-found]

    def listen(self: Any) -> None:
        self._pipe_uuid = os.urandom(16)
        pulling = self.socket.context.socket(zmq.PULL)
        pulling.linger = 0
        self._pipe_port = f"ipc://@shuzha-{os.urandom(8).hex()}"  # a name is no secret: the pipe's own id is
        pulling.bind(self._pipe_port)
        self._pipe_in = ZMQStream(pulling, self.io_loop)
        self._pipe_in.on_recv(self._handle_pipe_msg)

    def connect(self: Any) -> tuple[Any, Any]:
        context = zmq.Context()
        pushing = context.socket(zmq.PUSH)
        pushing.linger = 3000
        pushing.connect(self._pipe_port)
        return context, pushing

    IOPubThread._setup_pipe_in, IOPubThread._setup_pipe_out = listen, connect  # noqa: SLF001 - it has no setting


def main() -> None:
    """Restrict this process as far as the host can, then be the kernel that the arguments describe."""
    abi = find_abi()
    if abi:
        restrict(abi)
    if abi >= 4:
        _speak_without_tcp()
    _be_the_kernel()


def _be_the_kernel() -> None:
    """Be the kernel, whose output waits for its readers; what lies beside this file is not for a notebook's imports."""
    here = os.path.dirname(__file__)  # noqa: PTH120 - pathlib costs a start 5 ms
    sys.path.append(here)
    import shuzha_output  # type: ignore[import-not-found]

    sys.path.remove(here)
    shuzha_output.be_the_kernel()


if __name__ == "__main__":
    main()
