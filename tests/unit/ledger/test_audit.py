"""The audit log takes each event of the outbox once, whatever is repeated, lost or restored."""

from __future__ import annotations

import datetime as dt
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shuzha.core.actor import Actor
from shuzha.core.clock import FixedClock
from shuzha.core.keys import KeyRing
from shuzha.core.outbox import Follower
from shuzha.core.work import Database, Event
from shuzha.ledger.audit import AuditLog, list_audit, open_audit_log
from shuzha.ledger.reader import LogReader
from shuzha.ledger.snapshot import HALF_WRITTEN, copy_log, copy_rank
from shuzha.ledger.verify import verify_folder

NOON = dt.datetime(2026, 11, 22, 4, 0, tzinfo=dt.UTC)
OFFICER = Actor("usr_1", "褚监", "org_authority", frozenset({"authority"}), "portal")
OpenAudit = Callable[[], AuditLog]


@pytest.fixture
def open_audit(tmp_path: Path) -> OpenAudit:
    keys = KeyRing.create(tmp_path / "keys")
    return lambda: open_audit_log(tmp_path, keys, FixedClock(NOON))


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path}/records.db", FixedClock(NOON))
    database.create_tables()
    yield database
    database.engine.dispose()


def act(database: Database, count: int, start: int = 0) -> None:
    for number in range(start, start + count):
        with database.work(OFFICER) as work:
            work.emit("entry:publish", f"ent_{number}", "entry of the register, published", approver="usr_2")


def kill(audit: AuditLog) -> None:
    audit._known.close()
    os.close(audit._log._lock)


def events(database: Database) -> tuple[Event, ...]:
    return database.events_after(0)


def test_record_keeps_the_seven_fields(open_audit: OpenAudit, database: Database, tmp_path: Path) -> None:
    act(database, 1)
    audit = open_audit()
    [event] = events(database)
    assert audit.record(event) == 0
    audit.close()
    [(place, record)] = list_audit(LogReader(tmp_path / "logs" / "audit"))
    assert (place, record.tag, record.subject) == (0, "entry:publish", "ent_0")
    assert (record.approach, record.user, record.approver) == ("portal", "usr_1", "usr_2")
    assert (record.content, record.time) == ("entry of the register, published", "2026-11-22T04:00:00+00:00")
    assert (record.method, record.medium) == ("service", "database")


def test_repeated_events_are_stored_once(open_audit: OpenAudit, database: Database) -> None:
    act(database, 5)
    audit, all_events = open_audit(), events(database)
    assert audit.record_all(all_events[:3]) == (0, 1, 2)
    assert audit.record_all((*all_events, all_events[4])) == (0, 1, 2, 3, 4, 4)
    assert audit.record(all_events[1]) == 1
    audit.close()
    audit = open_audit()
    assert audit.record_all(all_events) == (0, 1, 2, 3, 4)
    assert audit.size == 5
    audit.close()


@pytest.mark.parametrize("lost", ["kept", "deleted", "garbage", "ahead"])
def test_a_kill_or_a_lost_table_doubles_nothing(
    open_audit: OpenAudit, database: Database, tmp_path: Path, lost: str
) -> None:
    act(database, 4)
    audit = open_audit()
    audit.record_all(events(database))
    if lost == "ahead":
        audit._known.execute("INSERT INTO known VALUES ('evt_other', 9)")
    kill(audit)
    table = tmp_path / "logs" / "audit.known.db"
    if lost == "deleted":
        table.unlink()
    elif lost == "garbage":
        table.write_bytes(b"no database" * 1_000)
    audit = open_audit()
    assert audit.record_all(events(database)) == (0, 1, 2, 3)
    audit.close()


def test_follower_of_the_outbox_feeds_the_log(open_audit: OpenAudit, database: Database, tmp_path: Path) -> None:
    audit = open_audit()
    follower = Follower(database, {"*": [audit.record]}, durable_name="audit")
    act(database, 3)
    assert follower.step() == 3
    # A second follower that lost its place sends everything again.
    assert Follower(database, {"*": [audit.record]}, durable_name="other").step() == 3
    audit.close()
    report = verify_folder(tmp_path / "logs" / "audit")
    assert (report.faults, report.size, report.signed_size) == ([], 3, 3)


def test_catch_up_mends_a_log_older_than_the_records(open_audit: OpenAudit, database: Database, tmp_path: Path) -> None:
    act(database, 3)
    audit = open_audit()
    assert audit.catch_up(database) == 3
    copy_log(tmp_path / "logs" / "audit", tmp_path / "backup")
    act(database, 4, start=3)
    assert [audit.catch_up(database), audit.catch_up(database)] == [4, 0]
    audit.close()
    shutil.rmtree(tmp_path / "logs")
    shutil.copytree(tmp_path / "backup", tmp_path / "logs" / "audit")
    audit = open_audit()
    assert audit.size == 3
    assert audit.catch_up(database) == 4
    audit.close()
    found = list_audit(LogReader(tmp_path / "logs" / "audit"), limit=5)
    assert [record.subject for _, record in found] == ["ent_6", "ent_5", "ent_4", "ent_3", "ent_2"]
    older = list_audit(LogReader(tmp_path / "logs" / "audit"), limit=5, before=found[-1][0])
    assert [record.subject for _, record in older] == ["ent_1", "ent_0"]


def test_checkpoints_are_signed_in_the_background(open_audit: OpenAudit, database: Database, tmp_path: Path) -> None:
    act(database, 1)
    audit = open_audit()
    audit.start(every=0.01)
    audit.record_all(events(database))
    reader, deadline = LogReader(tmp_path / "logs" / "audit"), dt.datetime.now(dt.UTC) + dt.timedelta(seconds=10)
    while reader.checkpoint().size == 0:
        assert dt.datetime.now(dt.UTC) < deadline
    audit.close()


def test_copy_of_a_living_log_verifies_and_opens(open_audit: OpenAudit, database: Database, tmp_path: Path) -> None:
    act(database, 2)
    audit = open_audit()
    audit.record_all(events(database)[:1])
    audit.publish()
    audit.record_all(events(database))
    copy_log(tmp_path / "logs" / "audit", tmp_path / "copy" / "logs" / "audit")
    files = [path for path in (tmp_path / "logs" / "audit").rglob("*") if path.is_file()]
    names = [path.name for path in sorted(files, key=copy_rank) if not path.name.endswith(HALF_WRITTEN)]
    assert names == ["checkpoint", "checkpoints", "hashes.bin", "lock", "offsets.bin", "public-key", "000000.jsonl"]
    report = verify_folder(tmp_path / "copy" / "logs" / "audit")
    assert (report.faults, report.size, report.signed_size) == ([], 2, 1)
    copy = open_audit_log(tmp_path / "copy", KeyRing(tmp_path / "keys"), FixedClock(NOON))
    assert copy.size == 2
    copy.close()
    audit.close()
