"""Optimal full-domain generalization.

The node of the lattice that costs least and still meets the privacy models.

Words: a *node* gives each attribute a level; it is *above* another when no level is lower; a class that fails a model
is *suppressed*, and a node is *fit* when the suppressed rows stay within the limit. Two facts make the search exact
without visiting every node. What is suppressed below a node has a least number of rows (`guard`), so below a node
where that exceeds the limit nothing is fit. And a node costs at least what its levels alone cost, plus what the rows
surely suppressed at any node above it cost (`metrics`): every visit raises the lower bound of all that lies below.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from desensitize.anonymity.guard import Guard, Verdict
from desensitize.anonymity.histogram import Bools, Floats, Histogram, Levels
from desensitize.anonymity.metrics import Metric, make_metric
from desensitize.anonymity.zoom import Zoom
from desensitize.errors import InvalidInput

_TOLERANCE = 1e-12
_ROW = 1e-6
_REBASE_OVER = 2_000
_REBASE_EVERY = 100
Progress = Callable[[int, int], None]
TOO_FEW = (
    "the table has too few distinct entities (or too uniform sensitive values): not even full generalization meets "
    "the privacy models within the suppression limit"
)
NOT_FOUND = (
    "no generalization that meets the privacy models was found within the visits, the time or the coarser reading"
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The best node found: its levels, its cost by the metric, suppressed rows.

    Whether it is proved best, how far off it may be, and the nodes visited.
    """

    levels: Levels
    loss: float
    suppressed: int
    optimal: bool
    gap: float
    visited: int


class Budget:
    """How long a search may go on: at most so many visits, and so many seconds from now. Each may be None."""

    def __init__(self, max_visits: int | None = None, seconds: float | None = None) -> None:
        self._max_visits = max_visits
        self._end = None if seconds is None else time.monotonic() + seconds

    def is_spent(self, visited: int) -> bool:
        """Say whether a search that visited so many nodes has to stop."""
        if self._max_visits is not None and visited >= self._max_visits:
            return True
        return self._end is not None and time.monotonic() >= self._end


class Best:
    """The best fit node so far; of equal ones the first in the order of levels."""

    def __init__(self) -> None:
        self.loss = float("inf")
        self.levels: Levels = ()
        self.suppressed = 0

    def offer(self, loss: float, levels: Levels, suppressed: int) -> None:
        """Take this node if it is better."""
        if (loss, levels) < (self.loss, self.levels):
            self.loss, self.levels, self.suppressed = loss, levels, suppressed

    @property
    def bar(self) -> float:
        """Return the cost that a node must be below to be worth a visit."""
        return self.loss - _TOLERANCE * max(1.0, abs(self.loss)) if self.levels else self.loss

    def outcome(self, least_left: float | None, visited: int) -> Outcome:
        """Return the outcome, given the least bound of the nodes left open (None: none is).

        Refuses when no fit node was found.
        """
        if not self.levels:
            raise InvalidInput(TOO_FEW if least_left is None else NOT_FOUND)
        gap = 0.0 if least_left is None else max(0.0, self.loss - least_left)
        return Outcome(self.levels, self.loss, self.suppressed, least_left is None, gap, visited)


