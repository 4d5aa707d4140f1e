"""What a node costs, and the least that nodes not yet visited can cost.

Suppression makes every metric here fall and rise on the way up, so a node's own value bounds nothing. Each metric
therefore states a bound that is sound whatever is suppressed, with N rows in the table, u a node at or below v and at
or above w, and S(v) the rows whose classes fail *surely* at v: all of S(v) is suppressed at u too (see `guard`).

- `Separable` (loss, loss_arithmetic, entropy): a sum over attributes of a part that depends on the level alone and a
  part that grows with the suppressed rows; the bound at u takes S(v) for them.
- `Discernibility`: squares of class sizes, N for each suppressed row. The squares at u are at least those at w, and a
  suppressed class C adds N|C| - |C|^2 to its square. Inside a class V of S(v) these add up to at least
  |V|(N - |V|). So u costs at least the squares at w plus the sum of |V|(N - |V|) over S(v).
- `AverageClassSize`: N over the kept classes, suppressed rows being one class more. A kept class at u holds a class
  of at least m rows at w or only smaller ones, m the least rows of a class that passes: so there are at most as many
  as large classes at w, plus the rows in smaller ones over m. And a class V at v gives at most |V| / m.

Definitions as ARX 3.9.2 computes them. Loss: Iyengar 2002 (arithmetic mean), geometric mean as ARX; discernibility:
Bayardo and Agrawal 2005; average class size: LeFevre, DeWitt and Ramakrishnan 2006 (not divided by k); non-uniform
entropy: de Waal and Willenborg 1999, Gionis and Tassa 2009.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from desensitize.anonymity.guard import Verdict
from desensitize.anonymity.histogram import Bools, Floats, Histogram, Levels, weigh

_ROUNDING = 1e-12
Costs = list[Floats]


class Metric(ABC):
    """A metric over one table.

    `learns_above` says that a node tells something about those above it, `needs_leaves` that what a node costs and
    tells is worked out from leaves, so that the histogram must not be merged up to the node.
    """

    learns_above = True
    needs_leaves = False

    def __init__(self, histogram: Histogram, limit: int, least_rows: int) -> None:
        self._total = float(histogram.total_rows)
        self._limit, self._least_rows = limit, least_rows

    @abstractmethod
    def value(self, histogram: Histogram, node: Levels, verdict: Verdict) -> float:
        """Return what a node costs."""

    @abstractmethod
    def learn(self, lower: Floats, histogram: Histogram, node: Levels, verdict: Verdict) -> None:
        """Raise `lower`, a table of all nodes, by what the verdict on `node` tells about others."""

    @abstractmethod
    def bound_box(self, histogram: Histogram, low: Levels, high: Levels, verdict: Verdict | None) -> float:
        """Return the least that a node between `low` and `high` costs, given the verdict on `high`."""


class Separable(Metric):
    """A metric that adds up over attributes, with a part by level and a part by what is suppressed."""

    learns_above = False
    needs_leaves = True

    def __init__(self, histogram: Histogram, limit: int, least_rows: int) -> None:
        super().__init__(histogram, limit, least_rows)
        self._bases = self._make_bases(histogram)
        self._none: Bools = np.zeros(0, bool)
        self._last: tuple[Bools | None, Costs] = (None, [])

    @abstractmethod
    def _make_bases(self, histogram: Histogram) -> Costs: ...

    @abstractmethod
    def _suppressed_costs(self, histogram: Histogram, weights: Costs) -> Costs: ...

    @abstractmethod
    def _part(self, position: int, covered: Floats) -> Floats:
        """Return what is added up over attributes."""

    @abstractmethod
    def _whole(self, parts: Floats) -> Floats:
        """Return the metric of the sum of parts."""

    def _parts(self, histogram: Histogram, verdict: Verdict | None, *, sure: bool) -> Costs:
        """Return, per attribute and level, the part that is added up when the failing rows are suppressed."""
        failing = self._none if verdict is None else verdict.sure if sure else verdict.failing
        if failing is self._last[0]:  # as when every failing class fails surely
            return self._last[1]
        costs: Costs = [np.zeros(len(base)) for base in self._bases]
        if verdict is not None and failing.any():
            gone = np.flatnonzero(failing[verdict.key])
            rows = histogram.rows[gone]
            weights = [
                weigh(leaf[gone], rows, len(attribute.leaves))
                for attribute, leaf in zip(histogram.attributes, histogram.leaf, strict=True)
            ]
            costs = self._suppressed_costs(histogram, weights)
            for cost, floor in zip(costs, histogram.floor, strict=True):
                # Below the floor tuples are merged; suppressing costs at least as much there as at the floor.
                cost[:floor] = cost[floor]
        parts = [
            self._part(position, base + cost)
            for position, (base, cost) in enumerate(zip(self._bases, costs, strict=True))
        ]
        self._last = (failing, parts)
        return parts

    def value(self, histogram: Histogram, node: Levels, verdict: Verdict) -> float:
        """Return what a node costs."""
        parts = self._parts(histogram, verdict, sure=False)
        return float(self._whole(np.array(sum(part[level] for part, level in zip(parts, node, strict=True)))))

    def learn(self, lower: Floats, histogram: Histogram, node: Levels, verdict: Verdict) -> None:
        """Raise the bounds at and below `node` by what its sure rows cost when suppressed there."""
        table = np.zeros(())
        for part, level in zip(self._parts(histogram, verdict, sure=True), node, strict=True):
            table = np.add.outer(table, part[: level + 1])
        below = lower[tuple(slice(0, level + 1) for level in node)]
        np.maximum(below, self._whole(table), out=below)

    def bound_box(self, histogram: Histogram, low: Levels, high: Levels, verdict: Verdict | None) -> float:
        """Return what `low` costs if only the sure rows of `high` are suppressed: parts never fall with the level."""
        parts = self._parts(histogram, verdict, sure=True)
        return float(self._whole(np.array(sum(part[level] for part, level in zip(parts, low, strict=True)))))


class Loss(Separable):
    """ARX's Loss with the geometric mean.

    Per attribute the share of the domain that its values cover, a suppressed row covering all.

    With N rows and domain size d: `x = sum(share) + suppressed`, `(x - N/d) / (N - N/d)`, and over m attributes
    `prod((1+x)^(1/m)) - 1`.
    """

    def _make_bases(self, histogram: Histogram) -> Costs:
        self._count = max(1, len(histogram.attributes))
        self._domain = [len(attribute.leaves) for attribute in histogram.attributes]
        return [
            np.array([float(rows @ share) for share in attribute.shares])
            for attribute, rows in zip(histogram.attributes, histogram.marginals, strict=True)
        ]

    def _suppressed_costs(self, histogram: Histogram, weights: Costs) -> Costs:
        return [
            np.array([float(rows @ (1.0 - share)) for share in attribute.shares])
            for attribute, rows in zip(histogram.attributes, weights, strict=True)
        ]

    def _share(self, position: int, covered: Floats) -> Floats:
        least = self._total / self._domain[position]
        span = self._total - least
        return np.maximum((covered - least) / span, 0.0) if span > 0 else np.zeros_like(covered)

    def _part(self, position: int, covered: Floats) -> Floats:
        return np.log1p(self._share(position, covered))

    def _whole(self, parts: Floats) -> Floats:
        result: Floats = np.expm1(parts / self._count)
        return result


class ArithmeticLoss(Loss):
    """ARX's Loss with the arithmetic mean of the attributes."""

    def _part(self, position: int, covered: Floats) -> Floats:
        return self._share(position, covered)

    def _whole(self, parts: Floats) -> Floats:
        return parts / self._count


