"""The registration of a product or of a data resource: its table of states, and what applicant and public say in it.

*Evidence* (存证) precedes the application. An *application* is made on a commitment letter; the registry *accepts* it
or asks for a *supplement*. After the formal review the registration is on *public notice*: an *objection* by anybody
holds it until it is answered. Change, correction, renewal and cancellation are cases of their own: `cases`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any, Protocol

from shuzha.core.errors import Conflict, Invalid
from shuzha.core.lifecycle import Lifecycle, Move

ACCEPTANCE_RULE = "registration.acceptance"
REVIEW_RULE = "registration.formal_review"
SUPPLEMENT_RULE = "registration.supplement"
NOTICE_RULE = "registration.public_notice"
OBJECTION_RULE = "registration.objection"
VALIDITY_RULE = "registration.validity"
RENEWAL_RULE = "registration.renewal"
LONGEST_TEXT = 2_000
LONGEST_REASON = 1_000
MOST_OBJECTIONS = 200


class Registration(StrEnum):
    """Where a registration stands (rules: 发改数据规〔2025〕26号, W25 art. 25)."""

    EVIDENCE = "evidence"
    APPLIED = "applied"
    SUPPLEMENT = "supplement"
    ACCEPTED = "accepted"
    FORMAL_REVIEW = "formal_review"
    PUBLIC_NOTICE = "public_notice"
    HELD = "held"
    CODED = "coded"
    VALID = "valid"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"


_R = Registration
BEFORE_CODE = (_R.EVIDENCE, _R.APPLIED, _R.SUPPLEMENT, _R.ACCEPTED, _R.FORMAL_REVIEW, _R.PUBLIC_NOTICE, _R.HELD)
REGISTERED = frozenset({_R.CODED, _R.VALID})
PUBLIC = frozenset({_R.PUBLIC_NOTICE, _R.HELD, _R.CODED, _R.VALID, _R.EXPIRED, _R.CANCELLED})
"""From its notice on, a registration is public."""


def make_registration(noun: str) -> Lifecycle[Registration]:
    """Return the table of the registration of one noun: `product` or `resource`."""
    return Lifecycle(
        noun,
        Registration,
        _R.EVIDENCE,
        [
            Move("amend", (_R.EVIDENCE,), _R.EVIDENCE, owner="operator"),
            Move("amend", (_R.SUPPLEMENT,), _R.SUPPLEMENT, owner="operator"),
            Move("apply", (_R.EVIDENCE, _R.SUPPLEMENT), _R.APPLIED, owner="registry", clock=ACCEPTANCE_RULE),
            Move("accept", (_R.APPLIED,), _R.ACCEPTED, owner="registry", clock=REVIEW_RULE),
            Move(
                "supplement", (_R.APPLIED, _R.ACCEPTED, _R.FORMAL_REVIEW, _R.HELD), _R.SUPPLEMENT, owner="operator",
                clock=SUPPLEMENT_RULE,
            ),
            Move("pass", (_R.ACCEPTED,), _R.FORMAL_REVIEW, owner="registry"),
            Move("announce", (_R.FORMAL_REVIEW,), _R.PUBLIC_NOTICE, owner="registry", clock=NOTICE_RULE),
            Move("object", (_R.PUBLIC_NOTICE, _R.HELD), _R.HELD, owner="registry", clock=OBJECTION_RULE),
            Move("answer", (_R.HELD,), _R.HELD, owner="registry"),
            Move("resume", (_R.HELD,), _R.PUBLIC_NOTICE, owner="registry", clock=NOTICE_RULE),
            Move("refuse", (_R.APPLIED, _R.ACCEPTED, _R.FORMAL_REVIEW, _R.HELD), _R.REFUSED),
            Move("withdraw", BEFORE_CODE, _R.WITHDRAWN),
            Move("code", (_R.PUBLIC_NOTICE,), _R.CODED, owner="registry"),
            Move("validate", (_R.CODED,), _R.VALID),
            Move("remind", (_R.VALID,), _R.VALID, owner="operator"),
            Move("change", (_R.VALID,), _R.VALID),
            Move("correct", (_R.VALID,), _R.VALID),
            Move("renew", (_R.VALID,), _R.VALID),
            Move("expire", (_R.VALID,), _R.EXPIRED),
            Move("cancel", (_R.CODED, _R.VALID), _R.CANCELLED),
        ],
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Agent:
    """Who applies in the applicant's name (代理机构): its name, its organisation's code, and the day of its mandate."""

    name: str
    code: str
    mandate: str


@dataclass(frozen=True, slots=True)
class Application:
    """What an applicant adds to the live records: what the thing is for, and who applies for him, where somebody does.

    Applying is at once the commitment that all of it is true (W25 art. 25); the letter is written from the records.
    """

    description: str = ""
    agent: Agent | None = None


@dataclass(frozen=True, slots=True)
class Commitment:
    """The commitment letter as it was given: its text, and the Ed25519 signature of the applicant's organisation."""

    text: str
    sha256: str
    organisation: str
    account: str
    at: dt.datetime
    key: str
    signature: str


class Outcome(StrEnum):
    """What became of an objection."""

    OPEN = "unanswered"
    UPHELD = "upheld"
    DISMISSED = "dismissed"


@dataclass(frozen=True, slots=True)
class Objector:
    """Who objects: `name` and `contact` are what a person writes who is not signed in; the registry alone sees them."""

    name: str
    contact: str = ""
    account: str = ""
    organisation: str = ""


