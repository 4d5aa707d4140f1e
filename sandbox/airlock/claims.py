"""The claims of a verification specification, judged like a table: by entity, against the same rules."""

from __future__ import annotations

from itertools import combinations

import polars as pl

from sandbox.airlock.findings import Finding, Severity
from sandbox.airlock.recompute import check_columns, condition
from sandbox.airlock.rules import Rules
from sandbox.airlock.specification import VerificationSpecification


def check_claims(
    verification: VerificationSpecification, frame: pl.LazyFrame, *, entity: str | None, rules: Rules
) -> tuple[Finding, ...]:
    """Return a finding for each claim that says too much.

    A claim true of too few, or false of too few, blocks (`min_count`); one true of nearly all or nearly none blocks
    (`class_disclosure`); two claims that differ by too few entities block (`differencing`). Without `entity` each
    subject is one. No finding holds what was counted: the count is of raw rows, and who could read it for claims of
    his own choice would read the rows. Refuses what `check_form` refuses.
    """
    schema = frame.collect_schema()
    check_form(verification, schema)
    check_columns(sorted({*verification.used_columns, *((entity,) if entity else ())}), schema)
    who = [entity] if entity else verification.subject
    answers = [
        condition(claim.where, schema).any().alias(f"a{place}") for place, claim in enumerate(verification.claims)
    ]
    by_entity = frame.drop_nulls([*verification.subject, *who]).group_by(who).agg(answers)
    pairs = list(combinations(range(len(answers)), 2))
    counts = by_entity.select(
        pl.len().alias("all"),
        *(pl.col(f"a{place}").sum().alias(f"true{place}") for place in range(len(answers))),
        *((pl.col(f"a{one}") != pl.col(f"a{two}")).sum().alias(f"differ{one}_{two}") for one, two in pairs),
    )
    found = counts.collect(engine="streaming").row(0, named=True)
    findings: list[Finding] = []
    for place, claim in enumerate(verification.claims):
        findings += _judge(claim.name, int(found[f"true{place}"] or 0), int(found["all"]), rules)
    for one, two in pairs:
        names = (verification.claims[one].name, verification.claims[two].name)
        findings += _difference(names, int(found[f"differ{one}_{two}"] or 0), rules)
    return tuple(findings)


def check_form(verification: VerificationSpecification, schema: pl.Schema) -> None:
    """Refuse columns that the data lacks and conditions of a wrong type; nothing is counted."""
    check_columns(sorted(verification.used_columns), schema)
    for claim in verification.claims:
        condition(claim.where, schema)


def _judge(name: str, true: int, everyone: int, rules: Rules) -> list[Finding]:
    place, findings = f"claim {name}", []
    for count, of_whom in ((true, "true"), (everyone - true, "false")):
        if count < rules.min_entities:
            accepted = f"a claim {of_whom} of at least {rules.min_entities} entities"
            findings.append(Finding("min_count", Severity.BLOCK, accepted, limit=rules.min_entities, place=place))
    share = true / everyone if everyone else 0.0
    accepted = f"a claim true of a share from {rules.share_low} to {rules.share_high}"
    if share < rules.share_low:
        findings.append(Finding("class_disclosure", Severity.BLOCK, accepted, limit=rules.share_low, place=place))
    if share > rules.share_high:
        findings.append(Finding("class_disclosure", Severity.BLOCK, accepted, limit=rules.share_high, place=place))
    return findings


def _difference(names: tuple[str, str], count: int, rules: Rules) -> list[Finding]:
    if not 0 < count < rules.min_difference:
        return []
    accepted = f"claims that are equal or differ by at least {rules.min_difference} entities"
    place = f"claims {names[0]}, {names[1]}"
    return [Finding("differencing", Severity.BLOCK, accepted, limit=rules.min_difference, place=place)]
