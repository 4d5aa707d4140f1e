"""Which rows a query is about: a closed list of conditions on single rows, joined by *and*.

Nothing here can look at another row (a window, a rank, a maximum): that would let one entity move everybody's figures,
and no noise is made for it.
"""

from __future__ import annotations

import datetime as dt
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from desensitize.errors import InvalidInput, InvalidPlan
from desensitize.tables import run_quietly

_COMPARED: Mapping[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
OPERATORS = (*_COMPARED, "in", "is_null", "not_null")
MOST_MEMBERS = 10_000


@dataclass(frozen=True, slots=True)
class Where:
    """One condition on one column; `value` is a tuple for `in` and nothing for `is_null` and `not_null`.

    Dates and moments may be given as ISO 8601 text. A null meets `is_null` alone.
    """

    column: str
    op: str
    value: object = None

    def __post_init__(self) -> None:
        if self.op not in OPERATORS:
            raise InvalidPlan(f"the condition on `{self.column}` has an unknown operator; accepted: {OPERATORS}")
        if self.op == "in":
            good = isinstance(self.value, tuple) and 1 <= len(self.value) <= MOST_MEMBERS
        else:
            good = (self.value is None) == (self.op in ("is_null", "not_null"))
        if not good:
            raise InvalidPlan(
                f"the condition on `{self.column}` has no fitting value; accepted: one value, for `in` a tuple"
            )


def to_expression(table: pl.LazyFrame, conditions: Sequence[Where]) -> pl.Expr | None:
    """Return whether a row meets all conditions, None where there are none.

    Refuses a column that the table lacks, and a value that is not of the column's type.
    """
    schema = run_quietly(table.collect_schema)
    met = [_one(condition, schema) for condition in conditions]
    return pl.all_horizontal(met) if met else None


def _one(condition: Where, schema: pl.Schema) -> pl.Expr:
    name = condition.column
    if name not in schema:
        raise InvalidInput(
            f"a condition names `{name}`, which the table has not; accepted: {', '.join(schema.names())}"
        )
    dtype = schema[name]
    column = pl.col(name).cast(pl.String) if dtype in (pl.Categorical, pl.Enum) else pl.col(name)
    if condition.op == "is_null":
        return column.is_null()
    if condition.op == "not_null":
        return column.is_not_null()
    if condition.op == "in":
        members = condition.value if isinstance(condition.value, tuple) else ()
        met = pl.any_horizontal([column == pl.lit(_typed(one, dtype, name)) for one in members])
    else:
        met = _COMPARED[condition.op](column, pl.lit(_typed(condition.value, dtype, name)))
    return met.fill_null(value=False)


def _typed(value: object, dtype: pl.DataType, name: str) -> object:
    boolean = isinstance(value, bool)
    if dtype == pl.Boolean and boolean:
        return value
    if dtype.is_numeric() and isinstance(value, int | float) and not boolean:
        return value
    if dtype in (pl.String, pl.Categorical, pl.Enum) and isinstance(value, str):
        return value
    if dtype.is_temporal():
        found = _moment(value, dtype)
        if found is not None:
            return found
    raise InvalidInput(f"a condition compares `{name}` with a value of another type; accepted: {dtype}")


def _moment(value: object, dtype: pl.DataType) -> dt.date | None:
    try:
        if dtype == pl.Date:
            found = dt.date.fromisoformat(value) if isinstance(value, str) else value
            return found if type(found) is dt.date else None
        if isinstance(dtype, pl.Datetime):
            moment = dt.datetime.fromisoformat(value) if isinstance(value, str) else value
            good = isinstance(moment, dt.datetime) and (moment.tzinfo is None) == (dtype.time_zone is None)
            return moment if good and isinstance(moment, dt.datetime) else None
    except ValueError:
        return None
    return None
