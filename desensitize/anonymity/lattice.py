"""Optimal full-domain generalization.

The node of the lattice that loses least and still keeps every class large enough.

Words: a *node* gives each attribute a level; it is *above* another when no level is lower; a class smaller than k
is *suppressed*, and a node is *fit* when the suppressed rows stay within the limit. Two facts make the search exact
without visiting every node. Suppression only shrinks on the way up, so below an unfit node nothing is fit. And a
node loses at least what its levels alone lose, plus what the rows suppressed at any node above it lose: every visit
raises the lower bound of all that lies below.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from desensitize.anonymity.histogram import Floats, Histogram, Ints, Levels, distinct
from desensitize.errors import InvalidInput

MAX_NODES = 4_000_000
_TOLERANCE = 1e-12
_REBASE_OVER = 2_000


@dataclass(frozen=True, slots=True)
class Outcome:
    """The best node found: its levels, loss, suppressed rows.

    Whether it is proved best, how far off it may be, and the nodes visited.
    """

    levels: Levels
    loss: float
    suppressed: int
    optimal: bool
    gap: float
    visited: int


class LossMetric:
    """ARX's Loss with the geometric mean.

    Per attribute the share of the domain that its values cover, a suppressed row covering all.

    With N rows and domain size d: `x = sum(share) + suppressed`, `(x - N/d) / (N - N/d)`, and over m attributes
    `prod((1+x)^(1/m)) - 1`.
    """

    name = "loss"

    def __init__(self, histogram: Histogram) -> None:
        self._histogram = histogram
        rows = histogram.rows
        self._total = histogram.total_rows
        self._base = [
            np.array([float(rows @ share[leaf]) for share in attribute.shares])
            for attribute, leaf in zip(histogram.attributes, histogram.leaf, strict=True)
        ]

    def suppressed_cost(self, suppressed: Ints) -> list[Floats]:
        """Return, per attribute and level, what suppressing these tuples adds to the sum of shares."""
        rows = self._histogram.rows[suppressed]
        return [
            np.array([float(rows @ (1.0 - share[leaf[suppressed]])) for share in attribute.shares])
            for attribute, leaf in zip(self._histogram.attributes, self._histogram.leaf, strict=True)
        ]

    def bounds(self, cost: list[Floats] | None, top: Levels) -> Floats:
        """Return the losses of all nodes at or below `top` if exactly this cost of suppression is paid.

        A table, one axis per attribute.
        """
        log = np.zeros(())
        for position, attribute in enumerate(self._histogram.attributes):
            levels = slice(0, top[position] + 1)
            covered = self._base[position][levels] + (0.0 if cost is None else cost[position][levels])
            least = self._total / len(attribute.leaves)
            span = self._total - least
            share = (covered - least) / span if span > 0 else np.zeros_like(covered)
            log = np.add.outer(log, np.log1p(np.maximum(share, 0.0)))
        result: Floats = np.expm1(log / max(1, len(self._histogram.attributes)))
        return result


def suppressed_tuples(histogram: Histogram, levels: Levels, k: int) -> Ints:
    """Return the positions of the tuples whose class, at these levels, holds fewer than k distinct entities."""
    key, space = histogram.classes(levels)
    single = np.bincount(key, histogram.singles, space)
    small = single < k
    if len(histogram.pair_tuple):
        small &= ~_reaches(histogram, key, space, single, small, k)
    return np.flatnonzero(small[key])


def _reaches(
    histogram: Histogram, key: Ints, space: int, single: npt.NDArray[Any], small: npt.NDArray[np.bool_], k: int
) -> npt.NDArray[np.bool_]:
    """Say which of the `small` classes reach k once their other entities are counted, each once a class."""
    owner = key[histogram.pair_tuple]
    most = single + np.bincount(owner, minlength=space)
    # Each entity's pairs weigh one together, so their weight in a class never exceeds the entities in it.
    least = single + np.bincount(owner, histogram.pair_share, space) - _TOLERANCE * len(owner)
    sure: npt.NDArray[np.bool_] = small & (least > k - 1)
    unsure = small & ~sure & (most >= k)
    chosen = unsure[owner]
    entities = int(histogram.pair_entity.max()) + 1
    members = distinct(owner[chosen] * entities + histogram.pair_entity[chosen]) // entities
    result: npt.NDArray[np.bool_] = sure | (unsure & (single + np.bincount(members, minlength=space) >= k))
    return result


def count_entities(histogram: Histogram, member: Ints, classes: int) -> Ints:
    """Return how many distinct entities each class holds; `member` is the class of every tuple."""
    single = np.bincount(member, histogram.singles, classes).astype(np.int64)
    entities = int(histogram.pair_entity.max(initial=0)) + 1
    members = distinct(member[histogram.pair_tuple] * entities + histogram.pair_entity) // entities
    result: Ints = single + np.bincount(members, minlength=classes)
    return result


class Search:
    """One search; `run` returns its `Outcome`.

    `progress` hears (nodes decided, nodes in the lattice) after each visit.
    """

    def __init__(
        self,
        histogram: Histogram,
        k: int,
        limit: int,
        max_visits: int | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        self._shape = tuple(attribute.height for attribute in histogram.attributes)
        nodes = int(np.prod([float(height) for height in self._shape]))
        if nodes > MAX_NODES:
            raise InvalidInput(
                f"the lattice has {nodes} nodes and at most {MAX_NODES} can be searched: "
                "give fewer quasi-identifiers or levels"
            )
        self._k, self._limit, self._max_visits, self._progress = k, limit, max_visits, progress
        self._use(histogram)
        top = tuple(height - 1 for height in self._shape)
        self._lower = np.asarray(self._metric.bounds(None, top)).reshape(self._shape)
        self._decided = np.zeros(self._shape, bool)
        self._unfit = np.zeros(self._shape, bool)
        self._best: tuple[float, Levels, int] | None = None
        self._visited = 0
        self._top = top

    def _use(self, histogram: Histogram) -> None:
        self._histogram = histogram
        self._metric = LossMetric(histogram)

    def run(self) -> Outcome:
        """Return the least lossy fit node, or after `max_visits` the best so far.

        Refuses when even the top node is unfit.
        """
        if not self._visit(self._top):
            raise InvalidInput(
                f"the table has too few distinct entities: not even full generalization makes classes of {self._k} "
                "within the suppression limit"
            )
        self._probe_single_attributes()
        self._descend()
        while not self._spent() and (node := self._choose()) is not None:
            self._visit(node)
        assert self._best is not None
        loss, levels, suppressed = self._best
        left = self._lower[self._open()]
        gap = loss - float(left.min()) if left.size else 0.0
        return Outcome(levels, loss, suppressed, optimal=not left.size, gap=gap, visited=self._visited)

    def _visit(self, node: Levels) -> bool:
        self._visited += 1
        suppressed = suppressed_tuples(self._histogram, node, self._k)
        rows = int(self._histogram.rows[suppressed].sum())
        below = tuple(slice(0, level + 1) for level in node)
        fit = rows <= self._limit
        if fit:
            table = np.asarray(self._metric.bounds(self._metric.suppressed_cost(suppressed), node))
            loss = float(table[node]) if table.shape else float(table)
            np.maximum(self._lower[below], table, out=self._lower[below])
            if self._best is None or (loss, node) < self._best[:2]:
                self._best = (loss, node, rows)
        else:
            self._unfit[below] = True
        self._decided[node] = True
        if self._progress is not None:
            self._progress(int(self._decided.size - np.count_nonzero(self._open())), self._decided.size)
        return fit

    def _spent(self) -> bool:
        return self._max_visits is not None and self._visited >= self._max_visits

    def _open(self) -> npt.NDArray[np.bool_]:
        bound = np.inf if self._best is None else self._best[0] - _TOLERANCE
        return ~self._decided & ~self._unfit & (self._lower < bound)

    def _probe_single_attributes(self) -> None:
        """Visit each attribute's levels with all others at the top.

        An unfit one removes whole slices of the lattice.
        """
        for axis in range(len(self._shape)):
            for level in range(self._shape[axis] - 2, -1, -1):
                node = (*self._top[:axis], level, *self._top[axis + 1 :])
                if self._spent() or self._unfit[node] or not self._visit(node):
                    break
        self._rebase()

    def _rebase(self) -> None:
        """Merge the tuples that no open node tells apart: from then on each visit costs less."""
        candidates = self._open()
        if len(self._histogram.rows) < _REBASE_OVER or not candidates.any():
            return
        axes = range(len(self._shape))
        meet = tuple(
            int(np.flatnonzero(candidates.any(axis=tuple(other for other in axes if other != axis)))[0])
            for axis in axes
        )
        if any(meet):
            self._use(self._histogram.rebase(meet))

    def _descend(self) -> None:
        """Walk down from the top to a good first answer: always to the fit neighbour with the least lower bound."""
        node = self._top
        while not self._spent():
            lower = [(*node[:axis], node[axis] - 1, *node[axis + 1 :]) for axis in range(len(node)) if node[axis] > 0]
            ways = sorted((float(self._lower[way]), way) for way in lower if not self._unfit[way])
            for _, way in ways:
                if self._decided[way] or self._visit(way):
                    node = way
                    break
            else:
                return

    def _choose(self) -> Levels | None:
        """Return the open node to visit next: the one with the greatest lower bound, or None when none is open."""
        candidates = self._open()
        if not candidates.any():
            return None
        position = int(np.argmax(np.where(candidates, self._lower, -1.0)))
        return tuple(int(level) for level in np.unravel_index(position, self._shape))
