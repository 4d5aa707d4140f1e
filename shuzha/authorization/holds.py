"""Holds: what keeps an authorization or a grant from being used, each with its own cause, until each is lifted.

A *hold* is placed by something that happened (an entry was suspended, a rectification was ordered) and lifted by what
ends it. Holds add up: data flows again when the last one is lifted and nobody has suspended the thing by decision. So
one cause that ends never undoes another, and a person's decision is not undone by an event (J23 art. 14).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import sqlalchemy as sa

from policies import Policies, Resource
from shuzha.authorization.base import Room, authorization_resource, authorization_views, grant_resource, grant_views
from shuzha.authorization.model import Authorization, AuthorizationState, Grant, GrantState, check_reason
from shuzha.authorization.store import AUTHORIZATIONS, GRANTS
from shuzha.catalog.model import Entry
from shuzha.core.actor import Actor, platform_actor
from shuzha.core.errors import Invalid, NotFound
from shuzha.core.ids import new_id
from shuzha.core.keys import KeyRing
from shuzha.core.lawbook import LawBook
from shuzha.core.records import Noun
from shuzha.core.work import OUTBOX, Database, Event, Work, no_record

RULE = "J23 art. 14"


@dataclass(frozen=True, slots=True)
class Hold:
    """One reason why a thing may not be used now; `source` is the id of what caused it, such as an entry."""

    id: str
    subject: str
    source: str
    cause: str
    reason: str
    placed_at: dt.datetime
    lifted_at: dt.datetime | None = None
    revision: int = 1

    def says(self) -> str:
        """Return the hold in a sentence, as a refusal quotes it."""
        return f"held by {self.cause} of {self.source}: {self.reason}"


HOLDS = Noun("holds", Hold, index=["subject", "source"])

ORDERS: Mapping[str, str] = MappingProxyType(
    {
        "entry:suspend": "hold", "entry:restore": "lift", "entry:retire": "hold",
        "rectification:order": "hold", "rectification:pass": "lift", "rectification:lapse": "terminate",
    }
)  # fmt: skip
"""What an event orders; its data names what it is about: `authorization`, or else `entry`, or else its subject."""


def find_holds(work: Work, *subjects: str) -> tuple[Hold, ...]:
    """Return the holds in force on any of these things, oldest first."""
    return tuple(one for one in work.list(HOLDS, HOLDS.table.c.subject.in_(subjects)) if one.lifted_at is None)


def was_lifted(work: Work, grant: Grant, entry: Entry) -> bool:
    """Return whether the authority lifted a hold of the entry on a grant, placed since the entry changed last."""
    placed = work.list(HOLDS, subject=grant.id, source=entry.id)
    return any(one.lifted_at is not None and one.placed_at >= entry.updated_at for one in placed)


class RightsService(Room):
    """Placing and lifting holds, by events and by the authority; `terminate` is the procedure's verb."""

    def __init__(
        self, database: Database, policies: Policies, law: LawBook, keys: KeyRing,
        terminate: Callable[[Actor, str, str], Authorization],
    ) -> None:  # fmt: skip
        super().__init__(database, policies, law, keys)
        self._terminate = terminate

    def follow_order(self, event: Event) -> None:
        """Do what an event orders: a handler of the outbox, which bears a repeat.

        `lift` lifts what events about the same source have placed; `terminate` ends the authorization. An order that
        was followed by another one about the same source does nothing: the newest says what holds.
        """
        order = ORDERS.get(event.tag)
        if order is None:
            return
        actor, source = platform_actor("rights"), event.subject
        reason = str(event.data.get("reason", "")) or event.content
        with self._database.work(actor) as work:
            if order != "terminate" and not _is_newest(work, event):
                return
            found = _subjects(work, event)
            for one in found:
                verb = "restore" if order == "lift" else "suspend"
                self._check(actor, _permission(one, verb), _resource(one), work.now())
                if order == "lift":
                    self._lift(work, one, source, reason)
                else:
                    self._place(work, one, source, event.tag, reason)
        if order == "terminate":
            for one in found:
                if isinstance(one, Authorization):
                    self._terminate(actor, one.id, reason)

    def lift_hold(self, actor: Actor, hold_id: str, reason: str) -> Hold:
        """Return a hold lifted by the authority, before its cause has ended by itself."""
        with self._database.work(actor) as work:
            hold = work.get(HOLDS, hold_id)
            found = work.find(GRANTS, hold.subject) or work.get(AUTHORIZATIONS, hold.subject)
            views = grant_views(found) if isinstance(found, Grant) else authorization_views(found)
            if not self._can_see(actor, _permission(found, "view"), views, work.now()):
                raise NotFound(no_record(HOLDS, hold_id))
            self._check(actor, _permission(found, "restore"), _resource(found), work.now())
            check_reason(reason)
            if hold.lifted_at is not None:
                raise Invalid(f"hold {hold.id} was lifted before", rule=RULE, accepted="a hold in force")
            return self._end(work, found, hold, reason)

    def is_held(self, authorization_id: str) -> bool:
        """Return whether a hold is in force on the authorization itself."""
        with self._database.read() as work:
            return bool(find_holds(work, authorization_id))

    def list_held(self) -> frozenset[str]:
        """Return the ids of the authorizations and grants that a hold is on now; that one is held is no secret."""
        with self._database.read() as work:
            return frozenset(one.subject for one in work.list(HOLDS) if one.lifted_at is None)

    def is_free(self, authorization_id: str) -> bool:
        """Return whether the authorization is in force: nobody has suspended or ended it, and no hold is on it."""
        with self._database.read() as work:
            found = work.find(AUTHORIZATIONS, authorization_id)
            active = found is not None and found.state is AuthorizationState.ACTIVE
            return active and not find_holds(work, authorization_id)

    def list_holds(self, actor: Actor, authorization_id: str) -> tuple[Hold, ...]:
        """Return the holds in force on an authorization and its grants that the actor may see."""
        with self._database.read() as work:
            found = self._get_seen(work, actor, AUTHORIZATIONS, authorization_id, authorization_views)
            grants = (grant.id for grant in work.list(GRANTS, authorization=found.id))
            return find_holds(work, found.id, *grants)

    def find_causer(self, hold: Hold) -> str:
        """Return the account whose act placed a hold that one may see; empty where no event says so."""
        act = sa.select(OUTBOX.c.user).where(OUTBOX.c.tag == hold.cause, OUTBOX.c.subject == hold.source)
        with self._database.read() as work:
            placed = act.where(OUTBOX.c.time <= hold.placed_at).order_by(OUTBOX.c.sequence.desc())
            return str(work.connection.execute(placed).scalar() or "")

    def _place(self, work: Work, found: Authorization | Grant, source: str, cause: str, reason: str) -> None:
        if any(one.source == source and one.cause == cause for one in find_holds(work, found.id)):
            return
        made = Hold(new_id("hld"), found.id, source, cause, reason, work.now())
        work.add(HOLDS, made)
        _emit(work, found, "hold", made, made.says())

    def _lift(self, work: Work, found: Authorization | Grant, source: str, reason: str) -> None:
        for hold in find_holds(work, found.id):
            if hold.source == source:
                self._end(work, found, hold, reason)

    def _end(self, work: Work, found: Authorization | Grant, hold: Hold, reason: str) -> Hold:
        ended = work.save(HOLDS, replace(hold, lifted_at=work.now()))
        _emit(work, found, "lift", ended, reason)
        return ended


