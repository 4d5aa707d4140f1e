import datetime as dt
import os
import subprocess
import sys
import textwrap
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from shuzha.catalog.ingest import ingest_batch
from shuzha.catalog.model import BatchState, ElementType, SubjectKind
from shuzha.catalog.service import round_rows
from shuzha.core.errors import Invalid, NotAllowed, NotFound, TransitionNotAllowed
from tests.catalog_kit import ROWS, CatalogKit, element, scan_as_plain

HEADER = ROWS.splitlines()[0]


@pytest.fixture
def kit(tmp_path):
    return CatalogKit(tmp_path, scanner=scan_as_plain)


@pytest.fixture
def entry(kit):
    return kit.published()


def lines(*rows):
    return "\n".join((HEADER, *rows)) + "\n"


def inbox(kit):
    return sorted(path.name for path in (kit.zone.folder / "inbox").iterdir())


def test_ingest_commits_a_version_with_a_receipt_without_values(kit, entry):
    batch = kit.ingested(entry)
    receipt = batch.receipt
    assert batch.state is BatchState.INGESTED
    assert (receipt.rows, receipt.table_rows, receipt.delta_version, receipt.superseded) == (3, 3, 0, 0)
    assert receipt.sha256 == batch.sha256
    amount = next(column for column in receipt.quality if column.name == "amount")
    person = next(column for column in receipt.quality if column.name == "person")
    assert (amount.nulls, amount.distinct) == (1, 2)
    assert (person.nulls, person.distinct, person.min_length, person.max_length) == (0, 3, 2, 2)
    rows = kit.rows(entry).sort("visits", nulls_last=True)
    assert rows["amount"].to_list() == [Decimal("80.00"), Decimal("120.50"), None]
    assert rows["paid_on"].to_list() == [dt.date(2026, 2, 3), dt.date(2026, 1, 31), None]
    assert rows["late"].to_list() == [True, False, False]
    fresh = kit.service.get_entry(kit.provider, entry.id)
    assert (fresh.raw_version, fresh.raw_rows) == (0, 3)
    assert kit.tags()[-2:] == ["batch:receive", "batch:ingest"]
    assert inbox(kit) == []


def test_who_may_only_browse_cannot_count_the_rows(kit, entry):
    # With the exact number, a privacy budget that hides one person's rows would hide nothing.
    kit.ingested(entry)
    for actor, rows in ((kit.provider, 3), (kit.authority, 3), (kit.analyst, 100)):
        assert kit.service.get_entry(actor, entry.id).raw_rows == rows
        assert [one.raw_rows for one in kit.service.list_entries(actor)] == [rows]


@pytest.mark.parametrize(
    ("rows", "shown"), [(1, 100), (149, 100), (950, 1000), (24_129, 20_000), (1_000_000, 1_000_000)]
)
def test_rounded_rows_keep_one_digit(rows, shown):
    assert round_rows(rows) == shown


def test_files_of_the_raw_zone_are_closed_to_others(kit, entry):
    batch = kit.received(entry)
    assert kit.zone.inbox(batch.id).stat().st_mode & 0o777 == 0o600
    assert kit.zone.folder.stat().st_mode & 0o777 == 0o700
    assert (kit.zone.folder / "inbox").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("encoding", ["utf-8-sig", "gb18030"])
def test_ingest_reads_every_accepted_encoding(kit, entry, encoding):
    assert kit.ingested(entry, ROWS.encode(encoding)).state is BatchState.INGESTED
    assert set(kit.rows(entry)["person"]) == {"甲一", "乙二", "丙三"}


def test_ingest_reads_parquet_with_types_that_delta_would_not_take(kit, entry):
    frame = pl.read_csv(ROWS.encode()).with_columns(
        pl.col("person").cast(pl.Categorical), pl.col("visits").cast(pl.UInt64), pl.lit(None).alias("late"),
        pl.col("seen_at").str.to_datetime(time_unit="ns"), pl.col("amount").cast(pl.Float64),
    )  # fmt: skip
    path = kit.folder / "rows.parquet"
    frame.write_parquet(path)
    batch = kit.ingested(entry, path.read_bytes())
    assert batch.refusal is None
    assert kit.rows(entry)["amount"].sum() == Decimal("200.50")


