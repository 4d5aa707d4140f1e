"""Attacks on neighbouring tables: what is learned of one entity is never surely more than epsilon."""

from __future__ import annotations

import math

import polars as pl
import pytest
from scipy import stats

from desensitize.dp import (
    Accountant,
    Bounds,
    Cap,
    Count,
    Groups,
    Histogram,
    Mean,
    Noise,
    Quantile,
    Query,
    Sum,
    Unit,
    answer,
)

RUNS = 1200
NOISE = Noise(epsilon=1.0)
UNIT = Unit("who", 1, 2)
FALSE_ALARM = 1e-6


def tables() -> tuple[pl.DataFrame, pl.DataFrame]:
    """A table, and one with an entity more that is as far from the others as the bounds let it be."""
    rows = [(f"p{number}", "x", 0.0) for number in range(12)]
    loud = [("loud", "x", 10.0), ("loud", "x", 10.0)]
    schema = {"who": pl.String, "place": pl.String, "value": pl.Float64}
    return pl.DataFrame(rows, schema, orient="row"), pl.DataFrame(rows + loud, schema, orient="row")


def lower_bound(one: list[float], two: list[float]) -> float:
    """An epsilon that the outputs surely show: the best cut on one half of them, Clopper-Pearson on the other."""
    half = len(one) // 2
    cuts = sorted({*one[:half], *two[:half]})
    share = len(cuts) // 40 + 1

    def gap(cut: float) -> float:
        first, second = (sum(value >= cut for value in each[:half]) + 3 for each in (one, two))
        return abs(math.log(first / second))

    best, found = max(cuts[::share], key=gap), 0.0
    rest = len(one) - half
    first, second = (sum(value >= best for value in each[half:]) for each in (one, two))
    for high, low in ((first, second), (second, first), (rest - first, rest - second), (rest - second, rest - first)):
        least = stats.beta.ppf(FALSE_ALARM, high, rest - high + 1) if high else 0.0
        most = stats.beta.ppf(1 - FALSE_ALARM, low + 1, rest - low) if low < rest else 1.0
        if least > 0:
            found = max(found, math.log(least / most))
    return found


def outputs(frame: pl.DataFrame, query: Query, runs: int) -> list[float]:
    found = []
    for _ in range(runs):
        table = answer(frame, query, Accountant(Cap(1e9, 0.9))).frame
        found.append(float(table["estimate"][-1]) if table.height else -1e9)
    return found


QUERIES: dict[str, Query] = {
    "count": Count(unit=UNIT, noise=NOISE, of="rows"),
    "count by unknown groups": Count(unit=UNIT, noise=NOISE, groups=Groups(("place",), delta=0.01)),
    "sum": Sum(unit=UNIT, noise=NOISE, value="value", bounds=Bounds(0, 10)),
    "sum by unknown groups": Sum(
        unit=UNIT, noise=NOISE, value="value", bounds=Bounds(0, 10), groups=Groups(("place",), delta=0.01)
    ),
    "mean": Mean(unit=UNIT, noise=NOISE, value="value", bounds=Bounds(0, 10)),
    "histogram": Histogram(unit=Unit("who", 2, 2), noise=NOISE, value="value", edges=(0, 5, 10)),
    "quantile": Quantile(unit=UNIT, noise=NOISE, value="value", alpha=0.9, candidates=tuple(range(11))),
    "gaussian count": Count(unit=UNIT, noise=Noise(rho=0.5), of="rows"),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", QUERIES)
def test_outputs_on_neighbouring_tables_show_no_more_than_epsilon(name: str) -> None:
    without, with_loud = tables()
    query = QUERIES[name]
    found = lower_bound(outputs(without, query, RUNS), outputs(with_loud, query, RUNS))
    assert found <= query.cost().epsilon_at(0.01)


def test_outputs_of_a_count_show_no_more_than_epsilon() -> None:
    without, with_loud = tables()
    found = lower_bound(outputs(without, QUERIES["count"], 400), outputs(with_loud, QUERIES["count"], 400))
    assert found <= 1.0


def test_audit_finds_noise_that_is_too_small() -> None:
    """The same attack on a count whose entity may bring 30 rows while its noise is made for 2: the audit can fail."""
    without, with_loud = tables()
    loud = pl.concat([with_loud, *[with_loud.tail(2)] * 14])
    wrong = Count(unit=Unit("who", 1, 30), noise=Noise(epsilon=15.0), of="rows")
    found = lower_bound(outputs(without, wrong, 400), outputs(loud, wrong, 400))
    assert found > 1.0
