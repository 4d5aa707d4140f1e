"""The verbs on exits. The platform carries an exit on by itself, step by step; each step looks before it says so."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from policies import Context, Policies, Resource
from shuzha.authorization.agreement import sha256
from shuzha.authorization.model import Authorization, AuthorizationState
from shuzha.authorization.store import AUTHORIZATIONS, GRANTS
from shuzha.core.actor import Actor, platform_actor
from shuzha.core.clock import city_date
from shuzha.core.errors import Conflict, Invalid, NotAllowed, NotFound, ShuzhaError, Unavailable
from shuzha.core.ids import new_id
from shuzha.core.keys import KeyRing
from shuzha.core.lawbook import LawBook
from shuzha.core.work import Database, Event, Work
from shuzha.exits.certificate import PROVING, bundle_of, certificate_of, cited_events
from shuzha.exits.ending import Ending
from shuzha.exits.looking import find_holdings
from shuzha.exits.model import (
    EXIT,
    HAND_OVER_RULE,
    Cause,
    Exit,
    ExitState,
    Frozen,
    HandOver,
    Signature,
    check_hand_over,
)  # fmt: skip
from shuzha.exits.settling import FinalSettlement
from shuzha.exits.store import EXITS
from shuzha.ledger.reader import Proof
from shuzha.settlement.service import SettlementService

FOLLOWED_TAGS = ("authorization:expire", "authorization:terminate", "authorization:withdraw")
"""The events after which `ExitService.follow` opens an exit."""

SIGNING_KEY = "exit-certificates"
_CAUSES = {
    AuthorizationState.EXPIRED: Cause.EXPIRED,
    AuthorizationState.TERMINATED: Cause.TERMINATED,
    AuthorizationState.WITHDRAWN: Cause.WITHDRAWN,
}

log = logging.getLogger(__name__)

STUMBLED: Final = "a part of the platform that did not answer; it is asked again"
"""What an exit waits for that could not be taken further: the service's log says which part, and why."""


def exit_resource(found: Exit) -> Resource:
    """Return an exit as decisions see it: the operating unit's."""
    return Resource("exit", found.id, found.operator, authorization=found.authorization)


@dataclass(frozen=True, slots=True)
class ExitParts:
    """What the exits of one installation are made of; `prove` finds the audit log's proof of an event."""

    database: Database
    policies: Policies
    law: LawBook
    keys: KeyRing
    ending: Ending
    settlement: SettlementService
    prove: Callable[[str], Proof | None]


