"""The verbs of a registration, the same for products and for data resources: from the application to its end.

A service says what differs: which table, how the policy layer sees a record, what its letters say, what its code is.
"""

from __future__ import annotations

import datetime as dt
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar, cast

from policies import Context, Policies, Resource
from products.registry import registration as rules
from products.registry.case_model import OPEN, VERBS, Case, CaseKind, changed_sheet
from products.registry.letters import Facts, commit, write_commitment, write_notice
from products.registry.model import Evidence
from products.registry.registration import Agent, Application, Objection, Outcome, Registered, Registration
from products.registry.store import CASES, OBJECTIONS
from shuzha.core.actor import Actor
from shuzha.core.clock import city_date
from shuzha.core.errors import Invalid, NotFound
from shuzha.core.keys import KeyRing
from shuzha.core.lawbook import LawBook
from shuzha.core.lifecycle import Lifecycle, Move
from shuzha.core.records import Noun
from shuzha.core.work import Database, Work, no_record
from shuzha.people.store import ORGANISATIONS

Record = TypeVar("Record", bound=Registered)


@dataclass(frozen=True, slots=True)
class Book(Generic[Record]):
    """Where records of one kind are kept: their table, and the table of states of their registration."""

    noun: Noun[Record]
    lifecycle: Lifecycle[Registration]


