"""An app (应用): one system of a consumer, under which its keys, subscriptions and webhooks stand."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum

from shuzha.core.errors import Invalid
from shuzha.core.lifecycle import Lifecycle, Move

MAX_APPS = 200
FIRST_NAME = "默认应用 default app"


class AppState(StrEnum):
    """Whether the app's keys open anything."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    CLOSED = "closed"


APP = Lifecycle(
    "app",
    AppState,
    AppState.ACTIVE,
    [
        Move("suspend", (AppState.ACTIVE,), AppState.SUSPENDED, owner="authority"),
        Move("restore", (AppState.SUSPENDED,), AppState.ACTIVE, owner="consumer"),
        Move("close", (AppState.ACTIVE, AppState.SUSPENDED), AppState.CLOSED),
    ],
)


@dataclass(frozen=True, slots=True)
class App:
    """One system of one consumer; while it is suspended or closed none of its keys opens anything."""

    id: str
    organisation: str
    author: str
    name: str
    about: str
    contact: str
    created_at: dt.datetime
    state: AppState = AppState.ACTIVE
    reason: str = ""
    revision: int = 0


def check_app(name: str, about: str, contact: str) -> None:
    """Refuse an app without a name, and words that are too long."""
    if not name.strip() or len(name) > 120 or len(about) > 1_000 or len(contact) > 200:
        raise Invalid(
            "an app refuses these words", rule="app.words",
            accepted="a name of 1 to 120 letters, at most 1,000 about it, a contact of at most 200",
        )  # fmt: skip
