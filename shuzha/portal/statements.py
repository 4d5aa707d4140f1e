"""Statements: what a consumer owes, how an authorization's income is shared, what a provider earns; a CSV twin each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from policies import Resource
from products.registry.service import RegistryService
from shuzha.core.actor import Actor
from shuzha.core.clock import city_date, month_before
from shuzha.core.errors import NotFound
from shuzha.core.money import Amount, Price
from shuzha.portal.desk import Desk, Show, Verb, actor_of
from shuzha.portal.render import speech_of
from shuzha.portal.sheets import csv_response
from shuzha.portal.statement_pdf import Names, render_pdf
from shuzha.settlement.approving import StatementDesk, resource_of
from shuzha.settlement.model import STATEMENT, Line, StatementKind, StatementState
from shuzha.settlement.service import SettlementService
from shuzha.settlement.store import Statement

HEADS = (
    "code", "product", "consumer", "plan", "price_hao", "uses", "waived", "waiver", "corrects", "amount_fen",
    "due_fen", "tax_fen", "first_index", "last_index",
)  # fmt: skip
VERBS = (
    Verb("approve", "Approve and issue"),
    Verb("confirm", "Confirm the payment"),
    Verb("hold", "Hold back", reason=True, tone="bad"),
    Verb("reopen", "Mark as unpaid", reason=True, tone="bad"),
)


class StatementPages:
    """The pages of statements."""

    def __init__(
        self, desk: Desk, settlement: SettlementService, life: StatementDesk, registry: RegistryService
    ) -> None:
        self._desk = desk
        self._settlement = settlement
        self._life = life
        self._registry = registry

    def router(self) -> APIRouter:
        """Return the routes of these pages."""
        router = APIRouter()
        router.add_api_route("/statements", self.show_list, methods=["GET"])
        router.add_api_route("/statements", self.settle, methods=["POST"])
        router.add_api_route("/statements/issue", self.issue, methods=["POST"])
        router.add_api_route("/statements/{statement_id}", self.show, methods=["GET"])
        router.add_api_route("/statements/{statement_id}/lines.csv", self.sheet, methods=["GET"])
        router.add_api_route("/statements/{statement_id}/document.json", self.document, methods=["GET"])
        router.add_api_route("/statements/{statement_id}/statement.pdf", self.paper, methods=["GET"])
        router.add_api_route("/statements/{statement_id}/{verb}", self.act, methods=["POST"])
        return router

    def show_list(self, request: Request) -> Response:
        """Show the statements that the person may see, and the form to settle a month to whom may."""
        return self._list(request)

    def settle(self, request: Request, period: Annotated[str, Form()]) -> Response:
        """Settle a month that is over; a second time changes nothing."""
        actor = actor_of(request)
        show: Show = lambda errors, status: self._list(request, errors, status)  # noqa: E731
        return self._desk.attempt(
            request, lambda: self._settlement.settle(actor, period), "/statements", show, "settle"
        )

    def issue(self, request: Request, period: Annotated[str, Form()]) -> Response:
        """Approve every statement of a month that waits for it."""
        actor = actor_of(request)
        show: Show = lambda errors, status: self._list(request, errors, status)  # noqa: E731
        return self._desk.attempt(
            request, lambda: self._life.approve_month(actor, period), "/statements", show, "approve"
        )

    def show(self, request: Request, statement_id: str) -> Response:
        """Show one statement with its lines and shares, and what may be done with it."""
        return self._page(request, statement_id)

    def act(
        self, request: Request, statement_id: str, verb: str, reason: Annotated[str, Form()] = "",
        reference: Annotated[str, Form()] = "",
    ) -> Response:  # fmt: skip
        """Do one of the verbs of a statement's life."""
        actor, life = actor_of(request), self._life
        actions: dict[str, Callable[[], object]] = {
            "approve": lambda: life.approve(actor, statement_id),
            "hold": lambda: life.hold(actor, statement_id, reason),
            "pay": lambda: life.pay(actor, statement_id, reference),
            "reopen": lambda: life.reopen(actor, statement_id, reason),
            "confirm": lambda: life.confirm(actor, statement_id),
        }
        show: Show = lambda errors, status: self._page(request, statement_id, errors, status)  # noqa: E731
        return self._desk.act(request, actions, verb, f"/statements/{statement_id}", show)

    def sheet(self, request: Request, statement_id: str) -> Response:
        """Give the lines of a statement as a CSV file."""
        found = self._settlement.get_statement(actor_of(request), statement_id)
        parties = tuple(dict.fromkeys(party for line in found.lines for party in line.parts))
        rows = ((*_row(line), *(line.parts.get(party, 0) for party in parties)) for line in found.lines)
        return csv_response(f"statement-{found.period}-{found.id}", (*HEADS, *parties), rows)

    def document(self, request: Request, statement_id: str) -> Response:
        """Give the canonical JSON that the digest is of."""
        found = self._settlement.get_statement(actor_of(request), statement_id)
        name = f"statement-{found.period}-{found.id}.json"
        headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
        return Response(found.as_draft().document(), media_type="application/json", headers=headers)

    def paper(self, request: Request, statement_id: str) -> Response:
        """Give the statement as a PDF in the reader's language."""
        actor = actor_of(request)
        found = self._settlement.get_statement(actor, statement_id)
        speech = speech_of(request)
        place = 0 if speech.language == "zh_Hans" else 1
        names = Names(
            lambda one: self._desk.renderer.name_of(one, speech.language), lambda one: self._title(actor, one)[place]
        )
        name = f"statement-{found.period}-{found.id}.pdf"
        headers = {"Content-Disposition": f'inline; filename="{name}"', "Cache-Control": "no-store"}
        return Response(render_pdf(found, speech, names), media_type="application/pdf", headers=headers)

    def _page(self, request: Request, statement_id: str, errors: Sequence[str] = (), status: int = 200) -> Response:
        actor = actor_of(request)
        found = self._settlement.get_statement(actor, statement_id)
        titles = {line.product: self._title(actor, line.product) for line in found.lines}
        resource = resource_of(found)
        return self._desk.page(
            request, "statement.html", status, errors=errors, statement=found, titles=titles, amount=Amount,
            price=Price, uses=_uses(found), shared=sum(found.shares.values()), shares=found.as_draft().ordered_shares,
            holds=found.as_draft().computed_digest() == found.digest, provides=found.kind is StatementKind.PROVIDER,
            may_trace=self._desk.can(actor, "ledger:view", Resource("ledger")),
            verbs=self._desk.verbs(actor, STATEMENT, found.state, resource, VERBS),
            may_pay=STATEMENT.can(found.state, "pay") and self._desk.can(actor, "statement:pay", resource),
            entries={} if found.kind is StatementKind.BILL else _entries(found),
        )  # fmt: skip

    def _list(self, request: Request, errors: Sequence[str] = (), status: int = 200) -> Response:
        actor = actor_of(request)
        found = self._settlement.list_statements(actor)
        waiting = sorted({one.period for one in found if one.state is StatementState.DRAFT}, reverse=True)
        may_approve = self._desk.can(actor, "statement:approve", Resource("statement"))
        return self._desk.page(
            request, "statements.html", status, errors=errors, statements=found, amount=Amount,
            may_settle=self._desk.can(actor, "statement:settle", Resource("statement")), uses=_uses,
            period=month_before(f"{city_date(self._desk.clock.now()):%Y-%m}"),
            waiting=waiting if may_approve else [],
        )  # fmt: skip

    def _title(self, actor: Actor, product_id: str) -> tuple[str, str]:
        try:
            sheet = self._registry.get_product(actor, product_id).sheet
        except NotFound:
            return product_id, product_id
        return sheet.title_zh, sheet.title_en


def _uses(statement: Statement) -> int:
    return sum(line.count for line in statement.lines)


def _entries(statement: Statement) -> dict[str, int]:
    """Return what each raw entry earned, over all lines and adjustments."""
    found: dict[str, int] = {}
    for split in (*(line.entries for line in statement.lines), *(one.entries for one in statement.adjustments)):
        for entry, fen in split.items():
            found[entry] = found.get(entry, 0) + fen
    return {entry: fen for entry, fen in sorted(found.items()) if entry}


def _row(line: Line) -> tuple[object, ...]:
    return (
        line.code, line.product, line.consumer, line.plan or line.plan_type, line.price_hao, line.count, line.waived,
        line.waiver.value, line.corrects, line.amount_fen, line.due_fen, line.tax_fen, line.first, line.last,
    )  # fmt: skip
