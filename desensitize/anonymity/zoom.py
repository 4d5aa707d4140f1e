"""The histogram as coarse as a node allows, kept for the nodes that share its first levels.

The attributes with the most values are lifted to the node's own levels one after another; what is merged on the way is
remembered. A search visits many nodes that agree on these attributes, and each then counts far fewer tuples.
"""

from __future__ import annotations

import numpy as np

from desensitize.anonymity.histogram import Histogram, Levels

_DEPTH = 3
_WORTH_FROM = 2_000
_MOST_TUPLES = 1_000_000


class Zoom:
    """Coarser histograms of one histogram, by the levels of its attributes with the most values."""

    def __init__(self, histogram: Histogram) -> None:
        self.base = histogram
        sizes = [len(np.unique(leaf)) for leaf in histogram.leaf]
        self._order = [int(axis) for axis in np.argsort([-size for size in sizes], kind="stable")[:_DEPTH]]
        self._known: dict[Levels, Histogram] = {}
        self._held = 0

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
