"""The HTTP face of supervision: alerts, orders, notices, requirements, live use, walks; every rule is the services'."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import APIRouter, Depends, Query

from shuzha.core.actor import Actor
from shuzha.oversight.alerts import Alerts, RuleInForce
from shuzha.oversight.live import LiveUsage, Minute
from shuzha.oversight.model import Alert, AlertKind, Lack, Notice, Order, OrderKind, OrderVerb, Requirement
from shuzha.oversight.orders import Orders
from shuzha.oversight.requirements import Asked, Requirements
from shuzha.oversight.trace import Link, Trace
from shuzha.oversight.usage import OwnedFact, UsageViews, Wanted
from shuzha.oversight.walks import EntryTrace, Fen, Walks

ActorDependency = Callable[..., Actor]


@dataclass(frozen=True, slots=True)
class Said:
    """Why something is decided, or what is answered."""

    reason: str


@dataclass(frozen=True, slots=True)
class NewOrder:
    """One decision: what is to be done with what, and why."""

    verb: OrderVerb
    kind: OrderKind
    subject: str
    reason: str


@dataclass(frozen=True, slots=True)
class Acting:
    """What an alert leads to: which of its key, product or consumer is suspended, and why."""

    kind: OrderKind
    reason: str


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one kind of alert, and why they are set."""

    values: dict[str, float]
    reason: str


@dataclass(frozen=True, slots=True)
class NewRequirement:
    """What an operating unit asks a provider to mend."""

    entry: str
    lack: Lack
    text: str
    columns: tuple[str, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class FenTrace:
    """One fen of a bill, whose it is, and the chain behind it."""

    fen: Fen
    holds: bool
    links: tuple[Link, ...]


def make_router(services: Supervision, actor: ActorDependency) -> APIRouter:
    """Return the routes of supervision."""
    router = APIRouter(tags=["oversight"])
    _add_alerts(router, services.alerts, actor)
    _add_orders(router, services.orders, actor)
    _add_requirements(router, services.requirements, actor)
    _add_walks(router, services, actor)
    return router


@dataclass(frozen=True, slots=True)
class Supervision:
    """The services behind these routes."""

    alerts: Alerts
    orders: Orders
    requirements: Requirements
    walks: Walks
    live: LiveUsage
    views: UsageViews


def _add_alerts(router: APIRouter, service: Alerts, actor: ActorDependency) -> None:
    @router.get("/alerts")
    def list_alerts(*, waiting: bool = False, who: Actor = Depends(actor)) -> tuple[Alert, ...]:
        return service.list_alerts(who, waiting=waiting)

    @router.get("/alerts/rules")
    def list_rules(who: Actor = Depends(actor)) -> tuple[RuleInForce, ...]:
        return service.list_rules(who)

    @router.put("/alerts/rules/{kind}")
    def set_rule(kind: AlertKind, body: Limits, who: Actor = Depends(actor)) -> RuleInForce:
        return service.set_rule(who, kind, body.values, body.reason)

    @router.get("/alerts/{alert_id}")
    def get_alert(alert_id: str, who: Actor = Depends(actor)) -> Alert:
        return service.get_alert(who, alert_id)

    @router.post("/alerts/{alert_id}/look")
    def look(alert_id: str, who: Actor = Depends(actor)) -> Alert:
        return service.look(who, alert_id)

    @router.post("/alerts/{alert_id}/close")
    def close(alert_id: str, body: Said, who: Actor = Depends(actor)) -> Alert:
        return service.close(who, alert_id, body.reason)

    @router.post("/alerts/{alert_id}/act")
    def act(alert_id: str, body: Acting, who: Actor = Depends(actor)) -> Order:
        return service.act(who, alert_id, body.kind, body.reason)


def _add_orders(router: APIRouter, service: Orders, actor: ActorDependency) -> None:
    @router.post("/orders", status_code=201)
    def place(body: NewOrder, who: Actor = Depends(actor)) -> Order:
        return service.place(who, body.verb, body.kind, body.subject, body.reason)

    @router.get("/orders")
    def list_orders(who: Actor = Depends(actor)) -> tuple[Order, ...]:
        return service.list_orders(who)

    @router.get("/orders/{order_id}")
    def get_order(order_id: str, who: Actor = Depends(actor)) -> Order:
        return service.get_order(who, order_id)

    @router.get("/notices")
    def list_notices(order: str | None = None, who: Actor = Depends(actor)) -> tuple[Notice, ...]:
        return service.list_notices(who, order=order)

    @router.post("/notices/{notice_id}/receive")
    def receive(notice_id: str, who: Actor = Depends(actor)) -> Notice:
        return service.receive(who, notice_id)


def _add_requirements(router: APIRouter, service: Requirements, actor: ActorDependency) -> None:
    @router.post("/requirements", status_code=201)
    def raise_requirement(body: NewRequirement, who: Actor = Depends(actor)) -> Requirement:
        return service.raise_requirement(who, Asked(body.entry, body.lack, body.text, body.columns))

    @router.get("/requirements")
    def list_requirements(entry: str | None = None, who: Actor = Depends(actor)) -> tuple[Requirement, ...]:
        return service.list_requirements(who, entry=entry)

    @router.get("/requirements/{requirement_id}")
    def get_requirement(requirement_id: str, who: Actor = Depends(actor)) -> Requirement:
        return service.get_requirement(who, requirement_id)

    @router.post("/requirements/{requirement_id}/{verb}")
    def move(requirement_id: str, verb: str, body: Said, who: Actor = Depends(actor)) -> Requirement:
        return service.move(who, requirement_id, verb, body.reason)


def _add_walks(router: APIRouter, services: Supervision, actor: ActorDependency) -> None:
    @router.get("/oversight/statements/{statement_id}/fen/{fen}/trace")
    def trace_fen(statement_id: str, fen: int, who: Actor = Depends(actor)) -> FenTrace:
        found, trace = services.walks.trace_fen(who, statement_id, fen)
        return FenTrace(found, _holds(trace), trace.links)

    @router.get("/oversight/entries/{entry_id}/trace")
    def trace_entry(entry_id: str, who: Actor = Depends(actor)) -> EntryTrace:
        return services.walks.trace_entry(who, entry_id)

    @router.get("/oversight/live")
    def live(minutes: Annotated[int, Query(ge=1, le=60)] = 30, who: Actor = Depends(actor)) -> tuple[Minute, ...]:
        return services.live.list_minutes(who, minutes)

    @router.get("/oversight/facts")
    def facts(
        first: dt.date, end: dt.date, product: str = "", consumer: str = "", operator: str = "", provider: str = "",
        purpose: str = "", who: Actor = Depends(actor),
    ) -> tuple[OwnedFact, ...]:  # fmt: skip
        return services.views.list_range(who, Wanted(first, end, product, consumer, operator, provider, purpose))


def _holds(trace: Trace) -> bool:
    return trace.holds
