"""Which cells are left out so that no margin gives a primary cell back.

A pattern protects a primary cell when some table with the same margins has a figure `up` higher in it, another one
`down` lower, and both differ from the true table in left-out cells alone (and, where figures are rounded, within the
rounding). Small tables get the fewest cells by a mixed-integer program that holds all those tables at once (Fischetti
and Salazar, 2001); larger ones a pattern built by one linear program for each cell and direction (Kelly, Golden and
Assad, 1992), thinned afterwards. Both are bounded by counts, not by time, so that the same table is always repaired
in the same way. `bounds.protects` checks the answer; where it does not hold, there is none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from scipy import sparse
from scipy.optimize import Bounds, LinearConstraint, linprog, milp

from sandbox.airlock.repairs import bounds
from sandbox.airlock.repairs.grid import Figures, Flags, Grid, Measure

EXACT: Final = 1_000
NODES: Final = 300
PROGRAMS: Final = 600
_THINNED: Final = 300
_USED: Final = 1e-6

Ask = tuple[Measure, int, float]
"""A measure, a primary cell, and how much higher (or lower, when negative) some possible table has to be in it."""


@dataclass(frozen=True, slots=True)
class Suppression:
    """Which cells are left out (`hidden`), and which of these a rule blocks (`primary`).

    `gap` is how far their number may lie above the least possible, as a share: 0 is proved least, None not known.
    """

    primary: Flags
    hidden: Flags
    gap: float | None

    @property
    def secondary(self) -> int:
        """How many safe cells are left out."""
        return int((self.hidden & ~self.primary).sum())


def suppress(grid: Grid) -> Suppression | None:
    """Return the cells to leave out, or None where no choice that is found within the limits protects them."""
    primary = grid.primary.copy()
    if not primary.any():
        return Suppression(primary, primary, 0.0)
    asks = _asks(grid)
    if len(asks) > PROGRAMS:
        return None
    found = _fewest(grid, asks) if len(asks) * len(primary) <= EXACT else None
    if found is None:
        hidden = _one_by_one(grid, asks)
        found = None if hidden is None else (_thin(grid, hidden, len(asks)), None)
    if found is None or found[0].all() or not bounds.protects(grid, found[0]) or not _kept_apart(grid, found[0]):
        return None
    return Suppression(primary, *found)


def _asks(grid: Grid) -> list[Ask]:
    """Return what has to be possible, the most demanding first."""
    asks = []
    for measure in grid.measures:
        for cell in np.flatnonzero(grid.primary):
            asks += [(measure, int(cell), float(measure.up[cell])), (measure, int(cell), -float(measure.down[cell]))]
    return sorted((ask for ask in asks if ask[2]), key=lambda ask: (-abs(ask[2]), ask[1]))


def _costs(grid: Grid) -> Figures:
    """Return what it costs to leave each cell out: one, and a little more for the larger ones."""
    size = grid.measures[-1].size
    cost: Figures = 1.0 + size / (size.sum() + 1.0)
    return cost


# the fewest cells ----------------------------------------


def _fewest(grid: Grid, asks: list[Ask]) -> tuple[Flags, float | None] | None:
    """Return the cheapest pattern and its gap by one mixed-integer program, or None where none is found in time."""
    count = len(grid.primary)
    margins = grid.margins()
    lines = margins.shape[0]
    room = [_room(grid, *ask) for ask in asks]
    # First a switch for each cell, then, for each ask, how far each cell lies from its true figure.
    blocks: list[tuple[Any, Any, Any]] = []
    for place, (low, high, free_low, free_high) in enumerate(room):
        ahead, behind = place * count, (len(asks) - 1 - place) * count
        one = sparse.identity(count, format="csr")
        pad = [sparse.csr_matrix((count, ahead)), one, sparse.csr_matrix((count, behind))]
        blocks.append((sparse.hstack([sparse.diags(-(high - free_high)), *pad]), -np.inf, free_high))
        blocks.append((sparse.hstack([sparse.diags(low - free_low), *pad]), -free_low, np.inf))
        pad = [sparse.csr_matrix((lines, ahead)), margins, sparse.csr_matrix((lines, behind))]
        blocks.append((sparse.hstack([sparse.csr_matrix((lines, count)), *pad]), 0.0, 0.0))
    constraints = [LinearConstraint(sparse.csr_matrix(matrix), low, high) for matrix, low, high in blocks]
    if grid.measures[0].exact:
        constraints += _safe_beside(grid, len(asks))
    lower, upper = np.zeros(count), np.ones(count)
    lower[grid.primary], upper[grid.fixed] = 1.0, 0.0
    for ask, (low, high, _, _) in zip(asks, room, strict=True):
        down, top = -low, high.copy()
        down[ask[1]] = top[ask[1]] = ask[2]
        lower, upper = np.concatenate([lower, down]), np.concatenate([upper, top])
    whole = np.concatenate([np.ones(count), np.zeros(count * len(asks))])
    cost = np.concatenate([_costs(grid), np.zeros(count * len(asks))])
    solved = milp(
        cost, constraints=constraints, integrality=whole, bounds=Bounds(lower, upper), options={"node_limit": NODES}
    )
    if solved.x is None:
        return None
    gap = float(solved.mip_gap or 0.0)
    return solved.x[:count] > 0.5, gap if gap > _USED else 0.0


def _room(grid: Grid, measure: Measure, cell: int, wanted: float) -> tuple[Figures, Figures, Figures, Figures]:
    """Return how far each cell may fall and rise when it is left out, and how far when it is shown."""
    # No table that shows the ask needs a cell to move further than all of them together do here.
    most = abs(wanted) * max(4.0, len(grid.shape) * 2.0)
    low, high = np.minimum(measure.size, most), np.full(len(measure.size), most)
    free_low, free_high = np.minimum(measure.below, low), np.minimum(measure.above, high)
    for ends in (low, high, free_low, free_high):
        ends[grid.fixed] = 0.0
    if wanted < 0:
        low[cell] = max(low[cell], -wanted)
    return low, high, free_low, free_high


def _safe_beside(grid: Grid, asks: int) -> list[LinearConstraint]:
    """Ask that in each line with a primary cell a safe one is left out: no total may be of blocked cells alone."""
    margins = grid.margins()
    touched = np.flatnonzero(margins @ grid.primary.astype(float) > 0)
    count = len(grid.primary)
    safe = margins[touched] @ sparse.diags(grid.safe.astype(float))
    wide = sparse.hstack([safe, sparse.csr_matrix((len(touched), count * asks))])
    return [LinearConstraint(sparse.csr_matrix(wide), 1.0, np.inf)]


# one program after another ----------------------------------------


def _one_by_one(grid: Grid, asks: list[Ask]) -> Flags | None:
    """Return a pattern built ask by ask, each by the cheapest movement of cells; None where one is impossible."""
    hidden = grid.primary.copy()
    for ask in asks:
        # What was possible stays so when more is left out: one round is enough.
        moved = _cheapest(grid, ask, hidden, grid.near(ask[1], hidden))
        if moved is None:
            moved = _cheapest(grid, ask, hidden, ~grid.fixed)
        if moved is None:
            return None
        hidden |= moved
    added = _kept_together(grid, hidden)
    return None if added is None else hidden | added


def _cheapest(grid: Grid, ask: Ask, hidden: Flags, moving: Flags) -> Flags | None:
    """Return which shown cells have to move so that this ask is possible, at the least cost; only `moving` ones may."""
    measure, cell, wanted = ask
    moves = moving & ~grid.fixed
    margins = grid.margins()[:, moves].tocsr()
    margins = margins[np.flatnonzero(np.diff(margins.indptr))]
    gone, size = hidden[moves], measure.size[moves]
    count, place = len(size), int(moves[:cell].sum())
    free_low, free_high = np.where(gone, size, measure.below[moves]), np.where(gone, np.inf, measure.above[moves])
    over_low, over_high = np.where(gone, 0.0, size - measure.below[moves]), np.where(gone, 0.0, np.inf)
    upper = np.concatenate([free_high, over_high, free_low, over_low])
    lower = np.zeros(count * 4)
    up, down = place, 2 * count + place
    lower[up] = upper[up] = max(wanted, 0.0)
    lower[down] = upper[down] = max(-wanted, 0.0)
    cost = np.concatenate([np.zeros(count), _costs(grid)[moves], np.zeros(count), _costs(grid)[moves]])
    used = upper > 0
    signed = sparse.hstack([margins, margins, -margins, -margins], format="csc")[:, used]
    solved = linprog(
        cost[used], A_eq=signed, b_eq=np.zeros(margins.shape[0]), method="highs",
        bounds=np.column_stack([lower[used], upper[used]]),
    )  # fmt: skip
    if not solved.success:
        return None
    flow = np.zeros(count * 4)
    flow[used] = solved.x
    moved = np.zeros(len(hidden), dtype=bool)
    moved[moves] = (flow[count : 2 * count] > _USED) | (flow[3 * count :] > _USED)
    return moved


def _kept_together(grid: Grid, hidden: Flags) -> Flags | None:
    """Return the safe cells to add so that each line with a primary cell has one; None where a line has none."""
    added = np.zeros_like(hidden)
    if not grid.measures[0].exact:
        return added
    cost = _costs(grid)
    for numbers in grid.line_numbers():
        for line in np.unique(numbers[grid.primary]):
            inside = numbers == line
            if (inside & (hidden | added) & grid.safe).any():
                continue
            candidates = np.flatnonzero(inside & grid.safe)
            if not len(candidates):
                return None
            added[candidates[np.argmin(cost[candidates])]] = True
    return added


def _kept_apart(grid: Grid, hidden: Flags) -> bool:
    """Return whether no line's total is of blocked cells alone."""
    added = _kept_together(grid, hidden)
    return added is not None and not added.any()


def _thin(grid: Grid, hidden: Flags, asks: int) -> Flags:
    """Return the pattern without secondary cells that it does not need, the largest tried first."""
    cost = _costs(grid)
    secondary = sorted(np.flatnonzero(hidden & ~grid.primary), key=lambda cell: (-cost[cell], cell))
    for cell in secondary[: _THINNED // max(asks, 1)]:
        fewer = hidden.copy()
        fewer[cell] = False
        if _kept_apart(grid, fewer) and bounds.protects(grid, fewer):
            hidden = fewer
    return hidden
