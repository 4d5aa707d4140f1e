"""Two tables that are each large enough, and whose difference is one person."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from sandbox.airlock.differencing import check_tables
from sandbox.airlock.rules import Rules
from sandbox.airlock.specification import Condition, TableSpecification
from shuzha.core.conditions import Op

FRAME = pl.DataFrame(
    {
        "person": [f"p{number}" for number in range(400)],
        "place": ["x" if number % 2 else "y" for number in range(400)],
        "level": list(range(400)),
    }
).lazy()


def below(level: int, **changes: Any) -> TableSpecification:
    where = [Condition("level", Op.LT, level)]
    return TableSpecification(**({"release": "r", "rows": ["place"], "where": where} | changes))


@pytest.mark.parametrize(
    ("first", "second", "least"),
    [
        (below(200), below(201), 1),
        (below(200, rows=[]), below(201, rows=[]), 1),
        (below(200, rows=[]), below(209), 9),
        (below(200), below(218), 9),  # nine in each place
        (below(200), below(220), None),
        (below(200), below(200), None),
        (below(200), below(200, rows=[], aggregate="entities"), None),
        (below(399), below(1, where=[]), 1),
    ],
)
def test_tables_that_differ_by_few_are_found(
    first: TableSpecification, second: TableSpecification, least: int | None
) -> None:
    found = check_tables({"one": first, "two": second}, FRAME, entity="person", rules=Rules())
    assert [(one.rule, one.figure, one.file) for one in found] == (
        [] if least is None else [("differencing", least, "two")]
    )


def test_each_pair_is_compared() -> None:
    tables = {"one": below(200), "two": below(300), "three": below(202)}
    found = check_tables(tables, FRAME, entity="person", rules=Rules())
    assert [one.place for one in found] == ["outputs one, three"]
