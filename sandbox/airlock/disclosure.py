"""Statistical disclosure control of one table: every rule, for every cell, by entity; anything unknown blocks.

`check_table` looks at the rows behind a table and says what may leave. It changes nothing: repairs are in `repairs`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import polars as pl

from sandbox.airlock import cells
from sandbox.airlock import labels as texts
from sandbox.airlock.findings import Finding, Severity, Verdict, worst
from sandbox.airlock.rules import Rules
from sandbox.airlock.specification import Aggregate
from shuzha.core.errors import Invalid

__all__ = ["Finding", "Report", "Rules", "Severity", "Verdict", "check_table"]

MAX_FINDINGS: Final = 500

_SPREAD = frozenset({Aggregate.STD, Aggregate.VAR})
_DOMINATED = frozenset({Aggregate.SUM, Aggregate.MEAN}) | _SPREAD
_ENDS: Final = {Aggregate.MIN: "low_holders", Aggregate.MAX: "high_holders"}
MOST_GROUNDS: Final = 500
# What a division leaves of a share that is exactly the limit.
_NOISE: Final = 1e-12


@dataclass(frozen=True, slots=True)
class Report:
    """What the rules say of a table.

    `cells` has a row for each cell (also for each empty one) with its labels, `entities` (distinct, with a value),
    `values` (non-null ones) and `verdict`; `findings` has the reasons, at most 500 a rule, the last of which then
    says how many more there are. `facts` is what was measured, cell by cell in the order of `cells`, for repairs.
    """

    verdict: Verdict
    cells: pl.DataFrame
    findings: tuple[Finding, ...]
    rules: Rules
    aggregate: str
    facts: pl.DataFrame = field(default_factory=pl.DataFrame, repr=False, compare=False)

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain JSON."""
        return {
            "verdict": self.verdict.value,
            "aggregate": self.aggregate,
            "rules": self.rules.as_dict(),
            "rules_version": self.rules.version,
            "cells": self.cells.height,
            "findings": [finding.as_dict() for finding in self.findings],
        }

    def list_grounds(self, most: int = MOST_GROUNDS) -> dict[str, Any]:
        """Return what each cell rests on as plain JSON, for reviewers: the cells of fewest entities first.

        Each has its labels, `entities`, and where values are added up `share`, what the largest two hold of the
        absolute total. `more` counts the cells beyond `most`.
        """
        labels = [name for name in self.cells.columns if name not in ("entities", "values", "verdict")]
        found = self.cells.select(*labels, "entities", "verdict")
        adds = {"top_two", "absolute"} <= set(self.facts.columns)
        if adds:
            held = pl.when(pl.col("absolute") > 0).then(pl.col("top_two") / pl.col("absolute"))
            found = found.hstack(self.facts.select(held.alias("share")))
        worst_first = found.sort("entities", maintain_order=True).head(most)
        return {
            "labels": labels,
            "cells": [
                {
                    "labels": [_label(row[name]) for name in labels], "entities": row["entities"],
                    "share": round(row["share"], 4) if adds and row["share"] is not None else None,
                    "verdict": row["verdict"],
                }
                for row in worst_first.iter_rows(named=True)
            ],
            "more": max(found.height - most, 0),
        }  # fmt: skip


