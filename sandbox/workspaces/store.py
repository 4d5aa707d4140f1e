"""The table of workspaces."""

from __future__ import annotations

from sandbox.workspaces.model import LIVING, WORKSPACE, Workspace
from sandbox.workspaces.records.specs import FIRST_UID
from shuzha.core.records import Noun
from shuzha.core.work import Work

WORKSPACES = Noun(
    "workspaces",
    Workspace,
    lifecycle=WORKSPACE,
    unique=[("name",), ("uid",)],
    index=["demand", "authorization", "author"],
)


def find_living(work: Work, demand: str, author: str) -> Workspace | None:
    """Return the analyst's workspace of a demand that is not closed, or None."""
    found = work.list(WORKSPACES, demand=demand, author=author)
    return next((one for one in found if one.state in LIVING), None)


def find_by_name(work: Work, name: str) -> Workspace | None:
    """Return the workspace of this short name, or None."""
    return next(iter(work.list(WORKSPACES, name=name)), None)


def next_uid(work: Work) -> int:
    """Return a host user that no workspace has had."""
    return max((one.uid for one in work.list(WORKSPACES)), default=FIRST_UID - 1) + 1
