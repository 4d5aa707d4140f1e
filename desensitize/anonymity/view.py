"""One node as the models see it: the class of every tuple, and the sensitive values of every class, computed once."""

from __future__ import annotations

import numpy as np

from desensitize.anonymity.histogram import Floats, Histogram, Ints, weigh


class View:
    """The classes of one node over a histogram; `key` is the class of every tuple, below `space`."""

    def __init__(self, histogram: Histogram, key: Ints, space: int) -> None:
        self.histogram = histogram
        self.key = key
        self.space = space
        self.rows = weigh(key, histogram.rows, space)
        self._spreads: dict[int, tuple[Ints, Ints, Floats]] = {}

    def spread(self, place: int) -> tuple[Ints, Ints, Floats]:
        """Return (class, value, weight) of a sensitive column, ordered by class, each class's entities weighing one."""
        if place not in self._spreads:
            self._spreads[place] = self.histogram.sensitive[place].spread(self.key)
        return self._spreads[place]

    def totals(self, place: int) -> Floats:
        """Return the weight of all values of a sensitive column by class."""
        owner, _, weight = self.spread(place)
        return weigh(owner, weight, self.space)

    def is_additive(self, place: int) -> bool:
        """Say whether every entity weighs the same however classes split: no entity has several tuples or values."""
        return not len(self.histogram.sensitive[place].link_tuple)


def running_sums(owner: Ints, weight: Floats) -> Floats:
    """Return the running sums of `weight` within each run of equal owners."""
    if not len(owner):
        return weight
    sums = np.cumsum(weight)
    starts = np.flatnonzero(np.concatenate([[True], owner[1:] != owner[:-1]]))
    before = np.concatenate([[0.0], sums])[starts]
    result: Floats = sums - np.repeat(before, np.diff(np.append(starts, len(owner))))
    return result


def ranks(owner: Ints) -> Ints:
    """Return the place, from 0, of each entry within its run of equal owners."""
    if not len(owner):
        return owner
    starts = np.flatnonzero(np.concatenate([[True], owner[1:] != owner[:-1]]))
    result: Ints = np.arange(len(owner)) - np.repeat(starts, np.diff(np.append(starts, len(owner))))
    return result
