"""The platform's own computation of what a specification describes, from data that the analyst's code never touched.

It needs a lazy table and gives a new one. Conditions become comparisons with typed literals; nothing in a
specification is evaluated as code.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import polars as pl

from sandbox.airlock.cells import point
from sandbox.airlock.specification import (
    Aggregate,
    Coding,
    Merge,
    TableSpecification,
    VerificationSpecification,
)
from shuzha.core.conditions import Op, Scalar
from shuzha.core.errors import Invalid

RULE: Final = "airlock.recompute"


class AnyCondition(Protocol):
    """A condition of a specification or of a grant's row filter: one grammar, two records."""

    @property
    def column(self) -> str:
        """The column that is asked."""
        ...

    @property
    def op(self) -> Op:
        """What is asked of it."""
        ...

    @property
    def value(self) -> Scalar | Sequence[Scalar] | None:
        """What it is compared with."""
        ...


DECIMALS: Final = 6
TINY: Final = 1e-9

_COMPARED: Final[dict[Op, Callable[[pl.Expr, pl.Expr], pl.Expr]]] = {
    Op.EQ: pl.Expr.eq,
    Op.NE: pl.Expr.ne,
    Op.LT: pl.Expr.lt,
    Op.LE: pl.Expr.le,
    Op.GT: pl.Expr.gt,
    Op.GE: pl.Expr.ge,
}
_VALUED: Final[dict[Aggregate, Callable[[pl.Expr], pl.Expr]]] = {
    Aggregate.SUM: pl.Expr.sum,
    Aggregate.MEAN: pl.Expr.mean,
    Aggregate.STD: pl.Expr.std,
    Aggregate.VAR: pl.Expr.var,
    Aggregate.MIN: pl.Expr.min,
    Aggregate.MAX: pl.Expr.max,
}


def figure_name(table: TableSpecification) -> str:
    """Return the heading of a table's figures: `count`, `entities`, or aggregate and value, such as `mean_base`."""
    return f"{table.aggregate.value}_{table.value}" if table.value else table.aggregate.value


def population(table: TableSpecification, frame: pl.LazyFrame) -> pl.LazyFrame:
    """Return the rows of the release that the table is about, their labels merged and their values coded.

    Refuses merges and codings of columns that the release lacks or whose type does not fit.
    """
    schema = frame.collect_schema()
    check_columns(sorted(table.used_columns), schema)
    rows = frame.filter(condition(table.where, schema))
    if table.merges:
        rows = rows.with_columns(_merged(column, table.merges) for column in {one.column for one in table.merges})
    if table.coding is not None and table.value is not None:
        _check_number(table.value, schema)
        rows = rows.with_columns(code(pl.col(table.value), table.coding).alias(table.value))
    return rows


def code(value: pl.Expr, coding: Coding) -> pl.Expr:
    """Return the values cut at bottom and top, then rounded to the nearest multiple of the step."""
    value = value.cast(pl.Float64).fill_nan(None)
    if coding.bottom is not None or coding.top is not None:
        value = value.clip(coding.bottom, coding.top)
    if coding.step is not None:
        # Divided by a whole number where that is the same: 0.1 is no exact step.
        parts = 1 / coding.step
        whole = round(parts)
        value = (value * whole).round() / whole if whole and abs(parts - whole) < TINY else (
            (value / coding.step).round() * coding.step
        )  # fmt: skip
    return value


def _merged(column: str, merges: Sequence[Merge]) -> pl.Expr:
    shown = pl.col(column).cast(pl.String)
    for one in merges:
        if one.column == column:
            named = [label for label in one.labels if label is not None]
            # Each label is looked for in the column as it was, so that no merge feeds another.
            hit = pl.col(column).cast(pl.String).is_in(named)
            if None in one.labels:
                hit = hit | pl.col(column).is_null()
            shown = pl.when(hit.fill_null(value=False)).then(pl.lit(one.into)).otherwise(shown)
    return shown.alias(column)


def _check_number(name: str, schema: pl.Schema) -> None:
    if not (schema[name].is_numeric() or schema[name] == pl.Boolean):
        raise Invalid(f"column `{name}` is no number", rule=RULE, accepted="a numeric or boolean value")


def compute_table(table: TableSpecification, frame: pl.LazyFrame, entity: str | None) -> pl.DataFrame:
    """Return the table that the specification describes: its labels, then its figures, sorted by label.

    Entities are counted by column `entity`, rows where there is none. Figures that are not whole are rounded to six
    decimals. Refuses columns that the release lacks, a value that is no number, and a grouping named like the
    figures.
    """
    schema = frame.collect_schema()
    check_columns(sorted(table.used_columns), schema)
    name = figure_name(table)
    if name in table.dimensions:
        raise Invalid(f"a grouping has the figures' name `{name}`", rule=RULE, accepted="a grouping of another name")
    if table.value and table.aggregate.needs_value:
        _check_number(table.value, schema)
    rows = population(table, frame)
    figure = _figure(table, rows.collect_schema(), entity).alias(name)
    if not table.dimensions:
        return rows.select(figure).collect(engine="streaming")
    result = (
        rows.group_by(table.dimensions).agg(figure).sort(table.dimensions, nulls_last=True).collect(engine="streaming")
    )
    return result.with_columns(pl.col(pl.Float64).round(DECIMALS))


