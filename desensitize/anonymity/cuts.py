"""How a part of a table can be cut on one attribute, and what the label of a part then says.

Words: a *part* is a set of tuples; on an *ordered* attribute (numbers, dates) a part is labelled by its least and
greatest leaf and cut at a threshold; on any other by the lowest value of the hierarchy that covers it, and cut by
taking one child of that value away from the others. So two parts never have the same labels.
"""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass

import numpy as np

from desensitize.anonymity.histogram import Attribute, Bools, Floats, Histogram, Ints, sum_by_key
from desensitize.anonymity.view import running_sums
from desensitize.errors import InvalidPlan
from desensitize.hierarchy import ANY

_NEVER = -1.0


@dataclass(frozen=True, slots=True)
class Axis:
    """One attribute as it is cut: the rank of every leaf in order, or its code at every level.

    `covered` says of every tuple how much of the domain the label of its part covers.
    """

    attribute: Attribute
    ordered: bool
    rank: Ints
    leaves: tuple[str | None, ...]

    def units(self, leaf: Ints, part: Ints, parts: int) -> tuple[Ints, Floats, Ints]:
        """Return what each tuple is told apart by inside its part, the coverage of each part, and its label.

        A label is the level of the hierarchy, or the first rank and the last one packed into one number.
        """
        if self.ordered:
            rank = self.rank[leaf]
            least, most = _range(rank, part, parts)
            size = len(self.rank)
            null = (len(self.leaves) > 0 and self.leaves[-1] is None) & (most == size - 1) & (least < most)
            covered = np.where(null, 1.0, (most - least + 1) / max(1, size))
            return rank, covered, least * size + most
        level = np.zeros(parts, np.int64)
        covered = np.zeros(parts)
        unit = self.attribute.codes[0][leaf]
        open_ = np.ones(parts, bool)
        for height, codes in enumerate(self.attribute.codes):
            code = codes[leaf]
            least, most = _range(code, part, parts)
            now = open_ & (least == most)
            level[now] = height
            covered[now] = self._share(height)[least[now]]
            open_ &= ~now
            if height + 1 < self.attribute.height:
                unit = np.where(open_[part], code, unit)
        covered[open_] = 1.0
        level[open_] = self.attribute.height - 1
        return unit, covered, level

    def _share(self, level: int) -> Floats:
        codes = self.attribute.codes[level]
        shares = np.zeros(int(codes.max(initial=0)) + 1)
        shares[codes] = self.attribute.shares[level]
        return shares

    def labels(self, leaf: Ints, label: Ints) -> list[str | None]:
        """Return the text of a label for a leaf of the part it stands for."""
        if not self.ordered:
            return [
                self.attribute.labels[level][self.attribute.codes[level][one]]
                for one, level in zip(leaf.tolist(), label.tolist(), strict=True)
            ]
        size = len(self.rank)
        return [self._interval(*divmod(one, size)) for one in label.tolist()]

    def _interval(self, first: int, last: int) -> str | None:
        if first == last:
            return self.leaves[first]
        low, high = self.leaves[first], self.leaves[last]
        return ANY if high is None else f"[{low},{high}]"


def make_axes(histogram: Histogram, labels: tuple[str, ...], ordered: frozenset[str] | None) -> list[Axis]:
    """Return the axes of a histogram.

    Without `ordered` the attributes are ordered whose leaves are all numbers or all dates, regions excepted. Refuses
    an `ordered` column whose values have no order.
    """
    axes = []
    for attribute, label in zip(histogram.attributes, labels, strict=True):
        values = [_place(leaf) for leaf in attribute.leaves]
        can = None not in [value for value, leaf in zip(values, attribute.leaves, strict=True) if leaf is not None]
        wanted = label != "region" if ordered is None else attribute.column in ordered
        if ordered is not None and wanted and not can:
            raise InvalidPlan(f"column `{attribute.column}` cannot be ordered: its values are not all numbers or dates")
        order = sorted(
            range(len(values)), key=lambda one: (values[one] is None, values[one] or 0.0, attribute.leaves[one] or "")
        )
        rank = np.empty(len(order), np.int64)
        rank[order] = np.arange(len(order))
        axes.append(Axis(attribute, wanted and can, rank, tuple(attribute.leaves[one] for one in order)))
    return axes


def choose_cuts(unit: Ints, rows: Ints, part: Ints, parts: int, ordered: Bools) -> Ints:
    """Return the unit to cut each part at (-1: it cannot be cut): where the smaller side is as large as it can be.

    An ordered part goes up to that unit and beyond it, another into that unit and all others.
    """
    size = int(unit.max(initial=0)) + 1
    keys, weight = sum_by_key(part * size + unit, rows.astype(np.float64))
    owner, value = keys // size, keys % size
    total = np.bincount(owner, weight, parts)
    taken = np.where(ordered[owner], running_sums(owner, weight), weight)
    smaller = np.minimum(taken, total[owner] - taken)
    order = np.lexsort((-value, smaller, owner))
    last = np.flatnonzero(np.append(owner[order][1:] != owner[order][:-1], True))
    best = np.full(parts, -1, np.int64)
    most = np.full(parts, _NEVER)
    best[owner[order][last]] = value[order][last]
    most[owner[order][last]] = smaller[order][last]
    best[most < 0.5] = -1
    return best


def _range(rank: Ints, part: Ints, parts: int) -> tuple[Ints, Ints]:
    least = np.full(parts, np.iinfo(np.int64).max)
    most = np.full(parts, -1)
    np.minimum.at(least, part, rank)
    np.maximum.at(most, part, rank)
    return least, most


def _place(leaf: str | None) -> float | None:
    """Return where a number or an ISO date stands; None when the text is neither."""
    if leaf is None:
        return None
    try:
        number = float(leaf)
    except ValueError:
        try:
            return float(dt.date.fromisoformat(leaf[:10]).toordinal())
        except ValueError:
            return None
    return number if math.isfinite(number) else None
