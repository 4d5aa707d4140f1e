"""Cases on a registration that has its code: what is asked, by whom, and how it is decided.

A *change* (变更) is asked by the holder, and needs the evidence of the new output where what is served changes; a
*renewal* (续期) too. A *correction* (更正) is asked by the holder or by anybody whom it concerns; a *cancellation*
(注销) by the holder or the authority. The registration changes when the case is granted, and not before.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from products.registry.model import Evidence
from products.registry.registration import ACCEPTANCE_RULE, LONGEST_TEXT, SUPPLEMENT_RULE
from shuzha.core.errors import Conflict, Invalid
from shuzha.core.lifecycle import Lifecycle, Move

CASE_RULE = "registration.case"
HEARING_RULE = "registration.hearing"


class CaseKind(StrEnum):
    """What is asked of a registration."""

    CHANGE = "change"
    CORRECTION = "correction"
    RENEWAL = "renewal"
    CANCELLATION = "cancellation"


VERBS: Mapping[CaseKind, str] = {
    CaseKind.CHANGE: "change", CaseKind.CORRECTION: "correct", CaseKind.RENEWAL: "renew",
    CaseKind.CANCELLATION: "cancel",
}  # fmt: skip
"""What a granted case does to its registration."""


class CaseState(StrEnum):
    """Where a case stands."""

    FILED = "filed"
    SUPPLEMENT = "supplement"
    ACCEPTED = "accepted"
    GRANTED = "granted"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"


_C = CaseState
OPEN = (_C.FILED, _C.SUPPLEMENT, _C.ACCEPTED)
CASE = Lifecycle(
    "case",
    CaseState,
    _C.FILED,
    [
        Move("supplement", (_C.FILED, _C.ACCEPTED), _C.SUPPLEMENT, clock=SUPPLEMENT_RULE),
        Move("complete", (_C.SUPPLEMENT,), _C.FILED, owner="registry", clock=ACCEPTANCE_RULE),
        Move("accept", (_C.FILED,), _C.ACCEPTED, owner="registry", clock=CASE_RULE),
        Move("respond", (_C.FILED,), _C.FILED, owner="registry"),
        Move("respond", (_C.SUPPLEMENT,), _C.SUPPLEMENT),
        Move("respond", (_C.ACCEPTED,), _C.ACCEPTED, owner="registry"),
        Move("grant", (_C.ACCEPTED,), _C.GRANTED),
        Move("refuse", (_C.FILED, _C.ACCEPTED), _C.REFUSED),
        Move("withdraw", OPEN, _C.WITHDRAWN),
    ],
)


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody asks: `changes` are fields of the sheet with their new text; `export` and `file` a new output."""

    kind: CaseKind
    reason: str
    changes: dict[str, str] = field(default_factory=dict)
    export: str = ""
    file: str = ""


@dataclass(frozen=True, slots=True)
class Case:
    """One case; `noun` is product or resource, `holder` whose registration it is, `organisation` who asks.

    `before` holds what the fields said when it was asked. `response` is what the holder says to another's request.
    """

    id: str
    noun: str
    subject: str
    kind: CaseKind
    holder: str
    organisation: str
    author: str
    reason: str
    changes: dict[str, str]
    before: dict[str, str]
    filed_at: dt.datetime
    state: CaseState = CaseState.FILED
    export: str = ""
    file: str = ""
    evidence: Evidence | None = None
    due: dt.date | None = None
    provisional_due: bool = False
    response: str = ""
    responded_at: dt.datetime | None = None
    response_due: dt.date | None = None
    decision: str = ""
    decided_by: str = ""
    decided_at: dt.datetime | None = None
    revision: int = 0

    @property
    def is_foreign(self) -> bool:
        """Whether somebody else than the holder asks, so that the holder is heard."""
        return self.organisation != self.holder


def check_asked(asked: Asked, sheet: object, *, holder: bool) -> None:
    """Refuse what the kind of case does not allow: see each sentence."""
    whole = {CaseKind.RENEWAL, CaseKind.CANCELLATION}
    if asked.kind in whole and (asked.changes or asked.export):
        raise Invalid(
            f"a {asked.kind.value} changes no field and no output", rule="registration.case", accepted="a change"
        )
    if asked.kind is CaseKind.CORRECTION and asked.export:
        raise Invalid("a correction serves no new output", rule="registration.case", accepted="a change")
    if asked.kind in {CaseKind.CHANGE, CaseKind.RENEWAL} and not holder:
        raise Invalid(
            f"a {asked.kind.value} is asked by whose registration it is", rule="registration.case",
            accepted="a correction, or an objection",
        )  # fmt: skip
    if asked.kind is CaseKind.CORRECTION and not asked.changes:
        raise Invalid("a correction names no field", rule="registration.case", accepted="a field and its right text")
    if bool(asked.export) is not bool(asked.file):
        raise Invalid("a new output is named by its export and its file", rule="registration.case")
    _check_changes(asked.changes, sheet)


def check_unchanged(case: Case, sheet: object) -> None:
    """Refuse to decide on fields that were changed by another case since this one was asked."""
    for name, text in case.before.items():
        if getattr(sheet, name) != text:
            raise Conflict(
                f"field `{name}` was changed since case {case.id} was filed", rule="registration.case",
                accepted="a refusal, or a new case",
            )  # fmt: skip


def check_heard(case: Case, today: dt.date) -> None:
    """Refuse to grant another's request before the holder was heard, or had its days to be (W25 art. 10(3))."""
    if case.is_foreign and case.responded_at is None and case.response_due and today <= case.response_due:
        raise Invalid(
            f"the holder of {case.subject} has until {case.response_due.isoformat()} to be heard", rule=HEARING_RULE,
            accepted="its response, or a day after",
        )  # fmt: skip


def changed_sheet(sheet: Any, changes: Mapping[str, str]) -> Any:
    """Return a sheet with these fields changed."""
    return replace(sheet, **changes) if changes else sheet


def texts_of(sheet: object, names: Mapping[str, str]) -> dict[str, str]:
    """Return what these fields of a sheet say."""
    return {name: str(getattr(sheet, name)) for name in names}


def _check_changes(changes: Mapping[str, str], sheet: object) -> None:
    known = tuple(getattr(sheet, "__dataclass_fields__", ()))
    for name, text in changes.items():
        if name not in known:
            raise Invalid("the case names an unknown field", rule="registration.case", accepted=", ".join(known))
        if not text.strip() or len(text) > LONGEST_TEXT:
            raise Invalid(
                f"the case leaves `{name}` empty or too long", rule="registration.case",
                accepted=f"1 to {LONGEST_TEXT} letters", field=name,
            )  # fmt: skip
        if getattr(sheet, name) == text:
            raise Invalid(f"the case leaves `{name}` as it is", rule="registration.case", field=name)
