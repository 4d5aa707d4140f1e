"""What the rules say of a regression, and the table of it that would leave."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import polars as pl
from scipy import special

from sandbox.airlock import labels
from sandbox.airlock.disclosure import check_table
from sandbox.airlock.findings import Finding, Severity, worst
from sandbox.airlock.formula import How, parse_formula
from sandbox.airlock.recompute import condition
from sandbox.airlock.regressions.design import Design, Numbers
from sandbox.airlock.regressions.fitting import Fit, NoFit, fit
from sandbox.airlock.rules import Rules
from sandbox.airlock.specification import Errors, Model, RegressionSpecification
from shuzha.core.errors import Invalid

DIGITS: Final = 6
EXACT: Final = 1e-12
SHARE: Final = 0.975


@dataclass(frozen=True, slots=True)
class Judged:
    """A regression as it would leave (None where there is no fit), and what the rules say of it."""

    frame: pl.DataFrame | None
    findings: tuple[Finding, ...]
    evidence: dict[str, Any]


def judge_regression(
    asked: RegressionSpecification, frame: pl.LazyFrame, *, entity: str | None, rules: Rules
) -> Judged:
    """Return the regression that a specification describes, fitted here, and what the rules say of it.

    Entities are of column `entity`, rows where there is none. Refuses columns that the release lacks or whose type does
    not fit, an outcome that is not zero or one where the model is logistic, and designs that are too wide.
    """
    formula = parse_formula(asked.formula)
    rows = frame.filter(condition(asked.where, frame.collect_schema()))
    design = Design(formula, rows, entity)
    _check_outcome(design, asked.model)
    findings = [*_of_outcome(design, asked, entity, rules), *_of_cells(design, entity, rules)]
    names = [column.name for column in design.columns]
    findings += labels.check_texts([*names, *(one for some in design.levels.values() for one in some)], "terms")
    try:
        found = fit(design, asked.model, asked.errors, rules.max_leverage)
    except NoFit as error:
        place = ", ".join(sorted({str(_term(design, one)) for one in error.columns})) or error.why
        accepted = f"terms that do not follow from each other, nor tell the outcome for certain: {error.why}"
        findings.append(Finding("leverage", Severity.BLOCK, accepted, None, 1.0, rules.max_leverage, place=place))
        return Judged(None, tuple(findings), _evidence(asked, rules, findings, None))
    findings += _of_fit(design, found, asked, rules)
    table = _table(design, found, asked, rules)
    return Judged(table, tuple(findings), _evidence(asked, rules, findings, found))


def _check_outcome(design: Design, model: Model) -> None:
    if model is Model.LOGISTIC:
        outcome = design.formula.outcome
        value = pl.col(outcome.column).cast(pl.Float64)
        fits = outcome.how is How.NUMBER and design.rows.select(value.is_in([0.0, 1.0]).all()).collect().item()
        if not fits:
            raise Invalid(
                f"outcome `{outcome.column}` is not zero or one", rule="airlock.regression", accepted="true or false"
            )


def _of_outcome(design: Design, asked: RegressionSpecification, entity: str | None, rules: Rules) -> Iterator[Finding]:
    """Yield what the rules say of the outcome over all rows: its mean follows from any fit."""
    name = design.formula.outcome.column
    if asked.model is Model.LINEAR:
        # Of an outcome of zero and one any share may be explained, if it is not that of a few.
        rules = replace(rules, share_low=0.0, share_high=1.0)
        report = check_table(design.rows, rows=[], value=name, aggregate="mean", entity=entity, rules=rules)
        wanted = {"dominance_nk", "dominance_p", "min_count", "zero_cell", "class_disclosure"}
        yield from (finding for finding in report.findings if finding.rule in wanted)
        return
    sides = design.rows.with_columns(pl.col(name).cast(pl.Float64).cast(pl.Int64).alias(name))
    report = check_table(sides, rows=[name], aggregate="count", entity=entity, rules=rules)
    yield from (finding for finding in report.findings if finding.rule in {"min_count", "zero_cell"})
    if report.cells.height == 1:
        yield Finding(
            "class_disclosure", Severity.BLOCK, "an outcome that differs", None, 1, 2, place=f"outcome {name}"
        )


def _of_cells(design: Design, entity: str | None, rules: Rules) -> Iterator[Finding]:
    """Yield what the rules say of the table of means that a saturated model of categories is."""
    formula = design.formula
    if any(factor.how is not How.CATEGORY for term in formula.terms for factor in term):
        return
    groups = list(formula.categories)
    patterns = design.rows.select(groups).unique().select(pl.len()).collect(engine="streaming").item() if groups else 1
    if patterns <= len(design.columns):
        value = formula.outcome.column
        report = check_table(design.rows, rows=groups, value=value, aggregate="mean", entity=entity, rules=rules)
        blocking = (finding for finding in report.findings if finding.severity is Severity.BLOCK)
        yield from (finding for finding in blocking if finding.rule != "zero_cell" or finding.figure == 0)


def _of_fit(design: Design, found: Fit, asked: RegressionSpecification, rules: Rules) -> Iterator[Finding]:
    if found.freedom < rules.min_dof:
        accepted = f"at least {rules.min_dof} more entities than columns"
        yield Finding("dof", Severity.BLOCK, accepted, None, found.freedom, rules.min_dof, place="residual")
    if found.leverage >= rules.max_leverage:
        accepted = f"no entity that has {rules.max_leverage} or more of its own fitted value: leave terms out"
        yield Finding("leverage", Severity.BLOCK, accepted, None, found.leverage, rules.max_leverage, place="an entity")
    yield from _of_columns(design, found, rules)
    if found.left <= EXACT:
        accepted = "terms that do not tell the outcome for certain"
        yield Finding("class_disclosure", Severity.BLOCK, accepted, None, found.explained, 1, place="the fit is exact")
    if not (np.isfinite(found.errors).all() and (found.errors > 0).all()):
        accepted = "standard errors that can be computed"
        yield Finding("standard_errors", Severity.BLOCK, accepted, place="a standard error is zero or none")
    if asked.errors is not Errors.CLUSTERED and found.rows > found.entities:
        accepted = "`errors`: clustered, as rows of one entity are not independent"
        yield Finding(
            "standard_errors",
            Severity.REVIEW,
            accepted,
            None,
            found.rows / max(found.entities, 1),
            1,
            place="rows of one",
        )


def _of_columns(design: Design, found: Fit, rules: Rules) -> Iterator[Finding]:
    """Yield the columns whose estimate is about a few entities: those that have it, lack it, or are compared with."""
    accepted = f"categories of at least {rules.min_entities} entities: merge some, or leave the term out"
    counts = [(column.name, found.present[at]) for at, column in enumerate(design.columns)]
    counts += [(f"not {column.name}", found.absent[at]) for at, column in enumerate(design.columns) if column.dummy]
    counts += [(f"{_term_text(design, term)}: others", count) for term, count in found.reference.items()]
    for name, count in counts:
        if count < rules.min_entities:
            yield Finding("min_count", Severity.BLOCK, accepted, None, count, rules.min_entities, place=f"term {name}")
        if count == 1:
            yield Finding(
                "leverage", Severity.BLOCK, "no term of one entity", None, 1.0, rules.max_leverage, place=f"term {name}"
            )


def _term(design: Design, place: int) -> str:
    """Return a column's term in the words of the formula: no category is named."""
    return _term_text(design, design.columns[place].term)


