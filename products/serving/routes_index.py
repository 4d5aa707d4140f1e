"""The HTTP face of building indexes: how far a build is, and its end; every rule is the service's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fastapi import APIRouter, Depends

from products.serving.index import IndexService
from shuzha.core.actor import Actor

ActorDependency = Callable[..., Actor]


@dataclass(frozen=True, slots=True)
class BuildState:
    """Whether a build of a product's index runs, and how far it is."""

    running: bool
    stage: str = ""
    done: int = 0
    total: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Ending:
    """The body of a wish that a build ends."""

    reason: str


def make_router(service: IndexService, actor: ActorDependency) -> APIRouter:
    """Return the routes `/products/{id}/index`."""
    router = APIRouter(tags=["products"])

    @router.get("/products/{product_id}/index")
    def progress(product_id: str, who: Actor = Depends(actor)) -> BuildState:
        found = service.find_progress(who, product_id)
        if found is None:
            return BuildState(running=False)
        return BuildState(True, found.stage, found.done, found.total, found.seconds)

    @router.post("/products/{product_id}/index/cancel", status_code=202)
    def cancel(product_id: str, body: Ending, who: Actor = Depends(actor)) -> BuildState:
        service.cancel_build(who, product_id, body.reason)
        return BuildState(running=True)

    return router
