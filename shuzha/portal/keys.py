"""Consumers' keys: made on a product's page, the secret shown once, suspended and revoked on the key's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from products.consumers.model import KEY
from products.consumers.service import DEFAULT_DAILY_QUOTA, DEFAULT_RATE, KeyService, key_resource
from products.registry.service import RegistryService
from shuzha.portal.desk import Desk, Show, Verb, actor_of

VERBS = (
    Verb("suspend", "Suspend the key", reason=True, tone="bad"),
    Verb("restore", "Restore the key", reason=True),
    Verb("revoke", "Revoke the key for good", reason=True, tone="bad"),
)


class KeyPages:
    """The pages of keys."""

    def __init__(self, desk: Desk, keys: KeyService, registry: RegistryService, *, api_url: str) -> None:
        self._desk = desk
        self._keys = keys
        self._registry = registry
        self._api_url = api_url

    def router(self) -> APIRouter:
        """Return the routes of these pages."""
        router = APIRouter()
        router.add_api_route("/keys", self.create, methods=["POST"])
        router.add_api_route("/keys", self.show_list, methods=["GET"])
        router.add_api_route("/keys/{key_id}", self.show, methods=["GET"])
        router.add_api_route("/keys/{key_id}/{verb}", self.move, methods=["POST"])
        return router

    def show_list(self, request: Request) -> Response:
        """Lead to the products, on whose pages the keys are."""
        actor_of(request)
        return RedirectResponse("/products", 303)

    def create(
        self, request: Request, product: Annotated[str, Form()], name: Annotated[str, Form()],
        purposes: Annotated[list[str], Form()] = [],  # noqa: B006 - FastAPI copies a form's default
        rate: Annotated[int, Form()] = DEFAULT_RATE, daily_quota: Annotated[int, Form()] = DEFAULT_DAILY_QUOTA,
    ) -> Response:  # fmt: skip
        """Make a key and show its secret, this once: it is in no address and in no record."""
        actor = actor_of(request)
        made = self._keys.create_key(actor, product, name, tuple(purposes), rate=rate, daily_quota=daily_quota)
        found = self._registry.get_product(actor, product)
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
        verbs = self._desk.verbs(actor, KEY, key.state, key_resource(key, product), VERBS)
        return self._desk.page(request, "key.html", status, errors=errors, key=key, product=product, verbs=verbs)
