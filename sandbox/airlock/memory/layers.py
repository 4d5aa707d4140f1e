"""Populations as arrays over a roll: who is in which cell of an output, a byte or two for each entity.

Words: a *layer* says for each number of the roll the cell that the entity is in, plus one, or zero for none; an entity
in several cells has a place in as many layers. Beside each layer stand its *marks*: zero is no value.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

Array = npt.NDArray[Any]
DENSE: Final = 1 << 22
"""The most pairs of cells that are counted in a table of all pairs; beyond it only pairs that occur are."""
MODULUS: Final = 65_521
"""Marks are residues of this prime plus one, so that what an entity adds to two cells adds up."""
CLAIMS: Final = "claims"
MODELS: Final = "models"
PLAIN: Final = frozenset({"entities", CLAIMS, MODELS})


@dataclass(frozen=True, slots=True, eq=False)
class Members:
    """Who is in which cell: `entities` (keyed hashes), `cells` (from 0), `marks`, `rows`; each entity once a cell.

    `labels` has a row for each cell; `hidden` are the cells that the output does not show; `exact` is false where its
    figures were rounded.
    """

    entities: Array
    cells: Array
    marks: Array
    rows: Array
    labels: pl.DataFrame
    family: str
    hidden: frozenset[int] = frozenset()
    exact: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Layers:
    """An output's population: `cells[i][n]` is the cell (from 1) of entity n in layer i, `marks` what it adds there.

    `rows` is how many rows (with a value) that is made of. `count` is the number of cells; `hidden` are cells (from 0)
    that the output does not show. `family` is the figures' (population.py); rounded ones are not `exact`.
    """

    cells: tuple[Array, ...]
    marks: tuple[Array, ...]
    rows: tuple[Array, ...]
    count: int
    family: str
    hidden: frozenset[int] = frozenset()
    exact: bool = True

    @property
    def height(self) -> int:
        """How many numbers of the roll the arrays go over; entities beyond are in no cell."""
        return len(self.cells[0]) if self.cells else 0

    @property
    def single(self) -> bool:
        """Whether every entity is in one cell at most."""
        return len(self.cells) == 1

    @property
    def plain(self) -> bool:
        """Whether whoever is in a cell adds one and the same to it, so that marks tell nothing."""
        return self.family in PLAIN

    def sizes(self, *, valued: bool = False) -> Array:
        """Return the number of entities in each cell; with `valued` only those that have a value there."""
        total = np.zeros(self.count + 1, dtype=np.int64)
        for cells, marks in zip(self.cells, self.marks, strict=True):
            chosen = cells[marks > 0] if valued and not self.plain else cells
            total += np.bincount(chosen, minlength=self.count + 1)
        return total[1:]

    def totals(self, *, valued: bool = False) -> Array:
        """Return `sizes`, and after them how many entities the shown cells have together."""
        sizes = self.sizes(valued=valued)
        if self.single:
            return np.append(sizes, sizes[self.shown()].sum())
        shown = np.concatenate([[False], self.shown()])
        found = np.zeros(self.height, dtype=bool)
        for cells, marks in zip(self.cells, self.marks, strict=True):
            found |= shown[cells] & ((marks > 0) if valued else True)
        return np.append(sizes, found.sum())

    def shown(self) -> Array:
        """Return for each cell whether the output shows it."""
        shown = np.ones(self.count, dtype=bool)
        shown[list(self.hidden)] = False
        return shown

    def present(self) -> Array:
        """Return for each number of the roll whether its entity is in a cell that is shown."""
        shown = np.concatenate([[False], self.shown()])
        found = np.zeros(self.height, dtype=bool)
        for cells in self.cells:
            found |= shown[cells]
        return found

    def fingerprint(self) -> str:
        """Return the SHA-256 of family, cells and marks: equal for outputs about the same in the same order."""
        digest = hashlib.sha256(f"{self.family}\0{self.count}\0{sorted(self.hidden)}\0{self.exact}".encode())
        for array in (*self.cells, *self.marks, *self.rows):
            # The roll grows: what comes after the last entity says nothing.
            digest.update(np.trim_zeros(array, "b").astype(np.uint32).tobytes())
        return digest.hexdigest()


def make_layers(numbers: Array, members: Members) -> Layers:
    """Return the layers of an output's members, whose numbers in the roll are given beside them."""
    count = members.labels.height
    columns = (members.cells + 1, members.marks, members.rows)
    kinds = (np.min_scalar_type(count + 1), np.dtype(np.uint16), np.dtype(np.uint16))
    times = np.bincount(numbers)
    layers: tuple[list[Array], list[Array], list[Array]] = ([], [], [])
    for here in _ranks(numbers, members.cells, int(times.max(initial=1))):
        for found, column, kind in zip(layers, columns, kinds, strict=True):
            dense = np.zeros(len(times), dtype=kind)
            dense[numbers[here]] = column[here]
            found.append(dense)
    cells, marks, rows = (tuple(found) for found in layers)
    return Layers(cells, marks, rows, count, members.family, members.hidden, members.exact)


def _ranks(numbers: Array, cells: Array, most: int) -> Iterator[Any]:
    """Yield for each layer which pairs of number and cell stand in it: of each number the first, the second, ….

    Numbers that stand in one cell each need no order.
    """
    if most <= 1:
        yield slice(None)
        return
    order = np.lexsort((cells, numbers))
    begins = np.flatnonzero(np.diff(numbers[order], prepend=-1))
    rank = np.arange(len(order)) - np.repeat(begins, np.diff(begins, append=len(order)))
    for layer in range(most):
        yield order[rank == layer]
