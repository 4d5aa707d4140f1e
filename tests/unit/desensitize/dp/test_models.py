"""Models by diffprivlib: they learn, they spend from the same budget, and nothing is taken from the data."""

from __future__ import annotations

import math
import pickle
import random
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest

from desensitize.dp import Accountant, BudgetSpent, Cap, Unit, models
from desensitize.dp.bounding import find_rows
from desensitize.errors import DesensitizeError, InvalidInput, InvalidPlan

FEATURES = {"age": (0.0, 100.0), "base": (0.0, 30_000.0)}
ONE = Unit("who")


def table(people: int = 3000) -> pl.DataFrame:
    generator = np.random.default_rng(11)
    old = generator.random(people) < 0.5
    age = np.where(old, generator.normal(75, 6, people), generator.normal(25, 6, people))
    base = np.where(old, generator.normal(5_000, 900, people), generator.normal(24_000, 900, people))
    return pl.DataFrame(
        {"who": [f"p{number}" for number in range(people)], "age": age, "base": base, "old": old, "pay": base * 0.2}
    )


FITS: dict[str, Callable[..., models.Model]] = {
    "logistic regression": lambda **said: models.fit_logistic_regression(
        table(), FEATURES, "old", (False, True), unit=ONE, **said
    ),
    "naive bayes": lambda **said: models.fit_naive_bayes(table(), FEATURES, "old", (False, True), unit=ONE, **said),
    "random forest": lambda **said: models.fit_random_forest(table(), FEATURES, "old", (False, True), unit=ONE, **said),
    "linear regression": lambda **said: models.fit_linear_regression(
        table(), FEATURES, "pay", (0, 6_000), unit=ONE, **said
    ),
    "pca": lambda **said: models.fit_pca(table(), FEATURES, 1, unit=ONE, **said),
    "k-means": lambda **said: models.fit_k_means(table(), FEATURES, 2, unit=ONE, **said),
}


@pytest.mark.parametrize("name", FITS)
def test_model_learns_and_spends_its_epsilon(name: str) -> None:
    budget = Accountant(Cap(10.0))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = FITS[name](epsilon=5.0, budget=budget)
    assert (budget.spent.epsilon, budget.spent.answers) == (5, 1)
    assert model.loss.epsilon == 5.0
    assert any("idealised floating point" in note for note in model.notes)
    frame = table()
    old = frame["old"].to_numpy()
    if name == "pca":
        component = model.transform(frame)[:, 0]
        assert abs(np.corrcoef(component, old)[0, 1]) > 0.8
        return
    found = model.predict(frame)
    if name == "linear regression":
        assert np.corrcoef(found, frame["pay"].to_numpy())[0, 1] > 0.8
        return
    right = (found == old).mean()
    assert max(right, 1 - right if name == "k-means" else 0) > 0.9


@pytest.mark.parametrize("name", FITS)
def test_model_above_the_budget_is_refused(name: str) -> None:
    budget = Accountant(Cap(1.0))
    with pytest.raises(BudgetSpent):
        FITS[name](epsilon=2.0, budget=budget)
    assert budget.spent.answers == 0


