"""What a synthetic column may hold: categories and bins, to cells and back, and what is refused."""

from __future__ import annotations

import datetime as dt

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import desensitize
from desensitize import Hierarchy, InvalidInput, InvalidPlan, Plan
from desensitize.dp.synthetic_domain import MOST_CELLS, Bins, Categories, Column, Domain
from desensitize.dp.synthetic_tally import tally

DAYS = (dt.date(2020, 1, 1), dt.date(2020, 1, 2), dt.date(2020, 6, 1), dt.date(2026, 1, 1))


@st.composite
def columns(draw: st.DrawFn) -> Column:
    null = draw(st.booleans())
    if draw(st.booleans()):
        values = draw(
            st.one_of(
                st.sets(st.text(max_size=4), min_size=1, max_size=6).map(sorted),
                st.sets(st.integers(-(2**60), 2**60), min_size=1, max_size=6).map(sorted),
                st.just([True, False]),
            )
        )
        return Categories(tuple(values), null=null)
    if draw(st.booleans()):
        return Bins(DAYS, draw(st.sampled_from(["uniform", "midpoint", "label"])), null=null)
    edges = sorted(draw(st.sets(st.integers(-1000, 1000), min_size=2, max_size=8)))
    step = draw(st.sampled_from([None, 1, 0.5, 7]))
    return Bins(tuple(edges), draw(st.sampled_from(["uniform", "midpoint", "label"])), step, null)


def cells_of(column: Column, values: pl.Series) -> list[int | None]:
    frame = pl.DataFrame({"x": values})
    return frame.select(column.encode(pl.col("x"), values.dtype)).to_series().to_list()


@settings(deadline=None)
@given(columns(), st.integers(0, 2**32), st.booleans())
def test_decode_then_encode_gives_the_same_cells(column: Column, seed: int, as_text: bool) -> None:
    random = np.random.default_rng(seed)
    codes = random.integers(0, column.size, 40).astype(np.int32)
    values = column.decode(codes, random)
    assert values.dtype == column.dtype
    whole = values.dtype in (pl.String, pl.Int64, pl.Date, pl.Boolean)
    assert cells_of(column, values.cast(pl.String) if as_text and whole else values) == codes.tolist()


@settings(deadline=None)
@given(columns())
def test_domain_survives_being_written_as_a_plan(column: Column) -> None:
    domain = Domain({"x": column})
    assert Domain.from_dict(domain.to_dict()) == domain


def test_values_beyond_the_edges_count_as_the_nearest_bin() -> None:
    bins = Bins((0, 10, 20))
    assert cells_of(bins, pl.Series([-1e300, 0.0, 9.999, 10.0, 20.0, 1e300])) == [0, 0, 0, 1, 1, 1]


def test_days_may_be_text_dates_or_moments() -> None:
    bins = Bins(DAYS, null=True)
    assert cells_of(bins, pl.Series(["2020-01-01", "2020-03-01", "1900-01-01", "no day", None])) == [0, 1, 0, None, 3]
    moments = pl.Series([dt.date(2020, 1, 1), dt.date(2099, 1, 1)]).cast(pl.Datetime)
    assert cells_of(bins, moments) == [0, 2]


def test_uniform_decoding_reaches_every_day_and_number() -> None:
    random = np.random.default_rng(0)
    zeros = np.zeros(4_000, np.int32)
    assert set(Bins((0, 3), step=1).decode(zeros, random)) == {0, 1, 2, 3}
    assert set(Bins((0, 3, 5), step=1).decode(zeros, random)) == {0, 1, 2}
    week = Bins((dt.date(2024, 2, 26), dt.date(2024, 3, 4), dt.date(2025, 1, 1))).decode(zeros, random)
    assert (week.min(), week.max(), week.n_unique()) == (dt.date(2024, 2, 26), dt.date(2024, 3, 3), 7)


def test_nan_is_no_number() -> None:
    assert cells_of(Bins((0, 1, 2), null=True), pl.Series([float("nan"), None])) == [None, 2]


def test_other_takes_what_no_category_does() -> None:
    column = Categories(("a", "b", "其他"), other="其他", null=True)
    assert cells_of(column, pl.Series(["a", "zzz", "其他", None])) == [0, 2, 2, 3]


def test_value_outside_the_domain_is_refused_without_being_quoted() -> None:
    with pytest.raises(InvalidInput, match="column `x` holds values") as refusal:
        tally(pl.DataFrame({"x": ["a", "secret-value"]}), Domain({"x": Categories(("a", "b"))}))
    assert "secret-value" not in str(refusal.value)


def test_null_that_is_not_allowed_is_refused() -> None:
    with pytest.raises(InvalidInput, match="allow nulls"):
        tally(pl.DataFrame({"x": ["a", None]}), Domain({"x": Categories(("a", "b"))}))


