"""Rows drawn from a model, with as little chance as possible.

For every value of the columns that a column depends on, its rows are shared out in the proportions of the model;
only what is left of a row is drawn, by systematic sampling, so each cell gets its expected number of rows rounded
up or down. Source: McKenna, Miklau, Sheldon, "Winning the NIST contest" (2021), section on synthetic data generation.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from desensitize.dp.synthetic_domain import Codes
from desensitize.dp.synthetic_model import Clique, Floats, Model, reduce_to

# Keeps `r + u` below r + 1 in floating point for every number of rows that fits in memory.
_BELOW_ONE = 1 - 1e-6


def draw(model: Model, rows: int, random: np.random.Generator) -> list[Codes]:
    """Return so many rows of the model, as one array of cells for each column."""
    drawn: dict[int, Codes] = {}
    for clique, beliefs in zip(model.tree.cliques, model.beliefs, strict=True):
        for column in clique:
            if column not in drawn:
                known = tuple(each for each in clique if each in drawn)
                shares = _arrange(beliefs, clique, known, column)
                drawn[column] = _share_out(_group(drawn, known, model, rows), shares, random)
    return [drawn[column] for column in range(len(model.tree.sizes))]


def _arrange(beliefs: Floats, clique: Clique, known: Clique, column: int) -> Floats:
    """Return the probabilities as a matrix: one row for each combination of the known columns."""
    target = tuple(sorted((*known, column)))
    joint = np.moveaxis(reduce_to(beliefs, clique, target), target.index(column), -1)
    return joint.reshape(-1, joint.shape[-1])


def _group(drawn: dict[int, Codes], known: Clique, model: Model, rows: int) -> npt.NDArray[np.int64]:
    groups = np.zeros(rows, np.int64)
    for column in known:
        groups = groups * model.tree.sizes[column] + drawn[column]
    return groups


def _share_out(groups: npt.NDArray[np.int64], shares: Floats, random: np.random.Generator) -> Codes:
    """Return a cell for each row: within each group as close to the group's shares as whole rows allow."""
    present, members, counts = np.unique(groups, return_inverse=True, return_counts=True)
    cells = round_shares(shares[present], counts, random)
    sorted_cells = np.repeat(np.tile(np.arange(shares.shape[1], dtype=np.int32), len(present)), cells.ravel())
    order = random.permutation(len(groups))
    order = order[np.argsort(members[order], kind="stable")]
    found = np.empty(len(groups), np.int32)
    found[order] = sorted_cells
    return found


def round_shares(shares: Floats, counts: npt.NDArray[np.int64], random: np.random.Generator) -> npt.NDArray[np.int64]:
    """Return whole rows for each cell: every line adds up to its count, every cell is its share rounded up or down.

    What is left after rounding down goes to cells by systematic sampling, so that expectations are exact.
    """
    whole = shares.sum(axis=1, keepdims=True)
    even = np.full(shares.shape, 1 / max(shares.shape[1], 1))
    expected = counts[:, None] * np.divide(shares, whole, out=even, where=whole > 0)
    floors = np.floor(expected)
    ends = np.cumsum(expected - floors, axis=1)
    ends[:, -1] = counts - floors.sum(axis=1)
    ends = np.minimum.accumulate(ends[:, ::-1], axis=1)[:, ::-1]
    steps = np.floor(ends + _BELOW_ONE * random.random((len(counts), 1)))
    extra = np.diff(steps, axis=1, prepend=0)
    cells: npt.NDArray[np.int64] = (floors + extra).astype(np.int64)
    return cells
