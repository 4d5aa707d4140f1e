"""Authorization, demand and grant: their lifecycles, their records, and what makes them fit.

Words: an *authorization* (授权) lets an operating unit use entries under an agreement; a *demand* (场景需求) asks for
columns of one of these entries for one scenario (J23 art. 16: no scenario, no data); a *grant* (授予) is a demand that
the authority checked and the provider allowed, and its scope is what the policy layer enforces.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from policies import OWN_FILE, Hours, Narrowing, Quota, Scope
from shuzha.authorization.agreement import STRICT, Agreement, Operation, OutputKind, Place, Term
from shuzha.authorization.announcement import Mode
from shuzha.authorization.assessment import Report
from shuzha.authorization.evidence import Evidence
from shuzha.authorization.qualification import Check
from shuzha.core.conditions import Condition, check_conditions
from shuzha.core.errors import Invalid
from shuzha.core.lifecycle import Lifecycle, Move


class AuthorizationState(StrEnum):
    """Where an authorization stands between its application and its end."""

    APPLIED = "applied"
    QUALIFIED = "qualified"
    REVIEWED = "reviewed"
    APPROVED = "approved"
    PUBLICIZED = "publicized"
    SIGNED = "signed"
    ACTIVE = "active"
    SUSPENDED = "suspended"
    EXPIRED = "expired"
    TERMINATED = "terminated"
    WITHDRAWN = "withdrawn"
    REJECTED = "rejected"


_A = AuthorizationState
UNDECIDED = (_A.APPLIED, _A.QUALIFIED, _A.REVIEWED, _A.APPROVED, _A.PUBLICIZED)
IN_FORCE = (_A.ACTIVE, _A.SUSPENDED)

AUTHORIZATION: Lifecycle[AuthorizationState] = Lifecycle(
    "authorization",
    AuthorizationState,
    _A.APPLIED,
    (
        Move("qualify", (_A.APPLIED,), _A.QUALIFIED, "authority"),
        Move("review", (_A.QUALIFIED,), _A.REVIEWED, "authority"),
        Move("approve", (_A.REVIEWED,), _A.APPROVED, "authority"),
        Move("publicize", (_A.APPROVED,), _A.PUBLICIZED, "operator"),
        Move("sign", (_A.PUBLICIZED,), _A.SIGNED, "authority"),
        Move("countersign", (_A.SIGNED,), _A.ACTIVE, "operator"),
        Move("suspend", (_A.ACTIVE,), _A.SUSPENDED, "authority"),
        Move("restore", (_A.SUSPENDED,), _A.ACTIVE, "operator"),
        Move("expire", IN_FORCE, _A.EXPIRED),
        Move("terminate", IN_FORCE, _A.TERMINATED),
        Move("withdraw", (*UNDECIDED, _A.SIGNED, *IN_FORCE), _A.WITHDRAWN),
        Move("reject", UNDECIDED, _A.REJECTED),
    ),
)


class DemandState(StrEnum):
    """Where a demand for data stands."""

    DRAFT = "draft"
    SUBMITTED = "submitted"
    CHECKED = "checked"
    GRANTED = "granted"
    REFUSED = "refused"
    CLOSED = "closed"


_D = DemandState
DEMAND: Lifecycle[DemandState] = Lifecycle(
    "demand",
    DemandState,
    _D.DRAFT,
    (
        Move("change", (_D.DRAFT,), _D.DRAFT, "operator"),
        Move("submit", (_D.DRAFT,), _D.SUBMITTED, "authority", clock="demand.review"),
        Move("return", (_D.SUBMITTED, _D.CHECKED), _D.DRAFT, "operator"),
        Move("check", (_D.SUBMITTED,), _D.CHECKED, "provider", clock="demand.review"),
        Move("grant", (_D.CHECKED,), _D.GRANTED, "operator"),
        Move("refuse", (_D.SUBMITTED, _D.CHECKED), _D.REFUSED, "operator"),
        Move("close", (_D.DRAFT, _D.SUBMITTED, _D.CHECKED, _D.GRANTED, _D.REFUSED), _D.CLOSED),
    ),
)


class GrantState(StrEnum):
    """Whether a grant's own record is in force; the state of its authorization comes on top of it."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    CLOSED = "closed"


