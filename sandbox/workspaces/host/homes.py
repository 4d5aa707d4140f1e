"""A workspace's home: made for its own user, with the starter notebooks in it; read by the platform without trust."""

from __future__ import annotations

import os
import stat
from pathlib import Path

NOTEBOOKS = "notebooks"
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class UnsafePath(ValueError):
    """A name in a jail's folder leads elsewhere or is not what was expected; the message says why, and no name."""


def prepare_home(home: Path, uid: int, starter: Path | None = None) -> None:
    """Make `home` for the user `uid`, closed to others, with the starter notebooks; what is there already is kept."""
    home.parent.mkdir(parents=True, exist_ok=True)
    home.parent.chmod(0o711)
    folder = home / NOTEBOOKS
    if folder.is_dir():
        return
    home.mkdir(exist_ok=True)
    folder.mkdir()
    for notebook in sorted(starter.glob("*.ipynb")) if starter is not None else ():
        copy = folder / notebook.name
        copy.write_bytes(notebook.read_bytes())
        copy.chmod(0o600)
    for path in (*folder.iterdir(), folder, home):
        if os.geteuid() == 0:
            os.lchown(path, uid, uid)
        if path.is_dir():
            path.chmod(0o700)


def take_away(folder: Path) -> None:
    """Remove a folder in which nobody works any more, however deep it is and whatever modes it has; absent is fine.

    One folder is open at a time, and none is named by a path: a tree deeper than a program's stack, or than a path may
    be long, goes like any other. No link is followed. Raises OSError.
    """
    if not folder.is_dir() or folder.is_symlink():
        return
    folder.chmod(0o700)
    number = os.open(folder, _FOLDER)
    try:
        waiting = [_empty(number)]  # the folders still there, on each level down to the one that is open
        while waiting[-1] or len(waiting) > 1:
            down = waiting[-1][-1] if waiting[-1] else ""
            if down:
                os.chmod(down, 0o700, dir_fd=number)
            another = os.open(down or "..", _FOLDER, dir_fd=number)
            os.close(number)
            number = another
            if down:
                waiting.append(_empty(number))
            else:
                waiting.pop()
                os.rmdir(waiting[-1].pop(), dir_fd=number)
    finally:
        os.close(number)
    folder.rmdir()


def _empty(number: int) -> list[str]:
    """Remove the files of an open folder, and return the names of its folders."""
    folders = []
    for name in os.listdir(number):
        if stat.S_ISDIR(os.stat(name, dir_fd=number, follow_symlinks=False).st_mode):
            folders.append(name)
        else:
            os.unlink(name, dir_fd=number)
    return folders


def read_beneath(folder: Path, name: str, most: int) -> bytes:
    """Return the bytes of the plain file `name` under `folder`, a folder that somebody else may be changing.

    No link is followed, at any step, nor `folder` itself where it is one: it must be a folder that only the platform
    can replace. A name that leaves the folder, a file that is no plain file or is larger than `most` bytes is refused
    with `UnsafePath`.
    """
    number = open_beneath(folder, name)
    try:
        return _read_plain(number, most)
    finally:
        os.close(number)


def open_beneath(folder: Path, name: str) -> int:
    """Return the open descriptor of the plain file `name` under `folder`; refuses what `read_beneath` refuses."""
    parts = Path(name).parts
    if not parts or Path(name).is_absolute() or ".." in parts:
        raise UnsafePath("only names inside the folder are accepted")
    number = os.open(folder, _FOLDER)
    try:
        for place, part in enumerate(parts):
            last = place == len(parts) - 1
            kind = os.O_NONBLOCK if last else os.O_DIRECTORY
            try:
                deeper = os.open(part, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | kind, dir_fd=number)
            except OSError as error:
                raise UnsafePath(f"it is absent or a link ({error.strerror})") from error
            os.close(number)
            number = deeper
        _check_plain(number)
    except BaseException:
        os.close(number)
        raise
    return number


def _check_plain(number: int) -> None:
    status = os.fstat(number)
    if not stat.S_ISREG(status.st_mode):
        raise UnsafePath("it is not a plain file")
    if status.st_nlink > 1:
        raise UnsafePath("it has a second name (a hard link)")


def _read_plain(number: int, most: int) -> bytes:
    content = bytearray()
    while piece := os.read(number, min(1024 * 1024, most + 1 - len(content))):
        content += piece
        if len(content) > most:
            raise UnsafePath(f"it is larger than {most} bytes")
    return bytes(content)
