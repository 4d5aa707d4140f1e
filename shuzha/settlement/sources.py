"""Where a settlement's usage comes from: the usage log, which is the truth, and the meter's table and facts.

A use belongs to the city month in which it happened. One that was posted later, or undone by a reversal, changes that
month where it is still open and corrects it where it is settled; the meter's facts and reports show it on the day of
its posting.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from shuzha.core.clock import city_date
from shuzha.core.errors import NotFound
from shuzha.ledger.reader import LogReader
from shuzha.metering.events import QUARTER_HOUR, microseconds, moment_of
from shuzha.metering.facts import FactsStore
from shuzha.metering.reports import UsageQuery, month, open_for_reading
from shuzha.metering.store import KIND
from shuzha.metering.table import DATABASE
from shuzha.settlement.model import UsageFact, merge_facts, parse_period


class _Counted(msgspec.Struct, frozen=True):
    """What of a use is counted; everything else in its entry is skipped."""

    kind: str
    consumer: str
    product: str
    authorization: str
    claim: str
    purpose: str
    price: int
    waived: bool
    occurred_at: dt.datetime
    quantity: int = 1


_EVENT = msgspec.json.Decoder(_Counted)
_GRAIN = "consumer, product, authorization, price, waived, purpose, claim, kind"
_SELECT = f"""
SELECT {_GRAIN}, occurred_at / {QUARTER_HOUR}, sum(quantity), min(log_index), max(log_index)
FROM events WHERE occurred_at >= ? AND occurred_at < ? AND log_index < ?
GROUP BY {_GRAIN}, occurred_at / {QUARTER_HOUR}
"""  # noqa: S608
_QUANTITY = "SELECT coalesce(sum(quantity), 0) FROM events WHERE occurred_at >= ? AND occurred_at < ?"
_DAYS = 86_400_000_000


@dataclass(frozen=True, slots=True)
class Window:
    """The entries of the usage log that a settlement counts: all below `size`; those from `since` on are new to it."""

    since: int
    size: int


@dataclass(frozen=True, slots=True)
class Tally:
    """The uses of each month that a settlement touches, as counted below `since` and below `size`."""

    before: Mapping[str, tuple[UsageFact, ...]]
    after: Mapping[str, tuple[UsageFact, ...]]

    def products(self) -> dict[str, str]:
        """Return everything that was used, with the authorization that it was used under."""
        return {fact.product: fact.authorization for facts in self.after.values() for fact in facts}

    def late(self, period: str) -> tuple[str, ...]:
        """Return the months other than `period` that have uses, oldest first: they are corrected."""
        return tuple(sorted(found for found in self.after if found != period))


class UsageSource:
    """The usage of one installation: by its facts, and counted from the log."""

    def __init__(self, usage_folder: Path, log_folder: Path) -> None:
        self._usage_folder = usage_folder
        self._log_folder = log_folder

    def log_size(self) -> int:
        """Return how many entries the usage log has; 0 where nothing was ever metered."""
        try:
            log = LogReader(self._log_folder)
        except NotFound:
            return 0
        try:
            return log.indexed()
        finally:
            log.close()

    def tally(self, period: str, closed: Iterable[str], window: Window, codes: Mapping[str, str]) -> Tally:
        """Return the counted uses of a month, and of each settled month that got uses since, from the log's entries."""
        try:
            log = LogReader(self._log_folder)
        except NotFound:
            return Tally({}, {})
        try:
            settled = frozenset(closed)
            late = {found for _, event in _uses(log, window.since, window.size)
                    if (found := period_of(event)) in settled}  # fmt: skip
            wanted = late | {period}
            after: dict[str, _Counter] = {name: _Counter(codes) for name in wanted}
            before: dict[str, _Counter] = {name: _Counter(codes) for name in late}
            for index, event in _uses(log, 0, window.size):
                name = period_of(event)
                if name not in wanted:
                    continue
                after[name].take(index, event)
                if index < window.since and name in late:
                    before[name].take(index, event)
        finally:
            log.close()
        return Tally(
            {name: counter.facts() for name, counter in before.items()},
            {name: counter.facts() for name, counter in after.items()},
        )

    def table(self, period: str, size: int, codes: Mapping[str, str]) -> tuple[UsageFact, ...]:
        """Return the same uses of a month as the meter's table has them."""
        rows = self._rows(_SELECT, (*_bounds(period), size))
        return merge_facts(_fact_of(row, codes) for row in rows)

    def facts(self, period: str, codes: Mapping[str, str]) -> tuple[UsageFact, ...]:
        """Return the facts of a month, brought up to the newest event; none where nothing was ever metered."""
        first, end = month(period)
        try:
            store = FactsStore(self._usage_folder)
        except NotFound:
            return ()
        try:
            store.refresh()
            found = store.list_facts(UsageQuery(first=first, end=end))
        finally:
            store.close()
        return merge_facts(
            UsageFact(
                one.consumer, one.product, codes.get(one.product, ""), one.authorization, one.price, one.waived,
                one.quantity, one.first_index, one.last_index, one.day, one.purpose, one.claim, one.kind,
            )
            for one in found
        )  # fmt: skip

    def metered(self, period: str) -> int:
        """Return how many uses the meter's table holds of a month, reversed ones taken away."""
        return sum(int(str(row[0])) for row in self._rows(_QUANTITY, _bounds(period)))

    def months_before(self, period: str) -> tuple[str, ...]:
        """Return the months before this one that have uses in the meter's table, oldest first."""
        rows = self._rows(f"SELECT DISTINCT occurred_at / {_DAYS} FROM uses WHERE occurred_at < ?", _bounds(period)[:1])  # noqa: S608
        # A day of the city begins on the day before in UTC: both ends of each day are asked for their month.
        ends = (moment_of(int(str(row[0])) * _DAYS + end) for row in rows for end in (0, _DAYS - 1))
        return tuple(sorted({f"{city_date(end):%Y-%m}" for end in ends if f"{city_date(end):%Y-%m}" < period}))

    def _rows(self, statement: str, values: tuple[object, ...]) -> list[tuple[object, ...]]:
        try:
            database = open_for_reading(self._usage_folder / DATABASE)
        except NotFound:
            return []
        try:
            return database.execute(statement, values).fetchall()
        finally:
            database.close()


