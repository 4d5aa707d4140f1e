"""l-diversity of classes: distinct, entropy and recursive (Machanavajjhala et al. 2007), counted by entities."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

import numpy as np

from desensitize.anonymity.histogram import Bools, Floats, Ints, distinct
from desensitize.anonymity.view import View, ranks

_ROUNDING = 1e-9
_STEPS = 16


class Distinct:
    """At least l entities with l different values, one each.

    Without entities of several values that is the number of values. A part of a class never holds more.
    """

    monotone = True

    def __init__(self, place: int, values: int) -> None:
        self._place, self._l = place, values

    def fails(self, view: View) -> Bools:
        """Say which classes hold fewer."""
        owner, _, _ = view.spread(self._place)
        every: Bools = np.bincount(owner, minlength=view.space) < self._l
        return every if view.is_additive(self._place) else every | self._fails_by_entity(view, ~every)

    def least_removed(self, view: View) -> Floats:
        """Return nothing: these classes fail surely."""
        return np.zeros(view.space)

    def _fails_by_entity(self, view: View, wanted: Bools) -> Bools:
        """Match entities with values where counting alone does not tell.

        A plain entity serves its own value; what is left is matched among the others.
        """
        sensitive = view.histogram.sensitive[self._place]
        size = len(sensitive.values)
        plain = distinct(view.key[sensitive.cell_tuple] * size + sensitive.cell_value)
        found = np.bincount(plain // size, minlength=view.space)
        owner, entity, value = sensitive.edges(view.key)
        free = ~np.isin(owner * size + value, plain)
        owner, entity, value = owner[free], entity[free], value[free]
        people = int(entity.max(initial=0)) + 1
        values = np.bincount(distinct(owner * size + value) // size, minlength=view.space)
        holders = np.bincount(distinct(owner * people + entity) // people, minlength=view.space)
        lower = found + (values > 0)
        unsure = wanted & (lower < self._l) & (found + np.minimum(values, holders) >= self._l)
        fails: Bools = (lower < self._l) & ~unsure
        chosen = unsure[owner]
        for one, pairs in _group(owner[chosen], entity[chosen], value[chosen]).items():
            fails[one] = not _can_match(pairs, self._l - int(found[one]))
        return fails


class Entropy:
    """The entropy of a class's values is at least log(l)."""

    monotone = False

    def __init__(self, place: int, values: float) -> None:
        self._place, self._least = place, float(np.log(values))

    def fails(self, view: View) -> Bools:
        """Say which classes have less."""
        owner, _, weight = view.spread(self._place)
        return _entropy(owner, weight, view.space) < self._least - _ROUNDING

    def least_removed(self, view: View) -> Floats:
        """Return what must go, since what is kept of a class meets the model too (entropy is concave).

        Of all parts of one size, the one with its greatest counts cut to one height is the most even and so has the
        greatest entropy: the greatest height that reaches the model bounds what can be kept.
        """
        if not view.is_additive(self._place):
            return np.zeros(view.space)
        owner, _, weight = view.spread(self._place)
        return _least_cut(
            view,
            self._place,
            lambda height: (
                _entropy(owner, np.minimum(weight, height[owner]), view.space) >= self._least - 2 * _ROUNDING
            ),
            self.fails(view),
        )


class Recursive:
    """The most frequent value is less than c times as frequent as the l-th and all rarer ones together."""

    monotone = False

    def __init__(self, place: int, values: int, c: float) -> None:
        self._place, self._l, self._c = place, values, c

    def fails(self, view: View) -> Bools:
        """Say which classes have a value that is too frequent."""
        weight = view.spread(self._place)[2]
        return ~self._holds(view, np.full(view.space, weight.max(initial=1.0)), 0.0)

    def least_removed(self, view: View) -> Floats:
        """Return what must go: of all parts whose greatest count is h, cutting every count to h keeps the most tail."""
        if not view.is_additive(self._place):
            return np.zeros(view.space)
        return _least_cut(view, self._place, lambda height: self._holds(view, height, _ROUNDING), self.fails(view))

    def _holds(self, view: View, height: Floats, slack: float) -> Bools:
        owner, _, weight = view.spread(self._place)
        order = np.lexsort((-weight, owner))
        owner, weight = owner[order], np.minimum(weight[order], height[owner[order]])
        place = ranks(owner)
        tail = np.bincount(owner, np.where(place >= self._l - 1, weight, 0.0), view.space)
        first = np.bincount(owner, np.where(place == 0, weight, 0.0), view.space)
        holds: Bools = first < self._c * tail - _ROUNDING + 2 * slack
        return holds


def _entropy(owner: Ints, weight: Floats, space: int) -> Floats:
    total = np.bincount(owner, weight, space)
    logs = np.bincount(owner, weight * np.log(np.maximum(weight, 1e-300)), space)
    safe = np.maximum(total, 1e-300)
    result: Floats = np.where(total > 0, np.log(safe) - logs / safe, 0.0)
    return result


def _least_cut(view: View, place: int, holds: Callable[[Floats], Bools], failing: Bools) -> Floats:
    """Return the weight above the greatest height at which the cut counts hold, never more than must go."""
    owner, _, weight = view.spread(place)
    high = np.zeros(view.space)
    np.maximum.at(high, owner, weight)
    low = np.zeros(view.space)
    for _ in range(_STEPS):
        middle = (low + high) / 2
        good = holds(middle)
        low, high = np.where(good, middle, low), np.where(good, high, middle)
    kept = np.bincount(owner, np.minimum(weight, high[owner]), view.space)
    removed = np.bincount(owner, weight, view.space) - kept
    # A failing class loses at least the rows of one entity, whatever the halving found.
    result: Floats = np.where(failing, np.maximum(removed, 1.0), 0.0)
    return result


def _group(owner: Ints, entity: Ints, value: Ints) -> dict[int, dict[int, list[int]]]:
    found: dict[int, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
    for one, who, what in zip(owner.tolist(), entity.tolist(), value.tolist(), strict=True):
        found[one][who].append(what)
    return found


def _can_match(values: dict[int, list[int]], wanted: int) -> bool:
    """Say whether `wanted` entities can be named with different values, one each (augmenting paths)."""
    holder: dict[int, int] = {}

    def place(who: int, seen: set[int]) -> bool:
        for what in values[who]:
            if what in seen:
                continue
            seen.add(what)
            if what not in holder or place(holder[what], seen):
                holder[what] = who
                return True
        return False

    matched = 0
    for who in values:
        matched += place(who, set())
        if matched >= wanted:
            return True
    return False