class Search:
    """One search; `run` returns its `Outcome`.

    `progress` hears (nodes decided, nodes in the lattice) after each visit.
    """

    def __init__(
        self,
        histogram: Histogram,
        guard: Guard,
        metric: str,
        limit: int,
        budget: Budget,
        progress: Progress | None = None,
    ) -> None:
        self._guard, self._limit = guard, limit
        self._metric: Metric = make_metric(metric, histogram, limit, guard.least_rows)
        # A glance tells nothing about the nodes above, and counts rows, not entities.
        self._glances = histogram.is_plain and not self._metric.learns_above
        self._zoom = self._zoom_into(histogram)
        self._budget, self._progress = budget, progress
        self._top = tuple(attribute.height - 1 for attribute in histogram.attributes)
        shape = tuple(attribute.height for attribute in histogram.attributes)
        self._lower: Floats = np.zeros(shape)
        self._closed: Bools = np.zeros(shape, bool)
        self._coarse: Bools = np.zeros(shape, bool)
        for axis, floor in enumerate(histogram.floor):
            self._coarse[(slice(None),) * axis + (slice(0, floor),)] = True
        self._unfit: Bools = np.zeros(shape, bool)
        self._best = Best()
        self._visited = 0
        self._order: list[int] | None = None

    def run(self) -> Outcome:
        """Return the cheapest fit node, or when the budget is spent the best so far.

        Refuses when no node is fit. (A fit node may lie below an unfit top: leaving out a few rows can help a model
        that generalization does not.)
        """
        self._visit(self._top)
        self._probe_single_attributes()
        self._descend()
        rebase_at = self._visited + _REBASE_EVERY
        while not self._budget.is_spent(self._visited) and (node := self._choose()) is not None:
            self._visit(node)
            if self._visited >= rebase_at:
                self._rebase()
                rebase_at = self._visited + _REBASE_EVERY
        left = self._lower[self._open()]
        return self._best.outcome(float(left.min()) if left.size else None, self._visited)

    def _zoom_into(self, histogram: Histogram) -> Zoom:
        return Zoom(histogram, glances=self._glances and self._guard.asks_for_k_alone)

    def _visit(self, node: Levels) -> bool:
        self._visited += 1
        self._closed[node] = True
        fit = not self._is_hopeless_at_a_glance(node) and self._judge(node)
        if self._progress is not None:
            self._progress(int(self._closed.size - np.count_nonzero(self._open())), self._closed.size)
        return fit

    def _is_hopeless_at_a_glance(self, node: Levels) -> bool:
        """Say whether a quick look proves the node and all below it unfit, and rule them out if so."""
        if (
            not self._glances
            or self._zoom.fold(node).least_suppressed(node, self._guard.least_rows) <= self._limit + _ROW
        ):
            return False
        self._rule_out(node)
        return True

    def _rule_out(self, node: Levels) -> None:
        self._unfit[tuple(slice(0, level + 1) for level in node)] = True

    def _judge(self, node: Levels) -> bool:
        histogram = self._zoom.at(node)
        verdict = self._guard.judge(histogram, node, self._limit)
        hopeless = verdict.least_below > self._limit + _ROW
        if hopeless:
            self._rule_out(node)
        elif self._metric.needs_leaves:
            histogram = self._zoom.base
            verdict = self._guard.judge(histogram, node, self._limit)
        fit = not hopeless and self._offer(histogram, node, verdict)
        if not hopeless or self._metric.learns_above:
            self._metric.learn(self._lower, histogram, node, verdict)
            self._order = None
        return fit

    def _offer(self, histogram: Histogram, node: Levels, verdict: Verdict) -> bool:
        suppressed = verdict.suppressed
        if suppressed > self._limit:
            return False
        self._best.offer(self._metric.value(histogram, node, verdict), node, suppressed)
        return True

    def _open(self) -> Bools:
        result: Bools = self._lower < self._best.bar
        result &= ~self._closed
        result &= ~self._unfit
        return result

    def _probe_single_attributes(self) -> None:
        """Visit each attribute's levels with all others at the top.

        An unfit one removes whole slices of the lattice.
        """
        for axis, floor in enumerate(self._zoom.base.floor):
            for level in range(self._top[axis] - 1, floor - 1, -1):
                node = (*self._top[:axis], level, *self._top[axis + 1 :])
                if self._budget.is_spent(self._visited) or self._unfit[node] or not self._visit(node):
                    break
        self._rebase()

    def _rebase(self) -> None:
        """Merge the tuples that no open node tells apart: from then on each visit costs less."""
        candidates = self._open() & ~self._coarse
        histogram = self._zoom.base
        if len(histogram.rows) < _REBASE_OVER or not candidates.any():
            return
        axes = range(candidates.ndim)
        meet = tuple(
            int(np.flatnonzero(candidates.any(axis=tuple(other for other in axes if other != axis)))[0])
            for axis in axes
        )
        if any(level > floor for level, floor in zip(meet, histogram.floor, strict=True)):
            self._zoom = self._zoom_into(histogram.rebase(meet))

    def _descend(self) -> None:
        """Walk down from the top to a good first answer: always to the fit neighbour with the least lower bound."""
        node = self._top
        while not self._budget.is_spent(self._visited):
            lower = [
                (*node[:axis], node[axis] - 1, *node[axis + 1 :])
                for axis, floor in enumerate(self._zoom.base.floor)
                if node[axis] > floor
            ]
            ways = sorted((float(self._lower[way]), way) for way in lower if not self._unfit[way])
            for _, way in ways:
                if self._closed[way] or self._visit(way):
                    node = way
                    break
            else:
                return

    def _choose(self) -> Levels | None:
        """Return the open node to visit next: the one with the greatest lower bound, or None when none is open."""
        if self._order is None:
            candidates = np.flatnonzero(self._open() & ~self._coarse)
            bounds = self._lower.ravel()[candidates]
            # The last is taken first; of equal bounds the first in the order of levels.
            self._order = candidates[::-1][np.argsort(bounds[::-1], kind="stable")].tolist()
        closed, unfit, lower, bar = self._closed.ravel(), self._unfit.ravel(), self._lower.ravel(), self._best.bar
        while self._order:
            place = self._order.pop()
            if not closed[place] and not unfit[place] and lower[place] < bar:
                return tuple(int(level) for level in np.unravel_index(place, self._lower.shape))
        return None
