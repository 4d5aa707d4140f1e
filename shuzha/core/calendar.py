"""Working days (工作日) of mainland China, make-up days included.

The table is `chinesecalendar`'s, exact for the years it holds and loud past its end; a yearly notice can be imported
on top. A due date that reaches past the table is counted in plain weekdays and marked *provisional*.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

import chinese_calendar


@dataclass(frozen=True, slots=True)
class Due:
    """A date by which something must be done; `provisional` where no notice yet says which days are worked."""

    date: dt.date
    provisional: bool = False


class WorkingCalendar:
    """Counts working days; `notice` maps days of years beyond the table to worked (True) or not."""

    def __init__(self, notice: Mapping[dt.date, bool] | None = None) -> None:
        self._notice = dict(notice or {})
        self._years = {day.year for day in self._notice}

    def is_working_day(self, day: dt.date) -> bool:
        """Return whether the day is worked; plain weekdays where no notice is known (see `is_known`)."""
        if day in self._notice:
            return self._notice[day]
        try:
            return bool(chinese_calendar.is_workday(day))
        except NotImplementedError:
            return day.weekday() < 5

    def is_known(self, day: dt.date) -> bool:
        """Return whether a published notice covers the day's year."""
        if day.year in self._years:
            return True
        try:
            chinese_calendar.is_workday(day)
        except NotImplementedError:
            return False
        return True

    def due(self, received: dt.date, days: int) -> Due:
        """Return the date `days` working days after receipt; the day after receipt is day one."""
        day, left, known = received, days, True
        while left > 0:
            day += dt.timedelta(days=1)
            known = known and self.is_known(day)
            left -= self.is_working_day(day)
        return Due(day, provisional=not known)

    def remaining(self, today: dt.date, due: dt.date) -> int:
        """Return the working days left after today up to and with the due date; negative once it is past."""
        if due < today:
            return -self.remaining(due, today)
        days = (today + dt.timedelta(days=step) for step in range(1, (due - today).days + 1))
        return sum(self.is_working_day(day) for day in days)
