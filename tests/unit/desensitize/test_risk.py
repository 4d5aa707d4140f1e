"""Measured risk: ARX's numbers on the census extract, and naive counting on everything else."""

from __future__ import annotations

import math
from collections import defaultdict
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, special

from desensitize import Hierarchy, InvalidInput, InvalidPlan, anonymize, limits_of, measure_risk
from desensitize.risk.population import estimate_population, expected_inverse

ADULT = Path(__file__).parents[4] / "shared" / "data" / "adult"
COLUMNS = (
    "sex", "age", "race", "marital-status", "education", "native-country", "workclass", "occupation", "salary-class",
)  # fmt: skip
ROWS = st.lists(
    st.tuples(st.sampled_from(["a", "b", "c", None]), st.integers(0, 2), st.integers(0, 5)), min_size=1, max_size=40
)


@pytest.fixture(scope="module")
def adult() -> pl.DataFrame:
    if not ADULT.is_dir():
        pytest.skip("the census extract is not beside the repository (shared/data/adult)")
    return pl.read_csv(ADULT / "adult.csv", separator=";", infer_schema=False)


def hierarchies() -> dict[str, Hierarchy]:
    return {name: Hierarchy.from_csv(ADULT / f"adult_hierarchy_{name}.csv") for name in COLUMNS}


def test_raw_census_gives_the_numbers_of_arx(adult: pl.DataFrame) -> None:
    risk = measure_risk(adult, COLUMNS, limits=limits_of("agreement"))
    assert risk.records_at_risk == pytest.approx(0.778131, abs=1e-6)
    assert risk.prosecutor == 1.0
    assert risk.marketer == pytest.approx(0.6465751608, abs=1e-10)
    assert risk.uniques == pytest.approx(0.5142895033, abs=1e-10)
    assert (risk.level, risk.meets) == (2, False)


@pytest.mark.parametrize(("fraction", "uniques"), [(0.01, 0.1446083531), (0.1, 0.2768499388)])
def test_population_uniques_of_the_census_are_those_of_arx(
    adult: pl.DataFrame, fraction: float, uniques: float
) -> None:
    risk = measure_risk(adult, COLUMNS, population_size=round(adult.height / fraction))
    assert risk.population is not None
    assert risk.population.model == "pitman"
    assert risk.population.uniques == pytest.approx(uniques, abs=1e-9)
    assert risk.uniques >= risk.population.uniques


def test_anonymized_census_gives_the_numbers_of_arx(adult: pl.DataFrame) -> None:
    made = anonymize(adult, hierarchies(), k=5, suppression_limit=0.02)
    risk = measure_risk(made.frame, COLUMNS)
    assert (risk.records_at_risk, risk.prosecutor) == (0.0, 0.2)
    assert risk.marketer == pytest.approx(0.0074858376, abs=1e-10)
    strict = measure_risk(made.frame, COLUMNS, limits=limits_of("public"))
    assert strict.records_at_risk == pytest.approx(0.037362, abs=1e-6)
    assert measure_risk(made.frame, COLUMNS, population_size=3_016_200).population.uniques == 0.0  # type: ignore[union-attr]


@given(ROWS)
@settings(max_examples=60, deadline=None)
def test_measures_equal_naive_counting_by_entity(rows: list[tuple[str | None, int, int]]) -> None:
    people: dict[tuple[str | None, int], set[int]] = defaultdict(set)
    lines: dict[tuple[str | None, int], int] = defaultdict(int)
    for town, age, who in rows:
        people[town, age].add(who)
        lines[town, age] += 1
    frame = pl.DataFrame(rows, schema={"town": pl.String, "age": pl.Int64, "who": pl.Int64}, orient="row")
    for entity, sizes in (("who", [len(each) for each in people.values()]), (None, list(lines.values()))):
        risk = measure_risk(frame, ["town", "age"], entity)
        members = sum(sizes)
        assert (risk.classes, risk.smallest_class, risk.rows) == (len(sizes), min(sizes), len(rows))
        assert risk.entities == (len({who for *_, who in rows}) if entity else len(rows))
        assert risk.prosecutor == 1 / min(sizes) == risk.journalist
        assert risk.marketer == pytest.approx(len(sizes) / members)
        assert risk.records_at_risk == pytest.approx(sum(size for size in sizes if 1 / size > 0.2) / members)
        assert risk.uniques == pytest.approx(sizes.count(1) / members)
        assert sum(classes for _, classes, _ in risk.profile) == len(sizes)
        assert sum(inside for *_, inside in risk.profile) == len(rows)


def test_rows_of_one_person_are_a_class_of_one() -> None:
    frame = pl.DataFrame({"town": ["a"] * 12, "who": ["p"] * 10 + ["q", "q"]})
    assert measure_risk(frame, ["town"]).smallest_class == 12
    assert measure_risk(frame, ["town"], "who").smallest_class == 2


def test_journalist_looks_at_the_population() -> None:
    sample = pl.DataFrame({"town": ["a", "b", "b"]})
    everyone = pl.DataFrame({"town": ["a"] * 4 + ["b"] * 10 + ["c"]})
    risk = measure_risk(sample, ["town"], population=everyone)
    assert (risk.prosecutor, risk.journalist) == (1.0, 0.25)
    assert risk.population is not None
    assert (risk.population.model, risk.population.size) == ("counted", 15)
    assert risk.population.uniques == pytest.approx(1 / 15)
    smaller = measure_risk(sample, ["town"], population=pl.DataFrame({"town": ["b"]}))
    assert smaller.journalist == 1.0


