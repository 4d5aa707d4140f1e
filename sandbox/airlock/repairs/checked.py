"""A table as it would leave: computed by the platform, judged, repaired as its specification asks, and judged again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import polars as pl

from sandbox.airlock import recompute
from sandbox.airlock.disclosure import Report, check_table
from sandbox.airlock.findings import Finding, Severity, Verdict, worst
from sandbox.airlock.repairs.grid import Flags, make_grid, show
from sandbox.airlock.repairs.suppression import Suppression, suppress
from sandbox.airlock.rules import Rules
from sandbox.airlock.specification import Repair, TableSpecification

_SAID: Final = {
    Repair.SUPPRESS: "left out by suppression",
    Repair.ROUND: "left out; every other figure is rounded",
    Repair.MIDPOINT6: "left out; every other figure is the middle of six",
}


@dataclass(frozen=True, slots=True)
class Checked:
    """A table as it would leave, and what the rules say of exactly that; `hidden` counts the cells left out."""

    frame: pl.DataFrame
    report: Report
    hidden: int = 0


def compute_checked(
    table: TableSpecification, frame: pl.LazyFrame, *, entity: str | None, rules: Rules,
    labels: Mapping[str, Sequence[str]] | None = None,
) -> Checked:  # fmt: skip
    """Return the table of a specification with its report, repaired where the specification asks for it.

    A repair that does not protect every blocked cell changes nothing: the table stays blocked. `labels` names labels
    that are shown even where no row has them. Refuses what the grammar lets through but the data does not have.
    """
    result = recompute.compute_table(table, frame, entity)
    report = check_table(
        recompute.population(table, frame), rows=table.rows, columns=table.columns, value=table.value,
        aggregate=table.aggregate.value, entity=entity, rules=rules, labels=labels,
    )  # fmt: skip
    if table.repair is Repair.NONE or not table.dimensions or report.facts.is_empty():
        return Checked(result, report)
    blocked = bool((report.cells["verdict"] == Verdict.BLOCK.value).any())
    if not blocked:
        nothing = np.zeros(report.cells.height, dtype=bool)
        rounds = table.repair is not Repair.SUPPRESS
        return Checked(_apply(table, result, report, nothing, rules) if rounds else result, report)
    grid = make_grid(table, report, rules, table.repair)
    found = suppress(grid)
    if found is None:
        failed = Finding("repair_failed", Severity.NOTE, "a coarser table: no choice of cells protects this one")
        return Checked(result, replace(report, findings=(*report.findings, failed)))
    findings = _settle(report, found, table)
    shown = _apply(table, result, report, found.hidden, rules)
    return Checked(shown, replace(report, verdict=worst(findings), findings=findings), int(found.hidden.sum()))


def _apply(
    table: TableSpecification, result: pl.DataFrame, report: Report, hidden: Flags, rules: Rules
) -> pl.DataFrame:
    """Return the table with a row for every cell, rounded, and no figure in cells left out; empty ones look the same.

    There is no total in it: who adds the figures up gets totals of rounded parts.
    """
    dimensions = list(table.dimensions)
    name = recompute.figure_name(table)
    whole = report.cells.select(dimensions).with_columns(pl.Series("left out", hidden))
    joined = whole.join(result, on=dimensions, how="left", nulls_equal=True, maintain_order="left")
    if table.repair in (Repair.ROUND, Repair.MIDPOINT6):
        rounded = show(joined[name].fill_null(0).cast(pl.Float64).to_numpy(), rules, table.repair)
        joined = joined.with_columns(pl.Series(name, np.asarray(rounded)).cast(pl.Int64))
    shown = joined.with_columns(pl.when(~pl.col("left out")).then(pl.col(name)).alias(name))
    return shown.select(*dimensions, name).sort(dimensions, nulls_last=True)


def _settle(report: Report, found: Suppression, table: TableSpecification) -> tuple[Finding, ...]:
    """Return the findings after the repair: what is said of cells left out becomes a note, and one note sums up."""
    dimensions = list(table.dimensions)
    left_out = report.cells.select(pl.col(dimensions).cast(pl.String)).filter(pl.Series(found.hidden))
    named = set(left_out.iter_rows())
    findings = []
    for finding in report.findings:
        cell = None if finding.cell is None else tuple(finding.cell[name] for name in dimensions)
        # Where findings were too many to list, each of them was about a blocked cell: all of these are left out.
        gone = cell in named or (finding.cell is None and finding.place.endswith(" more cells"))
        if gone and finding.severity is Severity.BLOCK:
            finding = replace(finding, severity=Severity.NOTE, accepted=_SAID[table.repair])  # noqa: PLW2901
        findings.append(finding)
    least = {0.0: ", the fewest possible", None: ""}.get(found.gap, f", at most {found.gap or 0:.0%} above the fewest")
    place = f"{int(found.primary.sum())} blocked, {found.secondary} to protect them{least}"
    note = Finding(
        "suppressed", Severity.NOTE, "a table without these cells", None, int(found.hidden.sum()), None, place=place
    )
    return (*(finding for finding in findings if finding.rule != "rounding"), note)
