"""The tables of identities and trainings, and the questions that are asked of both."""

from __future__ import annotations

import datetime as dt

from policies import check_exclusive
from shuzha.core.records import Noun
from shuzha.core.work import Work
from shuzha.people.staff import TRAINING, Identity, Training, check_ready
from shuzha.people.store import ACCOUNTS

IDENTITIES = Noun("identities", Identity, unique=[("account",)], index=["person"])
TRAININGS = Noun("trainings", Training, lifecycle=TRAINING, index=["account", "organisation"])


def find_identity(work: Work, account: str) -> Identity | None:
    """Return the person behind an account, or None where nobody has checked."""
    return next(iter(work.list(IDENTITIES, account=account)), None)


def check_account_ready(work: Work, account: str, at: dt.datetime) -> None:
    """Refuse an account that may not enter a workspace yet: no checked person, or no training in force."""
    check_ready(account, find_identity(work, account), work.list(TRAININGS, account=account), at)


def check_separate(work: Work, account: str, person: str, roles: frozenset[str]) -> None:
    """Refuse roles that one person would hold together over all accounts of his (Z20 art. 33: different people)."""
    others = (one.account for one in work.list(IDENTITIES, person=person) if one.account != account)
    held = frozenset().union(*(work.get(ACCOUNTS, other).roles for other in others))
    check_exclusive(held | roles)
