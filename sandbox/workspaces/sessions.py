"""How long a workspace runs: no session goes on for ever, and one in which nothing happens ends.

A session is over when its server has run for so many hours, or when for so many minutes no browser asked for anything
and its kernels did no work. Home and releases stay: its analyst starts it again. Moments are the host's, as the hub
and the jailer tell them: a demonstration's clock that is moved forward ends no session.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from sandbox.workspaces.hosting import Session
from sandbox.workspaces.model import Workspace, WorkspaceState
from sandbox.workspaces.service import WorkspaceService
from sandbox.workspaces.store import WORKSPACES
from shuzha.core.actor import platform_actor
from shuzha.core.errors import Conflict, TransitionNotAllowed, Unavailable
from shuzha.core.work import Database

log = logging.getLogger(__name__)

LONG = "limit reached: the session was as long as one may be"
IDLE = "limit reached: nothing happened in the session for a long time"


@dataclass(frozen=True, slots=True)
class SessionRules:
    """When a session is over; 0 means never."""

    hours: int = 12
    idle_minutes: int = 120


class SessionHost(Protocol):
    """Who knows of running servers."""

    def find_session(self, workspace: Workspace) -> Session | None:
        """Return the session of a workspace, None when it does not run or nobody can tell now."""
        ...


class SessionKeeper:
    """Ends sessions that are over; `ask` returns what the jailer says of a workspace now, or None."""

    def __init__(
        self, database: Database, service: WorkspaceService, host: SessionHost,
        ask: Callable[[str], Mapping[str, Any] | None], rules: SessionRules, clock: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        self._database = database
        self._service = service
        self._host = host
        self._ask = ask
        self._rules = rules
        self._clock = clock

    def end_due(self) -> tuple[Workspace, ...]:
        """Stop the workspaces whose session is over, each with the reason on record, and return them."""
        if not self._rules.hours and not self._rules.idle_minutes:
            return ()
        with self._database.read() as work:
            running = [one for one in work.list(WORKSPACES) if one.state is WorkspaceState.OPEN]
        ended = []
        for workspace in running:
            reason = self._find_reason(workspace)
            if not reason:
                continue
            try:
                ended.append(self._service.stop_workspace(platform_actor("sessions"), workspace.id, reason))
            except (Unavailable, Conflict, TransitionNotAllowed) as error:
                log.warning("the session of %s is ended later: %s", workspace.id, error)
        return tuple(ended)

    def _find_reason(self, workspace: Workspace) -> str:
        session = self._host.find_session(workspace)
        if session is None:
            return ""
        now = self._clock()
        if self._rules.hours and now - session.started >= self._rules.hours * 3600:
            return LONG
        if not self._rules.idle_minutes or now - max(session.asked, session.started) < self._rules.idle_minutes * 60:
            return ""
        told = self._ask(workspace.name)
        if told is None or not told["counts_cpu"]:
            return ""  # Nobody can say whether its kernels are at work.
        if now - float(told["account"]["busy_at"]) < self._rules.idle_minutes * 60:
            return ""
        return IDLE