class NonUniformEntropy(Separable):
    """The bits lost: per cell the logarithm of how many rows share its generalized value over its own value.

    Rows that are suppressed lose besides what tells their generalized values apart among themselves.
    """

    def _make_bases(self, histogram: Histogram) -> Costs:
        return [
            _bits_within(rows) - np.array([_bits_within(weigh(codes, rows)) for codes in attribute.codes])
            for attribute, rows in zip(histogram.attributes, histogram.marginals, strict=True)
        ]

    def _suppressed_costs(self, histogram: Histogram, weights: Costs) -> Costs:
        return [
            np.array([_bits_within(weigh(codes, rows)) for codes in attribute.codes])
            for attribute, rows in zip(histogram.attributes, weights, strict=True)
        ]

    def _part(self, position: int, covered: Floats) -> Floats:
        return covered

    def _whole(self, parts: Floats) -> Floats:
        return np.maximum(parts, 0.0)


class Discernibility(Metric):
    """The sum of squares of class sizes; a suppressed row counts as many as there are rows."""

    def __init__(self, histogram: Histogram, limit: int, least_rows: int) -> None:
        super().__init__(histogram, limit, least_rows)
        shape = tuple(attribute.height for attribute in histogram.attributes)
        self._shape = shape
        self._squares: Floats | None = None
        self._penalty: Floats | None = None

    def value(self, histogram: Histogram, node: Levels, verdict: Verdict) -> float:
        """Return what a node costs."""
        rows, failing = verdict.rows, verdict.failing
        return float((rows[~failing] ** 2).sum() + self._total * rows[failing].sum())

    def learn(self, lower: Floats, histogram: Histogram, node: Levels, verdict: Verdict) -> None:
        """Raise the squares at and above `node`, and the penalty at and below it."""
        if self._squares is None or self._penalty is None:
            self._squares, self._penalty = np.full(self._shape, self._total), np.zeros(self._shape)
        above = self._squares[tuple(slice(level, None) for level in node)]
        np.maximum(above, (verdict.rows**2).sum(), out=above)
        below = self._penalty[tuple(slice(0, level + 1) for level in node)]
        np.maximum(below, self._sure_penalty(verdict), out=below)
        np.maximum(lower, self._squares + self._penalty, out=lower)

    def bound_box(self, histogram: Histogram, low: Levels, high: Levels, verdict: Verdict | None) -> float:
        """Return the squares at `low` (those of its merged tuples: squares only grow) and the penalty of `high`."""
        if any(level < floor for level, floor in zip(low, histogram.floor, strict=True)):
            squares = self._total
        else:
            key, space = histogram.classes(low)
            squares = float((np.bincount(key, histogram.rows, space) ** 2).sum())
        return squares + (0.0 if verdict is None else self._sure_penalty(verdict))

    def _sure_penalty(self, verdict: Verdict) -> float:
        sure = verdict.rows[verdict.sure]
        return float((sure * (self._total - sure)).sum())


