"""The histogram as coarse as a node allows, kept for the nodes that share its first levels.

The attributes with the most values are lifted to the node's own levels one after another; what is merged on the way is
remembered. A search visits many nodes that agree on these attributes, and each then counts far fewer tuples.
"""

from __future__ import annotations

import numpy as np

from desensitize.anonymity.folding import Folding
from desensitize.anonymity.histogram import Histogram, Levels

_DEPTH = 3
_DEPTH_FOR_GLANCES = 1
_WORTH_FROM = 2_000
_MOST_TUPLES = 1_000_000


class Zoom:
    """Coarser histograms of one histogram, by the levels of its attributes with the most values.

    `glances` says that most nodes will only be looked at quickly (`fold`).
    """

    def __init__(self, histogram: Histogram, *, glances: bool = False) -> None:
        self.base = histogram
        # A glance costs so little that merging many tuples for it does not pay.
        depth = _DEPTH_FOR_GLANCES if glances else _DEPTH
        sizes = [int(np.count_nonzero(np.bincount(leaf))) for leaf in histogram.leaf]
        self._order = [int(axis) for axis in np.argsort([-size for size in sizes], kind="stable")[:depth]]
        self._known: dict[Levels, Histogram] = {}
        self._foldings: dict[int, Folding] = {}
        self._held = 0

    def fold(self, levels: Levels) -> Folding:
        """Return the quick looks at the histogram that serves the node of these levels."""
        found = self.at(levels)
        # The histogram is kept, so its number stays its own.
        if id(found) not in self._foldings:
            self._foldings[id(found)] = Folding(found)
        return self._foldings[id(found)]

    def at(self, levels: Levels) -> Histogram:
        """Return a histogram that serves the node of these levels (and those above it)."""
        found = self.base
        for depth in range(1, len(self._order) + 1):
            if len(found.rows) < _WORTH_FROM or self._held > _MOST_TUPLES:
                return found
            chosen = tuple(levels[axis] for axis in self._order[:depth])
            if chosen not in self._known:
                floor = list(found.floor)
                floor[self._order[depth - 1]] = max(floor[self._order[depth - 1]], chosen[-1])
                lifted = found if tuple(floor) == found.floor else found.rebase(tuple(floor))
                self._known[chosen] = lifted
                self._held += 0 if lifted is found else len(lifted.rows)
            found = self._known[chosen]
        return found
