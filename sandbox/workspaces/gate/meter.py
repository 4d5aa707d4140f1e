"""How many bytes a workspace has shown on screens, by day and class, kept in a file of the gate's own.

Counting is in memory and is written every quarter of a second. Before the first byte beyond what was written goes out,
a *reservation* is: "up to N bytes may have been shown". A killed gate therefore never forgets: what was reserved and
not accounted for is counted as shown, in the class `unsettled`, when the gate starts again. An idle workspace's
reservation is given back, so a kill costs it nothing. (The file outlives the gate's death; a power cut may cost the
file's last moments, as nothing waits for the disk.)
"""

from __future__ import annotations

import datetime as dt
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from shuzha.core.clock import CITY_ZONE, SystemClock, city_date

RESERVE_BYTES = 256 * 1024
UNSETTLED = "unsettled"
"""The class of bytes that were reserved, and may have been shown, when a gate was killed."""

_TABLES = (
    """
    create table if not exists screen_usage (
        workspace text not null, day text not null, traffic text not null,
        shown integer not null, received integer not null, messages integer not null,
        primary key (workspace, day, traffic)
    ) strict
    """,
    """
    create table if not exists screen_reserved (
        workspace text not null, day text not null, upto integer not null,
        primary key (workspace, day)
    ) strict
    """,
)
_SAVE = """
insert into screen_usage values (?, ?, ?, ?, ?, ?)
on conflict (workspace, day, traffic) do update
set shown = excluded.shown, received = excluded.received, messages = excluded.messages
"""
_RESERVE = """
insert into screen_reserved values (?, ?, ?)
on conflict (workspace, day) do update set upto = excluded.upto
"""


class CannotCount(RuntimeError):
    """What is to be shown cannot be written down (a full disk, a broken file), so it must not be shown."""


@dataclass(slots=True)
class Count:
    """What has passed in one class: bytes shown to browsers, bytes received from them, messages or answers."""

    shown: int = 0
    received: int = 0
    messages: int = 0


def today() -> str:
    """Return the city's current day, as the key under which bytes are counted."""
    return city_date(SystemClock().now()).isoformat()


def next_day(moment: dt.datetime | None = None) -> dt.datetime:
    """Return when the city's next day begins, and every workspace's screen budget anew."""
    here = (moment or SystemClock().now()).astimezone(CITY_ZONE)
    return dt.datetime.combine(here.date() + dt.timedelta(days=1), dt.time(), CITY_ZONE)


class CityDay:
    """The city's current day, worked out once a day: it is asked for with every message."""

    def __init__(self) -> None:
        self._day = ""
        self._until = 0.0
        self._since = 0.0

    def __call__(self) -> str:
        """Return the day; a host's clock that is set back is followed too."""
        now = time.time()
        if not self._since <= now < self._until:
            moment = dt.datetime.fromtimestamp(now, dt.UTC)
            self._day, self._since = city_date(moment).isoformat(), now
            self._until = next_day(moment).timestamp()
        return self._day


@dataclass(slots=True)
class _Book:
    """One workspace's counts of one day; `reserved` is what the file says may have been shown."""

    workspace: str
    day: str
    counts: dict[str, Count] = field(default_factory=dict)
    shown: int = 0
    reserved: int = 0
    changed: bool = False


