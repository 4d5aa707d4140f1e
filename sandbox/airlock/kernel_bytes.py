"""Whether the bytes that a notebook's kernel handed over say what the platform computed; then they are dropped."""

from __future__ import annotations

import io
from typing import Final

import polars as pl

TOLERANCE: Final = 1e-6


def same_table(data: bytes, result: pl.DataFrame) -> bool:
    """Return whether a CSV says what the platform computed: headings, labels and, within rounding, figures.

    The order of rows does not matter; anything that cannot be read does not agree.
    """
    try:
        theirs = pl.read_csv(io.BytesIO(data), infer_schema=False)
        figure, names = result.columns[-1], result.columns[:-1]
        if set(theirs.columns) != set(result.columns) or theirs.height != result.height:
            return False
        if names and theirs.select(names).n_unique() != theirs.height:
            return False
        ours = pl.read_csv(io.BytesIO(result.write_csv().encode()), infer_schema=False)
        pairs = ours.join(theirs, on=names, how="inner", nulls_equal=True) if names else ours.join(theirs, how="cross")
        if pairs.height != result.height:
            return False
        mine, other = (pl.col(name).cast(pl.Float64, strict=False) for name in (figure, f"{figure}_right"))
        close = (mine - other).abs() <= TOLERANCE * pl.max_horizontal(mine.abs(), pl.lit(1.0))
        return bool(pairs.select((close.fill_null(value=False) | mine.is_null()).all()).item())
    except pl.exceptions.PolarsError:
        return False
