"""Answers with differential privacy: the figures of a query, noise added, with what they cost and how sure they are.

    query = Count(unit=Unit("resident_id"), noise=Noise(epsilon=0.1), groups=Groups(("district",), delta=1e-9))
    answer = dp.answer(table, query, accountant)

The order is fixed: check the table's shape, debit, compute, add noise. What was debited stays so if a later step fails.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import polars as pl

from desensitize.dp.bounding import Figures, check_query, check_unit, find_bins, find_counts, find_sums, find_values
from desensitize.dp.conditions import Where, to_expression
from desensitize.dp.loss import Loss
from desensitize.dp.noise import (
    CONFIDENCE,
    Noise,
    Sensitivity,
    add_noise,
    choose_quantile,
    half_width,
    scale_of,
    show_groups,
    threshold_of,
)
from desensitize.dp.quantiles import find_cuts, find_interval
from desensitize.dp.queries import KEYS_SHARE, Count, Histogram, Mean, Quantile, Query, Sum, value_of
from desensitize.errors import InvalidInput
from desensitize.tables import Table, open_table

ESTIMATE, LOW, HIGH = "estimate", "low", "high"


class Debits(Protocol):
    """Whatever keeps the budget: `Accountant`, or a platform's records."""

    def debit(self, loss: Loss) -> object:
        """Take the loss from the budget for good; raises where it does not fit."""
        ...


@dataclass(frozen=True, slots=True)
class Answer:
    """Noisy figures: `frame` has the groups' columns, `estimate`, and the ends `low`, `high` of its interval.

    Each figure's interval holds, with `confidence`, what the same query without noise would have said. What clipping
    and bounding took away is not in it; `parameters` says what they were.
    """

    frame: pl.DataFrame
    loss: Loss
    mechanism: str
    accuracy: float | None
    parameters: dict[str, Any]
    confidence: float = CONFIDENCE

    @property
    def estimate(self) -> float:
        """The one figure of an answer without groups; refuses an answer that has several."""
        if self.frame.height != 1:
            raise InvalidInput("the answer has several groups; accepted: its `frame`")
        return float(self.frame[ESTIMATE][0])

    @property
    def interval(self) -> tuple[float, float]:
        """The ends of the one figure's interval; refuses an answer that has several."""
        if self.frame.height != 1:
            raise InvalidInput("the answer has several groups; accepted: its `frame`")
        return float(self.frame[LOW][0]), float(self.frame[HIGH][0])


def answer(table: Table, query: Query, budget: Debits, *, where: Sequence[Where] = ()) -> Answer:
    """Return the query's answer over the rows that meet `where`, after its cost was debited from `budget`.

    Refuses, before anything is debited, a table that lacks a column of the query, a row that is nobody's (a null in the
    unit's column, anywhere in the table), a value that is no number, bounds so wide that the noise drowns the answer,
    and a condition of a wrong type; then whatever the budget refuses.
    """
    frame = open_table(table)
    check_query(frame, query)
    scale_of(query.noise.share(KEYS_SHARE), query.sensitivity)  # Refuses bounds that drown every answer.
    condition = to_expression(frame, where)
    rows = frame if condition is None else frame.filter(condition)
    check_unit(frame, query.unit)
    answers: dict[type, Callable[..., Answer]] = {
        Count: _count, Sum: _sum, Mean: _mean, Histogram: _histogram, Quantile: _quantile,
    }  # fmt: skip
    budget.debit(query.cost())
    return answers[type(query)](rows, query)


def _count(frame: pl.LazyFrame, query: Count) -> Answer:
    figures = find_counts(frame, query.unit, query.groups, query.sensitivity.amount)
    labels, extra = figures.labels, {}
    if query.groups.unknown:
        shown = show_groups(dict(enumerate(figures.values)), query.noise, query.sensitivity, query.groups.delta)
        places = sorted(shown)
        labels, noisy = labels[places], [shown[place] for place in places]
        extra = {"threshold": threshold_of(query.noise, query.sensitivity, query.groups.delta)}
    else:
        noisy = add_noise(figures.values, query.noise, query.sensitivity)
    return _answer(query, query.noise, labels, noisy, half_width(query.noise, query.sensitivity), 1.0, extra)


def _sum(frame: pl.LazyFrame, query: Sum) -> Answer:
    keys, noise = query.parts
    figures = find_sums(frame, query.unit, query.groups, query.value, query.bounds)
    kept, extra = _shown(figures, query, keys)
    noisy = add_noise([figures.values[place] for place in kept], noise, query.sensitivity)
    width = half_width(noise, query.sensitivity)
    return _answer(query, noise, figures.labels[kept], noisy, width, query.bounds.step, extra)


