"""What is counted against enumeration: exactly, shared with siblings, given back where nothing was answered."""

from __future__ import annotations

import datetime as dt
import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from products.defence import counters as counting
from products.defence.counters import COLUMNS, Column, Counters, forget_old
from products.defence.guard import Defence
from products.defence.model import AlarmKind, AlarmState, ProductLimits
from products.defence.store import ALARMS
from shuzha.core.actor import platform_actor
from shuzha.core.errors import Invalid, NotAllowed, NotFound, TransitionNotAllowed
from tests.products_kit import ProductCity

DAY = dt.date(2026, 11, 23)
NOON = dt.datetime(2026, 11, 23, 4, tzinfo=dt.UTC)


def subject(number):
    return hashlib.sha256(str(number).encode()).digest()[:16]


@pytest.fixture
def city(tmp_path):
    return ProductCity(tmp_path)


def guard(city, product=None, **limits):
    made = Defence(city.database, city.policies, city.folder / "asks")
    if limits:
        made._limits[product or "prd_1"] = ProductLimits(product or "prd_1", **limits)
    return made


def guarded(city):
    made = guard(city)
    made.load()
    return made


def ask(defence, number, *, key="key_1", product="prd_1", negative=False, at=NOON):
    return defence.take(key, product, subject(number), at, negative=negative)


def is_answered(asked):
    return not isinstance(asked, AlarmKind)


def test_one_key_may_ask_about_so_many_subjects(city):
    defence = guard(city, distinct_subjects=3, subject_asks=40)
    assert [is_answered(ask(defence, number)) for number in (1, 2, 1, 3, 2, 4, 5, 1)] == [
        True, True, True, True, True, False, False, True,
    ]  # fmt: skip
    assert ask(defence, 4) is AlarmKind.DISTINCT_SUBJECTS
    assert is_answered(ask(defence, 4, key="key_2"))
    assert is_answered(ask(defence, 4, product="prd_2"))


def test_one_subject_may_be_asked_about_so_often_and_by_one_key_half_as_often(city):
    defence = guard(city, subject_asks=6)
    answers = [is_answered(ask(defence, 1, key=key)) for key in ["a"] * 4 + ["b"] * 3 + ["c"]]
    assert answers == [True, True, True, False, True, True, True, False]
    assert is_answered(ask(defence, 2, key="c"))


def test_negative_answers_have_a_budget(city):
    defence = guard(city, negatives=3)
    assert [is_answered(ask(defence, number, negative=number % 2 == 0)) for number in range(8)] == [True] * 5 + [
        False
    ] * 3
    assert ask(defence, 99) is AlarmKind.NEGATIVES
    assert is_answered(ask(defence, 99, key="key_2", negative=True))


def test_a_day_begins_at_the_citys_midnight(city):
    defence = guard(city, distinct_subjects=1)
    evening = dt.datetime(2026, 11, 23, 15, 59, 59, tzinfo=dt.UTC)
    assert is_answered(ask(defence, 1, at=evening))
    assert not is_answered(ask(defence, 2, at=evening))
    assert is_answered(ask(defence, 2, at=evening + dt.timedelta(seconds=1)))


