"""The verbs of settlement: settle a month once, look at one so far, count it again, hold the three counts together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from policies import Context, Policies, Resource
from shuzha.core.actor import Actor
from shuzha.core.errors import Conflict, NotFound
from shuzha.core.ids import new_id
from shuzha.core.work import Database, Work
from shuzha.settlement import model
from shuzha.settlement.model import Draft, Settlement, StatementKind, Terms, UsageFact
from shuzha.settlement.sources import UsageSource, read_codes, read_terms
from shuzha.settlement.store import STATEMENTS, Statement


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """Whether the counts of a month agree: acknowledged (where the caller counted), in the log, metered, billed."""

    period: str
    acknowledged: int | None
    logged: int
    metered: int
    billed: int
    billed_fen: int
    shared_fen: int
    equal: bool


@dataclass(frozen=True, slots=True)
class Recount:
    """A month computed again from the log's own entries, and the stored statements that differ from it."""

    period: str
    settlement: Settlement
    differing: tuple[str, ...]
    missing: tuple[str, ...]

    @property
    def equal(self) -> bool:
        """Whether every stored statement is byte for byte what the log gives, and none is missing."""
        return not self.differing and not self.missing


class SettlementService:
    """Statements."""

    def __init__(self, database: Database, policies: Policies, usage: UsageSource) -> None:
        self._database = database
        self._policies = policies
        self._usage = usage

    def settle(self, actor: Actor, period: str) -> tuple[Statement, ...]:
        """Return the final statements of a month that is over; a second run changes nothing.

        Refuses an unfinished month, and (Conflict) usage that would change a statement already settled: a correction
        is a reversal in a later month, never an edit. So is a month whose meter's table does not say what the usage log
        says: the log is what everybody can verify, and nothing else is billed.
        """
        model.parse_period(period)
        with self._database.read() as work:
            self._policies.check(actor, "statement:settle", Resource("statement"), Context(at=work.now()))
            model.check_month_over(period, work.now())
            settlement, terms = self._compute(work, period, recount=False)
            counted = self._compute(work, period, recount=True)[0]
        if counted != settlement:
            raise Conflict(
                f"cannot settle {period}: the meter's table is not what the usage log says", rule="settlement.log",
                accepted="a table and facts built again from the log",
            )  # fmt: skip
        with self._database.work(actor) as work:
            return tuple(self._store(work, draft, terms) for draft in settlement.statements)

    def so_far(self, actor: Actor, period: str) -> Settlement:
        """Return the statements of a month as they stand now, stored nowhere: also of an unfinished month."""
        model.parse_period(period)
        with self._database.read() as work:
            self._policies.check(actor, "statement:make", Resource("statement"), Context(at=work.now()))
            return self._compute(work, period, recount=False)[0]

    def recount(self, actor: Actor, period: str) -> Recount:
        """Return the month computed from the usage log alone, compared with the whole of each stored statement."""
        with self._database.read() as work:
            self._policies.check(actor, "ledger:view", Resource("ledger"), Context(at=work.now()))
            settlement = self._compute(work, period, recount=True)[0]
            stored = {(one.kind, one.subject): one for one in work.list(STATEMENTS, period=period)}
        computed = {(one.kind, one.subject): one for one in settlement.statements}
        differing = [one.id for key, one in stored.items() if one.as_draft() != computed.get(key)]
        missing = [subject for kind, subject in computed if (kind, subject) not in stored]
        return Recount(period, settlement, tuple(differing), tuple(missing))

    def reconcile(self, actor: Actor, period: str, acknowledged: int | None = None) -> Reconciliation:
        """Return the counts of a month side by side: acknowledged = logged = metered = billed, and money = shares."""
        with self._database.read() as work:
            self._policies.check(actor, "ledger:view", Resource("ledger"), Context(at=work.now()))
            logged = sum(one.count for one in self._usage.recount(period, {}))
            stored = work.list(STATEMENTS, period=period)
        bills = [one for one in stored if one.kind is StatementKind.BILL]
        shared = [one for one in stored if one.kind is StatementKind.AUTHORIZATION]
        billed = sum(line.count for one in bills for line in one.lines)
        metered = self._usage.metered(period)
        money = sum(one.due_fen for one in bills), sum(sum(one.shares.values()) for one in shared)
        counts = {logged, metered, billed} | ({acknowledged} if acknowledged is not None else set())
        equal = len(counts) == 1 and money[0] == money[1]
        return Reconciliation(period, acknowledged, logged, metered, billed, *money, equal)

    def get_statement(self, actor: Actor, statement_id: str) -> Statement:
        """Return a statement that the actor may see, or raise NotFound."""
        with self._database.read() as work:
            found = work.get(STATEMENTS, statement_id)
            if not self._may_see(work, actor, found):
                raise NotFound(f"no statements with id {statement_id}")
            return found

    def list_statements(self, actor: Actor, *, period: str | None = None) -> tuple[Statement, ...]:
        """Return the statements that the actor may see, newest first."""
        with self._database.read() as work:
            equal = {} if period is None else {"period": period}
            found = work.list(STATEMENTS, newest_first=True, **equal)
            return tuple(one for one in found if self._may_see(work, actor, one))

    def _may_see(self, work: Work, actor: Actor, statement: Statement) -> bool:
        resource = Resource("statement", statement.id, statement.organisation)
        return self._policies.can(actor, "statement:view", resource, Context(at=work.now()))

    def _compute(self, work: Work, period: str, *, recount: bool) -> tuple[Settlement, Mapping[str, Terms]]:
        codes = read_codes(work)
        facts: tuple[UsageFact, ...] = (self._usage.recount if recount else self._usage.facts)(period, codes)
        terms = read_terms(work, sorted({fact.product for fact in facts}))
        return model.settle(period, facts, terms), terms

    def _store(self, work: Work, draft: Draft, terms: Mapping[str, Terms]) -> Statement:
        same = work.list(STATEMENTS, period=draft.period, kind=draft.kind.value, subject=draft.subject)
        known = next(iter(same), None)
        if known is not None:
            if known.digest != draft.digest:
                raise Conflict(
                    f"statement {known.id} of {draft.period} is settled, and the usage is no longer the same",
                    rule="settlement.final", accepted="a reversal in a later month",
                )  # fmt: skip
            return known
        organisation = draft.subject
        if draft.kind is StatementKind.AUTHORIZATION:
            organisation = terms[draft.lines[0].product].organisations["operator"]
        statement = Statement(
            new_id("stm"), draft.period, draft.kind, draft.subject, organisation, draft.lines, draft.amount_fen,
            draft.due_fen, draft.waived_fen, draft.shares, draft.digest, work.now(),
        )  # fmt: skip
        work.add(STATEMENTS, statement)
        work.emit(
            "statement:settle", statement.id, f"{draft.kind.value} of {draft.period} settled",
            data={"period": draft.period, "kind": draft.kind.value, "due_fen": draft.due_fen, "digest": draft.digest},
        )  # fmt: skip
        return statement
