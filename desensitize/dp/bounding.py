"""Bounded contributions: what each entity brings to each group, cut to the query's bounds before anything is added up.

These are the true, noiseless figures: they stay inside the process. What is promised is sensitivity: taking one
entity's rows away changes at most `unit.groups` figures, and each by at most what the query's `sensitivity` says.
So what is kept of an entity depends on nothing but its own rows and a fixed order of the groups' names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from desensitize.dp.queries import MOST_UNITS, Bounds, Count, Groups, Histogram, Key, Quantile, Query, Unit
from desensitize.errors import InvalidInput
from desensitize.leaves import as_entity
from desensitize.tables import collect, hide, run_quietly

ENTITY, CODE, PLACE = hide("entity"), hide("code"), hide("place")
VALUE, AMOUNT, TIMES, ORDER = hide("value"), hide("amount"), hide("times"), hide("order")
_SEED = 7150
_SAID = ("estimate", "low", "high", "count")
_LOWER = pl.lit(2**32 - 1, pl.UInt64)
_UPPER = pl.lit(2**64 - 2**32, pl.UInt64)
_NO_ROOM = 2**62


@dataclass(frozen=True, slots=True)
class Figures:
    """Noiseless figures: `labels` has a row for each group, `values[i]` its figure.

    `counts[i]` says of how many values it is, `entities[i]` of how many entities, all after bounding.
    """

    labels: pl.DataFrame
    values: list[int]
    counts: list[int]
    entities: list[int]


def check_query(table: pl.LazyFrame, query: Query) -> None:
    """Refuse a table that lacks a column of the query, or has one of a type that the query cannot use."""
    schema = run_quietly(table.collect_schema)
    for name in (query.unit.column, *query.columns):
        if name not in schema:
            raise InvalidInput(f"the table has no column `{name}`; accepted: one of {', '.join(schema.names())}")
    if schema[query.unit.column].is_float():
        raise InvalidInput(f"the unit `{query.unit.column}` is a floating-point column; accepted: text, whole numbers")
    if not isinstance(query, Count):
        _as_number(table, query.value)
    if not isinstance(query, Histogram | Quantile) and query.groups.by:
        _names(table, query.groups.by)
        if query.groups.keys is not None:
            _known(table, query.groups)


def check_unit(table: pl.LazyFrame, unit: Unit) -> None:
    """Refuse a table in which a row is nobody's.

    Give the whole table, before any condition of the asker: then the refusal says nothing about a part of it.
    """
    if collect(table.select(pl.col(unit.column).is_null().any())).item():
        raise InvalidInput(f"the unit `{unit.column}` has nulls; accepted: a table in which every row is somebody's")


def find_counts(table: pl.LazyFrame, unit: Unit, groups: Groups, rows: int) -> Figures:
    """Return how many entities (`rows` = 1) or rows, at most `rows` of each entity, are in each group."""
    coded, labels = _code(table, unit, groups, ())
    if rows == 1 and _one_group(unit, groups):
        # Everybody counts once, in the first of his own groups.
        each = coded.group_by(ENTITY).agg(pl.col(PLACE).min()).with_columns(pl.lit(1, pl.Int64).alias(AMOUNT))
        return _add_up(each, labels)
    if rows == 1:
        each = coded.unique().with_columns(pl.lit(1, pl.Int64).alias(AMOUNT))
    else:
        each = coded.group_by(ENTITY, PLACE).agg(pl.len().clip(upper_bound=rows).cast(pl.Int64).alias(AMOUNT))
    return _add_up(_keep_groups(each, unit, groups), labels)


def find_sums(table: pl.LazyFrame, unit: Unit, groups: Groups, value: str, bounds: Bounds, centre: int = 0) -> Figures:
    """Return each group's sum of clipped values less `centre`, in steps, and how many values it is of."""
    coded, labels = _code(table, unit, groups, (_in_steps(table, value, bounds.step).alias(VALUE),))
    coded = coded.drop_nulls(VALUE)
    if bounds.each == "row":
        clipped = pl.col(VALUE).clip(bounds.low, bounds.high) - centre
        kept = coded.with_columns(clipped.alias(VALUE), _mixed(pl.col(VALUE)).alias(ORDER))
        each = kept.group_by(ENTITY, PLACE).agg(
            _first_by_order(unit.rows).sum().alias(AMOUNT),
            pl.len().clip(upper_bound=unit.rows).cast(pl.Int64).alias(TIMES),
        )
    else:
        total = pl.col(VALUE).cast(pl.Int128).sum().clip(bounds.low, bounds.high).cast(pl.Int64) - centre
        each = coded.group_by(ENTITY, PLACE).agg(total.alias(AMOUNT), pl.lit(1, pl.Int64).alias(TIMES))
    return _add_up(_keep_groups(each, unit, groups), labels)


