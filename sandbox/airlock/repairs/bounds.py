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


def feasible(grid: Grid, measure: Measure, hidden: Flags, cell: int) -> tuple[float, float] | None:
    """Return the least and largest figure possible for a hidden cell; None where the solver gives no answer."""
    lower, upper = _known(grid, measure, hidden)
    margins = grid.margins()
    totals = margins @ measure.size
    # Cells in no line with a hidden or rounded one have no room; the solver's presolve drops them.
    aim = np.zeros(len(measure.size))
    found = []
    for sign in (1.0, -1.0):
        aim[cell] = sign
        solved = linprog(aim, A_eq=margins, b_eq=totals, bounds=np.column_stack([lower, upper]), method="highs")
        if not solved.success:
            return None
        found.append(float(solved.x[cell]))
    return found[0], found[1]


def protects(grid: Grid, hidden: Flags) -> bool:
    """Return whether every primary cell is hidden and stays as open as each measure asks; False where unsure."""
    if not hidden[grid.primary].all():
        return False
    for measure in grid.measures:
        for cell in np.flatnonzero(grid.primary):
            found = feasible(grid, measure, hidden, int(cell))
            if found is None:
                return False
            scale = SLACK * max(1.0, measure.size[cell])
            if found[0] > measure.size[cell] - measure.down[cell] + scale:
                return False
            if found[1] < measure.size[cell] + measure.up[cell] - scale:
                return False
    return True


def _known(grid: Grid, measure: Measure, hidden: Flags) -> tuple[Figures, Figures]:
    """Return what a reader takes as the ends of each cell before he looks at margins."""
    lower = np.where(hidden, 0.0, np.maximum(measure.size - measure.below, 0.0))
    upper = np.where(hidden, np.inf, measure.size + measure.above)
    lower[grid.fixed], upper[grid.fixed] = 0.0, 0.0
    return lower, upper
