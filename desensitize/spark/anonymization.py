"""Anonymization of a Spark table: its histogram travels to the driver, the search is the one-machine engine's.

The levels that were chosen and the classes that are left out go back as labels; each batch is rewritten where it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from desensitize.anonymity.anonymization import search
from desensitize.anonymity.generalizing import Generalizing, list_classes
from desensitize.anonymity.guard import Guard
from desensitize.anonymity.histogram import Histogram
from desensitize.anonymity.lattice import Budget
from desensitize.anonymity.task import count_limit, make_task
from desensitize.errors import InvalidPlan
from desensitize.hierarchy import Hierarchy
from desensitize.risk.measures import Limits, Risk, judge_classes, limits_of
from desensitize.spark.batches import Shape, Work, map_batches
from desensitize.spark.gathering import read_histogram
from desensitize.spark.schemas import write_schema
from desensitize.spark.tables import SparkTable
from desensitize.transform.goals import METRICS, KAnonymity, Model

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class SparkAnonymized:
    """What anonymization made of a Spark table: as `Anonymized`, with a Spark frame that is not computed yet.

    `classes` (polars) lists the classes with `class_rows` and `class_entities`; `loss` is the cost by `metric`;
    `optimal` says that no node costs less, otherwise `gap` bounds how much less one could.
    """

    frame: Any = field(repr=False)
    levels: dict[str, int]
    suppressed: int
    loss: float
    optimal: bool
    gap: float
    classes: pl.DataFrame = field(repr=False)
    risk: Risk
    metric: str
    visited: int
    models: tuple[Model, ...] = ()


def anonymize(
    frame: Any,
    quasi_identifiers: Mapping[str, Hierarchy],
    k: int = 5,
    suppression_limit: float = 0.02,
    metric: str = "loss",
    l_diversity: object = None,
    t_closeness: object = None,
    entity: str | None = None,
    *,
    models: Sequence[Model] = (),
    limits: Limits | None = None,
    max_visits: int | None = None,
    time_limit: float | None = None,
    progress: Progress | None = None,
) -> SparkAnonymized:
    """Return the anonymous Spark table that costs least: what `desensitize.anonymize` returns for the same rows.

    Arguments mean what they mean there; the population of a model may be a Spark frame or a table. The distinct
    combinations of quasi-identifiers and sensitive values travel to the driver with their numbers, and digests of the
    entities that appear in several of them; no row does. Refuses what `desensitize.anonymize` refuses, and columns of
    types that `read_schema` refuses.
    """
    table = SparkTable.of(frame)
    task = make_task(table.empty(), quasi_identifiers, k, l_diversity, t_closeness, entity, models)
    counted = Counted.of(table, quasi_identifiers, task.models, entity)
    budget = Budget(max_visits, time_limit)
    return counted.anonymize(k, suppression_limit, metric, limits or limits_of("agreement"), budget, progress)


@dataclass(frozen=True, slots=True)
class Counted:
    """A Spark table whose histogram is on the driver: anonymized as often as wanted, without being read again."""

    table: SparkTable
    histogram: Histogram
    models: tuple[Model, ...]
    entity: str | None

    @classmethod
    def of(
        cls, table: SparkTable, hierarchies: Mapping[str, Hierarchy], models: tuple[Model, ...], entity: str | None
    ) -> Counted:
        """Return the table, counted for these models. Refuses what `read_histogram` refuses."""
        return cls(table, read_histogram(table, hierarchies, models, entity), models, entity)

    def anonymize(
        self,
        k: int,
        share: float,
        metric: str,
        limits: Limits,
        budget: Budget,
        progress: Progress | None = None,
    ) -> SparkAnonymized:
        """Return the anonymization for this k and share of rows that may be left out, with its risk by `limits`."""
        if metric not in METRICS:
            raise InvalidPlan(f"metric `{metric}` is not available; available: {', '.join(METRICS)}")
        histogram = self.histogram
        models = tuple(KAnonymity(k) if isinstance(model, KAnonymity) else model for model in self.models)
        limit = count_limit(share, histogram.total_rows)
        guard = Guard(models, histogram)
        outcome = search(histogram, guard, metric, limit, budget, progress)
        verdict = guard.judge(histogram, outcome.levels, limit)
        failing = verdict.failing[verdict.key]
        gone = np.flatnonzero(failing)
        classes = list_classes(histogram, outcome.levels, gone)
        columns = tuple(attribute.column for attribute in histogram.attributes)
        sizes = classes.select(rows="class_rows", size="class_entities")
        kept = int(histogram.entities.count(failing.astype(np.int64), 2)[0])
        return SparkAnonymized(
            frame=self._rewrite(Generalizing.of(histogram, outcome.levels, gone)),
            levels=dict(zip(columns, outcome.levels, strict=True)),
            suppressed=outcome.suppressed,
            loss=outcome.loss,
            optimal=outcome.optimal,
            gap=outcome.gap,
            classes=classes,
            risk=judge_classes(sizes, columns, self.entity, kept, limits),
            metric=metric,
            visited=outcome.visited,
            models=models,
        )

    def _rewrite(self, generalizing: Generalizing) -> Any:
        table = self.table
        made = generalizing.rewrite(table.empty()).collect_schema()
        schema = write_schema(made, table.frame.schema, table.schema)
        return map_batches(table.frame, Shape.of(table.schema), _Rewrite(generalizing), schema)


@dataclass(frozen=True, slots=True)
class _Rewrite:
    """The job that writes rows at their levels."""

    generalizing: Generalizing

    def prepare(self) -> Work:
        return self.generalizing.rewrite
