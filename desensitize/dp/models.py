"""Models with differential privacy, by diffprivlib: they spend from the same budget, and say what they do not promise.

    features, unit = {"age": (0, 120), "base": (0, 30000)}, Unit("who")
    model = fit_logistic_regression(table, features, "insured", (False, True), unit=unit, epsilon=1.0, budget=budget)
    model.predict(other)

Three things are weaker here than in `desensitize.dp.answers`, and every model carries them as `notes`: its noise is
floating point (the proofs are about real numbers, and last bits can tell: Mironov 2012), neighbours are tables in which
one entity is *replaced* (so how many rows there are is taken as known), and so are the classes that occur.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from desensitize.dp.answers import Debits
from desensitize.dp.bounding import check_unit, find_rows
from desensitize.dp.loss import Loss, check_epsilon, pure
from desensitize.dp.queries import Unit
from desensitize.errors import InvalidInput, InvalidPlan
from desensitize.tables import Table, open_table, run_quietly

NOTES = (
    "idealised floating point: the proof is about real numbers, and the noise's last bits are not covered by it",
    "neighbours differ by the replacement of one entity: the number of rows is taken as known",
    "which classes occur in the table is taken as known",
)

# Somebody who is replaced leaves one class, leaf or cluster and enters another, and each shows it with all its epsilon.
_LEFT_AND_ENTERED = 2
# What the library leaves in a fitted model although it has no noise: each row's cluster, their distances, rounds taken.
_RAW = ("labels_", "inertia_", "n_iter_")

Features = Mapping[str, tuple[float, float]]
Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Model:
    """A fitted model; `estimator` takes features scaled to [0, 1] by their bounds and speaks of classes by number.

    `predict` and `transform` do the scaling and name the classes.
    """

    estimator: Any
    features: tuple[tuple[str, float, float], ...]
    target: str
    loss: Loss
    parameters: dict[str, Any]
    classes: tuple[Any, ...] = ()
    notes: tuple[str, ...] = NOTES

    def predict(self, table: Table) -> npt.NDArray[Any]:
        """Return the prediction (class, number or cluster) of each row; refuses a table that lacks a feature."""
        found: npt.NDArray[Any] = self.estimator.predict(self._scaled(table))
        return np.array(self.classes)[found.astype(np.int64)] if self.classes else found

    def transform(self, table: Table) -> Numbers:
        """Return each row in the model's components (PCA); refuses a table that lacks a feature."""
        found: Numbers = self.estimator.transform(self._scaled(table))
        return found

    def _scaled(self, table: Table) -> Numbers:
        features = {name: (low, high) for name, low, high in self.features}
        frame = open_table(table)
        check_columns(frame, tuple(features))
        return _scale(run_quietly(frame.select(_numbers(features)).collect), features)


def fit_logistic_regression(
    table: Table, features: Features, target: str, classes: Sequence[Any], *, unit: Unit, epsilon: float,
    budget: Debits, regularization: float = 1.0,
) -> Model:  # fmt: skip
    """Return a logistic regression (Chaudhuri, Monteleoni, Sarwate 2011). Refuses missing bounds and classes."""
    from diffprivlib.models import LogisticRegression

    job = _Job(table, features, target, tuple(classes), unit, epsilon)
    return job.fit(
        budget, lambda named: LogisticRegression(data_norm=float(np.sqrt(len(features))), C=regularization, **named)
    )


def fit_naive_bayes(
    table: Table, features: Features, target: str, classes: Sequence[Any], *, unit: Unit, epsilon: float, budget: Debits
) -> Model:
    """Return a Gaussian naive Bayes classifier (Vaidya et al. 2013). Refuses missing bounds and unknown classes."""
    from diffprivlib.models import GaussianNB

    job = _Job(table, features, target, tuple(classes), unit, epsilon)
    return job.fit(budget, lambda named: GaussianNB(bounds=(0.0, 1.0), **named), _LEFT_AND_ENTERED)


def fit_random_forest(
    table: Table, features: Features, target: str, classes: Sequence[Any], *, unit: Unit, epsilon: float,
    budget: Debits, trees: int = 10, depth: int = 5,
) -> Model:  # fmt: skip
    """Return a forest of random trees with private leaves (Fletcher and Islam 2017). Refuses missing bounds."""
    from desensitize.dp.estimators import RandomForestClassifier

    job = _Job(table, features, target, tuple(classes), unit, epsilon)
    return job.fit(
        budget,
        lambda named: RandomForestClassifier(
            n_estimators=trees, max_depth=depth, bounds=(0.0, 1.0), classes=list(range(len(classes))), **named
        ),
        _LEFT_AND_ENTERED,
    )


def fit_linear_regression(
    table: Table, features: Features, target: str, target_bounds: tuple[float, float], *, unit: Unit, epsilon: float,
    budget: Debits,
) -> Model:  # fmt: skip
    """Return a linear regression by the functional mechanism (Zhang et al. 2012). Refuses missing bounds."""
    from diffprivlib.models import LinearRegression

    _check_bounds({target: target_bounds})
    job = _Job(table, features, target, (), unit, epsilon, target_bounds)
    return job.fit(
        budget, lambda named: LinearRegression(bounds_X=(0.0, 1.0), bounds_y=tuple(map(float, target_bounds)), **named)
    )


def fit_pca(table: Table, features: Features, components: int, *, unit: Unit, epsilon: float, budget: Debits) -> Model:
    """Return the first principal components (Imtiaz and Sarwate 2016). Refuses missing bounds."""
    from diffprivlib.models import PCA

    job = _Job(table, features, "", (), unit, epsilon)
    norm = float(np.sqrt(len(features)))
    return job.fit(budget, lambda named: PCA(n_components=components, data_norm=norm, bounds=(0.0, 1.0), **named))


