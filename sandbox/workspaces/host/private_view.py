"""What a jail is shown of closed folders: root binds it to a place of the jail's own, then takes on the jail's user.

A release lies behind folders that only the service user enters. bubblewrap, which runs as the jail's user, could not
reach it there. So the child that becomes the jail leaves the host's mount namespace first and binds each such source
below `VIEW`, in memory. Nobody else ever sees these mounts, and they end with the jail: there is nothing to clear away.

A namespace of mounts begins as a copy of the host's, and where the host shares none of its mounts (no systemd), what is
unmounted there stays in the copy: a neighbour's disk would be held for as long as the jail runs. So the child lets go
of the disks and rooms of others first.
"""

from __future__ import annotations

import ctypes
import os
import re
import stat
import struct
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

VIEW = Path("/run/shuzha-view")
"""An empty folder of root's; what is bound below it exists in the namespaces of jails only."""

_NEW_NAMESPACE = 0x00020000
_NOSUID, _NODEV, _NOEXEC, _BIND, _RECURSIVE, _SLAVE = 2, 4, 8, 4096, 16384, 1 << 19
_OPENAT2, _HERE, _NO_SYMLINKS, _NO_MAGIC_LINKS = 437, -100, 0x04, 0x02
_SYSTEM = Path("/usr")
_LAZILY, _NOT_BY_LINK = 2, 8
_LIBC = ctypes.CDLL(None, use_errno=True)
_ESCAPED = re.compile(r"\\([0-7]{3})")
"""A letter of a path as /proc/self/mountinfo writes it where it would end the field."""


@dataclass(frozen=True, slots=True)
class PrivateView:
    """The sources on the host that a jail's user cannot reach by himself, in order, and all that the jail is shown."""

    sources: tuple[Path, ...] = ()
    shown: tuple[Path, ...] = ()

    def place_of(self, source: Path) -> Path:
        """Return where the jail finds `source`: at its place in the view, or where it lies on the host."""
        return VIEW / str(self.sources.index(source)) if source in self.sources else source

    def make_ready(self) -> None:
        """Make the empty folder over which views are put, while there is still one file system for all."""
        if not self.sources:
            return
        VIEW.mkdir(mode=0o711, exist_ok=True)
        status = VIEW.stat(follow_symlinks=False)
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != 0:
            raise OSError(f"{VIEW} is not root's folder")

    def enter(self) -> None:
        """Leave the host's mounts and bind the sources: for the child, before it gives up root. Raises OSError."""
        if not self.sources:
            return
        _check(_LIBC.unshare(_NEW_NAMESPACE), "unshare")
        # What the host unmounts goes here too; what is mounted here goes nowhere.
        _mount(None, "/", None, _RECURSIVE | _SLAVE)
        _let_go(self.shown)
        opened = [_open_place(source) for source in self.sources]
        _mount("shuzha", str(VIEW), "tmpfs", _NOSUID | _NODEV | _NOEXEC, "mode=0711,size=65536,nr_inodes=256")
        for number, descriptor in enumerate(opened):
            place = VIEW / str(number)
            if stat.S_ISDIR(os.fstat(descriptor).st_mode):
                place.mkdir()
            else:
                place.touch()
            _mount(f"/proc/self/fd/{descriptor}", str(place), None, _BIND | _RECURSIVE)
            os.close(descriptor)


def find_closed(uid: int, sources: Iterable[Path]) -> PrivateView:
    """Return the view of those `sources` that the user `uid` cannot reach; of none where the caller is not root."""
    if os.geteuid() != 0:
        return PrivateView()
    shown = tuple(dict.fromkeys(sources))
    return PrivateView(tuple(source for source in shown if not _can_pass(uid, source)), shown)


def can_be_made() -> bool:
    """Return whether this process may give jails views of their own: as root, where the host lets it mount."""
    if os.geteuid() != 0:
        return False
    try:
        return subprocess.run(["unshare", "-m", "true"], capture_output=True, timeout=10, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _can_pass(uid: int, source: Path) -> bool:
    for folder in source.parents:
        status = folder.stat()
        if not status.st_mode & 0o001 and (status.st_uid != uid or not status.st_mode & 0o100):
            return False
    return True


def _let_go(shown: Iterable[Path]) -> None:
    """Take disks and rooms of other workspaces out of this namespace: mounts that `shown` neither lies on nor holds."""
    kept = (*shown, _SYSTEM)
    for line in reversed(Path("/proc/self/mountinfo").read_text().splitlines()):
        mounted, _, kind = line.partition(" - ")
        place = Path(_ESCAPED.sub(lambda code: chr(int(code[1], 8)), mounted.split()[4]))
        is_ours = kind.split()[1].startswith(("/dev/loop", "shuzha"))
        if is_ours and not any(one.is_relative_to(place) or place.is_relative_to(one) for one in kept):
            _LIBC.umount2(os.fsencode(place), _LAZILY | _NOT_BY_LINK)


def _open_place(source: Path) -> int:
    """Return a descriptor of `source`; no link on its way is followed, so nobody leads root elsewhere meanwhile."""
    how = struct.pack("=QQQ", os.O_PATH | os.O_CLOEXEC, 0, _NO_SYMLINKS | _NO_MAGIC_LINKS)
    number = _LIBC.syscall(_OPENAT2, _HERE, os.fsencode(source), how, ctypes.c_size_t(len(how)))
    _check(-1 if number < 0 else 0, "openat2")
    return int(number)


def _mount(source: str | None, place: str, kind: str | None, flags: int, options: str | None = None) -> None:
    given = [None if one is None else one.encode() for one in (source, place, kind)]
    _check(_LIBC.mount(*given, ctypes.c_ulong(flags), None if options is None else options.encode()), "mount")


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
