"""Conditions on rows: a closed list of {column, op, value}, joined by *and*.

A grant's row filter and a specification's population are such lists; nothing in them is ever evaluated as code. The
grammar is pure. What runs it (polars in the release and in the index) translates each operator by its own table.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from shuzha.core.errors import Invalid

Scalar = str | int | float | bool
MAX_CONDITIONS = 50
MAX_MEMBERS = 10_000
RULE = "conditions.grammar"
_STRICT = {"extra": "forbid"}


class Op(StrEnum):
    """What a condition may ask; a date or a moment is compared as ISO text of the column's own type."""

    EQ = "eq"
    NE = "ne"
    LT = "lt"
    LE = "le"
    GT = "gt"
    GE = "ge"
    IN = "in"
    IS_NULL = "is_null"
    NOT_NULL = "not_null"


ACCEPTED = ", ".join(Op)
_WITHOUT_VALUE = frozenset({Op.IS_NULL, Op.NOT_NULL})


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition on one column; `value` is a scalar, a tuple for `in`, and None for `is_null` and `not_null`."""

    __pydantic_config__ = _STRICT
    column: str
    op: Op
    value: Scalar | tuple[Scalar, ...] | None = None

    def __post_init__(self) -> None:
        if not self.column:
            raise Invalid("a condition names no column", rule=RULE, accepted="a column of the entry")
        if self.op not in set(Op):
            raise Invalid(f"the condition on `{self.column}` has an unknown operator", rule=RULE, accepted=ACCEPTED)
        object.__setattr__(self, "op", Op(self.op))
        object.__setattr__(self, "value", _checked_value(self.column, self.op, self.value))

    def as_dict(self) -> dict[str, object]:
        """Return the condition as plain JSON."""
        value = list(self.value) if isinstance(self.value, tuple) else self.value
        return {"column": self.column, "op": self.op.value, "value": value}


def read_conditions(items: Iterable[Mapping[str, object]]) -> tuple[Condition, ...]:
    """Return the conditions of plain JSON; refuses unknown keys, unknown operators and more than 50 conditions."""
    found = []
    for item in items:
        extra = sorted(set(item) - {"column", "op", "value"})
        if extra:
            raise Invalid(f"a condition has an unknown key `{extra[0]}`", rule=RULE, accepted="column, op, value")
        value = item.get("value")
        members: object = tuple(value) if isinstance(value, list) else value
        found.append(Condition(str(item.get("column", "")), str(item.get("op", "")), members))  # type: ignore[arg-type]
    return check_conditions(tuple(found))


def check_conditions(conditions: tuple[Condition, ...], columns: Iterable[str] | None = None) -> tuple[Condition, ...]:
    """Return the conditions; refuses too many of them, and a column that is not among `columns` if these are given."""
    if len(conditions) > MAX_CONDITIONS:
        raise Invalid(f"{len(conditions)} conditions", rule=RULE, accepted=f"at most {MAX_CONDITIONS}")
    if columns is not None:
        known = set(columns)
        for condition in conditions:
            if condition.column not in known:
                raise Invalid(
                    f"a condition names the column `{condition.column}`, which is not there",
                    rule=RULE, accepted=", ".join(sorted(known)),
                )  # fmt: skip
    return conditions


def _checked_value(column: str, op: Op, value: object) -> object:
    if op in _WITHOUT_VALUE:
        if value is not None:
            raise Invalid(f"the condition on `{column}`: `{op}` takes no value", rule=RULE)
        return None
    if op is Op.IN:
        if not isinstance(value, list | tuple) or not 0 < len(value) <= MAX_MEMBERS:
            raise Invalid(f"the condition on `{column}`: `in` takes a list", rule=RULE, accepted="1 to 10,000 values")
        members = tuple(value)
        if any(not _is_scalar(member) for member in members) or len({_kind(member) for member in members}) > 1:
            raise Invalid(
                f"the condition on `{column}`: values of several kinds", rule=RULE, accepted="values of one kind"
            )
        return members
    if not _is_scalar(value):
        raise Invalid(
            f"the condition on `{column}`: `{op}` takes one value", rule=RULE, accepted="text, number, true, false"
        )
    if op not in {Op.EQ, Op.NE} and isinstance(value, bool):
        raise Invalid(f"the condition on `{column}`: true and false have no order", rule=RULE, accepted="eq, ne")
    return value


def _is_scalar(value: object) -> bool:
    return isinstance(value, str | int | float) and not (isinstance(value, float) and not math.isfinite(value))


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "boolean"
    return "text" if isinstance(value, str) else "number"
