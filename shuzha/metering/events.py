"""The words of metering.

A *usage event* is one use that was answered: who asked (key, consumer), what (product, claim), under which right
(authorization, policy version, purpose), at which price. Its *idempotency key* belongs to the consumer's key: the same
pair is the same use, however often it is sent. A *waived* use is metered at full price and not charged (计价免费).
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from functools import lru_cache

import msgspec

from shuzha.core.clock import city_date
from shuzha.core.errors import Invalid

ID_PREFIX = "usg"
MAX_EVENT = 60_000
MAX_WORDS = 200
MAX_IDEMPOTENCY_KEY = 255
_ID = re.compile(r"[A-Za-z0-9_.:-]{1,80}")
_IDS = re.compile(rf"{ID_PREFIX}_[A-Za-z0-9_.:-]{{1,76}}(?:\n[A-Za-z0-9_.:-]{{1,80}}){{4}}")
_NAMED = ("kind", "key_id", "consumer", "product")
_FREE = ("authorization", "policy_version", "claim", "purpose", "request_digest")
_SURELY_SMALL = 2_048
_QUARTER_HOUR = 900_000_000  # Every zone's day begins at a whole quarter of an hour.
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)


class UsageEvent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One answered use, as it stands in the usage log.

    `price` is that of one unit, in 毫 (1/10,000 yuan), `quantity` the units. `answer` is the JSON that the consumer
    got, so that a retry gets the first answer. `request_digest` tells a retry from another request under the same key;
    it must be *keyed* (an HMAC by the platform), for a request may name a person and this record is kept for years.
    `consent` is the keyed digest of the consumer's reference to the person's consent, empty where none is asked.
    """

    usage_id: str
    kind: str
    key_id: str
    idempotency_key: str
    consumer: str
    product: str
    authorization: str
    policy_version: str
    claim: str
    purpose: str
    answer: str
    price: int
    waived: bool
    request_digest: str
    occurred_at: dt.datetime
    quantity: int = 1
    consent: str = ""

    @property
    def day(self) -> str:
        """The city's date of the use, on which it is billed."""
        return _day_of(microseconds(self.occurred_at) // _QUARTER_HOUR)


@dataclass(frozen=True, slots=True)
class Recorded:
    """What the writer says once an event is on disk: for a duplicate, the first one's id, place and answer."""

    usage_id: str
    log_index: int
    answer: str
    duplicate: bool


def microseconds(moment: dt.datetime) -> int:
    """Return a moment as whole microseconds since 1970 (UTC)."""
    return (moment - _EPOCH) // _MICROSECOND


def moment_of(count: int) -> dt.datetime:
    """Return the moment of so many microseconds since 1970 (UTC)."""
    return _EPOCH + count * _MICROSECOND


def check_event(event: UsageEvent) -> None:
    """Raise Invalid unless the event can be metered: ids by the house's letters, sizes and numbers within bounds."""
    if not _IDS.fullmatch(f"{event.usage_id}\n{event.kind}\n{event.key_id}\n{event.consumer}\n{event.product}"):
        _check_ids(event)
    if not 1 <= len(event.idempotency_key) <= MAX_IDEMPOTENCY_KEY:
        raise _refused("idempotency_key", f"1-{MAX_IDEMPOTENCY_KEY} characters")
    for field in _FREE:
        if len(getattr(event, field)) > MAX_WORDS:
            raise _refused(field, f"at most {MAX_WORDS} characters")
    if len(event.answer) > _SURELY_SMALL and len(msgspec.json.encode(event)) > MAX_EVENT:
        raise _refused("answer", f"an event of at most {MAX_EVENT} bytes as JSON")
    if event.price < 0 or event.quantity < 1:
        raise _refused("price", "a price of 0 毫 or more and a quantity of 1 or more")
    if event.occurred_at.tzinfo is None:
        raise _refused("occurred_at", "a moment with its zone")


@lru_cache(maxsize=4_096)
def _day_of(quarter_hours: int) -> str:
    return city_date(moment_of(quarter_hours * _QUARTER_HOUR)).isoformat()


def _check_ids(event: UsageEvent) -> None:
    if not _ID.fullmatch(event.usage_id) or not event.usage_id.startswith(f"{ID_PREFIX}_"):
        raise _refused("usage_id", "an id such as usg_01k…")
    for field in _NAMED:
        if not _ID.fullmatch(getattr(event, field)):
            raise _refused(field, "1-80 of A-Z a-z 0-9 _ . : -")


def _refused(field: str, accepted: str) -> Invalid:
    return Invalid(f"the usage event is refused: field {field}", rule=f"metering.{field}", accepted=accepted)