class Registering(ABC, Generic[Record]):
    """The register of one kind of thing."""

    def __init__(
        self, book: Book[Record], database: Database, policies: Policies, lawbook: LawBook, keys: KeyRing
    ) -> None:
        self._book = book
        self._database = database
        self._policies = policies
        self._lawbook = lawbook
        self._keys = keys

    @abstractmethod
    def resource(self, record: Record) -> Resource:
        """Return the record as the policy layer sees it."""

    @abstractmethod
    def facts(self, work: Work, record: Record) -> Facts:
        """Return what letters say of the record, read from the live records."""

    @abstractmethod
    def _make_code(self, work: Work, record: Record) -> str: ...

    @abstractmethod
    def _check_sound(self, work: Work, record: Record) -> None:
        """Refuse a record whose evidence does not hold, or that may not be registered any more."""

    def _ended(self, work: Work, record: Record, verb: str) -> Record:
        """Do what follows when a registration ends; nothing for most things."""
        return record

    def amend(self, actor: Actor, record_id: str, sheet: Any) -> Record:
        """Return the record with another sheet: before the application, or as the supplement that was asked for."""
        with self._database.work(actor) as work:
            record = self._take(work, actor, record_id, "amend")
            self.check_sheet(sheet)
            return self._move(work, record, "amend", "sheet amended", {"sheet": sheet})

    @abstractmethod
    def check_sheet(self, sheet: Any) -> None:
        """Refuse a sheet that leaves a reader without an answer."""

    def preview_commitment(self, actor: Actor, record_id: str, agent: Agent | None = None) -> str:
        """Return the commitment letter that applying would give today."""
        with self._database.read() as work:
            record = self._get(work, actor, record_id)
            return write_commitment(self.facts(work, record), agent, city_date(work.now()))

    def apply(self, actor: Actor, record_id: str, application: Application | None = None) -> Record:
        """Return the record with its registration applied for, on its commitment letter; also after a supplement.

        Refuses where no evidence was deposited before, or where it does not hold any more (W25 art. 25).
        """
        with self._database.work(actor) as work:
            record = self._take(work, actor, record_id, "apply")
            asked = application or cast("Application | None", record.application) or Application()  # type: ignore[attr-defined]
            rules.check_application(asked)
            self._check_sound(work, record)
            letter = write_commitment(self.facts(work, record), asked.agent, city_date(work.now()))
            given = commit(self._keys, actor, record.holder, letter, work.now())
            changes = {"application": asked, "commitment": given, "applied_at": work.now()}
            return self._move(
                work, record, "apply", "registration applied for", changes, data={"commitment": given.sha256}
            )

    def withdraw(self, actor: Actor, record_id: str, reason: str) -> Record:
        """Return the record with its application withdrawn by its holder, before a code was given; for good."""
        return self._say(actor, record_id, "withdraw", "application withdrawn", reason)

    def accept(self, actor: Actor, record_id: str) -> Record:
        """Return the record with its application accepted; the clock of the formal review starts."""
        with self._database.work(actor) as work:
            record = self._take(work, actor, record_id, "accept")
            due = self._lawbook.due(rules.REVIEW_RULE, work.now())
            changes = {"accepted_at": work.now(), "review_due": due and due.date}
            return self._move(work, record, "accept", "registration accepted", changes)

    def supplement(self, actor: Actor, record_id: str, reason: str) -> Record:
        """Return the record sent back to its applicant to be completed, with the reason."""
        return self._say(actor, record_id, "supplement", "supplement asked for", reason)

    def refuse(self, actor: Actor, record_id: str, reason: str) -> Record:
        """Return the record with its registration refused, for good; open objections are to be answered first."""
        return self._say(actor, record_id, "refuse", "registration refused", reason)

    def pass_review(self, actor: Actor, record_id: str) -> Record:
        """Return the record with its formal review passed; refuses one whose evidence does not hold."""
        with self._database.work(actor) as work:
            record = self._take(work, actor, record_id, "pass")
            self._check_sound(work, record)
            return self._move(work, record, "pass", "formal review passed")

    def preview_notice(self, actor: Actor, record_id: str, remark: str = "") -> str:
        """Return the text of the public notice as it would be published now."""
        with self._database.read() as work:
            return self._notice(work, self._get(work, actor, record_id), remark)[0]

    def announce(self, actor: Actor, record_id: str, remark: str = "") -> Record:
        """Return the record on public notice; its text is written from the records, followed by the remark."""
        if len(remark) > rules.LONGEST_TEXT:
            raise Invalid("the remark of a notice is too long", rule=rules.NOTICE_RULE, field="text")
        with self._database.work(actor) as work:
            record = self._take(work, actor, record_id, "announce")
            self._check_sound(work, record)
            text, last = self._notice(work, record, remark)
            changes = {"noticed_at": work.now(), "notice_due": last, "notice_text": text}
            content = f"on public notice to {last.isoformat()}"
            return self._move(work, record, "announce", content, changes, data={"due": last.isoformat()})

    def code(self, actor: Actor, record_id: str) -> Record:
        """Return the record with its code (赋码); refuses while the public notice runs, naming its last day."""
        with self._database.work(actor) as work:
            record = self._take(work, actor, record_id, "code")
            self._check_sound(work, record)
            rules.check_notice_over(record, city_date(work.now()))
            code = self._make_code(work, record)
            changes = {"code": code, "coded_at": work.now()}
            return self._move(work, record, "code", f"code {code} given", changes, data={"code": code})

    def validate(self, actor: Actor, record_id: str) -> Record:
        """Return the record with its registration in force, for the years that the law book gives."""
        with self._database.work(actor) as work:
            record = self._take(work, actor, record_id, "validate")
            years = self._lawbook.get_rule(rules.VALIDITY_RULE).years or 3
            until = rules.years_later(city_date(work.now()), years)
            content = f"registration valid until {until.isoformat()}"
            return self._move(work, record, "validate", content, {"valid_until": until})

    def remind_due(self, actor: Actor) -> tuple[str, ...]:
        """Remind once of every registration that ends soon, and return their ids; a job that bears a repeat."""
        days = self._lawbook.get_rule(rules.RENEWAL_RULE).calendar_days or 0
        with self._database.read() as work:
            today = city_date(work.now())
            valid = work.list(self._book.noun, registration=Registration.VALID.value)
        found: list[Any] = [one for one in valid if one.valid_until is not None]
        near = [one for one in found if one.valid_until - today <= dt.timedelta(days=days)]
        due = [one.id for one in near if one.reminded_on is None]
        for record_id in due:
            with self._database.work(actor) as work:
                record = self._take(work, actor, record_id, "remind")
                content = f"registration ends on {record.valid_until}: apply for its renewal"
                self._move(work, record, "remind", content, {"reminded_on": today})
        return tuple(due)

    def expire_due(self, actor: Actor) -> tuple[str, ...]:
        """End the registrations whose last day is over, and return their ids; a job that bears a repeat.

        A renewal that was asked for in time keeps its registration until it is decided.
        """
        with self._database.read() as work:
            today = city_date(work.now())
            valid = work.list(self._book.noun, registration=Registration.VALID.value)
            over = [one.id for one in valid if one.valid_until is not None and one.valid_until < today]
            over = [one for one in over if not _is_renewing(work, one)]
        for record_id in over:
            self.expire(actor, record_id)
        return tuple(over)

    def expire(self, actor: Actor, record_id: str) -> Record:
        """Return the record with its registration expired; refuses before its last day is over."""
        with self._database.work(actor) as work:
            record = self._take(work, actor, record_id, "expire")
            if record.valid_until is None or city_date(work.now()) <= record.valid_until:
                raise Invalid(f"{record.id} is registered until {record.valid_until}", rule=rules.VALIDITY_RULE)
            return self._move(work, record, "expire", "registration expired")

    def stage(self, actor: Actor, record: Record, case_id: str, export: str, file: str, anew: bool) -> Evidence | None:
        """Return the evidence of what a case would serve, kept until it is decided; None where nothing new is."""
        if export or file:
            raise Invalid(f"{record.id} serves no output", rule="registration.case", accepted="no export and no file")
        return None

    def apply_case(self, work: Work, actor: Actor, case: Case) -> Record:
        """Return the record as a granted case leaves it."""
        verb = VERBS[case.kind]
        record = self._take(work, actor, case.subject, verb)
        changes: dict[str, Any] = {}
        if case.kind is CaseKind.RENEWAL and record.valid_until is not None:
            self._check_sound(work, record)
            years = self._lawbook.get_rule(rules.RENEWAL_RULE).years or 3
            until = rules.years_later(record.valid_until + dt.timedelta(days=1), years)
            changes = {"valid_until": until, "reminded_on": None}
        elif case.kind is CaseKind.CANCELLATION:
            changes = {"state_reason": case.decision}
        elif case.changes:
            sheet = changed_sheet(record.sheet, case.changes)  # type: ignore[attr-defined]
            self.check_sheet(sheet)
            changes = {"sheet": sheet}
        data = {"case": case.id, "kind": case.kind.value}
        saved = self._move(work, record, verb, f"{case.kind.value} by case {case.id}", changes, data=data)
        return self._served_anew(work, saved, case) if case.evidence is not None else saved

    def _served_anew(self, work: Work, record: Record, case: Case) -> Record:
        """Serve what a granted change deposited."""
        return record

    def find(self, record_id: str) -> Record:
        """Return one record, for the rooms of the register itself; raises NotFound."""
        with self._database.read() as work:
            return work.get(self._book.noun, record_id)

    def get(self, actor: Actor, record_id: str) -> Record:
        """Return one record that the actor may see, or raise NotFound."""
        with self._database.read() as work:
            return self._get(work, actor, record_id)

    def find_by_code(self, code: str) -> Record | None:
        """Return the record of a public code, or None."""
        with self._database.read() as work:
            return next(iter(work.list(self._book.noun, code=code)), None)

    def list_all(self, actor: Actor, **equal: str) -> tuple[Record, ...]:
        """Return the records that the actor may see, newest first; keywords such as `registration=` narrow them."""
        with self._database.read() as work:
            found = work.list(self._book.noun, newest_first=True, **equal)
            return tuple(one for one in found if self._sees(work, actor, one))

    def list_notices(self) -> tuple[Record, ...]:
        """Return what is on public notice: what anyone may read and object to."""
        with self._database.read() as work:
            return work.list(self._book.noun, registration=Registration.PUBLIC_NOTICE.value)

    def objections_of(self, work: Work, record: Record) -> tuple[Objection, ...]:
        """Return the objections to the notice that runs, or ran last, oldest first."""
        since = record.noticed_at  # type: ignore[attr-defined]
        return tuple(one for one in work.list(OBJECTIONS, subject=record.id) if since and one.filed_at >= since)

    def _notice(self, work: Work, record: Record, remark: str) -> tuple[str, dt.date]:
        rule, today = self._lawbook.get_rule(rules.NOTICE_RULE), city_date(work.now())
        due = self._lawbook.due(rules.NOTICE_RULE, work.now())
        if due is None or rule.days is None:
            raise Invalid("the law book states no days of notice", rule=rules.NOTICE_RULE)
        return write_notice(self.facts(work, record), today, due.date, rule.days, remark), due.date

    def _say(self, actor: Actor, record_id: str, verb: str, content: str, reason: str) -> Record:
        """Move a record with a reason, once no objection waits."""
        with self._database.work(actor) as work:
            record = self._take(work, actor, record_id, verb)
            said = rules.check_reason(reason)
            if verb != "withdraw":
                rules.check_answered(record, self.objections_of(work, record))
            return self._move(work, record, verb, content, {"state_reason": said}, data={"reason": said})

    def _take(self, work: Work, actor: Actor, record_id: str, verb: str) -> Record:
        """Return a record that the actor may do this to now; its state is asked first, then whether it may be."""
        record = work.get(self._book.noun, record_id)
        self._policies.check(actor, self._book.lifecycle.permission(verb), self.resource(record), _at(work))
        self._book.lifecycle.next(record.registration, verb, record.id)
        return record

    def _get(self, work: Work, actor: Actor, record_id: str) -> Record:
        record = work.get(self._book.noun, record_id)
        if not self._sees(work, actor, record):
            raise NotFound(no_record(self._book.noun, record_id))
        return record

    def _sees(self, work: Work, actor: Actor, record: Record) -> bool:
        return self._policies.can(actor, self._book.lifecycle.permission("view"), self.resource(record), _at(work))

    def _move(
        self, work: Work, record: Record, verb: str, content: str, changes: dict[str, Any] | None = None, *,
        data: dict[str, Any] | None = None,
    ) -> Record:  # fmt: skip
        move: Move[Registration] = self._book.lifecycle.next(record.registration, verb, record.id)
        moved = {"registration": move.target, **self._clock(work, move), **(changes or {})}
        saved = work.save(self._book.noun, cast("Record", replace(cast("Any", record), **moved)))
        self._tell(work, saved, verb, content, data)
        if move.target in (Registration.CANCELLED, Registration.EXPIRED, Registration.WITHDRAWN):
            saved = self._ended(work, saved, verb)
        return saved

    def _clock(self, work: Work, move: Move[Registration]) -> dict[str, Any]:
        """Return the last day of whoever's turn it is, where a rule says one."""
        if move.verb in {"amend", "answer"}:
            return {}
        due = self._lawbook.due(move.clock, work.now()) if move.clock else None
        return {"due": due.date if due else None, "provisional_due": bool(due and due.provisional)}

    def _tell(self, work: Work, record: Record, verb: str, content: str, data: dict[str, Any] | None) -> None:
        noun = self._book.lifecycle.noun
        facts = {noun: record.id, **self._event_data(record), **(data or {})}
        work.emit(f"{noun}:{verb}", record.id, f"{noun} {record.code or record.id}: {content}", data=facts)

    def _event_data(self, record: Record) -> dict[str, Any]:
        return {}


def name_of(work: Work, organisation: str) -> str:
    """Return the Chinese name of an organisation, its id where none is known."""
    found = work.find(ORGANISATIONS, organisation)
    return found.name if found is not None else organisation


def open_ones(objections: tuple[Objection, ...]) -> tuple[Objection, ...]:
    """Return those that wait for an answer."""
    return tuple(one for one in objections if one.outcome is Outcome.OPEN)


def _is_renewing(work: Work, record_id: str) -> bool:
    return any(one.state in OPEN for one in work.list(CASES, subject=record_id, kind=CaseKind.RENEWAL.value))


def _at(work: Work) -> Context:
    return Context(at=work.now())
