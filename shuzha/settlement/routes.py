"""The HTTP face of prices and statements; every rule is the services'."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
from fastapi import APIRouter, Depends
from fastapi.responses import Response

from shuzha.core.actor import Actor
from shuzha.core.money import Price
from shuzha.settlement.approving import StatementDesk
from shuzha.settlement.contributing import ContributionService, Measure
from shuzha.settlement.model import Draft
from shuzha.settlement.plans import read_plan
from shuzha.settlement.pricing import NewCap, NewPrice, PricingService
from shuzha.settlement.service import Reconciliation, SettlementService
from shuzha.settlement.store import Ceiling, Contribution, PriceVersion, RevenueCap, Statement

ActorDependency = Callable[..., Actor]


@dataclass(frozen=True, slots=True)
class Period:
    """The body of a settlement: the month, `YYYY-MM`."""

    period: str


@dataclass(frozen=True, slots=True)
class Reason:
    """The body of a verb that needs a reason."""

    reason: str


@dataclass(frozen=True, slots=True)
class Payment:
    """The body of a payment: its reference, such as the bank's number of it."""

    reference: str


@dataclass(frozen=True, slots=True)
class PriceBody:
    """The body of a price version; `plan` is JSON with its `type` (docs/reference/money.md)."""

    plan: dict[str, Any]
    valid_from: dt.date
    consumer: str = ""
    waived: bool = False
    waived_purposes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CeilingBody:
    """The body of a ceiling price: in 毫 a use, from a day on, and the decision that sets it."""

    price_hao: int
    valid_from: dt.date
    source: str


@dataclass(frozen=True, slots=True)
class PriceView:
    """A published price version as JSON."""

    id: str
    product: str
    consumer: str
    valid_from: dt.date
    plan: dict[str, Any]
    waived: bool
    waived_purposes: tuple[str, ...]
    sha256: str


@dataclass(frozen=True, slots=True)
class RecountResult:
    """Whether the stored statements are what the log gives, and which are not."""

    period: str
    equal: bool
    differing: tuple[str, ...]
    missing: tuple[str, ...]


def make_router(
    service: SettlementService, desk: StatementDesk, pricing: PricingService, contributions: ContributionService,
    actor: ActorDependency,
) -> APIRouter:  # fmt: skip
    """Return the routes of statements, of their life, and of prices."""
    router = APIRouter(tags=["settlement"])
    _add_statements(router, service, actor)
    _add_life(router, desk, actor)
    _add_prices(router, pricing, actor)
    _add_contributions(router, contributions, actor)
    return router


def _add_statements(router: APIRouter, service: SettlementService, actor: ActorDependency) -> None:
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

    @router.get("/statements/bundle")
    def get_bundle(period: str, who: Actor = Depends(actor)) -> Response:
        """Give what `shuzha statement verify` computes a settled month from, besides the usage log."""
        return Response(service.bundle(who, period), media_type="application/json")

    @router.get("/statements/{statement_id}")
    def get_statement(statement_id: str, who: Actor = Depends(actor)) -> Statement:
        return service.get_statement(who, statement_id)

    @router.get("/statements/{statement_id}/document")
    def get_document(statement_id: str, who: Actor = Depends(actor)) -> Response:
        """Give the canonical JSON that the digest is of, byte for byte."""
        found = service.get_statement(who, statement_id)
        return Response(found.as_draft().document(), media_type="application/json")


def _add_life(router: APIRouter, desk: StatementDesk, actor: ActorDependency) -> None:
    @router.post("/statements/approve")
    def approve_month(body: Period, who: Actor = Depends(actor)) -> tuple[Statement, ...]:
        return desk.approve_month(who, body.period)

    @router.post("/statements/{statement_id}/approve")
    def approve(statement_id: str, who: Actor = Depends(actor)) -> Statement:
        return desk.approve(who, statement_id)

    @router.post("/statements/{statement_id}/hold")
    def hold(statement_id: str, body: Reason, who: Actor = Depends(actor)) -> Statement:
        return desk.hold(who, statement_id, body.reason)

    @router.post("/statements/{statement_id}/pay")
    def pay(statement_id: str, body: Payment, who: Actor = Depends(actor)) -> Statement:
        return desk.pay(who, statement_id, body.reference)

    @router.post("/statements/{statement_id}/reopen")
    def reopen(statement_id: str, body: Reason, who: Actor = Depends(actor)) -> Statement:
        return desk.reopen(who, statement_id, body.reason)

    @router.post("/statements/{statement_id}/confirm")
    def confirm(statement_id: str, who: Actor = Depends(actor)) -> Statement:
        return desk.confirm(who, statement_id)


def _add_prices(router: APIRouter, pricing: PricingService, actor: ActorDependency) -> None:
    @router.get("/products/{product_id}/prices")
    def list_prices(product_id: str, who: Actor = Depends(actor)) -> tuple[PriceView, ...]:
        return tuple(map(_view, pricing.list_prices(who, product_id)))

    @router.post("/products/{product_id}/prices", status_code=201)
    def publish(product_id: str, body: PriceBody, who: Actor = Depends(actor)) -> PriceView:
        new = NewPrice(read_plan(body.plan), body.valid_from, body.consumer, body.waived, body.waived_purposes)
        return _view(pricing.publish(who, product_id, new))

    @router.get("/products/{product_id}/ceilings")
    def list_ceilings(product_id: str, who: Actor = Depends(actor)) -> tuple[Ceiling, ...]:
        return pricing.list_ceilings(who, product_id)

    @router.post("/products/{product_id}/ceilings", status_code=201)
    def set_ceiling(product_id: str, body: CeilingBody, who: Actor = Depends(actor)) -> Ceiling:
        return pricing.set_ceiling(who, product_id, Price(body.price_hao), body.valid_from, body.source)

    @router.get("/authorizations/{authorization_id}/caps")
    def list_caps(authorization_id: str, who: Actor = Depends(actor)) -> tuple[RevenueCap, ...]:
        return pricing.list_caps(who, authorization_id)

    @router.post("/authorizations/{authorization_id}/caps", status_code=201)
    def set_cap(authorization_id: str, body: NewCap, who: Actor = Depends(actor)) -> RevenueCap:
        return pricing.set_cap(who, authorization_id, body)


def _add_contributions(router: APIRouter, contributions: ContributionService, actor: ActorDependency) -> None:
    @router.get("/products/{product_id}/contributions")
    def list_contributions(product_id: str, who: Actor = Depends(actor)) -> tuple[Contribution, ...]:
        return contributions.list_contributions(who, product_id)

    @router.post("/products/{product_id}/contributions", status_code=201)
    def measure(product_id: str, body: Measure, who: Actor = Depends(actor)) -> Contribution:
        return contributions.measure(who, product_id, body)


def _view(found: PriceVersion) -> PriceView:
    return PriceView(
        found.id, found.product, found.consumer, found.valid_from, _json(found.plan), found.waived,
        found.waived_purposes, found.sha256,
    )  # fmt: skip


def _json(value: object) -> dict[str, Any]:
    made: dict[str, Any] = msgspec.to_builtins(value)
    return made
