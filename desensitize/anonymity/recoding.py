"""Local recoding: each class gets labels of its own, as narrow as it can have them, and no row is left out.

Strict Mondrian (LeFevre, DeWitt and Ramakrishnan 2006) on the histogram of distinct tuples: all parts of a table are
cut at once, round after round, each on its widest attribute where both sides still meet every privacy model.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from desensitize.anonymity.cuts import Axis, choose_cuts, make_axes
from desensitize.anonymity.guard import Guard
from desensitize.anonymity.histogram import Bools, Histogram, Ints, weigh
from desensitize.anonymity.metrics import measure_loss
from desensitize.anonymity.task import Task, make_task
from desensitize.errors import InvalidInput, InvalidPlan
from desensitize.hierarchy import Hierarchy
from desensitize.leaves import as_leaf
from desensitize.risk.measures import Limits, Risk, judge_classes, limits_of
from desensitize.tables import Table, collect
from desensitize.transform.goals import DeltaPresence, KMap, Model

_NO_LIMIT = 2**62


@dataclass(frozen=True, slots=True)
class Recoded:
    """What local recoding made: the table with each class's own labels, the classes, and what that cost.

    `loss` is the geometric-mean loss of `anonymize`, measured on the labels; `coverage` gives per column how much of
    its domain a row's label covers on average (1 over the domain: nothing lost; 1: everything). No row is left out,
    no column has one level. The cuts are chosen greedily: nothing is proved, so `gap` is the whole loss.
    """

    frame: pl.DataFrame | pl.LazyFrame = field(repr=False)
    loss: float
    coverage: dict[str, float]
    classes: pl.DataFrame = field(repr=False)
    risk: Risk
    suppressed: int = 0
    models: tuple[Model, ...] = ()
    levels: dict[str, int] = field(default_factory=dict)
    optimal: bool = False
    visited: int = 0

    @property
    def gap(self) -> float:
        """Return how much less another recoding could lose at the most."""
        return self.loss


def recode_locally(
    frame: Table,
    quasi_identifiers: Mapping[str, Hierarchy],
    k: int = 5,
    l_diversity: object = None,
    t_closeness: object = None,
    entity: str | None = None,
    *,
    models: Sequence[Model] = (),
    ordered: Collection[str] | None = None,
    limits: Limits | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Recoded:
    """Return the table in classes that each have labels of their own and meet every model, with cost and risk.

    Numbers and dates become intervals of the values in the class, such as `[20,34]`; name the columns in `ordered`
    to decide otherwise. Other values become the lowest value of their hierarchy that covers the class. A label does
    not say what was cut away from it: `Asia` may stand beside `China`. Refuses what `anonymize` refuses, a table
    that does not meet the models as one class, and models about a population, whose classes need uniform labels.
    """
    task = make_task(frame, quasi_identifiers, k, l_diversity, t_closeness, entity, models)
    if any(isinstance(model, DeltaPresence | KMap) for model in task.models):
        raise InvalidPlan("k-map and delta-presence need the uniform labels of anonymize; local recoding has none")
    histogram, guard = task.read()
    labels = tuple(hierarchy.label for hierarchy in task.hierarchies.values())
    axes = make_axes(histogram, labels, None if ordered is None else frozenset(ordered))
    part = _Mondrian(histogram, guard, axes).run(progress)
    return _write(frame, task, histogram, axes, part, limits or limits_of("agreement"))


def _write(frame: Table, task: Task, histogram: Histogram, axes: list[Axis], part: Ints, limits: Limits) -> Recoded:
    """Return the table with the labels of its parts, and what can be said about it."""
    parts, columns = int(part.max(initial=-1)) + 1, list(task.hierarchies)
    made = [axis.units(leaf, part, parts) for axis, leaf in zip(axes, histogram.leaf, strict=True)]
    written = pl.DataFrame(
        {
            axis.attribute.column: pl.Series(axis.labels(leaf, label[part]), dtype=pl.String)
            for axis, leaf, (_, _, label) in zip(axes, histogram.leaf, made, strict=True)
        }
    )
    coarse = _rewrite(task.table, histogram, written)
    result: pl.DataFrame | pl.LazyFrame = collect(coarse) if isinstance(frame, pl.DataFrame) else coarse
    coverage = [float(histogram.rows @ covered[part]) for _, covered, _ in made]
    classes = _list_classes(histogram, part, parts, written)
    sizes = classes.select(rows="class_rows", size="class_entities")
    entities = histogram.entities.total(np.ones(len(part), bool))
    return Recoded(
        frame=result,
        loss=measure_loss(histogram, coverage),
        coverage={column: one / max(1, histogram.total_rows) for column, one in zip(columns, coverage, strict=True)},
        classes=classes,
        risk=judge_classes(sizes, columns, task.entity, entities, limits),
        models=task.models,
    )


class _Mondrian:
    """The cutting: `run` returns the part of every tuple."""

    def __init__(self, histogram: Histogram, guard: Guard, axes: list[Axis]) -> None:
        self._histogram, self._guard, self._axes = histogram, guard, axes

    def run(self, progress: Callable[[int, int], None] | None) -> Ints:
        """Return the part of every tuple, numbered from 0.

        The first parts are what no hierarchy joins, usually one. Refuses a table in which one of these fails.
        """
        top = tuple(attribute.height - 1 for attribute in self._histogram.attributes)
        values, part = np.unique(self._histogram.classes(top)[0], return_inverse=True)
        part, parts = part.astype(np.int64), len(values)
        if parts and not self._pass(part, parts).all():
            raise InvalidInput("the table has too few distinct entities (or too uniform sensitive values) as a whole")
        active = np.ones(parts, bool)
        while active.any():
            beyond, cut = self._cut(part, parts, active)
            moved = beyond & cut[part]
            fresh = np.cumsum(cut) - 1 + parts
            part = np.where(moved, fresh[part], part)
            parts += int(cut.sum())
            active = np.concatenate([cut, np.ones(int(cut.sum()), bool)])
            if progress is not None:
                progress(int((~active).sum()), parts)
        return part

    def _cut(self, part: Ints, parts: int, active: Bools) -> tuple[Bools, Bools]:
        """Return which tuples go beyond the cut of their part, and which parts were cut."""
        made = [axis.units(leaf, part, parts) for axis, leaf in zip(self._axes, self._histogram.leaf, strict=True)]
        widest = np.argsort(-np.stack([covered for _, covered, _ in made]), axis=0, kind="stable")
        units = np.stack([unit for unit, _, _ in made])
        ordered = np.array([axis.ordered for axis in self._axes])
        beyond, done = np.zeros(len(part), bool), np.zeros(parts, bool)
        for choice in widest:
            left = active & ~done
            if not left.any():
                break
            by = ordered[choice]
            unit = units[choice[part], np.arange(len(part))]
            at = choose_cuts(unit, self._histogram.rows, part, parts, by)
            left &= at >= 0
            side = left[part] & np.where(by[part], unit > at[part], unit == at[part])
            passes = self._pass(part * 2 + side, parts * 2).reshape(-1, 2).all(axis=1)
            now = left & passes
            beyond |= side & now[part]
            done |= now
        return beyond, done

    def _pass(self, key: Ints, space: int) -> Bools:
        verdict = self._guard.judge_classes(self._histogram, key, space, _NO_LIMIT)
        passes: Bools = ~verdict.failing
        return passes


def _rewrite(table: pl.LazyFrame, histogram: Histogram, written: pl.DataFrame) -> pl.LazyFrame:
    """Return the table with every row's quasi-identifiers replaced by the labels of its tuple."""
    schema = table.collect_schema()
    keys = [f"\x00leaf{position}" for position in range(len(histogram.attributes))]
    hidden = {
        key: as_leaf(attribute.column, schema[attribute.column])
        for key, attribute in zip(keys, histogram.attributes, strict=True)
    }
    leaves = {
        key: pl.Series(attribute.leaves, dtype=pl.String).gather(leaf)
        for key, attribute, leaf in zip(keys, histogram.attributes, histogram.leaf, strict=True)
    }
    labels = written.rename({column: f"\x00label{place}" for place, column in enumerate(written.columns)})
    mapping = pl.DataFrame(leaves).hstack(labels).lazy()
    joined = table.with_columns(**hidden).join(mapping, on=keys, how="left", nulls_equal=True, maintain_order="left")
    named = {column: pl.col(f"\x00label{place}") for place, column in enumerate(written.columns)}
    return joined.with_columns(**named).select(schema.names())


def _list_classes(histogram: Histogram, part: Ints, parts: int, written: pl.DataFrame) -> pl.DataFrame:
    _, first = np.unique(part, return_index=True)
    rows = weigh(part, histogram.rows, parts)
    sizes = pl.DataFrame({"class_rows": rows.astype(np.int64), "class_entities": histogram.entities.count(part, parts)})
    return written[first].hstack(sizes)