def test_population_smaller_than_the_table_is_refused() -> None:
    with pytest.raises(InvalidInput, match="3 or more are accepted"):
        measure_risk(pl.DataFrame({"town": ["a", "b", "b"]}), ["town"], population_size=2)


def test_empty_table_has_no_risk_and_no_population() -> None:
    risk = measure_risk(pl.DataFrame({"town": []}, schema={"town": pl.String}), ["town"], population_size=10)
    assert (risk.classes, risk.prosecutor, risk.journalist, risk.population) == (0, 0.0, 0.0, None)


def test_table_without_quasi_identifiers_is_level_four() -> None:
    frame = pl.DataFrame({"amount": [1, 2, 3]})
    assert measure_risk(frame, []).level == 4
    assert measure_risk(frame, [], direct_identifiers=["amount"]).level == 1


def test_context_is_the_largest_of_three_probabilities() -> None:
    assert [limits_of(mode).context for mode in ("public", "agreement", "enclave")] == [1.0, 0.27, 0.14]
    assert limits_of("enclave", control="low", motive="high").context == 0.6
    assert limits_of("enclave", control="low", motive="low").context == 0.55
    assert limits_of("enclave", prevalence=0.01).context == pytest.approx(1 - 0.99**150)
    assert limits_of("public", control="high").context == 1.0
    for wrong in ({"control": "none"}, {"motive": "none"}, {"prevalence": 1.5}):
        with pytest.raises(InvalidPlan):
            limits_of("enclave", **wrong)  # type: ignore[arg-type]


def test_pitman_maximizes_its_likelihood() -> None:
    sizes = np.array([1] * 60 + [2] * 15 + [3] * 6 + [7] * 3 + [20])
    n, u = int(sizes.sum()), len(sizes)

    def minus_log_likelihood(point: np.ndarray) -> float:
        theta, alpha = point
        if not 0 < alpha < 1 or theta <= -alpha:
            return math.inf
        steps = np.arange(1, u)
        rising = np.log(theta + steps * alpha).sum() - np.log(theta + np.arange(1, n)).sum()
        inside = sum(float(np.log(np.arange(1, size) - alpha).sum()) for size in sizes if size > 1)
        return -(rising + inside)

    best = optimize.minimize(minus_log_likelihood, np.array([10.0, 0.5]), method="Nelder-Mead", options={"xatol": 1e-9})
    theta, alpha = best.x
    expected = math.exp(math.lgamma(theta + 1) - math.lgamma(theta + alpha)) * (100 * n) ** alpha / (100 * n)
    found = estimate_population(sizes, 100 * n)
    assert found.model == "pitman"
    assert found.pitman == pytest.approx(expected, rel=1e-4)


def test_zayatz_equals_its_formula_with_binomials() -> None:
    sizes, population = [1] * 6 + [2] * 3 + [5], 34
    n, u = sum(sizes), len(sizes)

    def one_of(size: int) -> float:
        return size * math.comb(population - size, n - 1) / math.comb(population, n)

    share = (6 / u * one_of(1)) / (6 / u * one_of(1) + 3 / u * one_of(2) + 1 / u * one_of(5))
    assert estimate_population(sizes, population).zayatz == pytest.approx(6 * share / n)


def test_negative_binomial_finds_the_uniques_of_a_population_made_by_it() -> None:
    rng = np.random.default_rng(3)
    everyone = 1 + rng.negative_binomial(0.8, 0.35, 60_000)
    sample = rng.binomial(everyone, 0.5)
    found = estimate_population(sample[sample > 0], int(everyone.sum()))
    truth = (everyone == 1).sum() / everyone.sum()
    assert found.snb == pytest.approx(truth, rel=0.1)
    assert found.model in ("snb", "zayatz")
    assert found.uniques == min(found.snb, found.zayatz)  # type: ignore[type-var]


def test_everyone_unique_falls_back_on_zayatz() -> None:
    found = estimate_population([1] * 50, 5_000)
    assert (found.pitman, found.model, found.uniques) == (None, "zayatz", 1.0)


@pytest.mark.parametrize(("size", "fraction"), [(1, 0.1), (2, 0.1), (5, 0.5), (40, 0.9), (3, 0.01)])
def test_expected_inverse_equals_the_hypergeometric_function(size: int, fraction: float) -> None:
    closed = fraction**size / size * special.hyp2f1(size, size, size + 1, 1 - fraction)
    assert expected_inverse(size, fraction) == pytest.approx(closed, rel=1e-6)


def test_journalist_is_estimated_from_the_population_size_alone() -> None:
    frame = pl.DataFrame({"town": ["a", "b", "b", "b", "b"]})
    risk = measure_risk(frame, ["town"], population_size=50)
    assert risk.journalist == pytest.approx(-0.1 / 0.9 * math.log(0.1))
    assert measure_risk(frame, ["town"], population_size=5).journalist == 1.0
