"""The tables of identities and trainings, and the questions that are asked of both."""

from __future__ import annotations

import datetime as dt

from policies import check_exclusive
from shuzha.core.errors import Conflict
from shuzha.core.records import Noun
from shuzha.core.work import Work
from shuzha.people.model import Account
from shuzha.people.staff import IDENTITY_RULE, TRAINING, Identity, Training, check_ready
from shuzha.people.store import ACCOUNTS

IDENTITIES = Noun("identities", Identity, unique=[("account",)], index=["person"])
TRAININGS = Noun("trainings", Training, lifecycle=TRAINING, index=["account", "organisation"])


def find_identity(work: Work, account: str) -> Identity | None:
    """Return the person behind an account, or None where nobody has checked."""
    return next(iter(work.list(IDENTITIES, account=account)), None)


def check_account_ready(work: Work, account: str, at: dt.datetime) -> None:
    """Refuse an account that may not enter a workspace yet: no checked person, or no training in force."""
    check_ready(account, find_identity(work, account), work.list(TRAININGS, account=account), at)


def organisations_of(work: Work, account: str) -> frozenset[str]:
    """Return the organisations of all accounts, also suspended ones, of the person behind one; none if unchecked."""
    identity = find_identity(work, account)
    known = () if identity is None else work.list(IDENTITIES, person=identity.person)
    return frozenset(one.organisation for one in known)


def check_separate(work: Work, account: Account, person: str, roles: frozenset[str]) -> None:
    """Refuse what one person would hold together over all accounts of his.

    Roles that exclude each other (Z20 art. 33: different people), and active accounts of two organisations: who acts
    for both sides decides on his own.
    """
    known = [one.account for one in work.list(IDENTITIES, person=person) if one.account != account.id]
    others = [work.get(ACCOUNTS, other) for other in known]
    check_exclusive(frozenset().union(*(other.roles for other in others)) | roles)
    if any(other.active and other.organisation != account.organisation for other in others):
        raise Conflict(
            f"the person of account {account.id} acts for another organisation already", rule=IDENTITY_RULE,
            accepted="the other account suspended first",
        )  # fmt: skip
