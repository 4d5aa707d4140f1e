"""The verbs of settlement: settle a month once, look at one so far, count it again, hold the counts together.

Settling has two steps, each all or nothing. First the month is *closed*: how much of the usage log it counts and all
its other inputs are written down. Then the statements are computed from just that, and stored together. A process that
is killed in between leaves a closing without statements; the next run goes on from it to the same bytes. Uses that
reach the log after their month was closed become corrections in the next month's statements.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import msgspec

from policies import Context, Policies, Resource
from shuzha.core.actor import Actor
from shuzha.core.errors import Conflict, NotFound
from shuzha.core.ids import new_id
from shuzha.core.work import Database, Work
from shuzha.settlement import model
from shuzha.settlement.capping import Caps
from shuzha.settlement.computing import Anchor, correct, settle
from shuzha.settlement.gathering import Place, gather, read_codes
from shuzha.settlement.inputs import Inputs, canonical, read_inputs, terms_of
from shuzha.settlement.model import SEEN, CapState, Draft, Line, Settlement, StatementKind
from shuzha.settlement.sources import Tally, UsageSource, Window
from shuzha.settlement.store import CLOSINGS, STATEMENTS, Closing, Statement
from shuzha.settlement.terms import Terms

BUNDLE = "shuzha/settlement-bundle/1"
_SUPERVISORS = ("authority", "regulator", "platform")


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

        What reached the log after the month was closed is left to the next month's corrections. Earlier months with
        usage that nobody settled are settled first. Refuses an unfinished month and one before a month that is settled;
        and a month whose meter's table does not say what the usage log says: the log is what everybody can verify, and
        nothing else is billed.
        """
        model.parse_period(period)
        with self._database.read() as work:
            self._policies.check(actor, "statement:settle", Resource("statement"), Context(at=work.now()))
            model.check_month_over(period, work.now())
            closings = _closings(work)
        for one in closings:
            if not one.complete and one.period != period:
                self._finish(actor, one)
        known = {one.period for one in closings}
        for earlier in self._usage.months_before(period):
            if earlier not in known and earlier > max(known, default=""):
                self.settle(actor, earlier)
        with self._database.read() as work:
            closings = _closings(work)
        closing = next((one for one in closings if one.period == period), None)
        if closing is None:
            closing = self._close(actor, period, closings)
        return self._finish(actor, closing)

    def so_far(self, actor: Actor, period: str) -> Settlement:
        """Return the statements of a month as they stand now, stored nowhere: also of an unfinished month."""
        model.parse_period(period)
        with self._database.read() as work:
            self._policies.check(actor, "statement:make", Resource("statement"), Context(at=work.now()))
        return self._as_closed(period)

    def recount(self, actor: Actor, period: str) -> Recount:
        """Return the month computed from the usage log alone, compared with the whole of each stored statement."""
        with self._database.read() as work:
            self._policies.check(actor, "ledger:view", Resource("ledger"), Context(at=work.now()))
            stored = {(one.kind, one.subject): one for one in work.list(STATEMENTS, period=period)}
        settlement = self._as_closed(period)
        computed = {(one.kind, one.subject): one for one in settlement.statements}
        differing = [one.id for key, one in stored.items() if one.as_draft() != computed.get(key)]
        missing = [subject for kind, subject in computed if (kind, subject) not in stored]
        return Recount(period, settlement, tuple(differing), tuple(missing))

    def reconcile(self, actor: Actor, period: str, acknowledged: int | None = None) -> Reconciliation:
        """Return the counts of a month side by side: acknowledged = logged = metered = billed, and money = shares.

        Uses that came after the month was closed are in the log and on the meter; they are billed by corrections.
        """
        model.parse_period(period)
        with self._database.read() as work:
            self._policies.check(actor, "ledger:view", Resource("ledger"), Context(at=work.now()))
            stored = work.list(STATEMENTS, period=period)
            later = work.list(STATEMENTS, STATEMENTS.table.c.period > period, kind=StatementKind.BILL.value)
        tally = self._usage.tally(period, (), Window(0, self._usage.log_size()), {})
        logged = sum(one.count for one in tally.after.get(period, ()))
        bills = [one for one in stored if one.kind is StatementKind.BILL]
        shared = [one for one in stored if one.kind is StatementKind.AUTHORIZATION]
        billed = sum(line.count for one in bills for line in one.lines if not line.corrects)
        billed += sum(line.count for one in later for line in one.lines if line.corrects == period)
        metered = self._usage.metered(period)
        money = sum(one.due_fen for one in bills), sum(sum(one.shares.values()) for one in shared)
        counts = {logged, metered, billed} | ({acknowledged} if acknowledged is not None else set())
        equal = len(counts) == 1 and money[0] == money[1]
        return Reconciliation(period, acknowledged, logged, metered, billed, *money, equal)

    def bundle(self, actor: Actor, period: str) -> bytes:
        """Return what anybody needs, besides the usage log, to compute a settled month again (`recompute.py`).

        It holds the inputs of every closing up to the month and the month's statements. Refuses a month that is not
        settled (NotFound).
        """
        with self._database.read() as work:
            self._policies.check(actor, "ledger:view", Resource("ledger"), Context(at=work.now()))
            closings = [one for one in _closings(work) if one.period <= period]
            if not closings or closings[-1].period != period or not closings[-1].complete:
                raise NotFound(f"{period} is not settled", rule="settlement.bundle", accepted="a settled month")
            statements = work.list(STATEMENTS, period=period)
        return canonical({
            "type": BUNDLE, "period": period,
            "closings": [msgspec.json.decode(one.inputs) for one in closings],
            "statements": [msgspec.json.decode(one.as_draft().document()) for one in statements],
        })  # fmt: skip

    def get_statement(self, actor: Actor, statement_id: str) -> Statement:
        """Return a statement that the actor may see, or raise NotFound."""
        with self._database.read() as work:
            found = work.get(STATEMENTS, statement_id)
            if not self._may_see(work, actor, found):
                raise NotFound(f"no statements with id {statement_id}")
            return found

    def list_statements(self, actor: Actor, *, period: str | None = None) -> tuple[Statement, ...]:
        """Return the statements that the actor may see, newest first; those not issued only to a supervisor."""
        with self._database.read() as work:
            equal = {} if period is None else {"period": period}
            found = work.list(STATEMENTS, newest_first=True, **equal)
            return tuple(one for one in found if self._may_see(work, actor, one))

    def _may_see(self, work: Work, actor: Actor, statement: Statement) -> bool:
        if statement.state not in SEEN and not any(actor.has(role) for role in _SUPERVISORS):
            return False
        resource = Resource("statement", statement.id, statement.organisation)
        return self._policies.can(actor, "statement:view", resource, Context(at=work.now()))

    def _close(self, actor: Actor, period: str, closings: tuple[Closing, ...]) -> Closing:
        closed = tuple(one.period for one in closings)
        if closed and period < max(closed):
            raise Conflict(
                f"cannot settle {period}: {max(closed)} is settled already", rule="settlement.order",
                accepted="months in their order; uses of this month are corrections of the next",
            )  # fmt: skip
        inputs, tally, codes = self._inputs(period, closings)
        self._check_table(inputs, tally, codes)
        closing = Closing(
            new_id("clo"), period, inputs.sequence, inputs.log_from, inputs.log_size, inputs.document().decode(),
            inputs.sha256(), self._database.clock.now(),
        )  # fmt: skip
        with self._database.work(actor) as work:
            self._policies.check(actor, "statement:settle", Resource("statement"), Context(at=work.now()))
            known = next(iter(work.list(CLOSINGS, period=period)), None)
            if known is not None:
                return known
            work.add(CLOSINGS, closing)
            work.emit(
                "statement:close", closing.id, f"{period} closed at entry {closing.log_size} of the usage log",
                data={"period": period, "log_size": closing.log_size, "inputs": closing.inputs_sha256},
            )  # fmt: skip
        return closing

    def _check_table(self, inputs: Inputs, tally: Tally, codes: dict[str, str]) -> None:
        for month in {inputs.period, *tally.after}:
            counted = frozenset(tally.after.get(month, ()))
            if frozenset(self._usage.table(month, inputs.log_size, codes)) != counted:
                raise Conflict(
                    f"cannot settle {inputs.period}: the meter's table is not what the usage log says",
                    rule="settlement.log", accepted="a table and facts built again from the log",
                )  # fmt: skip

    def _finish(self, actor: Actor, closing: Closing) -> tuple[Statement, ...]:
        if closing.complete:
            with self._database.read() as work:
                return work.list(STATEMENTS, period=closing.period)
        settlement, inputs = self._compute(closing)
        with self._database.work(actor) as work:
            self._policies.check(actor, "statement:settle", Resource("statement"), Context(at=work.now()))
            fresh = work.get(CLOSINGS, closing.id)
            if not fresh.complete:
                for draft in settlement.statements:
                    self._store(work, actor, draft, inputs)
                work.save(CLOSINGS, replace(fresh, complete=True))
            return work.list(STATEMENTS, period=closing.period)

    def _inputs(self, period: str, closings: tuple[Closing, ...]) -> tuple[Inputs, Tally, dict[str, str]]:
        """Return the inputs of a month that would be closed now, and its usage."""
        closed = tuple(one.period for one in closings)
        since = closings[-1].log_size if closings else 0
        with self._database.read() as work:
            codes = read_codes(work)
        size = self._usage.log_size()
        tally = self._usage.tally(period, closed, Window(since, size), codes)
        with self._database.read() as work:
            place = Place(period, len(closings) + 1, since, size, closed)
            return gather(work, place, tally.products()), tally, codes

    def _as_closed(self, period: str) -> Settlement:
        """Return the settlement of a closed month from its closing, of an open one as if it were closed now."""
        with self._database.read() as work:
            closings = _closings(work)
        known = next((one for one in closings if one.period == period), None)
        if known is not None:
            return self._compute(known)[0]
        inputs, tally, _ = self._inputs(period, tuple(one for one in closings if one.period < period))
        return self._settle(inputs, tally)

    def _compute(self, closing: Closing) -> tuple[Settlement, Inputs]:
        inputs = read_inputs(closing.inputs)
        codes = {name: one.code for name, one in inputs.products.items()}
        window = Window(closing.log_from, closing.log_size)
        return self._settle(inputs, self._usage.tally(closing.period, inputs.closed, window, codes)), inputs

    def _settle(self, inputs: Inputs, tally: Tally) -> Settlement:
        with self._database.read() as work:
            earlier = {one.period: read_inputs(one.inputs) for one in _closings(work) if one.period in tally.after}
            states = _cap_states(work, inputs.period)
        corrections: list[Line] = []
        terms: dict[str, Terms] = terms_of(inputs)
        for month in tally.late(inputs.period):
            then = terms_of(inputs, earlier[month])
            corrections += correct(month, tally.before.get(month, ()), tally.after[month], then)
            terms = {**then, **terms}
        return settle(
            inputs.period, tally.after.get(inputs.period, ()), terms, corrections=corrections,
            caps=Caps(inputs.caps, states), anchor=Anchor(inputs.sha256(), inputs.log_size),
        )  # fmt: skip

    def _store(self, work: Work, actor: Actor, draft: Draft, inputs: Inputs) -> None:
        organisation = draft.subject
        if draft.kind is StatementKind.AUTHORIZATION:
            organisation = str(inputs.agreements[draft.subject].document["operator"])
        statement = Statement(
            new_id("stm"), draft.period, draft.kind, draft.subject, organisation, draft.lines, draft.amount_fen,
            draft.due_fen, draft.waived_fen, draft.shares, draft.digest, work.now(), draft.tax_fen, draft.adjustments,
            draft.cap, draft.inputs, draft.log_size, settled_by=actor.id,
        )  # fmt: skip
        work.add(STATEMENTS, statement)
        work.emit(
            "statement:settle", statement.id, f"{draft.kind.value} of {draft.period} settled",
            data={"period": draft.period, "kind": draft.kind.value, "due_fen": draft.due_fen, "digest": draft.digest},
        )  # fmt: skip


def _closings(work: Work) -> tuple[Closing, ...]:
    return tuple(sorted(work.list(CLOSINGS), key=lambda one: one.sequence))


def _cap_states(work: Work, period: str) -> dict[str, CapState]:
    """Return where each authorization stood under its cap after its last statement before a month."""
    found: dict[str, Statement] = {}
    before: Iterable[Statement] = work.list(
        STATEMENTS, STATEMENTS.table.c.period < period, kind=StatementKind.AUTHORIZATION.value
    )
    for one in before:
        if one.cap is not None and (one.subject not in found or one.period > found[one.subject].period):
            found[one.subject] = one
    return {subject: one.cap for subject, one in found.items() if one.cap is not None}