def find_bins(table: pl.LazyFrame, query: Histogram) -> Figures:
    """Return how many rows, at most `unit.rows` of each entity, are in each bin."""
    edges = pl.Series(query.edges, dtype=pl.Float64)
    number = _as_number(table, query.value).cast(pl.Float64)
    inside = number.is_between(query.edges[0], query.edges[-1])
    last = len(query.edges) - 2
    place = pl.lit(edges).search_sorted(number, side="right").cast(pl.Int64) - 1
    binned = table.filter(inside).select(pl.col(query.unit.column), place.clip(0, last).alias(VALUE))
    groups = Groups((VALUE,), tuple((number,) for number in range(last + 1)))
    return find_counts(binned, query.unit, groups, query.unit.rows)


def find_values(table: pl.LazyFrame, query: Quantile) -> pl.Series:
    """Return the values of a quantile in steps, at most `unit.rows` of each entity."""
    low, high = query.units[0], query.units[-1]
    steps = _in_steps(table, query.value, query.step).clip(low, high).alias(VALUE)
    each = table.select(_entity(table, query.unit), steps).drop_nulls(VALUE)
    each = each.with_columns(_mixed(pl.col(VALUE)).alias(ORDER)).group_by(ENTITY).agg(_first_by_order(query.unit.rows))
    return collect(each.select(pl.col(VALUE).explode())).to_series()


def _code(
    table: pl.LazyFrame, unit: Unit, groups: Groups, extra: Sequence[pl.Expr]
) -> tuple[pl.LazyFrame, pl.DataFrame]:
    """Return the rows with their entity and the place of their group in that entity's own order, and the groups.

    A place is a random-looking number of entity and group's name, above the group's code in the lower 32 bits. Codes
    follow the hashes of the names, so one entity more or less never changes which of somebody's groups comes first.
    """
    entity = _entity(table, unit)
    if not groups.by:
        labels = pl.DataFrame({CODE: [0]}, schema={CODE: pl.UInt64})
        return table.select(entity, pl.lit(0, pl.UInt64).alias(PLACE), *extra), labels
    named = _names(table, groups.by)
    labels = _known(table, groups) if groups.keys is not None else collect(table.select(named).unique())
    if labels.height >= 2**32:
        raise InvalidInput("the table has too many groups; accepted: fewer than 2^32")
    order = pl.struct(groups.by).hash(_SEED).alias(ORDER)
    labels = labels.with_columns(order).sort(ORDER, *groups.by).with_row_index(CODE).cast({CODE: pl.UInt64})
    coded = table.select(entity, *named, *extra).join(labels.lazy(), on=list(groups.by), nulls_equal=True)
    place = (_mixed(pl.col(ORDER)) & _UPPER) | pl.col(CODE)
    return coded.select(ENTITY, place.alias(PLACE), *(one.meta.output_name() for one in extra)), labels.drop(ORDER)


def _entity(table: pl.LazyFrame, unit: Unit) -> pl.Expr:
    return as_entity(unit.column, run_quietly(table.collect_schema)[unit.column]).alias(ENTITY)


def _mixed(one: pl.Expr) -> pl.Expr:
    """Return a number that orders an entity's own rows, for each entity in another way."""
    return (one.hash(_SEED) ^ pl.col(ENTITY).hash(_SEED + 1)).hash(_SEED + 2)


def _first_by_order(rows: int) -> pl.Expr:
    value = pl.col(VALUE)
    return value.min_by(pl.col(ORDER)) if rows == 1 else value.sort_by(ORDER).head(rows)


def _one_group(unit: Unit, groups: Groups) -> bool:
    return unit.groups == 1 or not groups.by


