"""How two populations lie to each other: for each pair of cells the number of entities by which they differ.

Between figures of one family an entity counts as different when it has a value in one cell and not in the other, or
adds something else to the one than to the other (another number of rows, another sum): that is what subtracting shows.
Between figures of two families only who is in the cell counts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sandbox.airlock.memory.layers import DENSE, MODULUS, Array, Layers


@dataclass(frozen=True, slots=True, eq=False)
class Overlap:
    """Pairs of cells (from 0; `first` is of the new output) that share entities, and by how many entities they differ.

    Cells that share nobody differ by all that they hold, and are left out. A cell equal to the number of cells stands
    for everybody whom the output shows. `likeness` is the largest share of common entities in a pair.
    """

    first: Array
    second: Array
    differ: Array
    likeness: float


@dataclass(frozen=True, slots=True, eq=False)
class _Met:
    """Which cells (from 0) meet, how many entities are in both, and how many of those add the same to both."""

    first: Array
    second: Array
    both: Array
    same: Array


def compare(one: Layers, two: Layers) -> Overlap:
    """Return how the shown cells of two populations, and all of them together, lie to each other."""
    marked = one.family == two.family and not one.plain
    valued = one.family == two.family
    met = _count(one, two, valued=valued, marked=marked)
    shown = one.shown()[met.first] & two.shown()[met.second]
    met = _Met(met.first[shown], met.second[shown], met.both[shown], met.same[shown])
    likeness, parts = 0.0, [met]
    if one.single and two.single:
        parts += _margins(one, two, met)
    else:
        flat, other = _flat(one), _flat(two)
        for left, right in ((flat, other), (flat, two), (one, other)):
            whole = _count(left, right, valued=valued, marked=marked)
            keep = left.shown()[whole.first] & right.shown()[whole.second]
            first = np.where(left is flat, one.count, whole.first)[keep]
            second = np.where(right is other, two.count, whole.second)[keep]
            parts.append(_Met(first, second, whole.both[keep], whole.same[keep]))
    sizes, others = one.totals(valued=valued), two.totals(valued=valued)
    first, second = (np.concatenate([getattr(part, name) for part in parts]) for name in ("first", "second"))
    both, same = (np.concatenate([getattr(part, name) for part in parts]) for name in ("both", "same"))
    union = sizes[first] + others[second] - both
    cells = (first < one.count) & (second < two.count)
    likeness = float((both / np.maximum(union, 1))[cells].max(initial=0.0))
    return Overlap(first, second, union - same, likeness)


def _count(one: Layers, two: Layers, *, valued: bool, marked: bool) -> _Met:
    """Return which cells meet; with `valued` only entities that have a value count, with `marked` marks are told."""
    width = two.count + 1
    size = (one.count + 1) * width
    tally, agree = _Tally(size), _Tally(size)
    height = min(one.height, two.height)
    for cells, marks in zip(one.cells, one.marks, strict=True):
        begin = np.multiply(cells[:height], width, dtype=np.intp)
        for others, other_marks in zip(two.cells, two.marks, strict=True):
            code = begin + others[:height]
            if valued and not (one.plain and two.plain):
                code = np.where((marks[:height] > 0) & (other_marks[:height] > 0), code, 0)
            tally.add(code)
            if marked:
                agree.add(code[marks[:height] == other_marks[:height]])
    code, both = tally.result()
    keep = (code >= width) & (code % width > 0)
    code, both = code[keep], both[keep]
    return _Met(code // width - 1, code % width - 1, both, agree.at(code) if marked else both)


class _Tally:
    """Counts codes below a size: in a table where that is small, by sorting where it is not."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._table = np.zeros(size if size <= DENSE else 0, dtype=np.int64)
        self._seen: list[Array] = []

    def add(self, codes: Array) -> None:
        """Count these."""
        if self._size <= DENSE:
            self._table += np.bincount(codes, minlength=self._size)
        else:
            self._seen.append(codes)

    def result(self) -> tuple[Array, Array]:
        """Return the codes that were seen, in order, and how often."""
        if self._size <= DENSE:
            codes = np.flatnonzero(self._table)
            return codes, self._table[codes]
        return np.unique(np.concatenate(self._seen), return_counts=True)

    def at(self, codes: Array) -> Array:
        """Return how often each of these was seen."""
        seen, counts = self.result()
        if len(seen) == 0:
            return np.zeros(len(codes), dtype=np.int64)
        place = np.minimum(np.searchsorted(seen, codes), len(seen) - 1)
        return np.where(seen[place] == codes, counts[place], 0)


def _margins(one: Layers, two: Layers, met: _Met) -> list[_Met]:
    """Return how everybody in the one lies to everybody in the other and to its cells, summed from the cells.

    Right where nobody is in two cells of an output: then what an entity adds to its cell is what it adds to the whole.
    """
    found = []
    rows = [np.bincount(met.first, part, one.count).astype(np.int64) for part in (met.both, met.same)]
    columns = [np.bincount(met.second, part, two.count).astype(np.int64) for part in (met.both, met.same)]
    if two.count > 1:
        first = np.flatnonzero(rows[0])
        found.append(_Met(first, np.full(len(first), two.count), rows[0][first], rows[1][first]))
    if one.count > 1:
        second = np.flatnonzero(columns[0])
        found.append(_Met(np.full(len(second), one.count), second, columns[0][second], columns[1][second]))
    whole = np.array([met.both.sum()])
    if whole[0]:
        found.append(_Met(np.array([one.count]), np.array([two.count]), whole, np.array([met.same.sum()])))
    return found


def _flat(layers: Layers) -> Layers:
    """Return the population as one cell that holds everybody who is shown."""
    shown = np.concatenate([[False], layers.shown()])
    added, valued = np.zeros(layers.height, dtype=np.uint32), np.zeros(layers.height, dtype=bool)
    for cells, marks in zip(layers.cells, layers.marks, strict=True):
        there = shown[cells] & (marks > 0)
        added[there] += marks[there] - np.uint16(1)
        valued |= there
    marks = np.where(valued, added % MODULUS + 1, 0).astype(np.uint16)
    present = layers.present()
    return Layers((present.astype(np.uint8),), (marks,), (valued.astype(np.uint16),), 1, layers.family)
