"""The usage log and its table: an event is in the log exactly when it is metered.

The log is the truth: an event is acknowledged when its entry is on disk. `usage.db` follows from it (one row an event,
for dedupe and reports), is committed without waiting for the disk, and is caught up, or built again, from the log.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from shuzha.core.errors import Conflict, Invalid, ShuzhaError, Unavailable
from shuzha.ledger.layout import NewEntry
from shuzha.ledger.log import Log, Seal
from shuzha.metering.events import Recorded, UsageEvent, microseconds

DATABASE = "usage.db"
KIND = "usage"
COLUMNS = (
    "log_index", "usage_id", "key_id", "idempotency_key", "request_digest", "kind", "consumer", "product",
    "authorization", "policy_version", "claim", "purpose", "price", "waived", "quantity", "occurred_at", "day",
)  # fmt: skip
SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
    log_index INTEGER PRIMARY KEY, usage_id TEXT NOT NULL UNIQUE, key_id TEXT NOT NULL, idempotency_key TEXT NOT NULL,
    request_digest TEXT NOT NULL, kind TEXT NOT NULL, consumer TEXT NOT NULL, product TEXT NOT NULL,
    authorization TEXT NOT NULL, policy_version TEXT NOT NULL, claim TEXT NOT NULL, purpose TEXT NOT NULL,
    price INTEGER NOT NULL, waived INTEGER NOT NULL, quantity INTEGER NOT NULL, occurred_at INTEGER NOT NULL,
    day TEXT NOT NULL, UNIQUE (key_id, idempotency_key)
);
CREATE INDEX IF NOT EXISTS events_by_consumer ON events (consumer, log_index);
CREATE INDEX IF NOT EXISTS events_by_day ON events (day);
"""
_INSERT = f"INSERT INTO events ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"  # noqa: S608
_FIND = "SELECT log_index, usage_id, request_digest FROM events WHERE key_id = ? AND idempotency_key = ?"
_CATCH_UP_BATCH = 10_000

Outcome = Recorded | ShuzhaError
log_ = logging.getLogger(__name__)
_EVENT = msgspec.json.Decoder(UsageEvent)


