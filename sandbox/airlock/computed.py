"""What the platform computes itself: a table, regression or figure, from its specification, as it would leave."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import polars as pl

from sandbox.airlock import content
from sandbox.airlock.faults import log_fault
from sandbox.airlock.figures.drawing import draw
from sandbox.airlock.figures.making import make_table
from sandbox.airlock.findings import Finding
from sandbox.airlock.grammar import Draw, FigureSpecification, RegressionSpecification, TableSpecification
from sandbox.airlock.recompute import figure_name
from sandbox.airlock.regressions.judging import judge_regression
from sandbox.airlock.repairs import Checked, Suggestion, compute_checked, suggest
from sandbox.airlock.rules import Rules

log = logging.getLogger(__name__)

Computable = TableSpecification | RegressionSpecification | FigureSpecification


@dataclass(frozen=True, slots=True)
class Computed:
    """One output of the platform's own making: its bytes (None where there are none), and what the rules say of it.

    `frame` is the table in it, for comparison with what the notebook made; `repairs` what would mend it. For comparison
    with earlier outputs `table` says what was computed of `rows` and `shown` which figures of it are shown; a
    regression has none of these.
    """

    content: bytes | None
    type: str
    form: str
    frame: pl.DataFrame
    findings: tuple[Finding, ...]
    evidence: dict[str, Any]
    repairs: tuple[Suggestion, ...] = ()
    table: TableSpecification | None = None
    rows: pl.LazyFrame | None = None
    shown: pl.DataFrame | None = None


def bound(specification: Computable, release: str) -> Computable:
    """Return the specification with the release named by its id: what is computed, kept and signed."""
    if isinstance(specification, FigureSpecification):
        table = msgspec.structs.replace(specification.table, release=release)
        return msgspec.structs.replace(specification, table=table)
    return msgspec.structs.replace(specification, release=release)


def compute(specification: Computable, frame: pl.LazyFrame, *, entity: str | None, rules: Rules) -> Computed:
    """Return the output that a specification describes. Refuses what the data does not have."""
    match specification:
        case TableSpecification():
            checked = compute_checked(specification, frame, entity=entity, rules=rules)
            repairs = _tried(specification, frame, entity, rules, checked)
            return _table(specification, frame, checked, repairs)
        case FigureSpecification():
            return _figure(specification, frame, entity, rules)
        case RegressionSpecification():
            fitted = judge_regression(specification, frame, entity=entity, rules=rules)
            if fitted.frame is None:
                return Computed(None, "csv", "table", pl.DataFrame(), fitted.findings, fitted.evidence)
            written = content.write_csv(fitted.frame)
            return Computed(written, "csv", "table", fitted.frame, fitted.findings, fitted.evidence)


def _table(
    table: TableSpecification, rows: pl.LazyFrame, checked: Checked, repairs: tuple[Suggestion, ...]
) -> Computed:
    report, shown = checked.report, checked.frame
    evidence = report.as_dict() | {
        "repairs": [one.as_dict() for one in repairs], "grounds": report.list_grounds()
    }  # fmt: skip
    written = content.write_csv(shown)
    return Computed(written, "csv", "table", shown, report.findings, evidence, repairs, table, rows, shown)


def _tried(
    table: TableSpecification, rows: pl.LazyFrame, entity: str | None, rules: Rules, now: Checked
) -> tuple[Suggestion, ...]:
    """Return what would mend a table; advice that fails takes nothing away from what blocks it."""
    try:
        return suggest(table, rows, entity=entity, rules=rules, now=now)
    except Exception as error:  # The boundary of advice: the table stays as blocked as it was.
        log_fault(log, error, "no repair could be tried")
        return ()


def _figure(figure: FigureSpecification, frame: pl.LazyFrame, entity: str | None, rules: Rules) -> Computed:
    made = make_table(figure, frame, entity=entity, rules=rules)
    repairs = _tried(made.table, made.rows, entity, rules, made.checked)
    if made.table is not figure.table:
        # Bins are not columns of the release: what mends them is said, and applied by other edges.
        repairs = tuple(one for one in repairs if one.name in ("suppress", "round", "midpoint6"))
    mended = tuple(_mended(figure, one) for one in repairs)
    drawn = draw(made.frame, len(made.table.dimensions), figure.draw, title_of(figure))
    table = content.write_csv(made.frame).decode()
    evidence = made.evidence | {"table": table, "repairs": [one.as_dict() for one in mended]}
    groupings = made.frame.columns[: len(made.table.dimensions)]
    middle = made.frame.columns[len(groupings)] if figure.draw is not Draw.BOX else made.table.aggregate.value
    shown = made.frame.select(*groupings, pl.col(middle).alias(figure_name(made.table)))
    return Computed(
        drawn, "svg", "figure", made.frame, made.findings, evidence, mended, made.table, made.rows, shown
    )  # fmt: skip


def _mended(figure: FigureSpecification, suggestion: Suggestion) -> Suggestion:
    """Return a repair of the figure's table as one of the figure."""
    changed = suggestion.specification
    table = figure.table
    if isinstance(changed, TableSpecification):
        coding = changed.coding or table.coding
        table = msgspec.structs.replace(table, repair=changed.repair, merges=changed.merges, coding=coding)
    return replace(suggestion, specification=msgspec.structs.replace(figure, table=table))


def title_of(figure: FigureSpecification) -> str:
    """Return the heading of a figure, from the names of its columns alone."""
    table = figure.table
    measured = f"{table.aggregate.value} of {table.value}" if table.value else table.aggregate.value
    if figure.draw.value == "box":
        measured = f"{table.value}: 5, 25, 50, 75, 95 %"
    elif figure.draw.value == "histogram":
        measured = f"{table.aggregate.value} by {table.value}"
    return " × ".join([measured, *table.dimensions])
