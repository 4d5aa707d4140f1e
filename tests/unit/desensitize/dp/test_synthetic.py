"""Synthetic tables: what they keep, what they cost, what one person can change, and what is refused."""

from __future__ import annotations

import datetime as dt
import itertools
import json
import math
from typing import Any

import numpy as np
import opendp.prelude as opendp
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from desensitize import InvalidInput, InvalidPlan
from desensitize.dp.loss import rho_within
from desensitize.dp.synthetic import METHODS, Synthesis, synthesize
from desensitize.dp.synthetic_domain import Bins, Categories, Column, Domain
from desensitize.dp.synthetic_noise import Budget
from desensitize.dp.synthetic_report import bound_noise, evaluate
from desensitize.dp.synthetic_selection import score_misfit
from desensitize.dp.synthetic_tally import tally

AREAS = ("西湖", "拱墅", "上城", "滨江")
DOMAIN = Domain(
    {
        "area": Categories(AREAS),
        "age": Bins((0, 18, 35, 60, 100), step=1),
        "job": Categories(("health", "office", "school"), null=True),
        "insured": Categories((True, False)),
        "since": Bins((dt.date(2000, 1, 1), dt.date(2010, 1, 1), dt.date(2020, 1, 1), dt.date(2027, 1, 1))),
    }
)


def make_people(rows: int, seed: int = 0) -> pl.DataFrame:
    """People whose job follows their area, whose insurance follows their job, and whose start follows their age."""
    random = np.random.default_rng(seed)
    area, age = random.integers(0, 4, rows), random.integers(0, 101, rows)
    job = np.where(random.random(rows) < 0.8, area, random.integers(0, 4, rows))
    insured = np.where(random.random(rows) < 0.9, job % 2 == 0, random.random(rows) < 0.5)
    days = np.clip((100 - age) * 90 + random.integers(0, 900, rows), 0, 9_800)
    return pl.DataFrame(
        {
            "area": pl.Series(AREAS).gather(area),
            "age": age,
            "job": pl.Series(["health", "office", "school", None]).gather(job),
            "insured": insured,
            "since": pl.Series([dt.date(2000, 1, 1)]).dt.offset_by("0d").gather(np.zeros(rows, np.int64))
            + pl.Series(days).cast(pl.Duration("ms")) * 86_400_000,
        }
    )


PEOPLE = make_people(20_000)


def make(table: pl.DataFrame = PEOPLE, domain: Domain = DOMAIN, **options: Any) -> Synthesis:
    return synthesize(table, domain, **{"epsilon": 1.0, "delta": 1e-9, "method": "mst", **options})


@pytest.mark.parametrize("method", METHODS)
def test_synthesize_keeps_what_columns_say_together(method: str) -> None:
    made = make(method=method)
    assert made.frame.schema == {
        "area": pl.String, "age": pl.Int64, "job": pl.String, "insured": pl.Boolean, "since": pl.Date
    }  # fmt: skip
    assert abs(len(made.frame) - len(PEOPLE)) < 1_000
    shuffled = PEOPLE.select(pl.col(name).shuffle(seed=at) for at, name in enumerate(PEOPLE.columns))
    found = evaluate(PEOPLE, made.frame, DOMAIN)
    independent = evaluate(PEOPLE, shuffled, DOMAIN)
    assert found.mean[1] < 0.02
    assert found.mean[2] * 3 < independent.mean[2]
    assert found.mean[3] * 3 < independent.mean[3]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("epsilon", "delta"), [(0.01, 1e-9), (1.0, 1e-9), (1.0, 1e-6), (8.0, 1e-3)])
def test_spent_is_all_of_the_budget_and_never_more(method: str, epsilon: float, delta: float) -> None:
    made = make(PEOPLE.head(500), method=method, epsilon=epsilon, delta=delta)
    assert epsilon * 0.999 < made.spent.epsilon <= epsilon
    assert made.spent.rho <= rho_within(epsilon, delta)
    gaussian = opendp.m.make_gaussian(
        opendp.vector_domain(opendp.atom_domain(T="i64")), opendp.l2_distance(T="i64"),
        scale=1 / math.sqrt(2 * made.spent.rho),
    )  # fmt: skip
    assert opendp.c.make_zCDP_to_approxDP(gaussian).map(1).epsilon(delta) <= epsilon * (1 + 1e-6)


@given(st.lists(st.floats(1e-9, 0.3), max_size=12))
def test_budget_refuses_the_question_that_would_exceed_it(prices: list[float]) -> None:
    budget = Budget(0.5)
    asked = 0.0
    for rho in prices:
        if asked + rho > 0.5:
            with pytest.raises(InvalidPlan, match="exceed the budget"):
                budget.measure(np.array([3]), rho)
            break
        budget.measure(np.array([3]), rho)
        asked += rho
    assert budget.spent <= 0.5


