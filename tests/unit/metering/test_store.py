"""Events in, outcomes out: once each, in the log and in the table alike."""

from __future__ import annotations

import datetime as dt
import os
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from shuzha.core.errors import Conflict, Invalid, NotFound, Unavailable
from shuzha.core.ids import new_id
from shuzha.ledger.verify import verify_folder
from shuzha.metering.compute import ComputeUse, check_compute
from shuzha.metering.events import ID_PREFIX, Recorded, UsageEvent, check_event, split
from shuzha.metering.reports import UsageQuery, UsageReader
from shuzha.metering.store import UsageStore

MakeEvent = Callable[..., UsageEvent]
OpenUsage = Callable[[], UsageStore]
NAIVE = dt.datetime(2026, 1, 1)  # noqa: DTZ001  (what must be refused)


def kill(store: UsageStore) -> None:
    """End a store as kill -9 does."""
    store._table.close()
    os.close(store._log._lock)


def uses_of(folder: Path) -> list[tuple[int, str]]:
    reader = UsageReader(folder / "usage")
    found = [(use.log_index, use.usage_id) for use in reader.list_uses(UsageQuery(), limit=10_000)]
    reader.close()
    return sorted(found)


def test_record_gives_each_event_its_place_in_the_log(
    open_usage: OpenUsage, make_event: MakeEvent, tmp_path: Path
) -> None:
    store, events = open_usage(), [make_event() for _ in range(5)]
    outcomes = store.record(events[:3]) + store.record(events[3:])
    expected = [Recorded(event.usage_id, place, event.answer, False) for place, event in enumerate(events)]
    assert outcomes == expected
    store.close()
    assert uses_of(tmp_path) == [(place, event.usage_id) for place, event in enumerate(events)]
    report = verify_folder(tmp_path / "logs" / "usage")
    assert (report.faults, report.size) == ([], 5)


def test_record_keeps_every_field_in_the_log(open_usage: OpenUsage, make_event: MakeEvent) -> None:
    store, event = open_usage(), make_event(answer='{"result":"no_match"}', purpose="贷款审核", waived=True)
    store.record([event])
    payload = store._log.reader.entry(0).payload
    assert payload is not None
    assert msgspec.json.decode(payload, type=UsageEvent) == event


def test_retry_gets_the_first_answer(open_usage: OpenUsage, make_event: MakeEvent) -> None:
    store = open_usage()
    first = make_event(idempotency_key="order-7", answer='{"result":"match"}')
    again = make_event(idempotency_key="order-7", answer='{"result":"no_match"}')
    store.record([make_event(), first])
    expected = Recorded(first.usage_id, 1, '{"result":"match"}', True)
    assert store.record([again]) == [expected]
    fresh = make_event()
    assert store.record([again, fresh, again])[::2] == [expected, expected]
    assert store.size == 3


def test_retry_in_the_same_batch_is_counted_once(open_usage: OpenUsage, make_event: MakeEvent) -> None:
    store = open_usage()
    events = [make_event(idempotency_key="a"), make_event(idempotency_key="a"), make_event(idempotency_key="b")]
    outcomes = store.record(events)
    assert [(outcome.log_index, outcome.duplicate) for outcome in outcomes if isinstance(outcome, Recorded)] == [
        (0, False), (0, True), (1, False),
    ]  # fmt: skip
    assert store.size == 2


def test_same_idempotency_key_of_another_consumer_key_is_another_use(
    open_usage: OpenUsage, make_event: MakeEvent
) -> None:
    store = open_usage()
    store.record([make_event(idempotency_key="a", key_id="key_1"), make_event(idempotency_key="a", key_id="key_2")])
    assert store.size == 2


def test_idempotency_key_with_another_request_is_a_conflict(open_usage: OpenUsage, make_event: MakeEvent) -> None:
    store = open_usage()
    store.record([make_event(idempotency_key="a", request_digest="d1")])
    changed, fresh = make_event(idempotency_key="a", request_digest="d2"), make_event()
    outcomes = store.record([changed, fresh])
    assert isinstance(outcomes[0], Conflict)
    assert outcomes[0].code == "idempotency_conflict"
    assert isinstance(outcomes[1], Recorded)
    assert store.size == 2


