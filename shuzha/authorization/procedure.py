"""The verbs that lead an authorization from its qualification to its end (J23 art. 10 and 14)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from shuzha.authorization import document
from shuzha.authorization.agreement import Agreement
from shuzha.authorization.announcement import Announcement
from shuzha.authorization.applying import ApplicationVerbs
from shuzha.authorization.base import authorization_resource, authorization_views, demand_resource, grant_resource
from shuzha.authorization.evidence import check_complete
from shuzha.authorization.filing import Filing, number_of, public_key, write_agreement
from shuzha.authorization.model import (
    AUTHORIZATION,
    DEMAND,
    GRANT,
    IN_FORCE,
    UNDECIDED,
    Authorization,
    DemandState,
    Grant,
    GrantState,
    Signature,
    check_notice_over,
    check_reason,
)  # fmt: skip
from shuzha.authorization.qualification import Check, check_facts, name_subjects
from shuzha.authorization.store import ANNOUNCEMENTS, AUTHORIZATIONS, DEMANDS, FILINGS, GRANTS
from shuzha.core.actor import Actor
from shuzha.core.clock import city_date
from shuzha.core.errors import Invalid, NotAllowed, NotFound
from shuzha.core.work import Work

Change = Callable[[Work, Authorization], Authorization]
RENEWAL_RULE = "authorization.renewal"


def _unchanged(_work: Work, authorization: Authorization) -> Authorization:
    return authorization


class AuthorizationVerbs(ApplicationVerbs):
    """Qualification, approval, publicity, signature, suspension and end; each verb is one unit of work."""

    def qualify(self, actor: Actor, authorization_id: str, checks: Iterable[Check], reason: str) -> Authorization:
        """Return the application qualified, with the looked-up facts as its record (J23 art. 9).

        Refuses missing evidence, and facts that are missing, stale or speak against the unit or its head.
        """
        given = tuple(checks)

        def change(work: Work, authorization: Authorization) -> Authorization:
            announcement = self._announcement(work, authorization)
            if announcement is not None:
                check_complete(authorization.evidence, announcement.content.evidence)
            found = name_subjects(given, authorization.operator, authorization.legal_representative)
            check_facts(found, city_date(work.now()), self._law)
            return replace(authorization, checks=found)

        return self._move(actor, authorization_id, "qualify", reason, change)

    def approve(
        self, actor: Actor, authorization_id: str, approval: str, reason: str, agreement: Agreement | None = None,
        approved_on: dt.date | None = None,
    ) -> Authorization:  # fmt: skip
        """Return the application as approved by the government under number `approval`, with its final agreement.

        `approved_on` is the approval's day, today where none is given. Refuses an approval without a number or of a
        day to come, and a final agreement as `apply` does.
        """
        if not approval.strip():
            raise Invalid(
                "an approval without its number", rule="J23 art. 10(3)", accepted="the government's number",
                field="number",
            )  # fmt: skip

        def change(work: Work, found: Authorization) -> Authorization:
            today = city_date(work.now())
            day = approved_on or today
            if day > today:
                raise Invalid(
                    "the approval is dated after today", rule="J23 art. 10(3)", accepted="its day", field="approved_on"
                )
            final = agreement or found.agreement
            providers = self._checked_providers(work, final, self._announcement(work, found))
            return replace(
                found, agreement=final, providers=providers, approval=approval, authority=actor.organisation,
                approved_on=day, valid_from=final.term.start(), valid_until=final.term.end(),
            )  # fmt: skip

        return self._move(actor, authorization_id, "approve", reason, change)

    def publicize(self, actor: Actor, authorization_id: str, reason: str) -> Authorization:
        """Return the authorization made public: object, content, scope, term (W25 art. 20); its document is fixed.

        The public notice begins, of as many working days as the announcement says.
        """

        def change(work: Work, found: Authorization) -> Authorization:
            announcement = self._announcement(work, found)
            days = announcement.content.notice_days if announcement else 0
            found = replace(found, document=document.document_hash(found))
            if not days:
                return found
            due = self._law.calendar.due(city_date(work.now()), days)
            return replace(found, notice_until=due.date, notice_provisional=due.provisional)

        return self._move(actor, authorization_id, "publicize", reason, change)

    def sign(self, actor: Actor, authorization_id: str, reason: str = "signed for the operating unit") -> Authorization:
        """Return the authorization with the operating unit's signature over its document, once its notice is over."""
        return self._move(actor, authorization_id, "sign", reason, self._signer(actor))

    def countersign(
        self, actor: Actor, authorization_id: str, reason: str = "signed for the authority"
    ) -> Authorization:
        """Return the authorization in force, signed by the authority and filed.

        Refuses where a signature or a hash fails, and where an entry may no longer be authorized.
        """
        signer = self._signer(actor)

        def change(work: Work, found: Authorization) -> Authorization:
            if actor.organisation != found.authority:
                raise NotAllowed(
                    f"the document of {found.id} names {found.authority} as the authority", rule="J23 art. 10(4)",
                    accepted="a person of the authority that approved it",
                )  # fmt: skip
            signed = signer(work, found)
            number = _next_number(work)
            text = document.document_of(signed).decode()
            filing = Filing(
                signed.id, number, text, signed.document, signed.signatures, actor.id, work.now()
            )  # fmt: skip
            work.add(FILINGS, filing)
            return replace(signed, filing=number)

        return self._move(actor, authorization_id, "countersign", reason, change)

    def is_signed(self, found: Authorization, signature: Signature) -> bool:
        """Return whether a signature holds over the document as it stands, by its organisation's own key; for pages."""
        return document.is_own_key(self._keys, signature) and document.is_signed(found, signature)

    def agreement_key(self) -> str:
        """Return the platform's public key for filed agreements, in hex; it is public, so nobody is asked."""
        return public_key(self._keys)

    def read_agreement(self, actor: Actor, authorization_id: str) -> bytes:
        """Return the filed agreement as a bundle that anybody verifies offline; raises NotFound before it is filed."""
        with self._database.read() as work:
            found = self._get_seen(work, actor, AUTHORIZATIONS, authorization_id, authorization_views)
            filing = work.find(FILINGS, found.id)
        if filing is None:
            raise NotFound(f"the agreement of {found.id} is not filed yet")
        return write_agreement(filing, self._keys)

    def suspend(self, actor: Actor, authorization_id: str, reason: str) -> Authorization:
        """Return the authorization suspended (J23 art. 14); every process hears of it by `authorization:suspend`."""
        return self._move(actor, authorization_id, "suspend", reason, _unchanged)

    def restore(self, actor: Actor, authorization_id: str, reason: str) -> Authorization:
        """Return the authorization in force again; refuses one whose term is over."""

        def change(work: Work, found: Authorization) -> Authorization:
            if found.valid_until <= work.now():
                raise Invalid(
                    f"cannot restore {found.id}: its term is over", rule="J23 art. 10(5)", accepted="a new application"
                )
            return found

        return self._move(actor, authorization_id, "restore", reason, change)

    def reject(self, actor: Actor, authorization_id: str, reason: str) -> Authorization:
        """Return the application rejected, with its reason."""
        return self._move(actor, authorization_id, "reject", reason, _unchanged)

    def terminate(self, actor: Actor, authorization_id: str, reason: str) -> Authorization:
        """Return the authorization terminated (J23 art. 14), its grants and demands closed."""
        return self._move(actor, authorization_id, "terminate", reason, self._close_all)

    def withdraw(self, actor: Actor, authorization_id: str, reason: str) -> Authorization:
        """Return the authorization as given up by the operating unit, its grants and demands closed."""
        return self._move(actor, authorization_id, "withdraw", reason, self._close_all)

    def expire_due(self, actor: Actor) -> tuple[str, ...]:
        """End what the clock has ended, and return the ids: authorizations past their term, then grants past theirs.

        A job of the platform that bears a repeat; a grant past its term is denied also before this has run.
        """
        with self._database.read() as work:
            now = work.now()
            late = work.list(AUTHORIZATIONS, AUTHORIZATIONS.table.c.valid_until <= now)
            grants = work.list(GRANTS, GRANTS.table.c.valid_until <= now)
        ended = [found.id for found in late if AUTHORIZATION.can(found.state, "expire")]
        for found_id in ended:
            self._move(actor, found_id, "expire", "the term is over (J23 art. 10(5))", self._close_all)
        for grant in grants:
            with self._database.work(actor) as work:
                if self._close_grant(work, actor, work.get(GRANTS, grant.id), "the term of the grant is over"):
                    ended.append(grant.id)
        return tuple(ended)

    def remind_due(self, actor: Actor) -> tuple[str, ...]:
        """Remind once of every authorization whose term ends soon, and return their ids (J23 art. 10(5)).

        A job of the platform that bears a repeat; the rule `authorization.renewal` says how many working days before.
        """
        days = self._law.get_rule(RENEWAL_RULE).days or 0
        with self._database.read() as work:
            today = city_date(work.now())
            found = [one for one in work.list(AUTHORIZATIONS) if one.state in IN_FORCE and one.reminded_on is None]
        near = [one.id for one in found if self._law.calendar.due(today, days).date >= one.agreement.term.valid_until]
        for found_id in near:
            with self._database.work(actor) as work:
                one = work.get(AUTHORIZATIONS, found_id)
                self._check(actor, "authorization:remind", authorization_resource(one), work.now())
                work.save(AUTHORIZATIONS, replace(one, reminded_on=today))
                last = one.agreement.term.valid_until.isoformat()
                data = {"authorization": one.id, "operator": one.operator, "grants": (), "valid_until": last}
                work.emit("authorization:remind", one.id, f"the term ends on {last}: apply again before", data=data)
        return tuple(near)

    def get_authorization(self, actor: Actor, authorization_id: str) -> Authorization:
        """Return one authorization; raises NotFound for one that the actor may not see."""
        with self._database.read() as work:
            return self._get_seen(work, actor, AUTHORIZATIONS, authorization_id, authorization_views)

    def list_authorizations(self, actor: Actor) -> tuple[Authorization, ...]:
        """Return the authorizations that the actor may see, newest first."""
        with self._database.read() as work:
            now = work.now()
            found = work.list(AUTHORIZATIONS, newest_first=True)
        return tuple(one for one in found if self._can_see(actor, "authorization:view", authorization_views(one), now))

    def _move(self, actor: Actor, authorization_id: str, verb: str, reason: str, change: Change) -> Authorization:
        with self._database.work(actor) as work:
            found = self._get_seen(work, actor, AUTHORIZATIONS, authorization_id, authorization_views)
            self._check(actor, AUTHORIZATION.permission(verb), authorization_resource(found), work.now())
            move = AUTHORIZATION.next(found.state, verb, found.id)
            check_reason(reason)
            grants = _open_grants(work, found.id)
            fresh = replace(change(work, found), state=move.target, reason=reason)
            if move.target not in UNDECIDED:
                fresh = replace(fresh, due=None, due_provisional=False)
            fresh = work.save(AUTHORIZATIONS, fresh)
            content = f"authorization {found.title}: {verb}"
            data = _data(fresh, grants, reason)
            work.emit(AUTHORIZATION.permission(verb), found.id, content, data=data, approver=_approver(actor, verb))
        return fresh

    def _signer(self, actor: Actor) -> Change:
        def change(work: Work, found: Authorization) -> Authorization:
            document.check_document(self._keys, found)
            check_notice_over(found, city_date(work.now()))
            # An entry may have become secret or closed since the approval: then nobody signs (J23 art. 8).
            self._checked_providers(work, found.agreement, self._announcement(work, found))
            signature = document.sign_document(self._keys, actor, found, work.now())
            return replace(found, signatures=(*found.signatures, signature))

        return change

    def _announcement(self, work: Work, found: Authorization) -> Announcement | None:
        # None for what was applied for before applications rested on announcements.
        return work.find(ANNOUNCEMENTS, found.announcement) if found.announcement else None

    def _close_all(self, work: Work, found: Authorization) -> Authorization:
        """Close what hangs on the authorization; the decision on the authorization covers them."""
        for grant in work.list(GRANTS, authorization=found.id):
            if GRANT.can(grant.state, "close"):
                work.save(GRANTS, replace(grant, state=GrantState.CLOSED, reason="its authorization ended"))
                work.emit("grant:close", grant.id, "grant closed with its authorization", data=grant_data(grant))
        for demand in work.list(DEMANDS, authorization=found.id):
            if DEMAND.can(demand.state, "close"):
                work.save(
                    DEMANDS, replace(demand, state=DemandState.CLOSED, reason="its authorization ended", due=None)
                )
                work.emit("demand:close", demand.id, "demand closed with its authorization", data={"demand": demand.id})
        return found

    def _close_grant(self, work: Work, actor: Actor, grant: Grant, reason: str) -> bool:
        """Close a grant and its demand where they are open; return whether anything was changed."""
        if not GRANT.can(grant.state, "close"):
            return False
        self._check(actor, "grant:close", grant_resource(grant), work.now())
        work.save(GRANTS, replace(grant, state=GrantState.CLOSED, reason=reason))
        work.emit("grant:close", grant.id, "grant closed", data=grant_data(grant, reason))
        demand = work.get(DEMANDS, grant.demand)
        if DEMAND.can(demand.state, "close"):
            self._check(actor, "demand:close", demand_resource(demand), work.now())
            work.save(DEMANDS, replace(demand, state=DemandState.CLOSED, reason=reason, due=None))
            work.emit("demand:close", demand.id, "demand closed", data={"demand": demand.id, "reason": reason})
        return True