def test_what_was_not_answered_is_given_back(city):
    defence = guard(city, distinct_subjects=2, subject_asks=2, negatives=2)
    for _ in range(20):
        defence.give_back(ask(defence, 1, negative=True))
    first = ask(defence, 1, negative=True)
    assert is_answered(first)
    assert is_answered(ask(defence, 2))
    assert not is_answered(ask(defence, 3))
    defence.give_back(first)
    assert is_answered(ask(defence, 3, negative=True))
    defence.give_back(first)  # twice: counts never fall below none
    assert is_answered(ask(defence, 1))


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 9), st.booleans(), st.booleans()), max_size=60),
    limits=st.tuples(st.integers(1, 5), st.integers(1, 6), st.integers(1, 8)),
)
def test_counts_are_those_of_a_dictionary(tmp_path_factory, steps, limits):
    folder = tmp_path_factory.mktemp("asks")
    counters = Counters(folder, DAY, 0)
    most_subjects, most_asks, _ = limits
    pairs, subjects = {}, {}
    for key, number, kept, negative in steps:
        row = counters.row(f"key_{key}", "prd_1")
        own = pairs.get((key, number), 0)
        mine = sum(1 for (one, _), count in pairs.items() if one == key and count)
        wanted = not own
        if not own and mine >= most_subjects:
            wanted = -1
        elif subjects.get(number, 0) >= most_asks or own >= (most_asks + 1) // 2:
            wanted = -2
        found = counters.ask(row, subject(number), most_asks, (most_asks + 1) // 2, most_subjects)
        assert found == wanted
        if found < 0:
            continue
        counters.add(row, found, negative)
        if kept:
            pairs[key, number] = own + 1
            subjects[number] = subjects.get(number, 0) + 1
        else:
            counters.forget(row, subject(number))
            counters.add(row, -found, -negative)
    counters.close()


def test_processes_share_their_counts_and_a_new_one_goes_on_where_the_last_ended(city):
    one, two = guard(city, distinct_subjects=5, negatives=4), guard(city, distinct_subjects=5, negatives=4)
    assert all(is_answered(ask((one, two)[number % 2], number, negative=True)) for number in range(4))
    assert ask(one, 9) is ask(two, 9) is AlarmKind.NEGATIVES
    one.stop()
    two.stop()
    again = guard(city, distinct_subjects=5, negatives=4)
    assert ask(again, 9) is AlarmKind.NEGATIVES
    again.stop()


def test_a_process_has_a_column_of_its_own_while_it_lives(tmp_path):
    columns = [Column(tmp_path) for _ in range(COLUMNS)]
    assert [one.number for one in columns] == list(range(COLUMNS))
    assert 0 <= Column(tmp_path).number < COLUMNS
    columns[3].close()
    assert Column(tmp_path).number == 3


def test_a_full_table_counts_every_ask_as_about_a_new_subject(tmp_path, monkeypatch):
    monkeypatch.setattr(counting, "_MASK", 31)
    counters = Counters(tmp_path, DAY, 0)
    row = counters.row("key_1", "prd_1")
    asked = [counters.ask(row, subject(number), 9, 9, 10**9) for number in range(100)]
    assert asked == [1] * 100
    assert sum(counters.ask(row, subject(number), 9, 9, 10**9) for number in range(100)) > 50
    counters.close()


def test_counts_of_days_that_are_over_are_removed(tmp_path):
    for back in range(4):
        Counters(tmp_path, DAY - dt.timedelta(days=back), 0).close()
    forget_old(tmp_path, DAY)
    assert [path.stem for path in sorted(tmp_path.glob("*.map"))] == ["asks-2026-11-22", "asks-2026-11-23"]


def test_nothing_of_a_subject_or_a_key_stands_in_the_counts(tmp_path):
    counters = Counters(tmp_path, DAY, 0)
    counters.ask(counters.row("key_1", "prd_1"), subject(1), 9, 9, 9)
    counters.close()
    content = next(iter(tmp_path.glob("*.map"))).read_bytes()
    assert b"key_1" not in content
    assert subject(1) not in content


def test_limits_are_set_by_who_answers_for_the_product_and_heard_of(city):
    product = city.verification()
    defence = guard(city)
    defence.load()
    given = city.defence.set_limits(
        city.operator, product.id, "a pilot", distinct_subjects=2, subject_asks=10, negatives=5
    )  # fmt: skip
    assert city.defence.get_limits(city.consumer, product.id) == given
    with pytest.raises(NotAllowed):
        city.defence.set_limits(city.consumer, product.id, "x", distinct_subjects=9, subject_asks=9, negatives=9)
    with pytest.raises(Invalid, match="subject_asks"):
        city.defence.set_limits(city.operator, product.id, "x", distinct_subjects=9, subject_asks=0, negatives=9)
    event = city.database.events_after(0)[-1]
    assert (event.tag, event.data["negatives"]) == ("product:limit", 5)
    defence.handlers()["product:limit"][0](event)
    assert [is_answered(ask(defence, number, product=product.id)) for number in range(3)] == [True, True, False]


def test_a_spent_budget_stops_the_key_until_somebody_resolves_the_alarm(city):
    product = city.verification()
    city.limited(product, negatives=2)
    key = city.api_keys.create_key(city.consumer, product.id, "k", ("loan-review",)).key
    defence = guard(city)
    defence.load()
    defence.start()

    def try_it(number, at=NOON):
        return is_answered(ask(defence, number, key=key.id, product=product.id, negative=True, at=at))

    assert [try_it(number) for number in range(4)] == [True, True, False, False]
    defence.stop()
    (alarm,) = city.defence.list_alarms(city.operator)
    assert (alarm.kind, alarm.stops, alarm.limit, alarm.key, alarm.day) == (AlarmKind.NEGATIVES, True, 2, key.id, DAY)
    event = city.database.events_after(0)[-1]
    assert (event.tag, event.data["consumer"], event.data["operator"]) == (
        "alarm:raise", city.consumer.organisation, city.operator.organisation,
    )  # fmt: skip

    fresh = guarded(city)
    tomorrow = NOON + dt.timedelta(days=1)
    assert ask(guarded(city), 7, key=key.id, product=product.id, at=tomorrow) is AlarmKind.NEGATIVES
    with pytest.raises(NotAllowed):
        city.defence.resolve_alarm(city.consumer, alarm.id, "let me")
    resolved = city.defence.resolve_alarm(city.operator, alarm.id, "a batch of new customers, seen with the bank")
    assert (resolved.state, resolved.resolved_by) == (AlarmState.RESOLVED, city.operator.id)
    with pytest.raises(TransitionNotAllowed):
        city.defence.resolve_alarm(city.operator, alarm.id, "again")
    fresh.handlers()["alarm:*"][0](city.database.events_after(0)[-1])
    assert [is_answered(ask(fresh, number, key=key.id, product=product.id, negative=True)) for number in range(4)] == [
        True,
        True,
        False,
        False,
    ]
    fresh.start()
    fresh.stop()
    assert [one.round for one in city.defence.list_alarms(city.authority)] == [1, 0]


def test_an_alarm_is_raised_once_and_seen_by_those_who_have_a_part_in_it(city):
    product = city.verification()
    key = city.api_keys.create_key(city.consumer, product.id, "k", ("loan-review",)).key
    raised = [
        city.defence.raise_alarm(platform_actor("defence"), key.id, product.id, AlarmKind.SUBJECT_ASKS, DAY, 6)
        for _ in range(2)
    ]
    assert raised[1] is None
    seen = {
        who.id: bool(city.defence.list_alarms(who))
        for who in (city.operator, city.authority, city.consumer, city.rival, city.other_consumer)
    }
    assert seen == {
        city.operator.id: True, city.authority.id: True, city.consumer.id: True, city.rival.id: False,
        city.other_consumer.id: False,
    }  # fmt: skip
    with pytest.raises(NotFound):
        city.defence.get_alarm(city.rival, raised[0].id)
    with pytest.raises(NotAllowed):
        city.defence.raise_alarm(city.operator, key.id, product.id, AlarmKind.NEGATIVES, DAY, 6)
    with city.database.read() as work:
        assert len(work.list(ALARMS)) == 1
