"""Who maps a model out: how many different inputs an organisation sent in a window, and how many lie beside another.

A model can be rebuilt from its answers. Who does that asks many different inputs, and learns most from pairs that
differ in little: a search along one input, a grid, a step to either side of a border. So each different input of a
window is counted once, and counted as *near* where an earlier one of the same organisation differs from it in one input
alone, or lies in the same small box (a twentieth of each number's range, the same categories). Repeats count nothing.

What is kept are keyed hashes, for the length of a window: no input can be read back from them.
"""

from __future__ import annotations

import hashlib
import sqlite3
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from products.forms.line import Refused
from products.forms.predicting.inside.worker import Cell
from products.forms.terms import ModelTerms

BOXES: Final = 20
DAY: Final = 86_400
_CITY: Final = 8 * 3600
_TABLES: Final = """
CREATE TABLE IF NOT EXISTS seen (
    product TEXT, consumer TEXT, first INTEGER, hash BLOB, PRIMARY KEY (product, consumer, first, hash)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS counts (
    product TEXT, consumer TEXT, first INTEGER, distinct_inputs INTEGER, near_inputs INTEGER,
    PRIMARY KEY (product, consumer, first)
) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Spent:
    """What an organisation used of a window: different inputs, and those near another."""

    distinct_inputs: int
    near_inputs: int


class Probing:
    """The counts of one installation, in a file of their own; for one process."""

    def __init__(self, path: Path, key: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._database.executescript(f"PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; {_TABLES}")
        self._key = key
        self._lock = threading.Lock()

    def close(self) -> None:
        """Give the file back."""
        self._database.close()

    def take(
        self, product: str, consumer: str, terms: ModelTerms, rows: Sequence[tuple[Cell, ...]], now: float
    ) -> Spent:
        """Count these inputs and return what is used of the window; refuses (429) all of them where one is too many.

        `now` is in seconds since 1970; windows begin at the city's midnight, every `window_days` days.
        """
        first = window_of(now, terms.window_days)
        where = (product, consumer, first)
        with self._lock:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                spent = self._count(where, terms, rows)
                self._check(spent, terms, now)
                self._database.execute("INSERT OR REPLACE INTO counts VALUES (?, ?, ?, ?, ?)",
                                       (*where, spent.distinct_inputs, spent.near_inputs))  # fmt: skip
                self._database.execute("COMMIT")
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
        return spent

    def forget(self, now: float) -> None:
        """Drop what is older than the longest window."""
        before = int(now) // DAY - 62
        with self._lock:
            for table in ("seen", "counts"):
                self._database.execute(f"DELETE FROM {table} WHERE first < ?", (before,))  # noqa: S608 - two names above

    def spent(self, product: str, consumer: str, terms: ModelTerms, now: float) -> Spent:
        """Return what an organisation used of the present window."""
        where = (product, consumer, window_of(now, terms.window_days))
        found = self._database.execute(
            "SELECT distinct_inputs, near_inputs FROM counts WHERE product = ? AND consumer = ? AND first = ?", where
        ).fetchone()
        return Spent(*found) if found else Spent(0, 0)

    def _count(self, where: tuple[str, str, int], terms: ModelTerms, rows: Sequence[tuple[Cell, ...]]) -> Spent:
        found = self._database.execute(
            "SELECT distinct_inputs, near_inputs FROM counts WHERE product = ? AND consumer = ? AND first = ?", where
        ).fetchone()
        distinct, near = found or (0, 0)
        for row in rows:
            if not self._add(where, self._hash(b"whole", terms, row)):
                continue
            distinct += 1
            # Each of these is kept, so none may be left out once one was seen.
            beside = [not self._add(where, one) for one in self._neighbourhoods(terms, row)]
            near += any(beside)
        return Spent(distinct, near)

    def _neighbourhoods(self, terms: ModelTerms, row: tuple[Cell, ...]) -> list[bytes]:
        box = tuple(_box(one.minimum, one.maximum, cell) for one, cell in zip(terms.inputs, row, strict=True))
        found = [self._hash(b"box", terms, box)] if any(isinstance(cell, float) for cell in row) else []
        if len(row) > 1:
            found += [
                self._hash(b"line %d" % place, terms, (*row[:place], None, *row[place + 1 :]))
                for place in range(len(row))
            ]
        return found

    def _add(self, where: tuple[str, str, int], mark: bytes) -> bool:
        """Keep a hash and return whether it is new."""
        return self._database.execute("INSERT OR IGNORE INTO seen VALUES (?, ?, ?, ?)", (*where, mark)).rowcount == 1

    def _hash(self, kind: bytes, terms: ModelTerms, row: Sequence[Cell]) -> bytes:
        found = hashlib.blake2b(kind, key=self._key, digest_size=16)
        for cell in row:
            part = repr(cell).encode()
            found.update(len(part).to_bytes(4, "big") + part)
        return found.digest()

    @staticmethod
    def _check(spent: Spent, terms: ModelTerms, now: float) -> None:
        left = window_end(now, terms.window_days) - int(now)
        for used, most, code, what in (
            (spent.distinct_inputs, terms.distinct_inputs, "inputs_exceeded", "different inputs"),
            (spent.near_inputs, terms.near_inputs, "probing_exceeded", "inputs beside another"),
        ):
            if used > most:
                raise Refused(
                    429, code, f"the organisation's {what} of the window are used up", "product.probing",
                    f"{most} in {terms.window_days} days; the next window begins in {left} s", retry_after=left,
                )  # fmt: skip


def window_of(now: float, days: int) -> int:
    """Return the first day of a window, as days since 1970 in the city."""
    return (int(now) + _CITY) // DAY // days * days


def window_end(now: float, days: int) -> int:
    """Return when a window ends, in seconds since 1970."""
    return (window_of(now, days) + days) * DAY - _CITY


def _box(least: float | None, most: float | None, cell: Cell) -> Cell:
    if not isinstance(cell, float) or least is None or most is None:
        return cell
    return float(int((cell - least) / (most - least) * BOXES))
