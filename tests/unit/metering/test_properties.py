"""What holds for any events: their order does not matter, a reversal undoes, and facts equal events."""

from __future__ import annotations

import datetime as dt
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from shuzha.core.clock import FixedClock
from shuzha.core.errors import Invalid, NotFound
from shuzha.core.ids import new_id
from shuzha.ledger.checkpoint import Signer
from shuzha.ledger.reader import LogReader
from shuzha.metering.events import UsageEvent, check_event, join, microseconds, split
from shuzha.metering.facts import Fact, FactsStore
from shuzha.metering.recount import recount
from shuzha.metering.reports import UsageQuery, UsageReader
from shuzha.metering.store import UsageStore
from shuzha.metering.writer import open_store

NOON = dt.datetime(2026, 11, 22, 4, 0, tzinfo=dt.UTC)
SIGNER = Signer("city.example/usage", Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)

EVENTS = st.builds(
    lambda **fields: UsageEvent(usage_id=(usage_id := new_id("usg")), idempotency_key=usage_id, **fields),
    kind=st.sampled_from(["verification", "model"]), key_id=st.sampled_from(["key_1", "key_2"]),
    consumer=st.sampled_from(["org_a", "org_b"]), product=st.sampled_from(["P1", "P2"]),
    authorization=st.just("aut_1"), policy_version=st.just("v1"), claim=TEXT, purpose=st.sampled_from(["p", "贷款"]),
    answer=TEXT, price=st.integers(0, 500), waived=st.booleans(), request_digest=st.sampled_from(["", "ab"]),
    occurred_at=st.datetimes(dt.datetime(2026, 10, 30), dt.datetime(2026, 12, 2), timezones=st.just(dt.UTC)),  # noqa: DTZ001
    quantity=st.integers(1, 9), consent=st.sampled_from(["", "c" * 40]),
)  # fmt: skip


@contextmanager
def opened() -> Iterator[tuple[UsageStore, Path]]:
    with tempfile.TemporaryDirectory() as name:
        store = open_store(Path(name), SIGNER, FixedClock(NOON))
        try:
            yield store, Path(name)
        finally:
            store.close()


def facts_of(data: Path, *, again: bool = False) -> tuple[Fact, ...]:
    facts = FactsStore(data / "usage")
    facts.refresh()
    if again:
        facts.rebuild()
    found = facts.list_facts(UsageQuery())
    facts.close()
    return found


def grain(one: Any) -> tuple[object, ...]:
    names = ("product", "consumer", "authorization", "purpose", "claim", "kind", "price", "waived")
    return (str(one.day), *(getattr(one, name) for name in names))


def counts(facts: tuple[Fact, ...]) -> dict[tuple[object, ...], tuple[int, int]]:
    return {grain(fact): (fact.uses, fact.quantity) for fact in facts if (fact.uses, fact.quantity) != (0, 0)}


@given(EVENTS)
def test_an_event_is_its_series_and_its_point(event: UsageEvent) -> None:
    check_event(event)
    assert join(*split(event)) == event


@settings(max_examples=15)
@given(st.lists(EVENTS, min_size=1, max_size=25), st.data())
def test_facts_equal_events_whatever_their_order_and_batches(events: list[UsageEvent], data: st.DataObject) -> None:
    expected: Counter[tuple[object, ...]] = Counter()
    units: Counter[tuple[object, ...]] = Counter()
    for event in events:
        expected[grain(event)] += 1
        units[grain(event)] += event.quantity
    found = []
    for order in (events, data.draw(st.permutations(events))):
        cut = data.draw(st.integers(0, len(order)))
        with opened() as (store, folder):
            for part in (order[:cut], order[cut:]):
                store.record(part)
                assert counts(facts_of(folder)) == counts(facts_of(folder, again=True))
            found.append(counts(facts_of(folder)))
            log = LogReader(folder / "logs" / "usage")
            payloads = [entry.payload or b"" for entry in log.entries()]
            assert [msgspec.json.decode(payload, type=UsageEvent) for payload in payloads] == order
            assert recount(log, folder / "usage").differences == ()
            log.close()
    assert found[0] == found[1] == {key: (expected[key], units[key]) for key in expected}


@settings(max_examples=15)
@given(st.lists(EVENTS, min_size=1, max_size=12), st.data())
def test_a_reversal_undoes_exactly_what_it_names(events: list[UsageEvent], data: st.DataObject) -> None:
    gone = data.draw(st.sets(st.sampled_from(range(len(events)))))
    at = microseconds(NOON)
    with opened() as (store, folder):
        store.record(events)
        before = UsageReader(folder / "usage").totals(UsageQuery())
        for place in gone:
            done = store.reverse(events[place].usage_id, "entered twice", at)
            assert not done.duplicate
            again = store.reverse(events[place].usage_id, "another reason", at)
            assert (again.usage_id, again.answer, again.duplicate) == (done.usage_id, done.answer, True)
        reader = UsageReader(folder / "usage")
        after = reader.totals(UsageQuery())
        undone = [events[place] for place in gone]
        assert before.uses - after.uses == len(undone)
        assert before.quantity - after.quantity == sum(event.quantity for event in undone)
        assert before.charged - after.charged == sum(e.price * e.quantity for e in undone if not e.waived)
        assert before.waived - after.waived == sum(e.price * e.quantity for e in undone if e.waived)
        # Nothing was edited: the log has every event as it was, and the reversals behind them, on their own day.
        log = LogReader(folder / "logs" / "usage")
        kept = [msgspec.json.decode(entry.payload or b"", type=UsageEvent) for entry in log.entries()]
        log.close()
        assert kept[: len(events)] == events
        assert {event.reverses for event in kept[len(events) :]} == {event.usage_id for event in undone}
        assert all(event.day == "2026-11-22" for event in kept[len(events) :])
        assert sum(fact.uses for fact in facts_of(folder)) == after.uses
        reader.close()


def make(**changes: object) -> UsageEvent:
    usage_id = new_id("usg")
    fields = {
        "usage_id": usage_id, "idempotency_key": usage_id, "kind": "verification", "key_id": "key_1",
        "consumer": "org_a", "product": "P1", "authorization": "aut_1", "policy_version": "v1", "claim": "insured",
        "purpose": "p", "answer": "{}", "price": 120, "waived": False, "request_digest": "", "occurred_at": NOON,
    }  # fmt: skip
    return UsageEvent(**(fields | changes))


def test_a_reversal_is_refused_where_there_is_nothing_to_undo() -> None:
    event = make()
    with opened() as (store, _):
        store.record([event])
        with pytest.raises(NotFound):
            store.reverse("usg_unknown", "why", 1)
        with pytest.raises(Invalid, match="needs a reason"):
            store.reverse(event.usage_id, "  ", 1)
        done = store.reverse(event.usage_id, "why", 1)
        with pytest.raises(Invalid, match="is a reversal"):
            store.reverse(done.usage_id, "why", 1)


def test_a_reversal_is_remembered_after_the_table_was_built_again() -> None:
    event = make(quantity=2)
    with opened() as (store, folder):
        store.record([event])
        done = store.reverse(event.usage_id, "why", microseconds(NOON))
        store.rebuild()
        assert store.reverse(event.usage_id, "why", 2).usage_id == done.usage_id
        reader = UsageReader(folder / "usage")
        assert reader.totals(UsageQuery()).uses == 0
        assert reader.get_use(done.usage_id).quantity == -2
        reader.close()