def claim_frame(verification: VerificationSpecification, frame: pl.LazyFrame) -> pl.LazyFrame:
    """Return a row for each subject: its columns, then for each claim whether one of its rows meets it.

    Rows without a whole subject are left out. Refuses columns that the entry lacks and conditions of a wrong type.
    """
    schema = frame.collect_schema()
    check_columns(sorted(verification.used_columns), schema)
    taken = {claim.name for claim in verification.claims} & set(verification.subject)
    if taken:
        raise Invalid(f"a claim has the name of subject column `{min(taken)}`", rule=RULE, accepted="another name")
    claims = [condition(claim.where, schema).any().alias(claim.name) for claim in verification.claims]
    return frame.drop_nulls(verification.subject).group_by(verification.subject).agg(claims)


def condition(conditions: Sequence[AnyCondition], schema: pl.Schema) -> pl.Expr:
    """Return whether a row meets every condition; a null value meets only `is_null`. Refuses values of a wrong type."""
    check_columns([one.column for one in conditions], schema)
    met = [_comparison(one, schema[one.column]).fill_null(value=False) for one in conditions]
    return pl.all_horizontal(met) if met else pl.lit(value=True)


def check_columns(names: Sequence[str], schema: pl.Schema) -> None:
    """Refuse the first column that the table does not have."""
    for name in names:
        if name not in schema:
            raise Invalid(f"the data has no column `{name}`", rule=RULE, accepted=", ".join(schema.names()))


def _comparison(one: AnyCondition, dtype: pl.DataType) -> pl.Expr:
    column = pl.col(one.column)
    if dtype in (pl.Categorical, pl.Enum):
        column = column.cast(pl.String)
    match one.op:
        case Op.IS_NULL:
            return column.is_null()
        case Op.NOT_NULL:
            return column.is_not_null()
        case Op.IN if isinstance(one.value, list | tuple):
            return pl.any_horizontal([column == _literal(value, dtype, one) for value in one.value])
    if not isinstance(one.value, str | int | float):
        raise Invalid(f"condition `{one.op}` on column `{one.column}` has no fitting value", rule=RULE)
    return _COMPARED[one.op](column, _literal(one.value, dtype, one))


def _literal(value: Scalar, dtype: pl.DataType, one: AnyCondition) -> pl.Expr:
    """Return the value as a literal of the column's own type; text stands for dates and moments in ISO 8601."""
    wanted = "text"
    if dtype == pl.Boolean:
        wanted = "true or false"
        if isinstance(value, bool):
            return pl.lit(value)
    elif dtype.is_numeric():
        wanted = "a number"
        if isinstance(value, int | float) and not isinstance(value, bool):
            return pl.lit(value)
    elif dtype.is_temporal():
        wanted = "a date or moment as ISO 8601 text"
        moment = _moment(value, dtype)
        if moment is not None:
            return pl.lit(moment)
    elif isinstance(value, str):
        return pl.lit(value)
    raise Invalid(
        f"condition `{one.op}` on column `{one.column}` has a value of the wrong type", rule=RULE, accepted=wanted
    )


def _moment(value: Scalar, dtype: pl.DataType) -> dt.date | None:
    try:
        if dtype == pl.Date and isinstance(value, str):
            return dt.date.fromisoformat(value)
        if isinstance(dtype, pl.Datetime) and isinstance(value, str):
            moment = dt.datetime.fromisoformat(value)
            return moment if (moment.tzinfo is None) == (dtype.time_zone is None) else None
    except ValueError:
        return None
    return None


def _figure(table: TableSpecification, schema: pl.Schema, entity: str | None) -> pl.Expr:
    value = pl.col(table.value) if table.value else None
    if value is not None and schema[table.value or ""].is_float():
        value = value.fill_nan(None)
    match table.aggregate:
        case Aggregate.COUNT:
            return (pl.len() if value is None else value.count()).cast(pl.Int64)
        case Aggregate.ENTITIES:
            who = pl.int_range(pl.len()) if entity is None else pl.col(entity)
            there = who if value is None else who.filter(value.is_not_null())
            return there.drop_nulls().n_unique().cast(pl.Int64)
    if value is None:
        raise Invalid(f"a table of `{table.aggregate}` names no value", rule=RULE, accepted="`value`: a numeric column")
    if schema[table.value or ""] == pl.Boolean:
        value = value.cast(pl.Int64)
    if table.aggregate.is_point:
        return point(table.aggregate, value)
    return _VALUED[table.aggregate](value)
