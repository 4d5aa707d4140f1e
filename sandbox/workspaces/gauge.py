"""What a workspace's processes use now, read from its control groups; nothing is written and no right is needed.

`limits.Cgroup` sets limits and needs to own the groups; the gate, which owns nothing, only reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_NO_LIMIT = 2**60
"""Version 1 writes an enormous number where there is no limit."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A limit that the workspace has run into since it was started, and how often."""

    limit: str
    times: int


@dataclass(frozen=True, slots=True)
class Use:
    """What is used: a figure is None where the host does not count it. Memory leaves out what is only cached."""

    cpu_seconds: float | None = None
    memory_bytes: int | None = None
    memory_limit: int | None = None
    processes: int | None = None
    hits: tuple[Hit, ...] = ()


class Gauge:
    """Reads groups below `parent` in every hierarchy that the host has, of version 1 or 2."""

    def __init__(self, root: Path = Path("/sys/fs/cgroup"), parent: str = "shuzha") -> None:
        self._root = root
        self._parent = parent

    def read(self, groups: Sequence[str]) -> Use:
        """Return the use of `groups` together; memory and its limit are those of the first group that exists."""
        there = [one for one in groups if any(path.is_dir() for path in self._places(one))]
        if not there:
            return Use()
        seconds = [found for one in there if (found := self._cpu_seconds(one)) is not None]
        counts = [found for one in there if (found := self._number(one, "pids.current")) is not None]
        return Use(
            cpu_seconds=sum(seconds) if seconds else None,
            memory_bytes=self._memory(there[0]),
            memory_limit=self._memory_limit(there[0]),
            processes=sum(counts) if counts else None,
            hits=self._hits(there),
        )

    def _places(self, group: str) -> list[Path]:
        legacy = [self._root / name for name in ("memory", "pids", "cpuacct", "cpu")]
        return [place / self._parent / group for place in (*legacy, self._root, self._root / "unified")]

    def _text(self, group: str, name: str) -> str | None:
        for place in self._places(group):
            try:
                return (place / name).read_text()
            except OSError:
                continue
        return None

    def _number(self, group: str, name: str) -> int | None:
        text = (self._text(group, name) or "").strip()
        return int(text) if text.isdigit() else None

    def _line(self, group: str, name: str, word: str) -> int | None:
        for line in (self._text(group, name) or "").splitlines():
            key, _, value = line.partition(" ")
            if key == word and value.isdigit():
                return int(value)
        return None

    def _cpu_seconds(self, group: str) -> float | None:
        nanoseconds = self._number(group, "cpuacct.usage")
        if nanoseconds is not None:
            return nanoseconds / 1e9
        microseconds = self._line(group, "cpu.stat", "usage_usec")
        return None if microseconds is None else microseconds / 1e6

    def _memory(self, group: str) -> int | None:
        used = self._number(group, "memory.usage_in_bytes")
        if used is None:
            used = self._number(group, "memory.current")
        cached = self._line(group, "memory.stat", "total_inactive_file")
        if cached is None:
            cached = self._line(group, "memory.stat", "inactive_file") or 0
        return None if used is None else max(used - cached, 0)

    def _memory_limit(self, group: str) -> int | None:
        most = self._number(group, "memory.limit_in_bytes")
        if most is None:
            most = self._number(group, "memory.max")
        return None if most is None or most >= _NO_LIMIT else most

    def _hits(self, groups: Sequence[str]) -> tuple[Hit, ...]:
        files = (
            ("memory", ("memory.oom_control", "memory.events"), "oom_kill"),
            ("processes", ("pids.events",), "max"),
        )
        found = []
        for limit, names, word in files:
            times = sum(max((self._line(one, name, word) or 0) for name in names) for one in groups)
            if times:
                found.append(Hit(limit, times))
        return tuple(found)