def _mean(frame: pl.LazyFrame, query: Mean) -> Answer:
    keys, half = query.parts
    figures = find_sums(frame, query.unit, query.groups, query.value, query.bounds, query.bounds.centre)
    kept, extra = _shown(figures, query, keys)
    sums = add_noise([figures.values[place] for place in kept], half, query.sensitivity)
    counts = add_noise([figures.counts[place] for place in kept], half, query.count_sensitivity)
    # The two intervals hold together with the answer's confidence (Bonferroni).
    confidence = 1 - (1 - CONFIDENCE) / 2
    wide = half_width(half, query.sensitivity, confidence)
    broad = half_width(half, query.count_sensitivity, confidence)
    rows = [_ratio(query, total, count, wide, broad) for total, count in zip(sums, counts, strict=True)]
    found = pl.DataFrame(rows, schema=dict.fromkeys((ESTIMATE, LOW, HIGH), pl.Float64), orient="row")
    labels = figures.labels[kept]
    table = (labels.hstack(found) if labels.width else found).with_columns(pl.Series("count", counts, dtype=pl.Int64))
    return Answer(_sorted(table, query.groups.by), query.cost(), half.kind, None, _parameters(query) | extra)


def _shown(figures: Figures, query: Sum | Mean, keys: Noise) -> tuple[list[int], dict[str, Any]]:
    """Return the places of the groups that may be shown: all known ones, or those with enough entities."""
    if not query.groups.unknown:
        return list(range(len(figures.values))), {}
    moved = Sensitivity(query.unit.groups, 1)
    shown = show_groups(dict(enumerate(figures.entities)), keys, moved, query.groups.delta)
    return sorted(shown), {"threshold": threshold_of(keys, moved, query.groups.delta)}


def _ratio(query: Mean, total: int, count: int, wide: int, broad: int) -> tuple[float, float, float]:
    """Return mean, low and high within the bounds; without a surely positive count nothing but the bounds is known."""
    bounds = query.bounds

    def value(offset: float) -> float:
        return min(max(bounds.centre * bounds.step + offset * bounds.step, bounds.lower), bounds.upper)

    estimate = value(total / max(count, 1))
    if count - broad < 1:
        return estimate, bounds.lower, bounds.upper
    ends = [(total + side * wide) / (count + other * broad) for side in (-1, 1) for other in (-1, 1)]
    return estimate, value(min(ends)), value(max(ends))


def _histogram(frame: pl.LazyFrame, query: Histogram) -> Answer:
    figures = find_bins(frame, query)
    order = sorted(range(len(figures.values)), key=figures.labels.to_series().to_list().__getitem__)
    noisy = add_noise([figures.values[place] for place in order], query.noise, query.sensitivity)
    bins = pl.DataFrame(
        {"from": query.edges[:-1], "to": query.edges[1:]}, schema={"from": pl.Float64, "to": pl.Float64}
    )
    return _answer(query, query.noise, bins, noisy, half_width(query.noise, query.sensitivity), 1.0, {})


def _quantile(frame: pl.LazyFrame, query: Quantile) -> Answer:
    values = find_values(frame, query).to_numpy(writable=True)  # OpenDP takes no read-only memory.
    first, second = query.half, query.half
    found = choose_quantile(values, query.units, query.alpha, first, query.unit.rows)
    low, high = find_interval(values, find_cuts(query.units), query.alpha, second, query.sensitivity)
    middle = min(max(found, low), high)
    columns = {name: [value_of(one, query.step)] for name, one in ((ESTIMATE, middle), (LOW, low), (HIGH, high))}
    return Answer(pl.DataFrame(columns), query.cost(), query.noise.kind, None, _parameters(query))


def _answer(
    query: Query, noise: Noise, labels: pl.DataFrame, noisy: Sequence[int], width: int, step: float,
    extra: dict[str, Any],
) -> Answer:  # fmt: skip
    columns = {
        name: pl.Series([value_of(one + side * width, step) for one in noisy], dtype=pl.Float64)
        for name, side in ((ESTIMATE, 0), (LOW, -1), (HIGH, 1))
    }
    by = labels.columns if isinstance(query, Histogram) else query.groups.by if not isinstance(query, Quantile) else ()
    figures = pl.DataFrame(columns)
    table = _sorted(labels.hstack(figures) if labels.width else figures, by)
    return Answer(table, query.cost(), noise.kind, value_of(width, step), _parameters(query) | extra)


def _sorted(table: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
    # In the order of the names: the order of computation must tell nothing.
    return table.sort(by, nulls_last=True) if by else table


def _parameters(query: Query) -> dict[str, Any]:
    """Return all that bounds the answer, plain enough for JSON; known groups by their number alone."""
    said = asdict(query)
    groups = said.get("groups")
    if groups and groups["keys"] is not None:
        groups["keys"] = len(groups["keys"])
    if "candidates" in said:
        said["candidates"] = len(said["candidates"])
    return {"query": type(query).__name__.lower(), **said}
