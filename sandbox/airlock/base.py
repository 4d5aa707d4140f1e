"""What the airlock's verbs share: what is passed in, the resource of a request, one way to make a move."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from policies import Context, Policies, Resource
from sandbox.airlock.inputs import Source
from sandbox.airlock.model import EXPORT, ExportRequest, ExportState, Step
from sandbox.airlock.room import CleanRoom
from sandbox.airlock.rulebook import RuleBook
from sandbox.airlock.screening import Screener
from sandbox.airlock.store import EXPORTS
from sandbox.airlock.vault import Vault
from shuzha.authorization.model import Grant
from shuzha.core.actor import Actor
from shuzha.core.errors import NotFound
from shuzha.core.keys import KeyRing
from shuzha.core.lawbook import LawBook
from shuzha.core.work import Database, Work
from shuzha.ledger.reader import Proof


def _unproved(_event: str) -> Proof | None:
    return None


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything that the airlock needs, passed in once; `prove` gives the proof that an event is in the audit log."""

    database: Database
    policies: Policies
    law: LawBook
    keys: KeyRing
    vault: Vault
    room: CleanRoom
    screener: Screener
    prove: Callable[[str], Proof | None] = _unproved


def export_resource(request: ExportRequest) -> Resource:
    """Return the request as decisions see it: its unit's, made by its author."""
    return Resource("export", request.id, request.organisation, request.author, request.authorization)


class Desk:
    """The base of the airlock's groups of verbs."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._database = parts.database
        self._vault = parts.vault
        self.rules = RuleBook(parts.database, parts.policies, parts.screener.rules)

    def _check(self, actor: Actor, permission: str, request: ExportRequest, at: dt.datetime) -> None:
        self._parts.policies.check(actor, permission, export_resource(request), Context(at=at))

    def _screener(self, version: str = "") -> Screener:
        """Return the screener of the rules in force, or of those of an earlier version."""
        rules = self.rules.of_version(version) if version else self.rules.in_force()
        return self._parts.screener.with_rules(rules)

    def _get_seen(self, work: Work, actor: Actor, export_id: str) -> ExportRequest:
        """Return a request that the actor may see; one that he may not does not exist for him."""
        request = work.get(EXPORTS, export_id)
        if not self._parts.policies.can(actor, "export:view", export_resource(request), Context(at=work.now())):
            raise NotFound(f"no exports with id {export_id}")
        return request

    def _move(
        self, work: Work, actor: Actor, request: ExportRequest, verb: str, content: str, *, reason: str = "",
        state: ExportState | None = None, rules: tuple[str, ...] = (), data: Mapping[str, Any] | None = None,
        **changes: Any,
    ) -> ExportRequest:  # fmt: skip
        """Decide, move, store and log one verb in the open unit of work, and return the changed request."""
        now = work.now()
        self._check(actor, EXPORT.permission(verb), request, now)
        move = EXPORT.next(request.state, verb, request.id)
        target = state or move.target
        step = Step(verb, actor.id, now, reason, rules)
        due = self._due(move.clock, now) if move.clock else {}
        changed = replace(request, state=target, reason=reason, steps=(*request.steps, step), **(due | changes))
        fresh = work.save(EXPORTS, changed)
        told = {"authorization": request.authorization, "organisation": request.organisation, "state": target.value}
        approver = actor.id if verb in ("approve", "return", "reject", "recall", "release") else None
        work.emit(EXPORT.permission(verb), request.id, content, data=told | dict(data or {}), approver=approver)
        return fresh

    def _due(self, rule: str, at: dt.datetime) -> dict[str, Any]:
        due = self._parts.law.due(rule, at)
        return {} if due is None else {"due": due.date, "due_provisional": due.provisional}

    def _check_export(self, actor: Actor, request: ExportRequest, source: Source, asked: Context) -> str | None:
        """Return why the grant behind a source does not allow this export, or None when it does."""
        if source.authorization != request.authorization or source.operator != request.organisation:
            return f"release {source.release} is not of the request's authorization"
        resource = Resource(
            "export", request.id, request.organisation, request.author, request.authorization, source.grant
        )
        decision = self._parts.policies.decide(actor, "data:export", resource, asked)
        return None if decision.allowed else decision.reason


def grant_resource(grant: Grant) -> Resource:
    """Return a grant's data as decisions see it: its operating unit's."""
    return Resource("grant", grant.id, grant.operator, authorization=grant.authorization, grant=grant.id)