def _bounds(period: str) -> tuple[int, int]:
    first, end = parse_period(period)
    return microseconds(first), microseconds(end)


def period_of(event: _Counted) -> str:
    """Return the city month of a use."""
    return f"{city_date(event.occurred_at):%Y-%m}"


class _Counter:
    """Counts uses at the grain of a fact."""

    def __init__(self, codes: Mapping[str, str]) -> None:
        self._codes = codes
        self._found: dict[tuple[object, ...], list[int]] = {}

    def take(self, index: int, event: _Counted) -> None:
        key = (
            event.consumer, event.product, event.authorization, event.price, event.waived,
            city_date(event.occurred_at), event.purpose, event.claim, event.kind,
        )  # fmt: skip
        found = self._found.get(key)
        if found is None:
            self._found[key] = [event.quantity, index, index]
        else:
            found[0] += event.quantity
            found[2] = index

    def facts(self) -> tuple[UsageFact, ...]:
        return tuple(
            UsageFact(
                consumer, product, self._codes.get(product, ""), authorization, price, waived, count, first, last,  # type: ignore[call-overload,arg-type]
                day, purpose, claim, kind,  # type: ignore[arg-type]
            )
            for (consumer, product, authorization, price, waived, day, purpose, claim, kind), (count, first, last) in
            self._found.items()
        )  # fmt: skip


def _fact_of(row: tuple[object, ...], codes: Mapping[str, str]) -> UsageFact:
    consumer, product, authorization, price, waived, purpose, claim, kind, quarter, *numbers = row
    count, first, last = (int(str(number)) for number in numbers)
    day = city_date(moment_of(int(str(quarter)) * QUARTER_HOUR))
    return UsageFact(
        str(consumer), str(product), codes.get(str(product), ""), str(authorization), int(str(price)), bool(waived),
        count, first, last, day, str(purpose), str(claim), str(kind),
    )  # fmt: skip


def _uses(log: LogReader, start: int, stop: int) -> Iterator[tuple[int, _Counted]]:
    for entry in log.entries(start, stop):
        if entry.header.kind == KIND and entry.payload is not None:
            yield entry.index, _EVENT.decode(entry.payload)