@pytest.mark.parametrize(
    ("content", "rule", "words"),
    [
        (ROWS.encode("utf-16"), "batch.encoding", "rows.csv is in an encoding"),
        (ROWS.replace(",visits", "", 1), "batch.columns", "missing column `visits`"),
        (ROWS.replace("visits", "visitors"), "batch.columns", "missing column `visits`"),
        (ROWS.replace("120.50", "很多"), "batch.types.decimal", "1 of 3 rows of column `amount`"),
        (ROWS.replace("2026-01-31", "31/01/2026"), "batch.types.date", "1 of 3 rows of column `paid_on`"),
        (ROWS.replace("丙三,", ","), "batch.keys", "1 rows have no key `person`"),
        (ROWS.replace("丙三", "甲一"), "batch.keys", "1 rows repeat the key"),
        (HEADER + "\n", "batch.file", "holds no rows"),
        (ROWS + '"broken', "batch.", "rows.csv"),
        (ROWS + "丁四,2026-01,1,2026-01-01,2026-01-01 00:00,是,1,13812345678\n", "batch.file", "shape of the header"),
    ],
)
def test_ingest_refuses_a_bad_file_and_changes_nothing(kit, entry, content, rule, words):
    kit.ingested(entry)
    before = kit.rows(entry)
    batch = kit.ingested(entry, content)
    assert batch.state is BatchState.REFUSED
    assert batch.refusal.rule.startswith(rule)
    assert words in batch.refusal.message
    assert batch.refusal.accepted
    for value in ("很多", "甲一", "13812345678", "31/01/2026"):
        assert value not in repr(batch.refusal)
    assert kit.zone.version(entry.id) == 0
    assert kit.rows(entry).equals(before)
    assert inbox(kit) == []
    assert kit.tags()[-1] == "batch:refuse"


def test_ingest_refuses_an_empty_cell_where_none_may_be(kit, entry):
    batch = kit.ingested(entry, ROWS.replace("丙三,2026-01", "丙三, "))
    assert "1 rows have no key `month`" in batch.refusal.message


def test_append_adds_and_refuses_keys_that_are_there(kit, entry):
    kit.ingested(entry)
    more = kit.ingested(entry, lines("丁四,2026-01,1,,2026-02-01 00:00,否,1"), "append")
    assert (more.receipt.delta_version, more.receipt.table_rows) == (1, 4)
    again = kit.ingested(entry, lines("丁四,2026-01,1,,2026-02-01 00:00,否,1"), "append")
    assert "1 rows have a key `person`, `month` that is there already" in again.refusal.message
    assert kit.rows(entry).height == 4


def test_full_replaces_all_and_old_versions_can_still_be_read(kit, entry):
    kit.ingested(entry)
    second = kit.ingested(entry, lines("丁四,2026-02,1,,2026-02-01 00:00,否,1"))
    assert second.receipt.delta_version == 1
    assert kit.rows(entry)["person"].to_list() == ["丁四"]
    assert kit.zone.scan(entry.id, 0).collect().height == 3
    with pytest.raises(NotFound):
        kit.zone.scan(entry.id, 7)


def test_merge_takes_the_newest_of_equal_keys_and_keeps_newer_rows_that_are_there(kit, entry):
    kit.ingested(entry)
    batch = kit.ingested(
        entry,
        lines(
            "甲一,2026-01,1,,2026-02-02 00:00,否,1",
            "甲一,2026-01,2,,2026-02-03 00:00,否,1",
            "乙二,2026-01,3,,2026-02-01 00:00,否,1",
            "丁四,2026-01,4,,2026-02-01 00:00,否,1",
        ),
        "merge",
    )
    assert batch.refusal is None
    assert (batch.receipt.rows, batch.receipt.superseded, batch.receipt.table_rows) == (4, 1, 4)
    amounts = dict(kit.rows(entry).select("person", "amount").iter_rows())
    assert amounts == {"甲一": Decimal(2), "乙二": Decimal(80), "丙三": None, "丁四": Decimal(4)}


