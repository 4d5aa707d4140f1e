"""The one decision path of the platform."""

from __future__ import annotations

import datetime as dt
import logging
import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import replace

from policies.decisions import Context, Decision, Resource
from policies.kept import KeptGrant, Recent
from policies.relations import find_relations
from policies.rolebook import RoleBook
from policies.scopecheck import REQUIRED, Segment
from policies.scopes import ScopeSource
from shuzha.core.actor import Actor
from shuzha.core.calendar import WorkingCalendar
from shuzha.core.errors import NotAllowed

REFRESH_SECONDS = 5.0
KEPT_ANSWERS = 50_000
KEPT_GRANTS = 4_000

log = logging.getLogger(__name__)


class Policies:
    """Decides, says why, and remembers; anything unexpected is a denial. Safe from any thread.

    A grant's state is asked of `scopes` once and kept until `forget` (called by the outbox within a second of a change)
    and in any case no longer than `refresh_seconds`, so that a lost message is not a lasting permission. What is kept
    is bounded: at most `2 * kept_grants` compiled grants and `2 * kept_answers` answers, the ones asked for last.
    """

    def __init__(
        self,
        scopes: ScopeSource,
        *,
        roles: RoleBook | None = None,
        calendar: WorkingCalendar | None = None,
        refresh_seconds: float = REFRESH_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
        kept_grants: int = KEPT_GRANTS,
        kept_answers: int = KEPT_ANSWERS,
    ) -> None:
        self._scopes = scopes
        self._roles = roles or RoleBook.load()
        self._calendar = calendar or WorkingCalendar()
        self._refresh_seconds = refresh_seconds
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._generation = 0
        # Answers end with their grant, so one that is dropped is ended: `forget` could not find it any more.
        self._grants: Recent[KeptGrant] = Recent(kept_grants, KeptGrant.end)
        self._answers: Recent[tuple[KeptGrant, Segment]] = Recent(kept_answers)
        self._by_role: Recent[Decision] = Recent(kept_answers)

    @property
    def roles(self) -> RoleBook:
        """The roles file in force, for pages and docs."""
        return self._roles

    @property
    def calendar(self) -> WorkingCalendar:
        """The calendar that hours on working days are read by."""
        return self._calendar

    def decide(self, actor: Actor, permission: str, resource: Resource, context: Context) -> Decision:
        """Return whether the actor may do this to the thing now, with reason, rule and how long the answer holds.

        It never raises: a fault anywhere is a denial that says so, and is logged.
        """
        try:
            key = _key(actor, permission, resource, context)
            known = self._answers.young.get(key) or self._answers.find(key)
            if known is not None:
                kept, segment = known
                if segment.starts <= context.at < segment.ends and self._monotonic() < kept.fresh_until:
                    return segment.decision
            return self._decide(actor, str(permission), resource, context, key)
        except Exception:  # The boundary of the policy layer: doubt is denial.
            log.exception("a decision on %s failed and was answered with a denial", permission)
            return Decision(
                False, f"`{permission}` could not be decided, so it is refused", "policies.fault", code="fault"
            )

    def find_kept(self, key: Hashable) -> tuple[KeptGrant, Segment] | None:
        """Return what is kept under the key of a question and the grant that it ends with; None where nothing is."""
        return self._answers.find(key)

    def is_fresh(self, kept: KeptGrant) -> bool:
        """Return whether a grant that was kept may still be relied on."""
        return self._monotonic() < kept.fresh_until

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
        """Drop what is kept of a grant, or of every grant of an authorization or entry; an unknown id changes nothing.

        An answer that was being looked up while this is called is not kept either.
        """
        with self._lock:
            self._generation += 1
            for grant, kept in self._grants.items():
                if identifier in (grant, kept.compiled.scope.authorization, kept.compiled.scope.entry):
                    kept.end()
                    self._grants.drop(grant)

    def _decide(self, actor: Actor, permission: str, resource: Resource, context: Context, key: Hashable) -> Decision:
        if context.at.tzinfo is None:
            return Decision(False, "the request has a moment without a time zone", "policies.moment", code="moment")
        decision = self._decide_role(actor, permission, resource)
        if not decision.allowed or permission not in REQUIRED:
            return decision
        return self._decide_scope(permission, resource, context, key)

    def _decide_role(self, actor: Actor, permission: str, resource: Resource) -> Decision:
        # A yes by role depends on nothing else; a no names the thing, and is made anew.
        key = (actor.roles, permission, find_relations(actor, resource))
        found = self._by_role.find(key)
        if found is None:
            found = self._roles.decide(actor, permission, resource)
            if found.allowed:
                self._by_role.keep(key, found)
        return found

    def _decide_scope(self, permission: str, resource: Resource, context: Context, key: Hashable) -> Decision:
        if not resource.grant:
            return Decision(False, f"`{permission}` is refused: it names no grant", "scope", code="scope.grant.missing")
        kept = self.find_grant(resource.grant)
        if kept is None:
            return Decision(
                False, f"`{permission}` is refused: there is no grant {resource.grant}", "scope", code="scope.unknown"
            )
        if not kept.active:
            scope, cited = kept.compiled.scope, kept.compiled.scope.cite("suspension")
            reason = (
                f"`{permission}` is refused: grant {scope.grant} is not in force: {kept.reason or 'no reason given'}"
            )
            return Decision(
                False, reason, kept.compiled.rule(cited), scope.version, None, "scope.inactive", cited.clause,
                cited.article,
            )  # fmt: skip
        segment = kept.compiled.decide(permission, resource, context)
        self._answers.keep(key, (kept, segment))
        return segment.decision

    def find_grant(self, grant: str) -> KeptGrant | None:
        """Return what is kept of a grant, looked up where it is not fresh; None where there is no such grant."""
        kept = self._grants.find(grant)
        now = self._monotonic()
        if kept is not None and now < kept.fresh_until:
            return kept
        generation = self._generation
        state = self._scopes.find_scope(grant)
        if state is None or state.scope.grant != grant:
            return None
        same = kept is not None and kept.says(state)
        fresh = kept if kept is not None and same else KeptGrant(state, kept, self._calendar)
        with self._lock:
            if generation != self._generation:
                # Somebody called `forget` meanwhile: what was looked up answers this once and is not kept.
                return KeptGrant(state, None, self._calendar)
            if kept is not None and not same:
                kept.end()
            fresh.fresh_until = now + self._refresh_seconds
            self._grants.keep(grant, fresh)
        return fresh


