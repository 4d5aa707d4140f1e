"""The cells of a table as a grid of numbers with its lines: what repairs reckon with."""

from __future__ import annotations

from dataclasses import dataclass
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

    def line_numbers(self) -> list[npt.NDArray[np.int64]]:
        """Return for each grouping the number of the line that each cell is in along it."""
        places = np.arange(int(np.prod(self.shape)), dtype=np.int64).reshape(self.shape)
        found, start = [], 0
        for axis in range(len(self.shape)):
            rest = [1 if place == axis else size for place, size in enumerate(self.shape)]
            numbers = np.arange(int(np.prod(rest)), dtype=np.int64).reshape(rest) + start
            found.append(np.broadcast_to(numbers, places.shape).reshape(-1))
            start += int(np.prod(rest))
        return found

    def margins(self) -> sparse.csr_matrix:
        """Return the matrix that adds cells up to margins: a row for each line, a column for each cell."""
        numbers = self.line_numbers()
        cells = np.tile(np.arange(len(self.primary)), len(numbers))
        lines = np.concatenate(numbers)
        return sparse.csr_matrix((np.ones(len(lines)), (lines, cells)), shape=(int(lines.max()) + 1, len(self.primary)))


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
