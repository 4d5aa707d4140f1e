"""What every metered call passes before anything is looked up: key, address, rate, product, policy, quota.

Each check refuses with a status, a stable code and a rule. A refused call costs nothing.
"""

from __future__ import annotations

import datetime as dt
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from policies import Context, Decision, Held, Period, Policies, Quota, ScopeSource
from products.consumers.app_model import AppState
from products.consumers.model import ApiKey, KeyState, KeyUse
from products.defence.guard import REFUSALS, Asked
from products.defence.model import AlarmKind
from products.registry.model import ProductState
from products.serving.limits import AddressLimits, Allowance, GrantLimits, KeyLimit, Pool, Span, span_of
from products.serving.state import Caller, Offer, ServingState
from products.serving.wire import Refusal
from shuzha.core.clock import Clock
from shuzha.metering.events import Point, Series, UsageEvent, join

_STATE = re.compile(r"(authorization|grant) \S+ is ([a-z_]+)")


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP call as the endpoints see it; `body` is complete and under the cap."""

    code: str
    authorization: str
    idempotency_key: str
    address: str
    body: bytes = b""


class Used(Protocol):
    """What was metered already: `products.serving.lists.UsageFolder` in the platform."""

    def used_on(self, key: ApiKey, day: dt.date) -> int:
        """Return how many uses of a key were metered on a day."""
        ...

    def used_in(self, products: Sequence[str], span: Span) -> int:
        """Return how many uses of some products were metered in a span of days; callable from any thread."""
        ...

    def has(self, event: UsageEvent) -> bool:
        """Return whether the meter knows a use: whether this would be a repeat of it."""
        ...


@dataclass(frozen=True, slots=True)
class Ration:
    """A quota of a grant that a use is counted against: which uses count together, and the rule to quote."""

    pool: Pool
    quota: Quota
    rule: str


@dataclass(slots=True)
class Taken:
    """What a use took from the quotas of its key and its grant."""

    uses: Allowance
    day: Span
    pool: Allowance | None = None
    span: Span | None = None

    def give_back(self, count: int) -> None:
        """Take back uses that were not answered, or not for the first time."""
        self.uses.give_back(count, self.day)
        if self.pool is not None and self.span is not None:
            self.pool.give_back(count, self.span)


class Gate:
    """The checks, and the limits that they count in."""

    def __init__(
        self,
        state: ServingState,
        policies: Policies,
        scopes: ScopeSource,
        clock: Clock,
        usage: Used,
    ) -> None:
        self.state = state
        self.defence = state.defence
        self.clock = clock
        self._policies = policies
        self._scopes = scopes
        self._usage = usage
        self._grants = GrantLimits(self._used_of)
        self._addresses = AddressLimits()
        self._limits: dict[str, KeyLimit] = {}

    def identify(self, call: Call) -> Caller:
        """Return whose call it is; refuses no key, an unknown or revoked one (401) and a suspended one (403)."""
        if not self.state.fresh:
            raise Refusal(503, "state_unknown", "the platform cannot tell what is in force now", rule="serving.fresh")
        text = call.authorization
        caller = self.state.find_caller(text)
        if caller is None or caller.key.state is KeyState.REVOKED:
            if not self._addresses.take(call.address, time.monotonic()):
                raise Refusal(429, "too_many_attempts", "too many calls without a known key", rule="serving.address")
            code = "key_missing" if not text else "key_unknown"
            raise Refusal(401, code, "the call has no key that is known", accepted="Authorization: Bearer KEY")
        if caller.key.state is KeyState.SUSPENDED:
            raise Refusal(403, "key_suspended", f"the key is suspended: {caller.key.reason}", rule="lifecycle.key")
        if caller.guarded:
            self.check_guards(caller, call.address)
        return caller

    def check_guards(self, caller: Caller, address: str) -> None:
        """Refuse a key whose term is over (401), one of an app that opens nothing, and another address (403)."""
        if caller.key.has_expired(self.clock.now()):
            raise Refusal(401, "key_expired", "the key's term is over", rule="key.expires", accepted="a newer key")
        if caller.app is not None and caller.app.state is not AppState.ACTIVE:
            state = caller.app.state.value
            raise Refusal(403, f"app_{state}", f"the key's app is {state}: {caller.app.reason}", rule="lifecycle.app")
        if not caller.comes_from(address):
            raise Refusal(403, "address_not_allowed", "the key is not for this address", rule="key.networks")

    def limit(self, caller: Caller) -> KeyLimit:
        """Return the limits of a key, made at its first call."""
        key = caller.key
        found = self._limits.get(key.id)
        if found is None or not found.same_limits(key.rate, key.daily_quota):
            today = span_of(Period.DAY, self.clock.now())
            uses = Allowance(Period.DAY, today, self._usage.used_on(key, today.first)) if found is None else found.uses
            found = self._limits[key.id] = KeyLimit(key.rate, key.daily_quota, time.monotonic(), uses)
        return found

    def take_rate(self, limit: KeyLimit, count: int) -> None:
        """Refuse more calls a second than the key has (429)."""
        if not limit.take(count, time.monotonic()):
            headers = [*limit.headers(self.clock.now()), (b"retry-after", b"1")]
            raise Refusal(
                429, "rate_exceeded", "more calls a second than the key has", rule="key.rate", headers=headers
            )

    async def take_quotas(
        self, limit: KeyLimit, ration: Ration | None, uses: Sequence[tuple[Series, Point]]
    ) -> Callable[[int], None]:
        """Count uses against the key's quota of the day and the grant's; return what gives back so many of them.

        Refuses (429) more than either has, but no repeat of what was metered: the meter answers it as it did before.
        """
        try:
            return await self._reserve(limit, ration, len(uses))
        except Refusal:
            if self._are_repeats(uses):
                return _nothing
            raise

    def ask(
        self, caller: Caller, offer: Offer, subjects: Sequence[tuple[bytes, bool]], now: dt.datetime,
        uses: Sequence[tuple[Series, Point]],
    ) -> list[Asked]:  # fmt: skip
        """Count questions about subjects (their keys, and whether the answer is `no_match`) against the defence.

        Refuses them all (429, 403) where one is past a limit, but no repeat of what was metered.
        """
        asked: list[Asked] = []
        for subject, negative in subjects:
            one = self.defence.take(caller.key.id, offer.product.id, subject, now, negative=negative)
            if isinstance(one, AlarmKind):
                for taken in asked:
                    self.defence.give_back(taken)
                if self._are_repeats(uses):
                    return []
                why = REFUSALS[one]
                headers = self.limit(caller).headers(now)
                raise Refusal(why.status, why.code, why.detail, rule=why.rule, accepted=why.accepted, headers=headers)
            asked.append(one)
        return asked

    def _are_repeats(self, uses: Sequence[tuple[Series, Point]]) -> bool:
        return all(point.idempotency_key and self._usage.has(join(series, point)) for series, point in uses)

    def take_quotas_now(self, limit: KeyLimit, ration: Ration | None, now: dt.datetime) -> Taken | None:
        """Count one use against both quotas; None, and nothing is counted, where one is used up or not yet known."""
        pool = None if ration is None else self._grants.find(ration.pool)
        if ration is not None and pool is None:
            return None
        day = limit.reserve(1, now)
        if day is None:
            return None
        if ration is None or pool is None:
            return Taken(limit.uses, day)
        span = pool.reserve(1, ration.quota.limit, now)
        if span is None:
            limit.uses.give_back(1, day)
            return None
        return Taken(limit.uses, day, pool, span)

    async def _reserve(self, limit: KeyLimit, ration: Ration | None, count: int) -> Callable[[int], None]:
        now = self.clock.now()
        day = limit.reserve(count, now)
        if day is None:
            headers = limit.headers(now)
            raise Refusal(
                429, "quota_exceeded", "the key's quota of the day is used up", rule="key.quota", headers=headers
            )
        try:
            span = None if ration is None else await self._take_ration(ration, count, now, limit)
        except BaseException:
            limit.uses.give_back(count, day)
            raise

        def give_back(left: int) -> None:
            limit.uses.give_back(left, day)
            if ration is not None and span is not None:
                self._grants.give_back(ration.pool, left, span)

        return give_back

    async def _take_ration(self, ration: Ration, count: int, now: dt.datetime, limit: KeyLimit) -> Span:
        pool, quota = ration.pool, ration.quota
        span = await self._grants.reserve(pool, count, quota.limit, now)
        if span is None:
            over = span_of(pool.per, now)
            raise Refusal(
                429, "grant_quota_exceeded",
                f"the quota of grant {pool.grant}, {quota.limit} uses a {quota.per.value}, does not hold {count} more",
                rule=ration.rule, headers=limit.headers(now),
                accepted="a grant with a larger quota" if quota.per is Period.TERM else f"calls from {over.end} on",
            )  # fmt: skip
        return span

    def check_use(self, caller: Caller, use: KeyUse) -> None:
        """Refuse a call that the key is not for (403)."""
        if caller.key.uses and use not in caller.key.uses:
            accepted = ", ".join(caller.key.uses)
            raise Refusal(403, "use_not_in_key", "the key is not for this call", rule="key.uses", accepted=accepted)

    def offer(self, caller: Caller, code: str, use: KeyUse | None = None) -> Offer:
        """Return the product that is called; refuses an unknown one, another than the key's, one not in service.

        With `use`, the call that the key must be for.
        """
        if use is not None:
            self.check_use(caller, use)
        offer = self.state.offers.get(code)
        if offer is None:
            raise Refusal(404, "product_unknown", "no product has this code", rule="product.code")
        product = offer.product
        if not caller.key.covers(product.id):
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
        context = self._context(offer, purpose)
        decision = self._policies.decide(caller.actor, "data:serve", offer.resource, context)
        if not decision.allowed:
            raise Refusal(403, self._code_of(decision, product.grant), decision.reason, rule=decision.rule)
        return decision

    def hold(self, caller: Caller, offer: Offer, purpose: str) -> Held:
        """Return the question that `decide` asks the policy layer, to be asked again and again."""
        return Held(self._policies, caller.actor, "data:serve", offer.resource, self._context(offer, purpose))

    def _context(self, offer: Offer, purpose: str) -> Context:
        product = offer.product
        return Context(
            at=self.clock.now(), entry=product.entry, columns=offer.columns,
            output_kind=product.kind.value, purpose=purpose, place="api",
        )  # fmt: skip

    def ration(self, offer: Offer, decision: Decision) -> Ration | None:
        """Return the quota of the grant that a use is counted against; None where the grant has none for it."""
        quota = decision.quota
        if quota is None:
            return None
        return Ration(Pool(offer.product.grant, decision.counted, quota.per), quota, decision.rule)

    def _used_of(self, pool: Pool, span: Span) -> int:
        products = [offer.product for offer in list(self.state.offers.values())]
        counted = [one.id for one in products if one.grant == pool.grant and one.kind.value in pool.kinds]
        return self._usage.used_in(counted, span)

    def _code_of(self, decision: Decision, grant: str) -> str:
        if decision.code != "scope.inactive":
            return decision.code.replace(".", "_") or "not_allowed"
        state = self._scopes.find_scope(grant)
        found = _STATE.match(state.reason) if state is not None else None
        return f"{found[1]}_{found[2]}" if found else "grant_inactive"


def _nothing(_left: int) -> None:
    """Give nothing back, where nothing was taken."""
