"""Webhooks: where an app is told what happened; the secret is shown once, each delivery with its attempts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from products.consumers.webhook_model import WEBHOOK, NewWebhook, NoticeType
from products.consumers.webhooks import webhook_resource
from shuzha.portal.desk import Desk, Show, Verb, actor_of, parse
from shuzha.portal.services import Services

VERBS = (
    Verb("enable", "Switch the webhook on"),
    Verb("disable", "Switch the webhook off", reason=True, tone="bad"),
    Verb("remove", "Remove the webhook for good", reason=True, tone="bad"),
)


class WebhookPages:
    """The pages of webhooks; they are made on their app's page."""

    def __init__(self, desk: Desk, services: Services) -> None:
        self._desk = desk
        self._webhooks = services.webhooks
        self._apps = services.apps

    def router(self) -> APIRouter:
        """Return the routes of these pages."""
        router = APIRouter()
        router.add_api_route("/webhooks", self.create, methods=["POST"])
        router.add_api_route("/webhooks", self.show_list, methods=["GET"])
        router.add_api_route("/webhooks/{webhook_id}", self.show, methods=["GET"])
        router.add_api_route("/webhooks/{webhook_id}/rotate", self.rotate, methods=["POST"])
        router.add_api_route("/webhooks/{webhook_id}/replay", self.replay, methods=["POST"])
        router.add_api_route("/webhooks/{webhook_id}/{verb}", self.move, methods=["POST"])
        return router

    def show_list(self, request: Request) -> Response:
        """Lead to the apps, on whose pages the webhooks are."""
        actor_of(request)
        return RedirectResponse("/apps", 303)

    def create(
        self, request: Request, app: Annotated[str, Form()], url: Annotated[str, Form()],
        types: Annotated[list[str], Form()] = [],  # noqa: B006 - FastAPI copies a form's default
    ) -> Response:  # fmt: skip
        """Make a webhook and show its secret, this once."""
        wanted = tuple(parse(NoticeType, each) for each in types)
        return self._made(request, self._webhooks.create_webhook(actor_of(request), app, url.strip(), wanted))

    def rotate(self, request: Request, webhook_id: str) -> Response:
        """Make a new secret and show it, this once."""
        return self._made(request, self._webhooks.rotate_webhook(actor_of(request), webhook_id))

    def show(self, request: Request, webhook_id: str) -> Response:
        """Show one webhook with its deliveries."""
        return self._webhook(request, webhook_id)

    def replay(self, request: Request, webhook_id: str, delivery: Annotated[str, Form()]) -> Response:
        """Send a delivery again."""
        actor = actor_of(request)
        show: Show = lambda errors, status: self._webhook(request, webhook_id, errors, status)  # noqa: E731
        return self._desk.attempt(
            request, lambda: self._webhooks.replay_delivery(actor, delivery), f"/webhooks/{webhook_id}", show, "replay"
        )

    def move(self, request: Request, webhook_id: str, verb: str, reason: Annotated[str, Form()] = "") -> Response:
        """Send a test notice, or switch a webhook off, on, or remove it."""
        actor = actor_of(request)
        actions = {
            "try": lambda: self._webhooks.try_webhook(actor, webhook_id),
            "enable": lambda: self._webhooks.enable_webhook(actor, webhook_id, reason),
            "disable": lambda: self._webhooks.disable_webhook(actor, webhook_id, reason),
            "remove": lambda: self._webhooks.remove_webhook(actor, webhook_id, reason),
        }
        show: Show = lambda errors, status: self._webhook(request, webhook_id, errors, status)  # noqa: E731
        return self._desk.act(request, actions, verb, f"/webhooks/{webhook_id}", show)

    def _made(self, request: Request, made: NewWebhook) -> Response:
        return self._desk.page(request, "webhook_made.html", 201, webhook=made.webhook, secret=made.secret)

    def _webhook(self, request: Request, webhook_id: str, errors: Sequence[str] = (), status: int = 200) -> Response:
        actor = actor_of(request)
        webhook = self._webhooks.get_webhook(actor, webhook_id)
        own = webhook_resource(webhook)
        return self._desk.page(
            request, "webhook.html", status, errors=errors, webhook=webhook,
            app=self._apps.get_app(actor, webhook.app), deliveries=self._webhooks.list_deliveries(actor, webhook_id),
            verbs=self._desk.verbs(actor, WEBHOOK, webhook.state, own, VERBS),
            may_try=webhook.state.value == "active" and self._desk.can(actor, "webhook:try", own),
        )  # fmt: skip