def test_merge_refuses_rows_of_equal_key_and_marker_and_rows_without_a_marker(kit, entry):
    kit.ingested(entry)
    twice = kit.ingested(entry, lines(*["甲一,2026-01,1,,2026-02-02 00:00,否,1"] * 2), "merge")
    assert "1 rows repeat the key" in twice.refusal.message
    unmarked = kit.ingested(entry, lines("甲一,2026-01,1,,,否,1"), "merge")
    assert "no key `seen_at`" in unmarked.refusal.message
    assert kit.zone.version(entry.id) == 0


def test_merge_without_a_marker_replaces_rows_of_equal_key(kit):
    entry = kit.published(code="3010005", update_marker=None)
    kit.ingested(entry, mode="merge")
    batch = kit.ingested(entry, lines("甲一,2026-01,7,,,否,1"), "merge")
    assert batch.receipt.table_rows == 3
    assert kit.rows(entry).filter(pl.col("person") == "甲一")["amount"].to_list() == [Decimal(7)]


def test_rows_without_keys_may_repeat_and_cannot_be_merged(kit):
    plain = {"subject_kind": SubjectKind.NONE, "entity_key": None, "key_columns": (), "update_marker": None}
    entry = kit.published(code="3010006", **plain)
    assert kit.ingested(entry, ROWS.replace("丙三", "甲一")).receipt.rows == 3
    with pytest.raises(Invalid, match="no key columns"):
        kit.received(entry, mode="merge")


def test_names_that_need_quoting_are_merged_too(kit):
    elements = (element("marital-status"), element("名称"), element("a.b", ElementType.INTEGER))
    plain = {"subject_kind": SubjectKind.NONE, "entity_key": None, "update_marker": "a.b"}
    sample = "marital-status,名称,a.b\nx,甲,1\n"
    entry = kit.published(sample, code="3010007", elements=elements, key_columns=("marital-status", "名称"), **plain)
    kit.ingested(entry, sample)
    batch = kit.ingested(entry, "marital-status,名称,a.b\nx,甲,2\ny,乙,1\n", "merge")
    assert batch.receipt.table_rows == 2
    assert sorted(kit.rows(entry)["a.b"]) == [1, 2]


def test_changed_elements_need_a_full_batch_first(kit, entry):
    kit.ingested(entry)
    wider = replace(entry.sheet, elements=(*entry.elements, element("extra")))
    sample = "\n".join(line + (",extra" if place == 0 else ",x") for place, line in enumerate(ROWS.splitlines()))
    kit.service.scan_sample(kit.provider, entry.id, kit.file("wider.csv", sample))
    kit.service.change_entry(kit.provider, entry.id, wider, "one more")
    entry = kit.service.publish_entry(kit.authority, entry.id, "agreed")
    assert "elements of the entry changed" in kit.ingested(entry, sample, "append").refusal.message
    assert kit.ingested(entry, sample, "full").receipt.delta_version == 1
    assert "extra" in kit.rows(entry).columns


def test_receive_refuses_others_and_entries_that_are_not_published(kit, entry):
    with pytest.raises(NotAllowed):
        kit.service.receive_batch(kit.other_provider, entry.id, kit.file("rows.csv"), "full")
    with pytest.raises(Invalid, match="no such batch mode"):
        kit.service.receive_batch(kit.provider, entry.id, kit.file("rows.csv"), "upsert")
    draft = kit.drafted(code="3010008")
    with pytest.raises(TransitionNotAllowed, match="it is draft"):
        kit.received(draft)
    assert inbox(kit) == []


def test_receive_refuses_more_than_the_cap_and_an_empty_file_and_leaves_nothing(tmp_path):
    kit = CatalogKit(tmp_path, scanner=scan_as_plain, max_upload_bytes=100)
    entry = kit.published()
    with pytest.raises(Invalid, match="larger than the cap"):
        kit.received(entry)
    with pytest.raises(Invalid, match="is empty"):
        kit.received(entry, b"")
    assert inbox(kit) == []
    assert "batch:receive" not in kit.tags()


