from __future__ import annotations

import datetime as dt

import polars as pl
import pytest

from shuzha.core.conditions import Condition, Op
from shuzha.core.errors import Invalid
from shuzha.releases.filters import to_expression

FRAME = pl.DataFrame(
    {
        "n": [1, 2, None],
        "f": [0.5, 1.5, 2.5],
        "t": ["a", "b", None],
        "b": [True, False, None],
        "d": [dt.date(2026, 1, 1), dt.date(2026, 2, 1), None],
        "m": [dt.datetime.fromisoformat(f"2026-01-01T{hour}:00:00") for hour in ("08", "09")] + [None],
    }
)


def kept(*conditions: Condition) -> list[int]:
    expression = to_expression(conditions, dict(FRAME.schema))
    frame = FRAME.with_row_index("i")
    return (frame if expression is None else frame.filter(expression))["i"].to_list()


@pytest.mark.parametrize(
    ("column", "op", "value", "rows"),
    [
        ("n", "eq", 1, [0]),
        ("n", "ne", 1, [1]),
        ("n", "lt", 1.5, [0]),
        ("n", "in", (2, 9), [1]),
        ("n", "is_null", None, [2]),
        ("n", "not_null", None, [0, 1]),
        ("f", "ge", 1, [1, 2]),
        ("t", "eq", "a", [0]),
        ("t", "gt", "a", [1]),
        ("t", "in", ("a", "b"), [0, 1]),
        ("b", "eq", True, [0]),
        ("b", "ne", True, [1]),
        ("d", "le", "2026-01-01", [0]),
        ("d", "in", ("2026-02-01",), [1]),
        ("m", "gt", "2026-01-01T08:00:00", [1]),
    ],
)
def test_keeps_the_rows_that_meet_it(column: str, op: str, value: object, rows: list[int]) -> None:
    assert kept(Condition(column, Op(op), value)) == rows  # type: ignore[arg-type]


def test_joins_conditions_by_and() -> None:
    assert kept() == [0, 1, 2]
    assert kept(Condition("n", Op.GE, 1), Condition("t", Op.EQ, "b")) == [1]
    assert kept(Condition("n", Op.EQ, 1), Condition("t", Op.EQ, "b")) == []


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("n", "1"), ("n", True), ("t", 1), ("b", 1), ("b", "true"), ("d", "yesterday"), ("d", 1),
        ("m", "2026-01-01T08:00:00+08:00"), ("x", 1),
    ],
)  # fmt: skip
def test_refuses_another_type_and_never_shows_the_value(column: str, value: object) -> None:
    with pytest.raises(Invalid, match=f"`{column}`") as caught:
        to_expression([Condition(column, Op.EQ, value)], dict(FRAME.schema))  # type: ignore[arg-type]
    assert "yesterday" not in str(caught.value)
