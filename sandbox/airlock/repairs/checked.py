"""A table as it would leave: computed by the platform, judged, repaired as its specification asks, and judged again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import msgspec
import numpy as np
import polars as pl

from sandbox.airlock import recompute
from sandbox.airlock.disclosure import Report, check_table
from sandbox.airlock.findings import Finding, Severity, Verdict, worst
from sandbox.airlock.repairs.grid import Flags, make_grid, show
from sandbox.airlock.repairs.suppression import Suppression, suppress
from sandbox.airlock.rules import Rules
from sandbox.airlock.specification import Aggregate, Repair, TableSpecification

_SAID: Final = {
    Repair.SUPPRESS: "left out by suppression",
    Repair.ROUND: "left out; every other figure is rounded",
    Repair.MIDPOINT6: "left out; every other figure is the middle of six",
}
_BEYOND: Final = frozenset({"min_count", "dominance_nk", "dominance_p"})
_SUMMED: Final = frozenset({Aggregate.SUM, Aggregate.MEAN, Aggregate.STD, Aggregate.VAR})


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
    report = _with_coded(table, frame, entity, rules, report)
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


def _with_coded(
    table: TableSpecification, frame: pl.LazyFrame, entity: str | None, rules: Rules, report: Report
) -> Report:
    """Return the report with what the rules say of sums and means of coded values.

    The sum of values cut below at 4,000 is as many times 4,000, and what is above it: that is judged alone, at each
    end. A step that changes few would be their sum beside the table without it.
    """
    coding, name = table.coding, table.value
    if coding is None or name is None or table.aggregate not in _SUMMED:
        return report

    def judge(part: pl.LazyFrame, aggregate: str) -> Report:
        return check_table(
            part, rows=table.rows, columns=table.columns, value=name, aggregate=aggregate, entity=entity, rules=rules
        )

    findings = list(report.findings)
    rows = recompute.population(table, frame)
    for end in (coding.bottom, coding.top):
        if end is not None:
            beyond = (pl.col(name) - recompute.code(pl.lit(end), coding)).abs()
            part = rows.with_columns(pl.when(beyond > 0).then(beyond).alias(name))
            found = judge(part, "sum").findings
            findings += [replace(one, place=f"beyond {end:g}") for one in found if one.rule in _BEYOND]
    if coding.step is not None:
        moved = (recompute.code(pl.col(name), coding) - pl.col(name)).abs() > recompute.TINY
        cut = msgspec.structs.replace(coding, step=None)
        uncoded = msgspec.structs.replace(table, coding=cut if (cut.bottom, cut.top) != (None, None) else None)
        part = recompute.population(uncoded, frame).with_columns(pl.when(moved).then(1.0).alias(name))
        few = judge(part, "entities").cells.filter(pl.col("entities").is_between(1, rules.min_difference - 1))
        if few.height:
            accepted = f"a step that changes nobody, or at least {rules.min_difference} entities of each cell"
            least = int(few["entities"].min())  # type: ignore[arg-type]
            findings.append(
                Finding("differencing", Severity.BLOCK, accepted, None, least, rules.min_difference, place="step")
            )
    return replace(report, verdict=worst(findings), findings=tuple(findings))


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
