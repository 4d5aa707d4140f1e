"""Regressions, fitted by the platform: the figures against plain formulas, and every rule at its boundary."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from sandbox.airlock.formula import parse_formula
from sandbox.airlock.regressions.design import Design
from sandbox.airlock.regressions.fitting import Fit, fit
from sandbox.airlock.regressions.judging import Judged, judge_regression
from sandbox.airlock.rules import Rules
from sandbox.airlock.specification import Errors, Model, RegressionSpecification
from shuzha.core.errors import Invalid


def people(count: int = 200, seed: int = 1, each: int = 1) -> pl.DataFrame:
    chance = np.random.default_rng(seed)
    frame = pl.DataFrame({
        "person": np.repeat(np.arange(count), each), "age": chance.uniform(20, 60, count * each).round(1),
        "kind": chance.choice(["a", "b", "c"], count * each), "noise": chance.normal(0, 5, count * each),
    })  # fmt: skip
    return frame.with_columns(
        base=100 + 2 * pl.col("age") + 10 * (pl.col("kind") == "b") + pl.col("noise"),
        paid=(pl.col("age") + 3 * pl.col("noise") > 40),
    )


def judged(frame: pl.DataFrame, formula: str, rules: Rules | None = None, **fields: Any) -> Judged:
    asked = RegressionSpecification("rel_1", formula, **fields)
    return judge_regression(asked, frame.lazy(), entity="person", rules=rules or Rules())


def rules_of(found: Judged) -> set[str]:
    return {finding.rule for finding in found.findings if finding.severity != "note"}


def table(found: Judged) -> dict[str, dict[str, Any]]:
    assert found.frame is not None
    return {row["term"]: row for row in found.frame.iter_rows(named=True)}


def dense(frame: pl.DataFrame) -> tuple[Any, Any]:
    design = frame.select(
        pl.lit(1.0).alias("one"), "age", (pl.col("kind") == "b").cast(pl.Float64).alias("b"),
        (pl.col("kind") == "c").cast(pl.Float64).alias("c"),
    ).to_numpy()  # fmt: skip
    return design, frame["base"].to_numpy()


@pytest.mark.parametrize("errors", list(Errors))
@pytest.mark.parametrize("numbers", [24_000_000, 500])
def test_least_squares_is_that_of_the_textbook(errors: Errors, numbers: int) -> None:
    frame = people(100, each=3)
    design, outcome = dense(frame)
    inverse = np.linalg.inv(design.T @ design)
    estimates = inverse @ design.T @ outcome
    left = outcome - design @ estimates
    rows, count = design.shape
    if errors is Errors.CLASSICAL:
        covariance = inverse * (left @ left) / (rows - count)
    elif errors is Errors.ROBUST:
        covariance = inverse @ (design.T * left**2) @ design @ inverse * rows / (rows - count)
    else:
        scores = np.array(
            [(design * left[:, None])[frame["person"].to_numpy() == one].sum(axis=0) for one in range(100)]
        )
        covariance = inverse @ scores.T @ scores @ inverse * 100 / 99 * (rows - 1) / (rows - count)
    found = fit(
        Design(parse_formula("base ~ age + C(kind)"), frame.lazy(), "person", numbers=numbers),
        Model.LINEAR,
        errors,
        0.9,
    )
    assert found.estimates == pytest.approx(estimates)
    assert found.errors == pytest.approx(np.sqrt(np.diag(covariance)))
    assert (found.rows, found.entities, found.freedom) == (300, 100, 96)
    assert found.explained == pytest.approx(1 - left @ left / np.sum((outcome - outcome.mean()) ** 2))
    hat = design @ inverse @ design.T
    blocks = [hat[np.ix_(mine, mine)] for mine in (frame["person"].to_numpy() == one for one in range(100))]
    assert max(np.linalg.eigvalsh(block)[-1] for block in blocks) <= found.leverage < 0.9


def test_logistic_regression_is_where_its_slope_is_zero() -> None:
    frame = people(400)
    found = fit(
        Design(parse_formula("paid ~ age + C(kind)"), frame.lazy(), "person", numbers=700),
        Model.LOGISTIC,
        Errors.CLASSICAL,
        0.9,
    )
    design, _ = dense(frame)
    chance = 1 / (1 + np.exp(-design @ found.estimates))
    assert np.abs(design.T @ (frame["paid"].to_numpy() - chance)).max() < 1e-6
    information = (design.T * (chance * (1 - chance))) @ design
    assert found.errors == pytest.approx(np.sqrt(np.diag(np.linalg.inv(information))))


def test_a_good_regression_passes_with_rounded_counts() -> None:
    found = judged(people(203), "base ~ age + C(kind)")
    assert rules_of(found) == set()
    rows = table(found)
    assert list(rows) == ["(intercept)", "age", "kind[b]", "kind[c]", "(rows)", "(entities)", "(r_squared)"]
    assert rows["(rows)"]["estimate"] == 205
    assert rows["age"]["estimate"] == pytest.approx(2, abs=0.1)
    assert rows["age"]["low"] < 2 < rows["age"]["high"]
    assert len(str(rows["age"]["estimate"]).replace(".", "").lstrip("0")) <= 6


def test_terms_multiply_and_take_logarithms() -> None:
    frame = people(300).with_columns(base=pl.col("age").log() * 3 + pl.col("noise") / 10)
    rows = table(judged(frame, "base ~ log(age) + C(kind):age"))
    assert rows["log(age)"]["estimate"] == pytest.approx(3, abs=0.5)
    assert {"kind[b]:age", "kind[c]:age"} <= set(rows)


def test_rows_without_every_value_are_left_out() -> None:
    frame = people(300).with_columns(age=pl.when(pl.col("person") % 3 > 0).then("age"))
    assert table(judged(frame, "base ~ age"))["(rows)"]["estimate"] == 200


@pytest.mark.boundary(
    rule="dof", passes="a regression of 12 entities and 2 columns: 10 degrees of freedom",
    fails="of 11 entities: 9",
)  # fmt: skip
@pytest.mark.parametrize(("count", "blocked"), [(12, False), (11, True)])
def test_dof_asks_for_ten_entities_more_than_columns(count: int, blocked: bool) -> None:
    frame = pl.concat([people(count), people(count, seed=2)])
    found = judged(frame, "base ~ age", errors=Errors.CLUSTERED)
    assert ("dof" in rules_of(found)) == blocked
    if blocked:
        assert next(one for one in found.findings if one.rule == "dof").figure == 9


@pytest.mark.boundary(
    rule="leverage", passes="an entity at the edge of the others",
    fails="one so far out that it has .9 of its own fitted value",
)  # fmt: skip
@pytest.mark.parametrize(("far", "blocked"), [(60.0, False), (2_000.0, True)])
def test_leverage_blocks_an_entity_that_sets_its_own_value(far: float, blocked: bool) -> None:
    frame = people(100).with_columns(age=pl.when(pl.col("person") == 0).then(far).otherwise("age"))
    found = judged(frame, "base ~ age")
    assert rules_of(found) == ({"leverage"} if blocked else set())


@pytest.mark.boundary(
    rule="leverage", passes="20 rows that are each somebody else's",
    fails="the same rows, all of one person",
)  # fmt: skip
def test_leverage_is_of_an_entity_not_of_its_rows() -> None:
    # Ten rows of one person, none of which weighs much: together they are all there is of this term.
    frame = people(200, each=2).with_columns(shift=pl.when(pl.col("person") == 0).then(1.0).otherwise(0.0))
    more = pl.concat([frame, *[frame.filter(pl.col("person") == 0)] * 9])
    found = judged(more, "base ~ age + shift", errors=Errors.CLUSTERED)
    assert {"leverage", "min_count"} <= rules_of(found)
    alone = judge_regression(
        RegressionSpecification("rel_1", "base ~ age + shift"), more.lazy(), entity=None, rules=Rules()
    )
    assert "leverage" not in rules_of(alone)


@pytest.mark.boundary(
    rule="min_count", passes="a category of 10 entities in a regression",
    fails="of 9; of one it is leverage too",
)  # fmt: skip
@pytest.mark.parametrize(("members", "rules"), [(10, set()), (9, {"min_count"}), (1, {"min_count", "leverage"})])
def test_a_category_of_few_entities_blocks(members: int, rules: set[str]) -> None:
    frame = people(200).with_columns(kind=pl.when(pl.col("person") < members).then(pl.lit("z")).otherwise(pl.lit("a")))
    assert rules_of(judged(frame, "base ~ age + C(kind)")) == rules
    other = frame.with_columns(kind=pl.col("kind").replace({"z": "A"}))  # now they are what others are compared with
    assert rules_of(judged(other, "base ~ age + C(kind)")) >= rules


def test_a_number_that_few_entities_have_blocks() -> None:
    frame = people(200).with_columns(flag=pl.when(pl.col("person") < 9).then(pl.col("age")).otherwise(0.0))
    assert rules_of(judged(frame, "base ~ age + flag")) == {"min_count"}


def test_a_saturated_model_is_judged_like_its_table() -> None:
    frame = people(400).with_columns(base=pl.when(pl.col("person") == 0).then(1e7).otherwise("base"))
    assert rules_of(judged(frame, "base ~ C(kind)")) >= {"dominance_nk", "dominance_p"}
    assert rules_of(judged(people(400), "base ~ C(kind)")) == set()
    assert rules_of(judged(people(9), "base ~ 1")) >= {"min_count"}


@pytest.mark.parametrize("formula", ["base ~ age + twice", "base ~ C(kind) + C(same)", "base ~ age + constant"])
def test_terms_that_follow_from_others_block(formula: str) -> None:
    frame = people(200).with_columns(twice=pl.col("age") * 2, same=pl.col("kind") + "x", constant=1.0)
    found = judged(frame, formula)
    assert found.frame is None
    assert "leverage" in rules_of(found)


def test_an_exact_fit_blocks() -> None:
    frame = people(200).with_columns(base=pl.col("age") * 2 + 1)
    assert rules_of(judged(frame, "base ~ age")) >= {"class_disclosure"}


def test_logistic_blocks_outcomes_that_terms_tell_apart_and_few_of_one_kind() -> None:
    apart = people(200).with_columns(paid=pl.col("age") > 40)
    found = judged(apart, "paid ~ age", model=Model.LOGISTIC)
    assert (found.frame, rules_of(found)) == (None, {"leverage"})
    few = people(200).with_columns(paid=pl.col("person") % 23 == 0)
    assert rules_of(judged(few, "paid ~ age", model=Model.LOGISTIC)) >= {"min_count"}
    assert rules_of(judged(people(400), "paid ~ age", model=Model.LOGISTIC)) == set()


@pytest.mark.boundary(
    rule="standard_errors", passes="three rows a person, errors clustered",
    fails="three rows a person, classical errors (review)",
)  # fmt: skip
def test_standard_errors_of_repeated_entities_need_review_unless_clustered() -> None:
    frame = people(100, each=3)
    assert rules_of(judged(frame, "base ~ age + C(kind)")) == {"standard_errors"}
    assert rules_of(judged(frame, "base ~ age + C(kind)", errors=Errors.CLUSTERED)) == set()


def test_dominance_of_the_outcome_blocks() -> None:
    frame = people(100).with_columns(base=pl.when(pl.col("person") == 0).then(1e6).otherwise("base"))
    assert rules_of(judged(frame, "base ~ age")) >= {"dominance_nk", "dominance_p"}


def test_an_identifier_among_categories_blocks() -> None:
    frame = people(200).with_columns(
        kind=pl.when(pl.col("person") < 20).then(pl.lit("13812345678")).otherwise(pl.lit("a"))
    )
    found = judged(frame, "base ~ age + C(kind)")
    assert rules_of(found) == {"label_pii"}


@pytest.mark.parametrize(
    ("formula", "model"),
    [
        ("base ~ nowhere", "linear"), ("base ~ kind", "linear"), ("kind ~ age", "linear"),
        ("base ~ C(noise)", "linear"),
        ("base ~ C(person)", "linear"), ("base ~ age", "logistic"), ("log(paid) ~ age", "logistic"),
    ],
)  # fmt: skip
def test_a_regression_refuses_what_does_not_fit_the_data(formula: str, model: str) -> None:
    with pytest.raises(Invalid):
        judged(people(200), formula, model=Model(model))


def test_no_more_rows_than_columns_blocks() -> None:
    found = judged(people(3), "base ~ age + C(kind)")
    assert found.frame is None
    assert "leverage" in rules_of(found)


def test_a_fit_says_who_has_each_column() -> None:
    found: Fit = fit(
        Design(parse_formula("base ~ C(kind)"), people(100).lazy(), "person"), Model.LINEAR, Errors.ROBUST, 0.9
    )
    assert found.present[0] == 100
    assert found.reference[0] + found.present[1] + found.present[2] == 100


def test_intervals_of_clustered_errors_rest_on_entities() -> None:
    found = {errors: table(judged(people(20, each=4), "base ~ age", errors=errors))["age"] for errors in Errors}
    wide = {errors: (one["high"] - one["estimate"]) / one["std_error"] for errors, one in found.items()}
    assert wide[Errors.CLUSTERED] == pytest.approx(2.093, abs=0.001)  # t with 19 degrees of freedom
    assert wide[Errors.CLASSICAL] == pytest.approx(1.991, abs=0.001)  # with 78
