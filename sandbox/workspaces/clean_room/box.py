"""The room of one run: a box of folders, capped in memory where root can make it, and a kernel's jail over it.

Whoever opens a room drives its kernel over the sockets in the box, ends it, and reads the outbox; nothing of it is left
when it is closed. `LocalRooms` makes rooms in this process; `room_client.JailerRooms` has the jailer make them.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import stat
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from sandbox.workspaces.clean_room.outbox import OutboxCaps
from sandbox.workspaces.host.homes import take_away
from sandbox.workspaces.host.limits import CgroupHost, Limits
from sandbox.workspaces.host.mounts import make_room, unmount
from sandbox.workspaces.jails.jail import (
    INSIDE_DATA,
    INSIDE_ENVIRONMENT,
    INSIDE_HOME,
    INSIDE_SCRATCH,
    Jail,
    JailFailed,
    JailSpec,
    Mount,
    start_jail,
)
from sandbox.workspaces.jails.landlock import LAUNCHER_MOUNTS, kernel_command
from sandbox.workspaces.records.specs import GrantedRelease

INSIDE_OUTBOX = "/job/outbox"
INSIDE_SOCKETS = "/job/sockets"
INSIDE_CONNECTION = "/job/connection/kernel.json"
KERNEL_COMMAND = kernel_command(INSIDE_CONNECTION)
SOCKET_NAME = "k"
PORTS = {"shell_port": 1, "iopub_port": 2, "stdin_port": 3, "control_port": 4, "hb_port": 5}
"""The sockets of a room's kernel: `k-1` to `k-5` in a folder of its own."""

FIRST_ROOM_UID = 260_000
ROOM_UIDS = 9_999
ROOM_PREFIX = "room-"
_MOST_FILES = 4096
_DEEPEST = 8
_BESIDE_THE_OUTBOX = 1024**2
_ROOM_UMASK = 0o007


@dataclass(frozen=True, slots=True)
class RoomJob:
    """What one run has: its name, the releases by record, the limits of its jail, the most that its outbox holds."""

    name: str
    releases: tuple[GrantedRelease, ...]
    limits: Limits = field(default_factory=Limits)
    outbox_bytes: int = OutboxCaps().total_bytes


class Room(Protocol):
    """An opened room, from the side of who drives it. Every verb bears a repeat, from any thread."""

    @property
    def box(self) -> Path:
        """The folder that holds `sockets` and `outbox`, once the room has started."""
        ...

    def start(self, key: bytes) -> None:
        """Start the kernel, which speaks to the holder of `key`; raises JailFailed with the reason."""
        ...

    def exit_code(self) -> int | None:
        """Return None while the kernel's jail lives, else its exit code (0 when it is not known)."""
        ...

    def kill(self) -> None:
        """End everything in the room; its outbox can be read afterwards. Raises JailFailed where that is not sure."""
        ...


class Rooms(Protocol):
    """Where rooms are opened."""

    def open(self, job: RoomJob) -> contextlib.AbstractContextManager[Room]:
        """Give the room of `job`; nothing of it is left after the block."""
        ...


def new_job(releases: Sequence[GrantedRelease], limits: Limits, outbox_bytes: int) -> RoomJob:
    """Return a job with a name of its own."""
    return RoomJob(f"{ROOM_PREFIX}{secrets.token_hex(5)}", tuple(releases), limits, outbox_bytes)


