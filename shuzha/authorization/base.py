"""What the verbs on authorizations and on demands share: what is passed in, resources for decisions, due dates."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

from policies import Context, Policies, Resource
from shuzha.authorization.model import Authorization, Demand, Grant
from shuzha.catalog.model import Entry
from shuzha.core.actor import Actor
from shuzha.core.errors import NotFound
from shuzha.core.keys import KeyRing
from shuzha.core.lawbook import LawBook
from shuzha.core.work import Database


def authorization_resource(authorization: Authorization) -> Resource:
    """Return the authorization as decisions see it: the operating unit's own."""
    return Resource(
        "authorization", authorization.id, authorization.operator, authorization.applicant, authorization.id
    )


def demand_resource(demand: Demand, organisation: str = "") -> Resource:
    """Return the demand as decisions see it: the operating unit's, or the provider's where that is `organisation`."""
    return Resource("demand", demand.id, organisation or demand.operator, demand.author, demand.authorization)


def grant_resource(grant: Grant, organisation: str = "") -> Resource:
    """Return the grant as decisions see it: the operating unit's, or the provider's where that is `organisation`."""
    return Resource(
        "grant", grant.id, organisation or grant.operator, authorization=grant.authorization, grant=grant.id
    )


class Room:
    """The things that every verb of this package needs, passed in once."""

    def __init__(self, database: Database, policies: Policies, law: LawBook, keys: KeyRing) -> None:
        self._database = database
        self._policies = policies
        self._law = law
        self._keys = keys

    def _check(self, actor: Actor, permission: str, resource: Resource, at: dt.datetime) -> None:
        self._policies.check(actor, permission, resource, Context(at=at))

    def _can_see(self, actor: Actor, permission: str, resources: Iterable[Resource], at: dt.datetime) -> bool:
        return any(self._policies.can(actor, permission, resource, Context(at=at)) for resource in resources)

    def _check_seen(self, actor: Actor, permission: str, resources: Iterable[Resource], at: dt.datetime) -> None:
        # What a caller may not see does not exist for him: the answer tells nothing of other organisations.
        found = tuple(resources)
        if not self._can_see(actor, permission, found, at):
            raise NotFound(f"no {found[0].kind} with id {found[0].id}")

    def _due(self, rule: str, at: dt.datetime) -> tuple[dt.date | None, bool]:
        due = self._law.due(rule, at)
        return (None, False) if due is None else (due.date, due.provisional)


def providers_of(entries: Iterable[Entry]) -> tuple[str, ...]:
    """Return the organisations that provide these entries, each once, in order."""
    return tuple(sorted({entry.provider for entry in entries}))
