"""Answers end to end: what is refused before anything is spent, and what an answer says."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy import stats

from desensitize.dp import (
    Accountant,
    Answer,
    Bounds,
    BudgetSpent,
    Cap,
    Count,
    Groups,
    Histogram,
    Loss,
    Mean,
    Noise,
    Quantile,
    Query,
    Spent,
    Sum,
    Unit,
    Where,
    answer,
)
from desensitize.dp.loss import pure
from desensitize.errors import DesensitizeError, InvalidInput, InvalidPlan

ONE, WIDE = Unit("who"), Unit("who", 3, 4)
NOISE, GAUSS = Noise(epsilon=1.0), Noise(rho=0.5)
BOUNDS = Bounds(0, 100)
UNKNOWN = Groups(("place",), delta=1e-6)


def table(people: int = 2000) -> pl.DataFrame:
    generator = np.random.default_rng(7)
    rows = people * 2
    return pl.DataFrame(
        {
            "who": [f"p{number % people}" for number in range(rows)],
            "place": [f"d{number % 4}" for number in range(rows)],
            "value": generator.uniform(20, 60, rows).round(2),
            "day": [dt.date(2026, 1, 1 + number % 28) for number in range(rows)],
            "text": ["t"] * rows,
        }
    )


def unlimited() -> Accountant:
    return Accountant(Cap(1e6, 0.5))


QUERIES: dict[str, Query] = {
    "count": Count(unit=ONE, noise=NOISE),
    "count of rows": Count(unit=WIDE, noise=GAUSS, of="rows", groups=UNKNOWN),
    "sum": Sum(unit=WIDE, noise=NOISE, value="value", bounds=Bounds(0, 100, 0.01)),
    "sum by groups": Sum(unit=WIDE, noise=GAUSS, value="value", bounds=BOUNDS, groups=UNKNOWN),
    "mean": Mean(unit=WIDE, noise=NOISE, value="value", bounds=BOUNDS),
    "mean by groups": Mean(unit=WIDE, noise=NOISE, value="value", bounds=BOUNDS, groups=UNKNOWN),
    "histogram": Histogram(unit=WIDE, noise=GAUSS, value="value", edges=(0, 30, 60)),
    "quantile": Quantile(unit=WIDE, noise=NOISE, value="value", alpha=0.5, candidates=tuple(range(101))),
}


@pytest.mark.parametrize("name", QUERIES)
def test_answer_spends_its_cost_and_no_less(name: str) -> None:
    query, budget = QUERIES[name], unlimited()
    found = answer(table(), query, budget)
    assert budget.spent.answers == 1
    assert found.loss == query.cost()
    noise, groups = query.noise, getattr(query, "groups", Groups())
    if noise.epsilon is not None:
        assert found.loss.epsilon == pytest.approx(noise.epsilon, rel=1e-12)
    else:
        assert found.loss.rho == pytest.approx(noise.limit, rel=1e-12)
    assert found.loss.delta == groups.delta


TRUTHS: dict[str, Callable[[pl.DataFrame], float]] = {
    "count": lambda frame: frame["who"].n_unique(),
    "sum": lambda frame: frame["value"].sum(),
    "mean": lambda frame: frame["value"].mean(),
    "quantile": lambda frame: frame["value"].median(),
}


@pytest.mark.parametrize("name", TRUTHS)
def test_interval_holds_the_truth_at_least_as_often_as_it_says(name: str) -> None:
    frame, runs = table(), 120
    truth, missed = TRUTHS[name](frame), 0
    for _ in range(runs):
        low, high = answer(frame, QUERIES[name], unlimited()).interval
        missed += not low - 1e-6 <= truth <= high + 1e-6
    assert stats.binomtest(missed, runs, 0.05, alternative="greater").pvalue > 1e-6


def test_quantile_of_tied_values_lies_in_its_interval() -> None:
    """Half of all values are 0, so the median is 0 or just above: the score alone would answer somewhere else."""
    frame = pl.DataFrame({"who": range(4000), "value": [0] * 2200 + [50] * 1800})
    query = Quantile(unit=ONE, noise=NOISE, value="value", alpha=0.5, candidates=tuple(range(101)))
    for _ in range(20):
        found = answer(frame, query, unlimited())
        assert found.interval[0] == 0
        assert found.interval[0] <= found.estimate <= found.interval[1] <= 1


def test_unknown_groups_show_the_large_ones_alone() -> None:
    lonely = pl.DataFrame({"who": ["px"], "place": ["lonely"], "value": [1.0], "day": [None], "text": ["t"]})
    frame = pl.concat([table(), lonely.cast(table().schema)])
    for name in ("count of rows", "sum by groups", "mean by groups"):
        found = answer(frame, QUERIES[name], unlimited())
        assert found.frame["place"].to_list() == ["d0", "d1", "d2", "d3"]
        assert found.parameters["threshold"] > 1


def test_known_groups_are_answered_for_also_where_they_are_empty() -> None:
    query = Count(unit=ONE, noise=NOISE, groups=Groups(("place",), (("d1",), ("nowhere",))))
    found = answer(table(), query, unlimited())
    assert found.frame["place"].to_list() == ["d1", "nowhere"]
    assert abs(found.frame["estimate"][1]) < 50


def test_conditions_limit_the_rows() -> None:
    where = (
        Where("place", "in", ("d0", "d1")), Where("value", "<", 200), Where("day", ">=", "2026-01-01"),
        Where("text", "not_null"), Where("text", "!=", "u"),
    )  # fmt: skip
    found = answer(table(), Count(unit=ONE, noise=NOISE), unlimited(), where=where)
    assert abs(found.estimate - 1000) < 50


def test_step_makes_figures_whole_multiples_of_it() -> None:
    query = Sum(unit=WIDE, noise=NOISE, value="value", bounds=Bounds(0, 100, 0.05))
    found = answer(table(), query, unlimited())
    assert float(f"{found.estimate:.2f}") == found.estimate
    assert round(found.estimate * 100) % 5 == 0


def test_mean_of_nobody_knows_nothing_but_its_bounds() -> None:
    found = answer(table().clear(), QUERIES["mean"], unlimited())
    assert found.interval == (0.0, 100.0)
    assert 0 <= found.estimate <= 100


REFUSED: dict[str, tuple[Query, tuple[Where, ...]]] = {
    "a unit that is no column": (Count(unit=Unit("nobody"), noise=NOISE), ()),
    "a value that is no column": (Sum(unit=ONE, noise=NOISE, value="nothing", bounds=BOUNDS), ()),
    "a value that is text": (Sum(unit=ONE, noise=NOISE, value="text", bounds=BOUNDS), ()),
    "a floating-point unit": (Count(unit=Unit("value"), noise=NOISE), ()),
    "a floating-point group": (Count(unit=ONE, noise=NOISE, groups=Groups(("value",), delta=1e-6)), ()),
    "a key of another type": (Count(unit=ONE, noise=NOISE, groups=Groups(("place",), ((3,),))), ()),
    "bounds that drown": (
        Sum(unit=Unit("who", 1, 10**6), noise=NOISE, value="value", bounds=Bounds(0, 2**40)), (),
    ),
    "a condition on no column": (Count(unit=ONE, noise=NOISE), (Where("nothing", "==", 1),)),
    "a condition of another type": (Count(unit=ONE, noise=NOISE), (Where("value", "==", "many"),)),
    "a condition on no date": (Count(unit=ONE, noise=NOISE), (Where("day", "<", "soon"),)),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refused_query_spends_nothing(name: str) -> None:
    query, where = REFUSED[name]
    budget = Accountant(Cap(1e6, 0.5))
    with pytest.raises(DesensitizeError):
        answer(table(), query, budget, where=where)
    assert budget.spent.answers == 0


def test_rows_of_nobody_are_refused_wherever_they_are() -> None:
    frame = table().with_columns(pl.when(pl.col("place") == "d3").then(None).otherwise("who").alias("who"))
    budget = unlimited()
    with pytest.raises(InvalidInput, match="nulls"):
        answer(frame, Count(unit=ONE, noise=NOISE), budget, where=(Where("place", "==", "d0"),))
    assert budget.spent.answers == 0


def test_answer_above_the_budget_is_refused_before_it_is_computed() -> None:
    budget = Accountant(Cap(0.5))
    with pytest.raises(BudgetSpent):
        answer(table(), Count(unit=ONE, noise=NOISE), budget)
    assert budget.spent.answers == 0


def test_failure_after_the_debit_is_not_refunded(tmp_path: Path) -> None:
    """The file goes away between the debit and the computation; what was debited stays so."""
    file = tmp_path / "people.parquet"
    table().write_parquet(file)

    class Removes(Accountant):
        def debit(self, loss: Loss) -> Spent:
            spent = super().debit(loss)
            file.unlink()
            return spent

    budget = Removes(Cap(1.0))
    with pytest.raises(OSError, match="No such file"):
        answer(pl.scan_parquet(file), Count(unit=ONE, noise=NOISE), budget)
    assert budget.spent.epsilon == 1


def test_query_is_data_that_nobody_changes() -> None:
    with pytest.raises(FrozenInstanceError):
        QUERIES["count"].noise = Noise(epsilon=2.0)  # type: ignore[misc]
    assert QUERIES["count"].cost() == pure(1.0)


BAD: dict[str, Callable[[], object]] = {
    "no unit": lambda: Unit(""),
    "no groups bound": lambda: Unit("who", 0),
    "unknown groups without delta": lambda: Groups(("place",)),
    "delta without need": lambda: Groups(("place",), (("x",),), delta=1e-9),
    "keys of another width": lambda: Groups(("place",), (("x", 1),)),
    "keys twice": lambda: Groups(("place",), (("x",), ("x",))),
    "bounds upside down": lambda: Bounds(2, 1),
    "no bounds": lambda: Bounds(None, None),  # type: ignore[arg-type]
    "endless bounds": lambda: Bounds(0, math.inf),
    "a step too fine": lambda: Bounds(0, 1, 1e-15),
    "a step too coarse": lambda: Bounds(0, 1, 10),
    "edges that fall": lambda: Histogram(unit=ONE, noise=NOISE, value="value", edges=(1, 0)),
    "one candidate": lambda: Quantile(unit=ONE, noise=NOISE, value="value", alpha=0.5, candidates=(1,)),
    "alpha above one": lambda: Quantile(unit=ONE, noise=NOISE, value="value", alpha=1.5, candidates=(1, 2)),
    "a value that groups": lambda: Sum(unit=ONE, noise=NOISE, value="place", bounds=BOUNDS, groups=UNKNOWN),
    "an unknown operator": lambda: Where("value", "like", "x"),
    "a list without members": lambda: Where("value", "in", ()),
}


@pytest.mark.parametrize("name", BAD)
def test_unbounded_or_senseless_query_cannot_be_made(name: str) -> None:
    with pytest.raises(InvalidPlan, match="accepted"):
        BAD[name]()


def test_bounds_have_no_default() -> None:
    for kind in (Sum, Mean):
        with pytest.raises(TypeError, match="bounds"):
            kind(unit=ONE, noise=NOISE, value="value")


def found_answer() -> Answer:
    return answer(table(), QUERIES["count of rows"], unlimited())


def test_one_figure_of_many_is_refused() -> None:
    with pytest.raises(InvalidInput, match="several groups"):
        _ = found_answer().estimate
    with pytest.raises(InvalidInput, match="several groups"):
        _ = found_answer().interval
