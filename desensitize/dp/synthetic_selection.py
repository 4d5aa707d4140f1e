"""Which marginals are measured: a spanning tree of pairs (MST), or one after the other where the model is worst (AIM).

Sources: McKenna, Miklau, Sheldon, "Winning the NIST contest: a scalable and general approach to differentially
private synthetic data" (2021), for MST; McKenna, Mullins, Sheldon, Miklau, "AIM: an adaptive and iterative mechanism
for differentially private synthetic data" (2022), for AIM. Unlike in the first, the choice of an edge counts the
noise of its measurement against it, as in the second.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from desensitize.dp.synthetic_estimation import Measurement, estimate, estimate_total
from desensitize.dp.synthetic_model import Clique, Floats, Model, count_cells, count_tree_cells, list_parts
from desensitize.dp.synthetic_noise import Budget, Counts

# Scores are whole numbers of this part of a row, so that one row changes them by no more than it should.
_GRID = 1024
_STEPS_BETWEEN = 100
_STEPS_AT_LAST = 1000
_CHOOSING = 0.1
_ROUNDS_PER_COLUMN = 16
# The mean of |x| for standard normal x: what noise adds to a sum of absolute differences, for each cell.
_MEAN_NOISE = math.sqrt(2 / math.pi)


@dataclass(frozen=True, slots=True)
class Task:
    """What a selection works on: sizes of the columns, their exact marginals, and the limits of the model.

    `degree` is how many columns a marginal has at most; `most_cells` how large the junction tree may become.
    """

    sizes: tuple[int, ...]
    count: Callable[[Clique], Counts]
    degree: int
    most_cells: int

    def count_most(self) -> int:
        """Return how many marginals either method measures at most."""
        return (_ROUNDS_PER_COLUMN + 1) * len(self.sizes) + 1


@dataclass(frozen=True, slots=True)
class Fit:
    """What was measured, in order, the model made of it, and the total number of rows that both start from."""

    measured: tuple[Measurement, ...]
    model: Model
    total: float


def score_misfit(counts: Counts, expected: Floats, noise: float) -> int:
    """Return how many rows the expected marginal is wrong by, less what noise would add, in 1,024ths of a row.

    The expected marginal is rounded to that grid first: it does not depend on the table, so one row more or less
    changes the score by at most one row, with no rounding.
    """
    grid = np.rint(expected * _GRID).astype(np.int64)
    return int(np.abs(counts * _GRID - grid).sum()) - round(noise * _GRID)


def run_mst(task: Task, budget: Budget) -> Fit:
    """Return the fit of all columns and of the pairs of one spanning tree.

    A third of the budget goes to the columns, a third to the pairs, and a third to the choice of the tree: noisily
    the pair that is furthest from independence first.
    """
    columns = len(task.sizes)
    whole = budget.left
    if columns == 1:
        return _finish(task, [_measure(task, budget, (0,), whole)])
    done = [_measure(task, budget, (column,), whole / 3 / columns) for column in range(columns)]
    tree = _choose_tree(task, budget, _finish(task, done), whole / 3)
    for number, pair in enumerate(tree):
        done.append(_measure(task, budget, pair, _part(budget.left, len(tree) - number)))
    return _finish(task, done)


def _choose_tree(task: Task, budget: Budget, fit: Fit, rho: float) -> list[Clique]:
    """Return the edges of a spanning forest whose pairs are far from the fit (Kruskal's algorithm, noisy choices)."""
    columns = len(task.sizes)
    noise = _MEAN_NOISE * budget.find_scale(rho / (columns - 1))
    pairs = [
        pair for pair in itertools.combinations(range(columns), 2) if count_cells(pair, task.sizes) <= task.most_cells
    ]
    scores = {pair: _score(task, fit, pair, noise) for pair in pairs}
    group = list(range(columns))
    chosen: list[Clique] = []
    while open_pairs := [pair for pair in pairs if group[pair[0]] != group[pair[1]]]:
        at = budget.choose(np.array([scores[pair] for pair in open_pairs]), _GRID, rho / (columns - 1))
        one, other = open_pairs[at]
        chosen.append((one, other))
        joined = group[other]
        group = [group[one] if each == joined else each for each in group]
    return chosen


def run_aim(task: Task, budget: Budget) -> Fit:
    """Return the fit of all columns and of marginals chosen one by one.

    Each time it is, noisily, the one that the model misses most, weighted by how much of the workload it helps.
    When a measurement teaches less than its noise, the next ones get four times its budget, so the number of rounds
    follows the table. The model may grow with the share of the budget that is spent.
    """
    whole = budget.left
    pace = _Pace(whole / (_ROUNDS_PER_COLUMN * len(task.sizes)))
    weights = _weigh_candidates(task)
    done = [_measure(task, budget, (column,), pace.measuring) for column in range(len(task.sizes))]
    fit = _finish(task, done, steps=_STEPS_BETWEEN)
    while not pace.last:
        pace = pace.check(budget.left)
        limit = task.most_cells * (1 - max(budget.left - pace.rho, 0) / whole)
        noise = _MEAN_NOISE * budget.find_scale(pace.measuring)
        fitting = _list_fitting(task, fit, weights, limit)
        scores = np.array([weights[clique] * _score(task, fit, clique, noise) for clique in fitting])
        largest = max(weights[clique] for clique in fitting)
        clique = fitting[budget.choose(scores, _GRID * largest, pace.choosing)]
        before = fit.model.project(clique) * fit.total
        done.append(_measure(task, budget, clique, pace.measuring))
        fit = _finish(task, done, fit.model, steps=_STEPS_AT_LAST if pace.last else _STEPS_BETWEEN)
        moved = float(np.abs(fit.model.project(clique) * fit.total - before).sum())
        if moved <= noise * count_cells(clique, task.sizes):
            pace = replace(pace, rho=4 * pace.rho)
    return fit


@dataclass(frozen=True, slots=True)
class _Pace:
    """What one round of AIM may cost, and whether it is the last one."""

    rho: float
    last: bool = False

    @property
    def measuring(self) -> float:
        return (1 - _CHOOSING) * self.rho

    @property
    def choosing(self) -> float:
        return _CHOOSING * self.rho

    def check(self, left: float) -> _Pace:
        """Return this pace, or all that is left if it would not do for two more rounds."""
        return self if left > 2 * self.rho else _Pace(_part(left, 1), last=True)


def _weigh_candidates(task: Task) -> dict[Clique, int]:
    """Return every marginal that could be measured, with the number of columns it shares with the workload's."""
    workload = list(itertools.combinations(range(len(task.sizes)), min(task.degree, len(task.sizes))))
    parts = sorted({part for wanted in workload for part in list_parts(wanted)})
    small = [part for part in parts if len(part) == 1 or count_cells(part, task.sizes) <= task.most_cells]
    return {part: sum(len(set(part) & set(wanted)) for wanted in workload) for part in small}


def _list_fitting(task: Task, fit: Fit, weights: dict[Clique, int], limit: float) -> list[Clique]:
    """Return the candidates with which the junction tree stays within the limit; those in it already always do."""
    measured = sorted({each.clique for each in fit.measured})
    found = []
    for clique in weights:
        inside = fit.model.tree.find_home(clique) >= 0
        if inside or (
            count_cells(clique, task.sizes) <= limit and count_tree_cells([*measured, clique], task.sizes) <= limit
        ):
            found.append(clique)
    return found


def _score(task: Task, fit: Fit, clique: Clique, noise: float) -> int:
    expected = fit.model.project(clique) * fit.total
    return score_misfit(task.count(clique), expected, noise * count_cells(clique, task.sizes))


def _measure(task: Task, budget: Budget, clique: Clique, rho: float) -> Measurement:
    noisy = budget.measure(task.count(clique), rho)
    return Measurement(clique, noisy.astype(np.float64), budget.find_scale(rho))


def _finish(
    task: Task, measured: Sequence[Measurement], start: Model | None = None, steps: int = _STEPS_AT_LAST
) -> Fit:
    total = estimate_total(measured)
    model = estimate(measured, task.sizes, total, None if start is None else start.potentials, steps)
    return Fit(tuple(measured), model, total)


def _part(rho: float, parts: int) -> float:
    """Return an equal part of what is left, a hair less, so that no rounding makes the last part too large."""
    return rho / parts * (1 - 1e-12)
