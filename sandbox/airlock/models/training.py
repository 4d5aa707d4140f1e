"""The rows that a model is measured over, cut by the platform from the granted release: whose, members, held out."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import polars as pl

from sandbox.airlock.inputs import Source
from sandbox.airlock.models.specification import RULE, Holdout, ModelSpecification
from sandbox.airlock.recompute import check_columns, condition
from shuzha.core.errors import Invalid

MOST_NUMERIC: Final = 64
_BITS: Final = 1 << 64


def is_held_out(holdout: Holdout, keys: Sequence[object]) -> list[bool]:
    """Return for each person's key whether it is held out: SHA-256 of word, a zero byte and key, below the share.

    `workbench.split` draws the same people.
    """
    limit = int(holdout.share * _BITS)
    return [
        int.from_bytes(hashlib.sha256(f"{holdout.word}\0{key}".encode()).digest()[:8], "big") < limit for key in keys
    ]


def write_rows(specification: ModelSpecification, source: Source, path: Path) -> None:
    """Write the rows of a model as the worker reads them; raises Invalid for columns that the release has not.

    `x0` … are the model's columns in order, `target` its target, `entity` a number of whose the row is, `member`
    whether the model may have seen it.
    """
    schema = source.frame.collect_schema()
    check_columns(sorted(specification.used_columns), schema)
    if source.entity is not None and source.entity in specification.columns:
        raise Invalid("the entity key is a column of the model", rule=RULE, accepted="columns that name nobody")
    rows = source.frame.filter(condition(specification.where, schema))
    keyed = rows.with_row_index("_row") if source.entity is None else rows
    key = "_row" if source.entity is None else source.entity
    people = keyed.select(pl.col(key).alias("key")).unique().drop_nulls().sort("key").collect(engine="streaming")
    names = people["key"].cast(pl.String).to_list()
    people = people.with_columns(
        pl.int_range(pl.len(), dtype=pl.Int64).alias("entity"),
        (~pl.Series("member", is_held_out(specification.holdout, names), dtype=pl.Boolean)).alias("member"),
    )
    wanted = [
        *(_plain(name, schema[name]).alias(f"x{place}") for place, name in enumerate(specification.columns)),
        _plain(specification.target, schema[specification.target]).alias("target"), "entity", "member",
    ]  # fmt: skip
    made = keyed.join(people.lazy(), left_on=key, right_on="key", how="inner").select(wanted)
    made.collect(engine="streaming").write_parquet(path)


def write_numbers(source: Source, path: Path) -> None:
    """Write all numbers of a release of the request, with whose each row is, as the worker looks for them.

    A row of nobody is somebody of its own: it may be in a model as any other.
    """
    rows = source.frame.with_row_index("_row")
    number = pl.format("row {}", "_row").hash()
    who = number if source.entity is None else pl.col(source.entity).cast(pl.String)
    who = who if source.entity is None else pl.when(who.is_not_null()).then(who.hash()).otherwise(number)
    told = [who.alias("entity"), pl.lit(value=True).alias("member"), *_numbers(source)]
    rows.select(told).collect(engine="streaming").write_parquet(path)


def _numbers(source: Source) -> list[pl.Expr]:
    schema = source.frame.collect_schema()
    names = [name for name, dtype in schema.items() if dtype.is_numeric() and name != source.entity]
    return [pl.col(name).cast(pl.Float64).alias(f"n{place}") for place, name in enumerate(names[:MOST_NUMERIC])]


def _plain(name: str, dtype: pl.DataType) -> pl.Expr:
    """Return a column as a number or a text: dates become texts, as a model sees them."""
    return pl.col(name) if dtype.is_numeric() or dtype == pl.Boolean else pl.col(name).cast(pl.String)
