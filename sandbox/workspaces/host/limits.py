"""What a jail may use of the host, held by control groups of version 1 or 2, whichever the host has.

A *group* is one name over all hierarchies (memory, pids, cpu, freezer, or the single one of version 2).
What the host cannot hold is never silent: `CgroupHost.cannot` says it in sentences.
"""

from __future__ import annotations

import os
import resource
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

CONTROLLERS = ("memory", "pids", "cpu", "cpuacct", "freezer")
"""The version 1 hierarchies a group is made in, where they are mounted."""

_PERIOD_US = 100_000
_POLL_SECONDS = 0.01
_BOOT = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that one jail may use: memory, processes, processor, open files, size of one file, scratch space.

    The home of a workspace, which its jails share, holds at most `home_bytes` in `home_files` files and folders.
    """

    memory_bytes: int = 2 * 1024**3
    processes: int = 256
    cpu_percent: int = 200
    open_files: int = 4096
    file_bytes: int = 4 * 1024**3
    scratch_bytes: int = 256 * 1024**2
    home_bytes: int = 4 * 1024**3
    home_files: int = 200_000

    def apply_to_process(self) -> None:
        """Set the limits that belong to a process itself (open files, file size, no core dumps)."""
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_NOFILE, (self.open_files, self.open_files))
        resource.setrlimit(resource.RLIMIT_FSIZE, (self.file_bytes, self.file_bytes))


@dataclass(frozen=True, slots=True)
class Consumption:
    """What a group has used so far; a figure is None where the host does not count it.

    `kills` are processes ended for want of memory, `refusals` processes that could not be started. Counts begin anew
    with every group: `incarnation` tells one from the next of the same name, empty where there is none.
    """

    memory_bytes: int | None
    cpu_nanoseconds: int | None
    processes: int
    kills: int = 0
    refusals: int = 0
    incarnation: str = ""


@dataclass(frozen=True, slots=True)
class CgroupHost:
    """What control groups this host offers, and where groups of ours are made.

    `unified` is the version 2 mount (with or without controllers), `legacy` maps a version 1 controller to its mount.
    """

    parent: str
    unified: Path | None
    legacy: dict[str, Path]
    controllers: frozenset[str]
    cannot: tuple[str, ...]

    @classmethod
    def detect(cls, root: Path = Path("/sys/fs/cgroup"), parent: str = "shuzha") -> CgroupHost:
        """Return what can be enforced on this host by this process; nothing is refused, `cannot` tells."""
        unified = next((p for p in (root, root / "unified") if (p / "cgroup.controllers").exists()), None)
        legacy = {c: root / c for c in CONTROLLERS if (root / c / "cgroup.procs").exists()}
        legacy = {c: p for c, p in legacy.items() if _make(p / parent)}
        if unified is not None and not _make(unified / parent):
            unified = None
        have = set(legacy)
        if unified is not None:
            have |= _delegate(unified, parent)
        return cls(parent, unified, legacy, frozenset(have), _missing(have, unified))

    @property
    def counts_cpu(self) -> bool:
        """Whether groups count the processor time that they use."""
        return self.unified is not None or "cpuacct" in self.legacy

    def group(self, name: str) -> Cgroup:
        """Return the group called `name`; it exists on the host only after `create`."""
        if not name or not name.replace("-", "").replace("_", "").isalnum():
            raise ValueError(f"cannot name a control group {name!r}: only letters, digits, - and _ are accepted")
        paths = {c: p / self.parent / name for c, p in self.legacy.items()}
        if self.unified is not None:
            paths["unified"] = self.unified / self.parent / name
        return Cgroup(name, paths, self.controllers)

    def list_groups(self) -> tuple[str, ...]:
        """Return the names of the groups of ours that exist on this host."""
        roots = [p / self.parent for p in self.legacy.values()]
        if self.unified is not None:
            roots.append(self.unified / self.parent)
        return tuple(sorted({d.name for r in roots if r.is_dir() for d in r.iterdir() if d.is_dir()}))


def _make(path: Path) -> bool:
    """Return whether a group can be made (or is) at `path`."""
    try:
        path.mkdir(exist_ok=True)
    except OSError:
        return False
    return os.access(path / "cgroup.procs", os.W_OK)


def _delegate(unified: Path, parent: str) -> set[str]:
    """Hand the version 2 controllers down to our subtree and return those that arrived."""
    offered = set((unified / "cgroup.controllers").read_text().split()) & {"memory", "pids", "cpu"}
    arrived: set[str] = set()
    for controller in sorted(offered):
        try:
            (unified / "cgroup.subtree_control").write_text(f"+{controller}")
            (unified / parent / "cgroup.subtree_control").write_text(f"+{controller}")
        except OSError:
            continue
        arrived.add(controller)
    return arrived


def _missing(have: set[str], unified: Path | None) -> tuple[str, ...]:
    """Return, in sentences, what this host cannot hold."""
    said = {
        "memory": "memory of a workspace is not capped: no memory control group can be made here",
        "pids": "the number of processes is not capped: no pids control group can be made here",
        "cpu": "processor time is not capped: no cpu control group can be made here",
    }
    missing = [text for name, text in said.items() if name not in have]
    if unified is None and "freezer" not in have:
        missing.append("workspaces cannot be frozen, only killed: neither cgroup2 nor the freezer can be used here")
    if unified is None and "cpuacct" not in have:
        missing.append("processor and memory of workspaces are not metered: no control group counts them here")
    return tuple(missing)


@dataclass(frozen=True, slots=True)
class Cgroup:
    """One jail's group in every hierarchy that the host has. All verbs are idempotent."""

    name: str
    paths: dict[str, Path]
    controllers: frozenset[str] = field(default_factory=frozenset)

    def create(self, limits: Limits) -> None:
        """Make the group and set its limits; processes that join later are held by them."""
        for path in self.paths.values():
            path.mkdir(exist_ok=True)
        self._write("memory", "memory.limit_in_bytes", limits.memory_bytes)
        self._write("memory", "memory.memsw.limit_in_bytes", limits.memory_bytes)
        self._write("pids", "pids.max", limits.processes)
        self._write("cpu", "cpu.cfs_period_us", _PERIOD_US)
        self._write("cpu", "cpu.cfs_quota_us", limits.cpu_percent * _PERIOD_US // 100)
        if "memory" not in self.paths and "memory" in self.controllers:
            self._write("unified", "memory.max", limits.memory_bytes)
            self._write("unified", "memory.swap.max", 0)
        if "pids" not in self.paths and "pids" in self.controllers:
            self._write("unified", "pids.max", limits.processes)
        if "cpu" not in self.paths and "cpu" in self.controllers:
            self._write("unified", "cpu.max", f"{limits.cpu_percent * _PERIOD_US // 100} {_PERIOD_US}")

    def join(self) -> None:
        """Put the calling process in. Call it before the process gives up root, or it is refused."""
        pid = str(os.getpid()).encode()
        for path in self.paths.values():
            descriptor = os.open(path / "cgroup.procs", os.O_WRONLY)
            try:
                os.write(descriptor, pid)
            finally:
                os.close(descriptor)

    def list_processes(self) -> tuple[int, ...]:
        """Return the ids of the processes in the group, empty when it is gone."""
        found: set[int] = set()
        for path in self.paths.values():
            try:
                found.update(int(line) for line in (path / "cgroup.procs").read_text().split())
            except OSError:
                continue
        return tuple(sorted(found))

    def measure(self) -> Consumption:
        """Return what the group uses now and has used of the processor."""
        memory = self._read("memory", "memory.usage_in_bytes")
        if memory is None:
            memory = self._read("unified", "memory.current")
        cpu = self.measure_cpu()
        kills = self._read_line("memory", "memory.oom_control", "oom_kill")
        if kills is None:
            kills = self._read_line("unified", "memory.events", "oom_kill")
        refusals = self._read_line("pids", "pids.events", "max")
        if refusals is None:
            refusals = self._read_line("unified", "pids.events", "max")
        return Consumption(memory, cpu, len(self.list_processes()), kills or 0, refusals or 0, self._incarnation())

    def measure_cpu(self) -> int | None:
        """Return the nanoseconds of a processor that the group has used; None where the host does not count them."""
        cpu = self._read("cpuacct", "cpuacct.usage")
        return self._read_cpu_stat() if cpu is None else cpu

    def freeze(self, timeout: float = 0.8) -> bool:
        """Stop every process where it stands and return whether all of them stood still in time."""
        return self._set_frozen(True, timeout)

    def thaw(self, timeout: float = 0.8) -> bool:
        """Let frozen processes run on and return whether they do."""
        return self._set_frozen(False, timeout)

    def is_frozen(self) -> bool:
        """Return whether the host says that every process of the group stands still."""
        if "unified" in self.paths:
            return "frozen 1" in self._read_text("unified", "cgroup.events")
        return self._read_text("freezer", "freezer.state").strip() == "FROZEN"

    def let_others_first(self, others_first: bool) -> None:
        """Have the group run on a processor only when no other group of ours wants it, or take part like any other.

        A kernel of Linux older than 5.15 cannot be told this, and shares evenly.
        """
        for hierarchy in ("cpu", "unified"):
            if hierarchy == "cpu" or "cpu" not in self.paths:
                self._write(hierarchy, "cpu.idle", int(others_first))

    def kill(self, timeout: float = 10.0) -> bool:
        """End every process of the group, frozen or forking, and return whether none is left."""

        def gone() -> bool:
            self._write("unified", "cgroup.kill", 1)
            for pid in self.list_processes():
                _signal(pid, signal.SIGKILL)
            # A process frozen by version 1 dies only once it may run again.
            self._write("freezer", "freezer.state", "THAWED")
            return not self.list_processes()

        return _wait(gone, timeout)

    def remove(self, timeout: float = 2.0) -> bool:
        """Take the empty group off the host and return whether it is gone."""
        return _wait(lambda: sum(_remove(path) for path in self.paths.values()) == len(self.paths), timeout)

    def _set_frozen(self, frozen: bool, timeout: float) -> bool:
        if "unified" in self.paths:
            self._write("unified", "cgroup.freeze", int(frozen))
        elif "freezer" in self.paths:
            self._write("freezer", "freezer.state", "FROZEN" if frozen else "THAWED")
        else:
            return False
        return _wait(lambda: self.is_frozen() is frozen, timeout)

    def _write(self, hierarchy: str, name: str, value: int | str) -> None:
        path = self.paths.get(hierarchy)
        if path is None:
            return
        try:
            (path / name).write_text(str(value))
        except OSError:
            # A kernel without swap accounting or cgroup.kill has no such file; `cannot` covers what matters.
            return

    def _read_text(self, hierarchy: str, name: str) -> str:
        path = self.paths.get(hierarchy)
        try:
            return "" if path is None else (path / name).read_text()
        except OSError:
            return ""

    def _read(self, hierarchy: str, name: str) -> int | None:
        text = self._read_text(hierarchy, name).strip()
        return int(text) if text.isdigit() else None

    def _read_line(self, hierarchy: str, name: str, word: str) -> int | None:
        for line in self._read_text(hierarchy, name).splitlines():
            key, _, value = line.partition(" ")
            if key == word and value.isdigit():
                return int(value)
        return None

    def _read_cpu_stat(self) -> int | None:
        used = self._read_line("unified", "cpu.stat", "usage_usec")
        return None if used is None else used * 1000

    def _incarnation(self) -> str:
        """Return a name that no other group had since the host was installed: its boot, and the folder's number."""
        for hierarchy in ("cpuacct", "memory", "unified", "pids"):
            path = self.paths.get(hierarchy)
            try:
                number = 0 if path is None else path.stat().st_ino
                boot = _BOOT.read_text().strip()
            except OSError:
                continue
            if number:
                return f"{boot}:{hierarchy}:{number}"
        return ""


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _remove(path: Path) -> bool:
    try:
        path.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _wait(done: Callable[[], bool], timeout: float) -> bool:
    """Return whether `done` became true before `timeout` seconds of the monotonic clock had passed."""
    deadline = time.monotonic() + timeout
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True
