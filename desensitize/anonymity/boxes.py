"""The same search for lattices too large for a table of their nodes: branch and bound over boxes of nodes.

Words: a *box* is all nodes between a lowest and a highest one. Nothing in a box is fit if too much is suppressed at
the least below its highest node, and none costs less than its lowest node would with only what is surely suppressed
at the highest one (`metrics`). The box with the least bound is halved first, so whenever the search ends, the least
bound of the boxes left bounds how much better than the best found node any other can be.
"""

from __future__ import annotations

import heapq

import numpy as np

from desensitize.anonymity.guard import Guard, Verdict
from desensitize.anonymity.histogram import Histogram, Levels
from desensitize.anonymity.lattice import Best, Budget, Outcome, Progress
from desensitize.anonymity.metrics import Metric, make_metric

_ROW = 1e-6
_REMEMBERED = 4_096


class BoxSearch:
    """One search; `run` returns its `Outcome`.

    `progress` hears (visits done, boxes left) after each step.
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
        self._histogram, self._guard, self._limit = histogram, guard, limit
        self._metric: Metric = make_metric(metric, histogram, limit, guard.least_rows)
        self._budget, self._progress = budget, progress
        self._top = tuple(attribute.height - 1 for attribute in histogram.attributes)
        self._best = Best()
        self._visited = 0
        self._known: dict[Levels, Verdict] = {}

    def run(self) -> Outcome:
        """Return the cheapest fit node, or when the budget is spent the best so far.

        Refuses when no node is fit.
        """
        self._visit(self._top)
        self._descend()
        bottom = (0,) * len(self._top)
        boxes: list[tuple[float, Levels, Levels]] = []
        unread = self._push(boxes, bottom, self._top)
        while boxes and boxes[0][0] < self._best.bar and not self._budget.is_spent(self._visited):
            _, low, high = heapq.heappop(boxes)
            if low == high:
                continue
            axis, cut = self._cut(low, high)
            unread = min(unread, self._push(boxes, low, (*high[:axis], cut, *high[axis + 1 :])))
            unread = min(unread, self._push(boxes, (*low[:axis], cut + 1, *low[axis + 1 :]), high))
            if self._progress is not None:
                self._progress(self._visited, self._visited + len(boxes))
        left = min(unread, boxes[0][0] if boxes else np.inf)
        return self._best.outcome(left if left < self._best.bar else None, self._visited)

    def _push(self, boxes: list[tuple[float, Levels, Levels]], low: Levels, high: Levels) -> float:
        """Keep a box that may hold something better; return its bound if it lies below what was read, else infinity."""
        if any(level < floor for level, floor in zip(high, self._histogram.floor, strict=True)):
            bound = self._metric.bound_box(self._histogram, low, high, None)
            return bound if bound < self._best.bar else np.inf
        verdict = self._visit(high)
        if verdict.least_below <= self._limit + _ROW:
            bound = self._metric.bound_box(self._histogram, low, high, verdict)
            if bound < self._best.bar:
                heapq.heappush(boxes, (bound, low, high))
        return np.inf

    def _visit(self, node: Levels) -> Verdict:
        if node in self._known:
            return self._known[node]
        self._visited += 1
        verdict = self._guard.judge(self._histogram, node, self._limit)
        if verdict.suppressed <= self._limit:
            value = self._metric.value(self._histogram, node, verdict)
            self._best.offer(value, node, verdict.suppressed)
        if len(self._known) >= _REMEMBERED:
            self._known.pop(next(iter(self._known)))
        self._known[node] = verdict
        return verdict

    def _cut(self, low: Levels, high: Levels) -> tuple[int, int]:
        """Return the attribute whose levels differ most in cost between low and high, and the level to cut after."""
        floor = self._histogram.floor
        for axis, level in enumerate(floor):
            if low[axis] < level <= high[axis]:
                return axis, level - 1
        base = self._metric.bound_box(self._histogram, low, high, None)
        gains = [
            -1.0
            if low[axis] == high[axis]
            else self._metric.bound_box(self._histogram, (*low[:axis], high[axis], *low[axis + 1 :]), high, None) - base
            for axis in range(len(low))
        ]
        axis = int(np.argmax(gains))
        return axis, (low[axis] + high[axis]) // 2

    def _descend(self) -> None:
        """Walk down from the top to a good first answer: always to the cheapest fit neighbour."""
        node = self._top
        while True:
            ways = []
            for axis, floor in enumerate(self._histogram.floor):
                if node[axis] == floor or self._budget.is_spent(self._visited):
                    continue
                way = (*node[:axis], node[axis] - 1, *node[axis + 1 :])
                verdict = self._visit(way)
                if verdict.suppressed <= self._limit:
                    ways.append((self._metric.value(self._histogram, way, verdict), way))
            if not ways:
                return
            node = min(ways)[1]
