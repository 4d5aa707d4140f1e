"""The HTTP face of statements; every rule is the service's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fastapi import APIRouter, Depends

from shuzha.core.actor import Actor
from shuzha.settlement.model import Draft
from shuzha.settlement.service import Reconciliation, SettlementService
from shuzha.settlement.store import Statement

ActorDependency = Callable[..., Actor]


@dataclass(frozen=True, slots=True)
class Period:
    """The body of a settlement: the month, `YYYY-MM`."""

    period: str


@dataclass(frozen=True, slots=True)
class RecountResult:
    """Whether the stored statements are what the log gives, and which are not."""

    period: str
    equal: bool
    differing: tuple[str, ...]
    missing: tuple[str, ...]


def make_router(service: SettlementService, actor: ActorDependency) -> APIRouter:
    """Return the routes `/statements`."""
    router = APIRouter(tags=["settlement"])

    @router.get("/statements")
    def list_statements(period: str | None = None, who: Actor = Depends(actor)) -> tuple[Statement, ...]:
        return service.list_statements(who, period=period)

    @router.post("/statements", status_code=201)
    def settle(body: Period, who: Actor = Depends(actor)) -> tuple[Statement, ...]:
        return service.settle(who, body.period)

    @router.get("/statements/so-far")
    def so_far(period: str, who: Actor = Depends(actor)) -> tuple[Draft, ...]:
        return service.so_far(who, period).statements

    @router.get("/statements/reconciliation")
    def reconcile(period: str, acknowledged: int | None = None, who: Actor = Depends(actor)) -> Reconciliation:
        return service.reconcile(who, period, acknowledged)

    @router.get("/statements/recount")
    def recount(period: str, who: Actor = Depends(actor)) -> RecountResult:
        found = service.recount(who, period)
        return RecountResult(found.period, found.equal, found.differing, found.missing)

    @router.get("/statements/{statement_id}")
    def get_statement(statement_id: str, who: Actor = Depends(actor)) -> Statement:
        return service.get_statement(who, statement_id)

    return router
