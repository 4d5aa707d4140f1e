"""How often: a token bucket and a daily quota a key, the quotas of grants, and a bucket an address without a key.

The two header fields follow draft-ietf-httpapi-ratelimit-headers-11. Counts are of this process; a process that starts
is told by the meter what was already used.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from policies import Period
from shuzha.core.clock import city_date, start_of_day

DAY_SECONDS = 86_400
ADDRESS_RATE = 50
KEPT_ADDRESSES = 10_000


class TokenBucket:
    """Holds up to `rate` tokens and gains `rate` a second."""

    __slots__ = ("_at", "_rate", "_tokens")

    def __init__(self, rate: int, now: float) -> None:
        self._rate = rate
        self._tokens = float(rate)
        self._at = now

    def take(self, count: int, now: float) -> bool:
        """Take tokens and return True, or take none and return False when there are too few."""
        self._tokens = min(self._rate, self._tokens + (now - self._at) * self._rate)
        self._at = now
        if self._tokens < count:
            return False
        self._tokens -= count
        return True

    def give_back(self, count: int) -> None:
        """Put tokens back that were taken for nothing."""
        self._tokens += count

    @property
    def left(self) -> int:
        """The whole tokens left."""
        return int(self._tokens)


@dataclass(frozen=True, slots=True)
class Span:
    """The city's days that one count holds for, half-open: a day, a month, or (a term) all of them."""

    first: dt.date
    end: dt.date


def span_of(per: Period, moment: dt.datetime) -> Span:
    """Return the span of a period round a moment; a term is as long as the grant that has it."""
    day = city_date(moment)
    if per is Period.DAY:
        return Span(day, day + dt.timedelta(days=1))
    if per is Period.MONTH:
        first = day.replace(day=1)
        return Span(first, (first + dt.timedelta(days=31)).replace(day=1))
    return Span(dt.date.min, dt.date.max)


class Allowance:
    """Uses counted in one span at a time; with the next span the count starts anew."""

    __slots__ = ("_ends", "_starts", "per", "span", "used")

    def __init__(self, per: Period, span: Span, used: int = 0) -> None:
        self.per = per
        self.used = used
        self._enter(span)

    def holds(self, moment: dt.datetime) -> bool:
        """Return whether a moment is in the span that is counted now."""
        return self._starts <= moment < self._ends

    def reserve(self, count: int, limit: int, moment: dt.datetime) -> Span | None:
        """Count uses and return the span that they are counted in; None where the limit does not hold so many more."""
        if not self._starts <= moment < self._ends:
            self._enter(span_of(self.per, moment))
            self.used = 0
        if self.used + count > limit:
            return None
        self.used += count
        return self.span

    def _enter(self, span: Span) -> None:
        self.span = span
        # The span's edges as moments, so that each use is compared with two of them and no date is worked out.
        always = span.first == dt.date.min
        self._starts = dt.datetime.min.replace(tzinfo=dt.UTC) if always else start_of_day(span.first)
        self._ends = dt.datetime.max.replace(tzinfo=dt.UTC) if always else start_of_day(span.end)

    def give_back(self, count: int, span: Span) -> None:
        """Take back uses that were reserved and not answered; those of an earlier span are no use of this one."""
        if span == self.span:
            self.used = max(0, self.used - count)


class KeyLimit:
    """The rate and the daily quota of one key; uses are counted when they are answered."""

    __slots__ = ("_bucket", "_policy", "_quota", "_rate", "uses")

    def __init__(self, rate: int, quota: int, now: float, uses: Allowance) -> None:
        self._bucket = TokenBucket(rate, now)
        self._rate = rate
        self._quota = quota
        self.uses = uses
        self._policy = f'"second";q={rate};w=1, "day";q={quota};w={DAY_SECONDS}'.encode()

    def take(self, count: int, now: float) -> bool:
        """Return whether the rate allows this many calls now, and take them."""
        return self._bucket.take(count, now)

    def give_back(self, count: int) -> None:
        """Give calls back that were taken and not made."""
        self._bucket.give_back(count)

    def reserve(self, count: int, moment: dt.datetime) -> Span | None:
        """Return the day on which this many more uses are counted, or None where its quota does not hold them."""
        return self.uses.reserve(count, self._quota, moment)

    def same_limits(self, rate: int, quota: int) -> bool:
        """Return whether these are the limits it was made with."""
        return (rate, quota) == (self._rate, self._quota)

    def header_bytes(self, moment: dt.datetime) -> bytes:
        """Return the two header fields as they are written."""
        return b"ratelimit: %b\r\nratelimit-policy: %b\r\n" % (self._left(moment), self._policy)

    def headers(self, moment: dt.datetime) -> list[tuple[bytes, bytes]]:
        """Return the two header fields."""
        return [(b"ratelimit", self._left(moment)), (b"ratelimit-policy", self._policy)]

    def _left(self, moment: dt.datetime) -> bytes:
        left = max(0, self._quota - (self.uses.used if self.uses.holds(moment) else 0))
        reset = DAY_SECONDS - int((moment.timestamp() + 8 * 3600) % DAY_SECONDS)
        return b'"second";r=%d;t=1, "day";r=%d;t=%d' % (self._bucket.left, left, reset)


@dataclass(frozen=True, slots=True)
class Pool:
    """The uses of a grant that one quota of it counts together: its products of these kinds, in each period."""

    grant: str
    kinds: frozenset[str]
    per: Period


class GrantLimits:
    """What grants with a quota have used; a pool is counted from the meter at its first call, beside the loop."""

    def __init__(self, used_in: Callable[[Pool, Span], int]) -> None:
        self._used_in = used_in
        self._pools: dict[Pool, Allowance] = {}
        self._counting: dict[Pool, asyncio.Lock] = {}

    async def reserve(self, pool: Pool, count: int, limit: int, moment: dt.datetime) -> Span | None:
        """Return the span in which this many more uses are counted, or None where the quota does not hold them."""
        found = self._pools.get(pool)
        if found is None:
            # Whoever comes meanwhile waits: nothing of the pool is on its way to the meter while it is counted.
            async with self._counting.setdefault(pool, asyncio.Lock()):
                found = self._pools.get(pool)
                if found is None:
                    span = span_of(pool.per, moment)
                    used = await asyncio.to_thread(self._used_in, pool, span)
                    found = self._pools[pool] = Allowance(pool.per, span, used)
        return found.reserve(count, limit, moment)

    def find(self, pool: Pool) -> Allowance | None:
        """Return the count of a pool; None before its first call, when it was not yet counted from the meter."""
        return self._pools.get(pool)

    def give_back(self, pool: Pool, count: int, span: Span) -> None:
        """Take back uses that were reserved and not answered."""
        self._pools[pool].give_back(count, span)


class AddressLimits:
    """A bucket for each address that calls without a known key; the longest silent one is forgotten first."""

    def __init__(self, rate: int = ADDRESS_RATE, kept: int = KEPT_ADDRESSES) -> None:
        self._rate = rate
        self._kept = kept
        self._buckets: OrderedDict[str, TokenBucket] = OrderedDict()

    def take(self, address: str, now: float) -> bool:
        """Return whether the address may ask once more now, and count it."""
        bucket = self._buckets.get(address)
        if bucket is None:
            bucket = self._buckets[address] = TokenBucket(self._rate, now)
            if len(self._buckets) > self._kept:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(address)
        return bucket.take(1, now)
