"""What the consumer API asks of the meter, and the event of one use."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable
from typing import Protocol

from products.serving.state import Caller, Offer
from shuzha.core.ids import new_id
from shuzha.metering.events import Recorded, UsageEvent


class Meter(Protocol):
    """Whatever records uses durably: `shuzha.metering.client.UsageClient` in the platform."""

    async def record(self, event: UsageEvent) -> Recorded:
        """Return once the event is on disk; Unavailable, Conflict (another request under the key) or Invalid."""
        ...

    async def record_all(self, events: Iterable[UsageEvent]) -> list[Recorded]:
        """Return the outcomes of events sent together."""
        ...


class Digests:
    """Keyed hashes of what must not be kept: a request names a person, a consent reference may."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def of(self, kind: bytes, *parts: bytes) -> str:
        """Return the digest of these parts, different for each kind."""
        found = hashlib.blake2b(key=self._key, digest_size=20, person=kind)
        for part in parts:
            found.update(len(part).to_bytes(4, "big"))
            found.update(part)
        return found.hexdigest()


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
    usage_id = new_id("usg")
    product = offer.product
    return UsageEvent(
        usage_id=usage_id, kind=product.kind.value, key_id=caller.key.id, idempotency_key=idempotency_key or usage_id,
        consumer=caller.key.organisation, product=product.id, authorization=product.authorization,
        policy_version=policy_version, claim=claim, purpose=purpose,
        answer=f'{{"result":"{result}","usage_id":"{usage_id}"}}', price=product.price.hao,
        waived=purpose in product.waived_purposes, request_digest=request_digest, occurred_at=at, consent=consent,
    )  # fmt: skip
