"""What supervision is made of: alerts that the platform raises, orders that a supervisor places, notices to buyers.

An *alert* says that use looks odd, with its figures, and waits for a person. An *order* is one decision that takes
something out of use at once (suspend), or also tells whoever bought it (recall). A *notice* is what one buyer was told,
and its *receipt* who has read it. A *requirement* is what an operating unit asks a provider to mend (J23 art. 11).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from shuzha.core.errors import Invalid
from shuzha.core.lifecycle import Lifecycle, Move

ANSWER_RULE = "requirement.answer"
FIX_RULE = "requirement.fix"
MAX_WORDS = 2000


class AlertKind(StrEnum):
    """What looks odd."""

    VOLUME = "sudden_volume"
    NIGHT = "night_scan"
    NEGATIVES = "negative_flood"
    KEYS = "many_keys"
    ENUMERATION = "enumeration"


class AlertState(StrEnum):
    """Whether somebody has seen to it."""

    OPEN = "open"
    LOOKED_AT = "looked_at"
    CLOSED = "closed"
    ACTED = "acted"


ALERT = Lifecycle(
    "alert",
    AlertState,
    AlertState.OPEN,
    [
        Move("look", (AlertState.OPEN,), AlertState.LOOKED_AT, owner="regulator"),
        Move("close", (AlertState.OPEN, AlertState.LOOKED_AT), AlertState.CLOSED),
        Move("act", (AlertState.OPEN, AlertState.LOOKED_AT), AlertState.ACTED),
    ],
)


@dataclass(frozen=True, slots=True)
class Alert:
    """One oddity of one consumer at one product in a span; `figures` are counts and limits, never what was asked."""

    id: str
    kind: AlertKind
    consumer: str
    product: str
    key: str
    window: str
    figures: dict[str, float]
    raised_at: dt.datetime
    state: AlertState = AlertState.OPEN
    seen_by: str = ""
    seen_at: dt.datetime | None = None
    reason: str = ""
    order: str = ""
    revision: int = 0


@dataclass(frozen=True, slots=True)
class AlertRule:
    """The limits of one kind of alert, as the regulator set them; `id` is the kind."""

    id: str
    values: dict[str, float]
    set_by: str
    set_at: dt.datetime
    reason: str
    revision: int = 0


DEFAULT_RULES: Mapping[AlertKind, Mapping[str, float]] = {
    AlertKind.VOLUME: {"least_uses": 200, "times_usual": 5, "days_of_history": 7},
    AlertKind.NIGHT: {"least_uses": 100, "share": 0.5, "from_hour": 23, "to_hour": 5},
    AlertKind.NEGATIVES: {"least_uses": 50, "share": 0.8},
    AlertKind.KEYS: {"keys_a_day": 10},
    AlertKind.ENUMERATION: {},
}
"""What holds until the regulator sets others; every value can be set, and no other name."""


def check_rule(kind: AlertKind, values: Mapping[str, float]) -> dict[str, float]:
    """Return the whole values of a rule; refuses a name that the kind does not have, and figures out of range."""
    known = DEFAULT_RULES[kind]
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise Invalid(
            f"alerts of kind {kind.value} have no limit `{unknown[0][:40]}`", rule="alert.rule",
            accepted=", ".join(known) or "none",
        )  # fmt: skip
    for name, value in values.items():
        highest = 1 if name == "share" else 23 if name.endswith("_hour") else 10**9
        least = 0 if name.endswith("_hour") else 0.01 if name == "share" else 1
        if not least <= value <= highest:
            raise Invalid(f"the limit `{name}` is out of range", rule="alert.rule", accepted=f"{least} to {highest}")
    return {**known, **{name: float(value) for name, value in values.items()}}


class OrderVerb(StrEnum):
    """What an order does."""

    SUSPEND = "suspend"
    RECALL = "recall"


class OrderKind(StrEnum):
    """What an order is about."""

    PRODUCT = "product"
    AUTHORIZATION = "authorization"
    KEY = "key"
    CONSUMER = "consumer"
    EXPORT = "export"


RECALLED = frozenset({OrderKind.PRODUCT, OrderKind.AUTHORIZATION, OrderKind.EXPORT})


@dataclass(frozen=True, slots=True)
class Hit:
    """One thing that an order took out of use: `done`, or `already` where it was; else why it could not."""

    kind: str
    id: str
    what: str


@dataclass(frozen=True, slots=True)
class Order:
    """One decision, what it hit, and when all of it was out of use; `alert` is what led to it."""

    id: str
    verb: OrderVerb
    kind: OrderKind
    subject: str
    reason: str
    decided_by: str
    organisation: str
    decided_at: dt.datetime
    hits: tuple[Hit, ...] = ()
    done_at: dt.datetime | None = None
    alert: str = ""
    revision: int = 0


@dataclass(frozen=True, slots=True)
class Notice:
    """What one buyer is told of a recall, and its receipt: who read it, and when."""

    id: str
    order: str
    consumer: str
    products: tuple[str, ...]
    uses: int
    reason: str
    sent_at: dt.datetime
    received_by: str = ""
    received_at: dt.datetime | None = None
    revision: int = 0


class Lack(StrEnum):
    """What is wrong with data, in an operating unit's eyes."""

    MISSING = "missing_values"
    WRONG = "wrong_values"
    LATE = "out_of_date"
    UNCLEAR = "unclear_meaning"
    FORM = "irregular_form"
    OTHER = "other"


class RequirementState(StrEnum):
    """Whose turn it is with a requirement."""

    RAISED = "raised"
    ACCEPTED = "accepted"
    ORDERED = "ordered"
    FIXED = "fixed"
    DECLINED = "declined"
    SETTLED = "settled"
    WITHDRAWN = "withdrawn"


_S = RequirementState
REQUIREMENT = Lifecycle(
    "requirement",
    RequirementState,
    _S.RAISED,
    [
        Move("accept", (_S.RAISED,), _S.ACCEPTED, owner="provider", clock=FIX_RULE),
        Move("decline", (_S.RAISED,), _S.DECLINED, owner="authority"),
        Move("order", (_S.RAISED, _S.DECLINED, _S.ACCEPTED), _S.ORDERED, owner="provider", clock=FIX_RULE),
        Move("fix", (_S.ACCEPTED, _S.ORDERED), _S.FIXED, owner="operator"),
        Move("reopen", (_S.FIXED,), _S.RAISED, owner="provider", clock=ANSWER_RULE),
        Move("settle", (_S.FIXED, _S.DECLINED), _S.SETTLED),
        Move("withdraw", (_S.RAISED, _S.ACCEPTED, _S.ORDERED, _S.DECLINED), _S.WITHDRAWN),
    ],
)


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a requirement: what was done, by whom, when, and what was said."""

    verb: str
    by: str
    organisation: str
    at: dt.datetime
    said: str


@dataclass(frozen=True, slots=True)
class Requirement:
    """What an operating unit asks of an entry's provider; `columns` are names, `workspace` where it was raised."""

    id: str
    entry: str
    provider: str
    operator: str
    author: str
    grant: str
    workspace: str
    lack: Lack
    columns: tuple[str, ...]
    text: str
    raised_at: dt.datetime
    state: RequirementState = _S.RAISED
    due: dt.date | None = None
    due_provisional: bool = False
    steps: tuple[Step, ...] = field(default=())
    revision: int = 0


def check_words(text: str) -> str:
    """Return the words without blanks around them; refuses none and too many."""
    if not text.strip() or len(text) > MAX_WORDS:
        raise Invalid("the words are empty or too long", rule="decision.reason", accepted=f"1 to {MAX_WORDS} letters")
    return text.strip()