def check_table(
    frame: pl.DataFrame | pl.LazyFrame,
    *,
    rows: Sequence[str],
    columns: Sequence[str] = (),
    value: str | None = None,
    aggregate: str | Callable[..., Any] = "count",
    entity: str | None = None,
    rules: Rules | None = None,
    labels: Mapping[str, Sequence[str]] | None = None,
) -> Report:
    """Return what the disclosure rules say of the table `aggregate(value)` by `rows` and `columns` of these rows.

    Cells are judged by distinct entities of column `entity`; without one each row is an entity. An aggregate that
    no rule covers blocks. `labels` names, for a text column, labels that are shown even where no row has them (the
    bins of a histogram): an empty one is a cell too. Refuses (Invalid) columns that the frame lacks, a value that is
    no number, and more cells than can be judged.
    """
    rules = rules or Rules()
    known = _known_aggregate(aggregate)
    if known is None:
        return _unknown(aggregate, [*rows, *columns], rules)
    asked = cells.table(frame, [*rows, *columns], value, entity, numeric=known.needs_value)
    wanted = cells.Wanted(
        rules.nk_n if known in _DOMINATED else 0, known in _ENDS, known if known.is_point else None,
        alike=known in _DOMINATED,
    )  # fmt: skip
    facts = cells.collect_facts(asked, wanted)
    if known.needs_value and not cells.is_finite(facts):
        raise Invalid(f"column `{value}` has infinite values", rule=cells.RULE, accepted="finite numbers and nulls")
    share = known is Aggregate.MEAN and cells.is_binary(asked, facts)
    tests = _tests(asked, known, rules, share=share)
    judged = _apply(_with_empty_cells(facts, asked, labels or {}), tests)
    findings = [*_findings(judged, tests, asked), *texts.check_labels(judged.select(asked.keys), [*rows, *columns])]
    if facts.is_empty():
        findings.append(Finding("zero_cell", Severity.BLOCK, "a population with rows", figure=0, limit=1))
    findings += _repair_note(findings, known, rules)
    return Report(
        worst(findings), _cells(judged, tests, asked), tuple(findings), rules, known.value, judged.select(facts.columns)
    )


@dataclass(frozen=True, slots=True)
class _Test:
    """One rule over the facts: where it fails, the figure it measured, its limit and what would be accepted."""

    rule: str
    fails: pl.Expr
    figure: pl.Expr
    limit: float | int
    accepted: str
    severity: Severity = Severity.BLOCK


def _known_aggregate(aggregate: object) -> Aggregate | None:
    return Aggregate(aggregate) if isinstance(aggregate, str) and aggregate in set(Aggregate) else None


def _unknown(aggregate: object, dimensions: Sequence[str], rules: Rules) -> Report:
    finding = Finding("unknown_aggregate", Severity.BLOCK, accepted=", ".join(Aggregate))
    empty = pl.DataFrame(
        schema={**dict.fromkeys(dimensions, pl.String), "entities": pl.Int64, "values": pl.Int64, "verdict": pl.String}
    )
    name = aggregate if isinstance(aggregate, str) else type(aggregate).__name__
    return Report(Verdict.BLOCK, empty, (finding,), rules, name)


def _with_empty_cells(facts: pl.DataFrame, asked: cells.Table, declared: Mapping[str, Sequence[str]]) -> pl.DataFrame:
    """Return the facts with a row for every combination of labels; a combination without rows has zero in each fact."""
    if facts.is_empty() or not (len(asked.dimensions) >= 2 or declared):
        return facts
    # `collect_facts` has refused more cells than can be judged.
    grid = pl.DataFrame()
    for name, key in zip(asked.dimensions, asked.keys, strict=True):
        labels = facts.select(key).unique(maintain_order=True)
        if name in declared:
            labels = pl.concat([pl.DataFrame({key: declared[name]}, schema={key: pl.String}), labels]).unique(
                maintain_order=True
            )
        grid = grid.join(labels, how="cross") if grid.width else labels
    whole = grid.join(facts, on=asked.keys, how="left", nulls_equal=True, maintain_order="left")
    return whole.with_columns(pl.col("rows", "entities", "values").fill_null(0))


def _apply(facts: pl.DataFrame, tests: Iterable[_Test]) -> pl.DataFrame:
    """Return the facts with, for each test, whether it fails and its figure, under `fails:<n>` and `figure:<n>`."""
    columns = []
    for place, test in enumerate(tests):
        # A test that cannot say is a test that fails.
        columns += [test.fails.fill_null(value=True).alias(f"fails:{place}"), test.figure.alias(f"figure:{place}")]
    return facts.with_columns(columns)