def _is_newest(work: Work, event: Event) -> bool:
    statement = sa.select(sa.func.max(OUTBOX.c.sequence)).where(OUTBOX.c.subject == event.subject)
    newest = work.connection.execute(statement.where(OUTBOX.c.tag.in_(ORDERS))).scalar()
    return newest is None or newest <= event.sequence


def _subjects(work: Work, event: Event) -> tuple[Authorization | Grant, ...]:
    named = str(event.data.get("authorization", ""))
    if named:
        found = work.find(AUTHORIZATIONS, named)
        living = found is not None and found.state in (AuthorizationState.ACTIVE, AuthorizationState.SUSPENDED)
        return (found,) if found is not None and living else ()
    entry = str(event.data.get("entry", "")) or event.subject
    found_grants = work.list(GRANTS, GRANTS.table.c.entry == entry)
    return tuple(grant for grant in found_grants if grant.state is not GrantState.CLOSED)


def _permission(found: Authorization | Grant, verb: str) -> str:
    return f"{'grant' if isinstance(found, Grant) else 'authorization'}:{verb}"


def _resource(found: Authorization | Grant) -> Resource:
    return grant_resource(found) if isinstance(found, Grant) else authorization_resource(found)


def _emit(work: Work, found: Authorization | Grant, verb: str, hold: Hold, content: str) -> None:
    authorization = found.authorization if isinstance(found, Grant) else found.id
    data = {
        "authorization": authorization, "hold": hold.id, "source": hold.source, "cause": hold.cause,
        "reason": hold.reason, "grants": (),
    }  # fmt: skip
    work.emit(_permission(found, verb), found.id, content, data=data)