def _term_text(design: Design, term: int) -> str:
    return ":".join(map(str, design.formula.terms[term])) if term >= 0 else "intercept"


def _table(design: Design, found: Fit, asked: RegressionSpecification, rules: Rules) -> pl.DataFrame:
    """Return the estimates with errors, statistic, p and 95 % interval to six digits, then a row for each sum of it.

    Intervals are those of Student's t with the residual degrees of freedom, clustered ones with one less than there are
    entities; of a logistic model those of the normal distribution. Rows and entities are shown to the nearest
    `round_base`.
    """
    model = asked.model
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = found.estimates / found.errors
    if model is Model.LINEAR:
        clustered = asked.errors is Errors.CLUSTERED
        freedom = max(found.entities - 1 if clustered else found.rows - len(design.columns), 1)
        chance, wide = 2 * special.stdtr(freedom, -np.abs(statistic)), float(special.stdtrit(freedom, SHARE))
    else:
        chance, wide = 2 * special.ndtr(-np.abs(statistic)), float(special.ndtri(SHARE))
    columns = {
        "estimate": found.estimates, "std_error": found.errors, "statistic": statistic, "p_value": chance,
        "low": found.estimates - wide * found.errors, "high": found.estimates + wide * found.errors,
    }  # fmt: skip
    terms = pl.DataFrame({"term": [column.name for column in design.columns]} | {
        name: _digits(figures) for name, figures in columns.items()
    })  # fmt: skip
    base = rules.round_base
    rows, people = (float(base * round(count / base)) for count in (found.rows, found.entities))
    explained = "(r_squared)" if model is Model.LINEAR else "(pseudo_r_squared)"
    sums = {"(rows)": rows, "(entities)": people, explained: float(_digits(np.array([found.explained]))[0])}
    return pl.concat([terms, pl.DataFrame({"term": list(sums), "estimate": list(sums.values())})], how="diagonal")


def _digits(figures: Numbers) -> list[float]:
    return [float(f"{one:.{DIGITS}g}") for one in figures]


def _evidence(
    asked: RegressionSpecification, rules: Rules, findings: list[Finding], found: Fit | None
) -> dict[str, Any]:
    measured = {} if found is None else {
        "rows": found.rows, "entities": found.entities, "freedom": found.freedom, "leverage": found.leverage,
        "explained": found.explained,
    }  # fmt: skip
    return {
        "verdict": worst(findings).value, "model": asked.model.value, "formula": asked.formula,
        "rules": rules.as_dict(), "rules_version": rules.version, "measured": measured,
        "findings": [finding.as_dict() for finding in findings],
    }  # fmt: skip
