"""The audit of what is left out: between which figures a reader who knows every margin can place each cell.

Two linear programs for each primary cell (HiGHS): its least and its largest figure over all tables that have the same
margins, no figure below zero, and show the same cells. What the choice of cells claims is checked here anew.
ASSUMPTION: of three groupings and more the bounds are those of fractions too; whole figures may lie a little closer.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy.optimize import linprog

from sandbox.airlock.repairs.grid import Figures, Flags, Grid, Measure

SLACK: Final = 1e-6


def feasible(
    grid: Grid, measure: Measure, hidden: Flags, cell: int, *, moving: Flags | None = None
) -> tuple[float, float] | None:
    """Return the least and largest figure possible for a hidden cell; None where the solver gives no answer.

    With `moving` all cells but these stay as they are: what is possible so is possible, and there may be more.
    """
    lower, upper = _known(grid, measure, hidden)
    # Who is known exactly does not move.
    moves = lower < upper if moving is None else (lower < upper) & moving
    margins = grid.margins()[:, moves]
    touched = np.flatnonzero(np.diff(margins.tocsr().indptr))
    margins = margins.tocsr()[touched]
    totals = margins @ measure.size[moves]
    aim = np.zeros(int(moves.sum()))
    place = int(moves[:cell].sum())
    found = []
    for sign in (1.0, -1.0):
        aim[place] = sign
        ends = np.column_stack([lower[moves], upper[moves]])
        solved = linprog(aim, A_eq=margins, b_eq=totals, bounds=ends, method="highs")
        if not solved.success:
            return None
        found.append(float(solved.x[place]))
    return found[0], found[1]


def protects(grid: Grid, hidden: Flags) -> bool:
    """Return whether every primary cell is hidden and stays as open as each measure asks; False where unsure."""
    if not hidden[grid.primary].all():
        return False
    cells = [int(cell) for cell in np.flatnonzero(grid.primary)]
    return all(_stays_open(grid, measure, hidden, cell) for measure in grid.measures for cell in cells)


def _stays_open(grid: Grid, measure: Measure, hidden: Flags, cell: int) -> bool:
    scale = SLACK * max(1.0, measure.size[cell])
    least, most = measure.size[cell] - measure.down[cell] + scale, measure.size[cell] + measure.up[cell] - scale
    # Where figures are rounded every cell may move; a few around this one are often enough.
    parts = [None] if measure.exact else [grid.near(cell, hidden), None]
    for moving in parts:
        found = feasible(grid, measure, hidden, cell, moving=moving)
        if found is not None and found[0] <= least and found[1] >= most:
            return True
    return False


def _known(grid: Grid, measure: Measure, hidden: Flags) -> tuple[Figures, Figures]:
    """Return what a reader takes as the ends of each cell before he looks at margins."""
    lower = np.where(hidden, 0.0, np.maximum(measure.size - measure.below, 0.0))
    upper = np.where(hidden, np.inf, measure.size + measure.above)
    lower[grid.fixed], upper[grid.fixed] = 0.0, 0.0
    return lower, upper
