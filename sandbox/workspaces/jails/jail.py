"""The jail: a bubblewrap container without a network, described by a value and started from it.

`JailSpec` says what is inside; `bwrap_arguments` turns it into options (pure); `start_jail` runs it in its control
group under its own uid. Options travel by a memory file, so no token ever stands in a process list.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sandbox.workspaces.host.limits import Cgroup, CgroupHost, Limits
from sandbox.workspaces.host.private_view import PrivateView, find_closed
from sandbox.workspaces.jails.seccomp import compile_filter

INSIDE_UID = 1000
INSIDE_HOME = "/home/analyst"
INSIDE_ENVIRONMENT = "/opt/env"
INSIDE_DATA = "/data"
INSIDE_SCRATCH = "/tmp"  # noqa: S108 - the jail's own, made new for each
INSIDE_SHARED = "/dev/shm"  # noqa: S108 - likewise

ETC = {
    "/etc/passwd": f"root:x:0:0:root:/:/usr/sbin/nologin\nanalyst:x:{INSIDE_UID}:{INSIDE_UID}::{INSIDE_HOME}:/bin/sh\n",
    "/etc/group": f"root:x:0:\nanalyst:x:{INSIDE_UID}:\n",
    "/etc/hosts": "127.0.0.1 localhost\n::1 localhost\n",
    "/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
}
"""The whole of /etc inside, but for the server's configuration; nothing of the host's /etc is shown."""

_INFO_SECONDS = 10.0
_END_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Mount:
    """One folder or file of the host shown inside; read-only unless it says otherwise."""

    host: Path
    inside: str
    writable: bool = False


@dataclass(frozen=True, slots=True)
class JailSpec:
    """All that a jail is: who runs in it, what it sees, what it may use, what it starts.

    `name` names its control group, `uid` is its own user on the host. `variables` and `files` (path inside: text) may
    hold secrets, `scratch` are folders that are writable, made new in memory and gone with the jail. Jails that share
    a group have its limits together, and each is ended by its first process.
    """

    name: str
    uid: int
    environment: Path
    mounts: tuple[Mount, ...]
    command: tuple[str, ...]
    variables: tuple[tuple[str, str], ...] = ()
    limits: Limits = field(default_factory=Limits)
    directory: str = INSIDE_HOME
    scratch: tuple[str, ...] = ()
    files: tuple[tuple[str, str], ...] = ()
    ends_with_parent: bool = False
    shares_group: bool = False
    umask: int = 0o077

    def __post_init__(self) -> None:
        """Refuse what could widen a jail: root, relative paths, a mount outside the folders meant for mounts."""
        if self.uid < INSIDE_UID:
            raise ValueError(f"cannot jail uid {self.uid}: a jail runs as its own user, {INSIDE_UID} or above")
        for mount in self.mounts:
            if not mount.host.is_absolute() or ".." in Path(mount.inside).parts:
                raise ValueError(f"cannot mount at {mount.inside}: both paths must be absolute and without ..")
            if not mount.inside.startswith((INSIDE_HOME, f"{INSIDE_DATA}/", "/gate/", "/etc/jupyter", "/job/")):
                raise ValueError(f"cannot mount at {mount.inside}: only home, /data, /gate, /job, /etc/jupyter fit")
        for path, _ in self.files:
            if not path.startswith("/job/") or ".." in Path(path).parts:
                raise ValueError(f"cannot put a file at {path}: only /job fits")


def bwrap_arguments(
    spec: JailSpec, files: Mapping[str, int], seccomp: int, info: int, view: PrivateView | None = None
) -> tuple[str, ...]:
    """Return bubblewrap's options for `spec`; `files` (by path inside), `seccomp` and `info` number open files.

    `view` says where the jail's user finds what he could not reach on the host.
    """
    view = view or PrivateView()
    environment = str(view.place_of(spec.environment.resolve()))
    options = [
        "--unshare-user", "--unshare-all", "--disable-userns", "--uid", str(INSIDE_UID), "--gid", str(INSIDE_UID),
        "--new-session", "--cap-drop", "ALL", "--clearenv", "--hostname", "workspace",
        "--ro-bind", "/usr", "/usr", "--symlink", "usr/bin", "/bin", "--symlink", "usr/sbin", "/sbin",
        "--symlink", "usr/lib", "/lib", "--symlink", "usr/lib64", "/lib64",
        "--ro-bind", environment, INSIDE_ENVIRONMENT, "--proc", "/proc", "--dev", "/dev",
        "--size", str(spec.limits.scratch_bytes), "--tmpfs", INSIDE_SCRATCH,
        "--size", str(spec.limits.scratch_bytes), "--tmpfs", INSIDE_SHARED,
    ]  # fmt: skip
    if spec.ends_with_parent:
        options.append("--die-with-parent")
    for path, number in sorted(files.items()):
        options += ["--ro-bind-data", str(number), path]
    for path in spec.scratch:
        options += ["--size", str(spec.limits.scratch_bytes), "--tmpfs", path]
    for mount in spec.mounts:
        options += ["--bind" if mount.writable else "--ro-bind", str(view.place_of(mount.host)), mount.inside]
    options += ["--remount-ro", "/", "--seccomp", str(seccomp), "--info-fd", str(info)]
    for name, value in spec.variables:
        options += ["--setenv", name, value]
    return (*options, "--chdir", spec.directory)


@dataclass(slots=True)
class Jail:
    """A running jail: its outer process, the first process inside as the host sees it, and its group.

    `started` is when the first process inside began: its number alone could be another process's by now.
    """

    outer: int
    inner: int
    group: Cgroup
    process: subprocess.Popen[bytes] | None = None
    started: int = 0
    shares_group: bool = False

    @classmethod
    def find(cls, mark: Path, group: Cgroup, *, shares_group: bool = False) -> Jail | None:
        """Return the jail that left its mark at `mark` and still runs, None when there is none."""
        try:
            inner, started, outer = _read_mark(mark)
        except (OSError, ValueError):
            return None
        return cls(outer, inner, group, None, started, shares_group) if _started(inner) == started else None

    def exit_code(self) -> int | None:
        """Return None while the jail's command lives, else its exit code (0 when it is not known).

        The kernel ends every process of a jail with its first one.
        """
        if self.process is not None:
            return self.process.poll()
        return None if self._is_alive() else 0

    def leave_mark(self, path: Path) -> None:
        """Write at `path` which process is the first inside, for `find` and `end_marked`, whatever the host offers."""
        path.write_text(f"{self.inner} {self.started} {self.outer}\n")

    def stop(self, grace: float = 2.0) -> bool:
        """Ask the jail's command to end, then end everything; return whether nothing is left.

        Jails that share the group are left alone.
        """
        if grace > 0 and not self.group.is_frozen():
            self._ask_to_end(grace)
        gone = self.group.kill() if self.group.paths and not self.shares_group else self._end_first()
        if self.process is not None:
            self.process.wait(timeout=5)
        if not self.shares_group:
            self.group.remove()
        return gone

    def _is_alive(self) -> bool:
        return self.started > 0 and _started(self.inner) == self.started

    def _end_first(self) -> bool:
        """End the first process inside, and with it all others; the outer one ends when it sees that."""
        deadline = time.monotonic() + _END_SECONDS
        if self._is_alive():
            _kill(self.inner)
        while self.exit_code() is None:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.005)
        return True

    def _ask_to_end(self, grace: float) -> None:
        if not self._is_alive():
            return
        # bubblewrap forwards no signal, so the command itself (the child of the first process inside) is told.
        children = Path(f"/proc/{self.inner}/task/{self.inner}/children")
        try:
            asked = [int(child) for child in children.read_text().split()]
        except OSError:
            return
        for child in asked:
            _kill(child, signal.SIGTERM)
        deadline = time.monotonic() + grace
        while self.exit_code() is None and time.monotonic() < deadline:
            time.sleep(0.02)


def end_marked(path: Path) -> bool:
    """End the jail that left its mark at `path`, and return whether one still ran.

    The kernel ends every process of a jail with its first one. A number that another process has by now is left alone.
    """
    try:
        inner, started, _ = _read_mark(path)
    except (OSError, ValueError):
        return False
    if _started(inner) != started:
        return False
    _kill(inner)
    return True


def start_jail(
    spec: JailSpec, host: CgroupHost, *, pass_fds: tuple[int, ...] = (), output: int = subprocess.DEVNULL
) -> Jail:
    """Start `spec` and return it running. Raises `JailFailed` with bubblewrap's reason when it cannot be built."""
    check_mounts(spec)
    view = find_closed(spec.uid, (*(mount.host for mount in spec.mounts), spec.environment.resolve()))
    group = host.group(spec.name)
    group.create(spec.limits)
    read_info, write_info = os.pipe()
    files = {path: _memory_file(path, text.encode()) for path, text in (*ETC.items(), *spec.files)}
    filter_ = _memory_file("seccomp", compile_filter())
    arguments = "\0".join(bwrap_arguments(spec, files, filter_, write_info, view)) + "\0"
    given = _memory_file("arguments", arguments.encode())
    ours = (*files.values(), filter_, given, write_info)
    try:
        view.make_ready()
        process = subprocess.Popen(
            ["bwrap", "--args", str(given), "--", *spec.command],
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, env={}, cwd="/", start_new_session=True,
            pass_fds=(*ours, *pass_fds), preexec_fn=_become(spec, group, view),  # noqa: PLW1509 - only system calls in it
        )  # fmt: skip
    except OSError as error:
        _give_up(spec, group)
        raise JailFailed(f"cannot start the jail {spec.name}: {error.strerror or error}") from error
    except subprocess.SubprocessError as error:
        _give_up(spec, group)
        closed = ", ".join(str(source) for source in view.sources)
        why = f"no view of {closed} can be made for it" if closed else "it could not take on its group or its user"
        raise JailFailed(f"cannot start the jail {spec.name}: {why}") from error
    finally:
        for number in ours:
            os.close(number)
    inner = _read_info(read_info)
    if inner is None:
        code = process.wait(timeout=_INFO_SECONDS)
        _give_up(spec, group)
        raise JailFailed(f"cannot start the jail {spec.name}: bubblewrap ended with {code}; `shuzha doctor` says why")
    return Jail(process.pid, inner, group, process, _started(inner), spec.shares_group)


