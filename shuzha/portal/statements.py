"""Statements: what a consumer owes, how an authorization's income is shared, what a provider earns; a CSV twin each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from policies import Resource
from products.registry.service import RegistryService
from shuzha.core.actor import Actor
from shuzha.core.clock import city_date, month_before
from shuzha.core.errors import NotFound
from shuzha.core.money import Amount, Price
from shuzha.portal.desk import Desk, Show, actor_of
from shuzha.portal.sheets import csv_response
from shuzha.settlement.model import StatementKind
from shuzha.settlement.service import SettlementService
from shuzha.settlement.store import Statement

HEADS = ("code", "consumer", "price_hao", "uses", "waived", "amount_fen", "due_fen", "first_index", "last_index")


class StatementPages:
    """The pages of statements."""

    def __init__(self, desk: Desk, settlement: SettlementService, registry: RegistryService) -> None:
        self._desk = desk
        self._settlement = settlement
        self._registry = registry

    def router(self) -> APIRouter:
        """Return the routes of these pages."""
        router = APIRouter()
        router.add_api_route("/statements", self.show_list, methods=["GET"])
        router.add_api_route("/statements", self.settle, methods=["POST"])
        router.add_api_route("/statements/{statement_id}", self.show, methods=["GET"])
        router.add_api_route("/statements/{statement_id}/lines.csv", self.sheet, methods=["GET"])
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

    def show(self, request: Request, statement_id: str) -> Response:
        """Show one statement with its lines and shares."""
        actor = actor_of(request)
        found = self._settlement.get_statement(actor, statement_id)
        titles = {line.product: self._title(actor, line.product) for line in found.lines}
        return self._desk.page(
            request, "statement.html", statement=found, titles=titles, amount=Amount, price=Price,
            uses=sum(line.count for line in found.lines), shared=sum(found.shares.values()),
            holds=found.as_draft().computed_digest() == found.digest, provides=found.kind is StatementKind.PROVIDER,
            may_trace=self._desk.can(actor, "ledger:view", Resource("ledger")),
        )  # fmt: skip

    def sheet(self, request: Request, statement_id: str) -> Response:
        """Give the lines of a statement as a CSV file."""
        found = self._settlement.get_statement(actor_of(request), statement_id)
        parties = tuple(found.shares)
        rows = (
            (line.code, line.consumer, line.price_hao, line.count, line.waived, line.amount_fen, line.due_fen,
             line.first, line.last, *(line.parts.get(party, 0) for party in parties))
            for line in found.lines
        )  # fmt: skip
        return csv_response(f"statement-{found.period}-{found.id}", (*HEADS, *parties), rows)

    def _list(self, request: Request, errors: Sequence[str] = (), status: int = 200) -> Response:
        actor = actor_of(request)
        found = self._settlement.list_statements(actor)
        return self._desk.page(
            request, "statements.html", status, errors=errors, statements=found, amount=Amount,
            may_settle=self._desk.can(actor, "statement:settle", Resource("statement")), uses=_uses,
            period=month_before(f"{city_date(self._desk.clock.now()):%Y-%m}"),
        )  # fmt: skip

    def _title(self, actor: Actor, product_id: str) -> tuple[str, str]:
        try:
            sheet = self._registry.get_product(actor, product_id).sheet
        except NotFound:
            return product_id, product_id
        return sheet.title_zh, sheet.title_en


def _uses(statement: Statement) -> int:
    return sum(line.count for line in statement.lines)
