"""Whether a unit may be authorized at all: the facts of J23 art. 9 as checked records with their days.

Each fact is looked up for the unit or for its *head*, the legal representative; a record says of whom, where, on which
day and what was found. A record goes stale: the rule `authorization.lookup` says after how many working days.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from shuzha.core.calendar import Due
from shuzha.core.errors import Invalid
from shuzha.core.lawbook import LawBook

STRICT = {"extra": "forbid"}
RULE = "J23 art. 9"
LOOKUP_RULE = "authorization.lookup"
USUAL_SOURCE = "国家企业信用信息公示系统"


class Fact(StrEnum):
    """What is looked up before a unit qualifies (J23 art. 9), each with the day of the evidence."""

    OPERATION = "operation"
    COMPETENCE = "competence"
    VIOLATIONS = "violations"
    DISHONESTY = "dishonesty"
    DISHONESTY_HEAD = "dishonesty_head"
    TAX = "tax"
    TAX_HEAD = "tax_head"


OF_HEAD = frozenset({Fact.DISHONESTY_HEAD, Fact.TAX_HEAD})


@dataclass(frozen=True, slots=True)
class Check:
    """One looked-up fact: whether it speaks for the unit, the day, where it was found, and of whom.

    `subject` is written by the platform: the unit's id, or its legal representative for a fact of the head.
    """

    __pydantic_config__ = STRICT
    fact: Fact
    clear: bool
    day: dt.date
    evidence: str = ""
    source: str = USUAL_SOURCE
    subject: str = ""


def name_subjects(checks: Iterable[Check], unit: str, head: str) -> tuple[Check, ...]:
    """Return the checks with the one each is about, whatever they said themselves."""
    return tuple(replace(check, subject=head if check.fact in OF_HEAD else unit) for check in checks)


def check_facts(checks: Iterable[Check], today: dt.date, law: LawBook | None = None) -> None:
    """Refuse facts that are missing, given twice, unsourced, of the future, stale, or that speak against the unit."""
    found: dict[Fact, Check] = {}
    for check in checks:
        if check.fact in found:
            raise Invalid(f"the fact `{check.fact}` is given twice", rule=RULE)
        found[check.fact] = check
    missing = [fact.value for fact in Fact if fact not in found]
    if missing:
        raise Invalid(f"not looked up: {', '.join(missing)}", rule=RULE, accepted=", ".join(Fact))
    for check in found.values():
        if check.day > today:
            raise Invalid(f"the evidence of `{check.fact}` is dated after today", rule=RULE)
        if not check.source.strip():
            raise Invalid(f"`{check.fact}` does not say where it was looked up", rule=RULE, accepted="the source")
        if law is not None:
            _check_fresh(check, today, law)
        if not check.clear:
            raise Invalid(f"`{check.fact}` speaks against the unit: it does not qualify", rule=RULE, accepted="reject")


def _check_fresh(check: Check, today: dt.date, law: LawBook) -> None:
    rule = law.get_rule(LOOKUP_RULE)
    last: Due = law.calendar.due(check.day, rule.days or 0)
    if today > last.date:
        raise Invalid(
            f"`{check.fact}` was looked up on {check.day.isoformat()}, more than {rule.days} working days ago",
            rule=rule.citation(), accepted="a fresh look-up",
        )  # fmt: skip


def clear_checks(day: dt.date) -> tuple[Check, ...]:
    """Return every fact of J23 art. 9 as looked up on `day` and clear: a form's starting point, and a test's."""
    return tuple(Check(fact, clear=True, day=day) for fact in Fact)