def _give_up(spec: JailSpec, group: Cgroup) -> None:
    """Leave nothing of a jail that could not be built; what others run in its group goes on."""
    if not spec.shares_group:
        group.kill()
        group.remove()


class JailFailed(RuntimeError):
    """A jail could not be built; the message says which and why, and never holds an option's value."""


def check_mounts(spec: JailSpec) -> None:
    """Refuse, before anything starts, a mount that is absent."""
    for mount in (*spec.mounts, Mount(spec.environment, INSIDE_ENVIRONMENT)):
        if not mount.host.exists():
            raise JailFailed(f"cannot start the jail {spec.name}: what belongs at {mount.inside} is not there")


def check_host(uid: int = 65534) -> tuple[str, ...]:
    """Return, in sentences, what keeps this host from running jails; empty when a trial jail runs."""
    if not Path("/usr/bin/bwrap").exists():
        return ("bubblewrap is not installed: install the package `bubblewrap`",)
    try:
        spec = JailSpec("doctor", _own_uid(uid), Path("/usr"), (), ("/usr/bin/true",), directory="/")
        jail = start_jail(spec, CgroupHost.detect())
    except JailFailed as error:
        hint = "kernel.apparmor_restrict_unprivileged_userns=1 (Ubuntu) or a container's seccomp may forbid it"
        return (f"bubblewrap cannot build a jail here: {error}; {hint}",)
    assert jail.process is not None
    code = jail.process.wait(timeout=10)
    jail.stop(grace=0)
    return () if code == 0 else (f"a trial jail ended with {code}",)


