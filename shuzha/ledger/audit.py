"""The audit log: every event of the platform, with the seven fields of Z20 art. 32, once and for good.

It is fed from the outbox, which sends at least once. An event's id is remembered in a table beside the log, which is
built again from the log when it is lost; so a repeat after a crash, or after a restore, adds nothing.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from shuzha.core.clock import Clock
from shuzha.core.errors import NotFound, Unavailable
from shuzha.core.keys import KeyRing
from shuzha.ledger.checkpoint import Signer
from shuzha.ledger.layout import ERASURE, MAX_PAYLOAD, NewEntry
from shuzha.ledger.log import Log
from shuzha.ledger.reader import LogReader, Proof

if TYPE_CHECKING:
    # The outbox brings the database library with it; reading an audit log must not need that.
    from shuzha.core.work import Database, Event

DEFAULT_ORIGIN = "shuzha/audit"
KEY_NAME = "ledger:audit"
CHECKPOINT_SECONDS = 1.0
_BATCH = 500
_CUT = 4_000
_SCHEMA = "CREATE TABLE IF NOT EXISTS known (id TEXT PRIMARY KEY, log_index INTEGER NOT NULL) WITHOUT ROWID"

log_ = logging.getLogger(__name__)


class AuditRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One audited act: its tag (`<noun>:<verb>`), the thing's id, and the seven fields of Z20 art. 32."""

    sequence: int
    id: str
    tag: str
    subject: str
    approach: str
    user: str
    approver: str | None
    content: str
    time: str
    method: str
    medium: str


def open_audit_log(data: Path, keys: KeyRing, clock: Clock) -> AuditLog:
    """Return the audit log of a data folder (`logs/audit`); refuses while another process has it open."""
    return AuditLog(data / "logs" / "audit", Signer(DEFAULT_ORIGIN, keys.signing_key(KEY_NAME)), clock)


class AuditLog:
    """The audit log of one installation; one process owns it, its methods may be called from any thread."""

    def __init__(self, folder: Path, signer: Signer, clock: Clock) -> None:
        self._log = Log(folder, signer, clock)
        self._mutex = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._last_sequence = -1
        path = folder.with_name(f"{folder.name}.known.db")
        try:
            self._known = _open_known(path)
            self._catch_up()
        except sqlite3.DatabaseError as error:
            log_.warning("%s is damaged (%s): it is built again from the log", path.name, error)
            for suffix in ("", "-wal", "-shm"):
                path.with_name(path.name + suffix).unlink(missing_ok=True)
            self._known = _open_known(path)
            self._catch_up()
        except BaseException:
            self._log.close()
            raise

    @property
    def size(self) -> int:
        """How many entries the log has."""
        return self._log.size

    def record(self, event: Event) -> int:
        """Store one event of the outbox and return its place; a known event is not stored again."""
        return self.record_all((event,))[0]

    def record_all(self, events: Sequence[Event]) -> tuple[int, ...]:
        """Store events in one write and return their places; known ones give the place they have."""
        with self._mutex:
            fresh = {event.id: event for event in events if self._find(event.id) is None}
            first = self._log.append([_entry(event) for event in fresh.values()]) if fresh else 0
            self._remember((event_id, first + place) for place, event_id in enumerate(fresh))
            self._last_sequence = max([self._last_sequence, *(event.sequence for event in fresh.values())])
            return tuple(int(str(self._find(event.id))) for event in events)

    def catch_up(self, database: Database) -> int:
        """Store every event of the outbox behind the newest one in the log, and return how many were new.

        Called when the owner starts: it also mends a log that was restored from an older backup than the records.
        """
        before, place = self._log.size, self._last_sequence
        while events := database.events_after(place, _BATCH):
            self.record_all(events)
            place = events[-1].sequence
        return self._log.size - before

    def publish(self) -> str:
        """Sign a checkpoint over everything recorded so far and return its note."""
        with self._mutex:
            return self._log.publish()

    def start(self, every: float = CHECKPOINT_SECONDS) -> None:
        """Sign a checkpoint each second when something is new, in a background thread, until `close`."""
        self._thread = threading.Thread(target=self._run, args=(every,), name="audit-checkpoints", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Sign a last checkpoint and let the log go."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(5)
        with self._mutex:
            self._known.close()
            self._log.close()

    def _run(self, every: float) -> None:
        while not self._stop.wait(every):
            self.publish()

    def _find(self, event_id: str) -> int | None:
        row = self._known.execute("SELECT log_index FROM known WHERE id = ?", (event_id,)).fetchone()
        return None if row is None else int(row[0])

    def _remember(self, places: Iterator[tuple[str, int]]) -> None:
        self._known.execute("BEGIN")
        self._known.executemany("INSERT OR IGNORE INTO known VALUES (?, ?)", places)
        self._known.execute("COMMIT")

    def _catch_up(self) -> None:
        last = self._known.execute("SELECT max(log_index) FROM known").fetchone()[0]
        start = 0 if last is None else last + 1
        if start > self._log.size:
            raise sqlite3.DatabaseError(f"it goes on behind entry {self._log.size - 1} of the log")
        self._remember((entry.header.id, entry.index) for entry in self._log.reader.entries(start))
        for index in reversed(range(self._log.size)):
            record = _record(self._log.reader, index)
            if record is not None:
                self._last_sequence = record.sequence
                break


def prove_event(folder: Path, event_id: str) -> Proof | None:
    """Return the proof that an event stands in the audit log of `folder`, from any process.

    None while it is not under a signed checkpoint yet, which takes about a second, and where there is no log.
    """
    known = folder.with_name(f"{folder.name}.known.db")
    try:
        with contextlib.closing(sqlite3.connect(f"{known.as_uri()}?mode=ro", uri=True, timeout=10)) as places:
            row = places.execute("SELECT log_index FROM known WHERE id = ?", (event_id,)).fetchone()
        reader = LogReader(folder)
    except (sqlite3.OperationalError, NotFound):
        return None
    try:
        return None if row is None else reader.proof(int(row[0]))
    except Unavailable:
        return None
    finally:
        reader.close()


def list_audit(
    reader: LogReader, *, limit: int = 100, before: int | None = None
) -> tuple[tuple[int, AuditRecord], ...]:
    """Return (place, record) of the newest acts, newest first; `before` is the place at which the last page ended."""
    found: list[tuple[int, AuditRecord]] = []
    for index in reversed(range(reader.indexed() if before is None else min(before, reader.indexed()))):
        record = _record(reader, index)
        if record is not None:
            found.append((index, record))
        if len(found) == limit:
            break
    return tuple(found)


def _record(reader: LogReader, index: int) -> AuditRecord | None:
    entry = reader.entry(index)
    if entry.payload is None or entry.header.kind == ERASURE:
        return None
    return msgspec.json.decode(entry.payload, type=AuditRecord)


def _entry(event: Event) -> NewEntry:
    record = AuditRecord(
        sequence=event.sequence, id=event.id, tag=event.tag, subject=event.subject, approach=event.approach,
        user=event.user, approver=event.approver, content=event.content, time=event.time.isoformat(),
        method=event.method, medium=event.medium,
    )  # fmt: skip
    payload = msgspec.json.encode(record)
    if len(payload) > MAX_PAYLOAD:
        payload = msgspec.json.encode(msgspec.structs.replace(record, content=record.content[:_CUT] + "…"))
    return NewEntry(event.id, event.tag, payload)


def _open_known(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, isolation_level=None, timeout=10, check_same_thread=False)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=NORMAL")
    database.execute(_SCHEMA)
    return database
