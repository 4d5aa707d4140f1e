"""What every metered call passes before anything is looked up: key, address, rate, product, policy, quota.

Each check refuses with a status, a stable code and a rule. A refused call costs nothing.
"""

from __future__ import annotations

import datetime as dt
import re
import time
from collections.abc import Callable
from dataclasses import dataclass

from policies import Context, Decision, Policies, ScopeSource
from products.consumers.model import ApiKey, KeyState, digest_of, is_secret
from products.registry.model import ProductState
from products.serving.limits import AddressLimits, KeyLimit
from products.serving.state import Caller, Offer, ServingState
from products.serving.wire import Refusal
from shuzha.core.clock import Clock, city_date

_BEARER = "bearer "
_MAX_AUTHORIZATION = 200
_STATE = re.compile(r"(authorization|grant) \S+ is ([a-z_]+)")


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP call as the endpoints see it; `body` is complete and under the cap."""

    code: str
    authorization: str
    idempotency_key: str
    address: str
    body: bytes = b""


class Gate:
    """The checks, and the limits that they count in."""

    def __init__(
        self,
        state: ServingState,
        policies: Policies,
        scopes: ScopeSource,
        clock: Clock,
        used_on: Callable[[ApiKey, dt.date], int],
    ) -> None:
        self.state = state
        self.clock = clock
        self._policies = policies
        self._scopes = scopes
        self._used_on = used_on
        self._addresses = AddressLimits()
        self._limits: dict[str, KeyLimit] = {}

    def identify(self, call: Call) -> Caller:
        """Return whose call it is; refuses no key, an unknown or revoked one (401) and a suspended one (403)."""
        if not self.state.fresh:
            raise Refusal(503, "state_unknown", "the platform cannot tell what is in force now", rule="serving.fresh")
        text = call.authorization
        caller = None
        if text[:7].lower() == _BEARER and len(text) < _MAX_AUTHORIZATION and is_secret(text[7:]):
            caller = self.state.callers.get(digest_of(text[7:]))
        if caller is None or caller.key.state is KeyState.REVOKED:
            if not self._addresses.take(call.address, time.monotonic()):
                raise Refusal(429, "too_many_attempts", "too many calls without a known key", rule="serving.address")
            code = "key_missing" if not text else "key_unknown"
            raise Refusal(401, code, "the call has no key that is known", accepted="Authorization: Bearer KEY")
        if caller.key.state is KeyState.SUSPENDED:
            raise Refusal(403, "key_suspended", f"the key is suspended: {caller.key.reason}", rule="lifecycle.key")
        return caller

    def limit(self, caller: Caller) -> KeyLimit:
        """Return the limits of a key, made at its first call."""
        key = caller.key
        found = self._limits.get(key.id)
        if found is None or not found.same_limits(key.rate, key.daily_quota):
            day = city_date(self.clock.now())
            used = found.used if found is not None else self._used_on(key, day)
            found = self._limits[key.id] = KeyLimit(key.rate, key.daily_quota, time.monotonic(), day, used)
        return found

    def take_rate(self, limit: KeyLimit, count: int) -> None:
        """Refuse more calls a second than the key has (429)."""
        if not limit.take(count, time.monotonic()):
            headers = [*limit.headers(self.clock.now()), (b"retry-after", b"1")]
            raise Refusal(
                429, "rate_exceeded", "more calls a second than the key has", rule="key.rate", headers=headers
            )

    def take_quota(self, limit: KeyLimit, count: int) -> None:
        """Refuse more uses a day than the key has (429); what is then not answered is given back by the caller."""
        now = self.clock.now()
        if not limit.reserve(count, now):
            headers = limit.headers(now)
            raise Refusal(
                429, "quota_exceeded", "the key's quota of the day is used up", rule="key.quota", headers=headers
            )

    def offer(self, caller: Caller, code: str) -> Offer:
        """Return the product that is called; refuses an unknown one, another than the key's, one not in service."""
        offer = self.state.offers.get(code)
        if offer is None:
            raise Refusal(404, "product_unknown", "no product has this code", rule="product.code")
        product = offer.product
        if product.id != caller.key.product:
            raise Refusal(403, "product_not_in_key", "the key is for another product", rule="key.product")
        if product.state is not ProductState.IN_SERVICE:
            why = f": {product.state_reason}" if product.state_reason else ""
            code = "product_suspended" if product.state is ProductState.SUSPENDED else "product_not_in_service"
            raise Refusal(403, code, f"the product is {product.state.value}{why}", rule="lifecycle.product")
        return offer

    def decide(self, caller: Caller, offer: Offer, purpose: str) -> Decision:
        """Return the policy layer's yes to this use for this purpose; refuses with its reason and clause (403)."""
        if purpose not in caller.key.purposes:
            accepted = ", ".join(caller.key.purposes)
            raise Refusal(
                403, "purpose_not_allowed", "the key is not for this purpose", rule="key.purposes", accepted=accepted
            )
        product = offer.product
        context = Context(
            at=self.clock.now(), entry=product.entry, columns=offer.columns,
            output_kind=product.kind.value, purpose=purpose, place="api",
        )  # fmt: skip
        decision = self._policies.decide(caller.actor, "data:serve", offer.resource, context)
        if not decision.allowed:
            raise Refusal(403, self._code_of(decision, product.grant), decision.reason, rule=decision.rule)
        return decision

    def _code_of(self, decision: Decision, grant: str) -> str:
        if decision.code != "scope.inactive":
            return decision.code.replace(".", "_") or "not_allowed"
        state = self._scopes.find_scope(grant)
        found = _STATE.match(state.reason) if state is not None else None
        return f"{found[1]}_{found[2]}" if found else "grant_inactive"
