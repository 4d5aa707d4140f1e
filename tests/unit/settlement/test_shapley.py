"""Shapley values: against textbook games, by their axioms, and the sampled ones against the exact."""

from __future__ import annotations

from fractions import Fraction
from itertools import permutations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shuzha.core.errors import Invalid
from shuzha.settlement.shapley import SHARES, measure
from shuzha.settlement.valuing import ColumnValue, Metric, Table


def gloves(coalition: frozenset[str]) -> float:
    """One left glove, two right ones: a pair is worth 1 (Shapley: 2/3, 1/6, 1/6)."""
    return float("left" in coalition and len(coalition) > 1)


def test_the_glove_game_is_shared_as_in_the_textbook() -> None:
    found = measure(["left", "right_1", "right_2"], gloves)
    assert found.exact
    assert found.values == pytest.approx({"left": 2 / 3, "right_1": 1 / 6, "right_2": 1 / 6})
    assert found.weights == pytest.approx({"left": 666_667, "right_1": 166_667, "right_2": 166_666}, abs=1)


games = st.dictionaries(
    st.frozensets(st.sampled_from("abcd"), min_size=1), st.integers(-50, 50), min_size=1, max_size=10
)


@given(games)
def test_values_are_the_mean_over_all_orders_and_sum_to_the_whole(worth) -> None:
    def value(coalition: frozenset[str]) -> float:
        return float(sum(gain for needed, gain in worth.items() if needed <= coalition))

    found = measure("abcd", value)
    for player in "abcd":
        by_order = [
            Fraction(value(frozenset((*order[:place], player))) - value(frozenset(order[:place])))
            for order in permutations("abcd") for place in [order.index(player)]
        ]  # fmt: skip
        assert found.values[player] == pytest.approx(float(sum(by_order) / len(by_order)), abs=1e-9)
    assert sum(found.values.values()) == pytest.approx(value(frozenset("abcd")) - value(frozenset()), abs=1e-9)
    assert sum(found.weights.values()) == SHARES
    assert all(weight >= 0 for weight in found.weights.values())


def test_sampled_values_are_seeded_sum_exactly_and_lie_within_their_stated_error() -> None:
    names = [f"p{number}" for number in range(10)]

    def value(coalition: frozenset[str]) -> float:
        return len(coalition) ** 1.5 + 3 * ("p0" in coalition and "p1" in coalition)

    exact = measure(names, value, exact_up_to=10)
    found = measure(names, value, seed=3)
    assert not found.exact
    assert found.values == measure(names, value, seed=3).values != measure(names, value, seed=4).values
    assert sum(found.values.values()) == pytest.approx(value(frozenset(names)))
    for name in names:
        assert 0 < found.errors[name] < 0.15
        assert abs(found.values[name] - exact.values[name]) <= 4 * found.errors[name]


def test_who_adds_nothing_gets_nothing_and_where_nobody_does_all_get_alike() -> None:
    assert measure("ab", lambda some: float("a" in some)).weights == {"a": SHARES, "b": 0}
    assert measure("abc", lambda _: 0.0).weights == {"a": 333_334, "b": 333_333, "c": 333_333}


def people(count: int = 400) -> dict[str, Table]:
    numbers = range(count)
    told = pl.DataFrame({
        "who": [f"{n:05d}" for n in numbers], "defaulted": [n % 3 == 0 for n in numbers],
        "noise": [(n * 7919) % 101 for n in numbers],
    })  # fmt: skip
    known = pl.DataFrame({
        "person": [f"{n:05d}" for n in numbers for _ in range(2)],
        "arrears": [float(n % 3 == 0) * 5 + (n * 31 % 7) / 10 + month for n in numbers for month in range(2)],
    })  # fmt: skip
    return {
        "ent_a": Table(told.lazy(), "who", ("defaulted", "noise")),
        "ent_b": Table(known.lazy(), "person", ("arrears",)),
    }


def test_the_entry_that_tells_the_target_is_worth_more_than_the_one_with_noise() -> None:
    value = ColumnValue(people(), ("ent_a", "defaulted"), Metric.AUC, seed=7)
    found = measure(["ent_a", "ent_b"], value)
    assert value(frozenset()) == 0.0
    assert value(frozenset({"ent_b"})) == pytest.approx(0.5, abs=0.02)
    assert found.weights["ent_b"] > 10 * found.weights["ent_a"]
    again = measure(["ent_b", "ent_a"], ColumnValue(people(), ("ent_a", "defaulted"), Metric.AUC, seed=7))
    assert again.values == found.values


@pytest.mark.parametrize(
    ("count", "column", "metric", "said"),
    [
        (60, "defaulted", Metric.AUC, "is not measured over 60 subjects"),
        (400, "noise", Metric.BALANCED_ACCURACY, "the target has 101 classes"),
        (400, "defaulted", Metric.R2, "needs a number"),
    ],
)
def test_a_measure_that_cannot_be_made_is_refused(count: int, column: str, metric: Metric, said: str) -> None:
    with pytest.raises(Invalid, match=said):
        ColumnValue(people(count), ("ent_a", column), metric, seed=7)
