"""The cells of a table as a grid of numbers with its lines: what repairs reckon with."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy import sparse

from sandbox.airlock.disclosure import Report
from sandbox.airlock.rules import Rules
from sandbox.airlock.specification import Aggregate, Repair, TableSpecification
from shuzha.core.errors import Invalid

RULE: Final = "airlock.repair"
MAX_CELLS: Final = 4_000
MIDPOINT: Final = 6
NEAR: Final = 10

Flags = npt.NDArray[np.bool_]
Figures = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Measure:
    """One additive figure of every cell, and how unsure of it a reader has to be.

    `size` is the figure; a reader who knows every margin must find `size + up` and `size - down` possible for a primary
    cell. `below` and `above` say how far the true figure may lie from the one that is shown.
    """

    size: Figures
    up: Figures
    down: Figures
    below: Figures
    above: Figures

    @property
    def exact(self) -> bool:
        """Whether cells are shown just as they are."""
        return not (self.below.any() or self.above.any())


@dataclass(frozen=True, slots=True)
class Grid:
    """A table's cells in the order of its report: `shape` counts the labels of each grouping.

    `primary` are blocked; `fixed` are declared empty, so that everybody knows them; all others are safe.
    """

    shape: tuple[int, ...]
    primary: Flags
    fixed: Flags
    measures: tuple[Measure, ...]

    @property
    def safe(self) -> Flags:
        """The cells that may be left out to protect others."""
        return ~(self.primary | self.fixed)

    def line_numbers(self) -> tuple[npt.NDArray[np.int64], ...]:
        """Return for each grouping the number of the line that each cell is in along it."""
        return _line_numbers(self.shape)

    def margins(self) -> sparse.csc_matrix:
        """Return the matrix that adds cells up to margins: a row for each line, a column for each cell."""
        return _margins(self.shape)

    def near(self, cell: int, hidden: Flags) -> Flags:
        """Return a small part of the grid around a cell: some labels of each grouping, the cheapest to leave out first.

        In it are the cell, what is hidden in its lines already, and every cell where such labels meet.
        """
        size = self.measures[0].size.reshape(self.shape)
        gone, fixed = hidden.reshape(self.shape), self.fixed.reshape(self.shape)
        place = np.unravel_index(cell, self.shape)
        inside = np.ones(self.shape, dtype=bool)
        for axis, own in enumerate(place):
            line = tuple(slice(None) if other == axis else at for other, at in enumerate(place))
            wanted = np.where(fixed[line], np.inf, np.where(gone[line], -1.0, size[line]))
            # A cell much smaller than this one can give little: it is taken after those that can.
            wanted = np.where((wanted >= 0) & (wanted < size[place]), np.inf, wanted)
            labels = np.zeros(self.shape[axis], dtype=bool)
            labels[np.argsort(wanted, kind="stable")[:NEAR]] = True
            labels[own] = True
            inside &= labels.reshape([-1 if other == axis else 1 for other in range(len(self.shape))])
        found: Flags = inside.reshape(-1)
        return found


@lru_cache(maxsize=16)
def _line_numbers(shape: tuple[int, ...]) -> tuple[npt.NDArray[np.int64], ...]:
    count = int(np.prod(shape))
    found, start = [], 0
    for axis in range(len(shape)):
        rest = [1 if place == axis else size for place, size in enumerate(shape)]
        lines = int(np.prod(rest))
        numbers = np.arange(lines, dtype=np.int64).reshape(rest) + start
        found.append(np.broadcast_to(numbers, shape).reshape(count))
        start += lines
    return tuple(found)


@lru_cache(maxsize=16)
def _margins(shape: tuple[int, ...]) -> sparse.csc_matrix:
    numbers = _line_numbers(shape)
    count = int(np.prod(shape))
    lines = np.concatenate(numbers)
    cells = np.tile(np.arange(count), len(numbers))
    return sparse.csc_matrix((np.ones(len(lines)), (lines, cells)), shape=(int(lines.max()) + 1, count))


def make_grid(table: TableSpecification, report: Report, rules: Rules, repair: Repair) -> Grid:
    """Return the grid of a judged table.

    Refuses a table without groupings, of another figure than counts, sums and means, with negative values, and of
    more than `MAX_CELLS` cells.
    """
    dimensions, facts = list(table.dimensions), report.facts
    if not dimensions or table.aggregate not in _MEASURES:
        raise Invalid(f"`{repair}` refuses this table", rule=RULE, accepted="counts, sums or means by some column")
    if facts.height > MAX_CELLS:
        raise Invalid(f"`{repair}` refuses a table of this size", rule=RULE, accepted=f"at most {MAX_CELLS} cells")
    additive = table.aggregate not in (Aggregate.COUNT, Aggregate.ENTITIES)
    if additive and facts.select((pl.col("low") < 0).any()).item():
        raise Invalid(f"`{repair}` refuses negative values", rule=RULE, accepted="values of zero and more")
    blocked = (report.cells["verdict"] == "block").to_numpy()
    empty = (facts["rows"] == 0).to_numpy()
    shape = tuple(report.cells[name].n_unique() for name in dimensions)
    if int(np.prod(shape)) != facts.height:
        raise Invalid(f"`{repair}` refuses a table with cells missing", rule=RULE, accepted="a whole table")
    names = _MEASURES[table.aggregate] if table.value or additive else [_MEASURES[table.aggregate][0]]
    if table.aggregate is Aggregate.COUNT:
        names = ["values" if table.value else "rows"]
    measures = tuple(_measure(name, facts, rules, repair) for name in names)
    return Grid(shape, blocked, empty & ~blocked, measures)


_MEASURES: Final = {
    Aggregate.COUNT: ["rows"],
    Aggregate.ENTITIES: ["entities"],
    Aggregate.SUM: ["net"],
    # Who knows sums and counts knows means: both are protected.
    Aggregate.MEAN: ["net", "values"],
}


def _measure(name: str, facts: pl.DataFrame, rules: Rules, repair: Repair) -> Measure:
    size = facts[name].fill_null(0).cast(pl.Float64).to_numpy().copy()
    if name == "net":
        up = down = _wanted_of_sums(facts, rules)
        down = np.minimum(down, size)
    else:
        up, down = _wanted_of_counts(size, facts, rules)
    lower, upper = shown_between(size, rules, repair)
    return Measure(size, up, down, size - lower, upper - size)


def _wanted_of_counts(size: Figures, facts: pl.DataFrame, rules: Rules) -> tuple[Figures, Figures]:
    """Return how far up and down counts must be open: as many values as `min_entities`, times rows an entity has."""
    entities = facts["entities"].fill_null(0).to_numpy()
    each = np.ceil(np.divide(size, entities, out=np.ones_like(size), where=entities > 0))
    wide = (rules.min_entities - 1) * np.maximum(each, 1.0)
    down = np.minimum(size, np.floor(wide / 2))
    return wide - down, down


def _wanted_of_sums(facts: pl.DataFrame, rules: Rules) -> Figures:
    """Return how far up and down sums must be open: so that none comes within `p_percent` of the largest share."""
    largest = facts["top_one"].fill_null(0.0).cast(pl.Float64).to_numpy()
    filled = largest[largest > 0]
    usual = float(np.median(filled)) if len(filled) else 1.0
    return rules.p_percent * np.where(largest > 0, largest, usual)


def shown_between(size: Figures, rules: Rules, repair: Repair) -> tuple[Figures, Figures]:
    """Return the least and the largest whole figure that is shown like `size` under this repair."""
    shown = show(size, rules, repair)
    match repair:
        case Repair.ROUND:
            half = rules.round_base / 2
            return np.maximum(np.ceil(shown - half), 0.0), np.maximum(np.ceil(shown + half) - 1, shown)
        case Repair.MIDPOINT6:
            return np.where(shown > 0, shown - 2, 0.0), np.where(shown > 0, shown + 3, 0.0)
    return size, size


def show(size: Any, rules: Rules, repair: Repair) -> Any:
    """Return the figures as they are shown: whole, to the nearest `round_base` (half up), or as the middle of a six.

    Midpoint-6 (OpenSAFELY) shows 1 to 6 as 3, 7 to 12 as 9, and so on.
    """
    match repair:
        case Repair.ROUND:
            return np.floor(size / rules.round_base + 0.5) * rules.round_base
        case Repair.MIDPOINT6:
            return np.where(size > 0, np.ceil(size / MIDPOINT) * MIDPOINT - MIDPOINT // 2, 0.0)
    return size
