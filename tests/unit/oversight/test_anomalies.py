"""What is odd and what is not, hour by hour: pure, so every limit is tried on both sides."""

from __future__ import annotations

import datetime as dt

import pytest

from shuzha.core.clock import CITY_ZONE
from shuzha.oversight.anomalies import find_many_keys, find_oddities
from shuzha.oversight.model import DEFAULT_RULES, AlertKind
from shuzha.oversight.patterns import Hour

NOON = dt.datetime(2026, 11, 20, 12, tzinfo=CITY_ZONE)


def hour(back: int, uses: int, negatives: int = 0, *, consumer: str = "org_a", key: str = "key_1") -> Hour:
    return Hour(NOON - dt.timedelta(hours=back), consumer, "prd_1", key, uses, negatives)


def kinds(*hours: Hour, now: dt.datetime = NOON) -> list[AlertKind]:
    return [one.kind for one in find_oddities(hours, now, DEFAULT_RULES)]


@pytest.mark.parametrize(("uses", "found"), [(199, []), (499, []), (500, [AlertKind.VOLUME])])
def test_volume_is_sudden_from_five_times_the_usual_day_on(uses: int, found: list[AlertKind]) -> None:
    assert kinds(hour(24, 100), hour(48, 100), hour(1, uses)) == found


def test_a_newcomer_has_nothing_sudden_and_a_neighbours_past_is_not_his() -> None:
    assert kinds(hour(1, 100_000)) == []
    assert kinds(hour(24, 10), hour(1, 100_000, consumer="org_b")) == []
    assert kinds(hour(24 * 9, 10), hour(1, 1_000)) == [], "what is older than the history that is looked at is no past"


@pytest.mark.parametrize(("at_night", "by_day", "found"), [(99, 0, []), (100, 101, []), (100, 100, [AlertKind.NIGHT])])
def test_a_scan_is_half_of_24_hours_use_at_night(at_night: int, by_day: int, found: list[AlertKind]) -> None:
    # Noon is 12 o'clock: nine hours back it was three in the morning, fourteen hours back ten in the evening.
    assert kinds(hour(9, at_night), hour(14, by_day)) == found


def test_the_night_that_is_going_on_is_looked_at_too() -> None:
    late = NOON + dt.timedelta(hours=11, minutes=30)
    assert kinds(Hour(late.replace(minute=0), "org_a", "prd_1", "key_1", 150, 0), now=late) == [AlertKind.NIGHT]


@pytest.mark.parametrize(
    ("uses", "negatives", "found"),
    [
        (49, 49, []),
        (50, 39, []),
        (50, 40, [AlertKind.NEGATIVES]),
        (1_000, 799, []),
        (1_000, 800, [AlertKind.NEGATIVES]),
    ],
)
def test_a_flood_is_four_in_five_answers_that_say_no(uses: int, negatives: int, found: list[AlertKind]) -> None:
    assert kinds(hour(1, uses, negatives)) == found


def test_floods_are_each_keys_own() -> None:
    assert kinds(hour(1, 40, 40), hour(1, 40, 40, key="key_2")) == []
    assert kinds(hour(30, 500, 500)) == [], "yesterday's were told yesterday"


def test_many_keys_of_one_organisation_on_one_day() -> None:
    made = [("org_a", NOON - dt.timedelta(minutes=one)) for one in range(10)]
    [found] = find_many_keys([*made, ("org_b", NOON), ("org_a", NOON - dt.timedelta(days=1))], NOON, DEFAULT_RULES)
    assert (found.consumer, found.figures) == ("org_a", {"keys": 10, "limit": 10})
    assert find_many_keys(made[:9], NOON, DEFAULT_RULES) == ()
