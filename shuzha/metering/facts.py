"""Facts: usage summed at a declared grain, from which statements and reports are made.

Grain: day x product x consumer x authorization x purpose x claim x kind x price x waived. Facts are always made from
the events, whole days at a time, by upsert: refreshing twice, or after a crash, changes nothing. They live in their own
file, so that making them never keeps the writer waiting.
"""

from __future__ import annotations

import datetime as dt
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shuzha.metering.reports import SUMS, UsageQuery, open_for_reading
from shuzha.metering.table import DATABASE

FACTS = "facts.db"
GRAIN = ("day", "product", "consumer", "authorization", "purpose", "claim", "kind", "price", "waived")
MEASURES = ("uses", "quantity", "first_index", "last_index")
_GRAIN = ", ".join(GRAIN)
_MEASURES = ", ".join(MEASURES)
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS facts (
    day TEXT NOT NULL, product TEXT NOT NULL, consumer TEXT NOT NULL, authorization TEXT NOT NULL,
    purpose TEXT NOT NULL, claim TEXT NOT NULL, kind TEXT NOT NULL, price INTEGER NOT NULL, waived INTEGER NOT NULL,
    uses INTEGER NOT NULL, quantity INTEGER NOT NULL, first_index INTEGER NOT NULL, last_index INTEGER NOT NULL,
    PRIMARY KEY ({_GRAIN})
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS state (id INTEGER PRIMARY KEY CHECK (id = 1), through INTEGER NOT NULL);
INSERT OR IGNORE INTO state VALUES (1, -1);
"""  # noqa: S608
_UPSERT = f"""
INSERT INTO facts ({_GRAIN}, {_MEASURES})
SELECT {_GRAIN}, {SUMS}, min(log_index), max(log_index) FROM usage.events
WHERE log_index <= :newest AND day IN (SELECT DISTINCT day FROM usage.events WHERE log_index > :through)
GROUP BY {_GRAIN}
ON CONFLICT ({_GRAIN}) DO UPDATE SET
    uses = excluded.uses, quantity = excluded.quantity,
    first_index = excluded.first_index, last_index = excluded.last_index
"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class Fact:
    """The uses of one day that are alike; `price` in 毫 a unit."""

    day: dt.date
    product: str
    consumer: str
    authorization: str
    purpose: str
    claim: str
    kind: str
    price: int
    waived: bool
    uses: int
    quantity: int
    first_index: int
    last_index: int

    @property
    def charged(self) -> int:
        """What these uses cost, in 毫: nothing when they are waived."""
        return 0 if self.waived else self.price * self.quantity


class FactsStore:
    """The facts of one installation's usage folder."""

    def __init__(self, folder: Path) -> None:
        open_for_reading(folder / DATABASE).close()
        self._database = sqlite3.connect(folder / FACTS, isolation_level=None, timeout=30, check_same_thread=False)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.executescript(_SCHEMA)
        self._database.execute("ATTACH DATABASE ? AS usage", (str(folder / DATABASE),))

    def close(self) -> None:
        """Give the files back."""
        self._database.close()

    def refresh(self) -> int:
        """Bring the facts up to the newest event, redoing the days that have new ones; return its log index, or -1."""
        return self._make(rebuild=False)

    def rebuild(self) -> int:
        """Make all facts again from all events; return the newest event's log index, or -1."""
        return self._make(rebuild=True)

    def list_facts(self, query: UsageQuery) -> tuple[Fact, ...]:
        """Return the facts that are meant, in the order of the grain; a query by key has no facts to answer it."""
        if query.key_id is not None:
            raise ValueError("facts do not know keys: ask UsageReader")
        where, values = query.where()
        statement = f"SELECT {_GRAIN}, {_MEASURES} FROM main.facts WHERE {where} ORDER BY {_GRAIN}"  # noqa: S608
        return tuple(_fact(row) for row in self._database.execute(statement, values))

    def _make(self, *, rebuild: bool) -> int:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            if rebuild:
                self._database.execute("DELETE FROM main.facts")
                self._database.execute("UPDATE main.state SET through = -1")
            through = self._database.execute("SELECT through FROM main.state").fetchone()[0]
            newest = self._database.execute("SELECT coalesce(max(log_index), -1) FROM usage.events").fetchone()[0]
            self._database.execute(_UPSERT, {"newest": newest, "through": through})
            self._database.execute("UPDATE main.state SET through = ?", (newest,))
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")
        return int(newest)


def _fact(row: tuple[Any, ...]) -> Fact:
    day, *words, price, waived, uses, quantity, first, last = row
    return Fact(*(dt.date.fromisoformat(day), *words, price, bool(waived), uses, quantity, first, last))
