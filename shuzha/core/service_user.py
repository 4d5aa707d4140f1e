"""The user that the platform's services run as where it was started as root, and how a process becomes that user.

Root starts, watches and ends processes, and runs the jails; whatever reads data or answers people is this user. A short
step of root's own among the user's files is taken *as* the user, so that a link that lies there leads root nowhere.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import pwd
import signal
import stat
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from shuzha.core.errors import Invalid, Unavailable

ACCOUNT = "shuzha"
"""The account that is looked for where the setting names none."""
UNNAMED = 61_000
"""The user where the host has no such account: above what distributions give to accounts, below the jails' users."""

MOST_ENTRIES = 2_000_000
_DEEPEST = 40
_SET_PDEATHSIG, _SET_NO_NEW_PRIVS = 1, 38
_SETGROUPS = {"x86_64": 116, "aarch64": 159}
_LIBC = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class ServiceUser:
    """A user of the host by number; `name` is its account, empty where no account has the number."""

    uid: int
    gid: int
    name: str = ""

    def describe(self) -> str:
        """Return the user as a person reads it: `shuzha (997)`, or the number alone."""
        return f"{self.name} ({self.uid})" if self.name else str(self.uid)


def choose_user(wanted: str, data: Path) -> ServiceUser | None:
    """Return the user that services run as: the one `wanted`, by name or number, or else the one that fits `data`.

    That is the owner of the data folder (or of its keys) unless it is root, else the account `shuzha`, else 61000.
    None where services stay who they are: the caller is not root, or root itself is wanted. Refuses an account that
    does not exist.
    """
    if os.geteuid() != 0:
        return None
    if wanted:
        found = _named(wanted)
        return found if found.uid else None
    for place in (data, data / "keys"):
        with contextlib.suppress(OSError):
            owner = place.stat(follow_symlinks=False).st_uid
            if owner:
                return _numbered(owner)
    with contextlib.suppress(KeyError):
        return _of(pwd.getpwnam(ACCOUNT))
    return _numbered(UNNAMED)