@pytest.mark.parametrize("rows", [1, 4])
def test_counts_get_discrete_noise_of_the_scale_that_the_budget_pays_for(rows: int) -> None:
    budget = Budget(10.0, rows)
    noise = budget.measure(np.zeros(20_000, np.int64), 0.005)
    assert noise.dtype == np.int64
    assert budget.find_scale(0.005) == pytest.approx(10 * rows)
    assert noise.std() == pytest.approx(10 * rows, rel=0.05)


def test_choice_follows_the_exponential_mechanism() -> None:
    # A rho of 1/8 is an epsilon of 1: with scores 2 apart the odds are exp(1 * 2 / 2).
    budget = Budget(1_000.0)
    chosen = np.array([budget.choose(np.array([0, 2]), 1, 0.125) for _ in range(4_000)])
    assert chosen.mean() == pytest.approx(math.e / (1 + math.e), abs=0.05)


TINY = Domain({"x": Categories(("a", "b", "c")), "y": Bins((0, 1, 2)), "z": Categories((1, 2), null=True)})
people_rows = st.tuples(st.sampled_from("abc"), st.floats(-1, 3), st.sampled_from([1, 2, None]))
SCHEMA = {"x": pl.String, "y": pl.Float64, "z": pl.Int64}
PARTS = [part for size in (1, 2, 3) for part in itertools.combinations(range(3), size)]


@settings(deadline=None, max_examples=40)
@given(st.lists(people_rows, max_size=12), people_rows, st.randoms(use_true_random=False))
def test_one_row_moves_marginals_and_scores_by_one(rows: list[Any], one: Any, random: Any) -> None:
    without = tally(pl.DataFrame(rows, SCHEMA, orient="row"), TINY)
    with_one = tally(pl.DataFrame([*rows, one], SCHEMA, orient="row"), TINY)
    for part in PARTS:
        apart = with_one.count(part) - without.count(part)
        assert math.sqrt((apart**2).sum()) == 1
        expected = np.array([random.uniform(-5, 20) for _ in range(apart.size)]).reshape(apart.shape)
        noise = random.uniform(0, 100)
        change = score_misfit(with_one.count(part), expected, noise) - score_misfit(
            without.count(part), expected, noise
        )
        assert abs(change) <= 1024


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(people_rows, st.integers(0, 3)), max_size=20), st.integers(1, 3))
def test_one_entity_moves_marginals_by_its_bound(rows: list[Any], most: int) -> None:
    table = pl.DataFrame([(*row, who) for row, who in rows], {**SCHEMA, "who": pl.Int64}, orient="row")
    sizes = dict(table.group_by("who").len().iter_rows())
    for who in sizes:
        bounded = tally(table, TINY, "who", most)
        assert int(bounded.rows.sum()) == sum(min(each, most) for each in sizes.values())
        others = tally(table.filter(pl.col("who") != who), TINY, "who", most)
        assert int(bounded.rows.sum() - others.rows.sum()) == min(sizes[who], most) <= most
        mine = tally(table.filter(pl.col("who") == who), TINY, "who", most)
        for part in PARTS:
            assert math.sqrt(float((mine.count(part) ** 2).sum())) <= most


