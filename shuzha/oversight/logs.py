"""The logs as supervisors see them: sizes, newest signed checkpoints, and the audit records with their seven fields."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from policies import Context, Policies, Resource
from shuzha.core.actor import Actor
from shuzha.core.clock import Clock
from shuzha.core.errors import Invalid, NotFound, Unavailable
from shuzha.ledger.audit import AuditRecord, list_audit
from shuzha.ledger.reader import LogReader

LOGS = ("usage", "audit")


@dataclass(frozen=True, slots=True)
class LogView:
    """One log: how many entries, the newest checkpoint's size and text, whether the log's key signed it."""

    name: str
    entries: int
    size: int
    note: str
    public_key: str
    signed: bool
    folder: Path


class Logs:
    """Reads the logs of one installation, from any process."""

    def __init__(self, policies: Policies, clock: Clock, folder: Path) -> None:
        self._policies = policies
        self._clock = clock
        self._folder = folder

    def list_logs(self, actor: Actor) -> tuple[LogView, ...]:
        """Return the logs that have a checkpoint already; for regulator and authority."""
        self._check(actor, "ledger:view", "ledger")
        found = []
        for name in LOGS:
            try:
                found.append(self._view(name))
            except (NotFound, Unavailable):
                continue  # A log that has not begun has nothing to show.
        return tuple(found)

    def get_log(self, actor: Actor, name: str) -> LogView:
        """Return one log with its newest checkpoint; raises NotFound for another name."""
        self._check(actor, "ledger:view", "ledger")
        if name not in LOGS:
            raise NotFound(f"no log `{name[:40]}`", accepted=", ".join(LOGS))
        return self._view(name)

    def list_audit(
        self, actor: Actor, *, limit: int = 50, before: int | None = None
    ) -> tuple[tuple[int, AuditRecord], ...]:
        """Return (place, record) of the newest acts, newest first; for auditor and regulator."""
        self._check(actor, "audit:view", "audit")
        try:
            reader = LogReader(self._folder / "audit")
        except NotFound:
            return ()
        try:
            return list_audit(reader, limit=limit, before=before)
        finally:
            reader.close()

    def _view(self, name: str) -> LogView:
        reader = LogReader(self._folder / name)
        try:
            note = reader.note()
            try:
                size, signed = reader.key.verify(note).size, True
            except Invalid:
                size, signed = 0, False
            return LogView(name, reader.indexed(), size, note, reader.key.line(), signed, self._folder / name)
        finally:
            reader.close()

    def _check(self, actor: Actor, permission: str, kind: str) -> None:
        self._policies.check(actor, permission, Resource(kind), Context(at=self._clock.now()))
