"""The one decision path of the platform."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Hashable

from policies.decisions import Context, Decision, Resource
from policies.rolebook import RoleBook
from policies.scopecheck import REQUIRED, CompiledScope, Segment
from policies.scopes import ScopeSource, ScopeState
from shuzha.core.actor import Actor
from shuzha.core.errors import NotAllowed

REFRESH_SECONDS = 5.0
KEPT_DECISIONS = 20_000

log = logging.getLogger(__name__)


class Policies:
    """Decides, says why, and remembers; anything unexpected is a denial. Safe from any thread.

    A grant's state is asked of `scopes` once and kept until `forget` (called by the outbox within a second of a change)
    and in any case no longer than `refresh_seconds`, so that a lost message is not a lasting permission.
    """

    def __init__(
        self,
        scopes: ScopeSource,
        *,
        roles: RoleBook | None = None,
        refresh_seconds: float = REFRESH_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._scopes = scopes
        self._roles = roles or RoleBook.load()
        self._refresh_seconds = refresh_seconds
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._generation = 0
        self._grants: dict[str, _KeptGrant] = {}
        self._by_role: dict[Hashable, Decision] = {}

    @property
    def roles(self) -> RoleBook:
        """The roles file in force, for pages and docs."""
        return self._roles

    def decide(self, actor: Actor, permission: str, resource: Resource, context: Context) -> Decision:
        """Return whether the actor may do this to the thing now, with reason, rule and how long the answer holds.

        It never raises: a fault anywhere is a denial that says so, and is logged.
        """
        try:
            return self._decide(actor, str(permission), resource, context)
        except Exception:  # The boundary of the policy layer: doubt is denial.
            log.exception("a decision on %s failed and was answered with a denial", permission)
            return Decision(
                False, f"`{permission}` could not be decided, so it is refused", "policies.fault", code="fault"
            )

    def check(self, actor: Actor, permission: str, resource: Resource, context: Context) -> Decision:
        """Return the decision where it is yes; raise NotAllowed with its reason and rule where it is no."""
        decision = self.decide(actor, permission, resource, context)
        if not decision.allowed:
            raise NotAllowed(decision.reason, rule=decision.rule)
        return decision

    def can(self, actor: Actor, permission: str, resource: Resource, context: Context) -> bool:
        """Return whether the actor may; ask `decide` to learn why not."""
        return self.decide(actor, permission, resource, context).allowed

    def forget(self, identifier: str) -> None:
        """Drop what is kept of a grant, or of every grant of an authorization; an unknown id changes nothing.

        An answer that was being looked up while this is called is not kept either.
        """
        with self._lock:
            self._generation += 1
            for grant, kept in list(self._grants.items()):
                if identifier in (grant, kept.compiled.scope.authorization):
                    del self._grants[grant]

    def _decide(self, actor: Actor, permission: str, resource: Resource, context: Context) -> Decision:
        if context.at.tzinfo is None:
            return Decision(False, "the request has a moment without a time zone", "policies.moment", code="moment")
        decision = self._decide_role(actor, permission, resource)
        if not decision.allowed or permission not in REQUIRED:
            return decision
        return self._decide_scope(permission, resource, context)

    def _decide_role(self, actor: Actor, permission: str, resource: Resource) -> Decision:
        key = (actor.id, actor.organisation, actor.roles, permission, resource)
        found = self._by_role.get(key)
        if found is None:
            found = self._roles.decide(actor, permission, resource)
            if len(self._by_role) >= KEPT_DECISIONS:
                self._by_role.clear()
            self._by_role[key] = found
        return found

    def _decide_scope(self, permission: str, resource: Resource, context: Context) -> Decision:
        if not resource.grant:
            return Decision(False, f"`{permission}` is refused: it names no grant", "scope", code="scope.grant.missing")
        kept = self._find_grant(resource.grant)
        if kept is None:
            return Decision(
                False, f"`{permission}` is refused: there is no grant {resource.grant}", "scope", code="scope.unknown"
            )
        if not kept.active:
            scope = kept.compiled.scope
            reason = (
                f"`{permission}` is refused: grant {scope.grant} is not in force: {kept.reason or 'no reason given'}"
            )
            return Decision(False, reason, kept.compiled.rule(), scope.version, code="scope.inactive")
        key = (
            permission, resource.authorization, context.entry, context.columns, context.operation,
            context.output_kind, context.purpose, context.place,
        )  # fmt: skip
        segment = kept.segments.get(key)
        if segment is None or not segment.covers(context.at):
            segment = kept.compiled.decide(permission, resource, context)
            kept.keep(key, segment)
        return segment.decision

    def _find_grant(self, grant: str) -> _KeptGrant | None:
        kept = self._grants.get(grant)
        now = self._monotonic()
        if kept is not None and now < kept.fresh_until:
            return kept
        generation = self._generation
        state = self._scopes.find_scope(grant)
        if state is None or state.scope.grant != grant:
            return None
        fresh = _KeptGrant(state, kept, now + self._refresh_seconds)
        with self._lock:
            if generation == self._generation:
                self._grants[grant] = fresh
        return fresh


class _KeptGrant:
    """What is known of one grant; its compiled scope and answers carry over while the version stays the same."""

    __slots__ = ("active", "compiled", "fresh_until", "reason", "segments")

    def __init__(self, state: ScopeState, before: _KeptGrant | None, fresh_until: float) -> None:
        same = before is not None and before.compiled.scope == state.scope
        self.compiled: CompiledScope = before.compiled if before and same else CompiledScope(state.scope)
        self.segments: dict[Hashable, Segment] = before.segments if before and same else {}
        self.active = state.active is True
        self.reason = state.reason
        self.fresh_until = fresh_until

    def keep(self, key: Hashable, segment: Segment) -> None:
        if len(self.segments) >= KEPT_DECISIONS:
            self.segments.clear()
        self.segments[key] = segment