def build_room(
    group: str, uid: int, job: RoomJob, environment: Path, box: Path, key: bytes, umask: int = _ROOM_UMASK
) -> JailSpec:
    """Return the jail of a clean room: the releases, an outbox, the kernel's sockets, a home in memory."""
    mounts = [Mount(release.path, f"{INSIDE_DATA}/{release.name}") for release in job.releases]
    mounts += [
        Mount(box / "outbox", INSIDE_OUTBOX, writable=True),
        Mount(box / "sockets", INSIDE_SOCKETS, writable=True),
        *LAUNCHER_MOUNTS,
    ]
    variables = {
        "HOME": INSIDE_HOME, "USER": "analyst", "LANG": "C.UTF-8", "TZ": "UTC", "PYTHONHASHSEED": "0",
        "PATH": f"{INSIDE_ENVIRONMENT}/bin:/usr/bin:/bin", "IPYTHONDIR": f"{INSIDE_SCRATCH}/ipython",
        "POLARS_MAX_THREADS": str(max(1, job.limits.cpu_percent // 100)), "PYTHONDONTWRITEBYTECODE": "1",
        "SHUZHA_DATA": INSIDE_DATA, "SHUZHA_OUTBOX": INSIDE_OUTBOX,
    }  # fmt: skip
    said = {
        "transport": "ipc", "ip": f"{INSIDE_SOCKETS}/{SOCKET_NAME}", "signature_scheme": "hmac-sha256",
        "kernel_name": "python3", "key": key.decode("ascii"), **PORTS,
    }  # fmt: skip
    return JailSpec(
        group, uid, environment, tuple(mounts), KERNEL_COMMAND, tuple(sorted(variables.items())), job.limits,
        scratch=(INSIDE_HOME,), files=((INSIDE_CONNECTION, json.dumps(said)),), ends_with_parent=True, umask=umask,
    )  # fmt: skip


class RoomUsers:
    """The users of the rooms that are open now; no two rooms have one."""

    def __init__(self) -> None:
        self._taken: set[int] = set()
        self._turn = threading.Lock()

    @contextlib.contextmanager
    def lend(self) -> Iterator[int]:
        """Give a user that no other room has; who is not root has but himself."""
        if os.geteuid() != 0:
            yield os.geteuid()
            return
        with self._turn:
            free = (FIRST_ROOM_UID + secrets.randbelow(ROOM_UIDS) for _ in range(10 * ROOM_UIDS))
            uid = next(one for one in free if one not in self._taken)
            self._taken.add(uid)
        try:
            yield uid
        finally:
            with self._turn:
                self._taken.discard(uid)


@dataclass(slots=True)
class LocalRoom:
    """A room of this process. `reader` is the user that drives it and reads its outbox; None: this process's own."""

    job: RoomJob
    box: Path
    uid: int
    group: str
    environment: Path
    host: CgroupHost
    reader: int | None = None
    _jail: Jail | None = None
    _turn: threading.Lock = field(default_factory=threading.Lock)

    def start(self, key: bytes) -> None:
        """Start the kernel, which speaks to the holder of `key`; raises JailFailed with the reason."""
        spec = build_room(self.group, self.uid, self.job, self.environment, self.box, key)
        with self._turn:
            self._jail = start_jail(spec, self.host)

    def exit_code(self) -> int | None:
        """Return None while the kernel's jail lives, else its exit code."""
        return 0 if self._jail is None else self._jail.exit_code()

    def kill(self) -> None:
        """End everything in the room, and give the outbox to its reader."""
        with self._turn:
            if self._jail is not None:
                self._jail.stop(grace=0.0)
                self._jail = None
        if self.reader is not None:
            give_outbox(self.box / "outbox", self.reader)


class LocalRooms:
    """Rooms in this process, with their boxes in `work`, which must be a short path: sockets lie in it.

    Their groups are named after `installation`. `reader` is the one other user who may drive them.
    """

    def __init__(
        self, environment: Path, work: Path, host: CgroupHost | None = None, *, installation: str = "",
        reader: int | None = None,
    ) -> None:  # fmt: skip
        self._environment = environment
        self._work = work
        self._host = host or CgroupHost.detect()
        self._installation = f"{installation}-" if installation else ""
        self._reader = reader
        self._users = RoomUsers()

    @contextlib.contextmanager
    def open(self, job: RoomJob) -> Iterator[LocalRoom]:
        """Give the room of `job`; nothing of it is left after the block."""
        group = f"{ROOM_PREFIX}{self._installation}{job.name.removeprefix(ROOM_PREFIX)}"
        with self._users.lend() as uid, self._box(job, uid) as box:
            room = LocalRoom(job, box, uid, group, self._environment, self._host, self._reader)
            try:
                yield room
            finally:
                room.kill()

    def sweep(self) -> None:
        """End and take away what a killed process of the same installation left of its rooms."""
        for name in self._host.list_groups():
            if self._installation and name.startswith(f"{ROOM_PREFIX}{self._installation}"):
                self._host.group(name).kill()
                self._host.group(name).remove()
        for box in sorted(self._work.glob(f"{ROOM_PREFIX}*")):
            _take_away(box)

    @contextlib.contextmanager
    def _box(self, job: RoomJob, uid: int) -> Iterator[Path]:
        box = self._work / job.name
        self._work.mkdir(parents=True, exist_ok=True, mode=0o711)
        if self._work.stat(follow_symlinks=False).st_uid != os.geteuid():
            raise JailFailed(f"cannot open {job.name}: another user has made the folder of rooms")
        self._work.chmod(0o711)
        box.mkdir()
        box.chmod(0o711)
        try:
            make_room(box, job.outbox_bytes + _BESIDE_THE_OUTBOX, _MOST_FILES, 0o711)
            for name in ("outbox", "sockets"):
                (box / name).mkdir(mode=0o700)
            if os.geteuid() == 0:
                os.chown(box / "outbox", uid, uid)
                # What the kernel makes there belongs to the reader's group, and he may connect.
                os.chown(box / "sockets", uid, self._reader or 0)
                (box / "sockets").chmod(0o2770)
            yield box
        finally:
            _take_away(box)


def give_outbox(outbox: Path, reader: int) -> None:
    """Give plain files and folders of an outbox to `reader`, who may read them whatever mode the notebook gave them.

    Nothing runs in the room any more. No link is followed, and what has a second name or lies deep is left as it is.
    """
    with contextlib.suppress(FileNotFoundError):
        number = os.open(outbox, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            _give(number, reader, _DEEPEST)
        finally:
            os.close(number)


def _give(folder: int, reader: int, deepest: int) -> None:
    for name in os.listdir(folder) if deepest else ():
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        plain = stat.S_ISREG(status.st_mode) and status.st_nlink == 1
        if not plain and not stat.S_ISDIR(status.st_mode):
            continue
        number = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
        try:
            if plain:
                os.fchown(number, reader, reader)
                os.fchmod(number, 0o400)
            else:
                _give(number, reader, deepest - 1)
        finally:
            os.close(number)
    os.fchown(folder, reader, reader)
    os.fchmod(folder, 0o700)


def _take_away(box: Path) -> None:
    unmount(box)
    with contextlib.suppress(OSError):
        take_away(box)
