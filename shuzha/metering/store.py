"""The usage log and its table: an event is in the log exactly when it is metered.

The log is the truth: an event is acknowledged when its entry is on disk. The table follows from it some milliseconds
later (`flush`), and is caught up, or built again, from the log.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import msgspec

from shuzha.core.errors import Conflict, Invalid, NotFound, ShuzhaError, Unavailable
from shuzha.core.ids import new_id
from shuzha.ledger.layout import NewEntry
from shuzha.ledger.log import Log
from shuzha.metering.compute import COMPUTE, ComputeUse
from shuzha.metering.events import (
    ID_PREFIX,
    QUARTER_HOUR,
    Point,
    Recorded,
    Series,
    UsageEvent,
    day_of,
    iso_of,
    join,
    split,
)
from shuzha.metering.recent import RecentIds
from shuzha.metering.table import DATABASE, UsageTable, UseRow, tidy

KIND = "usage"
MAX_REASON = 500
_REVERSAL = "\nreverse:"  # No letter of a caller's own key.
_CATCH_UP_BATCH = 10_000

Outcome = Recorded | ShuzhaError
log_ = logging.getLogger(__name__)
_EVENT = msgspec.json.Decoder(UsageEvent)
_COMPUTE = msgspec.json.Decoder(ComputeUse)
_ENCODE = msgspec.json.Encoder().encode


class Label:
    """A series as the store keeps it: its part of every entry as JSON, and its row of each day."""

    __slots__ = ("days", "prefix", "series")

    def __init__(self, series: Series) -> None:
        self.series = series
        self.prefix = _ENCODE(msgspec.structs.asdict(series))[:-1] + b","
        self.days: dict[int, int] = {}


class _Rest(msgspec.Struct, omit_defaults=True):
    """The part of an entry that a point makes; together with its series' part it is a UsageEvent."""

    usage_id: str
    idempotency_key: str
    answer: str
    occurred_at: str
    request_digest: str
    quantity: int = 1
    consent: str = ""
    reverses: str = ""
    posted_at: str | None = None


