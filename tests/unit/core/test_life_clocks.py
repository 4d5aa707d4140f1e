"""The clocks of an authorization's life, by the working-day vectors of the rules and at the edges of the city's day."""

import datetime as dt

import pytest

from shuzha.core.clock import end_of_day, start_of_day
from shuzha.core.lawbook import LawBook

TEN_DAYS = [
    ("2025-09-26", "2025-10-16", False),
    ("2026-04-30", "2026-05-18", False),
    ("2026-09-24", "2026-10-15", False),
    ("2026-12-21", None, True),
]


@pytest.mark.parametrize("jurisdiction", ["jinan", "wuhan", "zhongshan"])
@pytest.mark.parametrize(("received", "due", "provisional"), TEN_DAYS)
def test_a_hand_over_is_due_ten_working_days_after_the_freeze(jurisdiction, received, due, provisional):
    law = LawBook.load(jurisdiction)
    day = dt.date.fromisoformat(received)
    # The first and the last second of the city's day count as the same day, whatever the day in UTC.
    for moment in (start_of_day(day), end_of_day(day) - dt.timedelta(seconds=1)):
        found = law.due("exit.hand_over", moment)
        assert found.provisional is provisional
        assert due is None or found.date.isoformat() == due
    assert law.due("exit.hand_over", end_of_day(day)).date > law.due("exit.hand_over", start_of_day(day)).date or (
        not law.calendar.is_working_day(day + dt.timedelta(days=1))
    )


def test_silence_of_the_unit_lets_the_authority_hand_over_and_nothing_is_deemed():
    assert LawBook.load("jinan").get_rule("exit.hand_over").on_lapse == "authority_substitutes"


def test_a_suspension_states_no_clock_so_none_is_made_up():
    law = LawBook.load("jinan")
    assert law.due("authorization.suspension", dt.datetime(2026, 3, 2, tzinfo=dt.UTC)) is None


def test_the_cap_of_an_authorization_and_the_validity_of_a_training_are_years_of_the_law_book():
    law = LawBook.load("jinan")
    assert law.get_rule("authorization.term").years == 2
    assert law.get_rule("staff.training").years == 1