_G = GrantState
GRANT: Lifecycle[GrantState] = Lifecycle(
    "grant",
    GrantState,
    _G.ACTIVE,
    (
        Move("suspend", (_G.ACTIVE,), _G.SUSPENDED, "authority"),
        Move("restore", (_G.SUSPENDED,), _G.ACTIVE, "operator"),
        Move("close", (_G.ACTIVE, _G.SUSPENDED), _G.CLOSED),
    ),
)


@dataclass(frozen=True, slots=True)
class Signature:
    """One organisation's signature over the canonical document; `key` and `value` are hex."""

    organisation: str
    account: str
    at: dt.datetime
    algorithm: str
    key: str
    value: str
    document: str


@dataclass(frozen=True, slots=True)
class Application:
    """What an operating unit applies with under an announcement; `agreement` is its proposal.

    `renews` names the authorization that this one is to follow: a renewal is a new application (J23 art. 10(5)).
    """

    __pydantic_config__ = STRICT
    announcement: str
    title: str
    legal_representative: str
    responsible_person: str
    training_proof: str
    agreement: Agreement
    renews: str = ""


@dataclass(frozen=True, slots=True)
class Authorization:
    """One authorization, from application to end; `document` is the SHA-256 of what was signed.

    `notice_until` is the last day of its public notice, `filing` the number under which the signed agreement is filed,
    `reminded_on` the day on which the platform reminded of its renewal.
    """

    id: str
    operator: str
    title: str
    mode: Mode
    field: str
    responsible_person: str
    training_proof: str
    agreement: Agreement
    providers: tuple[str, ...]
    applicant: str
    state: AuthorizationState
    applied_at: dt.datetime
    valid_from: dt.datetime
    valid_until: dt.datetime
    authority: str = ""
    checks: tuple[Check, ...] = ()
    score: int | None = None
    approval: str = ""
    document: str = ""
    signatures: tuple[Signature, ...] = ()
    due: dt.date | None = None
    due_provisional: bool = False
    reason: str = ""
    announcement: str = ""
    legal_representative: str = ""
    renews: str = ""
    evidence: tuple[Evidence, ...] = ()
    report: Report | None = None
    approved_on: dt.date | None = None
    notice_until: dt.date | None = None
    notice_provisional: bool = False
    filing: str = ""
    reminded_on: dt.date | None = None
    revision: int = 1


@dataclass(frozen=True, slots=True)
class DemandDraft:
    """What a demand asks for: one entry's columns and rows, for one scenario of one authorization.

    `joins` are entries, or `own-file`, that the data may be joined with (own files only, where the operation `join` is
    asked and none is named); `hours` and `quota` hold for all of it, `narrowed` for one operation or form of product.
    """

    __pydantic_config__ = STRICT
    authorization: str
    entry: str
    scenario: str
    value: str
    columns: tuple[str, ...]
    operations: tuple[Operation, ...]
    output_kinds: tuple[OutputKind, ...]
    purposes: tuple[str, ...]
    term: Term
    row_filter: tuple[Condition, ...] = ()
    places: tuple[Place, ...] = (Place.WORKSPACE, Place.API)
    joins: tuple[str, ...] = ()
    hours: Hours | None = None
    quota: Quota | None = None
    narrowed: tuple[Narrowing, ...] = ()


@dataclass(frozen=True, slots=True)
class Demand:
    """One demand for data for one scenario, and who answers it by when."""

    id: str
    authorization: str
    operator: str
    author: str
    provider: str
    entry: str
    content: DemandDraft
    state: DemandState
    due: dt.date | None = None
    due_provisional: bool = False
    reason: str = ""
    grant: str = ""
    revision: int = 1


@dataclass(frozen=True, slots=True)
class Grant:
    """What a demand was granted: the scope that every decision on its data asks."""

    id: str
    demand: str
    authorization: str
    operator: str
    provider: str
    entry: str
    scope: Scope
    row_filter: tuple[Condition, ...]
    valid_until: dt.datetime
    state: GrantState
    reason: str = ""
    revision: int = field(default=1)


