"""A row filter becomes one polars expression, each operator by its own line; nothing is evaluated as code.

A null meets no condition but `is_null`. Dates and moments are written as ISO text; a moment without a zone is taken as
the column has it.
"""

from __future__ import annotations

import datetime as dt
import operator
from collections.abc import Callable, Iterable, Mapping
from functools import reduce
from typing import Any

import polars as pl

from shuzha.core.conditions import RULE, Condition, Op, Scalar
from shuzha.core.errors import Invalid

_COMPARE: Mapping[Op, Callable[[Any, Any], Any]] = {
    Op.EQ: operator.eq,
    Op.NE: operator.ne,
    Op.LT: operator.lt,
    Op.LE: operator.le,
    Op.GT: operator.gt,
    Op.GE: operator.ge,
}


def to_expression(conditions: Iterable[Condition], schema: Mapping[str, pl.DataType]) -> pl.Expr | None:
    """Return the conjunction of the conditions, None where there is none.

    Refuses a column that the table lacks and a value that is not of the column's type.
    """
    made = [_one(condition, schema) for condition in conditions]
    return reduce(operator.and_, made) if made else None


def _one(condition: Condition, schema: Mapping[str, pl.DataType]) -> pl.Expr:
    column = condition.column
    if column not in schema:
        raise Invalid(f"the row filter names `{column}`, which is not there", rule=RULE, accepted=", ".join(schema))
    if condition.op is Op.IS_NULL:
        return pl.col(column).is_null()
    if condition.op is Op.NOT_NULL:
        return pl.col(column).is_not_null()
    dtype = schema[column]
    if isinstance(condition.value, tuple):
        members = pl.Series([_typed(column, dtype, value) for value in condition.value], dtype=_literal_type(dtype))
        return pl.col(column).is_in(members.implode())
    assert condition.value is not None
    literal = pl.lit(_typed(column, dtype, condition.value), dtype=_literal_type(dtype))
    found: pl.Expr = _COMPARE[condition.op](pl.col(column), literal)
    return found


def _literal_type(dtype: pl.DataType) -> pl.DataType | None:
    return None if dtype.is_numeric() else dtype


def _typed(column: str, dtype: pl.DataType, value: Scalar) -> object:
    if dtype == pl.Boolean and isinstance(value, bool):
        return value
    if dtype.is_numeric() and isinstance(value, int | float) and not isinstance(value, bool):
        return value
    if dtype == pl.String and isinstance(value, str):
        return value
    if isinstance(value, str):
        found = _moment(dtype, value)
        if found is not None:
            return found
    raise Invalid(
        f"the row filter compares `{column}`, which is {dtype}, with a value of another type", rule=RULE,
        accepted="text for text, a number for numbers, true or false, ISO text for dates",
    )  # fmt: skip


def _moment(dtype: pl.DataType, value: str) -> dt.date | dt.datetime | None:
    try:
        if dtype == pl.Date:
            return dt.date.fromisoformat(value)
        if isinstance(dtype, pl.Datetime):
            found = dt.datetime.fromisoformat(value)
            return found if (found.tzinfo is None) == (dtype.time_zone is None) else None
    except ValueError:
        return None
    return None