def _tests(asked: cells.Table, aggregate: Aggregate, rules: Rules, *, share: bool) -> tuple[_Test, ...]:
    """Return the tests that this aggregate needs."""
    tests = [*_counting(asked, rules)]
    if aggregate in _DOMINATED:
        tests += [*_dominance(rules), *_beside_the_alike(rules)]
    if aggregate.needs_value:
        tests += _sameness(rules, share=share)
    if aggregate in _SPREAD:
        freedom = pl.col("entities") - 1
        accepted = f"at least {rules.min_dof + 1} entities"
        tests.append(_Test("dof", _filled() & (freedom < rules.min_dof), freedom, rules.min_dof, accepted))
    if aggregate in _ENDS or aggregate.is_point:
        tests += _extremes(_ENDS.get(aggregate, "point_holders"), rules)
    return tuple(tests)


def _filled() -> pl.Expr:
    return pl.col("rows") > 0


def _counting(asked: cells.Table, rules: Rules) -> list[_Test]:
    empty = (pl.col("rows") == 0) & ~_declared_empty(asked, rules)
    tests = [
        _Test(
            "min_count", _filled() & (pl.col("entities") < rules.min_entities), pl.col("entities"), rules.min_entities,
            f"at least {rules.min_entities} distinct entities with a value; merge groups or declare `repair: suppress`",
        ),
        _Test("zero_cell", empty, pl.col("rows"), 1, "no empty combination: merge groups, or have a zero declared"),
    ]  # fmt: skip
    if len(asked.dimensions) >= 2:
        whole = pl.any_horizontal(_holds_margin(asked, place) for place in range(len(asked.dimensions)))
        accepted = "a cell that is only a part of its margin: merge groups"
        tests.append(_Test("zero_cell", _filled() & whole, pl.col("rows"), 0, accepted))
    return tests


def _holds_margin(asked: cells.Table, place: int) -> pl.Expr:
    """Say whether a cell has all rows of its line along dimension `place`, where that line has other cells."""
    others = [key for key in asked.keys if key != f"d{place}"]
    several = pl.col(f"d{place}").n_unique() > 1
    return several & (pl.col("rows").sum().over(others) == pl.col("rows"))


def _declared_empty(asked: cells.Table, rules: Rules) -> pl.Expr:
    """Say whether a cell is one of the declared structural zeros; a declaration may leave columns out."""
    found = pl.lit(value=False)
    names = dict(zip(asked.dimensions, asked.keys, strict=False))
    for declared in rules.structural_zeros:
        if declared and all(name in names for name, _ in declared):
            found = found | pl.all_horizontal(
                pl.col(names[name]).cast(pl.String).eq_missing(pl.lit(label)) for name, label in declared
            )
    return found


def _dominance(rules: Rules) -> list[_Test]:
    share = pl.when(pl.col("absolute") > 0).then(pl.col("top_n") / pl.col("absolute")).otherwise(1.0)
    rest = pl.col("absolute") - pl.col("top_two")
    left = pl.when(pl.col("top_one") > 0).then(rest / pl.col("top_one")).otherwise(0.0)
    return [
        _Test(
            "dominance_nk",
            _filled() & (share >= rules.nk_k - _NOISE),
            share,
            rules.nk_k,
            f"less than {rules.nk_k} of the absolute total",
        ),
        _Test(
            "dominance_p",
            _filled() & (left < rules.p_percent),
            left,
            rules.p_percent,
            f"at least {rules.p_percent} of the largest",
        ),
    ]


def _sameness(rules: Rules, *, share: bool) -> list[_Test]:
    # Cells without a value are min_count's business.
    valued = pl.col("values") > 0
    accepted = "members who differ: merge groups"
    tests = [_Test("class_disclosure", valued & (pl.col("low") == pl.col("high")), pl.col("values"), 1, accepted)]
    if share:
        accepted = f"a share from {rules.share_low} to {rules.share_high}"
        for figure in (pl.col("net") / pl.col("values"), pl.col("positive") / pl.col("entities")):
            differ = valued & (pl.col("low") != pl.col("high"))
            tests += [
                _Test("class_disclosure", differ & (figure < rules.share_low), figure, rules.share_low, accepted),
                _Test("class_disclosure", differ & (figure > rules.share_high), figure, rules.share_high, accepted),
            ]
    return tests


