"""The facts of each cell of a table, computed lazily in one pass by (cell, entity): what the disclosure rules judge.

Words: a *cell* is one combination of labels of the grouping columns; an *entity* is whose data a row is (without a
key each row is one); a *holder* is an entity that has the cell's smallest or largest value. Rows without an entity
count as nobody's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from shuzha.core.errors import Invalid

RULE = "airlock.table"
FACTS = ("rows", "entities", "values", "net", "absolute", "top_one", "top_two", "top_n", "low", "high")
RESERVED = frozenset((*FACTS, "low_holders", "high_holders", "middle_holders", "positive", "verdict"))


@dataclass(frozen=True, slots=True)
class Table:
    """What to look at: grouping columns, value and entity of a frame, checked against its schema."""

    frame: pl.LazyFrame
    dimensions: tuple[str, ...]
    value: str | None
    entity: str | None

    @property
    def keys(self) -> list[str]:
        """The grouping columns under neutral names, so that no name of the data meets one of ours."""
        return [f"d{place}" for place in range(len(self.dimensions))] or ["d0"]

    def neutral(self) -> pl.LazyFrame:
        """Return the frame's grouping columns as d0…, its entity as `e` and its value as `v` (a float, NaN as null)."""
        keys = [pl.col(name).alias(f"d{place}") for place, name in enumerate(self.dimensions)]
        keys = keys or [pl.repeat("", pl.len(), dtype=pl.String).alias("d0")]
        entity = [] if self.entity is None else [pl.col(self.entity).alias("e")]
        value = [] if self.value is None else [pl.col(self.value).cast(pl.Float64).fill_nan(None).alias("v")]
        return self.frame.select(*keys, *entity, *value)


def table(
    frame: pl.DataFrame | pl.LazyFrame,
    dimensions: Sequence[str],
    value: str | None,
    entity: str | None,
    *,
    numeric: bool,
) -> Table:
    """Return the table of these columns.

    Refuses a column that the frame lacks, one that groups twice, a name that the report uses itself, and, where the
    figure is `numeric`, a value that is no number.
    """
    lazy = frame.lazy()
    schema = lazy.collect_schema()
    if value is None and numeric:
        raise Invalid("this aggregate names no value column", rule=RULE, accepted="`value`: a numeric column")
    for name in (*dimensions, *(one for one in (value, entity) if one is not None)):
        if name not in schema:
            raise Invalid(f"the table has no column `{name}`", rule=RULE, accepted=", ".join(schema.names()))
    if len(set(dimensions)) != len(dimensions):
        raise Invalid(
            "the table groups by one column twice", rule=RULE, accepted="each column once in rows and columns"
        )
    for name in dimensions:
        if name in RESERVED:
            raise Invalid(
                f"the report has a column `{name}` of its own", rule=RULE, accepted="a renamed grouping column"
            )
    if numeric and value is not None and not (schema[value].is_numeric() or schema[value] == pl.Boolean):
        raise Invalid(f"column `{value}` is no number", rule=RULE, accepted="a numeric or boolean value")
    if value is not None and not numeric:
        # A count only asks whether there is a value.
        there = pl.col(value).is_not_nan() if schema[value].is_float() else pl.col(value).is_not_null()
        lazy = lazy.with_columns(pl.when(there).then(1.0).alias(value))
    return Table(lazy, tuple(dimensions), value, entity)


