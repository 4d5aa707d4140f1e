"""What one entity can do to the noiseless figures: exactly as much as the sensitivity says, on any table."""

from __future__ import annotations

from collections import Counter
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from desensitize.dp.bounding import Figures, check_unit, find_bins, find_counts, find_sums, find_values
from desensitize.dp.noise import Noise
from desensitize.dp.queries import Bounds, Count, Groups, Histogram, Mean, Quantile, Sum, Unit
from desensitize.errors import InvalidInput

NOISE = Noise(epsilon=1.0)
ROW = st.tuples(
    st.sampled_from(["p1", "p2", "p3", "p4"]),
    st.sampled_from(["x", "y", "z", "w", None]),
    st.sampled_from([0, 1, 2]),
    st.one_of(st.none(), st.floats(-50, 50), st.sampled_from([float("inf"), float("nan"), -1e300])),
)
TABLES = st.lists(ROW, max_size=40)
UNITS = st.builds(Unit, st.just("who"), st.integers(1, 4), st.integers(1, 4))
KEYS = (("x", 0), ("y", 1), (None, 2), ("never", 0))
GROUPED = [
    Groups(),
    Groups(("place",), delta=1e-6),
    Groups(("place", "kind"), delta=1e-6),
    Groups(("place", "kind"), KEYS),
]
GROUPS = st.sampled_from(GROUPED)
BOUNDED = [Bounds(-3, 10), Bounds(2, 5, 0.5), Bounds(0, 20, 0.25, "entity"), Bounds(-8, -1, 1, "entity")]
BOUNDS = st.sampled_from(BOUNDED)
PROPERTY = settings(max_examples=60, deadline=None)


def table(rows: list[Any]) -> pl.LazyFrame:
    schema = {"who": pl.String, "place": pl.String, "kind": pl.Int64, "value": pl.Float64}
    return pl.LazyFrame(rows, schema=schema, orient="row")


def neighbours(rows: list[Any]) -> tuple[pl.LazyFrame, pl.LazyFrame]:
    """The table, and the table without all that is of one entity; the others' rows may come in another order."""
    return table(rows), table([row for row in reversed(rows) if row[0] != "p1"])


def changes(one: Figures, two: Figures, what: str = "values") -> list[int]:
    """How far each group's figure moved; a group that one of them lacks has 0 there."""
    first, second = (dict(zip(each.labels.rows(), getattr(each, what), strict=True)) for each in (one, two))
    if not one.labels.width:
        first, second = {(): getattr(one, what)[0]}, {(): getattr(two, what)[0]}
    found = (abs(first.get(key, 0) - second.get(key, 0)) for key in first.keys() | second.keys())
    return [change for change in found if change]


@given(TABLES, UNITS, GROUPS, st.sampled_from(["entities", "rows"]))
@PROPERTY
def test_counts_move_by_no_more_than_their_sensitivity(rows: list[Any], unit: Unit, groups: Groups, of: Any) -> None:
    moved = Count(unit=unit, noise=NOISE, groups=groups, of=of).sensitivity
    found = changes(*(find_counts(each, unit, groups, moved.amount) for each in neighbours(rows)))
    assert len(found) <= moved.cells
    assert all(change <= moved.amount for change in found)


@given(TABLES, UNITS, GROUPS, BOUNDS)
@PROPERTY
def test_sums_move_by_no_more_than_their_sensitivity(
    rows: list[Any], unit: Unit, groups: Groups, bounds: Bounds
) -> None:
    moved = Sum(unit=unit, noise=NOISE, value="value", bounds=bounds, groups=groups).sensitivity
    found = changes(*(find_sums(each, unit, groups, "value", bounds) for each in neighbours(rows)))
    assert len(found) <= moved.cells
    assert all(change <= moved.amount for change in found)


@given(TABLES, UNITS, GROUPS, BOUNDS)
@PROPERTY
def test_centred_sums_and_their_counts_move_by_no_more_than_their_sensitivities(
    rows: list[Any], unit: Unit, groups: Groups, bounds: Bounds
) -> None:
    query = Mean(unit=unit, noise=NOISE, value="value", bounds=bounds, groups=groups)
    one, two = (find_sums(each, unit, groups, "value", bounds, bounds.centre) for each in neighbours(rows))
    people = Count(unit=unit, noise=NOISE, groups=groups).sensitivity
    moves = {"values": query.sensitivity, "counts": query.count_sensitivity, "entities": people}
    for what, moved in moves.items():
        found = changes(one, two, what)
        assert len(found) <= moved.cells
        assert all(change <= moved.amount for change in found)


