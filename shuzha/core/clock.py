"""Time is UTC and comes from here. A city's dates are those of its own zone, Asia/Shanghai.

The demo has a *forward-only offset*, kept in a file that every process reads, so that a public notice or the end of a
month comes in a minute. Production refuses to start with one (see `shuzha.core.settings`).
"""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path
from typing import Protocol
from zoneinfo import ZoneInfo

from shuzha.core.errors import Invalid
from shuzha.core.service_user import give_like_folder

CITY_ZONE = ZoneInfo("Asia/Shanghai")


class Clock(Protocol):
    """Whatever tells the time."""

    def now(self) -> dt.datetime:
        """Return the present moment, aware, in UTC."""
        ...


class SystemClock:
    """The host's clock."""

    def now(self) -> dt.datetime:
        """Return the host's time in UTC."""
        return dt.datetime.now(dt.UTC)


class FixedClock:
    """A clock for tests that moves only when told."""

    def __init__(self, moment: dt.datetime) -> None:
        self._moment = moment

    def now(self) -> dt.datetime:
        """Return the moment that was last set."""
        return self._moment

    def advance(self, by: dt.timedelta) -> None:
        """Move forward; a step back is refused, as it is for the demo's clock."""
        _check_forward(by)
        self._moment += by


class OffsetClock:
    """The host's clock plus an offset kept in a file: the demo's clock, shared by every process."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def now(self) -> dt.datetime:
        """Return the host's time plus the offset now in force."""
        return dt.datetime.now(dt.UTC) + self.offset()

    def offset(self) -> dt.timedelta:
        """Return the offset now in force; zero where no file has been written."""
        try:
            return dt.timedelta(seconds=float(self._path.read_text()))
        except FileNotFoundError:
            return dt.timedelta(0)

    def advance(self, by: dt.timedelta) -> None:
        """Move every process that shares the file forward; a step back is refused."""
        _check_forward(by)
        seconds = (self.offset() + by).total_seconds()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        half = self._path.with_suffix(f".{os.getpid()}.new")
        half.write_text(repr(seconds))
        give_like_folder(half)
        half.replace(self._path)


def _check_forward(by: dt.timedelta) -> None:
    if by < dt.timedelta(0):
        raise Invalid("the clock refuses to go back", rule="clock.forward_only", accepted="a step of zero or more")


def city_date(moment: dt.datetime) -> dt.date:
    """Return the date that a calendar on the city's wall shows at this moment."""
    return moment.astimezone(CITY_ZONE).date()


def start_of_day(day: dt.date) -> dt.datetime:
    """Return the first moment of a city day, in UTC; refuses the first and last days of what can be counted."""
    try:
        return dt.datetime.combine(day, dt.time(), CITY_ZONE).astimezone(dt.UTC)
    except OverflowError:
        raise _uncounted() from None


def end_of_day(day: dt.date) -> dt.datetime:
    """Return the first moment after a city day, in UTC: terms are half-open, [start, end)."""
    if day == dt.date.max:
        raise _uncounted()
    return start_of_day(day + dt.timedelta(days=1))


def _uncounted() -> Invalid:
    return Invalid("a day that cannot be counted with", rule="clock.day", accepted="0001-01-02 to 9999-12-30")


def month_before(period: str) -> str:
    """Return the month before a month such as `2026-01`, written the same way."""
    year, month = int(period[:4]), int(period[5:])
    return f"{year - 1}-12" if month == 1 else f"{year}-{month - 1:02d}"
