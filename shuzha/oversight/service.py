"""The verbs of oversight: walk a use or a statement's line back to its raw data, and see usage beside money.

For those who may see the ledger: regulator and authority. A regulator reads across organisations; nobody else does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from policies import Context, Policies, Resource
from products.registry.codes import ProductKind
from products.registry.store import PRODUCTS
from products.serving.snapshot import Manifest
from sandbox.airlock.service import AirlockService
from sandbox.airlock.store import EXPORTS
from shuzha.authorization.store import AUTHORIZATIONS, GRANTS
from shuzha.catalog.store import BATCHES, ENTRIES
from shuzha.core.actor import Actor
from shuzha.core.errors import Invalid, NotFound, ShuzhaError, Unavailable
from shuzha.core.work import Database, Work
from shuzha.ledger.reader import LogReader
from shuzha.metering.events import UsageEvent
from shuzha.metering.reports import UsageReader, Use
from shuzha.oversight import trace as chain
from shuzha.oversight.trace import Link, Trace
from shuzha.releases.service import ReleaseService
from shuzha.releases.store import RELEASES
from shuzha.settlement.computing import settle
from shuzha.settlement.gathering import read_codes, read_terms
from shuzha.settlement.model import Line, StatementKind, parse_period
from shuzha.settlement.sources import UsageSource
from shuzha.settlement.store import STATEMENTS, Statement

_EVENT = msgspec.json.Decoder(UsageEvent)


@dataclass(frozen=True, slots=True)
class Beside:
    """Usage beside money for one product, consumer or operating unit, in fen; `shares` sum to `due_fen`."""

    id: str
    uses: int
    priced_fen: int
    waived_fen: int
    due_fen: int
    shares: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class UsageBesideMoney:
    """A month, thrice: by product, by consumer, by operating unit. `settled` once its bills are final."""

    period: str
    settled: bool
    total: Beside
    products: tuple[Beside, ...]
    consumers: tuple[Beside, ...]
    operators: tuple[Beside, ...]


Indexes = Callable[[str], Manifest | None]
"""Gives the manifest of the index that a product answers from now, None where it has none."""


def _no_index(_product: str) -> Manifest | None:
    return None


@dataclass(frozen=True, slots=True)
class UsagePlaces:
    """Where usage is kept: the meter's folder and its log's."""

    usage: Path
    log: Path


class Oversight:
    """The supervisors' view of one installation."""

    def __init__(
        self, database: Database, policies: Policies, airlock: AirlockService, releases: ReleaseService,
        places: UsagePlaces, indexes: Indexes = _no_index,
    ) -> None:  # fmt: skip
        self._database = database
        self._policies = policies
        self._airlock = airlock
        self._releases = releases
        self._places = places
        self._indexes = indexes

    def trace(self, actor: Actor, usage_id: str) -> Trace:
        """Return the chain behind one use, each link checked; refuses who may not see the ledger."""
        self._check(actor)
        reader = UsageReader(self._places.usage)
        try:
            use = reader.get_use(usage_id)
        finally:
            reader.close()
        return Trace(usage_id, self._links(actor, use))

    def trace_line(self, actor: Actor, statement_id: str, place: int) -> Trace:
        """Return the chain behind a statement's line, by the first use that it counts; lines are counted from 0."""
        self._check(actor)
        with self._database.read() as work:
            statement = work.get(STATEMENTS, statement_id)
        if not 0 <= place < len(statement.lines):
            raise NotFound(f"statement {statement_id} has no line {place}")
        event = self._event(statement.lines[place].first)
        if event is None:
            raise Unavailable(f"the first use of line {place} of {statement_id} was erased by law")
        return self.trace(actor, event.usage_id)

    def usage_beside_money(self, actor: Actor, period: str) -> UsageBesideMoney:
        """Return a month's usage beside what it costs and who gets it, as it stands now; stores nothing."""
        self._check(actor)
        parse_period(period)
        source = UsageSource(self._places.usage, self._places.log)
        with self._database.read() as work:
            facts = source.facts(period, read_codes(work))
            terms = read_terms(work, sorted({fact.product for fact in facts}), period)
            settled = bool(work.list(STATEMENTS, period=period))
        operators = {product: one.organisations["operator"] for product, one in terms.items()}
        bills = settle(period, facts, terms).of(StatementKind.BILL)
        lines = [line for bill in bills for line in bill.lines]
        return UsageBesideMoney(
            period, settled, beside(period, lines),
            _by(lines, lambda line: line.product),
            _by(lines, lambda line: line.consumer),
            _by(lines, lambda line: operators[line.product]),
        )  # fmt: skip

    def _links(self, actor: Actor, use: Use) -> tuple[Link, ...]:
        log = self.log_link(use.log_index)
        with self._database.read() as work:
            product = work.get(PRODUCTS, use.product)
            request = work.get(EXPORTS, product.evidence.lineage.export)
            releases = [work.get(RELEASES, one) for one in product.evidence.lineage.releases]
            grant = work.get(GRANTS, product.grant)
            authorization = work.get(AUTHORIZATIONS, product.authorization)
            entry = work.get(ENTRIES, product.entry)
            batches = [one for one in work.list(BATCHES, entry=entry.id) if one.received_at <= use.occurred_at]
            bill = _find_line(work, use)
        index = self._indexes(product.id) if product.kind is ProductKind.VERIFICATION else None
        # A verification answers from the raw zone itself; everything else from what its releases were made of.
        built = product.kind is ProductKind.VERIFICATION
        newest = None if built else max((release.raw_version for release in releases), default=None)
        return (
            chain.use_link(use, self._event(use.log_index)),
            log,
            *([chain.statement_link(*bill, use.log_index)] if bill else []),
            chain.product_link(product),
            *([chain.index_link(index, product, grant)] if index else []),
            chain.export_link(request, product, signed=self.is_signed(actor, request.id)),
            chain.notebook_link(request, self._notebook(actor, request.id)),
            *(chain.release_link(one, self._releases.verify(actor, one.id)) for one in releases),
            chain.grant_link(grant, use, releases),
            chain.authorization_link(authorization),
            chain.entry_link(entry),
            *chain.batch_links(batches, newest),
        )

    def log_link(self, index: int) -> Link:
        """Return an entry's place in the usage log, its inclusion proved now; nothing of its payload is in it."""
        reader = LogReader(self._places.log)
        try:
            proof = reader.proof(index)
            return chain.log_link(index, proof, reader.key.verify(proof.checkpoint))
        except Unavailable:
            return chain.log_link(index, None, None)  # The next checkpoint covers it, within a second.
        finally:
            reader.close()

    def _event(self, index: int) -> UsageEvent | None:
        reader = LogReader(self._places.log)
        try:
            payload = reader.entry(index).payload
        finally:
            reader.close()
        return None if payload is None else _EVENT.decode(payload)

    def is_signed(self, actor: Actor, export: str) -> bool:
        """Return whether the platform's signature on an export's release record holds, for whoever may read it."""
        try:
            return self._airlock.read_record(actor, export).holds()
        except (NotFound, Invalid):
            return False

    def _notebook(self, actor: Actor, export: str) -> bytes | None:
        try:
            return self._airlock.read_notebook(actor, export)
        except ShuzhaError:
            return None

    def _check(self, actor: Actor) -> None:
        with self._database.read() as work:
            self._policies.check(actor, "ledger:view", Resource("ledger"), Context(at=work.now()))


