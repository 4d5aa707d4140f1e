"""Repairs of a table of counts: leaving cells out so that neither they nor any margin says what they were.

Words: a *primary* cell is one that a rule blocks; a *secondary* cell is safe and is left out so that the primary
ones cannot be computed from the totals of their line; a *line* is a row or a column of the table, or the whole of a
table with one grouping.

What holds of the answer, also for someone who knows every total: each line with a left-out cell has one that is
safe itself, so what its total gives away is about enough entities; and no left-out cell is determined by the totals
(in the graph of rows and columns whose edges are the left-out cells, none is a bridge). Bounds that follow from
counts not being negative are not narrowed here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

import polars as pl

from sandbox.airlock.disclosure import Report
from sandbox.airlock.findings import Finding, Severity
from sandbox.airlock.recompute import figure_name
from sandbox.airlock.specification import Aggregate, TableSpecification
from shuzha.core.errors import Invalid

MAX_CELLS: Final = 4_000

Cell = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Suppression:
    """Which cells are left out: those that a rule blocked, and those that protect them."""

    primary: frozenset[Cell]
    secondary: frozenset[Cell]

    @property
    def cells(self) -> frozenset[Cell]:
        """Every cell that is left out."""
        return self.primary | self.secondary


def suppress(table: TableSpecification, report: Report) -> Suppression | None:
    """Return the cells to leave out of a table of counts, or None when no choice of cells protects them.

    Refuses figures that are not counts (a sum's dominance would have to be judged anew for each union of cells),
    tables of more than two groupings, and more than 4,000 cells.
    """
    dimensions = list(table.dimensions)
    if table.aggregate not in (Aggregate.COUNT, Aggregate.ENTITIES) or not 1 <= len(dimensions) <= 2:
        raise Invalid("suppression refuses this table", rule="airlock.repair", accepted="counts by one or two columns")
    if report.cells.height > MAX_CELLS:
        raise Invalid(
            "suppression refuses a table of this size", rule="airlock.repair", accepted=f"at most {MAX_CELLS} cells"
        )
    size: dict[Cell, int] = {}
    primary: set[Cell] = set()
    for row in report.cells.iter_rows(named=True):
        cell = tuple(row[name] for name in dimensions)
        size[cell] = row["entities"]
        if row["verdict"] != "pass":
            primary.add(cell)
    left_out = _protect(primary, size) if primary else set()
    if left_out is None or (left_out and len(left_out) == len(size)):
        return None
    return Suppression(frozenset(primary), frozenset(left_out - primary))


def apply(table: TableSpecification, result: pl.DataFrame, report: Report, suppression: Suppression) -> pl.DataFrame:
    """Return the table with a row for every cell of the report and no figure in the cells that are left out.

    A cell that was left out and one that was empty look the same.
    """
    dimensions = list(table.dimensions)
    name = figure_name(table)
    left_out = pl.Series(
        [tuple(row) in suppression.cells for row in report.cells.select(dimensions).iter_rows()], dtype=pl.Boolean
    )
    whole = report.cells.select(dimensions).with_columns(left_out=left_out)
    joined = whole.join(result, on=dimensions, how="left", nulls_equal=True, maintain_order="left")
    shown = joined.with_columns(pl.when(~pl.col("left_out")).then(pl.col(name)).alias(name))
    return shown.select(*dimensions, name).sort(dimensions, nulls_last=True)


def settle(report: Report, suppression: Suppression, table: TableSpecification) -> tuple[Finding, ...]:
    """Return the findings after the repair: what is said of cells left out becomes a note, and one note sums up."""
    dimensions = list(table.dimensions)
    named = {tuple(None if label is None else str(label) for label in cell) for cell in suppression.cells}
    findings = []
    for finding in report.findings:
        cell = None if finding.cell is None else tuple(finding.cell[name] for name in dimensions)
        gone = cell in named or (finding.cell is None and finding.place.endswith(" more cells"))
        findings.append(
            replace(finding, severity=Severity.NOTE, accepted="left out by suppression") if gone else finding
        )
    place = f"{len(suppression.primary)} blocked, {len(suppression.secondary)} to protect them"
    note = Finding(
        "suppressed", Severity.NOTE, "a table without these cells", None, len(suppression.cells), None, place=place
    )
    return (*(finding for finding in findings if finding.rule != "rounding"), note)


def _protect(primary: set[Cell], size: dict[Cell, int]) -> set[Cell] | None:
    """Return the primary cells with enough safe ones beside them, or None."""
    left_out = set(primary)
    safe = [cell for cell in size if cell not in primary]
    while (lines := next(_exposed(left_out, primary), None)) is not None:
        candidates = [cell for cell in safe if cell not in left_out and any(line in _lines(cell) for line in lines)]
        if not candidates:
            return None
        # The smallest cell costs least; labels break ties, so that the same table is repaired in the same way.
        left_out.add(min(candidates, key=lambda cell: (size[cell], tuple(map(str, cell)))))
    return left_out


def _exposed(left_out: set[Cell], primary: set[Cell]) -> Iterator[list[tuple[int, object]]]:
    """Yield the lines in which one more cell has to be left out."""
    safe_lines = {line for cell in left_out - primary for line in _lines(cell)}
    for cell in sorted(left_out, key=lambda one: tuple(map(str, one))):
        for line in _lines(cell):
            if line not in safe_lines:
                yield [line]
    for cell in _bridges(left_out):
        yield list(_lines(cell))


def _lines(cell: Cell) -> list[tuple[int, object]]:
    """Return the lines through a cell; a table with one grouping is one line."""
    return [(0, "all")] if len(cell) == 1 else [(1 - place, label) for place, label in enumerate(cell)]


def _bridges(cells: Iterable[Cell]) -> list[Cell]:
    """Return the cells of a two-way table that its totals determine: bridges of the graph of rows and columns.

    An edge is a bridge when its two ends are not joined without it.
    """
    edges = sorted((cell for cell in cells if len(cell) == 2), key=lambda one: tuple(map(str, one)))
    return [edge for edge in edges if not _joined(edge, [other for other in edges if other != edge])]


def _joined(edge: Cell, edges: list[Cell]) -> bool:
    start, goal = _lines(edge)
    neighbours: dict[tuple[int, object], list[tuple[int, object]]] = {}
    for one, other in (_lines(cell) for cell in edges):
        neighbours.setdefault(one, []).append(other)
        neighbours.setdefault(other, []).append(one)
    seen, waiting = {start}, [start]
    while waiting:
        for node in neighbours.get(waiting.pop(), ()):
            if node not in seen:
                seen.add(node)
                waiting.append(node)
    return goal in seen
