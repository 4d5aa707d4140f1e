"""The HTTP face of holds; every rule is the service's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fastapi import APIRouter, Depends

from shuzha.authorization.agreement import STRICT
from shuzha.authorization.holds import Hold, RightsService
from shuzha.core.actor import Actor

ActorDependency = Callable[..., Actor]


@dataclass(frozen=True, slots=True)
class Lifting:
    """Why a hold is lifted before its cause has ended."""

    __pydantic_config__ = STRICT
    reason: str


def make_router(service: RightsService, actor: ActorDependency) -> APIRouter:
    """Return the routes of holds."""
    router = APIRouter(tags=["authorization"])

    @router.get("/authorizations/{authorization_id}/holds")
    def list_holds(authorization_id: str, who: Actor = Depends(actor)) -> tuple[Hold, ...]:
        return service.list_holds(who, authorization_id)

    @router.post("/holds/{hold_id}/lift")
    def lift_hold(hold_id: str, body: Lifting, who: Actor = Depends(actor)) -> Hold:
        return service.lift_hold(who, hold_id, body.reason)

    return router