def _beside_the_alike(rules: Rules) -> list[_Test]:
    """Ask that few never stand beside many whose value is known: less these, a sum or mean is that of the few.

    Known is a value that at least `min_entities` share and that is a cell's smallest or largest, or zero. Where a cell
    has two values alone its figure is a count of either, however few share the other.
    """
    two_valued = pl.col("at_low") + pl.col("at_high") == pl.col("entities")
    accepted = f"at least {rules.min_entities} entities beside those who share one value: merge groups"
    tests = []
    for name in ("at_low", "at_high", "at_zero"):
        others = pl.col("entities") - pl.col(name)
        known = pl.col(name) >= rules.min_entities
        if name != "at_zero":
            known = known | two_valued
        few = (pl.col("low") != pl.col("high")) & known & (others < rules.min_entities)
        tests.append(_Test("class_disclosure", (pl.col("values") > 0) & few, others, rules.min_entities, accepted))
    return tests


def _extremes(holders: str, rules: Rules) -> list[_Test]:
    held = pl.col(holders).fill_null(0)
    few = _filled() & (held < rules.extreme_entities)
    accepted = f"a value that at least {rules.extreme_entities} entities have: top- or bottom-code it"
    return [
        _Test("extreme", few, held, rules.extreme_entities, accepted),
        _Test("extreme", _filled() & ~few, held, rules.extreme_entities, "review by people", Severity.REVIEW),
    ]


def _findings(judged: pl.DataFrame, tests: Sequence[_Test], asked: cells.Table) -> Iterable[Finding]:
    """Return a finding for each cell and test that failed, at most MAX_FINDINGS a test."""
    for place, test in enumerate(tests):
        failed = judged.filter(pl.col(f"fails:{place}"))
        for row in failed.head(MAX_FINDINGS).iter_rows(named=True):
            cell = {name: _label(row[key]) for name, key in zip(asked.dimensions, asked.keys, strict=False)}
            yield Finding(test.rule, test.severity, test.accepted, cell, row[f"figure:{place}"], test.limit)
        if failed.height > MAX_FINDINGS:
            rest = failed.height - MAX_FINDINGS
            yield Finding(test.rule, test.severity, test.accepted, None, rest, 0, place=f"{rest} more cells")


def _label(value: object) -> str | None:
    return None if value is None else str(value)


def _cells(judged: pl.DataFrame, tests: Sequence[_Test], asked: cells.Table) -> pl.DataFrame:
    """Return the table of cells that the report shows."""
    failed = {
        severity: [pl.col(f"fails:{place}") for place, test in enumerate(tests) if test.severity is severity]
        for severity in Severity
    }
    verdict = (
        pl.when(pl.any_horizontal(failed[Severity.BLOCK]))
        .then(pl.lit(Verdict.BLOCK.value))
        .when(pl.any_horizontal(failed[Severity.REVIEW]) if failed[Severity.REVIEW] else pl.lit(value=False))
        .then(pl.lit(Verdict.REVIEW.value))
        .otherwise(pl.lit(Verdict.PASS.value))
    )
    named = [pl.col(key).alias(name) for name, key in zip(asked.dimensions, asked.keys, strict=False)]
    return judged.select(*named, "entities", "values", verdict.alias("verdict"))


def _repair_note(findings: Sequence[Finding], aggregate: Aggregate, rules: Rules) -> list[Finding]:
    if aggregate.needs_value or not any(finding.severity is Severity.BLOCK for finding in findings):
        return []
    return [Finding("rounding", Severity.NOTE, "merge groups, or declare `repair: suppress`", limit=rules.round_base)]
