"""The verbs that lead an authorization from its application to its end (J23 art. 10 and 14)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from policies import Resource
from shuzha.authorization import document
from shuzha.authorization.agreement import Agreement, check_agreement
from shuzha.authorization.base import Room, authorization_resource, demand_resource, grant_resource, providers_of
from shuzha.authorization.eligibility import check_eligible
from shuzha.authorization.model import (
    AUTHORIZATION,
    DEMAND,
    GRANT,
    UNDECIDED,
    Application,
    Authorization,
    Check,
    DemandState,
    Grant,
    GrantState,
    check_application,
    check_facts,
    check_reason,
)  # fmt: skip
from shuzha.authorization.store import AUTHORIZATIONS, DEMANDS, GRANTS
from shuzha.catalog.store import ENTRIES
from shuzha.core.actor import Actor
from shuzha.core.clock import city_date
from shuzha.core.errors import Conflict, Invalid
from shuzha.core.ids import new_id
from shuzha.core.work import Work

Change = Callable[[Work, Authorization], Authorization]
TERM_RULE = "authorization.term"
REVIEW_RULE = "authorization.review"


def _unchanged(_work: Work, authorization: Authorization) -> Authorization:
    return authorization


class AuthorizationVerbs(Room):
    """Application, review, signature, suspension and end; each verb is one unit of work."""

    def apply(self, actor: Actor, application: Application) -> Authorization:
        """Return the new application of the actor's organisation, with the day by which it is to be decided.

        Refuses an incomplete agreement, a term past the cap, and entries that may not be authorized (J23 art. 7, 8).
        """
        with self._database.work(actor) as work:
            now = work.now()
            self._check(actor, "authorization:apply", Resource("authorization", organisation=actor.organisation), now)
            check_application(application)
            providers = self._checked_providers(work, application.agreement)
            due, provisional = self._due(REVIEW_RULE, now)
            agreement = application.agreement
            found = Authorization(
                id=new_id("aut"), operator=actor.organisation, title=application.title, mode=application.mode,
                field=application.field, responsible_person=application.responsible_person,
                training_proof=application.training_proof, agreement=agreement, providers=providers, applicant=actor.id,
                state=AUTHORIZATION.initial, applied_at=now, valid_from=agreement.term.start(),
                valid_until=agreement.term.end(), due=due, due_provisional=provisional,
            )  # fmt: skip
            work.add(AUTHORIZATIONS, found)
            work.emit("authorization:apply", found.id, f"authorization {found.title} applied for", data=_data(found))
        return found

    def qualify(self, actor: Actor, authorization_id: str, checks: Iterable[Check], reason: str) -> Authorization:
        """Return the application qualified; refuses facts that are missing or speak against the unit (J23 art. 9)."""
        found = tuple(checks)

        def change(work: Work, authorization: Authorization) -> Authorization:
            check_facts(found, city_date(work.now()))
            return replace(authorization, checks=found)

        return self._move(actor, authorization_id, "qualify", reason, change)

    def review(self, actor: Actor, authorization_id: str, score: int, reason: str) -> Authorization:
        """Return the application with the experts' score, 0 to 100 (J23 art. 10(3))."""
        if not 0 <= score <= 100:
            raise Invalid("the score is out of range", rule="authorization.score", accepted="0 to 100")
        return self._move(actor, authorization_id, "review", reason, lambda _, found: replace(found, score=score))

    def approve(
        self, actor: Actor, authorization_id: str, approval: str, reason: str, agreement: Agreement | None = None
    ) -> Authorization:
        """Return the application as approved by the government under number `approval`, with its final agreement.

        Refuses an approval without a number, and a final agreement as `apply` does.
        """
        if not approval.strip():
            raise Invalid("an approval without its number", rule="J23 art. 10(3)", accepted="the government's number")

        def change(work: Work, found: Authorization) -> Authorization:
            final = agreement or found.agreement
            return replace(
                found, agreement=final, providers=self._checked_providers(work, final), approval=approval,
                authority=actor.organisation, valid_from=final.term.start(), valid_until=final.term.end(),
            )  # fmt: skip

        return self._move(actor, authorization_id, "approve", reason, change)

    def publicize(self, actor: Actor, authorization_id: str, reason: str) -> Authorization:
        """Return the authorization made public: object, content, scope, term (W25 art. 20); its document is fixed."""

        def change(_work: Work, found: Authorization) -> Authorization:
            return replace(found, document=document.document_hash(found))

        return self._move(actor, authorization_id, "publicize", reason, change)

    def sign(self, actor: Actor, authorization_id: str, reason: str = "signed for the operating unit") -> Authorization:
        """Return the authorization with the operating unit's signature over its document."""
        return self._move(actor, authorization_id, "sign", reason, self._signer(actor))

    def countersign(
        self, actor: Actor, authorization_id: str, reason: str = "signed for the authority"
    ) -> Authorization:
        """Return the authorization in force, signed by the authority; refuses where a signature or a hash fails."""
        return self._move(actor, authorization_id, "countersign", reason, self._signer(actor))

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

    def get_authorization(self, actor: Actor, authorization_id: str) -> Authorization:
        """Return one authorization; raises NotFound for one that the actor may not see."""
        with self._database.read() as work:
            found = work.get(AUTHORIZATIONS, authorization_id)
            self._check_seen(actor, "authorization:view", [authorization_resource(found)], work.now())
        return found

    def list_authorizations(self, actor: Actor) -> tuple[Authorization, ...]:
        """Return the authorizations that the actor may see, newest first."""
        with self._database.read() as work:
            now = work.now()
            found = work.list(AUTHORIZATIONS, newest_first=True)
        return tuple(
            one for one in found if self._can_see(actor, "authorization:view", [authorization_resource(one)], now)
        )

    def _move(self, actor: Actor, authorization_id: str, verb: str, reason: str, change: Change) -> Authorization:
        with self._database.work(actor) as work:
            found = work.get(AUTHORIZATIONS, authorization_id)
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

    def _checked_providers(self, work: Work, agreement: Agreement) -> tuple[str, ...]:
        rule = self._law.get_rule(TERM_RULE)
        if rule.years is None:
            raise Invalid("the law book states no cap on the term", rule=TERM_RULE)
        check_agreement(agreement, rule.years, rule.citation())
        if agreement.term.end() <= work.now():
            raise Invalid("the term is over already", rule="agreement.term", accepted="a last day from today on")
        entries = tuple(work.get(ENTRIES, entry) for entry in agreement.entries)
        for entry in entries:
            check_eligible(entry)
        return providers_of(entries)

    def _signer(self, actor: Actor) -> Change:
        def change(work: Work, found: Authorization) -> Authorization:
            if document.document_hash(found) != found.document:
                raise Conflict(f"the document of {found.id} is not the one made public", rule="agreement.document")
            if not all(document.is_signed(found, signature) for signature in found.signatures):
                raise Conflict(f"a signature of {found.id} does not hold", rule="agreement.signature")
            signature = document.sign_document(self._keys, actor, found, work.now())
            return replace(found, signatures=(*found.signatures, signature))

        return change

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


def _open_grants(work: Work, authorization_id: str) -> tuple[str, ...]:
    found = work.list(GRANTS, authorization=authorization_id)
    return tuple(grant.id for grant in found if grant.state is not GrantState.CLOSED)


def _data(found: Authorization, grants: tuple[str, ...] = (), reason: str = "") -> dict[str, Any]:
    return {
        "authorization": found.id, "operator": found.operator, "state": found.state.value, "grants": grants,
        "document": found.document, "reason": reason,
    }  # fmt: skip


def _approver(actor: Actor, verb: str) -> str | None:
    decided = {"qualify", "review", "approve", "publicize", "countersign", "suspend", "restore", "reject", "terminate"}
    return actor.id if verb in decided else None
