"""The words of metering.

A *usage event* is one use that was answered: who asked (key, consumer), what (product, claim), under which right
(authorization, policy version, purpose), at which price. Its *idempotency key* belongs to the consumer's key: the same
pair is the same use, however often it is sent. A *waived* use is metered at full price and not charged (计价免费).
A *series* is what is alike in many uses (who, what, under which right, at which price); a *point* is the rest of one
use. A *reversal* is an event that names the use it undoes and has its quantity negated: nothing is ever edited. An
event is *posted* when it is entered later than it happened: it is billed on the day of its posting.
"""

from __future__ import annotations

import datetime as dt
import re
from functools import lru_cache
from typing import NamedTuple

import msgspec

from shuzha.core.clock import city_date
from shuzha.core.errors import Invalid

ID_PREFIX = "usg"
MAX_ANSWER = 56_000
MAX_WORDS = 200
MAX_IDEMPOTENCY_KEY = 255
_ID = re.compile(r"[A-Za-z0-9_.:-]{1,80}")
_USAGE_ID = re.compile(rf"{ID_PREFIX}_[A-Za-z0-9_.:-]{{1,76}}")
_USAGE_IDS = re.compile(rf"(?:{ID_PREFIX}_[A-Za-z0-9_.:-]{{1,76}}\n?)+")
_NAMED = ("kind", "key_id", "consumer", "product")
_FREE = ("authorization", "policy_version", "claim", "purpose")
_SURELY_SMALL = 2_048
QUARTER_HOUR = 900_000_000  # Every zone's day begins at a whole quarter of an hour.
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)


class UsageEvent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One answered use, as it stands in the usage log.

    `price` is that of one unit, in 毫 (1/10,000 yuan), `quantity` the units. `answer` is the JSON that the consumer
    got, so that a retry gets the first answer. `request_digest` tells a retry from another request under the same key;
    it must be *keyed* (an HMAC by the platform), for a request may name a person and this record is kept for years.
    `consent` is the keyed digest of the consumer's reference to the person's consent, empty where none is asked.
    `reverses` is the id of the use that this one undoes; `posted_at` is when a late event was entered.
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
    reverses: str = ""
    posted_at: dt.datetime | None = None

    @property
    def day(self) -> str:
        """The city's date on which the use is billed: when it happened, or when it was posted."""
        return day_of(microseconds(self.posted_at or self.occurred_at))


