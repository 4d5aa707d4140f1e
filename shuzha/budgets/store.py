"""The tables of budgets and spends."""

from __future__ import annotations

from shuzha.budgets.model import Budget, Spend
from shuzha.core.records import Noun
from shuzha.core.work import Work

BUDGETS: Noun[Budget] = Noun("budgets", Budget, unique=[("entry", "authorization")])
SPENDS: Noun[Spend] = Noun("spends", Spend, index=["entry", "authorization", "workspace", "question"])


def find_budget(work: Work, entry: str, authorization: str = "") -> Budget | None:
    """Return the entry's budget, or the authorization's own within it; None where nobody set one."""
    return next(iter(work.list(BUDGETS, entry=entry, authorization=authorization)), None)
