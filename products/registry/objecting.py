"""Objections to a public notice: raised by anybody, answered by the registry; the notice waits meanwhile."""

from __future__ import annotations

from dataclasses import replace

from policies import Context
from products.registry import registration as rules
from products.registry.registering import Record, Registering, open_ones
from products.registry.registration import Objection, Objector, Outcome
from products.registry.store import OBJECTIONS
from shuzha.core.actor import Actor, platform_actor
from shuzha.core.clock import city_date
from shuzha.core.errors import Conflict
from shuzha.core.ids import new_id
from shuzha.core.work import Work

HIDDEN = Objector("")


class Objecting(Registering[Record]):
    """The verbs of objections; an answer says whether the objection was right."""

    def object_to(self, actor: Actor, record_id: str, reason: str) -> Record:
        """Return the record held by a signed-in person's objection during its notice."""
        objector = Objector(actor.name, "", actor.id, actor.organisation)
        return self._object(actor, record_id, objector, reason)[0]

    def object_publicly(self, record_id: str, objector: Objector, reason: str) -> Objection:
        """Return the objection of somebody without an account; its id is the receipt.

        Refuses one without a name and a contact: it could not be answered.
        """
        return self._object(platform_actor("notice"), record_id, replace(objector, account=""), reason)[1]

    def answer(self, actor: Actor, objection_id: str, answer: str, *, upheld: bool) -> Objection:
        """Return the objection answered, for all to read; an upheld one leads to a supplement or a refusal."""
        with self._database.work(actor) as work:
            found = work.get(OBJECTIONS, objection_id)
            record = self._take(work, actor, found.subject, "answer")
            if found.outcome is not Outcome.OPEN:
                raise Conflict(f"objection {found.id} was answered already", rule=rules.OBJECTION_RULE)
            saved = work.save(OBJECTIONS, replace(
                found, outcome=Outcome.UPHELD if upheld else Outcome.DISMISSED, answer=rules.check_reason(answer),
                answered_by=actor.id, answered_at=work.now(),
            ))  # fmt: skip
            data = {"objection": saved.id, "outcome": saved.outcome.value, "reason": saved.answer}
            self._move(work, record, "answer", f"objection {saved.id} {saved.outcome.value}", data=data)
        return saved

    def resume(self, actor: Actor, record_id: str) -> Record:
        """Return the record on notice again, for the working days that were left when it was held, at least one.

        Refuses while an objection waits for its answer, and after one that was upheld.
        """
        with self._database.work(actor) as work:
            record = self._take(work, actor, record_id, "resume")
            raised = self.objections_of(work, record)
            rules.check_answered(record, raised)
            rules.check_not_upheld(record, raised)
            left = max(1, int(record.notice_left))  # type: ignore[attr-defined]
            due = self._lawbook.calendar.due(city_date(work.now()), left)
            changes = {"notice_due": due.date, "due": due.date, "provisional_due": due.provisional}
            content = f"on public notice again, to {due.date.isoformat()}"
            return self._move(work, record, "resume", content, changes, data={"due": due.date.isoformat()})

    def list_objections(self, actor: Actor, record_id: str) -> tuple[Objection, ...]:
        """Return the objections to a record, oldest first; who objects is told to the registry and to himself."""
        with self._database.read() as work:
            record = self._get(work, actor, record_id)
            permission = self._book.lifecycle.permission("answer")
            may_answer = self._policies.can(actor, permission, self.resource(record), Context(at=work.now()))
            found = work.list(OBJECTIONS, subject=record.id)
        return tuple(
            one if may_answer or one.objector.account == actor.id else replace(one, objector=HIDDEN) for one in found
        )

    def list_public_objections(self, record_id: str) -> tuple[Objection, ...]:
        """Return the objections to a record as anybody may read them: their answers, and nothing of the objector."""
        with self._database.read() as work:
            found = work.list(OBJECTIONS, subject=record_id)
        return tuple(replace(one, objector=HIDDEN, text="") for one in found)

    def _object(self, actor: Actor, record_id: str, objector: Objector, reason: str) -> tuple[Record, Objection]:
        with self._database.work(actor) as work:
            record = self._take(work, actor, record_id, "object")
            rules.check_notice_open(record, city_date(work.now()))
            rules.check_objector(objector)
            text = rules.check_reason(reason)
            rules.check_first_objection(objector, open_ones(self.objections_of(work, record)))
            due = self._lawbook.due(rules.OBJECTION_RULE, work.now())
            made = Objection(
                new_id("obj"), record.id, objector, text, work.now(), due.date if due else None,
                bool(due and due.provisional),
            )  # fmt: skip
            work.add(OBJECTIONS, made)
            changes = {"notice_left": self._left(work, record)}
            if len(open_ones(self.objections_of(work, record))) > 1:
                changes["due"] = record.due  # type: ignore[attr-defined]  # The first objection's day stands.
            # Neither the reason nor the objector goes into the log: a person may write there whatever he likes.
            content = f"held by objection {made.id}"
            return self._move(work, record, "object", content, changes, data={"objection": made.id}), made

    def _left(self, work: Work, record: Record) -> int:
        if record.registration is rules.Registration.HELD or record.notice_due is None:
            return int(record.notice_left)  # type: ignore[attr-defined]
        return max(0, self._lawbook.calendar.remaining(city_date(work.now()), record.notice_due))
