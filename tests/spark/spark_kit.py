"""Tables for Spark and for one machine: the same rows, with nulls, every technique, skewed and empty partitions."""

from __future__ import annotations

import datetime as dt
import hashlib
import random
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as sf

from desensitize import Plan

EXECUTORS = 2
# Without a pattern: a row of rising bytes stands in any Parquet file.
KEY = hashlib.sha256(b"a key for tests alone").digest()
ZONE = "Asia/Shanghai"
_SURNAMES = "王李张刘陈杨黄赵"


def make_people(rows: int, seed: int = 3) -> pl.DataFrame:
    """Return rows of people, some with several rows; a twentieth of each cell but the row's number is null."""
    draw = random.Random(seed)

    def some(value: Any) -> Any:
        return None if draw.random() < 0.05 else value

    made = []
    for number in range(rows):
        who = draw.randrange(rows * 2 // 3)
        born = dt.date(1940, 1, 1) + dt.timedelta(days=who * 7919 % 25000)
        area = f"33010{who % 8 + 1}"
        made.append(
            {
                "row": number,
                "who": f"{area}{born:%Y%m%d}{who % 1000:03}{who % 10}",
                "nick": some(f"　{_SURNAMES[who % 8]}某 "),
                "mobile": some(f"13{who % 10}{who * 7 % 100_000_000:08}"),
                "account": some(f"62{who * 31 % 10**14:014}"),
                "area": some(area),
                "address": some(f"浙江省杭州市{'上城区西湖区拱墅区'[who % 3 * 3 :][:3]}第{who % 90}号"),
                "born": some(born),
                "wage": some(draw.uniform(2000, 60000)),
                "age": some(who * 13 % 100),
                "grade": some("ABCDE"[who % 5]),
                "days": some(draw.randrange(400)),
                "paid": some(Decimal(draw.randrange(10**8)).scaleb(-2)),
                "seen": some(1_704_000_000_000_000 + draw.randrange(10**7) * 10**6),
                "local": some(1_704_000_000_000_000 + draw.randrange(10**13)),
                "active": some(draw.random() < 0.5),
                "remark": some(f"联系电话13{who % 10}{who * 7 % 100_000_000:08}，已回访" if number % 3 else "无"),
                "nothing": None,
            }
        )
    schema = {
        "row": pl.Int64,
        "born": pl.Date,
        "age": pl.Int16,
        "days": pl.Int32,
        "paid": pl.Decimal(12, 2),
        "nothing": pl.Null,
    }
    frame = pl.DataFrame(made, schema_overrides=schema, infer_schema_length=None)
    moment = pl.Datetime("us")
    return frame.with_columns(pl.col("local").cast(moment), pl.col("seen").cast(moment).dt.replace_time_zone(ZONE))


PLAN = Plan.from_dict(
    {
        "columns": {
            "row": "keep",
            "who": {"technique": "pseudonymize", "domain": "who", "normalize": True},
            "nick": {"technique": "pseudonymize", "algorithm": "hmac-sm3", "length": 64},
            "mobile": {"technique": "mask", "keep_first": 3, "keep_last": 2},
            "account": {"technique": "encrypt", "keep_first": 2},
            "area": {"technique": "generalize", "kind": "region", "level": "city"},
            "address": {"technique": "generalize", "kind": "address", "level": "city"},
            "born": {"technique": "generalize", "kind": "date", "level": "quarter"},
            "wage": {"technique": "generalize", "kind": "number", "width": 2500},
            "age": {"technique": "generalize", "kind": "age"},
            "grade": {"technique": "generalize", "kind": "table", "rows": [["A", "high"], ["B", "high"], ["C", "low"]]},
            "days": {"technique": "round", "to": 30},
            "paid": {"technique": "clip", "top": 500000},
            "seen": {"technique": "generalize", "kind": "date", "level": "month"},
            "local": "keep",
            "active": "keep",
            "remark": {"technique": "redact", "names": False},
            "nothing": "keep",
        }
    }
)


def load(session: SparkSession, frame: pl.DataFrame, folder: Path, partitions: int = 5) -> DataFrame:
    """Return the table in Spark, through a Parquet file: half of the rows in one partition, and some without any."""
    folder.mkdir(parents=True, exist_ok=True)
    stored = folder / "table.parquet"
    present = frame.drop("nothing") if "nothing" in frame else frame
    present.write_parquet(stored)
    table = session.read.parquet(str(stored))
    if "nothing" in frame:
        table = table.withColumn("nothing", sf.lit(None))
    skew = sf.when(sf.col(frame.columns[0]) % 2 == 0, 0).otherwise(sf.col(frame.columns[0]) % (partitions - 2))
    return table.repartition(partitions, skew)


def fetch(frame: DataFrame, key: str = "row") -> pl.DataFrame:
    """Return a Spark frame's rows, sorted by key."""
    made = pl.from_arrow(frame.toArrow())
    assert isinstance(made, pl.DataFrame)
    return made.sort(key)
