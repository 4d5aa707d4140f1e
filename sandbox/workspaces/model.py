"""A workspace: its lifecycle and its record. Pure: no SQL, HTTP, files.

Words: *opening* means that its server has been asked for; a *stopped* workspace keeps home and releases and can be
started again; a *suspended* one passes no byte and runs no process until its data rights are in force again.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum

from shuzha.core.ids import short_name
from shuzha.core.lifecycle import Lifecycle, Move


class WorkspaceState(StrEnum):
    """Where a workspace stands."""

    REQUESTED = "requested"
    OPENING = "opening"
    OPEN = "open"
    STOPPED = "stopped"
    SUSPENDED = "suspended"
    CLOSED = "closed"


_S = WorkspaceState
WORKSPACE: Lifecycle[WorkspaceState] = Lifecycle(
    "workspace",
    WorkspaceState,
    _S.REQUESTED,
    (
        Move("open", (_S.REQUESTED, _S.STOPPED), _S.OPENING, "platform"),
        Move("start", (_S.OPENING,), _S.OPEN, "analyst"),
        Move("stop", (_S.OPENING, _S.OPEN), _S.STOPPED, "analyst"),
        Move("suspend", (_S.REQUESTED, _S.OPENING, _S.OPEN, _S.STOPPED), _S.SUSPENDED, "authority"),
        Move("restore", (_S.SUSPENDED,), _S.STOPPED, "analyst"),
        Move("close", (_S.REQUESTED, _S.OPENING, _S.OPEN, _S.STOPPED, _S.SUSPENDED), _S.CLOSED),
    ),
)
LIVING = frozenset({_S.REQUESTED, _S.OPENING, _S.OPEN, _S.STOPPED, _S.SUSPENDED})


@dataclass(frozen=True, slots=True)
class Workspace:
    """One scenario of one authorization, for one analyst.

    `name` is the hub's server name, `handle` the analyst's name in the hub, `uid` the host's user of its jail. `cause`
    says who suspended it: `scope` (its data rights; lifted with them) or `decision` (a person; lifted by one).
    """

    id: str
    name: str
    handle: str
    author: str
    operator: str
    authorization: str
    demand: str
    grant: str
    entry: str
    scenario: str
    uid: int
    releases: tuple[str, ...]
    state: WorkspaceState
    requested_at: dt.datetime
    valid_until: dt.datetime
    opened_at: dt.datetime | None = None
    reason: str = ""
    cause: str = ""
    revision: int = 1


def workspace_name(identifier: str) -> str:
    """Return the short name of a workspace: the hub's server name, a folder, a control group."""
    return f"w-{short_name(identifier)}"
