"""The verbs of keys."""

from __future__ import annotations

from dataclasses import replace

from policies import Context, Policies, Resource
from products.consumers import model
from products.consumers.model import KEY, ApiKey, NewKey
from products.consumers.store import KEYS
from products.registry.model import Product, ProductState
from products.registry.store import PRODUCTS
from shuzha.core.actor import Actor
from shuzha.core.errors import Invalid, NotFound
from shuzha.core.ids import new_id
from shuzha.core.work import Database, Work

DEFAULT_RATE = 200
DEFAULT_DAILY_QUOTA = 100_000


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
    ) -> NewKey:
        """Return a new key of the actor's organisation with its secret, which can never be read again.

        Refuses a product that is not on the price list, and purposes beyond the product's grant.
        """
        model.check_name(name)
        model.check_limits(rate, daily_quota)
        with self._database.work(actor) as work:
            product = work.get(PRODUCTS, product_id)
            _check_open(product)
            model.check_purposes(purposes, product.purposes)
            secret, prefix, digest = model.make_secret()
            key = ApiKey(
                new_id("key"), actor.organisation, actor.id, name.strip(), product.id, tuple(sorted(purposes)),
                prefix, digest, rate, daily_quota, work.now(),
            )  # fmt: skip
            self._policies.check(actor, "key:create", key_resource(key, product), Context(at=work.now()))
            work.add(KEYS, key)
            work.emit(
                "key:create", key.id, f"key {prefix} created for product {product.code}", data={"product": product.id}
            )
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
            key = work.get(KEYS, key_id)
            if not self._may_see(work, actor, key):
                raise NotFound(f"no api_keys with id {key_id}")
            return key

    def list_keys(self, actor: Actor, *, product: str | None = None) -> tuple[ApiKey, ...]:
        """Return the keys that the actor may see, newest first."""
        with self._database.read() as work:
            equal = {} if product is None else {"product": product}
            found = work.list(KEYS, newest_first=True, **equal)
            return tuple(key for key in found if self._may_see(work, actor, key))

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


def _check_open(product: Product) -> None:
    if product.state not in (ProductState.LISTED, ProductState.IN_SERVICE, ProductState.SUSPENDED):
        raise Invalid(
            f"no key for product {product.id}: it is {product.state.value}",
            rule="key.product",
            accepted="a listed product",
        )
