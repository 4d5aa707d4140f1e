"""What columns are worth for a task: a reference learner fitted on some entries' columns, scored on people held out.

The value of a set of entries is the declared metric of a linear model over their columns, less that of knowing nothing
(AUC 0.5, balanced accuracy 1/classes, R² 0). Rows are made one a subject; who is drawn, and who is held out, follows
from hashes, so that the same raw version gives the same value everywhere. It measures the data, not the skill of a
product's own model, so every version of the data can be compared.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import polars as pl
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import balanced_accuracy_score, r2_score, roc_auc_score

from shuzha.core.errors import Invalid

MAX_SUBJECTS = 20_000
LEAST_SUBJECTS = 100
MAX_CATEGORIES = 12
HELD_OUT = 0.3
LEARNER = "linear: logistic regression (C=1) or ridge (alpha=1) on standardized columns"
_KEY = "_subject"


class Metric(StrEnum):
    """What a product declares to be good at."""

    AUC = "auc"
    BALANCED_ACCURACY = "balanced_accuracy"
    R2 = "r2"


@dataclass(frozen=True, slots=True)
class Table:
    """One entry's rows within its grant: whose they are, and the columns that count as features."""

    rows: pl.LazyFrame
    subject: str
    columns: tuple[str, ...]


class ColumnValue:
    """The value of sets of entries; made once, asked for each coalition."""

    def __init__(self, tables: Mapping[str, Table], target: tuple[str, str], metric: Metric, seed: int) -> None:
        entry, column = target
        people = _targets(tables[entry], column, seed)
        self.subjects = people.height
        if self.subjects < LEAST_SUBJECTS:
            raise Invalid(
                f"a contribution is not measured over {self.subjects} subjects", rule="contribution.subjects",
                accepted=f"at least {LEAST_SUBJECTS} with a known target",
            )  # fmt: skip
        self._metric = metric
        self._held = people["_held"].to_numpy()
        self._target = _target(people["_target"], metric)
        self._features = {
            name: _features(table, people, column if name == entry else "") for name, table in sorted(tables.items())
        }

    def __call__(self, entries: Iterable[str]) -> float:
        """Return what these entries add to knowing nothing."""
        chosen = [self._features[name] for name in sorted(entries) if self._features[name].shape[1]]
        base = _base(self._metric, self._target)
        if not chosen:
            return 0.0
        found = np.hstack(chosen)
        fitted, held = found[~self._held], found[self._held]
        center, scale = fitted.mean(axis=0), fitted.std(axis=0)
        scale[scale == 0] = 1.0
        score = _score(
            self._metric, (fitted - center) / scale, self._target[~self._held], (held - center) / scale,
            self._target[self._held],
        )  # fmt: skip
        return score - base


def _targets(table: Table, column: str, seed: int) -> pl.DataFrame:
    """Return one row a subject with its target (the first that is known), the drawn ones only, in a fixed order."""
    known = (
        table.rows.select(pl.col(table.subject).cast(pl.String).alias(_KEY), pl.col(column).alias("_target"))
        .drop_nulls()
        .sort(_KEY, "_target")
        .unique(_KEY, keep="first", maintain_order=True)
        .collect(engine="streaming")
    )
    places = [_place(seed, key) for key in known[_KEY]]
    drawn = known.with_columns(pl.Series("_place", places, dtype=pl.UInt64)).sort("_place").head(MAX_SUBJECTS)
    held = [_place(seed + 1, key) / 2**64 < HELD_OUT for key in drawn[_KEY]]
    return drawn.with_columns(pl.Series("_held", held, dtype=pl.Boolean)).sort(_KEY)


def _place(seed: int, key: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}\0{key}".encode()).digest()[:8], "big")


def _features(table: Table, people: pl.DataFrame, target: str) -> Any:
    """Return a matrix of an entry's columns, one row a drawn subject: means, and shares of the usual values."""
    names = [name for name in table.columns if name not in (target, table.subject)]
    rows = table.rows.select(pl.col(table.subject).cast(pl.String).alias(_KEY), *names).join(
        people.lazy().select(_KEY), on=_KEY, how="semi"
    )
    frame = rows.collect(engine="streaming")
    made = [expression for name in names for expression in _columns(frame, name)]
    if not made:
        return np.zeros((people.height, 0))
    by_subject = frame.group_by(_KEY).agg(made)
    joined = people.select(_KEY).join(by_subject, on=_KEY, how="left", maintain_order="left").drop(_KEY)
    joined = joined.with_columns(pl.all().fill_nan(None))
    return joined.with_columns(pl.all().fill_null(strategy="mean")).fill_null(0.0).to_numpy()


def _columns(frame: pl.DataFrame, name: str) -> list[pl.Expr]:
    dtype = frame.schema[name]
    if dtype.is_numeric() or dtype == pl.Boolean:
        return [pl.col(name).cast(pl.Float64).mean().alias(f"{name}=")]
    usual = frame[name].cast(pl.String).drop_nulls().value_counts().sort("count", name, descending=[True, False])
    values = usual[name].head(MAX_CATEGORIES).to_list()
    return [(pl.col(name).cast(pl.String) == value).cast(pl.Float64).mean().alias(f"{name}={place}")
            for place, value in enumerate(values)]  # fmt: skip


def _target(values: pl.Series, metric: Metric) -> Any:
    if metric is Metric.R2:
        if not values.dtype.is_numeric():
            raise Invalid("R² needs a number as target", rule="contribution.metric", accepted="a numeric column")
        return values.cast(pl.Float64).to_numpy()
    classes = values.cast(pl.String)
    count = classes.n_unique()
    if count < 2 or count > MAX_CATEGORIES or (metric is Metric.AUC and count != 2):
        wanted = "2" if metric is Metric.AUC else f"2 to {MAX_CATEGORIES}"
        raise Invalid(
            f"the target has {count} classes", rule="contribution.metric", accepted=f"{wanted} classes for this metric"
        )
    return classes.rank("dense").to_numpy().astype(np.int64) - 1


def _base(metric: Metric, target: Any) -> float:
    if metric is Metric.R2:
        return 0.0
    return 0.5 if metric is Metric.AUC else 1.0 / len(np.unique(target))


def _score(metric: Metric, fitted: Any, known: Any, held: Any, truth: Any) -> float:
    if metric is Metric.R2:
        return float(r2_score(truth, Ridge(alpha=1.0).fit(fitted, known).predict(held)))
    model = LogisticRegression(C=1.0, max_iter=500).fit(fitted, known)
    if metric is Metric.AUC:
        return float(roc_auc_score(truth, model.decision_function(held)))
    return float(balanced_accuracy_score(truth, model.predict(held)))
