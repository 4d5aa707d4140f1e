"""What the pages of registrations call things: verbs, fields of sheets, kinds of cases, tasks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from products.registry.case_model import CaseKind
from products.registry.registration import Registration
from shuzha.portal.desk import Verb

_R = Registration
WAY = (_R.EVIDENCE, _R.APPLIED, _R.ACCEPTED, _R.FORMAL_REVIEW, _R.PUBLIC_NOTICE, _R.CODED, _R.VALID)
VERBS = (
    Verb("accept", "Accept the application"),
    Verb("pass", "Pass the formal review"),
    Verb("resume", "Let the notice run on"),
    Verb("object", "Object", reason=True, tone="bad"),
    Verb("code", "Give the code"),
    Verb("validate", "Put in force"),
    Verb("supplement", "Ask for a supplement", reason=True, tone="bad"),
    Verb("refuse", "Refuse the registration", reason=True, tone="bad"),
    Verb("withdraw", "Withdraw the application", reason=True, tone="bad"),
)
CASE_VERBS = (
    Verb("accept", "Accept the case"),
    Verb("grant", "Grant and do what is asked", reason=True),
    Verb("respond", "Say what you think of it", reason=True),
    Verb("supplement", "Ask for a supplement", reason=True, tone="bad"),
    Verb("refuse", "Refuse the case", reason=True, tone="bad"),
    Verb("withdraw", "Withdraw the case", reason=True, tone="bad"),
)
LABELS: Mapping[str, str] = {
    "title_zh": "Title in Chinese", "title_en": "Title in English", "answers": "What it answers",
    "refresh": "How often it is refreshed", "limits": "Limits of use", "contact": "Contact",
    "summary": "What the resource holds", "basis": "Legal basis of its collection",
}  # fmt: skip
FILING: tuple[tuple[CaseKind, str], ...] = (
    (CaseKind.CHANGE, "Change: what is registered changes"),
    (CaseKind.CORRECTION, "Correction: what is registered is wrong"),
    (CaseKind.RENEWAL, "Renewal: three more years"),
    (CaseKind.CANCELLATION, "Cancellation: the registration ends"),
)
REGISTRY_TURN: Mapping[Registration, str] = {
    _R.APPLIED: "Accept the registration",
    _R.ACCEPTED: "Review the registration",
    _R.FORMAL_REVIEW: "Put the registration on public notice",
    _R.HELD: "Answer the objection",
    _R.PUBLIC_NOTICE: "Give the code",
    _R.CODED: "Put the registration in force",
}
OPERATOR_TURN: Mapping[Registration, str] = {
    _R.EVIDENCE: "Apply for registration",
    _R.SUPPLEMENT: "Complete the application",
}
TASKS = (
    "Register the data resource", "Accept the case", "Decide the case", "Complete the case",
    "Say what you think of another's request", "Ask for the renewal of the registration",
    "Let the notice run on, or refuse",
)  # fmt: skip
CHECKED = (
    "the file served is the one deposited", "the release record has the hash that was deposited",
    "signed by the holder as it stands", "the evidence was deposited before the application",
    "every column used is one of the grant's", "every purpose is one of the grant's",
)  # fmt: skip
"""What a dossier rests on (`products.registry.dossier`)."""
LOOSE = ("differs", "filed", "day", "month", "term")


def _all() -> Iterator[str]:
    yield from (verb.label for verb in (*VERBS, *CASE_VERBS))
    yield from (*LABELS.values(), *REGISTRY_TURN.values(), *OPERATOR_TURN.values(), *TASKS, *CHECKED, *LOOSE)
    yield from (label for _, label in FILING)


ALL = tuple(_all())
