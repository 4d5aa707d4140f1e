"""Facts equal events, however often they are made; reports count what was metered."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from shuzha.core.errors import Invalid, NotFound
from shuzha.metering.events import UsageEvent
from shuzha.metering.facts import FactsStore
from shuzha.metering.reports import Totals, UsageQuery, UsageReader, month
from shuzha.metering.store import UsageStore

MakeEvent = Callable[..., UsageEvent]
OpenUsage = Callable[[], UsageStore]
START = dt.datetime(2026, 11, 29, 20, 0, tzinfo=dt.UTC)


def random_events(make_event: MakeEvent, count: int, seed: int) -> list[UsageEvent]:
    dice = random.Random(seed)
    return [
        make_event(
            consumer=dice.choice(["org_a", "org_b"]), product=dice.choice(["P1", "P2"]), price=dice.choice([120, 375]),
            waived=dice.random() < 0.2, quantity=dice.choice([1, 1, 3]), purpose=dice.choice(["loan", "hiring"]),
            occurred_at=START + dt.timedelta(hours=dice.randrange(48)),
        )
        for _ in range(count)
    ]  # fmt: skip


def test_facts_equal_events_and_making_them_again_changes_nothing(
    open_usage: OpenUsage, make_event: MakeEvent, tmp_path: Path
) -> None:
    store, events = open_usage(), random_events(make_event, 300, 1)
    store.record(events[:200])
    facts = FactsStore(tmp_path / "usage")
    assert facts.refresh() == 199
    store.record(events[200:])
    assert [facts.refresh(), facts.refresh()] == [299, 299]
    made = facts.list_facts(UsageQuery())
    assert sum(fact.uses for fact in made) == 300
    charged = sum(event.price * event.quantity for event in events if not event.waived)
    assert sum(fact.charged for fact in made) == charged
    assert {str(fact.day) for fact in made} == {event.day for event in events}
    one = made[0]
    alike = (str(one.day), one.product, one.consumer, one.purpose, one.price, one.waived)
    same = [e for e in events if (e.day, e.product, e.consumer, e.purpose, e.price, e.waived) == alike]
    assert (one.uses, one.quantity) == (len(same), sum(event.quantity for event in same))
    facts.rebuild()
    assert facts.list_facts(UsageQuery()) == made
    facts.close()


def test_order_of_events_does_not_change_facts(open_usage: OpenUsage, make_event: MakeEvent, tmp_path: Path) -> None:
    events = random_events(make_event, 100, 2)
    store = open_usage()
    store.record(sorted(events, key=lambda event: event.usage_id, reverse=True))
    facts = FactsStore(tmp_path / "usage")
    facts.refresh()
    kept = [(fact.day, fact.product, fact.price, fact.uses, fact.charged) for fact in facts.list_facts(UsageQuery())]
    store.close()
    (tmp_path / "logs" / "usage").rename(tmp_path / "old")
    (tmp_path / "usage" / "usage.db").unlink()
    store = open_usage()
    for event in events:
        store.record([event])
    facts.close()
    facts = FactsStore(tmp_path / "usage")
    facts.rebuild()
    assert kept == [
        (fact.day, fact.product, fact.price, fact.uses, fact.charged) for fact in facts.list_facts(UsageQuery())
    ]


def test_totals_and_lists_answer_the_query(open_usage: OpenUsage, make_event: MakeEvent, tmp_path: Path) -> None:
    store, events = open_usage(), random_events(make_event, 200, 3)
    store.record(events)
    reader, first = UsageReader(tmp_path / "usage"), dt.date(2026, 12, 1)
    for query, meant in (
        (UsageQuery(), events),
        (UsageQuery(consumer="org_a"), [event for event in events if event.consumer == "org_a"]),
        (UsageQuery(product="P2", first=first), [e for e in events if e.product == "P2" and e.day >= "2026-12-01"]),
        (UsageQuery(end=first, key_id="key_1"), [event for event in events if event.day < "2026-12-01"]),
        (UsageQuery(consumer="org_nobody"), []),
    ):
        totals = reader.totals(query)
        places = [events.index(event) for event in meant]
        assert totals == Totals(
            len(meant), sum(event.quantity for event in meant),
            sum(event.price * event.quantity for event in meant if not event.waived),
            sum(event.price * event.quantity for event in meant if event.waived),
            min(places, default=None), max(places, default=None),
        )  # fmt: skip
        page = reader.list_uses(query, limit=50)
        while len(page) < len(meant):
            page += reader.list_uses(query, limit=50, before=page[-1].log_index)
        assert [use.usage_id for use in reversed(page)] == [event.usage_id for event in meant]
    use = reader.get_use(events[7].usage_id)
    assert (use.log_index, use.occurred_at, use.waived) == (7, events[7].occurred_at, events[7].waived)
    with pytest.raises(NotFound, match="no metered use"):
        reader.get_use("usg_none")


def test_month_is_half_open() -> None:
    assert month("2026-12") == (dt.date(2026, 12, 1), dt.date(2027, 1, 1))
    assert month("2028-02") == (dt.date(2028, 2, 1), dt.date(2028, 3, 1))
    for bad in ("2026-13", "2026", "2026-11-22", "", "x"):
        with pytest.raises(Invalid, match="this period is refused"):
            month(bad)


def test_reader_says_when_nothing_was_metered(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="nothing has been metered"):
        UsageReader(tmp_path)
