"""The HTTP face of oversight; every rule is the service's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fastapi import APIRouter, Depends

from shuzha.core.actor import Actor
from shuzha.oversight.service import Oversight, UsageBesideMoney
from shuzha.oversight.trace import Link, Trace

ActorDependency = Callable[..., Actor]


@dataclass(frozen=True, slots=True)
class TraceView:
    """A trace as it is shown; `holds` where no link was found wrong."""

    usage_id: str
    holds: bool
    links: tuple[Link, ...]


def make_router(service: Oversight, actor: ActorDependency) -> APIRouter:
    """Return the routes `/oversight`."""
    router = APIRouter(tags=["oversight"])

    @router.get("/oversight/trace/{usage_id}")
    def trace(usage_id: str, who: Actor = Depends(actor)) -> TraceView:
        return _view(service.trace(who, usage_id))

    @router.get("/oversight/statements/{statement_id}/lines/{place}/trace")
    def trace_line(statement_id: str, place: int, who: Actor = Depends(actor)) -> TraceView:
        return _view(service.trace_line(who, statement_id, place))

    @router.get("/oversight/usage")
    def usage(period: str, who: Actor = Depends(actor)) -> UsageBesideMoney:
        return service.usage_beside_money(who, period)

    return router


def _view(found: Trace) -> TraceView:
    return TraceView(found.usage_id, found.holds, found.links)