class UsageStore:
    """Events in and, once durable, outcomes out; belongs to the one writer process."""

    def __init__(self, log: Log, folder: Path) -> None:
        self._log = log
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / DATABASE
        try:
            self._database = open_database(self.path)
            self._catch_up()
        except sqlite3.DatabaseError as error:
            log_.warning("%s is damaged (%s): it is built again from the log", self.path.name, error)
            self.rebuild()

    @property
    def size(self) -> int:
        """How many entries the usage log has."""
        return self._log.size

    def record(self, events: Sequence[UsageEvent]) -> list[Outcome]:
        """Store events that `check_event` passed and return their outcomes in order, each durable.

        A known (key, idempotency key) pair gives the first outcome again, or Conflict where the request was another.
        Raises Unavailable when the disk fails; what was stored is then known after the store has been opened again.
        A table that turns out to be damaged is built again first, which takes a while.
        """
        try:
            return self._record(events)
        except sqlite3.OperationalError as error:
            raise Unavailable(f"the usage table cannot be written: {error}") from error
        except sqlite3.DatabaseError as error:
            log_.warning("%s is damaged (%s): it is built again from the log", self.path.name, error)
        self.rebuild()
        return self._record(events)

    def publish(self, *, history: bool = False) -> str:
        """Sign a checkpoint over everything recorded so far and return its note."""
        return self._log.publish(history=history)

    def seal(self) -> Seal:
        """Return the state of the log to be signed, for `sign`; belongs to the thread that records."""
        return self._log.seal()

    def sign(self, seal: Seal) -> str:
        """Sign what was sealed and return its note; may run in another thread, so that recording goes on meanwhile."""
        return self._log.sign(seal)

    def rebuild(self) -> None:
        """Build the table again from the log; a damaged one is kept beside it."""
        if hasattr(self, "_database"):
            self._database.close()
        for suffix in ("", "-wal", "-shm"):
            old = self.path.with_name(self.path.name + suffix)
            if old.exists():
                old.replace(self.path.with_name(f"damaged-{self.path.name}{suffix}"))
        self._database = open_database(self.path)
        self._catch_up()

    def close(self) -> None:
        """Sign a last checkpoint and let both go."""
        self._database.close()
        self._log.close()

    def _record(self, events: Sequence[UsageEvent]) -> list[Outcome]:
        try:
            first = self._store(events)
        except sqlite3.IntegrityError:
            return self._record_apart(events)
        return [Recorded(event.usage_id, first + place, event.answer, False) for place, event in enumerate(events)]

    def _store(self, events: Sequence[UsageEvent]) -> int:
        first = self._log.size
        self._database.execute("BEGIN IMMEDIATE")
        try:
            self._database.executemany(_INSERT, (row_of(first + place, event) for place, event in enumerate(events)))
            self._log.append([NewEntry(event.usage_id, KIND, msgspec.json.encode(event)) for event in events])
        except BaseException:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")
        return first

    def _record_apart(self, events: Sequence[UsageEvent]) -> list[Outcome]:
        outcomes: list[Outcome | None] = [None] * len(events)
        fresh: dict[tuple[str, str], int] = {}
        ids: set[str] = set()
        for place, event in enumerate(events):
            pair = (event.key_id, event.idempotency_key)
            if pair in fresh:
                continue
            outcomes[place] = self._known(event)
            if outcomes[place] is None and (event.usage_id in ids or self._has(event.usage_id)):
                outcomes[place] = Conflict(
                    f"usage id {event.usage_id} belongs to another use", rule="metering.usage_id"
                )
            elif outcomes[place] is None:
                fresh[pair] = place
                ids.add(event.usage_id)
        if fresh:
            first = self._store([events[place] for place in fresh.values()])
            for count, place in enumerate(fresh.values()):
                outcomes[place] = Recorded(events[place].usage_id, first + count, events[place].answer, False)
        return [outcome or self._known(event) or _lost(event) for outcome, event in zip(outcomes, events, strict=True)]

    def _known(self, event: UsageEvent) -> Outcome | None:
        row = self._database.execute(_FIND, (event.key_id, event.idempotency_key)).fetchone()
        if row is None:
            return None
        index, usage_id, digest = row
        if digest != event.request_digest:
            return Conflict(
                f"the idempotency key of {usage_id} was sent with another request", code="idempotency_conflict",
                rule="metering.idempotency", accepted="the same request, or a new Idempotency-Key",
            )  # fmt: skip
        payload = self._log.reader.entry(index).payload
        if payload is None:
            return Invalid(f"the answer of {usage_id} was erased by law", code="erased", rule="ledger.erase")
        return Recorded(usage_id, index, _EVENT.decode(payload).answer, True)

    def _has(self, usage_id: str) -> bool:
        return self._database.execute("SELECT 1 FROM events WHERE usage_id = ?", (usage_id,)).fetchone() is not None

    def _catch_up(self) -> None:
        last = self._database.execute("SELECT max(log_index) FROM events").fetchone()[0]
        if last is not None and last >= self._log.size:
            raise sqlite3.DatabaseError(f"it goes on behind entry {self._log.size - 1} of the log")
        start = 0 if last is None else last + 1
        if last is not None and self._usage_id(last) != self._log.reader.entry(last).header.id:
            raise sqlite3.DatabaseError(f"it differs from entry {last} of the log")
        while start < self._log.size:
            stop = min(start + _CATCH_UP_BATCH, self._log.size)
            self._database.execute("BEGIN IMMEDIATE")
            self._database.executemany(_INSERT, self._rows(start, stop))
            self._database.execute("COMMIT")
            start = stop

    def _usage_id(self, index: int) -> str:
        return str(self._database.execute("SELECT usage_id FROM events WHERE log_index = ?", (index,)).fetchone()[0])

    def _rows(self, start: int, stop: int) -> Iterable[tuple[object, ...]]:
        for entry in self._log.reader.entries(start, stop):
            if entry.header.kind == KIND and entry.payload is not None:
                yield row_of(entry.index, _EVENT.decode(entry.payload))


def open_database(path: Path) -> sqlite3.Connection:
    """Return a connection that writes usage.db; commits don't wait for the disk, for the log has."""
    database = sqlite3.connect(path, isolation_level=None, timeout=10)
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "cache_size=-65536"):
        database.execute(f"PRAGMA {pragma}")
    database.executescript(SCHEMA)
    return database


def row_of(index: int, event: UsageEvent) -> tuple[object, ...]:
    """Return the table's row of an event, in the order of `COLUMNS`."""
    return (
        index, event.usage_id, event.key_id, event.idempotency_key, event.request_digest, event.kind, event.consumer,
        event.product, event.authorization, event.policy_version, event.claim, event.purpose, event.price, event.waived,
        event.quantity, microseconds(event.occurred_at), event.day,
    )  # fmt: skip


def _lost(event: UsageEvent) -> Unavailable:
    return Unavailable(f"usage event {event.usage_id} was not stored", accepted="send it again")