class Held:
    """One question whose answer is asked for at many moments, at a tenth of the cost of asking it anew.

    It holds no answer longer than `Policies` itself would: the segment's time and the grant's freshness are looked at
    each time.
    """

    __slots__ = ("_actor", "_context", "_kept", "_permission", "_policies", "_resource", "_segment")

    def __init__(self, policies: Policies, actor: Actor, permission: str, resource: Resource, context: Context) -> None:
        self._policies = policies
        self._actor = actor
        self._permission = permission
        self._resource = resource
        self._context = context
        self._kept: KeptGrant | None = None
        self._segment: Segment | None = None

    def decide(self, at: dt.datetime) -> Decision:
        """Return what `Policies.decide` says at this moment."""
        kept, segment = self._kept, self._segment
        if (
            kept is not None and segment is not None and segment.starts <= at < segment.ends
            and self._policies.is_fresh(kept)
        ):  # fmt: skip
            return segment.decision
        context = replace(self._context, at=at)
        decision = self._policies.decide(self._actor, self._permission, self._resource, context)
        known = self._policies.find_kept(_key(self._actor, self._permission, self._resource, context))
        self._kept, self._segment = known if known is not None and known[1].decision is decision else (None, None)
        return decision


def _key(actor: Actor, permission: str, resource: Resource, context: Context) -> tuple[object, ...]:
    # What an answer depends on, but for the moment: a thing's kind and id only stand in refusals by role.
    # One flat tuple, since nested ones cost half as much again to make, to hash and to compare.
    return (
        permission, resource.grant, resource.organisation, resource.author, resource.authorization,
        context.entry, context.columns, context.operation, context.output_kind, context.purpose, context.place,
        context.partners, actor.id, actor.organisation, actor.roles,
    )  # fmt: skip