def test_usage_id_of_another_use_is_a_conflict(open_usage: OpenUsage, make_event: MakeEvent) -> None:
    store, event = open_usage(), make_event()
    store.record([event])
    taken = make_event(usage_id=event.usage_id, idempotency_key="other")
    [first, second, third] = store.record([taken, make_event(usage_id="usg_x"), make_event(usage_id="usg_x")])
    assert isinstance(first, Conflict)
    assert isinstance(second, Recorded)
    assert isinstance(third, Conflict)


def test_reopened_store_knows_what_a_killed_one_logged(
    open_usage: OpenUsage, make_event: MakeEvent, tmp_path: Path
) -> None:
    store = open_usage()
    events = [make_event(idempotency_key=f"call-{number}") for number in range(6)]
    store.record(events[:4])
    kill(store)
    # The table never saw the last two: a kill between the log's write and the table's commit.
    with sqlite3.connect(tmp_path / "usage" / "usage.db") as database:
        database.execute("DELETE FROM uses WHERE log_index >= 2")
    database.close()
    store = open_usage()
    outcomes = store.record(events)
    assert [outcome.duplicate for outcome in outcomes if isinstance(outcome, Recorded)] == [True] * 4 + [False] * 2
    store.close()
    assert uses_of(tmp_path) == [(place, event.usage_id) for place, event in enumerate(events)]


@pytest.mark.parametrize("damage", ["page", "header", "truncated", "other_log"])
def test_damaged_table_is_built_again_from_the_log(
    open_usage: OpenUsage, make_event: MakeEvent, tmp_path: Path, damage: str
) -> None:
    store, events = open_usage(), [make_event() for _ in range(40)]
    store.record(events)
    store.close()
    table = tmp_path / "usage" / "usage.db"
    whole = bytearray(table.read_bytes())
    if damage == "page":
        whole[4096:] = b"\xff" * (len(whole) - 4096)
    elif damage == "header":
        whole[:16] = b"not a database!!"
    elif damage == "truncated":
        del whole[5000:]
    table.write_bytes(whole)
    if damage == "other_log":
        with sqlite3.connect(table) as database:
            database.execute("UPDATE uses SET usage_id = 'usg_other' WHERE log_index = 39")
        database.close()
    open_usage().close()
    assert uses_of(tmp_path) == [(place, event.usage_id) for place, event in enumerate(events)]


def test_table_damaged_under_a_running_writer_is_built_again(
    open_usage: OpenUsage, make_event: MakeEvent, tmp_path: Path
) -> None:
    store, events = open_usage(), [make_event() for _ in range(60)]
    store.record(events[:50])
    store._table._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    store._table._database.execute("PRAGMA shrink_memory")
    table = tmp_path / "usage" / "usage.db"
    pages = table.stat().st_size - 4096
    with table.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * pages)
    outcomes = store.record(events[45:])
    assert [outcome.duplicate for outcome in outcomes if isinstance(outcome, Recorded)] == [True] * 5 + [False] * 10
    store.close()
    assert uses_of(tmp_path) == [(place, event.usage_id) for place, event in enumerate(events)]


