"""The regulator's pages: usage beside money, the logs with their signed checkpoints, and the audit records."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Form, Request
from fastapi.responses import PlainTextResponse, RedirectResponse, Response

from policies import Resource
from shuzha.authorization.base import authorization_resource
from shuzha.authorization.model import AUTHORIZATION, IN_FORCE
from shuzha.core.actor import Actor
from shuzha.core.clock import city_date
from shuzha.core.money import Amount
from shuzha.oversight.trace import Link, Trace
from shuzha.oversight.usage import OwnedFact, sum_by
from shuzha.oversight.walks import EntryTrace, Fen
from shuzha.portal.desk import Desk, Show, Verb, actor_of
from shuzha.portal.render import speech_of
from shuzha.portal.services import Services
from shuzha.settlement.model import StatementKind
from shuzha.settlement.store import Statement

PAGE = 50
_PERIOD = re.compile(r"20[0-9]{2}-(0[1-9]|1[0-2])")
VERBS = (
    Verb("suspend", "Suspend", reason=True, tone="bad"),
    Verb("restore", "Restore", reason=True),
)


TRACED = {
    "use": "Use", "log": "Place in the usage log", "statement": "Statement", "product": "Product", "export": "Export",
    "index": "Index",
    "notebook": "Notebook", "release": "Release", "grant": "Grant", "authorization": "Authorization", "entry": "Entry",
    "batch": "Batch",
}  # fmt: skip
_PAGES = {
    "statement": "statements", "product": "products", "export": "exports", "release": "releases",
    "authorization": "authorizations", "entry": "entries",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Row:
    """Usage beside money for one product, operator or consumer, in fen; `billed_*` is None before settlement."""

    name: str
    uses: int
    metered_fen: int
    billed_uses: int | None
    billed_fen: int | None

    @property
    def agrees(self) -> bool | None:
        """Whether bills hold the metered uses; None before there are bills."""
        return None if self.billed_uses is None else self.billed_uses == self.uses


class OversightPages:
    """The pages of oversight."""

    def __init__(self, desk: Desk, services: Services) -> None:
        self._desk = desk
        self._services = services

    def router(self) -> APIRouter:
        """Return the routes of these pages."""
        router = APIRouter()
        router.add_api_route("/oversight", self.show, methods=["GET"])
        router.add_api_route("/oversight/uses", self.find_use, methods=["GET"])
        router.add_api_route("/oversight/uses/{usage_id}", self.trace, methods=["GET"])
        router.add_api_route("/oversight/fen", self.trace_fen, methods=["GET"])
        router.add_api_route("/oversight/entries", self.find_entry, methods=["GET"])
        router.add_api_route("/oversight/entries/{entry_id}", self.trace_entry, methods=["GET"])
        router.add_api_route("/oversight/lines/{statement_id}/{place}", self.trace_line, methods=["GET"])
        router.add_api_route("/oversight/checkpoints/{name}", self.checkpoint, methods=["GET"])
        router.add_api_route("/oversight/keys/{name}", self.public_key, methods=["GET"])
        router.add_api_route("/oversight/witnesses", self.register_witness, methods=["POST"])
        router.add_api_route("/oversight/witnesses/{witness_id}/retire", self.retire_witness, methods=["POST"])
        router.add_api_route("/audit", self.audit, methods=["GET"])
        return router

    def show(self, request: Request, period: str = "") -> Response:
        """Show usage beside money for a month, the logs, and the authorizations in force."""
        return self._show(request, period)

    def _show(self, request: Request, period: str = "", errors: Sequence[str] = (), status: int = 200) -> Response:
        actor = actor_of(request)
        chosen = period if _PERIOD.fullmatch(period) else f"{city_date(self._desk.clock.now()):%Y-%m}"
        logs = self._services.logs.list_logs(actor)
        language = speech_of(request).language
        statements = self._services.settlement.list_statements(actor, period=chosen)
        facts = self._services.usage_views.list_facts(actor, chosen)
        return self._desk.page(
            request, "oversight.html", status, period=chosen, logs=logs, amount=Amount, facts=facts,
            reconciliation=self._services.settlement.reconcile(actor, chosen),
            tables=self._tables(facts, statements, language), settled=bool(statements),
            authorizations=self._authorizations(actor), held=self._services.rights.list_held(),
            computing=self._services.compute.list_month(actor, chosen),
            title_of={one.id: one.title for one in self._services.authorization.list_authorizations(actor)},
            seen=self._services.witnesses.list_seen(), errors=errors,
            may_witness=self._desk.can(actor, "witness:register", Resource("witness")),
        )  # fmt: skip

    def find_use(self, request: Request, usage_id: str = "") -> Response:
        """Lead from the form to the use that it names."""
        actor_of(request)
        return RedirectResponse(f"/oversight/uses/{quote(usage_id.strip() or '-', safe='')}", 303)

    def trace(self, request: Request, usage_id: str) -> Response:
        """Show the chain behind one use, each link checked."""
        found = self._services.oversight.trace(actor_of(request), usage_id)
        return self._chain(request, found)

    def trace_line(self, request: Request, statement_id: str, place: int) -> Response:
        """Show the chain behind a line of a statement, by the first use that it counts."""
        found = self._services.oversight.trace_line(actor_of(request), statement_id, place)
        return self._chain(request, found)

    def trace_fen(self, request: Request, statement: str = "", fen: int = 1) -> Response:
        """Show whose one fen of a bill is, and the chain behind it."""
        found, trace = self._services.walks.trace_fen(actor_of(request), statement.strip(), fen)
        return self._chain(request, trace, fen=found)

    def find_entry(self, request: Request, entry_id: str = "") -> Response:
        """Lead from the form to the entry that it names."""
        actor_of(request)
        return RedirectResponse(f"/oversight/entries/{quote(entry_id.strip() or '-', safe='')}", 303)

    def trace_entry(self, request: Request, entry_id: str) -> Response:
        """Show what an entry has become: rights, releases, exports, products, use, and the fen that it earned."""
        found = self._services.walks.trace_entry(actor_of(request), entry_id)
        return self._chain(request, found, entry=found)

    def _chain(
        self, request: Request, trace: Trace | EntryTrace, *, fen: Fen | None = None, entry: EntryTrace | None = None
    ) -> Response:
        return self._desk.page(request, "trace.html", trace=trace, kinds=TRACED, place=_place, fen=fen, entry=entry)

    def checkpoint(self, request: Request, name: str) -> Response:
        """Give the newest signed checkpoint of a log, to keep and to compare."""
        log = self._services.logs.get_log(actor_of(request), name)
        return PlainTextResponse(log.note, headers=_attached(f"{name}.checkpoint"))

    def public_key(self, request: Request, name: str) -> Response:
        """Give the public key by which a log's checkpoints are verified."""
        log = self._services.logs.get_log(actor_of(request), name)
        return PlainTextResponse(log.public_key + "\n", headers=_attached(f"{name}.public-key"))

    def register_witness(self, request: Request, key: Annotated[str, Form()]) -> Response:
        """Register a witness of the logs by its public key."""
        actor = actor_of(request)
        return self._desk.attempt(
            request, lambda: self._services.witnesses.register(actor, key), "/oversight", self._again(request),
            "registered",
        )  # fmt: skip

    def retire_witness(self, request: Request, witness_id: str, reason: Annotated[str, Form()] = "") -> Response:
        """Take no cosignature of a witness any more."""
        actor = actor_of(request)
        return self._desk.attempt(
            request, lambda: self._services.witnesses.retire(actor, witness_id, reason), "/oversight",
            self._again(request), "retired",
        )  # fmt: skip

    def _again(self, request: Request) -> Show:
        return lambda errors, status: self._show(request, "", errors, status)

    def audit(self, request: Request, before: int | None = None) -> Response:
        """Show the newest audit records with their seven fields, a page at a time."""
        records = self._services.logs.list_audit(actor_of(request), limit=PAGE, before=before)
        older = records[-1][0] if len(records) == PAGE else None
        return self._desk.page(request, "audit.html", records=records, older=older, before=before)

    def _tables(
        self, facts: tuple[OwnedFact, ...], statements: tuple[Statement, ...], language: str
    ) -> list[tuple[str, list[Row]]]:
        bills = [one for one in statements if one.kind is StatementKind.BILL]
        titles = {one.fact.product: one.title(language) for one in facts}
        operators = {one.fact.product: one.operator for one in facts}
        names = self._services.people.get_organisation

        def name(organisation: str) -> str:
            return names(organisation).title(language) if organisation else "—"

        lines = [line for bill in bills for line in bill.lines]
        by_product = _billed((titles.get(line.product, line.code), line.count, line.due_fen) for line in lines)
        by_operator = _billed((name(operators.get(line.product, "")), line.count, line.due_fen) for line in lines)
        by_consumer = _billed((name(line.consumer), line.count, line.due_fen) for line in lines)
        return [
            ("By product", _rows(facts, lambda one: one.title(language), by_product, settled=bool(bills))),
            ("By operating unit", _rows(facts, lambda one: name(one.operator), by_operator, settled=bool(bills))),
            ("By consumer", _rows(facts, lambda one: name(one.fact.consumer), by_consumer, settled=bool(bills))),
        ]  # fmt: skip

    def _authorizations(self, actor: Actor) -> list[tuple[object, list[Verb]]]:
        found = self._services.authorization.list_authorizations(actor)
        return [
            (one, self._desk.verbs(actor, AUTHORIZATION, one.state, authorization_resource(one), VERBS))
            for one in found
            if one.state in IN_FORCE
        ]


def _place(link: Link) -> str:
    """Return where a link's own page is, empty where it has none."""
    folder = _PAGES.get(link.kind)
    return f"/{folder}/{link.id}" if folder else ""


def _billed(lines: Iterable[tuple[str, int, int]]) -> dict[str, tuple[int, int]]:
    found: dict[str, tuple[int, int]] = {}
    for key, count, fen in lines:
        uses, money = found.get(key, (0, 0))
        found[key] = (uses + count, money + fen)
    return found


def _rows(
    facts: tuple[OwnedFact, ...],
    key: Callable[[OwnedFact], str],
    billed: Mapping[str, tuple[int, int]],
    *,
    settled: bool,
) -> list[Row]:
    rows = []
    for one in sum_by(facts, key):
        uses, fen = billed.get(one.key, (0, 0)) if settled else (None, None)
        rows.append(Row(one.key, one.uses, one.fen, uses, fen))
    return rows


def _attached(name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
