"""What is kept is bounded, and a dropped grant takes its answers with it."""

import dataclasses
import datetime as dt

import pytest

from policies import Context, Held, Hours, Narrowing, Period, Policies, Quota, Resource
from policies.kept import Recent
from policies.windows import OpenHours
from shuzha.core.calendar import WorkingCalendar
from shuzha.core.errors import Invalid

RELEASE = Resource("release", "rel_1", organisation="org_operator", authorization="aut_1", grant="grt_1")
DURING = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)
OPEN = Context(DURING, entry="ent_1", operation="view", place="workspace")
TICK = dt.timedelta(microseconds=1)
BEIJING = dt.timezone(dt.timedelta(hours=8))


def test_recent_keeps_what_is_asked_for_and_no_more_than_twice_its_size():
    dropped = []
    recent = Recent(3, dropped.append)
    for number in range(100):
        recent.keep(number, number)
        assert recent.find(0) in (0, None)
        assert len(recent) <= 6
    assert recent.find(0) == 0
    assert len(set(dropped)) == len(dropped)
    assert set(dropped) | {value for _, value in recent.items()} == set(range(100))


def test_a_million_questions_are_not_kept(policies, grants, person):
    small, analyst = Policies(grants, kept_answers=50, kept_grants=5), person("analyst")
    for number in range(2_000):
        small.decide(analyst, "data:open", RELEASE, dataclasses.replace(OPEN, purpose=f"purpose-{number}"))
        small.decide(person("analyst", identifier=f"acc_{number}"), "data:open", RELEASE, OPEN)
    assert len(small._answers) <= 100
    assert len(small._by_role) <= 100


def test_a_thousand_grants_are_not_kept(grants, make_grant, person):
    small = Policies(grants, kept_grants=10)
    for number in range(1_000):
        grants.put(make_grant(grant=f"grt_{number}"))
        assert small.can(person("analyst"), "data:open", dataclasses.replace(RELEASE, grant=f"grt_{number}"), OPEN)
    assert len(small._grants) <= 20


def test_an_answer_of_a_grant_that_was_dropped_for_room_does_not_outlive_its_suspension(grants, make_grant, person):
    small, analyst = Policies(grants, kept_grants=1, refresh_seconds=1e9), person("analyst")
    assert small.can(analyst, "data:open", RELEASE, OPEN)
    for number in (7, 8, 9):
        grants.put(make_grant(grant=f"grt_{number}"))
        assert small.can(analyst, "data:open", dataclasses.replace(RELEASE, grant=f"grt_{number}"), OPEN)
    grants.put(make_grant(), active=False, reason="suspended")
    small.forget("aut_1")
    assert not small.can(analyst, "data:open", RELEASE, OPEN)


def test_a_held_question_is_answered_as_it_would_be_asked_anew(grants, make_grant, person):
    now = [0.0]
    grants.put(make_grant(hours=Hours(510, 1_080, False)))
    policies, fresh, analyst = Policies(grants, monotonic=lambda: now[0]), Policies(grants), person("analyst")
    held = Held(policies, analyst, "data:open", RELEASE, OPEN)
    for at in moments(dt.date(2026, 3, 4), "08:30", "08:29", "17:59", "18:00", "12:00"):
        assert held.decide(at) == fresh.decide(analyst, "data:open", RELEASE, dataclasses.replace(OPEN, at=at))
    at = moments(dt.date(2026, 3, 4), "12:00")[0]
    assert held.decide(at) is held.decide(at)
    grants.put(make_grant(), active=False, reason="suspended")
    assert held.decide(at).allowed
    policies.forget("aut_1")
    assert held.decide(at).code == "scope.inactive"
    grants.put(make_grant())
    policies.forget("aut_1")
    assert held.decide(at).allowed
    grants.put(make_grant(), active=False, reason="suspended")
    now[0] += 60.0
    assert not held.decide(at).allowed


