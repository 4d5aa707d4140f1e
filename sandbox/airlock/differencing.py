"""What the memory says of outputs, as findings: an earlier output is too near; whose and what stays with reviewers.

An analyst learns that something that left before is too near to his output, and in which of his cells. How near it is
he learns where he could find out himself: from outputs of the same request or of his own unit. A count of those who are
in his population and not in another unit's would be a figure that never left.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from sandbox.airlock.findings import Finding, Severity
from sandbox.airlock.memory.comparing import How, Near
from sandbox.airlock.memory.service import SAME_REQUEST, Compared
from sandbox.airlock.rules import Rules

RULE: Final = "differencing"
EARLIER: Final = "an output that left before"

_ACCEPTED: Final = {
    How.PAIR: "populations that are equal to those of earlier outputs or differ by at least {limit} entities",
    How.COMBINATION: "figures that with earlier ones give none about fewer than {limit} entities",
    How.COUNTS: "counts that with earlier ones leave at least {limit} possible sizes to each small group",
    How.UNSURE: "figures whose combinations with earlier ones can be worked out, or people's judgement",
}


def findings_of(compared: Compared, rules: Rules, unit: str) -> tuple[Finding, ...]:
    """Return what an output's author may read of a comparison; `unit` is his organisation."""
    findings = [_finding(each, compared, rules, unit) for each in compared.near]
    if compared.unlike:
        accepted = "an entry whose rows say whose they are: rows of two releases cannot be told apart"
        findings.append(Finding(RULE, Severity.REVIEW, accepted, file=compared.name, place=EARLIER))
    return tuple(findings)


def evidence_of(compared: Compared) -> list[dict[str, Any]]:
    """Return the whole comparison for reviewers: figures, and which outputs of which requests and units came near."""
    return [
        {
            "how": each.how.value, "figure": each.figure,
            "cell": None if each.cell is None else compared.cells.get(each.cell),
            "earlier": list(_named(each, compared)),
        }
        for each in compared.near
    ]  # fmt: skip


def not_compared(names: Sequence[str]) -> dict[str, tuple[Finding, ...]]:
    """Return what is said of outputs whose comparison failed: a check that failed has not passed."""
    accepted = "outputs that the checker can compare with earlier ones"
    return {name: (Finding("checker_failed", Severity.BLOCK, accepted, file=name, place=RULE),) for name in names}


def _finding(near: Near, compared: Compared, rules: Rules, unit: str) -> Finding:
    known = all(
        name.startswith(SAME_REQUEST) or compared.earlier[name].organisation == unit for name in near.earlier
    )  # fmt: skip
    within = [name.removeprefix(SAME_REQUEST) for name in near.earlier if name.startswith(SAME_REQUEST)]
    others = [EARLIER] if len(within) < len(near.earlier) or not within else []
    place = f"outputs {', '.join([*sorted(within), compared.name])}" if within else ""
    claims = compared.claims
    return Finding(
        rule=RULE, severity=Severity.REVIEW if near.how is How.UNSURE else Severity.BLOCK,
        accepted=_ACCEPTED[near.how].format(limit=rules.min_difference),
        cell=None if near.cell is None else compared.cells.get(near.cell),
        figure=near.figure if known and not claims and near.how is not How.UNSURE else None,
        limit=rules.min_difference, file=compared.name, place="; ".join([*([place] if place else []), *others]),
    )  # fmt: skip


def _named(near: Near, compared: Compared) -> Iterator[dict[str, Any]]:
    for name in near.earlier:
        kept = compared.earlier.get(name)
        if kept is None:
            yield {"file": name.removeprefix(SAME_REQUEST)}
        else:
            yield {
                "kept": kept.id, "export": kept.export, "file": kept.file, "organisation": kept.organisation,
                "release": kept.release, "raw_version": kept.raw_version, "entities": kept.entities,
                "specification": kept.specification, "kept_at": kept.kept_at.isoformat(),
            }  # fmt: skip