class UsageStore:
    """Events in and, once durable, outcomes out; belongs to the one writer process."""

    def __init__(self, log: Log, folder: Path) -> None:
        self._log = log
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / DATABASE
        self.waiting = 0
        """How many uses are in the log and not yet in the table."""
        self._labels: dict[Series, Label] = {}
        self._pending: list[tuple[int, list[tuple[Label, Point]]]] = []
        self._pairs: dict[tuple[str, str], int] = {}
        self._ids = RecentIds()
        self._tidying = False
        try:
            self._table = UsageTable(self.path)
            self._catch_up()
        except sqlite3.DatabaseError as error:
            log_.warning("%s cannot be used (%s): it is built again from the log", self.path.name, error)
            self.rebuild()

    @property
    def size(self) -> int:
        """How many entries the usage log has."""
        return self._log.size

    @property
    def wants_force(self) -> bool:
        """Whether the log's journal should be emptied by `force` now."""
        return self._log.wants_force

    def force(self) -> None:
        """Force the log's files; for a thread beside the writer's loop."""
        self._log.force()

    def label(self, series: Series) -> Label:
        """Return the label of a series that `check_series` passed; the same one for the same series."""
        found = self._labels.get(series)
        if found is None:
            found = self._labels[series] = Label(series)
        return found

    def record(self, events: Sequence[UsageEvent]) -> list[Outcome]:
        """Store events that `check_event` passed and return their outcomes in order, each durable and in the table.

        A known (key, idempotency key) pair gives the first outcome again, or Conflict where the request was another.
        Raises Unavailable when the disk fails; what was stored is then known after the store has been opened again.
        """
        parts = [split(event) for event in events]
        outcomes = self.record_points([(self.label(series), point) for series, point in parts])
        self.flush()
        return [
            Recorded(event.usage_id, outcome, event.answer, False) if isinstance(outcome, int) else outcome
            for event, outcome in zip(events, outcomes, strict=True)
        ]

    def record_points(self, points: Sequence[tuple[Label, Point]]) -> list[int | Outcome]:
        """Store points that `check_point` passed; a new one's outcome is its place in the log, and durable.

        The table has them at the next `flush`. Otherwise as `record`.
        """
        try:
            return self._record(points)
        except sqlite3.OperationalError as error:
            raise Unavailable(f"the usage table cannot be read: {error}") from error
        except sqlite3.DatabaseError as error:
            log_.warning("%s is damaged (%s): it is built again from the log", self.path.name, error)
        self.rebuild()
        return self._record(points)

    def record_compute(self, uses: Sequence[ComputeUse]) -> int:
        """Store what workspaces used on days, each once, durable and in the table; return how many were new."""
        fresh = {use.id: use for use in uses if self._table.find_compute(use.id) is None}
        if fresh:
            first = self._log.append([NewEntry(name, COMPUTE, _ENCODE(use)) for name, use in fresh.items()])
            self._table.add_compute(list(enumerate(fresh.values(), first)))
        return len(fresh)

    def reverse(self, usage_id: str, reason: str, at: int) -> Recorded:
        """Undo a use by an event that names it, posted at this moment; a second time returns what the first one did.

        Refuses an unknown use (NotFound), and a use that is a reversal itself, or an empty reason (Invalid).
        """
        if not 0 < len(reason.strip()) <= MAX_REASON:
            raise Invalid("a reversal needs a reason", rule="metering.reason", accepted=f"1-{MAX_REASON} characters")
        index = self._find_id(usage_id)
        payload = None if index is None else self._log.reader.entry(index).payload
        if payload is None:
            raise NotFound(f"no metered use with id {usage_id}")
        undone = _EVENT.decode(payload)
        if undone.reverses:
            raise Invalid(
                f"{usage_id} is a reversal and cannot be reversed",
                rule="metering.reverses",
                accepted="a use; meter it anew",
            )
        series, point = split(undone)
        answer = _ENCODE({"reverses": usage_id, "reason": reason.strip()}).decode()
        event = Point(
            new_id(ID_PREFIX),
            answer,
            point.occurred_at,
            f"{_REVERSAL}{usage_id}",
            "",
            "",
            -point.quantity,
            usage_id,
            at,
        )
        (outcome,) = self.record_points([(self.label(series), event)])
        self.flush()
        if isinstance(outcome, int):
            return Recorded(event.usage_id, outcome, answer, False)
        if isinstance(outcome, ShuzhaError):
            raise outcome
        return outcome

    def publish(self, *, history: bool = False) -> str:
        """Sign a checkpoint over everything recorded so far and return its note; for any thread."""
        return self._log.publish(history=history)

    def flush(self) -> None:
        """Bring the table up to the log; put off while `tidy` runs, and where the table cannot be written now."""
        if not self._pending or self._tidying:
            return
        try:
            self._table.add(*self._rows())
        except sqlite3.OperationalError as error:
            log_.warning("%s cannot be written now (%s): tried again", self.path.name, error)
            return
        except sqlite3.DatabaseError as error:
            log_.warning("%s is damaged (%s): it is built again from the log", self.path.name, error)
            self.rebuild()
        self._pending.clear()
        self._pairs.clear()
        self._ids.turn()
        self.waiting = 0

    def tidy(self) -> None:
        """Move the table's write-ahead log into it, from a thread beside the writer's loop; `flush` waits meanwhile."""
        self._tidying = True
        try:
            tidy(self.path)
        finally:
            self._tidying = False

    def rebuild(self) -> None:
        """Build the table again from the log; a damaged one is kept beside it."""
        if hasattr(self, "_table"):
            self._table.close()
        for suffix in ("", "-wal", "-shm"):
            old = self.path.with_name(self.path.name + suffix)
            if old.exists():
                old.replace(self.path.with_name(f"damaged-{self.path.name}{suffix}"))
        self._table = UsageTable(self.path)
        for label in self._labels.values():
            label.days.clear()
        self._catch_up()

    def close(self) -> None:
        """Bring the table up to date, sign a last checkpoint and let both go."""
        self.flush()
        self._table.close()
        self._log.close()

    def _record(self, points: Sequence[tuple[Label, Point]]) -> list[int | Outcome]:
        outcomes: list[int | Outcome] = []
        batch = _Batch(self._log.size)
        is_new, ids, fresh, place = self._ids.is_new, batch.ids, batch.fresh, self._log.size
        for labelled in points:
            point = labelled[1]
            usage_id = point.usage_id
            if point.idempotency_key or usage_id in ids or not is_new(usage_id):
                outcome = self._look_back(labelled[0], point, batch)
                if outcome is not None:
                    outcomes.append(outcome)
                    continue
            ids[usage_id] = len(fresh)
            fresh.append(labelled)
            outcomes.append(place)
            place += 1
        if fresh:
            self._log.append([_entry(label, point) for label, point in fresh])
            self._pending.append((batch.first, fresh))
            self.waiting += len(fresh)
            self._ids.add_all(ids, batch.first)
            self._pairs.update({pair: batch.first + at for pair, at in batch.pairs.items()})
        return outcomes

    def _look_back(self, label: Label, point: Point, batch: _Batch) -> Outcome | None:
        """Return what a point gets that is no new use; None for a new one, whose pair is then known to the batch."""
        series = label.series
        pair = (series.key_id, point.idempotency_key)
        if point.idempotency_key:
            at = batch.pairs.get(pair)
            if at is not None:
                return _same(point, batch.first + at, join(batch.fresh[at][0].series, batch.fresh[at][1]))
            index = self._pairs.get(pair)
            if index is None:
                index = self._table.find_repeat(*pair)
            if index is not None:
                return self._known(point, index)
        at = batch.ids.get(point.usage_id)
        if at is not None:
            first = batch.fresh[at][1]
            if first.idempotency_key or point.idempotency_key or batch.fresh[at][0].series.key_id != series.key_id:
                return _taken(point)
            return _same(point, batch.first + at, join(batch.fresh[at][0].series, first))
        index = self._find_id(point.usage_id)
        if index is not None:
            header = self._log.reader.entry(index)
            event = None if header.payload is None else _EVENT.decode(header.payload)
            if event is not None and (event.key_id != series.key_id or event.idempotency_key != event.usage_id):
                return _taken(point)
            return _taken(point) if point.idempotency_key else self._known(point, index)
        if point.idempotency_key:
            batch.pairs[pair] = len(batch.fresh)
        return None

    def _known(self, point: Point, index: int) -> Outcome:
        entry = self._log.reader.entry(index)
        if entry.payload is None:
            return Invalid(f"the answer of {entry.header.id} was erased by law", code="erased", rule="ledger.erase")
        return _same(point, index, _EVENT.decode(entry.payload))

    def _find_id(self, usage_id: str) -> int | None:
        found = self._ids.find(usage_id)
        return self._table.find_use(usage_id) if found is None else found

    def _rows(self) -> tuple[list[UseRow], list[tuple[str, str, int]], list[tuple[str, int]]]:
        uses, repeats, reversals = list[UseRow](), list[tuple[str, str, int]](), list[tuple[str, int]]()
        for first, fresh in self._pending:
            for index, (label, point) in enumerate(fresh, first):
                quarter = point.billed_at // QUARTER_HOUR
                series = label.days.get(quarter)
                if series is None:
                    series = label.days[quarter] = self._table.series_id(label.series, day_of(point.billed_at))
                uses.append((index, point.usage_id, series, point.occurred_at, point.quantity))
                if point.idempotency_key:
                    repeats.append((label.series.key_id, point.idempotency_key, index))
                if point.reverses:
                    reversals.append((point.reverses, index))
        return uses, repeats, reversals

    def _catch_up(self) -> None:
        last = self._table.last()
        if last is not None and last[0] >= self._log.size:
            raise sqlite3.DatabaseError(f"it goes on behind entry {self._log.size - 1} of the log")
        if last is not None and last[1] != self._log.reader.entry(last[0]).header.id:
            raise sqlite3.DatabaseError(f"it differs from entry {last[0]} of the log")
        start = 0 if last is None else last[0] + 1
        self._pending.clear()
        while start < self._log.size:
            stop = min(start + _CATCH_UP_BATCH, self._log.size)
            for entry in self._log.reader.entries(start, stop):
                if entry.header.kind == COMPUTE and entry.payload is not None:
                    self._table.add_compute([(entry.index, _COMPUTE.decode(entry.payload))])
                elif entry.header.kind == KIND and entry.payload is not None:
                    series, point = split(_EVENT.decode(entry.payload))
                    self._pending.append((entry.index, [(self.label(series), point)]))
            self._table.add(*self._rows())
            self._pending.clear()
            start = stop
        self._pairs.clear()
        self.waiting = 0
        self._ids = RecentIds(self._table.highest_id())


