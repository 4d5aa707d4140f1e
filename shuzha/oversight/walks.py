"""From a fen to the raw entry, and from an entry to its fen: which line and party a fen is, what an entry became.

A fen of a bill is found by counting: lines in their order, and in a line the parties in theirs. So each fen of each
bill belongs to one line and one party, and all of them together are the bill.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from policies import Context, Policies, Resource
from products.registry.model import Product
from products.registry.store import PRODUCTS
from sandbox.airlock.store import EXPORTS
from shuzha.authorization.model import Grant
from shuzha.authorization.store import AUTHORIZATIONS, GRANTS
from shuzha.catalog.store import BATCHES, ENTRIES
from shuzha.core.actor import Actor
from shuzha.core.errors import NotFound
from shuzha.core.work import Database, Work
from shuzha.metering.reports import UsageQuery, UsageReader
from shuzha.oversight import trace as chain
from shuzha.oversight.service import Oversight
from shuzha.oversight.trace import Link, Trace
from shuzha.releases.service import ReleaseService
from shuzha.releases.store import RELEASES
from shuzha.settlement.model import Line, StatementKind
from shuzha.settlement.store import STATEMENTS, Statement


@dataclass(frozen=True, slots=True)
class Fen:
    """One fen of a bill: the line that it is of (counted from 0), and who gets it."""

    statement: str
    fen: int
    line: int
    party: str


@dataclass(frozen=True, slots=True)
class EntryTrace:
    """What an entry has become, link by link: how often it was used, what was owed for that, what the entry earned."""

    entry: str
    links: tuple[Link, ...]
    uses: int
    due_fen: int
    earned_fen: int

    @property
    def holds(self) -> bool:
        """Whether no link was found wrong."""
        return all(link.holds is not False for link in self.links)


def find_fen(statement: str, lines: Sequence[Line], fen: int) -> Fen:
    """Return whose a fen of a bill is; fen are counted from 1. Refuses one that the bill does not have."""
    left = fen
    for place, line in enumerate(lines):
        if line.due_fen <= 0:
            continue
        if left > line.due_fen:
            left -= line.due_fen
            continue
        for party in sorted(line.parts):
            if 0 < left <= line.parts[party]:
                return Fen(statement, fen, place, party)
            left -= line.parts[party]
    total = sum(max(line.due_fen, 0) for line in lines)
    raise NotFound(
        f"bill {statement} has no fen {fen}", accepted=f"1 to {total}" if total else "a bill with money on it"
    )


class Walks:
    """Walks that begin at money, or at an entry."""

    def __init__(
        self, database: Database, policies: Policies, releases: ReleaseService, oversight: Oversight,
        usage: Path,
    ) -> None:  # fmt: skip
        self._database = database
        self._policies = policies
        self._releases = releases
        self._oversight = oversight
        self._usage = usage

    def trace_fen(self, actor: Actor, statement_id: str, fen: int) -> tuple[Fen, Trace]:
        """Return whose a fen of a bill is, and the chain behind it down to the delivered files.

        For those who may see the ledger; refuses a statement that is no bill, and a fen that it does not have.
        """
        with self._database.read() as work:
            self._check(work, actor)
            statement = work.get(STATEMENTS, statement_id)
        if statement.kind is not StatementKind.BILL:
            raise NotFound(
                f"statement {statement_id} is no bill", accepted="a bill: its fen are shared out in the others"
            )
        found = find_fen(statement.id, statement.lines, fen)
        return found, self._oversight.trace_line(actor, statement.id, found.line)

    def trace_entry(self, actor: Actor, entry_id: str) -> EntryTrace:
        """Return what an entry has become, each link checked: batches, rights, releases, exports, products, use, money.

        For those who may see the ledger.
        """
        with self._database.read() as work:
            self._check(work, actor)
            entry = work.get(ENTRIES, entry_id)
            grants = work.list(GRANTS, entry=entry.id)
            products = [one for one in work.list(PRODUCTS) if one.entry == entry.id]
            named = sorted({one.authorization for one in grants})
            links: list[Link] = [chain.entry_link(entry), *chain.batch_links(work.list(BATCHES, entry=entry.id), None)]
            links += [chain.authorization_link(work.get(AUTHORIZATIONS, one)) for one in named]
            links += [_grant_link(one) for one in grants]
            releases = [one for grant in grants for one in work.list(RELEASES, grant=grant.id)]
            exports = {one.id: work.find(EXPORTS, one.evidence.lineage.export) for one in products}
            bills = work.list(STATEMENTS, kind=StatementKind.BILL.value)
        links += [chain.release_link(one, self._releases.verify(actor, one.id)) for one in releases]
        for product in products:
            request = exports[product.id]
            if request is not None:
                signed = self._oversight.is_signed(actor, request.id)
                links.append(chain.export_link(request, product, signed=signed))
            links.append(chain.product_link(product))
        uses, use_links = self._uses(products)
        money = _money(bills, {one.id: one for one in products}, entry.id)
        links += [*use_links, *money.links]
        return EntryTrace(entry.id, tuple(links), uses, money.due_fen, money.earned_fen)

    def _uses(self, products: Sequence[Product]) -> tuple[int, list[Link]]:
        try:
            reader = UsageReader(self._usage)
        except NotFound:
            return 0, []
        uses, links = 0, []
        try:
            for product in products:
                found = reader.totals(UsageQuery(product=product.id))
                if not found.uses or found.first_index is None or found.last_index is None:
                    continue
                uses += found.quantity
                ends = [self._oversight.log_link(one) for one in (found.first_index, found.last_index)]
                held = None if any(one.holds is None for one in ends) else all(one.holds for one in ends)
                facts = {"uses": found.quantity, "first": found.first_index, "last": found.last_index,
                         "charged_hao": found.charged, "waived_hao": found.waived}  # fmt: skip
                hashes = {"first": ends[0].hashes.get("leaf", ""), "last": ends[1].hashes.get("leaf", "")}
                said = "its first and last use are in the log under the signed checkpoint"
                links.append(Link("use", product.code or product.id, "", hashes, facts, said, held))
        finally:
            reader.close()
        return uses, links

    def _check(self, work: Work, actor: Actor) -> None:
        self._policies.check(actor, "ledger:view", Resource("ledger"), Context(at=work.now()))


@dataclass(frozen=True, slots=True)
class _Money:
    links: list[Link]
    due_fen: int
    earned_fen: int


def _money(bills: Sequence[Statement], products: Mapping[str, Product], entry: str) -> _Money:
    links, due, earned = [], 0, 0
    for bill in bills:
        lines = [line for line in bill.lines if line.product in products]
        if not lines:
            continue
        mine = sum(line.entries.get(entry, 0 if line.entries else line.parts.get("provider", 0)) for line in lines)
        owed = sum(line.due_fen for line in lines)
        due, earned = due + owed, earned + mine
        held = bill.as_draft().computed_digest() == bill.digest
        facts = {"due_fen": owed, "earned_fen": mine, "uses": sum(line.count for line in lines)}
        links.append(
            Link(
                "statement", bill.id, bill.period, {"digest": bill.digest}, facts, "the statement has its digest", held
            )
        )
    return _Money(links, due, earned)


def _grant_link(grant: Grant) -> Link:
    facts = {"operator": grant.operator, "columns": sorted(grant.scope.columns), "state": grant.state.value}
    return Link("grant", grant.id, "", {"scope": grant.scope.version}, facts)
