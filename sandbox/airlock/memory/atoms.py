"""Several populations cut into atoms: entities that no output among them tells apart.

Words: an *atom* is a set of entities with the same cells in each output, and where rows count the same number of rows
in each; its *weight* in a cell is what one of its entities adds to a count there. Whoever adds and subtracts the
outputs' figures works with the cells' weights, and can tell nothing of atoms but that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from scipy import sparse

from sandbox.airlock.memory.layers import Array, Layers

MOST_COLUMNS: Final = 400
MOST_FILLED: Final = 10_000_000
"""The most places of the matrix that are filled: a hundred bytes each while it is worked on."""


@dataclass(frozen=True, slots=True, eq=False)
class Atoms:
    """Atoms of several outputs: `sizes` in entities, `weights` (atoms by cells), and what the columns are.

    `outputs` is the number of each column's output, `cells` that of its cell there; `hidden` (atoms by cells) are the
    cells that outputs do not show.
    """

    sizes: Array
    weights: Any
    outputs: Array
    cells: Array
    hidden: Any


class Cutter:
    """Cuts the entities of a roll into atoms, by one output after the other."""

    def __init__(self, height: int, *, counted: bool) -> None:
        self._counted = counted
        self._taken: list[Layers] = []
        self._ids = np.zeros(height, dtype=np.int64)

    def add(self, layers: Layers, most: int | None = None, columns: int = MOST_COLUMNS) -> bool:
        """Cut by one more output, also by the cells that it hides; nothing is done and False said beyond the bounds.

        `most` bounds the atoms times the places that an output gives each, times all columns: what an analysis costs.
        The first output is always taken.
        """
        if self._taken and sum(one.count for one in (*self._taken, layers)) > columns:
            return False
        ids = self._ids
        for cells, rows in zip(layers.cells, layers.rows, strict=True):
            code = np.zeros(len(ids), dtype=np.int64)
            code[: layers.height] = cells
            width = layers.count + 1
            if self._counted:
                more = int(rows.max(initial=0)) + 1
                code[: layers.height] = code[: layers.height] * more + np.where(cells > 0, rows, 0)
                width *= more
            ids = _number(ids * width + code)
        taken = [*self._taken, layers]
        places, width = sum(len(one.cells) for one in taken), sum(one.count for one in taken)
        filled = (int(ids.max(initial=0)) + 1) * places
        if self._taken and most is not None and (filled > MOST_FILLED or filled * width > most):
            return False
        self._ids, self._taken = ids, taken
        return True

    @property
    def count(self) -> int:
        """The number of atoms so far, with the one of nobody."""
        return int(self._ids.max(initial=0)) + 1

    def atoms(self) -> Atoms:
        """Return the atoms of all outputs that were added; entities in no cell of any are no atom."""
        _, first, sizes = np.unique(self._ids, return_index=True, return_counts=True)
        shown, hidden = _Columns(len(first)), _Columns(len(first))
        for place, layers in enumerate(self._taken):
            flags = layers.shown()
            shown.open(place, np.flatnonzero(flags), layers.count)
            hidden.open(place, np.flatnonzero(~flags), layers.count)
            inside = np.flatnonzero(first < layers.height)
            for cells, rows in zip(layers.cells, layers.rows, strict=True):
                held = cells[first[inside]].astype(np.int64)
                weight = rows[first[inside]].astype(float) if self._counted else np.ones(len(inside))
                shown.fill(inside, held, weight)
                hidden.fill(inside, held, weight)
        weights, left_out = shown.matrix(), hidden.matrix()
        somebody: Array = np.flatnonzero(weights.getnnz(axis=1) + left_out.getnnz(axis=1))
        return Atoms(sizes[somebody], weights[somebody], shown.outputs(), shown.cells(), left_out[somebody])


class _Columns:
    """The places of a sparse matrix of atoms by cells, filled output by output."""

    def __init__(self, height: int) -> None:
        self._height = height
        self._outputs: list[Array] = []
        self._cells: list[Array] = []
        self._filled: list[tuple[Array, Array, Array]] = []
        self._column = np.zeros(0, dtype=np.int64)
        self._width = 0

    def open(self, output: int, cells: Array, count: int) -> None:
        """Begin the columns of an output's cells (from 0); those of its `count` cells that are not named have none."""
        self._column = np.full(count + 1, -1, dtype=np.int64)
        self._column[cells + 1] = np.arange(len(cells)) + self._width
        self._width += len(cells)
        self._outputs.append(np.full(len(cells), output))
        self._cells.append(cells)

    def fill(self, atoms: Array, held: Array, weight: Array) -> None:
        """Put the weights of atoms into the columns of the cells (from 1) that they lie in."""
        column = self._column[held]
        there = (column >= 0) & (held > 0) & (weight > 0)
        self._filled.append((weight[there], atoms[there], column[there]))

    def matrix(self) -> Any:
        """Return the matrix."""
        weight, row, column = (_concat(part) for part in zip(*self._filled, strict=True))
        shape = (self._height, self._width)
        return sparse.csr_matrix((weight, (row.astype(np.int64), column.astype(np.int64))), shape=shape)

    def outputs(self) -> Array:
        """Return the output of each column."""
        return _concat(self._outputs)

    def cells(self) -> Array:
        """Return the cell of each column, in its output."""
        return _concat(self._cells)


def _number(codes: Array) -> Array:
    """Return for each code its place among those that occur."""
    top = int(codes.max(initial=0)) + 1
    if top <= max(4 * len(codes), 1 << 16):
        place = np.cumsum(np.bincount(codes, minlength=top) > 0) - 1
        return np.asarray(place[codes])
    return np.asarray(np.unique(codes, return_inverse=True)[1])


def _concat(parts: Sequence[Array]) -> Array:
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)
