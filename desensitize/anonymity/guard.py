"""Which classes of a node meet the privacy models, and what that says about every node below it.

Words: a class *fails* when a model does not hold in it, and its rows are suppressed. It fails *surely* when a model
fails that can only get worse as classes split: k-anonymity, k-map and distinct values, where a part of a class never
holds more. The other models (entropy, recursive, closeness, presence) are kept when classes that meet them are
*joined*, so in a failing class at least some part fails below; `least_removed` says how many rows at the least.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from desensitize.anonymity.closeness import Equal, Hierarchical, Ordered
from desensitize.anonymity.diversity import Distinct, Entropy, Recursive
from desensitize.anonymity.histogram import Bools, Floats, Histogram, Ints, Levels
from desensitize.anonymity.view import View
from desensitize.transform.goals import DeltaPresence, KAnonymity, KMap, LDiversity, Model, TCloseness

_ROUNDING = 1e-9


class Check(Protocol):
    """One model at work; `monotone` says that a class fails surely."""

    monotone: bool

    def fails(self, view: View) -> Bools:
        """Say which classes do not meet the model."""

    def least_removed(self, view: View) -> Floats:
        """Return, per class, how many rows at the least are suppressed in it at any node below."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A node judged: which classes fail and fail surely, the suppressed rows, and the least of them at nodes below."""

    key: Ints
    rows: Floats
    failing: Bools
    sure: Bools
    least_below: float

    @property
    def suppressed(self) -> int:
        """Return how many rows this node suppresses."""
        return int(self.rows[self.failing].sum())


class _Size:
    """k-anonymity: enough entities."""

    monotone = True

    def __init__(self, k: int) -> None:
        self._k = k

    def fails(self, view: View) -> Bools:
        if view.histogram.is_plain:
            small: Bools = view.rows < self._k
            return small
        return view.histogram.entities.lack(view.key, view.space, self._k)

    def least_removed(self, view: View) -> Floats:
        return np.zeros(view.space)


class _Map:
    """k-map: enough entities in the population."""

    monotone = True

    def __init__(self, k: int) -> None:
        self._k = k

    def fails(self, view: View) -> Bools:
        assert view.histogram.population is not None
        return view.histogram.population.lack(view.key, view.space, self._k)

    def least_removed(self, view: View) -> Floats:
        return np.zeros(view.space)


class _Presence:
    """Delta-presence: of a class's population neither too many nor too few are in the table."""

    monotone = False

    def __init__(self, low: float, high: float) -> None:
        self._low, self._high = low, high

    def fails(self, view: View) -> Bools:
        inside, everyone = self._counts(view)
        few: Bools = inside < self._low * everyone - _ROUNDING
        return few | (self._excess(inside, everyone) > _ROUNDING)

    def least_removed(self, view: View) -> Floats:
        """Return what must go: the kept part has at most `high` of its population, itself part of the class's."""
        histogram = view.histogram
        assert histogram.population is not None
        if len(histogram.entities.pair_tuple) or len(histogram.population.pair_tuple):
            return np.zeros(view.space)
        return np.maximum(self._excess(*self._counts(view)), 0.0)

    def _counts(self, view: View) -> tuple[Ints, Ints]:
        histogram = view.histogram
        assert histogram.population is not None
        return histogram.entities.count(view.key, view.space), histogram.population.count(view.key, view.space)

    def _excess(self, inside: Ints, everyone: Ints) -> Floats:
        # Whoever is in the table is in the population, so a share above one is a share of one.
        return inside - self._high * everyone if self._high < 1 else np.zeros(len(inside))


class Guard:
    """The privacy models of one anonymization, judging nodes of a histogram.

    `least_rows` is how many rows a class that passes has at the least; `asks_for_k_alone` says that no model but
    k-anonymity is asked for.
    """

    def __init__(self, models: Sequence[Model], histogram: Histogram) -> None:
        places = {one.column: place for place, one in enumerate(histogram.sensitive)}
        checks = [check for model in models for check in _make(model, places, histogram)]
        self._sure = [check for check in checks if check.monotone]
        self._other = [check for check in checks if not check.monotone]
        self.asks_for_k_alone = all(isinstance(model, KAnonymity) for model in models)
        self.least_rows = max([1, *(model.k for model in models if isinstance(model, KAnonymity))])

    def judge(self, histogram: Histogram, levels: Levels, limit: int) -> Verdict:
        """Return the verdict on the node of these levels."""
        return self.judge_classes(histogram, *histogram.classes(levels), limit)

    def judge_classes(self, histogram: Histogram, key: Ints, space: int, limit: int = 0) -> Verdict:
        """Return the verdict on these classes; `key` is the class of every tuple, below `space`."""
        view = View(histogram, key, space)
        present = view.rows > 0
        sure = np.zeros(space, bool)
        for check in self._sure:
            sure |= check.fails(view)
        sure &= present
        certain = float(view.rows[sure].sum())
        if not self._other or certain > limit:
            return Verdict(key, view.rows, sure, sure, certain)
        failing = sure.copy()
        for check in self._other:
            failing |= check.fails(view) & present
        below = certain
        if view.rows[failing].sum() > limit:
            removed = np.zeros(space)
            for check in self._other:
                np.maximum(removed, check.least_removed(view), out=removed)
            below += float(removed[present & ~sure].sum()) * (1.0 - _ROUNDING)
        return Verdict(key, view.rows, failing, sure, below)


def _make(model: Model, places: dict[str, int], histogram: Histogram) -> list[Check]:
    """Return the checks of one model; every kind of diversity implies that of distinct values."""
    if isinstance(model, KAnonymity):
        return [_Size(model.k)]
    if isinstance(model, KMap):
        return [_Map(model.k)]
    if isinstance(model, DeltaPresence):
        return [_Presence(model.low, model.high)]
    place = places[model.column]
    sensitive = histogram.sensitive[place]
    if isinstance(model, TCloseness):
        if model.distance == "equal":
            return [Equal(place, model.t, sensitive)]
        if model.distance == "ordered":
            return [Ordered(place, model.t, sensitive, model.order)]
        assert model.hierarchy is not None
        return [Hierarchical(place, model.t, sensitive, model.hierarchy)]
    return _make_diversity(model, place)


def _make_diversity(model: LDiversity, place: int) -> list[Check]:
    checks: list[Check] = [Distinct(place, int(np.ceil(model.l - _ROUNDING)))]
    if model.kind == "entropy":
        checks.append(Entropy(place, model.l))
    if model.c is not None:
        checks.append(Recursive(place, int(model.l), model.c))
    return checks
