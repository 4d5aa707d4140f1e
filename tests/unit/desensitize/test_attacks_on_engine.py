"""Attacks on a release: what an insider, a provider of a crafted table or a neighbour on the machine may try."""

from __future__ import annotations

import polars as pl
import pytest

import desensitize
from desensitize.errors import InvalidInput
from desensitize.tables import hide
from desensitize.transform.plan import Plan

KEY = bytes(range(32))


@pytest.mark.parametrize("name", ["^ab.*$", "*", hide("abc")])
def test_refuses_a_column_whose_name_reaches_another_column(name: str) -> None:
    # Kept under a pattern for a name, polars would release the dropped column.
    table = pl.DataFrame({name: ["plain"], "abc": ["secret"]})
    plan = Plan.from_dict({"columns": {name: "keep", "abc": "drop"}})
    with pytest.raises(InvalidInput, match="rename it first"):
        desensitize.apply(table, plan)
