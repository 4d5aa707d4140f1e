"""Reading usage: lists and totals of events, from any process, while the writer writes.

Days are the city's; a span of days is half-open, [first, end).
"""

from __future__ import annotations

import datetime as dt
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shuzha.core.errors import Invalid, NotFound
from shuzha.core.ids import milliseconds_of
from shuzha.metering.events import moment_of
from shuzha.metering.table import DATABASE

_FIELDS = (
    "log_index, usage_id, kind, key_id, consumer, product, authorization, policy_version, claim, purpose, price, "
    "waived, quantity, occurred_at, day"
)
SUMS = "coalesce(sum(CASE WHEN quantity < 0 THEN -1 ELSE 1 END), 0), coalesce(sum(quantity), 0)"
"""Uses and units: a reversal takes away what it undoes."""
FOLLOWS_SECONDS = 0.5
"""How long a use that was metered just now is waited for in the table."""
_LOOK_AGAIN_SECONDS = 0.005
_TOTALS = (
    f"{SUMS}, "
    "coalesce(sum(CASE WHEN waived THEN 0 ELSE price * quantity END), 0), "
    "coalesce(sum(CASE WHEN waived THEN price * quantity ELSE 0 END), 0), min(log_index), max(log_index)"
)


@dataclass(frozen=True, slots=True)
class UsageQuery:
    """Which usage is meant; a field left out means all."""

    consumer: str | None = None
    key_id: str | None = None
    product: str | None = None
    authorization: str | None = None
    purpose: str | None = None
    first: dt.date | None = None
    end: dt.date | None = None

    def where(self) -> tuple[str, list[object]]:
        """Return the SQL condition and its values."""
        equal = ("consumer", "key_id", "product", "authorization", "purpose")
        parts = [(f"{name} = ?", getattr(self, name)) for name in equal]
        parts += [("day >= ?", self.first and self.first.isoformat()), ("day < ?", self.end and self.end.isoformat())]
        meant = [(part, value) for part, value in parts if value is not None]
        return " AND ".join(part for part, _ in meant) or "1", [value for _, value in meant]


@dataclass(frozen=True, slots=True)
class Use:
    """One metered use; `price` in 毫 a unit. `log_index` is its place in the usage log."""

    log_index: int
    usage_id: str
    kind: str
    key_id: str
    consumer: str
    product: str
    authorization: str
    policy_version: str
    claim: str
    purpose: str
    price: int
    waived: bool
    quantity: int
    occurred_at: dt.datetime
    day: dt.date


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over uses, in 毫: what is charged, and what was waived at full price; first and last place in the log."""

    uses: int
    quantity: int
    charged: int
    waived: int
    first_index: int | None
    last_index: int | None


def month(period: str) -> tuple[dt.date, dt.date]:
    """Return the days [first, end) of a period `YYYY-MM`; refuses another form."""
    try:
        first = dt.datetime.strptime(period, "%Y-%m").replace(tzinfo=dt.UTC).date()
    except ValueError:
        raise Invalid("this period is refused", rule="metering.period", accepted="YYYY-MM, such as 2026-11") from None
    return first, (first + dt.timedelta(days=31)).replace(day=1)


class UsageReader:
    """Usage as it is metered now; raises NotFound before the writer's first start."""

    def __init__(self, folder: Path) -> None:
        self._database = open_for_reading(folder / DATABASE)

    def close(self) -> None:
        """Give the file back."""
        self._database.close()

    def get_use(self, usage_id: str) -> Use:
        """Return one use by its id; one acknowledged a moment ago is waited for, as the table follows the log."""
        statement = f"SELECT {_FIELDS} FROM events WHERE usage_id = ?"  # noqa: S608
        until = time.monotonic() + FOLLOWS_SECONDS
        while True:
            row = self._database.execute(statement, (usage_id,)).fetchone()
            if row is not None:
                return _use(row)
            if not _is_young(usage_id) or time.monotonic() > until:
                raise NotFound(f"no metered use with id {usage_id}")
            time.sleep(_LOOK_AGAIN_SECONDS)

    def list_uses(self, query: UsageQuery, *, limit: int = 100, before: int | None = None) -> tuple[Use, ...]:
        """Return uses, newest first; `before` is the log index of the last use of the page before."""
        where, values = query.where()
        if before is not None:
            where, values = f"{where} AND log_index < ?", [*values, before]
        statement = f"SELECT {_FIELDS} FROM events WHERE {where} ORDER BY log_index DESC LIMIT ?"  # noqa: S608
        return tuple(_use(row) for row in self._database.execute(statement, (*values, limit)))

    def count(self, products: Sequence[str], first: dt.date, end: dt.date) -> int:
        """Return how many uses of these products were metered in [first, end)."""
        named = ", ".join("?" * len(products))
        statement = f"SELECT coalesce(sum(quantity), 0) FROM events WHERE day >= ? AND day < ? AND product IN ({named})"  # noqa: S608
        found = self._database.execute(statement, (first.isoformat(), end.isoformat(), *products)).fetchone()
        return int(found[0])

    def list_consumers(self, product: str) -> tuple[tuple[str, int], ...]:
        """Return who used a product and how much of it, reversals apart, by consumer."""
        statement = (
            "SELECT consumer, sum(quantity) FROM events WHERE product = ? GROUP BY consumer "
            "HAVING sum(quantity) > 0 ORDER BY consumer"
        )
        return tuple((str(one), int(uses)) for one, uses in self._database.execute(statement, (product,)))

    def has(self, key_id: str, idempotency_key: str) -> bool:
        """Return whether a use of a key was metered under an idempotency key that its caller chose."""
        statement = "SELECT 1 FROM repeats WHERE key_id = ? AND idempotency_key = ?"
        return self._database.execute(statement, (key_id, idempotency_key)).fetchone() is not None

    def totals(self, query: UsageQuery) -> Totals:
        """Return the sums over the uses that are meant, counted from the events themselves."""
        where, values = query.where()
        return Totals(*self._database.execute(f"SELECT {_TOTALS} FROM events WHERE {where}", values).fetchone())  # noqa: S608


def open_for_reading(path: Path) -> sqlite3.Connection:
    """Return a connection that cannot change the file; usable from any one thread at a time."""
    if not path.exists():
        raise NotFound(f"nothing has been metered: {path.name} does not exist", accepted="start the usage writer once")
    database = sqlite3.connect(path, isolation_level=None, timeout=10, check_same_thread=False)
    database.execute("PRAGMA query_only=ON")
    return database


def _use(row: tuple[Any, ...]) -> Use:
    *fields, waived, quantity, occurred_at, day = row
    return Use(*(*fields, bool(waived), quantity, moment_of(occurred_at), dt.date.fromisoformat(day)))


def _is_young(usage_id: str) -> bool:
    made = milliseconds_of(usage_id)
    return made is not None and abs(time.time() * 1_000 - made) < FOLLOWS_SECONDS * 1_000
