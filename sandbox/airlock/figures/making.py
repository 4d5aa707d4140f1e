"""A figure's table, computed and judged cell by cell: each bar, point, bin and end of a box is a judged figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import msgspec
import polars as pl

from sandbox.airlock import recompute
from sandbox.airlock.findings import Finding, Severity, worst
from sandbox.airlock.repairs import Checked, compute_checked
from sandbox.airlock.rules import Rules
from sandbox.airlock.specification import Aggregate, Draw, FigureSpecification, TableSpecification
from shuzha.core.errors import Invalid

RULE: Final = "airlock.figure"
MAX_PLACES: Final = 60
MAX_SERIES: Final = 8
BOX: Final = (Aggregate.P05, Aggregate.P25, Aggregate.MEDIAN, Aggregate.P75, Aggregate.P95)
_ENDS: Final = {
    Aggregate.P05: "lower whisker", Aggregate.P25: "lower end of the box", Aggregate.MEDIAN: "middle of the box",
    Aggregate.P75: "upper end of the box", Aggregate.P95: "upper whisker",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Made:
    """The table behind a figure: its groupings, then its figures (five of a box), and what the rules say of it.

    `table` is what was computed of what rows: a histogram's has its bins for a grouping.
    """

    frame: pl.DataFrame
    table: TableSpecification
    rows: pl.LazyFrame
    findings: tuple[Finding, ...]
    evidence: dict[str, Any]
    checked: Checked


def make_table(asked: FigureSpecification, frame: pl.LazyFrame, *, entity: str | None, rules: Rules) -> Made:
    """Return the table behind a figure with its findings.

    Refuses what the release lacks, and more places or series than can be told apart.
    """
    made = _box(asked, frame, entity, rules) if asked.draw is Draw.BOX else _plain(asked, frame, entity, rules)
    groupings = made.frame.columns[: len(made.table.dimensions)]
    sizes = [made.frame[name].n_unique() for name in groupings]
    if sizes and (sizes[0] > MAX_PLACES or (len(sizes) > 1 and sizes[1] > MAX_SERIES)):
        raise Invalid(
            "a figure has more places or series than can be told apart", rule=RULE,
            accepted=f"at most {MAX_PLACES} places and {MAX_SERIES} series",
        )  # fmt: skip
    return made


def _plain(asked: FigureSpecification, frame: pl.LazyFrame, entity: str | None, rules: Rules) -> Made:
    table, rows, labels = asked.table, frame, None
    if asked.draw is Draw.HISTOGRAM:
        table, rows, bins = binned(asked, frame)
        labels = {table.rows[0]: bins}
    checked = compute_checked(table, rows, entity=entity, rules=rules, labels=labels)
    findings = checked.report.findings
    return Made(checked.frame, table, rows, findings, checked.report.as_dict(), checked)


def binned(asked: FigureSpecification, frame: pl.LazyFrame) -> tuple[TableSpecification, pl.LazyFrame, list[str]]:
    """Return a histogram as a table over rows that say in which bin they are, and all bins in order.

    A bin holds its lower edge. Rows without a value are in no bin and left out.
    """
    table = asked.table
    value = table.value or ""
    schema = frame.collect_schema()
    recompute.check_columns([value, *table.dimensions], schema)
    if not schema[value].is_numeric():
        raise Invalid(f"column `{value}` is no number", rule=RULE, accepted="a numeric value")
    name = f"{value} bin"
    if name in schema:
        raise Invalid(f"the release has a column `{name}`", rule=RULE, accepted="a release without it")
    bins = bin_names(asked.edges)
    number = pl.col(value).cast(pl.Float64).fill_nan(None)
    if table.coding is not None:
        number = recompute.code(number, table.coding)
    found = pl.lit(bins[0])
    for edge, label in zip(asked.edges[1:-1], bins[1:], strict=True):
        found = pl.when(number >= edge).then(pl.lit(label)).otherwise(found)
    rows = frame.filter(number.is_not_null()).with_columns(found.alias(name))
    changed = msgspec.structs.replace(table, rows=[name, *table.dimensions], columns=[], value=None, coding=None)
    return changed, rows, bins


def bin_names(edges: Sequence[float]) -> list[str]:
    """Return how bins are called, so that they sort in order: the end bins are open."""
    places = len(str(len(edges)))
    names = []
    for at in range(len(edges) - 1):
        low, high = f"{edges[at]:g}", f"{edges[at + 1]:g}"
        said = f"[{low}, {high})"
        if len(edges) == 2:
            said = "all"
        elif at == 0:
            said = f"< {high}"
        elif at == len(edges) - 2:
            said = f"≥ {low}"
        names.append(f"{at + 1:0{places}d}: {said}")
    return names


def _box(asked: FigureSpecification, frame: pl.LazyFrame, entity: str | None, rules: Rules) -> Made:
    """Return the five figures of each box; every one of them is judged like a table of its own."""
    parts: list[pl.DataFrame] = []
    findings: list[Finding] = []
    for aggregate in BOX:
        table = msgspec.structs.replace(asked.table, aggregate=aggregate)
        checked = compute_checked(table, frame, entity=entity, rules=rules)
        figure = checked.frame.columns[-1]
        parts.append(checked.frame.rename({figure: aggregate.value}))
        findings += (
            replace(one, place=" ".join((_ENDS[aggregate], one.place)).strip()) for one in checked.report.findings
        )
    findings = _once(findings)
    shown = parts[0]
    for part in parts[1:]:
        shown = shown.with_columns(part.to_series(-1))
    evidence = checked.report.as_dict() | {
        "grounds": checked.report.list_grounds(),
        "aggregate": "box", "verdict": worst(findings).value, "findings": [finding.as_dict() for finding in findings],
    }  # fmt: skip
    return Made(shown, asked.table, frame, tuple(findings), evidence, checked)


def _once(findings: Sequence[Finding]) -> list[Finding]:
    """Return what is said of a cell whatever its figure only once."""
    kept: dict[tuple[Any, ...], Finding] = {}
    for finding in findings:
        cell = None if finding.cell is None else tuple(finding.cell.items())
        place = finding.place if finding.rule == "extreme" else ""
        kept.setdefault((finding.rule, finding.severity is Severity.BLOCK, cell, place), finding)
    return list(kept.values())
