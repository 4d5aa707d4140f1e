"""The verbs of keys."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace

from policies import Context, Policies, Resource
from products.consumers import model
from products.consumers.apps import choose_app
from products.consumers.model import KEY, ApiKey, KeyState, NewKey, Scope
from products.consumers.store import KEYS
from products.registry.model import Product, ProductState
from products.registry.store import PRODUCTS
from shuzha.core.actor import Actor
from shuzha.core.errors import Invalid, NotFound
from shuzha.core.ids import new_id
from shuzha.core.work import Database, Work

DEFAULT_RATE = 200
DEFAULT_DAILY_QUOTA = 100_000
DEFAULT_OVERLAP = dt.timedelta(hours=24)


class KeyService:
    """The keys of consumers."""

    def __init__(self, database: Database, policies: Policies) -> None:
        self._database = database
        self._policies = policies

    def create_key(
        self,
        actor: Actor,
        product_id: str,
        name: str,
        purposes: tuple[str, ...],
        *,
        rate: int = DEFAULT_RATE,
        daily_quota: int = DEFAULT_DAILY_QUOTA,
        scope: Scope = Scope(),
    ) -> NewKey:
        """Return a new key of the actor's organisation with its secret, which can never be read again.

        Without an app in its scope it is one of the organisation's first app, which is made where there is none.
        Refuses products that are not on the price list, purposes beyond any of their grants, another organisation's
        app, and an end that is over.
        """
        model.check_name(name)
        model.check_limits(rate, daily_quota)
        networks = model.read_networks(scope.networks)
        with self._database.work(actor) as work:
            model.check_expiry(scope.expires_at, work.now())
            products = [work.get(PRODUCTS, each) for each in dict.fromkeys((product_id, *scope.also))]
            _check_products(products, purposes)
            own = Resource("key", "", actor.organisation, actor.id)
            for product in products:
                resource = replace(own, authorization=product.authorization, grant=product.grant)
                self._policies.check(actor, "key:create", resource, Context(at=work.now()))
            app = choose_app(work, actor, scope.app)
            secret, prefix, digest = model.make_secret()
            key = ApiKey(
                new_id("key"), actor.organisation, actor.id, name.strip(), product_id, tuple(sorted(purposes)),
                prefix, digest, rate, daily_quota, work.now(), app=app.id, networks=networks,
                products=tuple(each.id for each in products), uses=tuple(dict.fromkeys(scope.uses)),
                expires_at=scope.expires_at,
            )  # fmt: skip
            _add(work, key, products[0])
        return NewKey(key, secret)

    def rotate_key(self, actor: Actor, key_id: str, overlap: dt.timedelta = DEFAULT_OVERLAP) -> NewKey:
        """Return a new key with the scope and limits of an active one, which ends when the overlap is over.

        Both open meanwhile; the older one's uses stay its own. Refuses a key that is not active or has ended.
        """
        model.check_overlap(overlap)
        with self._database.work(actor) as work:
            old = self._get(work, actor, key_id)
            product = work.get(PRODUCTS, old.product)
            self._policies.check(actor, "key:rotate", key_resource(old, product), Context(at=work.now()))
            if old.state is not KeyState.ACTIVE or old.has_expired(work.now()):
                raise Invalid(f"no rotation of key {old.id}: it is not active", rule="key.rotate", accepted="a new key")
            _check_products([work.get(PRODUCTS, each) for each in old.products or (old.product,)], old.purposes)
            choose_app(work, actor, old.app)
            secret, prefix, digest = model.make_secret()
            key = replace(
                old, id=new_id("key"), author=actor.id, prefix=prefix, digest=digest, created_at=work.now(),
                expires_at=None, replaces=old.id, reason="", revision=0,
            )  # fmt: skip
            end = work.now() + overlap
            work.save(KEYS, replace(old, expires_at=min(end, old.expires_at or end)))
            data = {"product": old.product, "by": key.id}
            work.emit("key:rotate", old.id, f"key {old.prefix} gives way to {prefix} until {end:%F %R}", data=data)
            _add(work, key, product)
        return NewKey(key, secret)

    def suspend_key(self, actor: Actor, key_id: str, reason: str) -> ApiKey:
        """Return the key suspended: within a second its calls are refused with the reason."""
        return self._move(actor, key_id, "suspend", reason)

    def restore_key(self, actor: Actor, key_id: str, reason: str) -> ApiKey:
        """Return the suspended key active again."""
        return self._move(actor, key_id, "restore", reason)

    def revoke_key(self, actor: Actor, key_id: str, reason: str) -> ApiKey:
        """Return the key revoked, for good: within a second it is unknown to the API."""
        return self._move(actor, key_id, "revoke", reason)

    def get_key(self, actor: Actor, key_id: str) -> ApiKey:
        """Return a key that the actor may see, or raise NotFound."""
        with self._database.read() as work:
            return self._get(work, actor, key_id)

    def list_keys(self, actor: Actor, *, product: str | None = None, app: str | None = None) -> tuple[ApiKey, ...]:
        """Return the keys that the actor may see, newest first: all, or those for a product or of an app."""
        with self._database.read() as work:
            equal = {} if app is None else {"app": app}
            found = work.list(KEYS, newest_first=True, **equal)
            meant = [key for key in found if product is None or key.covers(product)]
            return tuple(key for key in meant if self._may_see(work, actor, key))

    def _get(self, work: Work, actor: Actor, key_id: str) -> ApiKey:
        key = work.get(KEYS, key_id)
        if not self._may_see(work, actor, key):
            raise NotFound(f"no api_keys with id {key_id}")
        return key

    def _may_see(self, work: Work, actor: Actor, key: ApiKey) -> bool:
        resource = key_resource(key, work.get(PRODUCTS, key.product))
        return self._policies.can(actor, "key:view", resource, Context(at=work.now()))

    def _move(self, actor: Actor, key_id: str, verb: str, reason: str) -> ApiKey:
        if not reason.strip() or len(reason) > 1000:
            raise Invalid("a decision without a reason", rule="decision.reason", accepted="a sentence that says why")
        with self._database.work(actor) as work:
            key = work.get(KEYS, key_id)
            product = work.get(PRODUCTS, key.product)
            self._policies.check(actor, f"key:{verb}", key_resource(key, product), Context(at=work.now()))
            move = KEY.next(key.state, verb, key.id)
            saved = work.save(KEYS, replace(key, state=move.target, reason=reason.strip()))
            data = {"product": key.product, "reason": saved.reason}
            work.emit(f"key:{verb}", key.id, f"key {key.prefix} {move.target.value}", data=data)
            return saved


def key_resource(key: ApiKey, product: Product) -> Resource:
    """Return the key as the policy layer sees it."""
    return Resource("key", key.id, key.organisation, key.author, product.authorization, product.grant)


def _add(work: Work, key: ApiKey, product: Product) -> None:
    work.add(KEYS, key)
    told = {"product": key.product, "app": key.app}
    work.emit("key:create", key.id, f"key {key.prefix} created for product {product.code}", data=told)


def _check_products(products: Sequence[Product], purposes: tuple[str, ...]) -> None:
    if len(products) > model.MAX_PRODUCTS:
        raise Invalid("a key refuses so many products", rule="key.products", accepted=f"at most {model.MAX_PRODUCTS}")
    for product in products:
        if product.state not in (ProductState.LISTED, ProductState.IN_SERVICE, ProductState.SUSPENDED):
            raise Invalid(
                f"no key for product {product.id}: it is {product.state.value}",
                rule="key.product",
                accepted="a listed product",
            )
        model.check_purposes(purposes, product.purposes)
