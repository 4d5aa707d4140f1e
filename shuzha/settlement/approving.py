"""The verbs on a settled statement: approve (issue), hold, mark paid, reopen, confirm. Its figures never change."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from policies import Context, Policies, Resource
from shuzha.core.actor import Actor
from shuzha.core.errors import Conflict, Invalid, NotFound, ShuzhaError
from shuzha.core.work import Database, Work
from shuzha.settlement.model import SEEN, STATEMENT
from shuzha.settlement.store import STATEMENTS, Statement

_SUPERVISORS = ("authority", "regulator", "platform")


class StatementDesk:
    """Takes statements through their life."""

    def __init__(self, database: Database, policies: Policies) -> None:
        self._database = database
        self._policies = policies

    def approve(self, actor: Actor, statement_id: str) -> Statement:
        """Return the statement issued: from now on whom it is for sees it.

        Refuses one whose figures are not those of its digest.
        """
        with self._database.work(actor) as work:
            return self._approve(work, actor, statement_id)

    def approve_month(self, actor: Actor, period: str) -> tuple[Statement, ...]:
        """Return the statements of a month, every one that was waiting issued; all or none."""
        with self._database.work(actor) as work:
            self._policies.check(actor, "statement:approve", Resource("statement"), Context(at=work.now()))
            found = work.list(STATEMENTS, period=period)
            if not found:
                raise NotFound(f"{period} is not settled", rule="statement.month", accepted="a settled month")
            return tuple(
                self._approve(work, actor, one.id) if STATEMENT.can(one.state, "approve") else one for one in found
            )

    def hold(self, actor: Actor, statement_id: str, reason: str) -> Statement:
        """Return the statement held back before it is issued, with the reason."""
        return self._move(actor, statement_id, "hold", {"reason": _text(reason, "reason")}, reason)

    def pay(self, actor: Actor, statement_id: str, reference: str) -> Statement:
        """Return the statement marked as paid, with the reference of the payment (no account number is asked)."""
        reference = _text(reference, "payment")
        with self._database.work(actor) as work:
            found = self._get(work, actor, statement_id)
            changes = {"payment": reference, "paid_at": work.now()}
            return self._store(work, actor, found, "pay", changes, "marked as paid")

    def reopen(self, actor: Actor, statement_id: str, reason: str) -> Statement:
        """Return the statement as unpaid again: the mark was wrong, or the money did not come."""
        changes = {"payment": "", "paid_at": None, "reason": _text(reason, "reason")}
        return self._move(actor, statement_id, "reopen", changes, reason)

    def confirm(self, actor: Actor, statement_id: str) -> Statement:
        """Return the statement settled for good: the authority has seen the money."""
        return self._move(actor, statement_id, "confirm", {}, "payment confirmed")

    def find_waiting(self, actor: Actor) -> tuple[Statement, ...]:
        """Return the statements that the actor may approve or confirm now, oldest first."""
        with self._database.read() as work:
            found = work.list(STATEMENTS)
            return tuple(one for one in found if any(self._can(work, actor, one, verb) for verb in _WAITING))

    def can(self, actor: Actor, statement: Statement, verb: str) -> ShuzhaError | None:
        """Return why the actor may not do this now, or None where it may."""
        try:
            STATEMENT.next(statement.state, verb, statement.id)
            with self._database.read() as work:
                self._check(work, actor, statement, verb)
        except ShuzhaError as error:
            return error
        return None

    def _can(self, work: Work, actor: Actor, statement: Statement, verb: str) -> bool:
        if not STATEMENT.can(statement.state, verb):
            return False
        context = Context(at=work.now())
        return self._policies.can(actor, STATEMENT.permission(verb), resource_of(statement), context)

    def _approve(self, work: Work, actor: Actor, statement_id: str) -> Statement:
        found = self._get(work, actor, statement_id)
        if found.as_draft().computed_digest() != found.digest:
            raise Conflict(
                f"cannot approve statement {found.id}: its figures are not those of its digest",
                rule="statement.digest", accepted="the statement as it was settled",
            )  # fmt: skip
        changes = {"approved_by": actor.id, "approved_at": work.now(), "reason": ""}
        return self._store(work, actor, found, "approve", changes, "issued", approver=actor.id)

    def _move(self, actor: Actor, statement_id: str, verb: str, changes: dict[str, Any], said: str) -> Statement:
        with self._database.work(actor) as work:
            return self._store(work, actor, self._get(work, actor, statement_id), verb, changes, said)

    def _get(self, work: Work, actor: Actor, statement_id: str) -> Statement:
        found = work.get(STATEMENTS, statement_id)
        hidden = found.state not in SEEN and not any(map(actor.has, _SUPERVISORS))
        if hidden or not self._policies.can(actor, "statement:view", resource_of(found), Context(at=work.now())):
            raise NotFound(f"no statements with id {statement_id}")
        return found

    def _check(self, work: Work, actor: Actor, found: Statement, verb: str) -> None:
        self._policies.check(actor, STATEMENT.permission(verb), resource_of(found), Context(at=work.now()))

    def _store(
        self, work: Work, actor: Actor, found: Statement, verb: str, changes: dict[str, Any], said: str,
        *, approver: str | None = None,
    ) -> Statement:  # fmt: skip
        self._check(work, actor, found, verb)
        move = STATEMENT.next(found.state, verb, found.id)
        saved = work.save(STATEMENTS, replace(found, state=move.target, **changes))
        work.emit(
            f"statement:{verb}", found.id, f"statement {found.number}: {said}", approver=approver,
            data={"period": found.period, "kind": found.kind.value, "digest": found.digest},
        )  # fmt: skip
        return saved


def resource_of(statement: Statement) -> Resource:
    """Return a statement as the policy layer sees it; who settled it is its author."""
    return Resource("statement", statement.id, statement.organisation, author=statement.settled_by)


def _text(text: str, field: str) -> str:
    if not text.strip() or len(text) > 500:
        raise Invalid(
            f"a statement's {field} is empty or too long", rule=f"statement.{field}", accepted="1 to 500 letters",
            field=field,
        )  # fmt: skip
    return text.strip()


_WAITING = ("approve", "confirm")
