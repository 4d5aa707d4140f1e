"""Keeps the notes of all living workspaces current: what their analysts' panels say of term and exports."""

from __future__ import annotations

import asyncio
import logging
from threading import Event as Flag

from sandbox.workspaces.model import LIVING, Workspace
from sandbox.workspaces.records.notes import ExportLine, Note, Notes
from sandbox.workspaces.store import WORKSPACES
from sandbox.workspaces.verbs import ExportDesk
from shuzha.core.errors import ShuzhaError
from shuzha.core.work import Database, Event

log = logging.getLogger(__name__)

FOLLOWED_TAGS = ("workspace:*", "export:*", "grant:*", "authorization:*")
"""The events after which a note may say something else; join `NoteKeeper.heard` in the worker."""

POLL_SECONDS = 0.5
SWEEP_SECONDS = 30.0
_MOST_EXPORTS = 20


class NoteKeeper:
    """Writes notes from the records; `portal` is its address."""

    def __init__(self, database: Database, notes: Notes, desk: ExportDesk, portal: str) -> None:
        self._database = database
        self._notes = notes
        self._desk = desk
        self._portal = portal
        self._stale = Flag()

    def heard(self, event: Event) -> None:
        """Have the notes written again soon; a handler of the outbox, which bears a repeat."""
        self._stale.set()

    def refresh(self) -> None:
        """Write the note of every living workspace, and take away those of the others."""
        self._stale.clear()
        with self._database.read() as work:
            living, now = [one for one in work.list(WORKSPACES) if one.state in LIVING], work.now()
        for workspace in living:
            try:
                self._notes.write(workspace.name, self._note(workspace, max((workspace.valid_until - now).days, 0)))
            except ShuzhaError as error:
                # One analyst whose account is held must not keep the others' notes from being written.
                log.warning("the note of workspace %s is written later: %s", workspace.id, error)
        self._notes.keep_only(frozenset(one.name for one in living))

    async def follow(self) -> None:
        """Keep the notes current for ever: at once after a change, and by a slow sweep, since terms run out unasked."""
        waited = SWEEP_SECONDS
        while True:
            if self._stale.is_set() or waited >= SWEEP_SECONDS:
                waited = 0.0
                try:
                    await asyncio.to_thread(self.refresh)
                except Exception:  # The boundary of this task: it is logged and tried again.
                    log.exception("the workspaces' notes could not be written; trying again")
            await asyncio.sleep(POLL_SECONDS)
            waited += POLL_SECONDS

    def _note(self, workspace: Workspace, days_left: int) -> Note:
        exports = tuple(
            ExportLine(one["id"], one["title"], one["state"], one["reason"], f"{self._portal}/exports/{one['id']}")
            for one in self._desk.list_requests(workspace)[:_MOST_EXPORTS]
        )
        return Note(
            workspace.id, workspace.scenario, workspace.valid_until.isoformat(), days_left,
            f"{self._portal}/workspaces/{workspace.id}", exports,
        )  # fmt: skip
