"""What the verbs on authorizations and on demands share: what is passed in, resources for decisions, due dates."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TypeVar

from policies import Context, Policies, Resource
from shuzha.authorization.model import Authorization, Demand, DemandState, Grant
from shuzha.catalog.model import Entry
from shuzha.core.actor import Actor
from shuzha.core.errors import NotFound
from shuzha.core.keys import KeyRing
from shuzha.core.lawbook import LawBook
from shuzha.core.records import Noun
from shuzha.core.work import Database, Work, no_record

Record = TypeVar("Record")


def authorization_resource(authorization: Authorization) -> Resource:
    """Return the authorization as decisions see it: the operating unit's own."""
    return Resource(
        "authorization", authorization.id, authorization.operator, authorization.applicant, authorization.id
    )


def authorization_views(authorization: Authorization) -> tuple[Resource, ...]:
    """Return the authorization as the operating unit and each provider of its entries see it."""
    own = authorization_resource(authorization)
    return (own, *(replace(own, organisation=provider) for provider in authorization.providers))


def demand_resource(demand: Demand, organisation: str = "") -> Resource:
    """Return the demand as decisions see it: the operating unit's, or the provider's where that is `organisation`."""
    return Resource("demand", demand.id, organisation or demand.operator, demand.author, demand.authorization)


def grant_resource(grant: Grant, organisation: str = "") -> Resource:
    """Return the grant as decisions see it: the operating unit's, or the provider's where that is `organisation`."""
    return Resource(
        "grant", grant.id, organisation or grant.operator, authorization=grant.authorization, grant=grant.id
    )


def demand_views(demand: Demand) -> tuple[Resource, ...]:
    """Return the demand as those see it whom it concerns; a draft has not reached its provider yet."""
    own = demand_resource(demand)
    return (own,) if demand.state is DemandState.DRAFT else (own, demand_resource(demand, demand.provider))


def grant_views(grant: Grant) -> tuple[Resource, ...]:
    """Return the grant as those see it whom it concerns: the operating unit and the provider of its entry."""
    return grant_resource(grant), grant_resource(grant, grant.provider)


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

    def _get_seen(
        self, work: Work, actor: Actor, noun: Noun[Record], identifier: str,
        views: Callable[[Record], Iterable[Resource]],
    ) -> Record:  # fmt: skip
        """Return a record; raises NotFound in the same words for one that is not there and one that he may not see.

        Verbs ask this before they ask for themselves: a refusal of another kind would tell that the thing exists.
        """
        record = work.get(noun, identifier)
        seen = tuple(views(record))
        if not self._can_see(actor, f"{seen[0].kind}:view", seen, work.now()):
            raise NotFound(no_record(noun, identifier))
        return record

    def _due(self, rule: str, at: dt.datetime) -> tuple[dt.date | None, bool]:
        due = self._law.due(rule, at)
        return (None, False) if due is None else (due.date, due.provisional)


def providers_of(entries: Iterable[Entry]) -> tuple[str, ...]:
    """Return the organisations that provide these entries, each once, in order."""
    return tuple(sorted({entry.provider for entry in entries}))
