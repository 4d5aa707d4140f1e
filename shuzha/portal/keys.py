"""Consumers' keys: made on a product's page, the secret shown once, suspended and revoked on the key's own."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from products.consumers.model import KEY, ApiKey, KeyUse, Scope
from products.consumers.routes import hours
from products.consumers.service import DEFAULT_DAILY_QUOTA, DEFAULT_RATE, key_resource
from shuzha.core.clock import end_of_day
from shuzha.core.errors import Invalid
from shuzha.portal.desk import Desk, Show, Verb, actor_of, parse
from shuzha.portal.services import Services

VERBS = (
    Verb("suspend", "Suspend the key", reason=True, tone="bad"),
    Verb("restore", "Restore the key", reason=True),
    Verb("revoke", "Revoke the key for good", reason=True, tone="bad"),
)


class KeyPages:
    """The pages of keys."""

    def __init__(self, desk: Desk, services: Services) -> None:
        self._desk = desk
        self._keys = services.consumers
        self._apps = services.apps
        self._usage = services.usage_now
        self._registry = services.registry

    def router(self) -> APIRouter:
        """Return the routes of these pages."""
        router = APIRouter()
        router.add_api_route("/keys", self.create, methods=["POST"])
        router.add_api_route("/keys", self.show_list, methods=["GET"])
        router.add_api_route("/keys/{key_id}", self.show, methods=["GET"])
        router.add_api_route("/keys/{key_id}/rotate", self.rotate, methods=["POST"])
        router.add_api_route("/keys/{key_id}/{verb}", self.move, methods=["POST"])
        return router

    def show_list(self, request: Request) -> Response:
        """Lead to the apps, on whose pages the keys are."""
        actor_of(request)
        return RedirectResponse("/apps", 303)

    def create(
        self, request: Request, product: Annotated[str, Form()], name: Annotated[str, Form()],
        purposes: Annotated[list[str], Form()] = [],  # noqa: B006 - FastAPI copies a form's default
        rate: Annotated[int, Form()] = DEFAULT_RATE, daily_quota: Annotated[int, Form()] = DEFAULT_DAILY_QUOTA,
        app: Annotated[str, Form()] = "", networks: Annotated[str, Form()] = "",
        uses: Annotated[list[str], Form()] = [],  # noqa: B006 - FastAPI copies a form's default
        also: Annotated[list[str], Form()] = [],  # noqa: B006 - FastAPI copies a form's default
        last_day: Annotated[str, Form()] = "",
    ) -> Response:  # fmt: skip
        """Make a key and show its secret, this once: it is in no address and in no record."""
        actor = actor_of(request)
        scope = Scope(
            app, tuple(also), tuple(parse(KeyUse, use) for use in uses), tuple(networks.replace(",", " ").split()),
            read_last_day(last_day),
        )  # fmt: skip
        made = self._keys.create_key(
            actor, product, name, tuple(purposes), rate=rate, daily_quota=daily_quota, scope=scope
        )
        found = self._registry.get_product(actor, product)
        return self._desk.page(request, "key_made.html", 201, key=made.key, secret=made.secret, product=found)

    def rotate(self, request: Request, key_id: str, overlap: Annotated[int, Form()] = 24) -> Response:
        """Make the key's successor and show its secret, this once."""
        actor = actor_of(request)
        made = self._keys.rotate_key(actor, key_id, hours(overlap))
        found = self._registry.get_product(actor, made.key.product)
        return self._desk.page(request, "key_made.html", 201, key=made.key, secret=made.secret, product=found)

    def show(self, request: Request, key_id: str) -> Response:
        """Show one key."""
        return self._key(request, key_id)

    def move(self, request: Request, key_id: str, verb: str, reason: Annotated[str, Form()] = "") -> Response:
        """Suspend, restore or revoke a key."""
        actor = actor_of(request)
        actions = {
            "suspend": lambda: self._keys.suspend_key(actor, key_id, reason),
            "restore": lambda: self._keys.restore_key(actor, key_id, reason),
            "revoke": lambda: self._keys.revoke_key(actor, key_id, reason),
        }
        show: Show = lambda errors, status: self._key(request, key_id, errors, status)  # noqa: E731
        return self._desk.act(request, actions, verb, f"/keys/{key_id}", show)

    def _key(self, request: Request, key_id: str, errors: Sequence[str] = (), status: int = 200) -> Response:
        actor = actor_of(request)
        key = self._keys.get_key(actor, key_id)
        product = self._registry.get_product(actor, key.product)
        own, now = key_resource(key, product), self._desk.clock.now()
        verbs = self._desk.verbs(actor, KEY, key.state, own, VERBS)
        return self._desk.page(
            request, "key.html", status, errors=errors, key=key, product=product, verbs=verbs, now=now,
            products=[self._registry.get_product(actor, each) for each in key.products or (key.product,)],
            app=self._apps.get_app(actor, key.app) if key.app else None,
            used=self._usage.of_keys(actor, key.app).get(key.id) if key.app else None,
            may_rotate=_is_open(key, now) and self._desk.can(actor, "key:rotate", own),
        )  # fmt: skip


def read_last_day(text: str) -> dt.datetime | None:
    """Return the end of the city's day that a form names, None for none; refuses what is no day."""
    if not text.strip():
        return None
    try:
        return end_of_day(dt.date.fromisoformat(text.strip()))
    except ValueError:
        raise Invalid(
            "a key refuses this end", rule="key.expires", field="last_day", accepted="a day such as 2027-06-30"
        ) from None


def _is_open(key: ApiKey, now: dt.datetime) -> bool:
    return key.state.value == "active" and not key.has_expired(now)