class Meter:
    """The counts of every workspace, over one SQLite file that only the gate writes."""

    def __init__(self, path: Path, *, default_budget: int, day: Callable[[], str] | None = None) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._store = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._store.execute("pragma journal_mode=wal")
        # A commit survives the gate's death without waiting for the disk.
        self._store.execute("pragma synchronous=normal")
        for table in _TABLES:
            self._store.execute(table)
        self._default = default_budget
        self._day = day or CityDay()
        self._books: dict[str, _Book] = {}
        self._settle_left_over()

    def add(self, workspace: str, traffic: str, *, shown: int = 0, received: int = 0, messages: int = 0) -> None:
        """Count bytes and messages of `workspace` in class `traffic`; to be called before they are handed on.

        Raises CannotCount, and counts nothing, where that cannot be written down.
        """
        book = self._book(workspace)
        if book.shown + shown > book.reserved:
            self._reserve(book, book.shown + shown + RESERVE_BYTES)
        count = book.counts.get(traffic)
        if count is None:
            count = book.counts[traffic] = Count()
        count.shown += shown
        count.received += received
        count.messages += messages
        book.shown += shown
        book.changed = True

    def day(self) -> str:
        """Return the day that is counted now."""
        return self._day()

    def shown_today(self, workspace: str) -> int:
        """Return the bytes that `workspace` has shown on screens today, over all classes."""
        return self._book(workspace).shown

    def counts_today(self, workspace: str) -> dict[str, Count]:
        """Return what has passed today, by class."""
        counts = self._book(workspace).counts
        return {name: Count(one.shown, one.received, one.messages) for name, one in counts.items()}

    def budget(self, budget: int | None) -> int:
        """Return `budget`, or the default where none is set."""
        return self._default if budget is None else budget

    def left_today(self, workspace: str, budget: int | None) -> int:
        """Return how many more bytes `workspace` may show today; `budget` None means the default."""
        return (self._default if budget is None else budget) - self._book(workspace).shown

    def save(self) -> None:
        """Write what has been counted since the last time, and give back the reservations of idle workspaces."""
        changed = [book for book in self._books.values() if book.changed]
        idle = [book for book in self._books.values() if not book.changed and book.reserved != book.shown]
        if changed or idle:
            self._write(changed, [(book, book.shown) for book in idle])
        for book in changed:
            book.changed = False

    def close(self) -> None:
        """Write what is left, give every reservation back and let go of the file."""
        books = list(self._books.values())
        self._write(books, [(book, book.shown) for book in books])
        self._store.close()

    def _reserve(self, book: _Book, upto: int) -> None:
        self._write([], [(book, upto)])

    def _write(self, counted: list[_Book], reserved: list[tuple[_Book, int]]) -> None:
        """Write counts and reservations in one transaction, and remember what the file now says."""
        rows = [
            (book.workspace, book.day, traffic, c.shown, c.received, c.messages)
            for book in {id(book): book for book in (*counted, *(one for one, _ in reserved))}.values()
            for traffic, c in book.counts.items()
        ]
        try:
            self._store.execute("begin immediate")
            try:
                self._store.executemany(_SAVE, rows)
                self._store.executemany(_RESERVE, [(book.workspace, book.day, upto) for book, upto in reserved])
                self._store.execute("commit")
            except sqlite3.Error:
                if self._store.in_transaction:
                    self._store.execute("rollback")
                raise
        except sqlite3.Error as error:
            raise CannotCount(f"cannot write what is shown: {error}") from error
        for book, upto in reserved:
            book.reserved = upto

    def _book(self, workspace: str) -> _Book:
        day = self._day()
        book = self._books.get(workspace)
        if book is None or book.day != day:
            if book is not None:
                self._write([book], [(book, book.shown)])
            book = self._books[workspace] = self._load(workspace, day)
        return book

    def _load(self, workspace: str, day: str) -> _Book:
        book = _Book(workspace, day)
        rows = self._store.execute(
            "select traffic, shown, received, messages from screen_usage where workspace = ? and day = ?",
            (workspace, day),
        )
        for traffic, *counts in rows:
            book.counts[traffic] = Count(*counts)
            book.shown += counts[0]
        book.reserved = book.shown
        return book

    def _settle_left_over(self) -> None:
        """Count as shown what the gate before this one had reserved and not accounted for when it was killed."""
        rows = self._store.execute(
            "select r.workspace, r.day, r.upto, coalesce(sum(u.shown), 0) from screen_reserved r"
            " left join screen_usage u on u.workspace = r.workspace and u.day = r.day"
            " group by r.workspace, r.day having r.upto > coalesce(sum(u.shown), 0)"
        ).fetchall()
        for workspace, day, upto, shown in rows:
            book = self._load(workspace, day)
            book.counts.setdefault(UNSETTLED, Count()).shown += upto - shown
            book.shown = upto
            self._write([book], [(book, upto)])
        self._store.execute("delete from screen_reserved where day < ?", (self._day(),))


def read_usage(path: Path, workspace: str | None = None, *, since: str = "") -> tuple[tuple[str, str, str, Count], ...]:
    """Return (workspace, day, class, count) as last written, for one workspace or all, from the day `since` on.

    Empty when there is no file.
    """
    if not path.exists():
        return ()
    store = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        rows = store.execute(
            "select workspace, day, traffic, shown, received, messages from screen_usage"
            " where (?1 is null or workspace = ?1) and day >= ?2 order by workspace, day, traffic",
            (workspace, since),
        ).fetchall()
    finally:
        store.close()
    return tuple((row[0], row[1], row[2], Count(*row[3:])) for row in rows)
