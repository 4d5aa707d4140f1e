"""Synthetic rows of the census extract are attacked as an outsider would, and a table of one person is told apart.

Slow: run by `script/test --full`.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from desensitize import Categories, Domain, Hierarchy, measure_attacks, synthesize

ADULT = Path(__file__).parents[5] / "shared" / "data" / "adult"
needs_adult = pytest.mark.skipif(not ADULT.is_dir(), reason="the census extract ../shared/data/adult is not here")


@pytest.mark.slow
@needs_adult
@pytest.mark.parametrize("method", ["aim", "mst"])
def test_synthetic_rows_give_an_attacker_nothing_beyond_the_control_group(method: str) -> None:
    table = pl.read_csv(ADULT / "adult.csv", separator=";", infer_schema=False).sample(fraction=1, shuffle=True, seed=3)
    hierarchies = {name: Hierarchy.from_csv(ADULT / f"adult_hierarchy_{name}.csv") for name in table.columns}
    half = len(table) // 2
    original, control = table[:half], table[half:]
    domain = Domain.from_hierarchies(hierarchies, {})
    made = synthesize(original, domain, epsilon=1.0, delta=1e-9, method=method).frame
    options = {"secrets": ["salary-class", "occupation"], "attacks": 2_000, "confidence": 0.999}
    found = measure_attacks(original, made, control, **options)
    for kind, secret in (
        ("singling_out_one", None), ("singling_out_many", None), ("linkability", None),
        ("inference", "salary-class"), ("inference", "occupation"),
    ):  # fmt: skip
        assert found.find(kind, secret).low <= 0.01, (kind, secret)
    # The same attackers do see through the table itself: the measure can fail.
    assert measure_attacks(original, original, control, **options).find("inference", "occupation").low > 0.05


@pytest.mark.slow
def test_tables_with_and_without_a_person_are_hardly_told_apart() -> None:
    """The best attacker on one column, who knows all others, stays within epsilon (Kairouz, Oh, Viswanath 2015)."""
    domain = Domain({"x": Categories(("a", "b")), "y": Categories(("c", "d"))})
    without = pl.DataFrame({"x": ["a"] * 30, "y": ["c"] * 30})
    with_one = pl.concat([without, pl.DataFrame({"x": ["b"], "y": ["d"]})])
    epsilon, delta, runs = 1.0, 1e-3, 250

    def guess(table: pl.DataFrame) -> np.ndarray:
        made = [synthesize(table, domain, epsilon=epsilon, delta=delta, method="mst", rows=31) for _ in range(runs)]
        return np.array([((each.frame["x"] == "b") | (each.frame["y"] == "d")).sum() for each in made])

    one, other = guess(with_one), guess(without)
    # Four standard errors of a share of so many runs, on both sides.
    slack = 4 * math.sqrt(0.25 / runs)
    for limit in range(32):
        for yes, no in (
            ((one >= limit).mean(), (other >= limit).mean()),
            ((other < limit).mean(), (one < limit).mean()),
        ):
            assert yes <= math.exp(epsilon) * no + delta + slack * (1 + math.exp(epsilon)) / 2