class ExitService:
    """Exits, from the end of an authorization to its signed certificate."""

    def __init__(self, parts: ExitParts) -> None:
        self._parts = parts
        self._database = parts.database
        self._policies = parts.policies
        self._final = FinalSettlement(parts.database, parts.settlement)

    @property
    def public_key(self) -> bytes:
        """The platform's raw Ed25519 key that certificates are checked with."""
        return self._parts.keys.signing_key(SIGNING_KEY).public_key().public_bytes_raw()

    def follow(self, event: Event) -> None:
        """Open the exit of an authorization that has ended; a handler of the outbox, which bears a repeat."""
        actor = platform_actor("exit")
        with self._database.work(actor) as work:
            ended = work.get(AUTHORIZATIONS, event.subject)
            if ended.state not in _CAUSES or not _was_in_force(work, ended) or work.list(EXITS, authorization=ended.id):
                return
            made = Exit(
                id=new_id("ext"), authorization=ended.id, operator=ended.operator, authority=ended.authority,
                cause=_CAUSES[ended.state], reason=ended.reason, state=EXIT.initial, opened_at=work.now(),
            )  # fmt: skip
            self._check(work, actor, "exit:open", made)
            work.add(EXITS, made)
            work.emit("exit:open", made.id, f"exit of authorization {ended.id} opened", data=_data(made))

    def carry_on(self) -> tuple[Exit, ...]:
        """Take every exit as far as it goes without a person, and return those that moved; the clock asks for it."""
        with self._database.read() as work:
            found = [one for one in work.list(EXITS) if one.state is not ExitState.CLOSED]
        moved = []
        for one in found:
            try:
                after = self.run(one.id)
            except (ShuzhaError, OSError) as error:
                # One exit that waits for a hub or a disk must not keep the others.
                log.warning("the exit %s goes on later: %s", one.id, error)
                with self._database.work(platform_actor("exit")) as work:
                    self._wait(work, work.get(EXITS, one.id), STUMBLED)
                continue
            if after.state is not one.state:
                moved.append(after)
        return tuple(moved)

    def run(self, exit_id: str) -> Exit:
        """Take one exit as far as it goes by itself and return it; a job that bears a repeat."""
        steps = {
            ExitState.OPENED: self._freeze, ExitState.HANDED_OVER: self._destroy, ExitState.DESTROYED: self._settle,
        }  # fmt: skip
        with self._database.read() as work:
            found = work.get(EXITS, exit_id)
        while found.state in steps:
            before = found.state
            found = steps[before](found)
            if found.state is before:
                break
        return found

    def hand_over(self, actor: Actor, exit_id: str, products: str, customers: str, assets: str) -> Exit:
        """Return the exit with what becomes of products, customers and own assets, as the operating unit says.

        Where it stays silent past the due day, the authority says it in its stead; before that it is refused.
        """
        check_hand_over(products, customers, assets)
        with self._database.work(actor) as work:
            found = self._seen(work, actor, exit_id)
            self._check(work, actor, "exit:hand_over", found)
            substituted = actor.organisation != found.operator
            if substituted and (found.due is None or city_date(work.now()) <= found.due):
                raise NotAllowed(
                    f"the hand-over of {found.id} is the operating unit's until its day has passed",
                    rule=HAND_OVER_RULE,
                    accepted=f"after {found.due}",
                )  # fmt: skip
            said = HandOver(work.now(), actor.id, products.strip(), customers.strip(), assets.strip(), substituted)
            return self._move(
                work, actor, found, "hand_over", hand_over=said, due=None, due_provisional=False, waiting=""
            )

    def close(self, actor: Actor, exit_id: str, reason: str) -> Exit:
        """Return the exit closed, its certificate signed by the platform and by the actor's authority, and logged."""
        if not reason.strip():
            raise Invalid("a decision without a reason", rule="decision.reason", accepted="a sentence that says why")
        with self._database.work(actor) as work:
            found = self._seen(work, actor, exit_id)
            self._check(work, actor, "exit:close", found)
            if found.authority and actor.organisation != found.authority:
                raise NotAllowed(
                    f"the exit {found.id} is closed by the authority that signed the agreement", rule="J23 art. 4"
                )
            found = replace(found, authority=actor.organisation)
            names = {"platform": SIGNING_KEY, actor.organisation: f"organisation:{actor.organisation}"}
            key = self._parts.keys.signing_key(names[actor.organisation]).public_key().public_bytes_raw().hex()
            text = certificate_of(found, work.get(AUTHORIZATIONS, found.authorization).document, key, work.now())
            signatures = tuple(self._sign(work, party, actor, name, text) for party, name in names.items())
            content = f"exit certificate signed: sha256 {sha256(text)}"
            return self._move(
                work, actor, found, "close", content=content, approver=actor.id, certificate=text.decode(),
                signatures=signatures, waiting="",
            )  # fmt: skip

    def bundle(self, actor: Actor, exit_id: str) -> bytes:
        """Return the certificate with its signatures and proofs, for anybody to verify offline.

        Refuses an exit that is not closed; Unavailable for a second or so, until the closing stands in the log.
        """
        found = self.get_exit(actor, exit_id)
        if found.state is not ExitState.CLOSED:
            raise Conflict(f"exit {found.id} is {found.state}", rule="exit.certificate", accepted="a closed exit")
        closing = self._database.find_event("exit:close", found.id)
        proofs = {}
        for event in (*cited_events(found), *((closing,) if closing else ())):
            proof = self._parts.prove(event)
            if proof is None:
                raise Unavailable("the audit log's next checkpoint is awaited", accepted="ask again in a second")
            proofs[event] = proof.document()
        return bundle_of(found, proofs)

    def get_exit(self, actor: Actor, exit_id: str) -> Exit:
        """Return one exit; raises NotFound for one that the actor may not see."""
        with self._database.read() as work:
            return self._seen(work, actor, exit_id)

    def list_exits(self, actor: Actor, *, authorization: str | None = None) -> tuple[Exit, ...]:
        """Return the exits that the actor may see, newest first."""
        equal = {} if authorization is None else {"authorization": authorization}
        with self._database.read() as work:
            found = work.list(EXITS, newest_first=True, **equal)
            return tuple(one for one in found if self._can_see(work, actor, one))

    def _freeze(self, found: Exit) -> Exit:
        actor = self._allowed(found, "freeze")
        self._parts.ending.stop(found.authorization, f"exit {found.id}")
        with self._database.work(actor) as work:
            found = work.get(EXITS, found.id)
            held = find_holdings(work, found.authorization)
            moving = held.moving()
            if moving:
                return self._wait(work, found, f"still moving: {', '.join(moving)}")
            frozen = Frozen(
                work.now(), _ids(held.grants), _ids(held.workspaces), _ids(held.exports), _ids(held.products),
                _ids(held.keys),
            )  # fmt: skip
            due = self._parts.law.due(HAND_OVER_RULE, work.now())
            return self._move(
                work, actor, found, "freeze", frozen=frozen, waiting="the operating unit's hand-over",
                due=due.date if due else None, due_provisional=due.provisional if due else False,
            )  # fmt: skip

    def _destroy(self, found: Exit) -> Exit:
        actor = self._allowed(found, "destroy")
        self._parts.ending.destroy(found.authorization, f"exit {found.id}")
        with self._database.work(actor) as work:
            found = work.get(EXITS, found.id)
            left = self._parts.ending.find_left(work, found.authorization)
            if left:
                return self._wait(work, found, f"still there: {', '.join(left)}")
            act = work.emit(PROVING, found.id, "releases, homes, indexes and keys were looked for: none is left")
            gone = self._parts.ending.describe(work, found.authorization, act)
            return self._move(work, actor, found, "destroy", destroyed=gone, destroyed_at=work.now(), waiting="")

    def _settle(self, found: Exit) -> Exit:
        actor = self._allowed(found, "settle")
        settled, waiting = self._final.run(found)
        with self._database.work(actor) as work:
            found = work.get(EXITS, found.id)
            if waiting:
                return self._wait(work, found, waiting)
            return self._move(
                work,
                actor,
                found,
                "settle",
                settled=settled,
                settled_at=work.now(),
                waiting="the authority's signature",
            )

    def _sign(self, work: Work, party: str, actor: Actor, name: str, text: bytes) -> Signature:
        key = self._parts.keys.signing_key(name)
        return Signature(party, actor.id, work.now(), key.public_key().public_bytes_raw().hex(), key.sign(text).hex())

    def _allowed(self, found: Exit, verb: str) -> Actor:
        """Return the platform's actor where the policy lets it take this step."""
        actor = platform_actor("exit")
        with self._database.read() as work:
            self._check(work, actor, EXIT.permission(verb), found)
        return actor

    @staticmethod
    def _wait(work: Work, found: Exit, why: str) -> Exit:
        return found if found.waiting == why else work.save(EXITS, replace(found, waiting=why))

    def _move(
        self, work: Work, actor: Actor, found: Exit, verb: str, *, content: str = "", approver: str | None = None,
        **fields: Any,
    ) -> Exit:  # fmt: skip
        self._check(work, actor, EXIT.permission(verb), found)
        move = EXIT.next(found.state, verb, found.id)
        fresh = work.save(EXITS, replace(found, state=move.target, **fields))
        content = content or f"exit: {verb}"
        work.emit(EXIT.permission(verb), found.id, content, data=_data(fresh), approver=approver)
        return fresh

    def _seen(self, work: Work, actor: Actor, exit_id: str) -> Exit:
        found = work.get(EXITS, exit_id)
        if not self._can_see(work, actor, found):
            raise NotFound(f"no exits with id {exit_id}")
        return found

    def _can_see(self, work: Work, actor: Actor, found: Exit) -> bool:
        providers = work.get(AUTHORIZATIONS, found.authorization).providers
        views = [replace(exit_resource(found), organisation=each) for each in (found.operator, *providers)]
        return any(self._policies.can(actor, "exit:view", view, Context(at=work.now())) for view in views)

    def _check(self, work: Work, actor: Actor, permission: str, found: Exit) -> None:
        self._policies.check(actor, permission, exit_resource(found), Context(at=work.now()))


def _was_in_force(work: Work, ended: Authorization) -> bool:
    return bool(work.list(GRANTS, authorization=ended.id)) or len(ended.signatures) > 1


def _ids(found: tuple[Any, ...]) -> tuple[str, ...]:
    return tuple(one.id for one in found)


def _data(found: Exit) -> dict[str, Any]:
    return {
        "exit": found.id, "authorization": found.authorization, "operator": found.operator, "cause": found.cause.value,
        "due": None if found.due is None else found.due.isoformat(),
    }  # fmt: skip
