from __future__ import annotations

import math

import msgspec
import pytest

from shuzha.core.conditions import Condition, Op, check_conditions, read_conditions
from shuzha.core.errors import Invalid


@pytest.mark.parametrize(
    ("item", "complaint"),
    [
        ({"column": "a", "op": "like", "value": "x"}, "unknown operator"),
        ({"column": "", "op": "eq", "value": 1}, "names no column"),
        ({"column": "a", "op": "eq", "value": None}, "takes one value"),
        ({"column": "a", "op": "eq", "value": [1]}, "takes one value"),
        ({"column": "a", "op": "eq", "value": {"x": 1}}, "takes one value"),
        ({"column": "a", "op": "lt", "value": True}, "no order"),
        ({"column": "a", "op": "lt", "value": math.nan}, "takes one value"),
        ({"column": "a", "op": "in", "value": []}, "takes a list"),
        ({"column": "a", "op": "in", "value": "x"}, "takes a list"),
        ({"column": "a", "op": "in", "value": [1, "x"]}, "several kinds"),
        ({"column": "a", "op": "in", "value": [True, 1]}, "several kinds"),
        ({"column": "a", "op": "is_null", "value": 1}, "takes no value"),
        ({"column": "a", "op": "eq", "value": 1, "sql": "1=1"}, "unknown key `sql`"),
    ],
)
def test_refuses_what_is_outside_the_grammar(item: dict[str, object], complaint: str) -> None:
    with pytest.raises(Invalid, match=complaint) as caught:
        read_conditions([item])
    assert caught.value.rule == "conditions.grammar"


def test_reads_every_operator_and_writes_it_back() -> None:
    items = [{"column": "a", "op": op.value, "value": 3} for op in Op if op not in {Op.IN, Op.IS_NULL, Op.NOT_NULL}]
    items += [{"column": "a", "op": "in", "value": ["x", "y"]}, {"column": "b", "op": "is_null", "value": None}]
    assert [condition.as_dict() for condition in read_conditions(items)] == items


def test_survives_the_records() -> None:
    conditions = (Condition("a", Op.IN, ("x", "y")), Condition("b", Op.LE, 2.0), Condition("c", Op.EQ, True))
    text = msgspec.json.encode(conditions)
    back = msgspec.json.decode(text, type=tuple[Condition, ...])
    assert back == conditions
    assert isinstance(back[1].value, float)


def test_refuses_an_unknown_column_and_too_many() -> None:
    condition = Condition("a", Op.EQ, 1)
    assert check_conditions((condition,), ["a"]) == (condition,)
    with pytest.raises(Invalid, match="`a`, which is not there"):
        check_conditions((condition,), ["b"])
    with pytest.raises(Invalid, match="51 conditions"):
        check_conditions((condition,) * 51)
