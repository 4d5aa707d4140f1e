"""The working-day clocks of demands and experts, on the calendar's hard days, and what silence means: nothing."""

from __future__ import annotations

import datetime as dt

import pytest

from shuzha.authorization.agreement import Term
from shuzha.authorization.model import DemandState
from shuzha.core.clock import FixedClock, start_of_day
from shuzha.core.errors import Invalid, NotAllowed
from tests.authorization_kit import City

SECOND = dt.timedelta(seconds=1)
# Received, and ten working days on: holidays and make-up days in between (the day after receipt is day one).
TEN = (
    ("2025-09-26", "2025-10-16"), ("2026-02-12", "2026-03-04"), ("2026-04-30", "2026-05-18"),
    ("2026-09-24", "2026-10-15"),
)  # fmt: skip


def at(city: City, day: str) -> None:
    city.clock = FixedClock(dt.datetime.fromisoformat(f"{day}T04:00:00+00:00"))
    city.database.clock = city.clock


@pytest.mark.parametrize(("day", "due"), TEN)
def test_authority_and_provider_each_have_ten_working_days(city: City, day: str, due: str) -> None:
    at(city, day)
    entry = city.add_entry()
    found = city.authorize(entry)
    drafted = city.service.draft_demand(city.operator, city.draft(found, entry))
    assert drafted.due is None
    submitted = city.service.submit_demand(city.operator, drafted.id)
    assert (submitted.due, submitted.due_provisional) == (dt.date.fromisoformat(due), False)
    # The provider's days begin with the authority's check, here on the authority's last day.
    city.clock.advance(start_of_day(dt.date.fromisoformat(due)) - city.clock.now())
    checked = city.service.check_demand(city.authority, drafted.id, "clear")
    assert checked.due == city.law.calendar.due(dt.date.fromisoformat(due), 10).date


@pytest.mark.parametrize(("day", "due"), TEN)
def test_an_expert_has_ten_working_days(city: City, day: str, due: str) -> None:
    at(city, day)
    found = city.authorize(city.add_entry(), to="qualify")
    (one,) = city.service.appoint_experts(city.authority, found.id, [city.experts[0].id], "third party")
    assert (one.due, one.due_provisional) == (dt.date.fromisoformat(due), False)


def test_a_clock_that_starts_at_the_citys_midnight_counts_the_citys_day(city: City) -> None:
    entry = city.add_entry()
    found = city.authorize(entry)
    # 2026-09-24 ends at 16:00 UTC; a second later it is the 25th, a holiday, and the tenth day is the same.
    days = []
    for step in (start_of_day(dt.date(2026, 9, 25)) - SECOND - city.clock.now(), SECOND):
        city.clock.advance(step)
        draft = city.draft(found, entry, scenario=f"scenario {len(days)}", term=found.agreement.term)
        demand = city.service.draft_demand(city.operator, draft)
        days.append(city.service.submit_demand(city.operator, demand.id).due)
    assert days == [dt.date(2026, 10, 15), dt.date(2026, 10, 15)]


def test_a_due_day_beyond_the_published_calendar_says_that_it_is_provisional(city: City) -> None:
    at(city, "2026-12-21")
    entry = city.add_entry()
    found = city.authorize(entry)
    demand = city.service.draft_demand(city.operator, city.draft(found, entry))
    assert city.service.submit_demand(city.operator, demand.id).due_provisional


def test_silence_grants_nothing(city: City) -> None:
    entry = city.add_entry()
    found = city.authorize(entry)
    demand = city.demand(found, entry)
    city.clock.advance(dt.timedelta(days=80))
    city.service.expire_due(city.platform)
    city.service.remind_due(city.platform)
    late = city.service.get_demand(city.authority, demand.id)
    assert (late.state, late.grant) == (DemandState.CHECKED, "")
    assert city.law.get_rule("demand.review").on_lapse == "escalate"
    with pytest.raises(NotAllowed):
        city.service.grant_demand(city.authority, demand.id, "the provider is silent")
    assert city.service.grant_demand(city.provider, demand.id, "late, but within the agreement").demand == demand.id


def test_a_demands_term_ends_with_the_agreements(city: City) -> None:
    entry = city.add_entry()
    found = city.authorize(entry)
    last = found.agreement.term.valid_until
    for first, until, allowed in (
        (city.today, last, True),
        (city.today, last + dt.timedelta(days=1), False),
        (city.today - dt.timedelta(days=1), last, False),
        (last, city.today, False),
    ):
        draft = city.draft(found, entry, term=Term(first, until))
        if allowed:
            city.service.draft_demand(city.operator, draft)
        else:
            with pytest.raises(Invalid, match="term is not within"):
                city.service.draft_demand(city.operator, draft)
