"""The HTTP face of webhooks; a secret is in two answers only, that of its creation and that of its rotation."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass

from fastapi import APIRouter, Depends, Response

from products.consumers.webhook_model import Attempt, Delivery, DeliveryState, NewWebhook, NoticeType, Webhook
from products.consumers.webhooks import WebhookService
from shuzha.core.actor import Actor

ActorDependency = Callable[..., Actor]


@dataclass(frozen=True, slots=True)
class WebhookRequest:
    """The body of a new webhook."""

    app: str
    url: str
    types: tuple[NoticeType, ...]


@dataclass(frozen=True, slots=True)
class WebhookReason:
    """The body of a verb that may have a reason."""

    reason: str = ""


@dataclass(frozen=True, slots=True)
class CreatedWebhook:
    """A webhook with its secret; it cannot be read again."""

    webhook: Webhook
    secret: str


@dataclass(frozen=True, slots=True)
class DeliveryView:
    """A delivery as it is shown."""

    id: str
    webhook: str
    type: NoticeType
    state: DeliveryState
    body: str
    made_at: dt.datetime
    next_at: dt.datetime | None
    attempts: tuple[Attempt, ...]


def make_router(service: WebhookService, actor: ActorDependency) -> APIRouter:
    """Return the routes `/webhooks` and `/deliveries`."""
    router = APIRouter(tags=["webhooks"])
    _add_verbs(router, service, actor)

    @router.get("/webhooks")
    def list_webhooks(app: str, who: Actor = Depends(actor)) -> tuple[Webhook, ...]:
        return service.list_webhooks(who, app)

    @router.post("/webhooks", status_code=201)
    def create(body: WebhookRequest, response: Response, who: Actor = Depends(actor)) -> CreatedWebhook:
        response.headers["Cache-Control"] = "no-store"
        return _created(service.create_webhook(who, body.app, body.url, body.types))

    @router.get("/webhooks/{webhook_id}")
    def get_webhook(webhook_id: str, who: Actor = Depends(actor)) -> Webhook:
        return service.get_webhook(who, webhook_id)

    @router.post("/webhooks/{webhook_id}/rotate", status_code=201)
    def rotate(webhook_id: str, response: Response, who: Actor = Depends(actor)) -> CreatedWebhook:
        response.headers["Cache-Control"] = "no-store"
        return _created(service.rotate_webhook(who, webhook_id))

    @router.get("/webhooks/{webhook_id}/deliveries")
    def list_deliveries(webhook_id: str, who: Actor = Depends(actor)) -> tuple[DeliveryView, ...]:
        return tuple(view(one) for one in service.list_deliveries(who, webhook_id))

    return router


def _add_verbs(router: APIRouter, service: WebhookService, actor: ActorDependency) -> None:
    @router.post("/webhooks/{webhook_id}/try", status_code=202)
    def send_test(webhook_id: str, who: Actor = Depends(actor)) -> DeliveryView:
        return view(service.try_webhook(who, webhook_id))

    @router.post("/webhooks/{webhook_id}/disable")
    def disable(webhook_id: str, body: WebhookReason, who: Actor = Depends(actor)) -> Webhook:
        return service.disable_webhook(who, webhook_id, body.reason)

    @router.post("/webhooks/{webhook_id}/enable")
    def enable(webhook_id: str, body: WebhookReason, who: Actor = Depends(actor)) -> Webhook:
        return service.enable_webhook(who, webhook_id, body.reason)

    @router.post("/webhooks/{webhook_id}/remove")
    def remove(webhook_id: str, body: WebhookReason, who: Actor = Depends(actor)) -> Webhook:
        return service.remove_webhook(who, webhook_id, body.reason)

    @router.post("/deliveries/{delivery_id}/replay", status_code=202)
    def replay(delivery_id: str, who: Actor = Depends(actor)) -> DeliveryView:
        return view(service.replay_delivery(who, delivery_id))


def view(delivery: Delivery) -> DeliveryView:
    """Return a delivery as it is shown: with its next attempt only where there is one."""
    due = delivery.next_at if delivery.state is DeliveryState.PENDING else None
    return DeliveryView(
        delivery.id, delivery.webhook, delivery.type, delivery.state, delivery.body, delivery.made_at, due,
        delivery.attempts,
    )  # fmt: skip


def _created(made: NewWebhook) -> CreatedWebhook:
    return CreatedWebhook(made.webhook, made.secret)
