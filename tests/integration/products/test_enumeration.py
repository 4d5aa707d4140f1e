"""Whoever tries all numbers there are: what he gets out of a running API, and who hears of it."""

from __future__ import annotations

import pytest

from products.defence.model import AlarmKind
from tests.integration.products.conftest import question, wait_until
from tests.products_kit import who


@pytest.fixture
def attacked(platform):
    """Limits as a city would set them, which the other tests of this platform do not have."""

    def limit(**limits):
        before = platform.city.database.last_sequence()
        platform.city.limited(platform.product, **limits)
        # The API hears of limits within a second; a key made after them is known only then.
        assert platform.city.database.last_sequence() > before
        return platform.key(rate=10_000)

    yield limit
    platform.city.limited(platform.product)


def ask_all(platform, key, numbers):
    """Ask about people one by one, as fast as it goes, and return the answers."""
    path = f"/v1/products/{platform.product.code}/verify"
    with platform.client(key) as client:
        return [client.post(path, json=question(number)) for number in numbers]


def code(answer):
    return "" if answer.status_code == 200 else answer.json()["code"]


def alarms(platform, key):
    return [one for one in platform.city.defence.list_alarms(platform.city.operator) if one.key == key.key.id]


def test_an_enumeration_ends_at_the_number_of_subjects(platform, attacked):
    key = attacked(subjects=30)
    before = platform.metered(key)
    answers = ask_all(platform, key, range(100, 180))
    assert [code(one) for one in answers] == [""] * 30 + ["asks_spent"] * 50
    assert {one.status_code for one in answers} == {200, 429}
    assert "ratelimit" in answers[-1].headers
    assert platform.metered(key) == before + 30
    assert code(platform.verify(key, 100)) == ""  # whom it asked about before, it may ask about again
    assert code(platform.verify(platform.key(), 170)) == ""
    wait_until(lambda: bool(alarms(platform, key)), 10)
    (alarm,) = alarms(platform, key)
    assert (alarm.kind, alarm.limit, alarm.stops) == (AlarmKind.DISTINCT_SUBJECTS, 30, False)


def test_a_batch_that_goes_beyond_is_refused_whole_and_counts_nothing(platform, attacked):
    key = attacked(subjects=30)
    path = f"/v1/products/{platform.product.code}/verify:batch"

    def batch(numbers):
        items = [{"subject": {"resident_id": who(number)}, "claim": "insured", "consent": "c"} for number in numbers]
        return platform.post(path, key, {"purpose": "loan-review", "items": items})

    before = platform.metered(key)
    assert code(batch(range(200, 231))) == "asks_spent"
    assert platform.metered(key) == before
    assert code(batch(range(200, 230))) == ""
    assert code(batch(range(200, 230))) == ""
    assert code(batch([230])) == "asks_spent"


def test_a_search_for_people_stops_the_key_and_is_told(platform, attacked):
    """Nine in ten tries are nobody: the budget ends it long before the number of subjects does."""
    key = attacked(negatives=20)
    answers = ask_all(platform, key, range(5_000, 5_060))
    assert [code(one) for one in answers] == [""] * 20 + ["key_stopped"] * 40
    assert code(platform.verify(key, 0)) == "key_stopped"
    wait_until(lambda: bool(alarms(platform, key)), 10)
    (alarm,) = alarms(platform, key)
    assert (alarm.kind, alarm.stops) == (AlarmKind.NEGATIVES, True)
    told = [event for event in platform.city.database.events_after(0) if event.subject == alarm.id]
    assert [(event.tag, event.data["operator"], event.data["provider"]) for event in told] == [
        ("alarm:raise", platform.city.operator.organisation, alarm.provider)
    ]
    assert who(5_000) not in str(told)
    platform.city.defence.resolve_alarm(platform.city.operator, alarm.id, "new customers of the bank")
    wait_until(lambda: code(platform.verify(key, 0)) == "", 10)


def test_the_budget_counts_what_the_asker_sees_and_not_who_is_known(platform, attacked):
    """Odd people are known and not insured, those beyond 200 are nobody: both end after as many answers."""
    ends = []
    for numbers in (range(1, 60, 2), range(7_000, 7_030)):
        key = attacked(negatives=10)
        ends.append([code(one) for one in ask_all(platform, key, numbers)])
    assert ends[0] == ends[1] == [""] * 10 + ["key_stopped"] * (len(ends[0]) - 10)


@pytest.mark.parametrize("number", [0, 1, 8_888])
def test_a_subject_that_was_asked_about_often_is_refused_alike_be_it_known_or_not(platform, attacked, number):
    first, second = attacked(asks=60_000), platform.key(rate=10_000)
    platform.city.limited(platform.product, asks=6)
    third = platform.key(rate=10_000)
    number = {0: 40, 1: 41, 8_888: 8_888}[number]  # whom no other test asks about
    answers = [*ask_all(platform, first, [number] * 4), *ask_all(platform, second, [number] * 4)]
    assert [code(one) for one in answers] == ["", "", "", "asks_spent"] * 2
    refused = platform.verify(third, number)
    body = {name: text for name, text in refused.json().items() if name != "trace"}
    assert body == {
        "type": "/problems/asks_spent", "title": "Too Many Requests", "status": 429, "code": "asks_spent",
        "detail": "the asks of the day are used up: about new subjects, or about this one", "rule": "product.limits",
        "accepted": "tomorrow, or a subject that was asked about before",
    }  # fmt: skip


def test_retries_of_one_question_are_one_and_are_answered_when_limits_are_spent(platform, attacked):
    key = attacked(subjects=2, asks=6)
    first = platform.verify(key, 300, idempotency="one")
    assert all(platform.verify(key, 300, idempotency="one").json() == first.json() for _ in range(10))
    assert [code(one) for one in ask_all(platform, key, [300, 300, 301, 302])] == ["", "", "", "asks_spent"]
    assert code(platform.verify(key, 300)) == "asks_spent"
    assert platform.verify(key, 300, idempotency="one").json() == first.json()


def test_counts_outlive_the_process(platform, attacked):
    key = attacked(subjects=5)
    assert [code(one) for one in ask_all(platform, key, range(400, 403))] == [""] * 3
    platform.stop("api")
    platform.start_api()
    assert [code(one) for one in ask_all(platform, key, range(403, 408))] == [""] * 2 + ["asks_spent"] * 3


@pytest.mark.parametrize("consent", [None, " ", "form\n1", who(0)])
def test_a_question_about_a_person_names_a_consent(platform, consent):
    body = question()
    if consent is None:
        del body["consent"]
    else:
        body["consent"] = consent
    answer = platform.post(f"/v1/products/{platform.product.code}/verify", platform.key(), body)
    assert (answer.status_code, code(answer)) == (422, "consent_required")
