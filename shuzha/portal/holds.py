"""What the pages say of holds: that an authorization is held, by whom, since when, why, and what would lift it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from policies import Resource
from shuzha.authorization.base import authorization_resource, grant_resource
from shuzha.authorization.holds import Hold, RightsService
from shuzha.authorization.model import Authorization, AuthorizationState, Demand
from shuzha.authorization.service import AuthorizationService
from shuzha.catalog.model import Entry
from shuzha.core.actor import Actor
from shuzha.portal.desk import Desk, word

RETIRED = "entry:retire"
EVENTS: Mapping[str, str] = MappingProxyType({
    "entry:suspend": "The entry was suspended",
    "entry:retire": "The entry was retired",
    "rectification:order": "A rectification was ordered",
})  # fmt: skip
ENDS: Mapping[str, str] = MappingProxyType({
    "entry:suspend": "The entry is restored, or the authority lifts the hold",
    "entry:retire": "Nothing: a retired entry does not come back",
    "rectification:order": "The rectification is accepted, or the authority lifts the hold",
})  # fmt: skip
OTHER = ("Something that happened", "The authority lifts the hold")
ALL = (*EVENTS.values(), *ENDS.values(), *OTHER)


@dataclass(frozen=True, slots=True)
class ShownHold:
    """A hold beside what it is about; `event` and `end` are message ids, `refusal` says why one may not lift it."""

    hold: Hold
    event: str
    end: str
    demand: Demand | None
    entry: Entry | None
    refusal: str | None
    by: str


def standing(found: Authorization, held: Collection[str]) -> str:
    """Return the message id of an authorization's state as it counts: `held` for one in force with a hold on it."""
    return "held" if found.state is AuthorizationState.ACTIVE and found.id in held else word(found.state)


def show_holds(
    desk: Desk, actor: Actor, found: Authorization, holds: Iterable[Hold], demands: Iterable[Demand],
    entries: Mapping[str, Entry], service: AuthorizationService, rights: RightsService,
) -> list[ShownHold]:  # fmt: skip
    """Return the holds on an authorization and its grants as a page shows them."""
    by_grant = {one.grant: one for one in demands if one.grant}
    shown = []
    for hold in holds:
        own = authorization_resource(found) if hold.subject == found.id else grant_resource(
            service.get_grant(actor, hold.subject)
        )  # fmt: skip
        decision = desk.policies.decide(actor, f"{own.kind}:restore", own, desk.context())
        refusal = None if decision.allowed else decision.reason
        if hold.cause == RETIRED:
            refusal = ENDS[RETIRED]
        shown.append(ShownHold(
            hold, EVENTS.get(hold.cause, OTHER[0]), ENDS.get(hold.cause, OTHER[1]), by_grant.get(hold.subject),
            entries.get(hold.source), refusal, rights.find_causer(hold),
        ))  # fmt: skip
    return shown


def may_ever_lift(desk: Desk, actor: Actor) -> bool:
    """Return whether the person's role could lift a hold of somebody else's authorization."""
    return desk.can(actor, "grant:restore", Resource("grant", organisation="org_other"))
