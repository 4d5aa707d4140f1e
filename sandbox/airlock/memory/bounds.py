"""How closely a small group that no output shows can be told from the counts around it.

Whoever knows how many entities the shown cells have knows that each atom has a whole number of them, not below zero,
and that the atoms of a cell add up to it. The least and the largest number that an atom, or a hidden cell, can have
under that are two integer programmes; where fewer than `limit` numbers are possible, the group is as good as told.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from scipy import optimize, sparse

from sandbox.airlock.memory.atoms import Atoms
from sandbox.airlock.memory.layers import Array

MOST_ATOMS: Final = 2_000
MOST_GROUPS: Final = 60
SECONDS: Final = 20.0
PLENTY: Final = 1e9


@dataclass(frozen=True, slots=True)
class Told:
    """A small group that is as good as told: the number of its possible sizes, and the hidden cell (column), if one."""

    possible: int
    hidden: int | None


@dataclass(frozen=True, slots=True)
class Bounded:
    """Groups that are as good as told; `sure` is false where there were too many atoms, or the time ran out."""

    told: tuple[Told, ...]
    sure: bool


def find_told(atoms: Atoms, counted: Array, limit: int, *, seconds: float = SECONDS) -> Bounded:
    """Return the hidden cells and atoms below `limit` entities of which fewer than `limit` sizes are possible.

    `counted` are the columns whose figures say how many. Hidden cells come first, then the smallest atoms; at most
    `MOST_GROUPS` of them are tried.
    """
    height = len(atoms.sizes)
    if height == 0 or len(counted) == 0:
        return Bounded((), sure=True)
    if height > MOST_ATOMS:
        return Bounded((), sure=False)
    groups = _groups(atoms, limit)
    matrix = (atoms.weights[:, counted] > 0).astype(float).T.tocsr()
    published = matrix @ atoms.sizes.astype(float)
    told: list[Told] = []
    until = time.monotonic() + seconds
    for hidden, group in groups[:MOST_GROUPS]:
        left = until - time.monotonic()
        possible = _possible(matrix, published, group, left) if left > 0 else None
        if possible is None:
            return Bounded(tuple(told), sure=False)
        if possible < limit:
            told.append(Told(possible, hidden))
    return Bounded(tuple(told), sure=True)


def _groups(atoms: Atoms, limit: int) -> list[tuple[int | None, Array]]:
    """Return the groups to try: for each its hidden column, if it is one, and which atoms it has."""
    found: list[tuple[int | None, Array]] = []
    hidden = atoms.hidden.tocsc()
    for column in range(hidden.shape[1]):
        inside = hidden.indices[hidden.indptr[column] : hidden.indptr[column + 1]]
        if 0 < atoms.sizes[inside].sum() < limit:
            found.append((column, inside))
    small = np.flatnonzero(atoms.sizes < limit)
    # In two cells or more: an atom that is a whole cell is no more than what the output shows.
    crossed = small[np.asarray(atoms.weights[small].getnnz(axis=1)) > 1]
    order = crossed[np.argsort(atoms.sizes[crossed], kind="stable")]
    return [*found, *((None, np.array([atom])) for atom in order)]


def _possible(matrix: Any, published: Array, group: Array, seconds: float) -> int | None:
    """Return how many sizes a group can have, or None where the programme was not solved in time."""
    goal = np.zeros(matrix.shape[1])
    goal[group] = 1
    ends = []
    for sign in (1, -1):
        answer = optimize.milp(
            sign * goal, integrality=np.ones(len(goal)), bounds=optimize.Bounds(0, PLENTY),
            constraints=optimize.LinearConstraint(sparse.csc_matrix(matrix), published, published),
            options={"time_limit": max(seconds / 2, 0.1)},
        )  # fmt: skip
        if answer.status != 0:
            return None
        ends.append(round(sign * answer.fun))
    return int(ends[1] - ends[0]) + 1
