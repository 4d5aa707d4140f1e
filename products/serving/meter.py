"""What the consumer API asks of the meter, and the event of one use."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable
from typing import Protocol

from products.serving.state import Caller, Offer
from shuzha.core.ids import new_id
from shuzha.metering.client import Told
from shuzha.metering.events import Point, Recorded, Series, UsageEvent, join, microseconds


class Meter(Protocol):
    """Whatever records uses durably: `shuzha.metering.client.UsageClient` in the platform."""

    async def record(self, event: UsageEvent) -> Recorded:
        """Return once the event is on disk; Unavailable, Conflict (another request under the key) or Invalid."""
        ...

    async def record_all(self, events: Iterable[UsageEvent]) -> list[Recorded]:
        """Return the outcomes of events sent together."""
        ...


class PointMeter(Meter, Protocol):
    """A meter that also takes points without waiting."""

    def send(self, series: Series, point: Point, told: Told) -> bool:
        """Send a point, of which `told` hears later; False, and nothing is sent, where that cannot be now."""
        ...

    async def record_points(self, points: Iterable[tuple[Series, Point]]) -> list[Recorded]:
        """Return the outcomes of points sent together."""
        ...


class Digests:
    """Keyed hashes of what must not be kept: a request names a person, a consent reference may."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._begun: dict[bytes, hashlib.blake2b] = {}

    def of(self, kind: bytes, *parts: bytes) -> str:
        """Return the digest of these parts, different for each kind."""
        begun = self._begun.get(kind)
        if begun is None:
            begun = self._begun[kind] = hashlib.blake2b(key=self._key, digest_size=20, person=kind)
        found = begun.copy()
        for part in parts:
            found.update(len(part).to_bytes(4, "big"))
            found.update(part)
        return found.hexdigest()


def make_series(caller: Caller, offer: Offer, claim: str, purpose: str, policy_version: str) -> Series:
    """Return the series of a caller's uses of a product at its price, for one claim; waived where the purpose is."""
    product = offer.product
    return Series(
        kind=product.kind.value, key_id=caller.key.id, consumer=caller.key.organisation, product=product.id,
        authorization=product.authorization, policy_version=policy_version, claim=claim, purpose=purpose,
        price=product.price.hao, waived=purpose in product.waived_purposes,
    )  # fmt: skip


def make_point(result: str, at: int, *, idempotency_key: str, request_digest: str, consent: str) -> Point:
    """Return one use with the answer's very bytes; `at` is in microseconds since 1970."""
    usage_id = new_id("usg")
    return Point(
        usage_id, f'{{"result":"{result}","usage_id":"{usage_id}"}}', at, idempotency_key, request_digest, consent
    )


def make_event(
    caller: Caller,
    offer: Offer,
    *,
    claim: str,
    purpose: str,
    policy_version: str,
    result: str,
    request_digest: str,
    consent: str,
    idempotency_key: str,
    at: dt.datetime,
) -> UsageEvent:
    """Return the event of one use at the product's price, with the answer's very bytes; waived where the purpose is."""
    series = make_series(caller, offer, claim, purpose, policy_version)
    return join(
        series,
        make_point(
            result, microseconds(at), idempotency_key=idempotency_key, request_digest=request_digest, consent=consent
        ),
    )