def test_batch_of_an_entry_that_was_suspended_meanwhile_is_refused(kit, entry):
    batch = kit.received(entry)
    kit.service.suspend_entry(kit.authority, entry.id, "an objection")
    assert kit.service.run_ingest(batch.id) is None
    refused = kit.aggregation.get_batch(kit.provider, batch.id)
    assert (refused.state, refused.refusal.code) == (BatchState.REFUSED, "transition_not_allowed")
    assert not kit.zone.exists(entry.id)


def test_batches_are_seen_by_their_provider_and_those_who_oversee(kit, entry):
    batch = kit.ingested(entry)
    assert kit.aggregation.list_batches(kit.provider, entry.id) == (batch,)
    assert kit.aggregation.list_batches(kit.authority) == (batch,)
    for actor in (kit.other_provider, kit.analyst):
        assert kit.aggregation.list_batches(actor) == ()
        with pytest.raises(NotFound):
            kit.aggregation.get_batch(actor, batch.id)


def test_run_ingest_again_changes_nothing(kit, entry):
    batch = kit.ingested(entry)
    assert kit.service.run_ingest(batch.id) == batch.receipt
    assert kit.zone.version(entry.id) == 0
    assert kit.tags().count("batch:ingest") == 1


def commit_only(kit, entry, batch):
    """Do what a job does until the moment after the commit: the records still say that the batch waits."""
    ingest_batch(kit.zone, entry, batch, batch.received_at)


def test_ingest_that_died_after_the_commit_is_finished_without_a_second_version(kit, entry):
    batch = kit.received(entry)
    commit_only(kit, entry, batch)
    assert kit.zone.version(entry.id) == 0
    assert kit.aggregation.list_unfinished() == (batch.id,)
    receipt = kit.service.run_ingest(batch.id)
    assert (receipt.delta_version, receipt.rows, receipt.table_rows) == (0, 3, 3)
    assert kit.zone.version(entry.id) == 0
    assert kit.aggregation.list_unfinished() == ()


def test_append_that_died_after_the_commit_is_not_refused_for_its_own_keys(kit, entry):
    kit.ingested(entry)
    batch = kit.received(entry, lines("丁四,2026-01,1,,2026-02-01 00:00,否,1"), "append")
    commit_only(kit, entry, batch)
    kit.ingested(entry, lines("戊五,2026-01,1,,2026-02-01 00:00,否,1"), "append")
    receipt = kit.service.run_ingest(batch.id)
    assert (receipt.delta_version, receipt.table_rows) == (1, 4)
    assert kit.service.get_entry(kit.provider, entry.id).raw_version == 2
    assert kit.rows(entry).height == 5


def test_ingest_in_a_process_that_is_killed_is_resumed_by_another(kit, entry):
    rows = [f"p{number},2026-01,{number % 900}.25,2026-01-31,2026-02-01 08:00:00,否,3" for number in range(300_000)]
    batch = kit.received(entry, lines(*rows))
    child = textwrap.dedent(
        """
        import sys
        from pathlib import Path
        from catalog_kit import CatalogKit
        kit = CatalogKit(Path(sys.argv[1]))
        print("ready", flush=True)
        kit.service.run_ingest(sys.argv[2])
        """
    )
    paths = os.pathsep.join([str(Path(__file__).parents[2]), str(Path(__file__).parents[3])])
    command = [sys.executable, "-c", child, str(kit.folder), batch.id]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": paths}) as process:
        assert process.stdout.readline() == b"ready\n"
        stage = kit.zone.inbox(f"{batch.id}.stage")
        while process.poll() is None and not stage.exists():
            pass
        process.kill()
    receipt = kit.service.run_ingest(batch.id)
    assert (receipt.rows, receipt.table_rows, receipt.delta_version) == (300_000, 300_000, 0)
    assert inbox(kit) == []


def test_sweep_removes_files_of_finished_and_long_broken_uploads_only(kit, entry):
    done = kit.ingested(entry)
    waiting = kit.received(entry)
    (kit.zone.folder / "inbox" / done.id).touch()
    old = kit.zone.inbox("bat_old")
    old.touch()
    os.utime(old, (0, 0))
    kit.zone.inbox("bat_young").touch()
    assert kit.aggregation.sweep_inbox() == 2
    assert inbox(kit) == sorted([waiting.id, "bat_young"])
