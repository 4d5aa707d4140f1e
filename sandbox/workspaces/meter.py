"""How many bytes a workspace has shown on screens, by day and class, kept in a file of the gate's own.

Counting is in memory and is written every quarter of a second or mebibyte, so a killed gate forgets no more than that.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from shuzha.core.clock import SystemClock, city_date

_FLUSH_BYTES = 1024**2

_TABLE = """
create table if not exists screen_usage (
    workspace text not null, day text not null, traffic text not null,
    shown integer not null, received integer not null, messages integer not null,
    primary key (workspace, day, traffic)
) strict
"""
_SAVE = """
insert into screen_usage values (?, ?, ?, ?, ?, ?)
on conflict (workspace, day, traffic) do update
set shown = excluded.shown, received = excluded.received, messages = excluded.messages
"""


@dataclass(slots=True)
class Count:
    """What has passed in one class: bytes shown to browsers, bytes received from them, messages or answers."""

    shown: int = 0
    received: int = 0
    messages: int = 0


def today() -> str:
    """Return the city's current day, as the key under which bytes are counted."""
    return city_date(SystemClock().now()).isoformat()


class Meter:
    """The counts of every workspace, over one SQLite file that only the gate writes."""

    def __init__(self, path: Path, *, default_budget: int, day: Callable[[], str] = today) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._store = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._store.execute("pragma journal_mode=wal")
        self._store.execute(_TABLE)
        self._default = default_budget
        self._day = day
        self._counts: dict[tuple[str, str, str], Count] = {}
        self._shown: dict[tuple[str, str], int] = {}
        self._dirty: set[tuple[str, str, str]] = set()
        self._unsaved = 0

    def add(self, workspace: str, traffic: str, *, shown: int = 0, received: int = 0, messages: int = 0) -> None:
        """Count bytes and messages of `workspace` in class `traffic`."""
        day = self._day()
        already = self._total(workspace, day)
        key = (workspace, day, traffic)
        count = self._counts.setdefault(key, Count())
        count.shown += shown
        count.received += received
        count.messages += messages
        self._shown[(workspace, day)] = already + shown
        self._dirty.add(key)
        self._unsaved += shown + received
        if self._unsaved >= _FLUSH_BYTES:
            self.save()

    def shown_today(self, workspace: str) -> int:
        """Return the bytes that `workspace` has shown on screens today, over all classes."""
        return self._total(workspace, self._day())

    def left_today(self, workspace: str, budget: int | None) -> int:
        """Return how many more bytes `workspace` may show today; `budget` None means the default."""
        return (self._default if budget is None else budget) - self.shown_today(workspace)

    def save(self) -> None:
        """Write what has been counted since the last time."""
        if not self._dirty:
            return
        rows = [(*key, c.shown, c.received, c.messages) for key in self._dirty for c in (self._counts[key],)]
        self._store.execute("begin")
        self._store.executemany(_SAVE, rows)
        self._store.execute("commit")
        self._dirty.clear()
        self._unsaved = 0

    def close(self) -> None:
        """Write what is left and let go of the file."""
        self.save()
        self._store.close()

    def _total(self, workspace: str, day: str) -> int:
        if (workspace, day) not in self._shown:
            rows = self._store.execute(
                "select traffic, shown, received, messages from screen_usage where workspace = ? and day = ?",
                (workspace, day),
            ).fetchall()
            for traffic, shown, received, messages in rows:
                self._counts[(workspace, day, traffic)] = Count(shown, received, messages)
            self._shown[(workspace, day)] = sum(row[1] for row in rows)
        return self._shown[(workspace, day)]


def read_usage(path: Path, workspace: str | None = None) -> tuple[tuple[str, str, str, Count], ...]:
    """Return (workspace, day, class, count) as last written, for one workspace or all; empty when there is no file."""
    if not path.exists():
        return ()
    store = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        rows = store.execute(
            "select workspace, day, traffic, shown, received, messages from screen_usage"
            " where ?1 is null or workspace = ?1 order by workspace, day, traffic",
            (workspace,),
        ).fetchall()
    finally:
        store.close()
    return tuple((row[0], row[1], row[2], Count(*row[3:])) for row in rows)