@given(TABLES, UNITS)
@PROPERTY
def test_bins_move_by_no_more_than_their_sensitivity(rows: list[Any], unit: Unit) -> None:
    query = Histogram(unit=unit, noise=NOISE, value="value", edges=(-10, 0, 1, 1.5, 40))
    found = changes(*(find_bins(each, query) for each in neighbours(rows)))
    assert len(found) <= query.sensitivity.cells
    assert all(change <= query.sensitivity.amount for change in found)


@given(TABLES, UNITS)
@PROPERTY
def test_values_of_a_quantile_are_no_more_than_the_unit_allows(rows: list[Any], unit: Unit) -> None:
    query = Quantile(unit=unit, noise=NOISE, value="value", alpha=0.5, candidates=(-10, 0, 7, 20))
    one, two = (Counter(find_values(each, query).to_list()) for each in neighbours(rows))
    assert (one - two).total() + (two - one).total() <= unit.rows


@given(TABLES)
@PROPERTY
def test_wide_bounds_leave_the_figures_as_they_are(rows: list[Any]) -> None:
    frame = table(rows).filter(pl.col("value").is_between(-50, 50))
    unit, groups = Unit("who", 10, 100), Groups(("place",), delta=1e-6)
    found = find_sums(frame, unit, groups, "value", Bounds(-60, 60, 0.001))
    plain = frame.group_by("place").agg(pl.col("value").sum(), pl.len().alias("rows")).collect()
    sums = dict(zip(found.labels["place"], found.values, strict=True))
    assert found.counts == [dict(plain.select("place", "rows").iter_rows())[place] for place in found.labels["place"]]
    for place, value in plain.select("place", "value").iter_rows():
        assert abs(sums[place] / 1000 - value) < 0.05


def test_known_groups_are_all_there_and_no_other() -> None:
    frame = table([("p1", "x", 0, 1.0), ("p2", "x", 0, 1.0), ("p3", "q", 0, 1.0)])
    found = find_counts(frame, Unit("who"), Groups(("place",), (("x",), ("never",), (None,))), 1)
    assert dict(zip(found.labels["place"], found.values, strict=True)) == {"x": 2, "never": 0, None: 0}


def test_groups_outside_the_known_ones_take_no_place_of_an_entity() -> None:
    frame = table([("p1", place, 0, 1.0) for place in "abcdefgx"])
    assert find_counts(frame, Unit("who"), Groups(("place",), (("x",),)), 1).values == [1]


def test_choice_among_groups_favours_no_group() -> None:
    """Entities with the same groups keep different ones: each group about as often."""
    rows = [(f"p{number}", place, 0, 1.0) for number in range(3000) for place in "xyz"]
    found = find_counts(table(rows), Unit("who"), Groups(("place",), delta=1e-6), 1)
    assert sum(found.values) == 3000
    assert all(800 < value < 1200 for value in found.values)


def test_choice_among_rows_favours_no_value() -> None:
    rows = [(f"p{number}", "x", 0, value) for number in range(3000) for value in (0.0, 1.0)]
    found = find_sums(table(rows), Unit("who"), Groups(), "value", Bounds(0, 1))
    assert 1300 < found.values[0] < 1700
    assert found.counts == [3000]


def test_sum_of_very_large_values_does_not_wrap_around() -> None:
    frame = pl.LazyFrame({"who": range(3), "value": [9e300, 8.8e12, float("inf")]})
    bounds = Bounds(0, 2.0**33, 2.0**-7)
    assert find_sums(frame, Unit("who"), Groups(), "value", bounds).values == [3 * 2**40]


def test_categories_are_grouped_by_their_text() -> None:
    frame = table([("p1", "x", 0, 1.0), ("p2", "y", 0, 1.0)]).with_columns(pl.col("place", "who").cast(pl.Categorical))
    found = find_counts(frame, Unit("who"), Groups(("place",), (("y",), ("x",))), 1)
    assert found.labels.schema["place"] == pl.String
    assert found.values == [1, 1]


def test_empty_table_has_figures_of_nothing() -> None:
    assert find_counts(table([]), Unit("who"), Groups(), 1).values == [0]
    assert find_counts(table([]), Unit("who"), Groups(("place",), delta=1e-6), 1).values == []
    assert find_sums(table([]), Unit("who"), Groups(("place",), (("x",),)), "value", Bounds(0, 1)).values == [0]


def test_row_of_nobody_is_refused() -> None:
    with pytest.raises(InvalidInput, match="nulls"):
        check_unit(pl.LazyFrame({"who": ["p1", None]}), Unit("who"))
