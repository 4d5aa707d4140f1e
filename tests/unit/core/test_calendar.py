"""The working-day vectors that the rules file gives, and what happens past the last published notice."""

import datetime as dt

import pytest

from shuzha.core.calendar import WorkingCalendar

VECTORS = [
    ("2025-09-26", 3, "2025-09-30"),
    ("2025-09-26", 10, "2025-10-16"),
    ("2026-02-12", 3, "2026-02-24"),
    ("2026-02-12", 5, "2026-02-26"),
    ("2026-04-30", 10, "2026-05-18"),
    ("2026-09-24", 5, "2026-10-09"),
    ("2026-09-24", 10, "2026-10-15"),
    ("2026-09-30", 20, "2026-11-03"),
    ("2025-12-25", 20, "2026-01-23"),
]


@pytest.mark.parametrize(("received", "days", "due"), VECTORS)
def test_due_counts_make_up_days_and_holidays(received, days, due):
    found = WorkingCalendar().due(dt.date.fromisoformat(received), days)
    assert (found.date.isoformat(), found.provisional) == (due, False)


def test_due_past_the_last_notice_is_provisional():
    assert WorkingCalendar().due(dt.date(2026, 12, 21), 10).provisional


def test_an_imported_notice_makes_the_date_sure():
    notice = {dt.date(2027, 1, 1): False} | {dt.date(2027, 1, day): True for day in range(4, 8)}
    found = WorkingCalendar(notice).due(dt.date(2026, 12, 30), 3)
    assert (found.date, found.provisional) == (dt.date(2027, 1, 5), False)


def test_remaining_turns_negative_once_the_date_is_past():
    calendar = WorkingCalendar()
    assert calendar.remaining(dt.date(2026, 9, 30), dt.date(2026, 10, 9)) == 2
    assert calendar.remaining(dt.date(2026, 10, 9), dt.date(2026, 9, 30)) == -2
