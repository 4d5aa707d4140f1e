"""How many rows of an export reproduce records of a release under a dress, by one pass over the whole release."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from sandbox.airlock.overlap.aligning import Keys, Pair, joint_key, mix_keys
from sandbox.airlock.overlap.forms import Kind

_SPARE: Final = 8.0
_NUMBERS: Final = (Kind.ROUNDED, Kind.CUT, Kind.DIGITS)


@dataclass(frozen=True, slots=True)
class Count:
    """Which rows of an export reproduce records and which are met at all, and what share of them is chance.

    `certain` says that more different rows reproduce records than chance gives, by four standard deviations.
    """

    reproduced: npt.NDArray[np.bool_]
    met: npt.NDArray[np.bool_]
    chance: float
    certain: bool


def count_rows(
    export: pl.DataFrame, release: pl.LazyFrame, dress: Sequence[Pair], entity: str | None, least: int, rows: int
) -> Count:
    """Return what one pass over the release says of an export under a dress.

    A row reproduces a record when fewer than `least` entities (rows without `entity`) share its values. What chance
    gives is counted in the same pass: on the export with its columns mixed, or its numbers moved by a step.
    """
    schema = release.collect_schema()
    dress = _enough(dress, rows)
    keys = [_keys(export, pair) for pair in dress]
    mine, other = pl.Series(mix_keys(keys)), pl.Series(_mixed(export, dress, keys))
    asked = pl.concat([mine, other]).unique()
    theirs = joint_key([(pair.release, pair.form) for pair in dress], schema)
    met_keys = release.select(theirs, *([pl.col(entity).hash(3).alias("who")] if entity is not None else []))
    met_keys = met_keys.filter(pl.col("key").is_in(asked.implode()))
    if entity is not None and any(pair.release == entity and pair.form.kind is Kind.TEXT for pair in dress):
        # Whoever names the entity has one of it in each of his rows.
        found = met_keys.select("key").unique().with_columns(who=pl.lit(1)).collect(engine="streaming")
    else:
        size = pl.col("who").n_unique() if entity is not None else pl.len().alias("who")
        found = met_keys.group_by("key").agg(size).collect(engine="streaming")
    rare = found.filter(pl.col("who") < least)["key"].implode()
    empty = _all_empty(export, dress)
    reproduced = mine.is_in(rare).to_numpy() & ~empty
    met = mine.is_in(found["key"].implode()).to_numpy() & ~empty
    # A row that is there many times is one piece of evidence.
    different, mixed = mine.filter(~empty).unique(), other.unique()
    hits = int(different.is_in(rare).sum())
    by_chance = float(mixed.is_in(rare).mean() or 0.0) * len(different)  # type: ignore[arg-type]
    certain = hits - by_chance - 4 * by_chance**0.5 >= 1
    return Count(reproduced, met, min(1.0, by_chance / hits) if hits else 0.0, certain)


def _enough(dress: Sequence[Pair], rows: int) -> Sequence[Pair]:
    """Return the pairs that tell the release's rows apart, the most telling first, until more would add nothing.

    Columns that are dear to compare are mostly labels, which tell little.
    """
    chosen: list[Pair] = []
    for pair in sorted(dress, key=lambda pair: -pair.bits):
        if sum(one.bits for one in chosen) >= math.log2(max(rows, 2)) + _SPARE and len(chosen) > 1:
            break
        chosen.append(pair)
    return chosen


def _keys(export: pl.DataFrame, pair: Pair) -> Keys:
    column = pl.col(pair.export)
    return export.select(pair.form.tidied().plain(column, export.schema[pair.export])).to_series().to_numpy()


def _all_empty(export: pl.DataFrame, dress: Sequence[Pair]) -> npt.NDArray[np.bool_]:
    return export.select(pl.all_horizontal(pl.col(pair.export).is_null() for pair in dress)).to_series().to_numpy()


def _mixed(export: pl.DataFrame, dress: Sequence[Pair], keys: Sequence[Keys]) -> Keys:
    """Return the keys of the export with the ties between its columns cut: each mixed, a single column moved."""
    if len(dress) > 1:
        random = np.random.default_rng(13)
        return mix_keys([random.permutation(key) for key in keys])
    (pair,) = dress
    column = pl.col(pair.export)
    if pair.form.kind not in _NUMBERS or not export.schema[pair.export].is_numeric():
        return np.zeros(export.height, np.uint64)
    steps = pl.int_range(pl.len()) % 6 - 3
    moved = pl.when(steps >= 0).then(steps + 1).otherwise(steps)
    size = pair.form.size if pair.form.kind is not Kind.DIGITS else 10.0**-pair.form.size
    scale = column.abs() if pair.form.kind is Kind.DIGITS else 1.0
    other = export.select((column.cast(pl.Float64) + moved * size * scale * 2).alias(pair.export))
    return _keys(other, pair)