def _own_uid(uid: int) -> int:
    return uid if os.geteuid() == 0 else os.geteuid()


def _become(spec: JailSpec, group: Cgroup, view: PrivateView) -> Callable[[], None]:
    """Return what the child does between fork and exec: join the group and enter the view, then give up root."""
    root = os.geteuid() == 0

    def become() -> None:
        group.join()
        view.enter()
        spec.limits.apply_to_process()
        os.umask(spec.umask)
        if root:
            os.setgroups([])
            os.setgid(spec.uid)
            os.setuid(spec.uid)

    return become


def _read_info(number: int) -> int | None:
    """Return the host's id of the first process inside, or None when bubblewrap ended without saying it.

    bubblewrap writes in pieces: read until the closing brace, not once.
    """
    said = b""
    deadline = time.monotonic() + _INFO_SECONDS
    with os.fdopen(number, "rb", buffering=0) as file:
        while b"}" not in said and time.monotonic() < deadline:
            piece = file.read(512)
            if not piece:
                return None
            said += piece
    return int(json.loads(said)["child-pid"])


def _read_mark(path: Path) -> tuple[int, int, int]:
    """Return what a mark says; raise OSError or ValueError for one that this user has not left himself.

    A process is ended by what a mark says: somebody else's could name anybody's.
    """
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)) as file:
        if os.fstat(file.fileno()).st_uid != os.geteuid():
            raise PermissionError(f"the mark {path.name} is another user's")
        inner, started, outer = (int(part) for part in file.read(100).split())
        return inner, started, outer


def _started(pid: int) -> int:
    """Return when a process began, in ticks since the host did; 0 when there is none, or when it has ended."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (OSError, ValueError):
        return 0
    return 0 if state in {"Z", "X"} else int(fields[18])


def _memory_file(name: str, content: bytes) -> int:
    number = os.memfd_create(Path(name).name)
    os.write(number, content)
    os.lseek(number, 0, os.SEEK_SET)
    return number


def _kill(pid: int, number: signal.Signals = signal.SIGKILL) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
