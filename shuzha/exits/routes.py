"""The HTTP face of exits; every rule is the service's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fastapi import APIRouter, Depends, Response

from shuzha.core.actor import Actor
from shuzha.exits.model import Exit
from shuzha.exits.service import ExitService

ActorDependency = Callable[..., Actor]
_STRICT = {"extra": "forbid"}


@dataclass(frozen=True, slots=True)
class HandOverForm:
    """What becomes of the unit's products, its customers and its own assets; `none` is an answer."""

    __pydantic_config__ = _STRICT
    products: str
    customers: str
    assets: str


@dataclass(frozen=True, slots=True)
class Closing:
    """Why the exit is closed."""

    __pydantic_config__ = _STRICT
    reason: str


@dataclass(frozen=True, slots=True)
class PlatformKey:
    """The platform's public key of exit certificates: keep it, to verify without the platform."""

    algorithm: str
    key: str


def make_router(service: ExitService, actor: ActorDependency) -> APIRouter:
    """Return the routes below `/exits`."""
    router = APIRouter(prefix="/exits", tags=["exits"])

    @router.get("")
    def list_exits(authorization: str | None = None, who: Actor = Depends(actor)) -> tuple[Exit, ...]:
        return service.list_exits(who, authorization=authorization)

    @router.get("/public-key")
    def public_key() -> PlatformKey:
        return PlatformKey("Ed25519", service.public_key.hex())

    @router.get("/{exit_id}")
    def get_exit(exit_id: str, who: Actor = Depends(actor)) -> Exit:
        return service.get_exit(who, exit_id)

    @router.post("/{exit_id}/hand-over")
    def hand_over(exit_id: str, body: HandOverForm, who: Actor = Depends(actor)) -> Exit:
        return service.hand_over(who, exit_id, body.products, body.customers, body.assets)

    @router.post("/{exit_id}/close")
    def close(exit_id: str, body: Closing, who: Actor = Depends(actor)) -> Exit:
        return service.close(who, exit_id, body.reason)

    @router.get("/{exit_id}/certificate")
    def certificate(exit_id: str, who: Actor = Depends(actor)) -> Response:
        return Response(service.bundle(who, exit_id), media_type="application/json")

    return router
