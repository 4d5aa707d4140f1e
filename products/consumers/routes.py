"""The HTTP face of keys; a secret is in one answer only, that of its creation."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass

from fastapi import APIRouter, Depends, Response

from products.consumers.model import ApiKey, KeyState, KeyUse, NewKey, Scope
from products.consumers.service import DEFAULT_DAILY_QUOTA, DEFAULT_RATE, KeyService
from shuzha.core.actor import Actor
from shuzha.core.errors import Invalid

ActorDependency = Callable[..., Actor]
MAX_HOURS = 720


@dataclass(frozen=True, slots=True)
class KeyRequest:
    """The body of a new key."""

    product: str
    name: str
    purposes: tuple[str, ...]
    rate: int = DEFAULT_RATE
    daily_quota: int = DEFAULT_DAILY_QUOTA
    app: str = ""
    also: tuple[str, ...] = ()
    uses: tuple[KeyUse, ...] = ()
    networks: tuple[str, ...] = ()
    expires_at: dt.datetime | None = None

    def scope(self) -> Scope:
        """Return what the key is limited to."""
        return Scope(self.app, self.also, self.uses, self.networks, self.expires_at)


@dataclass(frozen=True, slots=True)
class RotationRequest:
    """The body of a rotation: for how many hours both keys open."""

    overlap_hours: int = 24


@dataclass(frozen=True, slots=True)
class Reason:
    """The body of a verb that asks for a reason."""

    reason: str


@dataclass(frozen=True, slots=True)
class KeyView:
    """A key as it is shown: without its digest."""

    id: str
    organisation: str
    name: str
    product: str
    purposes: tuple[str, ...]
    prefix: str
    rate: int
    daily_quota: int
    created_at: dt.datetime
    state: KeyState
    reason: str
    app: str
    products: tuple[str, ...]
    uses: tuple[KeyUse, ...]
    networks: tuple[str, ...]
    expires_at: dt.datetime | None
    replaces: str


@dataclass(frozen=True, slots=True)
class CreatedKey:
    """A new key with its secret; it cannot be read again."""

    key: KeyView
    secret: str


def make_router(service: KeyService, actor: ActorDependency) -> APIRouter:
    """Return the routes `/keys`."""
    router = APIRouter(tags=["keys"])

    @router.get("/keys")
    def list_keys(
        product: str | None = None, app: str | None = None, who: Actor = Depends(actor)
    ) -> tuple[KeyView, ...]:
        return tuple(view(key) for key in service.list_keys(who, product=product, app=app))

    @router.post("/keys", status_code=201)
    def create(body: KeyRequest, response: Response, who: Actor = Depends(actor)) -> CreatedKey:
        response.headers["Cache-Control"] = "no-store"
        made = service.create_key(
            who, body.product, body.name, body.purposes, rate=body.rate, daily_quota=body.daily_quota,
            scope=body.scope(),
        )  # fmt: skip
        return _created(made)

    @router.get("/keys/{key_id}")
    def get_key(key_id: str, who: Actor = Depends(actor)) -> KeyView:
        return view(service.get_key(who, key_id))

    @router.post("/keys/{key_id}/rotate", status_code=201)
    def rotate(key_id: str, body: RotationRequest, response: Response, who: Actor = Depends(actor)) -> CreatedKey:
        response.headers["Cache-Control"] = "no-store"
        return _created(service.rotate_key(who, key_id, hours(body.overlap_hours)))

    @router.post("/keys/{key_id}/suspend")
    def suspend(key_id: str, body: Reason, who: Actor = Depends(actor)) -> KeyView:
        return view(service.suspend_key(who, key_id, body.reason))

    @router.post("/keys/{key_id}/restore")
    def restore(key_id: str, body: Reason, who: Actor = Depends(actor)) -> KeyView:
        return view(service.restore_key(who, key_id, body.reason))

    @router.post("/keys/{key_id}/revoke")
    def revoke(key_id: str, body: Reason, who: Actor = Depends(actor)) -> KeyView:
        return view(service.revoke_key(who, key_id, body.reason))

    return router


def view(key: ApiKey) -> KeyView:
    """Return a key without its digest."""
    return KeyView(
        key.id, key.organisation, key.name, key.product, key.purposes, key.prefix, key.rate, key.daily_quota,
        key.created_at, key.state, key.reason, key.app, key.products or (key.product,), key.uses, key.networks,
        key.expires_at, key.replaces,
    )  # fmt: skip


def hours(count: int) -> dt.timedelta:
    """Return so many hours; refuses a number that no overlap can have."""
    if not 0 <= count <= MAX_HOURS:
        raise Invalid("a rotation refuses this overlap", rule="key.overlap", accepted="0 to 720 hours")
    return dt.timedelta(hours=count)


def _created(made: NewKey) -> CreatedKey:
    return CreatedKey(view(made.key), made.secret)
