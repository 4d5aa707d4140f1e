"""The HTTP face of limits and alarms; every rule is the service's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fastapi import APIRouter, Depends

from products.defence.model import Alarm, ProductLimits
from products.defence.service import DefenceService
from shuzha.core.actor import Actor

ActorDependency = Callable[..., Actor]


@dataclass(frozen=True, slots=True)
class LimitsRequest:
    """The body of new limits: each for a day of the city."""

    distinct_subjects: int
    subject_asks: int
    negatives: int
    reason: str


@dataclass(frozen=True, slots=True)
class Resolution:
    """The body of a decision on an alarm."""

    reason: str


def make_router(service: DefenceService, actor: ActorDependency) -> APIRouter:
    """Return the routes `/products/{id}/limits` and `/alarms`."""
    router = APIRouter(tags=["alarms"])

    @router.get("/products/{product_id}/limits")
    def get_limits(product_id: str, who: Actor = Depends(actor)) -> ProductLimits:
        return service.get_limits(who, product_id)

    @router.put("/products/{product_id}/limits")
    def set_limits(product_id: str, body: LimitsRequest, who: Actor = Depends(actor)) -> ProductLimits:
        return service.set_limits(
            who, product_id, body.reason, distinct_subjects=body.distinct_subjects, subject_asks=body.subject_asks,
            negatives=body.negatives,
        )  # fmt: skip

    @router.get("/alarms")
    def list_alarms(product: str | None = None, who: Actor = Depends(actor)) -> tuple[Alarm, ...]:
        return service.list_alarms(who, **({} if product is None else {"product": product}))

    @router.get("/alarms/{alarm_id}")
    def get_alarm(alarm_id: str, who: Actor = Depends(actor)) -> Alarm:
        return service.get_alarm(who, alarm_id)

    @router.post("/alarms/{alarm_id}/resolve")
    def resolve(alarm_id: str, body: Resolution, who: Actor = Depends(actor)) -> Alarm:
        return service.resolve_alarm(who, alarm_id, body.reason)

    return router
