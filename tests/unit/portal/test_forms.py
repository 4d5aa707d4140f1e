"""What a person types into the forms of this room, and what becomes of it."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shuzha.authorization.announcement import Criterion
from shuzha.catalog.model import Element, ElementType, Title
from shuzha.core.conditions import Condition, Op
from shuzha.core.errors import Invalid
from shuzha.portal.announcements import read_criteria
from shuzha.portal.forms import read_lines, read_rows, write_rows, years_on

ELEMENTS = tuple(
    Element(kind.value, Title(kind.value, kind.value), kind)
    for kind in (ElementType.TEXT, ElementType.INTEGER, ElementType.NUMBER, ElementType.BOOLEAN, ElementType.DATE)
)


def test_reads_a_condition_a_line_in_the_type_of_its_column() -> None:
    text = (
        "text in 370102, 370103\n\n integer ge 18 \nnumber lt 0.5\nboolean eq True\ndate le 2026-03-01\ntext not_null"
    )
    assert read_rows(text, ELEMENTS) == (
        Condition("text", Op.IN, ("370102", "370103")),
        Condition("integer", Op.GE, 18),
        Condition("number", Op.LT, 0.5),
        Condition("boolean", Op.EQ, True),
        Condition("date", Op.LE, "2026-03-01"),
        Condition("text", Op.NOT_NULL),
    )
    assert read_rows(" \n", ELEMENTS) == ()


@pytest.mark.parametrize(
    "line",
    ["text", "text eq", "text is_null x", "other eq 1", "text like a%", "integer eq x", "boolean eq yes", "text in ,",
     "boolean lt true", "text; drop eq 1"],
)  # fmt: skip
def test_refuses_a_line_that_is_no_condition_and_never_repeats_its_value(line: str) -> None:
    with pytest.raises(Invalid) as refused:
        read_rows(line, ELEMENTS)
    assert refused.value.rule == "conditions.grammar"
    assert "drop" not in str(refused.value)


_WORD = st.from_regex(r"[a-z0-9\u4e00-\u9fff]{1,8}", fullmatch=True)
_VALUES = {
    "text": _WORD, "integer": st.integers(-(10**9), 10**9), "boolean": st.booleans(),
    "number": st.floats(allow_nan=False, allow_infinity=False),
}  # fmt: skip


@st.composite
def _condition(draw: st.DrawFn) -> Condition:
    column = draw(st.sampled_from(sorted(_VALUES)))
    op = draw(st.sampled_from([Op.EQ, Op.NE, Op.IN, Op.IS_NULL, Op.NOT_NULL]))
    if op in (Op.IS_NULL, Op.NOT_NULL):
        return Condition(column, op)
    if op is Op.IN:
        return Condition(column, op, tuple(draw(st.lists(_VALUES[column], min_size=1, max_size=4))))
    return Condition(column, op, draw(_VALUES[column]))


@given(st.lists(_condition(), max_size=6))
def test_what_is_shown_for_change_reads_back_as_it_was(conditions: list[Condition]) -> None:
    assert read_rows(write_rows(conditions), ELEMENTS) == tuple(conditions)


def test_reads_criteria_and_lists() -> None:
    assert read_criteria("数据安全：60\nvalue: of it: 40\n") == (
        Criterion("数据安全", 60),
        Criterion("value: of it", 40),
    )
    for wrong in ("security", "security: many", ": 5"):
        with pytest.raises(Invalid):
            read_criteria(wrong)
    assert read_lines("a, b\nc") == ("a", "b", "c")
    with pytest.raises(Invalid):
        read_lines(" \n")


def test_a_term_of_years_ends_the_day_before_its_anniversary() -> None:
    assert years_on(dt.date(2026, 3, 2), 2) == dt.date(2028, 3, 1)
    assert years_on(dt.date(2024, 2, 29), 1) == dt.date(2025, 2, 28)