def become(user: ServiceUser) -> None:
    """Make this process `user` for good: no root, no other group, and no way to gain anything by starting a program."""
    os.setgroups([])
    os.setresgid(user.gid, user.gid, user.gid)
    os.setresuid(user.uid, user.uid, user.uid)
    _call("prctl", _SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    os.umask(0o077)


def starting_as(user: ServiceUser | None, umask: int | None = None) -> Callable[[], None]:
    """Return what a child does between fork and exec: become `user`, and end when its parent does.

    Only system calls are in it. The order matters: a change of user forgets what was asked for the parent's death.
    """

    def start() -> None:
        if user is not None:
            become(user)
        elif umask is not None:
            os.umask(umask)
        _LIBC.prctl(_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)

    return start


@contextlib.contextmanager
def acting_as(user: ServiceUser | None, *files: Path) -> Iterator[None]:
    """Have this thread reach files as `user` while the block lasts, and as nobody more; None changes nothing.

    Only the thread's own file access changes (setfsuid(2)): other threads, and what they may do, are left alone. One of
    `files` that he cannot read is refused before the block.
    """
    if user is None:
        yield
        return
    before, groups = (os.geteuid(), os.getegid()), os.getgroups()
    _leave_groups([])
    _reach_as(user.uid, user.gid)
    try:
        for file in files:
            _check_readable(file, user)
        yield
    finally:
        _reach_as(*before)
        _leave_groups(groups)


def _check_readable(file: Path, user: ServiceUser) -> None:
    try:
        os.close(os.open(file, os.O_RDONLY | os.O_CLOEXEC))
    except PermissionError:
        raise Invalid(
            f"the service user {user.describe()} cannot read {file}", rule="settings.service_user",
            accepted="a place that he can read: folders on the way with mode o+x, none of them in a closed home",
        ) from None  # fmt: skip
    except FileNotFoundError:
        return  # Whoever reads it says so better.


def _reach_as(uid: int, gid: int) -> None:
    _LIBC.setfsgid(ctypes.c_uint(gid))
    _LIBC.setfsuid(ctypes.c_uint(uid))
    # Both return the number before, and say nothing of a failure: asking again tells.
    if _LIBC.setfsuid(ctypes.c_uint(0xFFFFFFFF)) != uid or _LIBC.setfsgid(ctypes.c_uint(0xFFFFFFFF)) != gid:
        raise Unavailable(f"cannot reach files as the user {uid}", rule="service_user")


def give_like_folder(path: Path) -> None:
    """Give a file that root has just made to the owner of its folder, so that the services can use it; else nothing."""
    if os.geteuid() != 0:
        return
    status = path.parent.stat(follow_symlinks=False)
    if status.st_uid:
        os.chown(path, status.st_uid, status.st_gid, follow_symlinks=False)


def hand_over(folder: Path, user: ServiceUser, kept: Collection[str] = (), *, itself: bool = True) -> int:
    """Give all that lies in `folder`, and `itself`, to `user`, and return how much was not his yet.

    `kept` are names right below `folder` that stay whose they are. No link is followed, and a file with a second name
    is left alone: that name may lie anywhere. Refuses a folder too deep or too large for the start of a platform.
    """
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        walk = _HandOver(user)
        return walk.give_content(number, frozenset(kept)) + (walk.own(number) if itself else 0)
    finally:
        os.close(number)


class _HandOver:
    """One walk by open folders: whoever renames meanwhile leads it nowhere."""

    def __init__(self, user: ServiceUser) -> None:
        self._user = user
        self._left = MOST_ENTRIES

    def give_content(self, folder: int, kept: frozenset[str] = frozenset(), depth: int = 0) -> int:
        if depth > _DEEPEST:
            raise self._too_much("nested too deep")
        with os.scandir(folder) as entries:
            found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
        return sum(self._give(folder, name, is_folder, depth) for name, is_folder in found if name not in kept)

    def _give(self, folder: int, name: str, is_folder: bool, depth: int) -> int:
        self._left -= 1
        if self._left < 0:
            raise self._too_much("too large")
        kind = os.O_DIRECTORY if is_folder else os.O_NONBLOCK
        try:
            status = os.stat(name, dir_fd=folder, follow_symlinks=False)
            if not is_folder and (self._has(status) or not stat.S_ISREG(status.st_mode)):
                return self._own_place(folder, name, status)
            number = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | kind, dir_fd=folder)
        except (FileNotFoundError, NotADirectoryError):
            return 0
        try:
            given = self.give_content(number, depth=depth + 1) if is_folder else 0
            return given + self.own(number)
        finally:
            os.close(number)

    def _own_place(self, folder: int, name: str, status: os.stat_result) -> int:
        """Give away what is no file and no folder (a link itself, a socket); it holds nothing that could be read."""
        if self._has(status):
            return 0
        os.chown(name, self._user.uid, self._user.gid, dir_fd=folder, follow_symlinks=False)
        return 1

    def own(self, number: int) -> int:
        status = os.fstat(number)
        second_name = stat.S_ISREG(status.st_mode) and status.st_nlink > 1
        if self._has(status) or second_name:
            return 0
        os.fchown(number, self._user.uid, self._user.gid)
        return 1

    def _has(self, status: os.stat_result) -> bool:
        return (status.st_uid, status.st_gid) == (self._user.uid, self._user.gid)

    def _too_much(self, what: str) -> Unavailable:
        command = f"chown -R --no-dereference {self._user.uid}:{self._user.gid} on its folders but homes, once"
        return Unavailable(f"the data folder is {what} to be handed over", rule="service_user", accepted=command)


def _leave_groups(groups: list[int]) -> None:
    """Have this thread alone be in `groups` and no other; os.setgroups would change every thread's."""
    number = _SETGROUPS.get(platform.machine())
    if number is None:  # A machine whose numbers are not known: root's own groups stay, which read no secret of root's.
        return
    given = (ctypes.c_uint * len(groups))(*groups)
    if _LIBC.syscall(number, ctypes.c_size_t(len(groups)), given) != 0:
        raise Unavailable("cannot leave root's groups", rule="service_user")


def _named(wanted: str) -> ServiceUser:
    if wanted.isdigit():
        return _numbered(int(wanted))
    try:
        return _of(pwd.getpwnam(wanted))
    except KeyError:
        raise Invalid(
            f"no account of this host is named {wanted!r}", rule="settings.service_user",
            accepted=f"adduser --system --group --no-create-home {wanted}, or a number",
        ) from None  # fmt: skip


def _numbered(uid: int) -> ServiceUser:
    try:
        return _of(pwd.getpwuid(uid))
    except KeyError:
        return ServiceUser(uid, uid)


def _of(account: pwd.struct_passwd) -> ServiceUser:
    return ServiceUser(account.pw_uid, account.pw_gid, account.pw_name)


def _call(name: str, *arguments: int) -> None:
    if getattr(_LIBC, name)(*arguments) != 0:
        raise OSError(ctypes.get_errno(), f"{name} was refused")
