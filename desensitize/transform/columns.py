"""Work on whole columns, done once for each distinct value where that is less."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

DISTINCT_FIRST_BELOW = 0.5


def work_once(
    values: pl.Series, work: Callable[[pl.Series], pl.Series], share: float = DISTINCT_FIRST_BELOW
) -> pl.Series:
    """Return `work(values)`, done once for each distinct value where at most `share` of the values are distinct."""
    column = values.alias("v")
    if column.n_unique() > share * len(column):
        return work(column).alias(values.name)
    once = column.unique()
    table = pl.DataFrame({"v": once, "made": work(once)})
    joined = column.to_frame().join(table, on="v", how="left", maintain_order="left", nulls_equal=True)
    return joined["made"].alias(values.name)
