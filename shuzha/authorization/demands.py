"""The verbs on demands and grants: no scenario, no data (J23 art. 16)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from policies import Resource
from shuzha.authorization.base import (
    Room,
    authorization_views,
    demand_resource,
    demand_views,
    grant_resource,
    grant_views,
)  # fmt: skip
from shuzha.authorization.document import check_document
from shuzha.authorization.eligibility import check_eligible
from shuzha.authorization.model import (
    DEMAND,
    GRANT,
    Authorization,
    AuthorizationState,
    Demand,
    DemandDraft,
    DemandState,
    Grant,
    GrantState,
    check_demand_fits,
    check_reason,
)  # fmt: skip
from shuzha.authorization.procedure import grant_data
from shuzha.authorization.scope import compile_scope
from shuzha.authorization.store import AUTHORIZATIONS, DEMANDS, GRANTS
from shuzha.catalog.model import Entry
from shuzha.catalog.store import ENTRIES
from shuzha.core.actor import Actor
from shuzha.core.errors import NotAllowed
from shuzha.core.ids import new_id
from shuzha.core.work import Work

Change = Callable[[Work, Demand], Demand]


class DemandVerbs(Room):
    """Demand, check, grant, refuse, close; suspension and end of one grant."""

    def draft_demand(self, actor: Actor, draft: DemandDraft) -> Demand:
        """Return the new demand of the actor's organisation under one of its authorizations in force.

        Refuses what agreement or entry do not hold: another entry, a column that is not there, a longer term.
        """
        with self._database.work(actor) as work:
            authorization = self._get_seen(work, actor, AUTHORIZATIONS, draft.authorization, authorization_views)
            resource = Resource("demand", organisation=authorization.operator, authorization=authorization.id)
            self._check(actor, "demand:draft", resource, work.now())
            entry = self._checked_entry(work, draft, authorization)
            demand = Demand(
                id=new_id("dem"), authorization=authorization.id, operator=authorization.operator, author=actor.id,
                provider=entry.provider, entry=entry.id, content=draft, state=DEMAND.initial,
            )  # fmt: skip
            work.add(DEMANDS, demand)
            work.emit("demand:draft", demand.id, f"demand drafted for entry {entry.code}", data=_data(demand))
        return demand

    def change_demand(self, actor: Actor, demand_id: str, draft: DemandDraft) -> Demand:
        """Return the draft with new content; refuses what `draft_demand` refuses, and another authorization."""

        def change(work: Work, demand: Demand) -> Demand:
            content = replace(draft, authorization=demand.authorization)
            entry = self._checked_entry(work, content, work.get(AUTHORIZATIONS, demand.authorization))
            return replace(demand, content=content, entry=entry.id, provider=entry.provider)

        return self._move_demand(actor, demand_id, "change", "content changed", change)

    def submit_demand(self, actor: Actor, demand_id: str) -> Demand:
        """Return the demand as submitted, with the day by which the authority answers."""
        return self._move_demand(actor, demand_id, "submit", "submitted", self._start_clock)

    def check_demand(self, actor: Actor, demand_id: str, reason: str) -> Demand:
        """Return the demand as checked by the authority: the provider answers next, by a day of its own."""
        return self._move_demand(actor, demand_id, "check", reason, self._start_clock)

    def return_demand(self, actor: Actor, demand_id: str, reason: str) -> Demand:
        """Return the demand to its author for changes; that is no refusal."""
        return self._move_demand(actor, demand_id, "return", reason, _clear_clock)

    def refuse_demand(self, actor: Actor, demand_id: str, reason: str) -> Demand:
        """Return the demand as refused by authority or provider, with the reason."""
        return self._move_demand(actor, demand_id, "refuse", reason, _clear_clock)

    def grant_demand(self, actor: Actor, demand_id: str, reason: str) -> Grant:
        """Return the grant of a checked demand, given by the provider of its entry; its scope is in force at once."""
        granted: list[Grant] = []

        def change(work: Work, demand: Demand) -> Demand:
            authorization = work.get(AUTHORIZATIONS, demand.authorization)
            self._checked_entry(work, demand.content, authorization)
            grant_id = new_id("grt")
            scope = compile_scope(grant_id, authorization.id, demand.operator, demand.content, authorization.agreement)
            grant = Grant(
                id=grant_id, demand=demand.id, authorization=authorization.id, operator=demand.operator,
                provider=demand.provider, entry=demand.entry, scope=scope, row_filter=demand.content.row_filter,
                valid_until=scope.valid_until, state=GRANT.initial, reason=reason,
            )  # fmt: skip
            granted.append(work.add(GRANTS, grant))
            data = {**grant_data(grant, reason), "version": scope.version, "clause": scope.clause}
            work.emit("grant:create", grant_id, "grant created", data=data, approver=actor.id)
            return replace(_clear_clock(work, demand), grant=grant_id)

        self._move_demand(actor, demand_id, "grant", reason, change)
        return granted[0]

    def close_demand(self, actor: Actor, demand_id: str, reason: str) -> Demand:
        """Return the demand closed, and its grant with it: what was built on it is to be destroyed."""

        def change(work: Work, demand: Demand) -> Demand:
            grant = work.find(GRANTS, demand.grant)
            if grant is not None and GRANT.can(grant.state, "close"):
                work.save(GRANTS, replace(grant, state=GrantState.CLOSED, reason=reason))
                work.emit("grant:close", grant.id, "grant closed with its demand", data=grant_data(grant, reason))
            return _clear_clock(work, demand)

        return self._move_demand(actor, demand_id, "close", reason, change)

    def suspend_grant(self, actor: Actor, grant_id: str, reason: str) -> Grant:
        """Return one grant suspended, its authorization staying in force."""
        return self._move_grant(actor, grant_id, "suspend", reason)

    def restore_grant(self, actor: Actor, grant_id: str, reason: str) -> Grant:
        """Return a suspended grant in force again."""
        return self._move_grant(actor, grant_id, "restore", reason)

    def get_demand(self, actor: Actor, demand_id: str) -> Demand:
        """Return one demand; raises NotFound for one that the actor may not see."""
        with self._database.read() as work:
            return self._get_seen(work, actor, DEMANDS, demand_id, demand_views)

    def list_demands(self, actor: Actor, authorization: str | None = None) -> tuple[Demand, ...]:
        """Return the demands that the actor may see, newest first; a provider sees none that is still a draft."""
        equal = {} if authorization is None else {"authorization": authorization}
        with self._database.read() as work:
            now = work.now()
            found = work.list(DEMANDS, newest_first=True, **equal)
        return tuple(demand for demand in found if self._can_see(actor, "demand:view", demand_views(demand), now))

    def get_grant(self, actor: Actor, grant_id: str) -> Grant:
        """Return one grant; raises NotFound for one that the actor may not see."""
        with self._database.read() as work:
            return self._get_seen(work, actor, GRANTS, grant_id, grant_views)

    def list_grants(self, actor: Actor, authorization: str | None = None) -> tuple[Grant, ...]:
        """Return the grants that the actor may see, newest first."""
        equal = {} if authorization is None else {"authorization": authorization}
        with self._database.read() as work:
            now = work.now()
            found = work.list(GRANTS, newest_first=True, **equal)
        return tuple(grant for grant in found if self._can_see(actor, "grant:view", grant_views(grant), now))

    def _move_demand(self, actor: Actor, demand_id: str, verb: str, reason: str, change: Change) -> Demand:
        with self._database.work(actor) as work:
            demand = self._get_seen(work, actor, DEMANDS, demand_id, demand_views)
            self._check_demand_actor(actor, verb, demand, work)
            move = DEMAND.next(demand.state, verb, demand.id)
            check_reason(reason)
            if verb in ("submit", "check", "grant"):
                _check_in_force(work.get(AUTHORIZATIONS, demand.authorization))
            fresh = work.save(DEMANDS, replace(change(work, demand), state=move.target, reason=reason))
            approver = actor.id if verb in ("check", "grant", "refuse", "return") else None
            work.emit(DEMAND.permission(verb), demand.id, f"demand: {verb}", data=_data(fresh), approver=approver)
        return fresh

    def _check_demand_actor(self, actor: Actor, verb: str, demand: Demand, work: Work) -> None:
        """Refuse an actor whose turn it is not: the operating unit acts on its own, others on what has reached them."""
        provider_acts = actor.organisation == demand.provider and verb in ("grant", "refuse", "return")
        if provider_acts and not actor.has("authority") and verb != "grant" and demand.state is DemandState.SUBMITTED:
            raise NotAllowed(
                f"cannot {verb} demand {demand.id}: the authority has not checked it", rule="J23 art. 16",
                accepted="wait for the authority's check",
            )  # fmt: skip
        organisation = demand.provider if provider_acts or verb == "grant" else demand.operator
        self._check(actor, DEMAND.permission(verb), demand_resource(demand, organisation), work.now())

    def _move_grant(self, actor: Actor, grant_id: str, verb: str, reason: str) -> Grant:
        with self._database.work(actor) as work:
            grant = self._get_seen(work, actor, GRANTS, grant_id, grant_views)
            self._check(actor, GRANT.permission(verb), grant_resource(grant), work.now())
            move = GRANT.next(grant.state, verb, grant.id)
            check_reason(reason)
            fresh = work.save(GRANTS, replace(grant, state=move.target, reason=reason))
            data = grant_data(fresh, reason)
            work.emit(GRANT.permission(verb), grant.id, f"grant: {verb}", data=data, approver=actor.id)
        return fresh

    def _checked_entry(self, work: Work, draft: DemandDraft, authorization: Authorization) -> Entry:
        """Return the entry of a demand that agreement and entry hold, and that may be authorized still.

        The agreement is taken from the record only where it is what both parties signed.
        """
        _check_in_force(authorization)
        check_document(self._keys, authorization, authorization.operator, authorization.authority)
        agreement = authorization.agreement
        entry = work.find(ENTRIES, draft.entry) if draft.entry in agreement.entries else None
        check_demand_fits(draft, agreement, () if entry is None else (element.name for element in entry.elements))
        # What a scope refuses (hours, quotas, narrowed acts) is refused when it is asked for, not when it is granted.
        compile_scope("draft", authorization.id, authorization.operator, draft, agreement)
        found = work.get(ENTRIES, draft.entry)
        check_eligible(found)
        return found

    def _start_clock(self, work: Work, demand: Demand) -> Demand:
        if demand.state is DemandState.DRAFT:
            self._checked_entry(work, demand.content, work.get(AUTHORIZATIONS, demand.authorization))
        due, provisional = self._due("demand.review", work.now())
        return replace(demand, due=due, due_provisional=provisional)


def _clear_clock(_work: Work, demand: Demand) -> Demand:
    return replace(demand, due=None, due_provisional=False)


def _check_in_force(authorization: Authorization) -> None:
    if authorization.state is not AuthorizationState.ACTIVE:
        raise NotAllowed(
            f"authorization {authorization.id} is {authorization.state}", rule="J23 art. 16",
            accepted="an authorization in force",
        )  # fmt: skip


def _data(demand: Demand) -> dict[str, Any]:
    return {
        "demand": demand.id, "authorization": demand.authorization, "entry": demand.entry,
        "operator": demand.operator, "provider": demand.provider, "grant": demand.grant,
        "due": None if demand.due is None else demand.due.isoformat(), "reason": demand.reason,
    }  # fmt: skip
