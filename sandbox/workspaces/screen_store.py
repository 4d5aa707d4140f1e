"""What is kept of screens: the usage record of each workspace and day, and each decision on a screen budget."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from shuzha.core.records import Noun
from shuzha.core.work import Work


@dataclass(frozen=True, slots=True)
class ClassCount:
    """What passed in one class: bytes shown to browsers, bytes received from them, messages or answers."""

    traffic: str
    shown: int
    received: int
    messages: int


@dataclass(frozen=True, slots=True)
class ScreenDay:
    """The usage record: what one workspace showed on one day of the city, by class, and the budget it had."""

    id: str
    workspace: str
    author: str
    operator: str
    authorization: str
    grant: str
    day: str
    budget: int
    shown: int
    classes: tuple[ClassCount, ...]
    recorded_at: dt.datetime
    revision: int = 1


@dataclass(frozen=True, slots=True)
class ScreenBudget:
    """A decision on how many bytes a day a workspace may show: on `day` only, or lastingly where `day` is empty."""

    id: str
    workspace: str
    budget: int
    before: int
    day: str
    by: str
    at: dt.datetime
    reason: str
    revision: int = 1


SCREEN_DAYS: Noun[ScreenDay] = Noun(
    "screen_days", ScreenDay, unique=[("workspace", "day")], index=["workspace", "authorization", "day"]
)
SCREEN_BUDGETS: Noun[ScreenBudget] = Noun("screen_budgets", ScreenBudget, index=["workspace"])


def find_day(work: Work, workspace: str, day: str) -> ScreenDay | None:
    """Return the record of one workspace and day, or None."""
    return next(iter(work.list(SCREEN_DAYS, workspace=workspace, day=day)), None)
