"""Attacks on a release: what an insider, a provider of a crafted table or a neighbour on the machine may try."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

import desensitize
from desensitize.errors import InvalidInput
from desensitize.hierarchy import Hierarchy
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


@pytest.mark.parametrize(
    "numbers", [[1e19, 2e19, 3e19, 4e19, 5e19, None], [float("nan"), float("inf"), 1e300, 0, 1, 2]]
)
def test_no_class_holds_numbers_that_can_be_told_apart(numbers: list[float | None]) -> None:
    table = pl.DataFrame({"q": pl.Series(numbers, dtype=pl.Float64)})
    made = desensitize.anonymize(table, {"q": Hierarchy.flat()}, k=6, suppression_limit=0)
    assert made.levels == {"q": 1}
    assert made.frame.collect_schema()["q"] == pl.String


@pytest.mark.parametrize("dtype", [pl.Float32, pl.Float64])
def test_minus_zero_is_not_told_from_zero(dtype: pl.DataType) -> None:
    table = pl.DataFrame({"q": pl.Series([0.0] * 5 + [-0.0], dtype=dtype)})
    made = desensitize.anonymize(table, {"q": Hierarchy.flat()}, k=6, suppression_limit=0)
    assert made.levels == {"q": 0}
    assert made.frame.lazy().collect()["q"].dtype == dtype
    assert not np.signbit(made.frame.lazy().collect()["q"].to_numpy()).any()