def moments(day, *times):
    return [dt.datetime.combine(day, dt.time.fromisoformat(each), BEIJING) for each in times]


@pytest.mark.parametrize(
    ("day", "open_day"),
    [
        (dt.date(2026, 2, 13), True), (dt.date(2026, 2, 14), True),  # a make-up Saturday before the Spring Festival
        (dt.date(2026, 2, 16), False), (dt.date(2026, 2, 28), True), (dt.date(2026, 3, 1), False),
        (dt.date(2026, 10, 1), False), (dt.date(2026, 10, 10), True), (dt.date(2026, 5, 9), True),
        (dt.date(2027, 9, 1), False),  # a Wednesday of a year without a published calendar
    ],
)  # fmt: skip
def test_hours_open_and_close_at_their_minute_on_worked_days_only(grants, make_grant, person, day, open_day):
    grants.put(make_grant(hours=Hours(510, 1_080, True)))
    policies, analyst = Policies(grants), person("analyst")
    opens, closes = moments(day, "08:30", "18:00")
    asked = [opens - TICK, opens, closes - TICK, closes, opens, opens - TICK, closes, closes - TICK]
    got = [policies.can(analyst, "data:open", RELEASE, dataclasses.replace(OPEN, at=at)) for at in asked]
    assert got == [open_day and inside for inside in (False, True, True, False, True, False, False, True)]


def test_a_kept_answer_ends_with_the_hours(grants, make_grant, person):
    grants.put(make_grant(hours=Hours(510, 1_080)))
    opens, closes = moments(dt.date(2026, 6, 1), "08:30", "18:00")
    decision = Policies(grants).decide(person("analyst"), "data:open", RELEASE, dataclasses.replace(OPEN, at=opens))
    assert decision.valid_until == closes
    refused = Policies(grants).decide(person("analyst"), "data:open", RELEASE, dataclasses.replace(OPEN, at=closes))
    assert (refused.code, refused.valid_until) == ("scope.hours", dt.datetime(2026, 6, 2, tzinfo=BEIJING))
    assert "08:30-18:00" in refused.reason


@pytest.mark.parametrize(
    ("whole", "narrowed"),
    [
        ({"hours": Hours(510, 1_080)}, Narrowing("aggregate", None, Hours(510, 1_081))),
        ({"hours": Hours(510, 1_080)}, Narrowing("aggregate", None, Hours(509, 1_080))),
        ({"hours": Hours(510, 1_080, working_days=True)}, Narrowing("aggregate", None, Hours(510, 1_080))),
        ({"quota": Quota(9)}, Narrowing("serve:verification", None, None, Quota(10))),
        ({"quota": Quota(9, Period.MONTH)}, Narrowing("serve:verification", None, None, Quota(9, Period.DAY))),
    ],
)
def test_a_narrowing_takes_away_only(make_grant, whole, narrowed):
    with pytest.raises(Invalid, match=r"outside the grant's|larger quota"):
        make_grant(**whole, narrowed=[narrowed])

    assert make_grant(**whole, narrowed=[dataclasses.replace(narrowed, **whole)]).lines
    assert make_grant(narrowed=[narrowed]).lines


def test_around_is_the_stretch_in_which_nothing_changes():
    calendar = WorkingCalendar()
    for hours in (Hours(0, 1_440, True), Hours(1, 2), Hours(510, 1_080, True), Hours(0, 1)):
        there = OpenHours(hours, calendar)
        at = dt.datetime(2026, 2, 27, 15, 0, tzinfo=dt.UTC)
        for _ in range(40):
            start, end = there.around(at)
            assert start <= at < end
            assert {at in there, start in there, (end - TICK) in there} == {at in there}
            at = end


@pytest.mark.parametrize("values", [(5, 5), (-1, 5), (0, 1_441), (1.0, 5), (0, 5, 1), (9, 3)])
def test_hours_that_are_no_part_of_a_day_are_refused(values):
    with pytest.raises(Invalid, match="no part of a day"):
        Hours(*values)