BAD: dict[str, Callable[[Accountant], Any]] = {
    "no features": lambda budget: models.fit_pca(table(10), {}, 1, unit=ONE, epsilon=1.0, budget=budget),
    "no bounds": lambda budget: models.fit_k_means(
        table(10), {"age": None}, 2, unit=ONE, epsilon=1.0, budget=budget  # type: ignore[dict-item]
    ),
    "endless bounds": lambda budget: models.fit_k_means(
        table(10), {"age": (0, float("inf"))}, 2, unit=ONE, epsilon=1.0, budget=budget
    ),
    "no target bounds": lambda budget: models.fit_linear_regression(
        table(10), FEATURES, "pay", (1, 1), unit=ONE, epsilon=1.0, budget=budget
    ),
    "one class": lambda budget: models.fit_naive_bayes(
        table(10), FEATURES, "old", (True,), unit=ONE, epsilon=1.0, budget=budget
    ),
    "no epsilon": lambda budget: models.fit_pca(table(10), FEATURES, 1, unit=ONE, epsilon=0, budget=budget),
    "groups": lambda budget: models.fit_pca(table(10), FEATURES, 1, unit=Unit("who", 2), epsilon=1.0, budget=budget),
    "no such column": lambda budget: models.fit_pca(
        table(10), {"height": (0, 1)}, 1, unit=ONE, epsilon=1.0, budget=budget
    ),
    "rows of nobody": lambda budget: models.fit_pca(
        table(10).with_columns(pl.lit(None, pl.String).alias("who")), FEATURES, 1, unit=ONE, epsilon=1.0, budget=budget
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_unbounded_model_is_refused_before_anything_is_spent(name: str) -> None:
    budget = Accountant(Cap(10.0))
    with pytest.raises(DesensitizeError):
        BAD[name](budget)
    assert budget.spent.answers == 0


def test_bounds_have_no_default() -> None:
    with pytest.raises(TypeError):
        models.fit_linear_regression(  # type: ignore[call-arg]
            table(10), FEATURES, "pay", unit=ONE, epsilon=1.0, budget=Accountant(Cap(1.0))
        )


def test_library_that_would_look_at_the_data_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the norm away that this module gives: the library warns that it takes it from the data, and that refuses."""
    import diffprivlib.models

    whole = diffprivlib.models.LogisticRegression
    monkeypatch.setattr(
        diffprivlib.models, "LogisticRegression", lambda data_norm, **named: whole(data_norm=None, **named)
    )
    with pytest.raises(InvalidPlan, match="PrivacyLeakWarning"):
        FITS["logistic regression"](epsilon=1.0, budget=Accountant(Cap(1.0)))


def test_fault_of_the_library_quotes_no_value() -> None:
    frame = table(20).with_columns(pl.lit(False).alias("old"))
    with pytest.raises(InvalidInput) as caught:
        models.fit_logistic_regression(
            frame, FEATURES, "old", (False, True), unit=ONE, epsilon=1.0, budget=Accountant(Cap(1.0))
        )
    assert caught.value.__cause__ is None


def test_entity_brings_no_more_rows_than_the_unit_allows() -> None:
    frame = pl.LazyFrame({"who": ["a"] * 9 + ["b"], "x": [*range(9), None], "y": range(10)})
    assert find_rows(frame, Unit("who", 1, 3), [pl.col("x"), pl.col("y")]).height == 3
    assert find_rows(frame, Unit("who", 1, 3), [pl.col("y")]).height == 4


def test_entity_of_several_rows_costs_what_was_said() -> None:
    budget = Accountant(Cap(3.0))
    model = models.fit_naive_bayes(
        table(), FEATURES, "old", (False, True), unit=Unit("who", 1, 3), epsilon=3.0, budget=budget
    )
    assert budget.spent.epsilon == 3
    assert model.estimator.epsilon == 0.5


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), None, 1e308])
@pytest.mark.parametrize("column", ["pay", "base"])
def test_no_value_of_one_person_makes_a_model_fail(column: str, value: float | None) -> None:
    # A failure after the debit has no noise: it would tell that this person is there.
    frame = table(300)
    odd = pl.when(pl.int_range(pl.len()) == 7).then(pl.lit(value, pl.Float64)).otherwise(column).alias(column)
    options = {"unit": ONE, "epsilon": 1.0, "budget": Accountant(Cap(1.0))}
    assert models.fit_linear_regression(frame.with_columns(odd), FEATURES, "pay", (0, 6_000), **options).estimator


@pytest.mark.parametrize("name", FITS)
def test_noise_of_a_model_cannot_be_foretold(name: str) -> None:
    made = []
    for _ in range(2):
        # Whoever shares the process knows numpy's own state.
        np.random.seed(7)
        random.seed(7)
        made.append(pickle.dumps(_learnt(FITS[name](epsilon=0.01, budget=Accountant(Cap(1.0))).estimator)))
    assert made[0] != made[1]


def test_a_forest_leaves_no_seed_from_which_its_noise_could_be_drawn_again() -> None:
    forest = FITS["random forest"](epsilon=1.0, budget=Accountant(Cap(1.0))).estimator
    assert [tree.random_state for tree in forest.estimators_] == [None] * 10


def test_a_forest_tells_one_replaced_person_by_no_more_than_epsilon() -> None:
    def count_ones(classes: list[int], trees: int = 1000) -> int:
        # Two people in each tree: as many forests of one tree at once.
        people = pl.DataFrame({"who": range(2 * trees), "x": 0.5, "c": classes * trees})
        options = {"unit": ONE, "epsilon": 2.0, "trees": trees, "depth": 1}
        made = models.fit_random_forest(people, {"x": (0.0, 1.0)}, "c", (0, 1), budget=Accountant(Cap(2.0)), **options)
        return int(sum(tree.predict([[0.5]])[0] for tree in made.estimator.estimators_))

    # About 68 and 500 of 1000. Were epsilon spent on each of the two counts that change, it would be 9 and 500.
    assert count_ones([0, 0]) * math.exp(2) >= 0.5 * count_ones([0, 1])


def test_an_empty_cluster_does_not_stay_where_it_was() -> None:
    frame = pl.DataFrame({"who": [f"p{number}" for number in range(50)], "x": [0.99] * 50})
    starts = []
    for _ in range(2):
        # numpy's own state decides where clusters start, so whoever set it knows.
        np.random.seed(7)
        model = models.fit_k_means(frame, {"x": (0.0, 1.0)}, 4, unit=ONE, epsilon=1.0, budget=Accountant(Cap(1.0)))
        starts.append(model.estimator.cluster_centers_.ravel())
    assert not set(starts[0]) & set(starts[1])


@pytest.mark.parametrize("name", FITS)
def test_a_model_holds_nothing_of_single_rows(name: str) -> None:
    estimator = FITS[name](epsilon=1.0, budget=Accountant(Cap(1.0))).estimator
    assert not {"labels_", "inertia_", "n_iter_"} & vars(estimator).keys()
    assert max(np.size(value) for value in vars(estimator).values() if isinstance(value, np.ndarray)) < 100
    assert pickle.loads(pickle.dumps(estimator)) is not None


def _learnt(estimator: Any) -> list[Any]:
    trees = [(tree.tree_.value, tree.tree_.threshold) for tree in getattr(estimator, "estimators_", [])]
    names = ("coef_", "intercept_", "theta_", "components_", "cluster_centers_", "var_")
    return [*trees, *(getattr(estimator, name) for name in names if hasattr(estimator, name))]
