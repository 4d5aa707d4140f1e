"""A release made on Spark is the one made on one machine: frame, content hash, certificate. It never sends its key."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from pyspark import cloudpickle
from pyspark.sql import SparkSession
from pyspark.sql import functions as sf
from spark_kit import EXECUTORS, KEY, PLAN, fetch, load, make_people

import desensitize
from desensitize import InvalidInput, InvalidPlan, Plan, spark
from desensitize.fingerprint import hash_content
from desensitize.spark.tables import SparkTable
from desensitize.spark.transforming import transform
from desensitize.transform.keys import SecretKey
from desensitize.transform.techniques import NAMES, Drop

ROWS = 50_000


@pytest.fixture(scope="module")
def people() -> pl.DataFrame:
    return make_people(ROWS)


@pytest.fixture(scope="module")
def table(session: SparkSession, people: pl.DataFrame, room: Path) -> Any:
    return load(session, people, room / "people").cache()


@pytest.fixture(scope="module")
def key(key_file: Path) -> spark.KeyFile:
    return spark.KeyFile(str(key_file))


def test_the_plan_of_these_tests_names_every_technique_but_noise() -> None:
    assert {each.technique for each in PLAN.columns.values()} | {"noise", "drop"} == set(NAMES)


def test_rows_lie_in_skewed_and_empty_partitions(table: Any) -> None:
    sizes = dict(table.groupBy(sf.spark_partition_id()).count().collect())
    assert len(sizes) < table.rdd.getNumPartitions()
    assert max(sizes.values()) >= ROWS // 2


def test_release_is_the_one_of_one_machine(table: Any, people: pl.DataFrame, key: spark.KeyFile) -> None:
    made = spark.apply(table, PLAN, key)
    alone = desensitize.apply(people, PLAN, KEY)
    assert_frame_equal(fetch(made.frame), alone.frame.collect().sort("row"))
    assert made.content_hash() == hash_content(alone.frame)
    assert made.certificate == alone.certificate


def test_frame_keeps_the_types_that_the_plan_keeps(table: Any, key: spark.KeyFile) -> None:
    made = spark.apply(table, PLAN, key).frame
    kept = [name for name, each in PLAN.columns.items() if each.technique == "keep"]
    assert [made.schema[name].dataType for name in kept] == [table.schema[name].dataType for name in kept]


def test_release_of_no_rows_has_the_columns_and_hash_of_one_machine(
    table: Any, people: pl.DataFrame, key: spark.KeyFile
) -> None:
    made = spark.apply(table.limit(0), PLAN, key)
    alone = desensitize.apply(people.head(0), PLAN, KEY)
    assert_frame_equal(fetch(made.frame), alone.frame.collect())
    assert made.content_hash() == hash_content(alone.frame)


def test_hash_tells_a_changed_cell_and_ignores_order(session: SparkSession, people: pl.DataFrame, room: Path) -> None:
    few = people.head(500)
    plan = Plan.from_dict({"columns": dict.fromkeys(few.columns, "keep")})
    told = [
        spark.apply(load(session, frame, room / name), plan).content_hash()[0]
        for name, frame in (
            ("plain", few),
            ("shuffled", few.sample(fraction=1, shuffle=True, seed=1)),
            ("changed", few.with_columns(days=pl.when(pl.col("row") == 3).then(401).otherwise("days").cast(pl.Int32))),
        )
    ]
    assert told[0] == told[1] == hash_content(few.lazy())[0]
    assert told[2] != told[0]


def test_names_in_text_are_redacted_as_on_one_machine(session: SparkSession, room: Path) -> None:
    texts = ["联系人张三，电话13812345678", "投诉人李小明来电反映杭州市西湖区文三路100号漏水", None, "无"] * 5
    frame = pl.DataFrame({"row": range(20), "remark": texts})
    plan = Plan.from_dict({"columns": {"row": "keep", "remark": "redact"}})
    made = fetch(spark.apply(load(session, frame, room / "names"), plan).frame)
    assert_frame_equal(made, desensitize.apply(frame, plan).frame.collect())
    assert not made["remark"].drop_nulls().str.contains("张三|138").any()


def test_written_release_is_whole_and_certified(table: Any, key: spark.KeyFile, room: Path) -> None:
    few = table.where("row < 300")
    release = spark.apply(few, PLAN.with_column("nothing", Drop()), key)
    folder = room / "released"
    assert release.write(str(folder)) == str(folder)
    certificate = json.loads((folder / "certificate.json").read_text(encoding="utf-8"))
    assert certificate == json.loads(json.dumps(release.certificate))
    assert certificate["output"]["content_sha256"] == release.content_hash()[0]
    assert [path.name for path in folder.parent.iterdir() if "partial" in path.name] == []
    with pytest.raises(InvalidInput, match="already there"):
        release.write(str(folder))


def test_failed_write_leaves_nothing(table: Any, tmp_path: Path, room: Path) -> None:
    path = tmp_path / "changed.key"
    path.write_bytes(KEY)
    path.chmod(0o600)
    release = spark.apply(table.where("row < 10"), PLAN, spark.KeyFile(str(path)))
    path.write_bytes(KEY[::-1])
    with pytest.raises(InvalidPlan, match="another one than the driver's"):
        release.write(str(room / "failed"))
    assert [path.name for path in room.iterdir() if "failed" in path.name] == []


def test_noise_is_certified_as_it_was_written(session: SparkSession, room: Path) -> None:
    frame = pl.DataFrame({"row": range(60), "wage": [4000] * 60})
    plan = Plan.from_dict({"columns": {"row": "keep", "wage": {"technique": "noise", "scale": 50}}})
    release = spark.apply(load(session, frame, room / "noise"), plan)
    with pytest.raises(InvalidPlan, match="write the release first"):
        _ = release.certificate
    release.write(str(room / "noisy"))
    stored = pl.read_parquet(room / "noisy" / "data" / "*.parquet")
    assert stored["wage"].n_unique() > 1
    assert hash_content(stored.lazy())[0] == release.certificate["output"]["content_sha256"]


@pytest.mark.parametrize(
    ("type_", "name"),
    [
        ("array<int>", "array<int>"),
        ("struct<a:int>", "struct"),
        ("map<string,int>", "map"),
        ("binary", "binary"),
        ("interval year", "interval"),
    ],
)
def test_columns_of_other_types_are_refused_by_name(session: SparkSession, type_: str, name: str) -> None:
    frame = session.createDataFrame([], f"a int, odd {type_}")
    with pytest.raises(InvalidInput, match=f"`odd` is {re.escape(name)}"):
        spark.apply(frame, Plan.from_dict({"columns": {"a": "keep", "odd": "keep"}}))


def test_names_that_stand_twice_and_unplanned_columns_are_refused(session: SparkSession) -> None:
    plan = Plan.from_dict({"columns": {"a": "keep"}})
    one = session.createDataFrame([], "a int")
    with pytest.raises(InvalidInput, match="more than once: a"):
        spark.apply(one.crossJoin(one), plan)
    with pytest.raises(InvalidPlan, match="b"):
        spark.apply(session.createDataFrame([], "a int, b int"), plan)


def test_zone_without_a_name_is_refused_for_timestamps(session: SparkSession) -> None:
    session.conf.set("spark.sql.session.timeZone", "GMT+8")
    try:
        with pytest.raises(InvalidInput, match="timeZone"):
            spark.apply(session.createDataFrame([], "a timestamp"), Plan.from_dict({"columns": {"a": "keep"}}))
    finally:
        session.conf.set("spark.sql.session.timeZone", "Asia/Shanghai")


def test_timestamps_keep_the_day_they_had_when_the_release_was_made(
    session: SparkSession, table: Any, people: pl.DataFrame, key: spark.KeyFile
) -> None:
    made = spark.apply(table, PLAN, key)
    session.conf.set("spark.sql.session.timeZone", "America/New_York")
    try:
        seen = fetch(made.frame.select("row", "seen"))
    finally:
        session.conf.set("spark.sql.session.timeZone", "Asia/Shanghai")
    assert_frame_equal(seen, desensitize.apply(people, PLAN, KEY).frame.select("row", "seen").collect())


def test_key_itself_is_refused(table: Any) -> None:
    with pytest.raises(InvalidPlan, match="would be sent around"):
        spark.apply(table, PLAN, KEY)  # type: ignore[arg-type]
    with pytest.raises(InvalidPlan, match="a key is needed"):
        spark.apply(table, PLAN)


def _forms(key: bytes) -> Iterator[bytes]:
    """Yield the key and the subkeys of the plan as they could be written somewhere."""
    secret = SecretKey(key)
    subkeys = [
        secret.derive("pseudonym", "hmac-sha256", "who"),
        secret.derive("pseudonym", "hmac-sm3", ""),
        secret.derive("encrypt", "ff1"),
    ]
    for each in (key, *subkeys):
        yield from (each, each.hex().encode(), each.hex().upper().encode())


class _Listener:
    """Stands where a Spark frame does, and tells what Spark would send to its executors."""

    def __init__(self, schema: Any) -> None:
        self.schema = schema

    def mapInArrow(self, work: Any, _schema: str) -> bytes:
        return bytes(cloudpickle.dumps(work))


def test_nothing_that_spark_sends_shows_or_stores_holds_the_key(
    table: Any, key: spark.KeyFile, room: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    made = spark.apply(table, PLAN, key)
    assert made.content_hash()[1] == ROWS
    made.frame.explain(mode="extended")
    shown = capfd.readouterr().out
    assert "desensitize_batches" in shown
    sent = transform(SparkTable(_Listener(table.schema), SparkTable.of(table).schema), PLAN, key).frame
    assert key.path.encode() in sent
    stored = {path: path.read_bytes() for path in room.rglob("*") if path.is_file() and not path.is_symlink()}
    assert any("events" in str(path) for path in stored)
    assert len({path for path in stored if path.name == "stderr"}) >= EXECUTORS
    for form in _forms(KEY):
        assert form not in shown.encode() + repr(made).encode() + sent
        assert [path for path, content in stored.items() if form in content] == []
