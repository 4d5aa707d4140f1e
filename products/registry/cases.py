"""The verbs of cases: filed, completed, accepted, heard, decided; what was decided is done in the same unit of work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from policies import Context, Policies, Resource
from products.registry import case_model as rules
from products.registry.case_model import CASE, OPEN, Asked, Case, CaseKind
from products.registry.objecting import Objecting
from products.registry.registration import ACCEPTANCE_RULE, RENEWAL_RULE, Registration, check_reason
from products.registry.store import CASES
from shuzha.core.actor import Actor
from shuzha.core.clock import city_date
from shuzha.core.errors import Conflict, Invalid, NotFound
from shuzha.core.ids import new_id
from shuzha.core.lawbook import LawBook
from shuzha.core.work import Database, Work, no_record

PREFIXES: Mapping[str, str] = {"prd": "product", "res": "resource"}


class CaseService:
    """Cases on registrations of every kind; `registers` has a register for each noun."""

    def __init__(
        self, database: Database, policies: Policies, lawbook: LawBook, registers: Mapping[str, Objecting[Any]]
    ) -> None:
        self._database = database
        self._policies = policies
        self._lawbook = lawbook
        self._registers = registers

    def file(self, actor: Actor, subject: str, asked: Asked) -> Case:
        """Return a new case on a registration in force.

        Refuses what the kind does not allow, a second open case of the same kind by the same organisation, a renewal
        too early, and a new output that does not fit the product or its grant.
        """
        noun, register = self._register(subject)
        record = register.find(subject)
        made = self._made(actor, noun, record, asked)
        self._policies.check(actor, f"case:{asked.kind.value}", _seen_as(made, made.holder), self._now())
        rules.check_asked(asked, record.sheet, holder=not made.is_foreign)
        check_reason(asked.reason)
        self._check_time(made, record)
        evidence = register.stage(actor, record, made.id, asked.export, asked.file, asked.kind is CaseKind.CHANGE)
        if asked.kind is CaseKind.CHANGE and not asked.changes and evidence is None:
            raise Invalid("a change names nothing new", rule=rules.CASE_RULE, accepted="a field or a new output")
        with self._database.work(actor) as work:
            self._check_alone(work, made)
            due = self._lawbook.due(ACCEPTANCE_RULE, work.now())
            hearing = self._lawbook.due(rules.HEARING_RULE, work.now()) if made.is_foreign else None
            made = replace(
                made, evidence=evidence, due=due.date if due else None, provisional_due=bool(due and due.provisional),
                response_due=hearing.date if hearing else None,
            )  # fmt: skip
            work.add(CASES, made)
            self._tell(work, made, "file", f"{made.kind.value} asked for")
        return made

    def complete(self, actor: Actor, case_id: str, reason: str, changes: Mapping[str, str] | None = None) -> Case:
        """Return the case completed as it was asked to be, with other texts of its fields where they are given."""
        with self._database.work(actor) as work:
            case = self._take(work, actor, case_id, "complete")
            sheet = self._registers[case.noun].find(case.subject).sheet
            asked = Asked(case.kind, reason, dict(changes or case.changes), case.export, case.file)
            rules.check_asked(asked, sheet, holder=not case.is_foreign)
            before = rules.texts_of(sheet, asked.changes)
            told = {"reason": check_reason(reason), "changes": asked.changes, "before": before}
            return self._move(work, case, "complete", "completed", told)

    def withdraw(self, actor: Actor, case_id: str, reason: str) -> Case:
        """Return the case withdrawn by whoever asked; the registration stays as it is."""
        return self._decide(actor, case_id, "withdraw", reason)

    def supplement(self, actor: Actor, case_id: str, reason: str) -> Case:
        """Return the case sent back to be completed, with the reason."""
        return self._decide(actor, case_id, "supplement", reason)

    def accept(self, actor: Actor, case_id: str) -> Case:
        """Return the case accepted; the clock of its decision starts."""
        with self._database.work(actor) as work:
            return self._move(work, self._take(work, actor, case_id, "accept"), "accept", "accepted", {})

    def respond(self, actor: Actor, case_id: str, response: str) -> Case:
        """Return the case with what the holder says to another's request."""
        with self._database.work(actor) as work:
            case = self._take(work, actor, case_id, "respond")
            if not case.is_foreign or case.responded_at is not None:
                raise Conflict(f"case {case.id} waits for no response", rule=rules.HEARING_RULE)
            changes = {"response": check_reason(response), "responded_at": work.now()}
            return self._move(work, case, "respond", "the holder was heard", changes)

    def refuse(self, actor: Actor, case_id: str, reason: str) -> Case:
        """Return the case refused with the reason; the registration stays as it is."""
        return self._decide(actor, case_id, "refuse", reason)

    def grant(self, actor: Actor, case_id: str, reason: str) -> Case:
        """Return the case granted, and its registration changed, corrected, renewed or cancelled with it.

        Refuses before the holder was heard, and where what it would change was changed since.
        """
        with self._database.work(actor) as work:
            case = self._take(work, actor, case_id, "grant")
            rules.check_heard(case, city_date(work.now()))
            register = self._registers[case.noun]
            record = register.find(case.subject)
            rules.check_unchanged(case, record.sheet)
            changes = {"decision": check_reason(reason), "decided_by": actor.id, "decided_at": work.now()}
            granted = self._move(work, case, "grant", f"{case.kind.value} granted", changes)
            register.apply_case(work, actor, granted)
            return granted

    def get(self, actor: Actor, case_id: str) -> Case:
        """Return one case that the actor may see, or raise NotFound."""
        with self._database.read() as work:
            case = work.get(CASES, case_id)
            if not self._sees(work, actor, case):
                raise NotFound(no_record(CASES, case_id))
            return case

    def list(self, actor: Actor, *, subject: str | None = None) -> tuple[Case, ...]:
        """Return the cases that the actor may see, newest first."""
        equal = {} if subject is None else {"subject": subject}
        with self._database.read() as work:
            found = work.list(CASES, newest_first=True, **equal)
            return tuple(one for one in found if self._sees(work, actor, one))

    def list_public(self, subject: str) -> tuple[Case, ...]:
        """Return what was decided on a registration, newest first: its history, which anybody may read."""
        with self._database.read() as work:
            found = work.list(CASES, newest_first=True, subject=subject)
        return tuple(one for one in found if one.state is rules.CaseState.GRANTED)

    def _made(self, actor: Actor, noun: str, record: Any, asked: Asked) -> Case:
        known = {name for name in asked.changes if name in getattr(record.sheet, "__dataclass_fields__", ())}
        before = rules.texts_of(record.sheet, dict.fromkeys(known, ""))
        return Case(
            new_id("cas"), noun, record.id, asked.kind, record.holder, actor.organisation, actor.id,
            asked.reason.strip(), dict(asked.changes), before, self._database.clock.now(), export=asked.export,
            file=asked.file,
        )  # fmt: skip

    def _check_time(self, case: Case, record: Any) -> None:
        """Refuse a case on what is not in force, and a renewal before its days."""
        allowed = {Registration.VALID} | ({Registration.CODED} if case.kind is CaseKind.CANCELLATION else set())
        if record.registration not in allowed:
            raise Invalid(
                f"no case on {record.id}: its registration is {record.registration.value}", rule=rules.CASE_RULE,
                accepted="a registration in force",
            )  # fmt: skip
        days = self._lawbook.get_rule(RENEWAL_RULE).calendar_days or 0
        left = (record.valid_until - city_date(case.filed_at)).days if record.valid_until else 0
        if case.kind is CaseKind.RENEWAL and left > days:
            raise Invalid(
                f"{record.id} is registered until {record.valid_until.isoformat()}", rule=RENEWAL_RULE,
                accepted=f"a renewal within {days} days before",
            )  # fmt: skip

    def _check_alone(self, work: Work, made: Case) -> None:
        for one in work.list(CASES, subject=made.subject):
            if one.state in OPEN and one.kind is made.kind and one.organisation == made.organisation:
                raise Conflict(
                    f"case {one.id} asks for a {made.kind.value} already", rule=rules.CASE_RULE,
                    accepted="that one withdrawn or decided",
                )  # fmt: skip

    def _decide(self, actor: Actor, case_id: str, verb: str, reason: str) -> Case:
        with self._database.work(actor) as work:
            case = self._take(work, actor, case_id, verb)
            changes: dict[str, Any] = {"decision": check_reason(reason)}
            if verb != "supplement":
                changes |= {"decided_by": actor.id, "decided_at": work.now()}
            return self._move(work, case, verb, f"{case.kind.value}: {verb}", changes)

    def _take(self, work: Work, actor: Actor, case_id: str, verb: str) -> Case:
        case = work.get(CASES, case_id)
        whose = case.holder if verb == "respond" else case.organisation
        self._policies.check(actor, CASE.permission(verb), _seen_as(case, whose), Context(at=work.now()))
        CASE.next(case.state, verb, case.id)
        return case

    def _move(self, work: Work, case: Case, verb: str, content: str, changes: dict[str, Any]) -> Case:
        move = CASE.next(case.state, verb, case.id)
        if verb != "respond":
            due = self._lawbook.due(move.clock, work.now()) if move.clock else None
            changes |= {"due": due.date if due else None, "provisional_due": bool(due and due.provisional)}
        saved = work.save(CASES, replace(case, state=move.target, **changes))
        self._tell(work, saved, verb, content)
        return saved

    def _tell(self, work: Work, case: Case, verb: str, content: str) -> None:
        # Texts stay in the record: a person may write into them whatever he likes, and the log is for ever.
        data = {"case": case.id, case.noun: case.subject, "kind": case.kind.value}
        work.emit(f"case:{verb}", case.id, f"case {case.id} on {case.subject}: {content}", data=data)

    def _sees(self, work: Work, actor: Actor, case: Case) -> bool:
        at = Context(at=work.now())
        whose = {case.holder, case.organisation}
        return any(self._policies.can(actor, "case:view", _seen_as(case, one), at) for one in whose)

    def _register(self, subject: str) -> tuple[str, Objecting[Any]]:
        noun = PREFIXES.get(subject.partition("_")[0], "")
        if noun not in self._registers:
            raise NotFound(f"no registration with id {subject[:40]}")
        return noun, self._registers[noun]

    def _now(self) -> Context:
        return Context(at=self._database.clock.now())


def _seen_as(case: Case, organisation: str) -> Resource:
    return Resource("case", case.id, organisation, case.author)
