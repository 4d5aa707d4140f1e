"""t-closeness of classes: the earth mover's distance to the whole table (Li, Li and Venkatasubramanian 2007).

All three distances are convex in the class's distribution, so joining classes that are close gives a close class, and
what is kept of a class after splitting must as a whole be close. That bounds from below what is suppressed there.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np

from desensitize.anonymity.histogram import Bools, Floats, Ints, Sensitive, sum_by_key, weigh
from desensitize.anonymity.view import View, running_sums
from desensitize.errors import InvalidInput
from desensitize.hierarchy import Hierarchy

_ROUNDING = 1e-9
_CELLS = 2_000_000


class Equal:
    """Every two values are one apart: half the sum of absolute differences."""

    monotone = False

    def __init__(self, place: int, t: float, sensitive: Sensitive) -> None:
        self._place, self._t = place, t
        self._overall = sensitive.overall()

    def fails(self, view: View) -> Bools:
        """Say which classes are farther than t."""
        owner, value, weight = view.spread(self._place)
        share = weight / np.maximum(view.totals(self._place), 1e-300)[owner]
        known = self._overall[value]
        distance = 0.5 * (1.0 + np.bincount(owner, np.abs(share - known) - known, view.space))
        fails: Bools = distance > self._t + _ROUNDING
        return fails

    def least_removed(self, view: View) -> Floats:
        """Return what must go to come within t."""
        if not view.is_additive(self._place):
            return np.zeros(view.space)
        removed = view.totals(self._place) - _most_kept(view, *view.spread(self._place), self._overall, self._t)
        return np.where(self.fails(view), np.maximum(removed, 1.0), 0.0)


class Ordered:
    """Values stand in a row: the sum of absolute running differences over the number of steps."""

    monotone = False

    def __init__(self, place: int, t: float, sensitive: Sensitive, order: tuple[str, ...]) -> None:
        self._place, self._t = place, t
        self._order = _order(sensitive, order)
        self._overall = sensitive.overall()[self._order]

    def fails(self, view: View) -> Bools:
        """Say which classes are farther than t."""
        steps = max(1, len(self._order) - 1)
        return _in_blocks(
            view,
            self._place,
            len(self._order),
            lambda share: np.abs(np.cumsum(share[:, self._order] - self._overall, axis=1)).sum(axis=1) / steps,
        ) > (self._t + _ROUNDING)

    def least_removed(self, view: View) -> Floats:
        """Return one row for every class that fails: some part of it fails below."""
        return self.fails(view).astype(np.float64) if view.is_additive(self._place) else np.zeros(view.space)


class Hierarchical:
    """Two values are as far apart as their lowest common ancestor is high.

    Per ancestor the lesser of what its parts have too much and too little, weighed by its level over the height.
    """

    monotone = False

    def __init__(self, place: int, t: float, sensitive: Sensitive, hierarchy: Hierarchy) -> None:
        self._place, self._t = place, t
        self._overall = sensitive.overall()
        rows = {row[0]: row for row in hierarchy.list_rows(sensitive.values, sensitive.column)}
        tops = {row[-1] for row in rows.values()}
        if len(tops) != 1:
            raise InvalidInput(f"the hierarchy of sensitive column `{sensitive.column}` needs one value at its top")
        chosen = [rows[value] for value in sensitive.values]
        self._height = len(chosen[0]) - 1 if chosen else 0
        self._codes = [_codes([row[level] for row in chosen]) for level in range(self._height + 1)]

    def fails(self, view: View) -> Bools:
        """Say which classes are farther than t."""
        return _in_blocks(view, self._place, len(self._overall), self._distance) > self._t + _ROUNDING

    def least_removed(self, view: View) -> Floats:
        """Return what must go to come within t.

        What moves between different values of level j - 1 costs at least j over the height, so the equal distance
        there is at most t times the height over j; the strictest of these levels counts.
        """
        if not view.is_additive(self._place):
            return np.zeros(view.space)
        owner, value, weight = view.spread(self._place)
        total = view.totals(self._place)
        kept = total.copy()
        for level in range(self._height):
            t = self._t * self._height / (level + 1)
            if t >= 1:
                continue
            codes = self._codes[level]
            size = int(codes.max(initial=0)) + 1
            keys, sums = sum_by_key(owner * size + codes[value], weight)
            overall = weigh(codes, self._overall, size)
            np.minimum(kept, _most_kept(view, keys // size, keys % size, sums, overall, t), out=kept)
        return np.where(self.fails(view), np.maximum(total - kept, 1.0), 0.0)

    def _distance(self, share: Floats) -> Floats:
        extra = share - self._overall
        cost = np.zeros(len(share))
        for level, (below, codes) in enumerate(itertools.pairwise(self._codes), 1):
            size = int(codes.max(initial=0)) + 1
            parent = np.zeros(extra.shape[1], np.int64)
            parent[below] = codes
            lower = np.zeros((len(share), size))
            more = np.zeros((len(share), size))
            np.add.at(more.T, parent, np.maximum(extra, 0.0).T)
            np.add.at(lower.T, parent, np.maximum(-extra, 0.0).T)
            cost += level / self._height * np.minimum(more, lower).sum(axis=1)
            extra = more - lower
        return cost


def _most_kept(view: View, owner: Ints, value: Ints, weight: Floats, overall: Floats, t: float) -> Floats:
    """Return the most of each class that can be kept within equal distance t.

    K entities of counts at most c, against shares q, can come within t exactly if the sum of min(c, K q) is at least
    (1 - t) K. That minimum is a least one over all sets S of values of sum(c in S) + K sum(q outside S), so K may be
    at most sum(c in S) / (sum(q in S) - t) for every S; the sets that bind are the values with the least c/q.
    """
    known = overall[value]
    order = np.lexsort((weight / np.maximum(known, 1e-300), owner))
    owner, weight, known = owner[order], weight[order], known[order]
    absent = 1.0 - np.bincount(owner, known, view.space)
    shares = absent[owner] + running_sums(owner, known) - t
    bound = np.where(shares > _ROUNDING, running_sums(owner, weight) / np.maximum(shares, _ROUNDING), np.inf)
    kept = np.bincount(owner, weight, view.space)
    np.minimum.at(kept, owner, bound)
    return np.where(absent - t > _ROUNDING, 0.0, kept)


def _in_blocks(view: View, place: int, size: int, distance: Callable[[Floats], Floats]) -> Floats:
    """Return the distance of every class, a block of classes as a full table of shares at a time."""
    owner, value, weight = view.spread(place)
    classes, dense = np.unique(owner, return_inverse=True)
    share = weight / np.maximum(view.totals(place), 1e-300)[owner]
    found = np.zeros(view.space)
    step = max(1, _CELLS // max(1, size))
    for start in range(0, len(classes), step):
        first, last = np.searchsorted(owner, classes[[start, min(start + step, len(classes)) - 1]] + np.array([0, 1]))
        table = np.zeros((min(step, len(classes) - start), size))
        table[dense[first:last] - start, value[first:last]] = share[first:last]
        found[classes[start : start + step]] = distance(table)
    return found


def _codes(labels: list[str | None]) -> Ints:
    index: dict[str | None, int] = {}
    return np.array([index.setdefault(label, len(index)) for label in labels], np.int64)


def _order(sensitive: Sensitive, order: tuple[str, ...]) -> Ints:
    """Return the places of the values in their order: as given, else numbers by size, else as text; null is last."""
    values = [value for value in sensitive.values if value is not None]
    if order and (missing := len(set(values) - set(order))):
        raise InvalidInput(f"sensitive column `{sensitive.column}`: {missing} distinct values are not in its order")
    known = {value: place for place, value in enumerate(order)}
    numbers = [_number(value) for value in values]
    if order:
        ranked = sorted(values, key=known.__getitem__)
    elif all(math.isfinite(number) for number in numbers):
        ranked = [value for _, value in sorted(zip(numbers, values, strict=True))]
    else:
        ranked = sorted(values)
    places = {value: place for place, value in enumerate(sensitive.values)}
    last = [places[None]] if None in places else []
    return np.array([*(places[value] for value in ranked), *last], np.int64)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
