"""Who works with data, for certain: a person behind each account, and the training before the job. Pure.

Words: an *identity* ties an account to one natural person by a keyed hash of his identity number, which itself is never
kept; a *training* (岗前培训, J23 art. 12(4)) is a proof that his own unit records and the authority confirms.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from shuzha.core.clock import end_of_day
from shuzha.core.errors import Invalid, NotAllowed
from shuzha.core.lifecycle import Lifecycle, Move

TRAINING_RULE = "J23 art. 12(4)"
IDENTITY_RULE = "staff.identity (House rule; rests on J23 art. 12(4) and Z20 art. 33)"


class TrainingState(StrEnum):
    """What the authority says of a proof of training."""

    RECORDED = "recorded"
    CONFIRMED = "confirmed"
    REFUSED = "refused"
    REVOKED = "revoked"


_T = TrainingState
TRAINING: Lifecycle[TrainingState] = Lifecycle(
    "training",
    TrainingState,
    _T.RECORDED,
    (
        Move("confirm", (_T.RECORDED,), _T.CONFIRMED, "analyst"),
        Move("refuse", (_T.RECORDED,), _T.REFUSED, "operator"),
        Move("revoke", (_T.CONFIRMED,), _T.REVOKED, "operator"),
    ),
)


@dataclass(frozen=True, slots=True)
class Identity:
    """The one natural person behind an account; `person` is a keyed hash, equal for the accounts of one person."""

    id: str
    account: str
    organisation: str
    person: str
    filed_by: str
    filed_at: dt.datetime
    revision: int = 0


@dataclass(frozen=True, slots=True)
class Training:
    """One proof: who was trained in what on which day, the hash of the paper, and until when it holds."""

    id: str
    account: str
    organisation: str
    course: str
    proof_sha256: str
    completed_on: dt.date
    valid_until: dt.datetime
    recorded_by: str
    recorded_at: dt.datetime
    state: TrainingState
    decided_by: str = ""
    reason: str = ""
    revision: int = 0

    def holds(self, at: dt.datetime) -> bool:
        """Return whether the training counts at this moment: confirmed, and not past its last day."""
        return self.state is TrainingState.CONFIRMED and at < self.valid_until


@dataclass(frozen=True, slots=True)
class Member:
    """One account as those see it who answer for its person; `trainings` is None for who may not read them."""

    id: str
    name: str
    organisation: str
    roles: frozenset[str]
    active: bool
    identity: Identity | None
    trainings: tuple[Training, ...] | None

    def is_trained(self, at: dt.datetime) -> bool:
        """Return whether a training of this person counts at this moment; never for who may not read them."""
        return any(one.holds(at) for one in self.trainings or ())


def check_training(course: str, proof_sha256: str, completed_on: dt.date, today: dt.date) -> None:
    """Refuse a proof without a course, without the hash of its paper, or of a day that is still to come."""
    if not 1 <= len(course.strip()) <= 200:
        raise Invalid("a training needs the name of its course", rule=TRAINING_RULE, accepted="1 to 200 characters")
    if len(proof_sha256) != 64 or not set(proof_sha256) <= set("0123456789abcdef"):
        raise Invalid(
            "a training needs the hash of its proof", rule=TRAINING_RULE, accepted="the SHA-256 of the file, in hex"
        )
    if completed_on > today:
        raise Invalid("the training is dated after today", rule=TRAINING_RULE, accepted="the day it was completed")


def training_end(completed_on: dt.date, years: int) -> dt.datetime:
    """Return the first moment at which a training of this day counts no more: its last day is the day before."""
    try:
        anniversary = completed_on.replace(year=completed_on.year + years)
    except ValueError:
        anniversary = dt.date(completed_on.year + years, 3, 1)
    return end_of_day(anniversary - dt.timedelta(days=1))


def check_ready(account: str, identity: Identity | None, trainings: Iterable[Training], at: dt.datetime) -> None:
    """Refuse a person whose name nobody has checked, or who was not trained before the job."""
    if identity is None:
        raise NotAllowed(
            f"the account {account} stands for no checked person", rule=IDENTITY_RULE,
            accepted="an administrator checks the identity document first",
        )  # fmt: skip
    found = tuple(trainings)
    if not any(one.holds(at) for one in found):
        known = ", ".join(f"{one.id} is {one.state if at < one.valid_until else 'out of date'}" for one in found)
        raise NotAllowed(
            f"the account {account} has no pre-job training in force{': ' + known if known else ''}",
            rule=TRAINING_RULE, accepted="a training that the unit records and the authority confirms",
        )  # fmt: skip
