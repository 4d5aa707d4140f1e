"""Anonymity by optimal full-domain generalization.

The whole column goes to one level, classes that fail a privacy model are left out.

It works on the histogram of distinct tuples (`reading`, `histogram`), judges classes (`guard`), searches the lattice
of levels (`lattice`; very large ones by `boxes`), and measures what came out (`risk`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from desensitize.anonymity.boxes import BoxSearch
from desensitize.anonymity.generalizing import Generalizing, list_classes, write_rows
from desensitize.anonymity.guard import Guard, Verdict
from desensitize.anonymity.histogram import Bools, Histogram, Levels
from desensitize.anonymity.lattice import Budget, Outcome, Search
from desensitize.anonymity.metrics import cover, measure_loss
from desensitize.anonymity.task import Task, count_limit, make_task
from desensitize.errors import InvalidPlan
from desensitize.hierarchy import Hierarchy
from desensitize.risk.measures import Limits, Risk, judge_classes, limits_of
from desensitize.tables import Table, run_quietly
from desensitize.transform.goals import METRICS, Model

TABLE_NODES = 500_000


@dataclass(frozen=True, slots=True)
class Anonymized:
    """What anonymization made: the table without the suppressed rows, the levels taken, and what that cost.

    `frame` is a DataFrame if one was given, else a LazyFrame; `classes` lists the classes with `class_rows` and
    `class_entities`; `loss` is the cost by `metric` (for loss and loss_arithmetic between 0, nothing lost, and 1);
    `optimal` says that no node costs less, otherwise `gap` bounds how much less one could. Whatever the metric,
    `coverage` gives per column how much of its domain a row's label covers on average (a left out row all of it),
    and `geometric_loss` the loss that follows.
    """

    frame: pl.DataFrame | pl.LazyFrame = field(repr=False)
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
    coverage: dict[str, float] = field(default_factory=dict)
    geometric_loss: float = 0.0


def anonymize(
    frame: Table,
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
    progress: Callable[[int, int], None] | None = None,
) -> Anonymized:
    """Return the anonymous table that costs least, with its levels, cost and measured risk.

    Every class meets k-anonymity, and what `l_diversity`, `t_closeness` (values, tables of options, or lists of
    them) and `models` ask besides. With `entity`, all of them count the distinct values of that column, not rows.
    Rows of classes that fail are left out, at most `suppression_limit` of all. `max_visits` and `time_limit`
    (seconds) end a search early. Refuses unknown columns, values outside a hierarchy, unknown options, and a table
    that cannot meet the models within the limit.
    """
    if metric not in METRICS:
        raise InvalidPlan(f"metric `{metric}` is not available; available: {', '.join(METRICS)}")
    task = make_task(frame, quasi_identifiers, k, l_diversity, t_closeness, entity, models)
    count_limit(suppression_limit, 0)
    histogram, guard = task.read()
    limit = count_limit(suppression_limit, histogram.total_rows)
    outcome = search(histogram, guard, metric, limit, Budget(max_visits, time_limit), progress)
    verdict = guard.judge(histogram, outcome.levels, limit)
    return _write(task, histogram, outcome, verdict, metric, limits or limits_of("agreement"))


def _write(
    task: Task, histogram: Histogram, outcome: Outcome, verdict: Verdict, metric: str, limits: Limits
) -> Anonymized:
    """Return the table at the levels of the outcome, and what can be said about it."""
    gone = verdict.failing[verdict.key]
    failing = np.flatnonzero(gone)
    covered = cover(histogram, outcome.levels, verdict)
    columns = list(task.hierarchies)
    classes = list_classes(histogram, outcome.levels, failing)
    sizes = classes.select(rows="class_rows", size="class_entities")
    return Anonymized(
        frame=_rewrite(task, histogram, outcome.levels, gone),
        levels=dict(zip(columns, outcome.levels, strict=True)),
        suppressed=outcome.suppressed,
        loss=outcome.loss,
        optimal=outcome.optimal,
        gap=outcome.gap,
        classes=classes,
        risk=judge_classes(sizes, columns, task.entity, histogram.entities.total(~gone), limits),
        metric=metric,
        visited=outcome.visited,
        models=task.models,
        coverage={column: one / max(1, histogram.total_rows) for column, one in zip(columns, covered, strict=True)},
        geometric_loss=measure_loss(histogram, covered),
    )


def _rewrite(task: Task, histogram: Histogram, levels: Levels, gone: Bools) -> pl.DataFrame | pl.LazyFrame:
    """Return the rows at their levels without the gone ones: of a table in memory at once, else when asked for."""
    if task.frame is not None and histogram.place is not None:
        return write_rows(task.frame, histogram, levels, gone)
    made = Generalizing.of(histogram, levels, np.flatnonzero(gone)).rewrite(task.table)
    return made if task.frame is None else run_quietly(made.collect)


def search(
    histogram: Histogram,
    guard: Guard,
    metric: str,
    limit: int,
    budget: Budget,
    progress: Callable[[int, int], None] | None,
) -> Outcome:
    """Return the outcome of the search that suits the number of nodes: a table of them all, or boxes of them."""
    nodes = np.prod([float(attribute.height) for attribute in histogram.attributes])
    kind = Search if nodes <= TABLE_NODES else BoxSearch
    return kind(histogram, guard, metric, limit, budget, progress).run()
