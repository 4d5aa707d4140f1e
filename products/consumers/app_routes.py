"""The HTTP face of apps; every rule is the service's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fastapi import APIRouter, Depends

from products.consumers.app_model import App
from products.consumers.apps import AppService
from products.consumers.routes import Reason
from shuzha.core.actor import Actor

ActorDependency = Callable[..., Actor]


@dataclass(frozen=True, slots=True)
class AppRequest:
    """The body of a new app."""

    name: str
    about: str = ""
    contact: str = ""


def make_router(service: AppService, actor: ActorDependency) -> APIRouter:
    """Return the routes `/apps`."""
    router = APIRouter(tags=["apps"])

    @router.get("/apps")
    def list_apps(who: Actor = Depends(actor)) -> tuple[App, ...]:
        return service.list_apps(who)

    @router.post("/apps", status_code=201)
    def create(body: AppRequest, who: Actor = Depends(actor)) -> App:
        return service.create_app(who, body.name, body.about, body.contact)

    @router.get("/apps/{app_id}")
    def get_app(app_id: str, who: Actor = Depends(actor)) -> App:
        return service.get_app(who, app_id)

    @router.post("/apps/{app_id}/suspend")
    def suspend(app_id: str, body: Reason, who: Actor = Depends(actor)) -> App:
        return service.suspend_app(who, app_id, body.reason)

    @router.post("/apps/{app_id}/restore")
    def restore(app_id: str, body: Reason, who: Actor = Depends(actor)) -> App:
        return service.restore_app(who, app_id, body.reason)

    @router.post("/apps/{app_id}/close")
    def close(app_id: str, body: Reason, who: Actor = Depends(actor)) -> App:
        return service.close_app(who, app_id, body.reason)

    return router
