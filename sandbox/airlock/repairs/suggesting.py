"""What would mend a blocked table: each repair tried on the data and judged as it would leave, the least loss first."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import polars as pl

from sandbox.airlock import recompute
from sandbox.airlock.findings import Severity, Verdict
from sandbox.airlock.repairs.checked import Checked, compute_checked
from sandbox.airlock.repairs.merging import find_merges
from sandbox.airlock.rules import Rules
from sandbox.airlock.specification import (
    Coding,
    FigureSpecification,
    Repair,
    TableSpecification,
    check_specification,
)
from shuzha.core.errors import Invalid

TRIES: Final = 3
_STEPS: Final = 6
_SAYS: Final = {
    "suppress": "leave blocked cells out, with enough others that no margin gives them back",
    "round": "show figures to the nearest {base} and leave blocked cells out",
    "midpoint6": "show the middle of six for each figure and leave blocked cells out",
    "merge": "show some labels as one",
    "code": "round values to multiples of {step:g} first, so that the figure is the value of enough people",
}


@dataclass(frozen=True, slots=True)
class Suggestion:
    """One repair that works: the changed specification, which is all there is to apply, and what it leaves.

    `verdict` is of the table as it would leave; `shown` cells keep a figure, `hidden` ones lose it.
    """

    name: str
    says: str
    specification: TableSpecification | FigureSpecification
    verdict: Verdict
    shown: int
    hidden: int

    def as_dict(self) -> dict[str, Any]:
        """Return the suggestion as plain JSON; its `specification` can be submitted as it is."""
        return {
            "name": self.name,
            "says": self.says,
            "specification": msgspec.to_builtins(self.specification),
            "verdict": self.verdict.value,
            "shown": self.shown,
            "hidden": self.hidden,
        }


def suggest(
    table: TableSpecification, frame: pl.LazyFrame, *, entity: str | None, rules: Rules, now: Checked | None = None
) -> tuple[Suggestion, ...]:
    """Return the repairs after which no rule blocks the table, those that keep most figures first.

    Empty where nothing blocks and where nothing helps. `now` is the table as it was judged already.
    """
    now = now or compute_checked(table, frame, entity=entity, rules=rules)
    if now.report.verdict is not Verdict.BLOCK or now.report.facts.is_empty():
        return ()
    found = []
    for name, changed, extra in _candidates(table, frame, now, entity, rules):
        try:
            check_specification(changed)
            checked = compute_checked(changed, frame, entity=entity, rules=rules)
        except Invalid:
            continue  # This repair does not fit the table; the next one may.
        if checked.report.verdict is not Verdict.BLOCK:
            shown = checked.frame.height - checked.hidden
            says = _SAYS[name].format(base=rules.round_base, **extra)
            found.append(Suggestion(name, says, changed, checked.report.verdict, shown, checked.hidden))
    return tuple(sorted(found, key=lambda one: (one.verdict is not Verdict.PASS, -one.shown, one.name)))


def _candidates(
    table: TableSpecification, frame: pl.LazyFrame, now: Checked, entity: str | None, rules: Rules
) -> Iterator[tuple[str, TableSpecification, dict[str, Any]]]:
    """Yield each repair that may help, as a changed specification."""
    blocked = {finding.rule for finding in now.report.findings if finding.severity is Severity.BLOCK}
    if blocked & {"label_pii"}:
        return
    for repair in (Repair.SUPPRESS, Repair.ROUND, Repair.MIDPOINT6):
        if table.repair is not repair:
            yield repair.value, msgspec.structs.replace(table, repair=repair), {}
    merged = _merged(table, frame, now, entity, rules)
    if merged is not None:
        yield "merge", merged, {}
    if "extreme" in blocked and table.value is not None and table.coding is None:
        step = _step(table, frame, entity, rules)
        if step is not None:
            yield "code", msgspec.structs.replace(table, coding=Coding(step=step)), {"step": step}


def _merged(
    table: TableSpecification, frame: pl.LazyFrame, now: Checked, entity: str | None, rules: Rules
) -> TableSpecification | None:
    """Return the table with labels merged so that it passes; what stays blocked is merged further, a few times."""
    stubborn: list[int] = []
    plain = msgspec.structs.replace(table, repair=Repair.NONE)
    for _ in range(TRIES):
        merges = find_merges(table, now.report, rules, stubborn)
        if merges is None or table.merges:
            return None
        changed = msgspec.structs.replace(plain, merges=merges)
        report = compute_checked(changed, frame, entity=entity, rules=rules).report
        if report.verdict is not Verdict.BLOCK:
            return changed
        bad = set(report.cells.filter(pl.col("verdict") == Verdict.BLOCK.value).select(table.dimensions).iter_rows())
        into = {(one.column, label): one.into for one in merges for label in one.labels}
        was = [_after(row, table, into) for row in now.report.cells.select(table.dimensions).iter_rows()]
        more = [place for place, cell in enumerate(was) if cell in bad]
        if set(more) <= set(stubborn):
            return None
        stubborn += more
    return None


def _after(row: tuple[Any, ...], table: TableSpecification, into: dict[tuple[str, str | None], str]) -> tuple[Any, ...]:
    """Return the labels of a cell once labels are merged."""
    merged = {name for name, _ in into}
    texts = [None if label is None else str(label) for label in row]
    return tuple(
        into.get((name, text), text) if name in merged else label
        for name, label, text in zip(table.dimensions, row, texts, strict=True)
    )


def _step(table: TableSpecification, frame: pl.LazyFrame, entity: str | None, rules: Rules) -> float | None:
    """Return the least step of 1, 2 or 5 times a power of ten after which the figure is not blocked, or None."""
    value = pl.col(table.value or "").cast(pl.Float64).fill_nan(None)
    spread = recompute.population(table, frame).select(value.std()).collect(engine="streaming").item()
    if not spread:
        return None
    power = math.floor(math.log10(spread / 20))
    steps = [one * 10.0**at for at in range(power, power + 3) for one in (1, 2, 5)]
    for step in steps[:_STEPS]:
        changed = msgspec.structs.replace(table, coding=Coding(step=step))
        checked = compute_checked(changed, frame, entity=entity, rules=rules)
        if checked.report.verdict is not Verdict.BLOCK:
            return step
    return None
