"""Rows of a table in memory as numbers: each distinct tuple of leaves gets one, and each row that of its tuple."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl

from desensitize.anonymity.histogram import Places
from desensitize.tables import run_quietly

SLICE_ROWS = 4_000_000


def place_rows(
    frame: pl.DataFrame, leaves: Mapping[str, pl.Expr], slice_rows: int = SLICE_ROWS
) -> tuple[pl.DataFrame, Places]:
    """Return the distinct tuples of `leaves` with their `rows`, and for every row of `frame` the tuple it is.

    It goes slice by slice, for grouping holds a copy of the leaves of what it groups.
    """
    parts = [_place_slice(frame.slice(start, slice_rows), leaves) for start in range(0, frame.height or 1, slice_rows)]
    if len(parts) == 1:
        return parts[0]
    every = pl.concat([tuples for tuples, _ in parts])
    tuples, merged = _group(every.with_row_index("i"), list(leaves), pl.col("rows").sum())
    after = np.cumsum([0, *(part.height for part, _ in parts)])
    return tuples, np.concatenate([merged[start:][place] for start, (_, place) in zip(after, parts, strict=False)])


def _place_slice(frame: pl.DataFrame, leaves: Mapping[str, pl.Expr]) -> tuple[pl.DataFrame, Places]:
    numbered = run_quietly(lambda: frame.select(leaves.values()).with_row_index("i"))
    return _group(numbered, list(leaves), pl.len().cast(pl.Int64).alias("rows"))


def _group(numbered: pl.DataFrame, by: list[str], rows: pl.Expr) -> tuple[pl.DataFrame, Places]:
    """Return the groups of rows that agree in `by`, and the number of each row's group."""
    groups = run_quietly(lambda: numbered.group_by(by).agg("i", rows))
    sizes = groups["i"].list.len().to_numpy()
    place = np.empty(numbered.height, np.uint32)
    if groups.height:
        place[groups["i"].explode().to_numpy()] = np.repeat(np.arange(len(sizes), dtype=np.uint32), sizes)
    return groups.drop("i"), place