def collect_facts(asked: Table, largest: int, *, middle: bool) -> pl.DataFrame:
    """Return a row for each cell that has rows: labels as d0…, facts, with `middle` also the median's holders."""
    neutral = asked.neutral()
    by_entity = _by_entity(neutral, asked)
    known = pl.lit(value=True) if asked.entity is None else pl.col("e").is_not_null()
    with_value = known & (pl.col("c") > 0)
    ranked = pl.col("s").abs().sort(descending=True)
    cells = by_entity.group_by(asked.keys).agg(
        pl.col("n").sum().cast(pl.Int64).alias("rows"),
        with_value.sum().cast(pl.Int64).alias("entities"),
        pl.col("c").sum().cast(pl.Int64).alias("values"),
        pl.col("s").sum().alias("net"),
        pl.col("s").abs().sum().alias("absolute"),
        ranked.first().alias("top_one"),
        ranked.head(2).sum().alias("top_two"),
        ranked.head(largest).sum().alias("top_n"),
        pl.col("lo").min().alias("low"),
        pl.col("hi").max().alias("high"),
        (with_value & (pl.col("lo") == pl.col("lo").min())).sum().cast(pl.Int64).alias("low_holders"),
        (with_value & (pl.col("hi") == pl.col("hi").max())).sum().cast(pl.Int64).alias("high_holders"),
        (with_value & (pl.col("hi") > 0)).sum().cast(pl.Int64).alias("positive"),
    )
    if middle:
        cells = cells.join(_middle_holders(neutral, asked), on=asked.keys, how="left", nulls_equal=True)
    return cells.sort(asked.keys, nulls_last=True).collect(engine="streaming")


def is_binary(asked: Table) -> bool:
    """Return whether every value is zero or one, so that its mean is a share."""
    if asked.value is None:
        return False
    value = pl.col(asked.value)
    if asked.frame.collect_schema()[asked.value] == pl.Boolean:
        return True
    only = value.cast(pl.Float64).fill_nan(None).drop_nulls().is_in([0.0, 1.0]).all()
    return bool(asked.frame.select(only).collect(engine="streaming").item())


def is_finite(asked: Table) -> bool:
    """Return whether no value is infinite."""
    if asked.value is None:
        return True
    infinite = pl.col(asked.value).cast(pl.Float64).is_infinite().any()
    return not asked.frame.select(infinite).collect(engine="streaming").item()


def _by_entity(neutral: pl.LazyFrame, asked: Table) -> pl.LazyFrame:
    """Return one row for each (cell, entity): rows n, values c, sum s, smallest lo and largest hi."""
    value = pl.col("v") if asked.value is not None else pl.lit(None, dtype=pl.Float64)
    if asked.entity is None:
        count = value.is_not_null().cast(pl.Int64) if asked.value is not None else pl.lit(1, dtype=pl.Int64)
        return neutral.select(
            *asked.keys, pl.lit(1, dtype=pl.Int64).alias("n"), count.alias("c"),
            value.fill_null(0.0).alias("s"), value.alias("lo"), value.alias("hi"),
        )  # fmt: skip
    if asked.value is None:
        grouped = neutral.group_by(*asked.keys, "e").agg(pl.len().cast(pl.Int64).alias("n"))
        nothing = pl.lit(None, dtype=pl.Float64)
        return grouped.with_columns(
            pl.col("n").alias("c"), pl.lit(0.0).alias("s"), nothing.alias("lo"), nothing.alias("hi")
        )
    return neutral.group_by(*asked.keys, "e").agg(
        pl.len().cast(pl.Int64).alias("n"),
        pl.col("v").count().cast(pl.Int64).alias("c"),
        pl.col("v").sum().alias("s"),
        pl.col("v").min().alias("lo"),
        pl.col("v").max().alias("hi"),
    )


def _middle_holders(neutral: pl.LazyFrame, asked: Table) -> pl.LazyFrame:
    """Return for each cell how many entities have exactly the median as a value; between two values nobody has it."""
    medians = neutral.group_by(asked.keys).agg(pl.col("v").median().alias("m"))
    joined = neutral.join(medians, on=asked.keys, nulls_equal=True).filter(pl.col("v") == pl.col("m"))
    holders = pl.len() if asked.entity is None else pl.col("e").drop_nulls().n_unique()
    return joined.group_by(asked.keys).agg(holders.cast(pl.Int64).alias("middle_holders"))