def fit_k_means(
    table: Table, features: Features, clusters: int, *, unit: Unit, epsilon: float, budget: Debits
) -> Model:
    """Return k clusters (Su et al. 2016). Refuses missing bounds."""
    from desensitize.dp.estimators import KMeans

    job = _Job(table, features, "", (), unit, epsilon)
    return job.fit(budget, lambda named: KMeans(n_clusters=clusters, bounds=(0.0, 1.0), **named), _LEFT_AND_ENTERED)


class _Job:
    """One fit: what is checked before the debit, and what is done after it."""

    def __init__(
        self, table: Table, features: Features, target: str, classes: tuple[Any, ...], unit: Unit, epsilon: float,
        target_bounds: tuple[float, float] | None = None,
    ) -> None:  # fmt: skip
        check_epsilon(epsilon)
        _check_bounds(features)
        if unit.groups != 1:
            raise InvalidPlan("a model has no groups; accepted: a unit whose `groups` is 1")
        if target and target_bounds is None and len(set(classes)) < 2:
            raise InvalidPlan("a classifier needs its classes; accepted: two or more that are known beforehand")
        self._frame = open_table(table)
        wanted = (*features, target) if target else tuple(features)
        check_columns(self._frame, (unit.column, *wanted))
        check_unit(self._frame, unit)
        self._features, self._target, self._classes = dict(features), target, classes
        self._unit, self._epsilon, self._target_bounds = unit, epsilon, target_bounds

    def fit(self, budget: Debits, make: Any, parts: int = 1) -> Model:
        """Return the fitted model after its cost was debited; an entity of several rows costs the same as of one.

        `parts` is how many of the parts that the library counts as disjoint one replaced row is in.
        """
        from diffprivlib.accountant import BudgetAccountant
        from diffprivlib.utils import PrivacyLeakWarning

        budget.debit(pure(self._epsilon))
        # Group privacy: what may change `rows` rows gets that part of the cost for each.
        share = self._epsilon / (self._unit.rows * parts)
        spent = BudgetAccountant()
        estimator = make({"epsilon": share, "accountant": spent})
        features, target = self._read()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", PrivacyLeakWarning)
            try:
                _fit(estimator, features, target, len(self._classes))
            except PrivacyLeakWarning as leak:
                raise InvalidPlan(f"the model would look at the data itself: {type(leak).__name__}") from None
            except ValueError:
                # The library's message may quote a value.
                raise InvalidInput("the model cannot be fitted; accepted: rows of two classes or more") from None
        if spent.total()[0] > share * (1 + 1e-9):
            raise InvalidPlan("the model's library spent more than was asked; the model is not shown")
        for name in _RAW:
            vars(estimator).pop(name, None)
        return Model(
            estimator, tuple((name, low, high) for name, (low, high) in self._features.items()), self._target,
            pure(self._epsilon), self._parameters(type(estimator).__name__), self._classes,
        )  # fmt: skip

    def _read(self) -> tuple[Numbers, npt.NDArray[Any] | None]:
        """Return scaled features and the target, at most `unit.rows` rows of each entity, none with a null."""
        columns: list[pl.Expr] = [*_numbers(self._features)]
        if self._target and self._target_bounds is not None:
            columns += _numbers({self._target: self._target_bounds})
        elif self._target:
            places = {value: place for place, value in enumerate(self._classes)}
            columns.append(pl.col(self._target).replace_strict(places, default=None, return_dtype=pl.Int64))
        rows = find_rows(self._frame, self._unit, columns)
        target = rows[self._target].to_numpy(writable=True) if self._target else None
        return _scale(rows, self._features), target

    def _parameters(self, kind: str) -> dict[str, Any]:
        return {
            "model": kind, "features": self._features, "target": self._target, "classes": self._classes,
            "unit": {"column": self._unit.column, "rows": self._unit.rows}, "epsilon": self._epsilon,
        }  # fmt: skip


def check_columns(frame: pl.LazyFrame, names: Sequence[str]) -> None:
    """Refuse a table that lacks one of the columns."""
    schema = run_quietly(frame.collect_schema)
    for name in names:
        if name not in schema:
            raise InvalidInput(f"the table has no column `{name}`; accepted: one of {', '.join(schema.names())}")


def _check_bounds(features: Features) -> None:
    if not features:
        raise InvalidPlan("a model needs features with bounds; accepted: {column: (lower, upper)}")
    for name, bounds in features.items():
        good = isinstance(bounds, tuple) and len(bounds) == 2 and all(isinstance(one, int | float) for one in bounds)
        if not good or not np.isfinite(bounds).all() or bounds[0] >= bounds[1]:
            raise InvalidPlan(f"`{name}` has no bounds; accepted: (lower, upper) that are known beforehand")


def _numbers(features: Features) -> list[pl.Expr]:
    return [pl.col(name).cast(pl.Float64).fill_nan(None).clip(*bounds) for name, bounds in features.items()]


def _scale(rows: pl.DataFrame, features: Features) -> Numbers:
    lows, highs = (np.array([bounds[side] for bounds in features.values()], dtype=np.float64) for side in (0, 1))
    scaled: Numbers = (rows.select(list(features)).to_numpy() - lows) / (highs - lows)
    return np.clip(scaled, 0.0, 1.0)


def _fit(estimator: Any, features: Numbers, target: npt.NDArray[Any] | None, classes: int) -> None:
    if target is None:
        estimator.fit(features)
    elif classes and hasattr(estimator, "partial_fit"):
        estimator.partial_fit(features, target, classes=np.arange(classes))
    else:
        estimator.fit(features, target)
