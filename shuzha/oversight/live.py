"""Use as it happens: the uses of the last minutes, one figure a minute, read from the meter's table."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

from policies import Context, Policies, Resource
from shuzha.core.actor import Actor
from shuzha.core.clock import Clock
from shuzha.core.errors import Invalid, NotFound
from shuzha.metering.events import microseconds
from shuzha.metering.reports import open_for_reading
from shuzha.metering.table import DATABASE

MOST_MINUTES = 60
_NEWEST = 200_000
_MINUTE = 60_000_000
_STATEMENT = """
SELECT occurred_at / ?, product, sum(quantity) FROM events
WHERE log_index > (SELECT coalesce(max(log_index), 0) FROM events) - ? AND occurred_at >= ? GROUP BY 1, 2
"""


@dataclass(frozen=True, slots=True)
class Minute:
    """The uses of one minute, by product's id; a minute without use has none."""

    begins: dt.datetime
    uses: dict[str, int]

    @property
    def total(self) -> int:
        """All uses of the minute."""
        return sum(self.uses.values())


class LiveUsage:
    """The newest use, for supervisors."""

    def __init__(self, policies: Policies, clock: Clock, folder: Path) -> None:
        self._policies = policies
        self._clock = clock
        self._folder = folder

    def list_minutes(self, actor: Actor, minutes: int = 30) -> tuple[Minute, ...]:
        """Return the last minutes, oldest first, the present one last; refuses whoever may not see the ledger."""
        now = self._clock.now()
        self._policies.check(actor, "ledger:view", Resource("ledger"), Context(at=now))
        if not 1 <= minutes <= MOST_MINUTES:
            raise Invalid("so many minutes are not shown", rule="usage.live", accepted=f"1 to {MOST_MINUTES}")
        last = microseconds(now) // _MINUTE
        found = self._read((last - minutes + 1) * _MINUTE)
        present = now.replace(second=0, microsecond=0)
        spans = range(last - minutes + 1, last + 1)
        return tuple(Minute(present - dt.timedelta(minutes=last - each), found.get(each, {})) for each in spans)

    def _read(self, since: int) -> dict[int, dict[str, int]]:
        try:
            database = open_for_reading(self._folder / DATABASE)
        except NotFound:
            return {}
        try:
            rows = database.execute(_STATEMENT, (_MINUTE, _NEWEST, since)).fetchall()
        finally:
            database.close()
        found: dict[int, dict[str, int]] = {}
        for minute, product, uses in rows:
            found.setdefault(minute, {})[product] = uses
        return found
