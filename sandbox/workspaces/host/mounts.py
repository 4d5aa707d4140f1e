"""Two kinds of mounts that root makes for a workspace outside its jails: room in memory, and a view without links.

A *view without links* shows a folder in which no symbolic link leads anywhere: the kernel refuses to follow one, so no
check of ours can be outrun. bubblewrap keeps that flag on what it shows of such a mount as long as it has nothing to
change about it, so a view that a jail shows read-only is made read-only here.
"""

from __future__ import annotations

import ctypes
import logging
import os
from pathlib import Path

log = logging.getLogger(__name__)

_RDONLY, _NOSUID, _NODEV, _NOEXEC, _REMOUNT, _NOSYMFOLLOW, _BIND = 1, 2, 4, 8, 32, 256, 4096
_DETACH, _NOFOLLOW = 2, 8
_LIBC = ctypes.CDLL(None, use_errno=True)


def show_without_links(source: Path, place: Path, *, writable: bool) -> bool:
    """Show the folder `source` at `place` so that no link in it is followed; return whether this host can."""
    number = os.open(source, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if not _mount(f"/proc/self/fd/{number}", place, None, _BIND, None):
            return False
    finally:
        os.close(number)
    flags = _BIND | _REMOUNT | _NOSUID | _NODEV | _NOSYMFOLLOW | (0 if writable else _RDONLY)
    if _mount(None, place, None, flags, None):
        return True
    unmount(place)
    return False


def make_room(place: Path, most_bytes: int, most_files: int, mode: int) -> bool:
    """Put an empty room in memory at `place`, capped, in which no link is followed; return whether this host can."""
    options = f"size={most_bytes},nr_inodes={most_files},mode={mode:o}"
    flags = _NOSUID | _NODEV | _NOEXEC
    return _mount("shuzha", place, "tmpfs", flags | _NOSYMFOLLOW, options) or _mount(
        "shuzha", place, "tmpfs", flags, options
    )


def unmount(place: Path) -> None:
    """Take away whatever is mounted at `place`, also while somebody still uses it; nothing there is fine."""
    while _LIBC.umount2(os.fsencode(place), _DETACH | _NOFOLLOW) == 0:
        continue


def _mount(source: str | None, place: Path, kind: str | None, flags: int, options: str | None) -> bool:
    if os.geteuid() != 0:
        return False
    given = [None if one is None else one.encode() for one in (source, str(place), kind)]
    done = _LIBC.mount(*given, ctypes.c_ulong(flags), None if options is None else options.encode()) == 0
    if not done:
        log.warning("cannot mount at %s: %s", place.name, os.strerror(ctypes.get_errno()))
    return bool(done)
