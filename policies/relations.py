"""How an actor stands to a thing. An attribute that is not known makes its relation false, never true.

any: always. own: the thing is the actor's organisation's. author: the actor made it. other: somebody else made it.
independent: somebody of another organisation made it. outside: it is another organisation's.
peer: a colleague made it, for the actor's organisation. platform: the actor is a process of the platform.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from policies.decisions import Resource
from shuzha.core.actor import SYSTEM_ORGANISATION, Actor


def _is_own(actor: Actor, resource: Resource) -> bool:
    return bool(actor.organisation) and actor.organisation == resource.organisation


def _is_author(actor: Actor, resource: Resource) -> bool:
    return bool(actor.id) and actor.id == resource.author


def _is_other(actor: Actor, resource: Resource) -> bool:
    return bool(actor.id and resource.author) and actor.id != resource.author


def _is_outside(actor: Actor, resource: Resource) -> bool:
    return bool(actor.organisation and resource.organisation) and actor.organisation != resource.organisation


def _is_independent(actor: Actor, resource: Resource) -> bool:
    return _is_outside(actor, resource) and _is_other(actor, resource)


def _is_peer(actor: Actor, resource: Resource) -> bool:
    return _is_own(actor, resource) and _is_other(actor, resource)


def _is_platform(actor: Actor, _resource: Resource) -> bool:
    return actor.organisation == SYSTEM_ORGANISATION and actor.roles == {"platform"}


def _is_any(_actor: Actor, _resource: Resource) -> bool:
    return True


RELATIONS: Mapping[str, Callable[[Actor, Resource], bool]] = {
    "any": _is_any,
    "author": _is_author,
    "independent": _is_independent,
    "other": _is_other,
    "outside": _is_outside,
    "own": _is_own,
    "peer": _is_peer,
    "platform": _is_platform,
}

MEANINGS: Mapping[str, str] = {
    "any": "whosever it is",
    "author": "only what the actor made",
    "independent": "only what a person of another organisation made",
    "other": "only what somebody else made",
    "outside": "only what belongs to another organisation",
    "own": "only what belongs to the actor's organisation",
    "peer": "only what belongs to the actor's organisation and somebody else asked for",
    "platform": "processes of the platform only",
}


def find_relations(actor: Actor, resource: Resource) -> frozenset[str]:
    """Return the relations that hold between this actor and this thing."""
    return frozenset(name for name, holds in RELATIONS.items() if holds(actor, resource))