class _Batch:
    """What is new in one batch, by id and by (key, idempotency key): places in `fresh`."""

    __slots__ = ("first", "fresh", "ids", "pairs")

    def __init__(self, first: int) -> None:
        self.first = first
        self.fresh: list[tuple[Label, Point]] = []
        self.ids: dict[str, int] = {}
        self.pairs: dict[tuple[str, str], int] = {}


def _entry(label: Label, point: Point) -> NewEntry:
    usage_id, answer, consent = point.usage_id, point.answer, point.consent
    if (
        not (point.idempotency_key or point.request_digest or point.posted_at) and point.quantity == 1
        and answer.isprintable() and "\\" not in answer and (consent.isalnum() or not consent)
    ):  # fmt: skip
        # Nearly every use is like this, and needs no encoder; what follows says the same.
        quoted = answer.replace('"', '\\"')
        rest = (
            f'"usage_id":"{usage_id}","idempotency_key":"{usage_id}","answer":"{quoted}","request_digest":"",'
            f'"occurred_at":"{iso_of(point.occurred_at)}","consent":"{consent}"}}'
        )
        return NewEntry(usage_id, KIND, label.prefix + rest.encode())
    more = _Rest(
        point.usage_id, point.idempotency_key or point.usage_id, point.answer, iso_of(point.occurred_at),
        point.request_digest, point.quantity, point.consent, point.reverses,
        iso_of(point.posted_at) if point.posted_at else None,
    )  # fmt: skip
    return NewEntry(point.usage_id, KIND, label.prefix + _ENCODE(more)[1:])


def _same(point: Point, index: int, first: UsageEvent) -> Outcome:
    if first.request_digest != point.request_digest:
        return Conflict(
            f"the idempotency key of {first.usage_id} was sent with another request", code="idempotency_conflict",
            rule="metering.idempotency", accepted="the same request, or a new Idempotency-Key",
        )  # fmt: skip
    return Recorded(first.usage_id, index, first.answer, True)


def _taken(point: Point) -> Conflict:
    return Conflict(f"usage id {point.usage_id} belongs to another use", rule="metering.usage_id")