def beside(key: str, lines: Iterable[Line]) -> Beside:
    """Return the sums of bill lines under one key."""
    shares: dict[str, int] = {}
    uses = priced = due = 0
    for line in lines:
        uses, priced, due = uses + line.count, priced + line.amount_fen, due + line.due_fen
        for party, fen in line.parts.items():
            shares[party] = shares.get(party, 0) + fen
    return Beside(key, uses, priced, priced - due, due, shares)


def _by(lines: Iterable[Line], key: Callable[[Line], str]) -> tuple[Beside, ...]:
    groups: dict[str, list[Line]] = {}
    for line in lines:
        groups.setdefault(key(line), []).append(line)
    found = (beside(name, group) for name, group in groups.items())
    return tuple(sorted(found, key=lambda one: (-one.due_fen, -one.uses, one.id)))


def _find_line(work: Work, use: Use) -> tuple[Statement, Line] | None:
    period = f"{use.day:%Y-%m}"
    for statement in work.list(STATEMENTS, period=period, kind=StatementKind.BILL.value, subject=use.consumer):
        for line in statement.lines:
            same = (line.product, line.authorization, line.waived) == (use.product, use.authorization, use.waived)
            if same and not line.corrects and line.first <= use.log_index <= line.last:
                return statement, line
    return None