def _names(table: pl.LazyFrame, by: Sequence[str]) -> list[pl.Expr]:
    schema = run_quietly(table.collect_schema)
    for name in by:
        if name in _SAID:
            raise InvalidInput(f"groups cannot be made by `{name}`, which an answer says itself; rename the column")
        if schema[name].is_float() or schema[name].is_nested():
            raise InvalidInput(
                f"groups cannot be made by `{name}`; accepted: text, whole numbers, dates, true or false"
            )
    texts = (pl.Categorical, pl.Enum)
    return [pl.col(name).cast(pl.String) if schema[name] in texts else pl.col(name) for name in by]


def _known(table: pl.LazyFrame, groups: Groups) -> pl.DataFrame:
    """Return the known groups as rows of the table's own types."""
    schema = run_quietly(table.select(_names(table, groups.by)).collect_schema)
    keys: Sequence[tuple[Key, ...]] = groups.keys or ()
    columns = {}
    for place, name in enumerate(groups.by):
        values = [key[place] for key in keys]
        try:
            columns[name] = pl.Series(name, values, dtype=schema[name], strict=True)
        except (TypeError, OverflowError, pl.exceptions.PolarsError):
            raise InvalidInput(f"a known group is not of the type of `{name}`; accepted: {schema[name]}") from None
    return pl.DataFrame(columns)


def _keep_groups(each: pl.LazyFrame, unit: Unit, groups: Groups) -> pl.LazyFrame:
    """Return at most `unit.groups` groups of each entity: the first ones in its own order."""
    if not groups.by:
        return each
    if unit.groups == 1:
        return each.filter(pl.col(PLACE) == pl.col(PLACE).min().over(ENTITY))
    return each.filter(pl.col(PLACE).rank("ordinal").over(ENTITY) <= unit.groups)


def _add_up(each: pl.LazyFrame, labels: pl.DataFrame) -> Figures:
    # Added in 128 bits and cut at 2^62, which moves no figure by more than it was moved: no sum ever wraps around.
    times = TIMES if TIMES in each.collect_schema().names() else AMOUNT
    totals = [
        pl.col(one).cast(pl.Int128).sum().clip(-_NO_ROOM, _NO_ROOM).cast(pl.Int64).alias(name)
        for one, name in ((AMOUNT, AMOUNT), (times, TIMES))
    ]
    totals.append(pl.len().cast(pl.Int64).alias(ENTITY))
    found = collect(each.group_by((pl.col(PLACE) & _LOWER).alias(CODE)).agg(totals))
    whole = labels.join(found, on=CODE, how="left", maintain_order="left")
    whole = whole.with_columns(pl.col(AMOUNT, TIMES, ENTITY).fill_null(0))
    values, counts, entities = (whole[name].to_list() for name in (AMOUNT, TIMES, ENTITY))
    return Figures(whole.drop(CODE, AMOUNT, TIMES, ENTITY), values, counts, entities)


def _as_number(table: pl.LazyFrame, value: str) -> pl.Expr:
    dtype = run_quietly(table.collect_schema)[value]
    if not (dtype.is_numeric() or dtype == pl.Boolean):
        raise InvalidInput(f"`{value}` is no number; accepted: a numeric or boolean column")
    number = pl.col(value).cast(pl.Float64) if dtype.is_decimal() or dtype == pl.Boolean else pl.col(value)
    return number.fill_nan(None) if dtype.is_float() else number


def _in_steps(table: pl.LazyFrame, value: str, step: float) -> pl.Expr:
    """Return the values in whole steps, each row by itself, so that rounding moves nobody else; NaN becomes null."""
    most = float(MOST_UNITS) * 2
    number = _as_number(table, value).cast(pl.Float64)
    steps = number if step == 1 else number / step
    return steps.clip(-most, most).round(0).cast(pl.Int64, strict=False)


def find_rows(table: pl.LazyFrame, unit: Unit, columns: Sequence[pl.Expr]) -> pl.DataFrame:
    """Return whole rows of these columns without nulls, at most `unit.rows` of each entity."""
    whole = table.select(_entity(table, unit), *columns)
    names = [name for name in run_quietly(whole.collect_schema).names() if name != ENTITY]
    ordered = whole.drop_nulls(names).with_columns(_mixed(pl.struct(names)).alias(ORDER))
    kept = ordered.filter(pl.col(ORDER).rank("ordinal").over(ENTITY) <= unit.rows)
    return collect(kept.select(names))