def test_column_of_too_many_cells_is_refused_with_the_limit() -> None:
    with pytest.raises(InvalidPlan, match=f"at most {MOST_CELLS}: use a coarser level"):
        Domain({"id": Categories(tuple(range(MOST_CELLS + 1)))})
    assert Domain({"id": Categories(tuple(range(MOST_CELLS)))}).sizes == (MOST_CELLS,)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Categories(()), "at least one category"),
        (lambda: Categories(("a", 1)), "all of one type"),
        (lambda: Categories((1, True)), "all of one type"),
        (lambda: Categories((1.5, 2.5)), "numbers with edges are bins"),
        (lambda: Categories(("a", "a")), "once"),
        (lambda: Categories(("a",), other="b"), "one of the values"),
        (lambda: Bins((1,)), "at least two"),
        (lambda: Bins((2, 1)), "rise"),
        (lambda: Bins((1, float("inf"))), "finite"),
        (lambda: Bins((1, dt.date(2020, 1, 1))), "at least two days"),
        (lambda: Bins((1, 2), "middle"), "uniform, midpoint, label"),
        (lambda: Bins((1, 2), step=0), "positive"),
        (lambda: Domain({}), "at least one column"),
        (lambda: Domain.from_dict({"x": {"edges": [1, 2], "values": ["a"]}}), "one of: values, edges, regions"),
        (lambda: Domain.from_dict({"x": {"values": ["a"], "step": 1}}), "no option: step"),
        (lambda: Domain.from_dict({"x": {"edges": ["2020-13-01", "2021-01-01"]}}), "wrong type"),
        (lambda: Domain.from_dict({"x": {"edges": [1, 2], "null": "yes"}}), "null must be true or false"),
        (lambda: Categories.of_regions(level="district"), "under a parent code"),
        (lambda: Domain.from_hierarchies({"x": Hierarchy.regions()}, {}), "lists no values"),
        (lambda: Domain.from_hierarchies({"x": Hierarchy.from_rows([("a", "*")])}, {"x": 2}), "between 0 and 1"),
    ],
)
def test_domain_that_makes_no_sense_is_refused(make: object, message: str) -> None:
    assert callable(make)
    with pytest.raises(InvalidPlan, match=message):
        make()


def test_regions_come_from_the_list_of_divisions() -> None:
    assert "330106" in Categories.of_regions("330100").values
    assert set(Categories.of_regions("330100").values) < set(Categories.of_regions("330000").values)
    assert "330100" in Categories.of_regions("330000", level="city").values
    assert len(Categories.of_regions(level="province").values) == 34
    written = Domain.from_dict({"area": {"regions": "330100", "null": True}})
    assert written.columns["area"] == Categories.of_regions("330100", null=True)


def test_hierarchy_gives_its_labels_at_a_level() -> None:
    age = Hierarchy.from_rows([("20", "2x", "*"), ("21", "2x", "*"), ("35", "3x", "*")])
    domain = Domain.from_hierarchies({"age": age}, {"age": 1}, null=["age"])
    assert domain.columns["age"] == Categories(("2x", "3x"), null=True)


PLAN = """
[columns.wage]
technique = "generalize"
kind = "number"
edges = [0, 1000, 2500.5]

[columns.age]
technique = "generalize"
kind = "age"

[columns.job]
technique = "generalize"
kind = "table"
rows = [["nurse", "health"], ["doctor", "health"], ["clerk", "office"]]

[columns.area]
technique = "generalize"
kind = "region"
level = "province"

[columns.name]
technique = "drop"

[columns.sex]
technique = "keep"
"""


def test_plan_says_which_labels_it_makes() -> None:
    plan = Plan.from_toml(PLAN)
    domain = Domain.from_plan(plan, {"sex": Categories(("F", "M"))}, null=["wage"])
    assert list(domain.columns) == ["wage", "age", "job", "area", "sex"]
    wages = [-5.0, 0.0, 999.0, 1000.0, 2500.5, 1e9, None, float("nan")]
    table = pl.DataFrame(
        {
            "wage": wages,
            "age": [0, 5, 17, 44, 76, 130, -1, 18],
            "job": ["nurse", "doctor", "clerk", "pilot", "nurse", "nurse", "nurse", "nurse"],
            "area": ["330106", "110101", "999999", "x", "460100", "710000", "820000", "330106"],
            "name": ["n"] * 8,
            "sex": ["F", "M"] * 4,
        }
    )
    counted = tally(desensitize.apply(table, plan).frame, domain)
    assert int(counted.rows.sum()) == 8


def test_plan_that_does_not_say_is_refused() -> None:
    with pytest.raises(InvalidPlan, match="column `sex`: the plan does not say"):
        Domain.from_plan(Plan.from_toml(PLAN))