def test_failed_disk_is_said_and_nothing_is_acknowledged(
    open_usage: OpenUsage, make_event: MakeEvent, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    store, event = open_usage(), make_event(idempotency_key="a")

    def full(*_of: object) -> None:
        raise OSError(28, "No space left on device")

    for call in ("pwritev", "fdatasync"):
        monkeypatch.setattr(os, call, full)
    with pytest.raises(Unavailable, match="No space left"):
        store.record([event])
    with pytest.raises(Unavailable, match="closed after a failed write"):
        store.record([make_event()])
    monkeypatch.undo()
    kill(store)
    store = open_usage()
    store.record([event])
    store.close()
    assert uses_of(tmp_path) == [(0, event.usage_id)]


def test_check_event_names_the_field_it_refuses(make_event: MakeEvent) -> None:
    check_event(make_event())
    check_event(make_event(answer="x" * 50_000))
    for field, value in {
        "usage_id": "use_1", "kind": "", "key_id": "a b", "consumer": "x" * 81, "product": "a\n", "idempotency_key": "",
        "claim": "x" * 201, "answer": "\0" * 12_000, "price": -1, "quantity": 0, "occurred_at": NAIVE,
    }.items():  # fmt: skip
        with pytest.raises(Invalid) as refused:
            check_event(make_event(**{field: value}))
        assert refused.value.rule in {f"metering.{field}", "metering.price"}


def test_day_is_that_of_the_city(make_event: MakeEvent) -> None:
    assert make_event(occurred_at=dt.datetime(2026, 11, 30, 15, 59, tzinfo=dt.UTC)).day == "2026-11-30"
    assert make_event(occurred_at=dt.datetime(2026, 11, 30, 16, 0, tzinfo=dt.UTC)).day == "2026-12-01"


def test_a_use_acknowledged_a_moment_ago_is_found_before_the_table_has_it(
    open_usage: OpenUsage, make_event: MakeEvent, tmp_path: Path
) -> None:
    store, event = open_usage(), make_event(usage_id=new_id(ID_PREFIX))
    store.record([make_event()])
    series, point = split(event)
    store.record_points([(store.label(series), point)])
    assert event.usage_id not in {usage_id for _, usage_id in uses_of(tmp_path)}
    reader = UsageReader(tmp_path / "usage")
    with ThreadPoolExecutor() as pool:
        found = pool.submit(lambda: UsageReader(tmp_path / "usage").get_use(event.usage_id))
        time.sleep(0.05)
        store.flush()
        assert found.result().usage_id == event.usage_id
    with pytest.raises(NotFound):
        reader.get_use("usg_" + "0" * 26)


def test_a_use_that_never_was_is_not_waited_for_longer_than_the_table_follows(
    open_usage: OpenUsage, make_event: MakeEvent, tmp_path: Path
) -> None:
    open_usage().record([make_event()])
    with pytest.raises(NotFound):
        UsageReader(tmp_path / "usage").get_use(new_id(ID_PREFIX))


def compute_of(workspace: str = "wsp_1", day: str = "2026-11-22", **changes: int) -> ComputeUse:
    amounts = {"cpu_milliseconds": 5, "memory_byte_seconds": 6, "storage_byte_seconds": 7} | changes
    return ComputeUse(workspace=workspace, operator="org_a", authorization="aut_1", grant="grt_1", day=day, **amounts)


def test_a_workspaces_day_is_in_the_log_once_and_no_use_of_a_product(
    open_usage: OpenUsage, make_event: MakeEvent, tmp_path: Path
) -> None:
    store = open_usage()
    store.record([make_event()])
    assert store.record_compute([compute_of(), compute_of(day="2026-11-23"), compute_of()]) == 2
    assert store.record_compute([compute_of(cpu_milliseconds=99), compute_of("wsp_2")]) == 1
    store.record([make_event()])
    for _ in range(2):
        assert len(uses_of(tmp_path)) == 2
        assert store.record_compute([compute_of("wsp_2"), compute_of()]) == 0
        store.rebuild()
    entry = store._log.reader.entry(1)
    assert (entry.header.kind, entry.header.id) == ("compute", "cmp_wsp_1_2026-11-22")
    assert entry.payload is not None
    assert msgspec.json.decode(entry.payload, type=ComputeUse) == compute_of()
    kill(store)
    with sqlite3.connect(tmp_path / "usage" / "usage.db") as database:
        database.execute("DELETE FROM compute WHERE log_index = 3")
        database.execute("DELETE FROM uses WHERE log_index = 4")
    database.close()
    store = open_usage()
    assert store.record_compute([compute_of("wsp_2")]) == 0
    store.close()


def test_check_compute_names_the_field_it_refuses() -> None:
    check_compute(compute_of())
    for bad in (compute_of("a b"), compute_of(day="22.11.2026"), compute_of(cpu_milliseconds=-1)):
        with pytest.raises(Invalid, match="computing is refused"):
            check_compute(bad)
