"""The facts of each cell of a table, by entity, in one pass over its rows: what the disclosure rules judge.

Words: a *cell* is one combination of labels of the grouping columns; an *entity* is whose data a row is (without a
key each row is one); a *holder* is an entity that has the very value that is shown. Rows without an entity count as
nobody's.

Labels become numbers before anything is grouped, text that names an entity its 64-bit hash (two of a million entities
share one with a chance of 3 in 10^8; they would count as one, which is the strict side). More rows than `PAIRS` are
taken in parts by entity, each added to those before, so that memory does not grow with the table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from sandbox.airlock.specification import Aggregate
from shuzha.core.errors import Invalid

RULE = "airlock.table"
PAIRS: Final = 16_000_000
MAX_CELLS: Final = 1_000_000
FACTS = ("rows", "entities", "values", "net", "absolute", "top_one", "top_two", "top_n", "low", "high")
HOLDERS = ("low_holders", "high_holders", "point_holders", "at_low", "at_high", "at_zero")
RESERVED = frozenset((*FACTS, *HOLDERS, "positive", "verdict"))
_ADDED = ("rows", "entities", "values", "net", "absolute", "positive", "at_zero")
_ALIKE = ("at_low", "at_high", "at_zero")


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
        entity = [] if self.entity is None else [_who(self.entity, self.frame.collect_schema()).alias("e")]
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


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which facts cost more than a sum: the `largest` n entities, who has the `ends`, is `alike`, or has a `point`.

    `alike` counts the entities all of whose values are the cell's smallest, its largest, or zero. `point` is a median,
    percentile or mode. What is not wanted is zero in the facts.
    """

    largest: int = 0
    ends: bool = False
    point: Aggregate | None = None
    alike: bool = False