def check_application(application: Application) -> None:
    """Refuse an application without a title, named heads (J23 art. 9, 18) or proof of training (J23 art. 12(4))."""
    needed = (
        ("title", "J23 art. 10"), ("legal_representative", "J23 art. 9"), ("responsible_person", "J23 art. 18"),
        ("training_proof", "J23 art. 12(4)"),
    )  # fmt: skip
    for name, rule in needed:
        if not str(getattr(application, name)).strip():
            raise Invalid(f"the application leaves `{name}` empty", rule=rule, accepted=f"its {name.replace('_', ' ')}")


LONGEST_REASON = 4_000


def check_reason(reason: str) -> None:
    """Refuse a decision that gives no reason."""
    if not reason.strip():
        raise Invalid(
            "a decision without a reason", rule="decision.reason", accepted="a sentence that says why",
            field="reason",
        )  # fmt: skip
    if len(reason) > LONGEST_REASON:
        raise Invalid(
            "the reason of a decision is too long", rule="decision.reason", accepted=f"{LONGEST_REASON} characters",
            field="reason",
        )  # fmt: skip


def check_notice_over(found: Authorization, today: dt.date) -> None:
    """Refuse a signature while the approved authorization is on public notice (W25 art. 20)."""
    if found.notice_until is not None and today <= found.notice_until:
        raise Invalid(
            f"the public notice of {found.id} runs until {found.notice_until.isoformat()}", rule="W25 art. 20",
            accepted="a signature after that day",
        )  # fmt: skip


def check_demand_fits(draft: DemandDraft, agreement: Agreement, elements: Iterable[str]) -> None:
    """Refuse a demand without a scenario, or one that asks for more than agreement and entry hold (J23 art. 16)."""
    for name in ("scenario", "value"):
        if not getattr(draft, name).strip():
            raise Invalid(
                f"the demand leaves `{name}` empty", rule="J23 art. 16", accepted="a clear scenario and its value"
            )
    known = tuple(elements)
    _check_within("entries", (draft.entry,), agreement.entries, agreement)
    _check_columns(draft, known)
    _check_within("operations", draft.operations, agreement.operations, agreement)
    _check_within("output_kinds", draft.output_kinds, agreement.output_kinds, agreement)
    _check_within("purposes", draft.purposes, agreement.purposes, agreement)
    if not draft.places:
        raise Invalid("the demand names no place", rule="J23 art. 15", accepted=", ".join(Place), field="places")
    _check_joins(draft, agreement)
    check_conditions(draft.row_filter, known)
    if draft.term.valid_until < draft.term.valid_from or not agreement.term.contains(draft.term):
        raise Invalid(
            "the demand's term is not within the authorization's", rule=agreement.clause("term").citation(),
            accepted=f"{agreement.term.valid_from.isoformat()} to {agreement.term.valid_until.isoformat()}",
            field="valid_until",
        )  # fmt: skip


def _check_joins(draft: DemandDraft, agreement: Agreement) -> None:
    if draft.joins and Operation.JOIN not in draft.operations:
        raise Invalid(
            "the demand names what to join and does not ask to join", rule="demand.joins", accepted="join",
            field="operations",
        )  # fmt: skip
    for partner in draft.joins:
        if partner != OWN_FILE and partner not in agreement.entries:
            raise Invalid(
                f"the demand joins `{partner}`, which the agreement does not hold",
                rule=agreement.clause("entries").citation(), accepted=", ".join((OWN_FILE, *agreement.entries)),
            )  # fmt: skip


def _check_columns(draft: DemandDraft, known: tuple[str, ...]) -> None:
    if not draft.columns or len(set(draft.columns)) != len(draft.columns):
        raise Invalid(
            "the demand names no column, or one of them twice", rule="demand.columns", accepted=", ".join(known),
            field="columns",
        )  # fmt: skip
    for column in draft.columns:
        if column not in known:
            raise Invalid(
                f"the demand names the column `{column}`, which entry {draft.entry} does not have",
                rule="demand.columns", accepted=", ".join(known),
            )  # fmt: skip


def _check_within(part: str, asked: tuple[str, ...], allowed: tuple[str, ...], agreement: Agreement) -> None:
    if not asked:
        raise Invalid(
            f"the demand names no {part}", rule=agreement.clause(part).citation(), accepted=", ".join(allowed)
        )
    for value in asked:
        if value not in allowed:
            raise Invalid(
                f"the demand asks for {part} `{value}`, which the agreement does not hold",
                rule=agreement.clause(part).citation(), accepted=", ".join(allowed),
            )  # fmt: skip
