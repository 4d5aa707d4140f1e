"""How an actor stands to a thing. An attribute that is not known makes its relation false, never true.

any: always. own: the thing is the actor's organisation's. author: the actor made it. other: somebody else made it.
independent: somebody of another organisation made it. outside: it is another organisation's.
peer: a colleague made it, for the actor's organisation. platform: the actor is a process of the platform.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import NamedTuple

from policies.decisions import Resource
from shuzha.core.actor import SYSTEM_ORGANISATION, Actor


class Standing(NamedTuple):
    """What the relations follow from.

    Is the thing the actor's organisation's, or known to be another's; the same of who made it; and is the actor a
    process of the platform?
    """

    own: bool
    outside: bool
    author: bool
    other: bool
    platform: bool


RELATIONS: Mapping[str, Callable[[Standing], bool]] = {
    "any": lambda _: True,
    "author": lambda it: it.author,
    "independent": lambda it: it.outside and it.other,
    "other": lambda it: it.other,
    "outside": lambda it: it.outside,
    "own": lambda it: it.own,
    "peer": lambda it: it.own and it.other,
    "platform": lambda it: it.platform,
}
# A decision asks this first: each of the 32 cases is worked out beforehand.
_HOLDING: Mapping[tuple[bool, ...], frozenset[str]] = {
    case: frozenset(name for name, holds in RELATIONS.items() if holds(Standing(*case)))
    for case in itertools.product((False, True), repeat=len(Standing._fields))
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
    unit, owner, maker = actor.organisation, resource.organisation, resource.author
    same, made = unit == owner, actor.id == maker
    return _HOLDING[
        bool(unit) and same, bool(unit and owner) and not same, bool(actor.id) and made,
        bool(actor.id and maker) and not made, unit == SYSTEM_ORGANISATION and actor.roles == {"platform"},
    ]  # fmt: skip
