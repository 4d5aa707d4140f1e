"""When, inside its term, a policy line is open: hours of the city's day, on every day or on working days only.

A day that no published calendar covers is not guessed: a line for working days is closed on it.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from shuzha.core.calendar import WorkingCalendar
from shuzha.core.clock import CITY_ZONE, city_date, end_of_day, start_of_day
from shuzha.core.errors import Invalid

STRICT = {"extra": "forbid"}  # A request body with a misspelt field is refused, not read past.
DAY_MINUTES = 1_440
EARLIEST = dt.datetime.min.replace(tzinfo=dt.UTC)
LATEST = dt.datetime.max.replace(tzinfo=dt.UTC)


@dataclass(frozen=True, slots=True)
class Hours:
    """From one minute of the city's day to another, half-open: (510, 1080) is 08:30 up to, not with, 18:00.

    Refuses a start that is not before its end, and minutes outside the day.
    """

    __pydantic_config__ = STRICT
    opens: int = 0
    closes: int = DAY_MINUTES
    working_days: bool = False

    def __post_init__(self) -> None:
        whole = type(self.opens) is int and type(self.closes) is int and type(self.working_days) is bool
        if not whole or not 0 <= self.opens < self.closes <= DAY_MINUTES:
            raise Invalid(
                "hours that are no part of a day",
                rule="scope.hours",
                accepted="minutes of a day, 0 <= opens < closes <= 1440",
            )

    def within(self, other: Hours) -> bool:
        """Return whether every moment of these hours is one of the other's."""
        days = self.working_days or not other.working_days
        return days and other.opens <= self.opens and self.closes <= other.closes

    def text(self) -> str:
        """Return the hours as people read them, such as `08:30-18:00 on working days`."""
        span = f"{self.opens // 60:02d}:{self.opens % 60:02d}-{self.closes // 60:02d}:{self.closes % 60:02d}"
        return f"{span} on {'working days' if self.working_days else 'every day'}"


@dataclass(frozen=True, slots=True)
class OpenHours:
    """The moments at which hours are open; `moment in OpenHours(...)` is what a matcher asks."""

    hours: Hours | None
    calendar: WorkingCalendar

    def __contains__(self, moment: object) -> bool:
        """Return whether the moment lies in the hours; always, where there are none."""
        if self.hours is None:
            return True
        if not isinstance(moment, dt.datetime) or moment.tzinfo is None:
            return False
        there = moment.astimezone(CITY_ZONE)
        day = there.date()
        if self.hours.working_days and not (self.calendar.is_known(day) and self.calendar.is_working_day(day)):
            return False
        return self.hours.opens <= there.hour * 60 + there.minute < self.hours.closes

    def around(self, moment: dt.datetime) -> tuple[dt.datetime, dt.datetime]:
        """Return the half-open stretch round the moment in which the hours do not open or close."""
        if self.hours is None:
            return EARLIEST, LATEST
        day = city_date(moment)
        midnight = start_of_day(day)
        edges = [midnight, *(midnight + dt.timedelta(minutes=each) for each in (self.hours.opens, self.hours.closes))]
        edges.append(end_of_day(day))
        return max(edge for edge in edges if edge <= moment), min(edge for edge in edges if edge > moment)