def collect_facts(asked: Table, wanted: Wanted, *, pairs: int = PAIRS) -> pl.DataFrame:
    """Return a row for each cell that has rows: labels as d0…, and its facts.

    At most `pairs` (cell, entity) pairs are held at once. Refuses more combinations of labels than `MAX_CELLS`.
    """
    neutral = asked.neutral()
    labels = collect_labels(neutral, asked.keys)
    rows = int(neutral.select(pl.len()).collect(engine="streaming").item())
    parts = _parts(neutral, asked, -(-rows // pairs), pairs)
    found = [_facts(_coded(part, asked.keys, labels), asked, wanted) for part in parts]
    facts = found[0] if len(found) == 1 else _added(found, wanted.largest)
    if wanted.point is not None:
        held = _point_holders(_coded(neutral, asked.keys, labels), asked, wanted.point)
        facts = facts.join(held, on="k", how="left")
    return _named(facts, asked.keys, labels).drop("tops").sort(asked.keys, nulls_last=True)


def collect_labels(neutral: pl.LazyFrame, keys: Sequence[str]) -> list[pl.Series]:
    """Return the sorted labels of each grouping column, null last; refuses more combinations than `MAX_CELLS`."""
    labels, count = [], 1
    for key in keys:
        one = neutral.select(pl.col(key).unique()).collect(engine="streaming").to_series()
        if one.dtype in (pl.Categorical, pl.Enum):
            one = one.cast(pl.String)
        labels.append(one.sort(nulls_last=True))
        count *= len(one)
    if count > MAX_CELLS:
        raise Invalid(
            f"a table of {count} cells is too large to judge", rule=RULE, accepted=f"at most {MAX_CELLS} cells"
        )
    return labels


def is_binary(asked: Table, facts: pl.DataFrame) -> bool:
    """Return whether every value is zero or one, so that its mean is a share."""
    if asked.value is None:
        return False
    if asked.frame.collect_schema()[asked.value] == pl.Boolean:
        return True
    # The ends of the cells tell most tables without another pass over the rows.
    if (
        not facts.select(pl.col("low", "high").drop_nulls().is_in([0.0, 1.0]).all())
        .select(pl.all_horizontal(pl.all()))
        .item()
    ):
        return False
    only = pl.col(asked.value).cast(pl.Float64).fill_nan(None).drop_nulls().is_in([0.0, 1.0]).all()
    return bool(asked.frame.select(only).collect(engine="streaming").item())


def is_finite(facts: pl.DataFrame) -> bool:
    """Return whether no value is infinite."""
    return not facts.select(pl.any_horizontal(pl.col("low", "high").is_infinite().any())).item()


def point(aggregate: Aggregate, value: pl.Expr) -> pl.Expr:
    """Return the value that a median, percentile or mode shows; of two equally frequent values the smaller is the mode.

    A median may lie between two values, a percentile is always the value of some row (the nearest rank).
    """
    if aggregate is Aggregate.MEDIAN:
        return value.median()
    if aggregate is Aggregate.MODE:
        return value.drop_nulls().mode().min()
    return value.quantile(aggregate.share, interpolation="nearest")


def _who(entity: str, schema: pl.Schema) -> pl.Expr:
    """Return whose a row is, as something small to group by; null stays null."""
    column = pl.col(entity)
    if schema[entity].is_integer():
        return column
    return pl.when(column.is_not_null()).then(column.hash(0))


def _coded(neutral: pl.LazyFrame, keys: Sequence[str], labels: Sequence[pl.Series]) -> pl.LazyFrame:
    """Return the rows with one number `k` for their cell in place of its labels."""
    number, step = pl.lit(0, dtype=pl.UInt32), 1
    for key, known in zip(keys, labels, strict=True):
        code = f"c:{key}"
        if known.dtype == pl.String:
            place = pl.col(key).cast(pl.String).cast(pl.Enum(known.drop_nulls())).to_physical().cast(pl.UInt32)
            if known.null_count():
                place = place.fill_null(len(known) - 1)
            neutral = neutral.with_columns(place.alias(code))
        else:
            codes = pl.DataFrame({key: known, code: pl.Series(range(len(known)), dtype=pl.UInt32)})
            neutral = neutral.join(codes.lazy(), on=key, how="left", nulls_equal=True)
        number += pl.col(code) * pl.lit(step, dtype=pl.UInt32)
        step *= len(known)
    rest = [name for name in ("e", "v") if name in neutral.collect_schema()]
    return neutral.select(number.alias("k"), *rest)


def _named(facts: pl.DataFrame, keys: Sequence[str], labels: Sequence[pl.Series]) -> pl.DataFrame:
    """Return the facts with the labels of their cells in place of `k`."""
    columns, step = [], 1
    for key, known in zip(keys, labels, strict=True):
        places = (facts["k"] // step) % max(len(known), 1)
        columns.append(known.gather(places).alias(key))
        step *= len(known)
    return facts.drop("k").select(*columns, pl.all())


def _parts(neutral: pl.LazyFrame, asked: Table, parts: int, pairs: int) -> list[pl.LazyFrame]:
    """Return the rows in parts by entity, those of nobody in the first; without a key just so many rows in each."""
    if parts <= 1:
        return [neutral]
    if asked.entity is None:
        return [neutral.slice(part * pairs, pairs) for part in range(parts)]
    place = pl.when(pl.col("e").is_null()).then(0).otherwise(pl.col("e").hash(1) % parts)
    return [neutral.filter(place == part) for part in range(parts)]


def _facts(coded: pl.LazyFrame, asked: Table, wanted: Wanted) -> pl.DataFrame:
    """Return the facts of each cell `k` from these rows alone, with its largest entities in `tops`."""
    pairs = _by_entity(coded, asked).collect(engine="streaming").lazy()
    known = pl.lit(value=True) if asked.entity is None else pl.col("e").is_not_null()
    with_value = known & (pl.col("c") > 0)
    size = pl.col("s").abs()
    facts = pairs.group_by("k").agg(
        pl.col("n").sum().cast(pl.Int64).alias("rows"),
        with_value.sum().cast(pl.Int64).alias("entities"),
        pl.col("c").sum().cast(pl.Int64).alias("values"),
        pl.col("s").sum().alias("net"),
        size.sum().alias("absolute"),
        pl.col("lo").min().alias("low"),
        pl.col("hi").max().alias("high"),
        (with_value & (pl.col("hi") > 0)).sum().cast(pl.Int64).alias("positive"),
    )
    if wanted.largest:
        facts = facts.join(pairs.group_by("k").agg(size.top_k(max(wanted.largest, 2)).alias("tops")), on="k")
    else:
        facts = facts.with_columns(tops=pl.lit([0.0]))
    if wanted.alike:
        facts = facts.join(_alike(pairs.filter(with_value), facts), on="k", how="left")
    else:
        facts = facts.with_columns(pl.lit(0, dtype=pl.Int64).alias(name) for name in _ALIKE)
    if wanted.ends:
        facts = facts.join(_end_holders(pairs.filter(with_value), facts), on="k", how="left")
    else:
        facts = facts.with_columns(low_holders=pl.lit(0, dtype=pl.Int64), high_holders=pl.lit(0, dtype=pl.Int64))
    return _ranked(facts, wanted.largest)


def _end_holders(pairs: pl.LazyFrame, facts: pl.LazyFrame) -> pl.LazyFrame:
    """Return for each cell how many entities have its smallest and how many its largest value."""
    at_low, at_high = pl.col("lo") == pl.col("low"), pl.col("hi") == pl.col("high")
    there = pairs.join(facts.select("k", "low", "high"), on="k").filter(at_low | at_high)
    return there.group_by("k").agg(
        at_low.sum().cast(pl.Int64).alias("low_holders"), at_high.sum().cast(pl.Int64).alias("high_holders")
    )


def _alike(pairs: pl.LazyFrame, facts: pl.LazyFrame) -> pl.LazyFrame:
    """Return for each cell how many entities have nothing but its smallest value, its largest, or zero."""
    only = pl.col("lo") == pl.col("hi")
    there = pairs.filter(only).join(facts.select("k", "low", "high"), on="k")
    places = {"at_low": pl.col("low"), "at_high": pl.col("high"), "at_zero": pl.lit(0.0)}
    held = [(pl.col("lo") == place).sum().cast(pl.Int64).alias(name) for name, place in places.items()]
    return there.group_by("k").agg(held)


def _ranked(facts: pl.LazyFrame, largest: int) -> pl.DataFrame:
    """Return the facts with what the largest entities hold, and no null where nobody is counted."""
    tops = pl.col("tops").list.sort(descending=True)
    return facts.with_columns(
        tops.list.first().alias("top_one"),
        tops.list.head(2).list.sum().alias("top_two"),
        tops.list.head(largest).list.sum().alias("top_n"),
        pl.col("low_holders", "high_holders", *_ALIKE).fill_null(0),
    ).collect(engine="streaming")


def _added(parts: Sequence[pl.DataFrame], largest: int) -> pl.DataFrame:
    """Return the facts of all parts of the entities together: no entity is in two."""
    at_low = pl.col("low_holders", "at_low").filter(pl.col("low") == pl.col("low").min())
    at_high = pl.col("high_holders", "at_high").filter(pl.col("high") == pl.col("high").max())
    added = pl.concat(parts).lazy().group_by("k").agg(
        *(pl.col(name).sum() for name in _ADDED),
        pl.col("low").min(),
        pl.col("high").max(),
        at_low.sum(),
        at_high.sum(),
        pl.col("tops").list.explode().top_k(max(largest, 2)),
    )  # fmt: skip
    return _ranked(added, largest)


def _by_entity(coded: pl.LazyFrame, asked: Table) -> pl.LazyFrame:
    """Return one row for each (cell, entity): rows n, values c, sum s, smallest lo and largest hi."""
    value = pl.col("v") if asked.value is not None else pl.lit(None, dtype=pl.Float64)
    if asked.entity is None:
        count = value.is_not_null().cast(pl.Int64) if asked.value is not None else pl.lit(1, dtype=pl.Int64)
        return coded.select(
            "k", pl.lit(1, dtype=pl.Int64).alias("n"), count.alias("c"),
            value.fill_null(0.0).alias("s"), value.alias("lo"), value.alias("hi"),
        )  # fmt: skip
    if asked.value is None:
        grouped = coded.group_by("k", "e").agg(pl.len().alias("n"))
        nothing = pl.lit(None, dtype=pl.Float64)
        return grouped.with_columns(
            pl.col("n").alias("c"), pl.lit(0.0).alias("s"), nothing.alias("lo"), nothing.alias("hi")
        )
    return coded.group_by("k", "e").agg(
        pl.len().alias("n"),
        pl.col("v").count().alias("c"),
        pl.col("v").sum().alias("s"),
        pl.col("v").min().alias("lo"),
        pl.col("v").max().alias("hi"),
    )


def _point_holders(coded: pl.LazyFrame, asked: Table, aggregate: Aggregate) -> pl.DataFrame:
    """Return for each cell how many entities have exactly the value shown; between two values nobody has it."""
    shown = coded.group_by("k").agg(point(aggregate, pl.col("v")).alias("m"))
    joined = coded.join(shown, on="k").filter(pl.col("v") == pl.col("m"))
    holders = pl.len() if asked.entity is None else pl.col("e").drop_nulls().n_unique()
    counted = joined.group_by("k").agg(holders.cast(pl.Int64).alias("point_holders"))
    return counted.collect(engine="streaming")
