"""k-anonymity by optimal full-domain generalization.

The whole column goes to one level, classes that stay too small are left out.

It works on the histogram of distinct tuples (`histogram`), searches the lattice of levels (`lattice`), and measures
what came out (`risk`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from desensitize.anonymity.histogram import Histogram, Ints, Levels, build
from desensitize.anonymity.lattice import Search, count_entities, suppressed_tuples
from desensitize.errors import InvalidPlan
from desensitize.hierarchy import Hierarchy
from desensitize.leaves import as_leaf
from desensitize.risk.measures import Limits, Risk, limits_of, measure_risk
from desensitize.tables import Table, collect, open_table

METRICS: tuple[str, ...] = ("loss",)


@dataclass(frozen=True, slots=True)
class Anonymized:
    """What anonymization made: the table without the suppressed rows, the levels taken, and what that cost.

    `frame` is a DataFrame if one was given, else a LazyFrame; `classes` lists the classes with `class_rows` and
    `class_entities`; `loss` is between 0 (nothing lost) and 1; `optimal` says that no node loses less, otherwise
    `gap` bounds how much less one could.
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
    limits: Limits | None = None,
    max_visits: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Anonymized:
    """Return the k-anonymous table that loses least, with its levels, cost and measured risk.

    With `entity`, k counts the distinct values of that column in a class, not rows. Rows of classes that stay
    smaller than k are left out, at most `suppression_limit` of all. Refuses unknown columns, values outside a
    hierarchy, options of a later version, and a table whose rows cannot be made k-anonymous within the limit.
    """
    _check_options(quasi_identifiers, k, suppression_limit, metric, l_diversity, t_closeness)
    table = open_table(frame)
    histogram = build(table, quasi_identifiers, entity)
    limit = math.floor(suppression_limit * histogram.total_rows + 1e-9)
    outcome = Search(histogram, k, limit, max_visits, progress).run()
    small = suppressed_tuples(histogram, outcome.levels, k)
    made = _rewrite(table, histogram, outcome.levels, small)
    result: pl.DataFrame | pl.LazyFrame = collect(made) if isinstance(frame, pl.DataFrame) else made
    return Anonymized(
        frame=result,
        levels={a.column: level for a, level in zip(histogram.attributes, outcome.levels, strict=True)},
        suppressed=outcome.suppressed,
        loss=outcome.loss,
        optimal=outcome.optimal,
        gap=outcome.gap,
        classes=_list_classes(histogram, outcome.levels, small),
        risk=measure_risk(result, list(quasi_identifiers), entity, limits=limits or limits_of("agreement")),
        metric=metric,
        visited=outcome.visited,
    )


def _check_options(
    hierarchies: Mapping[str, Hierarchy], k: int, limit: float, metric: str, l_diversity: object, t_closeness: object
) -> None:
    if not hierarchies:
        raise InvalidPlan("give at least one quasi-identifier with its hierarchy")
    if k < 1:
        raise InvalidPlan(f"k must be at least 1, not {k}")
    if not 0 <= limit <= 1:
        raise InvalidPlan(f"the suppression limit is a share between 0 and 1, not {limit}")
    if metric not in METRICS:
        raise InvalidPlan(f"metric `{metric}` is not available yet; available: {', '.join(METRICS)}")
    if l_diversity is not None or t_closeness is not None:
        raise InvalidPlan(
            "l-diversity and t-closeness are not available yet; leave them out and state so in the release"
        )


def _labels_at(histogram: Histogram, position: int, level: int) -> pl.Series:
    """Return the label of every leaf of one attribute at a level, in the order of its leaves."""
    attribute = histogram.attributes[position]
    labels = attribute.labels[level]
    return pl.Series([labels[code] for code in attribute.codes[level].tolist()], dtype=pl.String)


def _rewrite(table: pl.LazyFrame, histogram: Histogram, levels: Levels, small: Ints) -> pl.LazyFrame:
    """Return the table with every attribute at its level and without the rows of the small classes."""
    schema = table.collect_schema()
    coarse: dict[str, pl.Expr] = {}
    for position, (attribute, level) in enumerate(zip(histogram.attributes, levels, strict=True)):
        leaf = as_leaf(attribute.column, schema[attribute.column])
        labels = _labels_at(histogram, position, level)
        if level and len(attribute.labels[level]) == 1:
            coarse[attribute.column] = pl.lit(labels[0], dtype=pl.String)
        elif level:
            old = pl.Series(attribute.leaves, dtype=pl.String)
            coarse[attribute.column] = leaf.replace_strict(old, labels, return_dtype=pl.String)
    written = table.with_columns(**coarse) if coarse else table
    if not len(small):
        return written
    keys = [f"\x00class{position}" for position in range(len(levels))]
    hidden = {
        key: pl.col(a.column) if a.column in coarse else as_leaf(a.column, schema[a.column])
        for key, a in zip(keys, histogram.attributes, strict=True)
    }
    dropped = {
        key: _labels_at(histogram, position, level).gather(histogram.leaf[position][small])
        for position, (key, level) in enumerate(zip(keys, levels, strict=True))
    }
    gone = pl.DataFrame(dropped).unique().lazy()
    return written.with_columns(**hidden).join(gone, on=keys, how="anti", nulls_equal=True).drop(keys)


def _list_classes(histogram: Histogram, levels: Levels, small: Ints) -> pl.DataFrame:
    """Return one row per kept class: its labels, rows and distinct entities."""
    key, _ = histogram.classes(levels)
    _, first, member = np.unique(key, return_index=True, return_inverse=True)
    kept = np.setdiff1d(np.arange(len(first)), member[small])
    columns = {
        attribute.column: _labels_at(histogram, position, level).gather(histogram.leaf[position][first[kept]])
        for position, (attribute, level) in enumerate(zip(histogram.attributes, levels, strict=True))
    }
    rows = np.bincount(member, histogram.rows, len(first))[kept]
    entities = count_entities(histogram, member.astype(np.int64), len(first))[kept]
    sizes = pl.DataFrame({"class_rows": rows.astype(np.int64), "class_entities": entities})
    return pl.DataFrame(columns).hstack(sizes)
