"""The content hash of a Spark table: equal to that of the same rows on one machine, with 256 hashes sent to the driver.

Each batch becomes row digests, a shuffle by their first byte brings each group together, and each group is hashed
where it lies. A group is 1/256 of 32 bytes a row: 125 MB at a thousand million rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from desensitize.fingerprint import DIGEST_BYTES, GROUPS, combine_groups, hash_group, row_digests
from desensitize.spark.batches import Shape, Work, map_batches
from desensitize.spark.tables import run_on_spark

if TYPE_CHECKING:
    import pyarrow as pa

_EMPTY = np.empty((0, DIGEST_BYTES), dtype=np.uint8)


@dataclass(frozen=True, slots=True)
class _Digest:
    """The job that makes row digests, each with its group."""

    def prepare(self) -> Work:
        group = pl.col("digest").str.head(2).str.to_integer(base=16, dtype=pl.Int32).alias("group")
        return lambda frame: frame.select(row_digests()).select(group, pl.col("digest").str.decode("hex"))


def hash_content(frame: Any, schema: pl.Schema) -> tuple[str, int]:
    """Return (content hash in hexadecimal, number of rows) of a Spark frame, given its polars schema."""
    names = schema.names()
    groups = [hash_group(_EMPTY)] * GROUPS
    rows = 0
    if names:
        digests = map_batches(frame, Shape.of(schema), _Digest(), "group int, digest binary")
        hashed = digests.groupBy("group").applyInArrow(_hash_group, "group int, rows long, hash binary")
        for found in run_on_spark(hashed.collect):
            groups[found["group"]] = bytes(found["hash"])
            rows += found["rows"]
    return combine_groups(names, rows, groups), rows


def _hash_group(table: pa.Table) -> pa.Table:
    import pyarrow as pa

    joined = b"".join(table.column("digest").to_pylist())
    digests = np.frombuffer(joined, dtype=np.uint8).reshape(-1, DIGEST_BYTES)
    group = table.column("group")[0].as_py()
    return pa.table(
        {
            "group": pa.array([group], pa.int32()),
            "rows": pa.array([len(digests)], pa.int64()),
            "hash": pa.array([hash_group(digests)], pa.binary()),
        }
    )