def grant_data(grant: Grant, reason: str = "") -> dict[str, Any]:
    """Return what the events of a grant carry."""
    return {
        "grant": grant.id, "demand": grant.demand, "authorization": grant.authorization, "entry": grant.entry,
        "operator": grant.operator, "provider": grant.provider, "reason": reason,
    }  # fmt: skip


def _next_number(work: Work) -> str:
    year = city_date(work.now()).year
    table = FILINGS.table
    statement = sa.select(sa.func.count()).where(table.c.number.like(number_of(year, 0)[:-4] + "%"))
    return number_of(year, int(work.connection.execute(statement).scalar() or 0) + 1)


def _open_grants(work: Work, authorization_id: str) -> tuple[str, ...]:
    found = work.list(GRANTS, authorization=authorization_id)
    return tuple(grant.id for grant in found if grant.state is not GrantState.CLOSED)


def _data(found: Authorization, grants: tuple[str, ...] = (), reason: str = "") -> dict[str, Any]:
    return {
        "authorization": found.id, "operator": found.operator, "state": found.state.value, "grants": grants,
        "document": found.document, "reason": reason, "filing": found.filing,
    }  # fmt: skip


def _approver(actor: Actor, verb: str) -> str | None:
    decided = {"qualify", "review", "approve", "publicize", "countersign", "suspend", "restore", "reject", "terminate"}
    return actor.id if verb in decided else None