class Series(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """What is alike in many uses; the fields are those of UsageEvent."""

    kind: str
    key_id: str
    consumer: str
    product: str
    authorization: str
    policy_version: str
    claim: str
    purpose: str
    price: int
    waived: bool


class Point(msgspec.Struct, frozen=True, array_like=True):
    """One use in a series; the fields are those of UsageEvent, moments as microseconds since 1970.

    `idempotency_key` is empty where the caller sent none: then the use is its own, by its id.
    """

    usage_id: str
    answer: str
    occurred_at: int
    idempotency_key: str = ""
    request_digest: str = ""
    consent: str = ""
    quantity: int = 1
    reverses: str = ""
    posted_at: int = 0

    @property
    def billed_at(self) -> int:
        """The moment whose day the use is billed on."""
        return self.posted_at or self.occurred_at


class Recorded(NamedTuple):
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
    for field in ("occurred_at", "posted_at"):
        moment = getattr(event, field)
        if moment is not None and moment.tzinfo is None:
            raise _refused(field, "a moment with its zone")
    series, point = split(event)
    if not event.idempotency_key:
        raise _refused("idempotency_key", f"1-{MAX_IDEMPOTENCY_KEY} characters")
    check_series(series)
    check_point(point)


def check_series(series: Series) -> None:
    """Raise Invalid unless uses of this series can be metered."""
    for field in _NAMED:
        if not _ID.fullmatch(getattr(series, field)):
            raise _refused(field, "1-80 of A-Z a-z 0-9 _ . : -")
    for field in _FREE:
        if len(getattr(series, field)) > MAX_WORDS:
            raise _refused(field, f"at most {MAX_WORDS} characters")
    if series.price < 0:
        raise _refused("price", "a price of 0 毫 or more")


def check_point(point: Point) -> None:
    """Raise Invalid unless this use can be metered in a series that `check_series` passed."""
    if not _USAGE_ID.fullmatch(point.usage_id):
        raise _refused("usage_id", "an id such as usg_01k…")
    if len(point.idempotency_key) > MAX_IDEMPOTENCY_KEY:
        raise _refused("idempotency_key", f"1-{MAX_IDEMPOTENCY_KEY} characters")
    if len(point.request_digest) > MAX_WORDS or len(point.consent) > MAX_WORDS:
        raise _refused("request_digest", f"digests of at most {MAX_WORDS} characters")
    if len(point.answer) > _SURELY_SMALL and len(msgspec.json.encode(point.answer)) > MAX_ANSWER:
        raise _refused("answer", f"an answer of at most {MAX_ANSWER} bytes as JSON")
    if point.quantity < 1 and not (point.reverses and point.quantity):
        raise _refused("quantity", "a quantity of 1 or more; of -1 or less where a use is reversed")
    if point.reverses and (point.quantity > 0 or not _USAGE_ID.fullmatch(point.reverses)):
        raise _refused("reverses", "the id of the reversed use, and its quantity negated")


def all_usual(points: list[Point]) -> bool:
    """Return True for points that are plain and surely pass `check_point`, in a fifth of its time."""
    if not points or not _USAGE_IDS.fullmatch("\n".join([point.usage_id for point in points])):
        return False
    for point in points:
        if point.quantity != 1 or point.reverses or len(point.answer) > MAX_WORDS:
            return False
        if len(point.idempotency_key) > MAX_WORDS or len(point.request_digest) + len(point.consent) > MAX_WORDS:
            return False
    return True


def split(event: UsageEvent) -> tuple[Series, Point]:
    """Return the series of an event and its point; `join` gives the event again."""
    series = Series(
        kind=event.kind, key_id=event.key_id, consumer=event.consumer, product=event.product,
        authorization=event.authorization, policy_version=event.policy_version, claim=event.claim,
        purpose=event.purpose, price=event.price, waived=event.waived,
    )  # fmt: skip
    point = Point(
        event.usage_id, event.answer, microseconds(event.occurred_at),
        "" if event.idempotency_key == event.usage_id else event.idempotency_key, event.request_digest, event.consent,
        event.quantity, event.reverses, 0 if event.posted_at is None else microseconds(event.posted_at),
    )  # fmt: skip
    return series, point


def join(series: Series, point: Point) -> UsageEvent:
    """Return the event of a point in a series."""
    return UsageEvent(
        **msgspec.structs.asdict(series), usage_id=point.usage_id,
        idempotency_key=point.idempotency_key or point.usage_id, answer=point.answer,
        request_digest=point.request_digest, occurred_at=moment_of(point.occurred_at), quantity=point.quantity,
        consent=point.consent, reverses=point.reverses,
        posted_at=moment_of(point.posted_at) if point.posted_at else None,
    )  # fmt: skip


def day_of(count: int) -> str:
    """Return the city's date of so many microseconds since 1970 (UTC)."""
    return _day_of(count // QUARTER_HOUR)


def iso_of(count: int) -> str:
    """Return so many microseconds since 1970 as RFC 3339 (UTC)."""
    return f"{_second_of(count // 1_000_000)}.{count % 1_000_000:06d}Z"


@lru_cache(maxsize=256)
def _second_of(seconds: int) -> str:
    return moment_of(seconds * 1_000_000).strftime("%Y-%m-%dT%H:%M:%S")


@lru_cache(maxsize=4_096)
def _day_of(quarter_hours: int) -> str:
    return city_date(moment_of(quarter_hours * QUARTER_HOUR)).isoformat()


def _refused(field: str, accepted: str) -> Invalid:
    return Invalid(f"the usage event is refused: field {field}", rule=f"metering.{field}", accepted=accepted)