def test_noise_grows_with_the_rows_of_an_entity() -> None:
    table = PEOPLE.head(1_000).with_columns(who=pl.int_range(1_000) // 4)
    one, four = (make(table, entity="who", rows_per_entity=rows).certificate for rows in (1, 4))
    assert four["measured"][0]["noise"] == pytest.approx(4 * one["measured"][0]["noise"])
    assert one["privacy"]["unit"] == "entity"
    assert one["privacy"]["neighbours"] == "tables with and without one entity and all its rows"


def test_rows_of_an_entity_are_drawn_from_all_of_them() -> None:
    table = pl.DataFrame({"x": ["a", "b", "c"] * 1_000, "y": 0.5, "z": 1, "who": [each // 3 for each in range(3_000)]})
    assert tally(table, TINY, "who").count((0,)) == pytest.approx([1_000 / 3] * 3, abs=120)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("rows", [0, 1])
def test_table_of_next_to_nothing_gives_noise_and_no_error(method: str, rows: int) -> None:
    made = make(PEOPLE.head(rows), method=method)
    assert made.frame.columns == PEOPLE.columns
    assert json.loads(json.dumps(made.certificate)) == made.certificate


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "columns",
    [
        {"only": Categories(("a", "b"))},
        {"fixed": Categories(("a",))},
        {"fixed": Categories(("a",)), "also": Bins((0, 1)), "x": Categories(("a", "b"))},
        {"empty": Categories(("a",), null=True), "x": Categories(("a", "b"))},
    ],
)
def test_columns_that_hardly_say_anything(method: str, columns: dict[str, Column]) -> None:
    table = pl.DataFrame({"only": "a", "fixed": "a", "also": 0.5, "x": ["a", "b"] * 500, "empty": [None] * 1_000})
    made = make(table.select(list(columns)), Domain(columns), method=method)
    assert made.frame.columns == list(columns)
    assert abs(len(made.frame) - 1_000) < 500
    if "fixed" in columns:
        assert made.frame["fixed"].unique().to_list() == ["a"]
    if "empty" in columns:
        assert made.frame["empty"].null_count() > 0.9 * len(made.frame)


def test_rows_that_are_public_are_made_exactly() -> None:
    assert len(make(rows=123).frame) == 123
    assert make(rows=0).frame.shape == (0, 5)
    assert make(rows=7).certificate["rows"] == {"made": 7, "from": "given"}


def test_report_bounds_what_is_true() -> None:
    made = make(method="aim")
    assert made.report.confidence == 0.95
    names = list(DOMAIN.columns)
    true, synthetic = tally(PEOPLE, DOMAIN), tally(made.frame, DOMAIN)
    for each in made.report.marginals:
        clique = tuple(sorted(names.index(name) for name in each.columns))
        apart = np.abs(true.count(clique) / len(PEOPLE) - synthetic.count(clique) / len(made.frame)).sum() / 2
        assert apart <= each.at_most
        assert each.at_most > each.distance
    assert {each.columns[0] for each in made.report.list_columns()} == set(names)


@pytest.mark.parametrize("cells", [1, 7, 200])
def test_bound_of_noise_holds_more_often_than_promised(cells: int) -> None:
    random = np.random.default_rng(0)
    sums = np.abs(np.rint(50 * random.normal(size=(2_000, cells)))).sum(axis=1)
    assert (sums > bound_noise(cells, 50, 0.05)).mean() < 0.05


def test_evaluation_says_that_it_is_private() -> None:
    found = evaluate(PEOPLE, PEOPLE, DOMAIN)
    assert found.to_dict()["private"] is True
    assert set(found.mean.values()) == {0.0}
    other = PEOPLE.with_columns(area=pl.lit("西湖"))
    assert evaluate(PEOPLE, other, DOMAIN).by_column["area"] == pytest.approx(0.75, abs=0.02)


def test_labels_can_stand_for_numbers() -> None:
    domain = Domain({"age": Bins((0, 18, 35, 60, 100), "label")})
    made = make(PEOPLE.select("age"), domain)
    assert set(made.frame["age"]) == {"[0,18)", "[18,35)", "[35,60)", "[60,100]"}
    assert evaluate(PEOPLE.select("age"), made.frame, domain).mean[1] < 0.02


def test_describe_names_the_cost_and_the_worst_column() -> None:
    text = make().describe()
    assert "epsilon 1 at delta 1e-09" in text
    assert any(f"`{name}` may be furthest" in text for name in DOMAIN.columns)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"domain": None}, "needs a Domain"),
        ({"method": "gan"}, "aim, mst"),
        ({"epsilon": 0.0}, "epsilon"),
        ({"epsilon": math.inf}, "epsilon"),
        ({"delta": 0.0}, "delta"),
        ({"delta": 1.0}, "delta"),
        ({"degree": 4}, "1, 2 or 3"),
        ({"rows": -1}, "between 0"),
        ({"entity": "area"}, "stands in the domain"),
        ({"rows_per_entity": 2}, "needs an entity"),
        ({"table": PEOPLE.with_columns(who=1), "entity": "who", "rows_per_entity": 0}, "at least 1"),
        ({"table": PEOPLE.with_columns(extra=1)}, "says nothing about: extra"),
    ],
)
def test_question_that_makes_no_sense_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidPlan, match=message):
        make(**options)


@pytest.mark.parametrize(
    ("table", "options", "message"),
    [
        (PEOPLE.drop("age"), {}, "does not have: age"),
        (PEOPLE, {"entity": "who"}, "`who` is not in the table"),
        (PEOPLE.with_columns(who=pl.lit(None, pl.Int64)), {"entity": "who"}, "holds nulls"),
    ],
)
def test_table_that_does_not_fit_is_refused(table: pl.DataFrame, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        make(table, **options)
