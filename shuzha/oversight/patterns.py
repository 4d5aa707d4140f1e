"""How use is spread over hours: counted once from each entry of the usage log, in a table that follows from it.

Grain: hour of the city x consumer x product x key. `negatives` counts answers `no_match`, which the meter's facts do
not know. Reversals count for nothing here: what was asked was asked. The table holds no subject: a leaf's payload names
none.
"""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from shuzha.core.clock import CITY_ZONE
from shuzha.core.errors import NotFound
from shuzha.ledger.reader import LogReader
from shuzha.metering.events import UsageEvent
from shuzha.metering.store import KIND

DATABASE = "patterns.db"
_BATCH = 20_000
_EVENT = msgspec.json.Decoder(UsageEvent)
_SCHEMA = """
CREATE TABLE IF NOT EXISTS hours (
    hour TEXT NOT NULL, consumer TEXT NOT NULL, product TEXT NOT NULL, key_id TEXT NOT NULL,
    uses INTEGER NOT NULL, negatives INTEGER NOT NULL, PRIMARY KEY (hour, consumer, product, key_id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS state (id INTEGER PRIMARY KEY CHECK (id = 1), through INTEGER NOT NULL);
INSERT OR IGNORE INTO state VALUES (1, 0);
"""
_UPSERT = """
INSERT INTO hours VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (hour, consumer, product, key_id)
DO UPDATE SET uses = uses + excluded.uses, negatives = negatives + excluded.negatives
"""


@dataclass(frozen=True, slots=True)
class Hour:
    """The uses of one hour that are alike: how many, and how many of them said no."""

    hour: dt.datetime
    consumer: str
    product: str
    key: str
    uses: int
    negatives: int


class _Answer(msgspec.Struct):
    result: str = ""


class Patterns:
    """The table of hours of one installation; several processes may bring it up to the log, one at a time."""

    def __init__(self, folder: Path, log: Path) -> None:
        self._path = folder / DATABASE
        self._log = log

    def refresh(self) -> int:
        """Count the entries that are new and return how many the table knows now; 0 where nothing was ever metered."""
        try:
            reader = LogReader(self._log)
        except NotFound:
            return 0
        database = self._connect()
        try:
            done = self._through(database)
            if done > reader.indexed():  # The log was restored from an older backup: everything is counted again.
                database.executescript("BEGIN IMMEDIATE; DELETE FROM hours; UPDATE state SET through = 0; COMMIT;")
                done = 0
            while done < reader.indexed():
                stop = min(done + _BATCH, reader.indexed())
                rows = _count(entry.payload for entry in reader.entries(done, stop) if entry.header.kind == KIND)
                database.execute("BEGIN IMMEDIATE")
                if self._through(database) != done:  # Another process was faster.
                    database.execute("ROLLBACK")
                else:
                    database.executemany(_UPSERT, rows)
                    database.execute("UPDATE state SET through = ?", (stop,))
                    database.execute("COMMIT")
                done = self._through(database)
            return done
        finally:
            database.close()
            reader.close()

    def list_hours(self, first: dt.datetime, end: dt.datetime) -> tuple[Hour, ...]:
        """Return the hours in [first, end), oldest first."""
        if not self._path.exists():
            return ()
        database = self._connect()
        try:
            statement = "SELECT * FROM hours WHERE hour >= ? AND hour < ? ORDER BY hour, consumer, product, key_id"
            rows = database.execute(statement, (_text(first), _text(end))).fetchall()
        finally:
            database.close()
        return tuple(Hour(dt.datetime.fromisoformat(row[0]), *row[1:]) for row in rows)

    def _connect(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        database = sqlite3.connect(self._path, isolation_level=None, timeout=30)
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=NORMAL")
        database.executescript(_SCHEMA)
        return database

    @staticmethod
    def _through(database: sqlite3.Connection) -> int:
        return int(database.execute("SELECT through FROM state").fetchone()[0])


def _count(payloads: Iterable[bytes | None]) -> list[tuple[str, str, str, str, int, int]]:
    found: dict[tuple[str, str, str, str], list[int]] = {}
    for payload in payloads:
        if payload is None:
            continue
        event = _EVENT.decode(payload)
        if event.quantity < 0:
            continue
        hour = event.occurred_at.astimezone(CITY_ZONE).replace(minute=0, second=0, microsecond=0)
        sums = found.setdefault((_text(hour), event.consumer, event.product, event.key_id), [0, 0])
        sums[0] += event.quantity
        sums[1] += event.quantity if _says_no(event.answer) else 0
    return [(*key, uses, negatives) for key, (uses, negatives) in found.items()]


def _says_no(answer: str) -> bool:
    try:
        return msgspec.json.decode(answer.encode(), type=_Answer).result == "no_match"
    except msgspec.MsgspecError:
        return False  # A file's answer, or a model's: nothing that says no.


def _text(moment: dt.datetime) -> str:
    return moment.astimezone(CITY_ZONE).isoformat(timespec="minutes")