class AverageClassSize(Metric):
    """The rows of the table over the kept classes, all suppressed rows being one class more."""

    def __init__(self, histogram: Histogram, limit: int, least_rows: int) -> None:
        super().__init__(histogram, limit, least_rows)
        self._most: Floats | None = None
        self._shape = tuple(attribute.height for attribute in histogram.attributes)

    def value(self, histogram: Histogram, node: Levels, verdict: Verdict) -> float:
        """Return what a node costs."""
        kept = int(((verdict.rows > 0) & ~verdict.failing).sum())
        return self._total / max(1, kept + int(verdict.failing.any()))

    def learn(self, lower: Floats, histogram: Histogram, node: Levels, verdict: Verdict) -> None:
        """Lower the most classes that nodes above and below `node` can keep."""
        if self._most is None:
            self._most = np.full(self._shape, self._total)
        above = self._most[tuple(slice(level, None) for level in node)]
        np.minimum(above, self._most_above(verdict.rows), out=above)
        below = self._most[tuple(slice(0, level + 1) for level in node)]
        np.minimum(below, self._most_below(verdict), out=below)
        np.maximum(lower, self._cost(self._most), out=lower)

    def bound_box(self, histogram: Histogram, low: Levels, high: Levels, verdict: Verdict | None) -> float:
        """Return the cost of as many classes as `low` and `high` allow."""
        most = self._total // self._least_rows if verdict is None else self._most_below(verdict)
        if all(level >= floor for level, floor in zip(low, histogram.floor, strict=True)):
            key, space = histogram.classes(low)
            most = min(most, self._most_above(weigh(key, histogram.rows, space)))
        return float(self._cost(np.array(most)))

    def _cost(self, most: Floats) -> Floats:
        return self._total / np.maximum(most + (1 if self._limit else 0), 1.0)

    def _most_above(self, rows: Floats) -> float:
        large = rows >= self._least_rows
        return float(large.sum() + rows[~large].sum() // self._least_rows)

    def _most_below(self, verdict: Verdict) -> float:
        return float((verdict.rows[~verdict.sure] // self._least_rows).sum())


def make_metric(name: str, histogram: Histogram, limit: int, least_rows: int) -> Metric:
    """Return the metric of this name over a histogram."""
    kinds: dict[str, type[Metric]] = {
        "loss": Loss,
        "loss_arithmetic": ArithmeticLoss,
        "discernibility": Discernibility,
        "average_class_size": AverageClassSize,
        "entropy": NonUniformEntropy,
    }
    return kinds[name](histogram, limit, least_rows)


def cover(histogram: Histogram, levels: Levels, verdict: Verdict) -> list[float]:
    """Return, per attribute, the sum over rows of the share of its domain that their labels cover at these levels.

    A suppressed row covers all of it.
    """
    gone = verdict.failing[verdict.key]
    suppressed = float(histogram.rows[gone].sum())
    kept = np.where(gone, 0, histogram.rows)
    return [
        float(weigh(leaf, kept, len(attribute.leaves)) @ attribute.shares[level]) + suppressed
        for attribute, leaf, level in zip(histogram.attributes, histogram.leaf, levels, strict=True)
    ]


def measure_loss(histogram: Histogram, covered: list[float]) -> float:
    """Return the geometric-mean loss of these sums of covered shares, one an attribute."""
    total = float(histogram.total_rows)
    logs = 0.0
    for one, attribute in zip(covered, histogram.attributes, strict=True):
        least = total / max(1, len(attribute.leaves))
        if total > least:
            logs += float(np.log1p(max(0.0, (one - least) / (total - least))))
    return float(np.expm1(logs / max(1, len(covered))))


def _bits_within(counts: Floats) -> float:
    """Return n log2(n) minus the sum of c log2(c): n times the entropy of the counts. It grows with every count."""
    held = counts[counts > 0]
    total = float(held.sum())
    return total * float(np.log2(total)) - float(held @ np.log2(held)) if total else 0.0