@dataclass(frozen=True, slots=True)
class Objection:
    """One objection to a notice; `text` says why. Its id is the objector's receipt, and the answer is public."""

    id: str
    subject: str
    objector: Objector
    text: str
    filed_at: dt.datetime
    due: dt.date | None = None
    due_provisional: bool = False
    outcome: Outcome = Outcome.OPEN
    answer: str = ""
    answered_by: str = ""
    answered_at: dt.datetime | None = None
    revision: int = 0


class Registered(Protocol):
    """What the verbs of a registration ask of a record."""

    @property
    def id(self) -> str:
        """Its id."""
        ...

    @property
    def registration(self) -> Registration:
        """Where its registration stands."""
        ...

    @property
    def code(self) -> str | None:
        """Its code, once it has one."""
        ...

    @property
    def holder(self) -> str:
        """The organisation whose registration it is."""
        ...

    @property
    def author(self) -> str:
        """The account that deposited the evidence."""
        ...

    @property
    def notice_due(self) -> dt.date | None:
        """The last day of its public notice."""
        ...

    @property
    def valid_until(self) -> dt.date | None:
        """The last day on which it holds."""
        ...

    def title(self, language: str) -> str:
        """Return its name in a language."""
        ...


def check_texts(thing: str, record: object, rule: str, names: Iterable[str] | None = None) -> None:
    """Refuse a record of texts of which one is empty or too long; the error names the field."""
    for name in names if names is not None else (field.name for field in fields(record)):  # type: ignore[arg-type]
        text: Any = getattr(record, name)
        if not text.strip() or len(text) > LONGEST_TEXT:
            raise Invalid(
                f"{thing} leaves `{name}` empty or too long", rule=rule, accepted=f"1 to {LONGEST_TEXT} letters",
                field=name,
            )  # fmt: skip


def check_application(application: Application) -> None:
    """Refuse an application with too long a description, or with an agent that is not named."""
    if len(application.description) > LONGEST_TEXT:
        raise Invalid(
            "the application's description is too long", rule="registration.application",
            accepted=f"up to {LONGEST_TEXT} letters", field="description",
        )  # fmt: skip
    if application.agent is not None:
        check_texts("the agent of the application", application.agent, "registration.agent")


def check_objector(objector: Objector) -> None:
    """Refuse an objection by somebody who can't be answered: a name and a contact, or an account, are needed."""
    if objector.account:
        return
    check_texts("the objection", objector, "registration.objection", ("name", "contact"))


def check_reason(text: str) -> str:
    """Return a decision's reason; refuses an empty or too long one."""
    if not text.strip() or len(text) > LONGEST_REASON:
        raise Invalid(
            "a decision without a reason", rule="decision.reason", accepted="a sentence that says why", field="reason"
        )
    return text.strip()


def check_notice_over(found: Registered, today: dt.date) -> None:
    """Refuse a code before the public notice has run its working days, the last one included."""
    if found.notice_due is None or today <= found.notice_due:
        until = "without a notice" if found.notice_due is None else found.notice_due.isoformat()
        raise Invalid(
            f"cannot code {found.id}: its public notice runs to {until}",
            rule=NOTICE_RULE,
            accepted=f"a day after {until}",
            code="notice_running",
        )


def check_notice_open(found: Registered, today: dt.date) -> None:
    """Refuse an objection after the last day of a notice; a correction is asked for then."""
    if found.registration is Registration.PUBLIC_NOTICE and found.notice_due is not None and today > found.notice_due:
        raise Invalid(
            f"the public notice of {found.id} ended on {found.notice_due.isoformat()}", rule=NOTICE_RULE,
            accepted="a request for correction, once it has its code",
        )  # fmt: skip


def check_answered(found: Registered, objections: Iterable[Objection]) -> None:
    """Refuse to go on, to ask for a supplement or to refuse while an objection waits for its answer."""
    waiting = [one.id for one in objections if one.outcome is Outcome.OPEN]
    if waiting:
        raise Invalid(
            f"{len(waiting)} objections to {found.id} are not answered", rule=OBJECTION_RULE,
            accepted=f"an answer to {waiting[0]}",
        )  # fmt: skip


def check_not_upheld(found: Registered, objections: Iterable[Objection]) -> None:
    """Refuse that the same notice runs on after an objection that was right."""
    upheld = [one.id for one in objections if one.outcome is Outcome.UPHELD]
    if upheld:
        raise Invalid(
            f"objection {upheld[0]} to {found.id} was upheld: its notice cannot run on", rule=OBJECTION_RULE,
            accepted="a supplement, or a refusal",
        )  # fmt: skip


def check_first_objection(objector: Objector, standing: Iterable[Objection]) -> None:
    """Refuse a second open objection of one account, and more of them than anybody can answer."""
    found = list(standing)
    if objector.account and any(one.objector.account == objector.account for one in found):
        raise Conflict("you have objected already: the objection waits for its answer", rule=OBJECTION_RULE)
    if len(found) >= MOST_OBJECTIONS:
        raise Conflict(f"{len(found)} objections wait for an answer already", rule=OBJECTION_RULE)


def years_later(day: dt.date, years: int) -> dt.date:
    """Return the last day of a validity of so many years that begins on `day`."""
    try:
        return day.replace(year=day.year + years) - dt.timedelta(days=1)
    except ValueError:
        return dt.date(day.year + years, 2, 28)
