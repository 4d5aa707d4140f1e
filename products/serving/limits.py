"""How often: a token bucket a key, a daily quota a key, and a bucket an address for callers without a key.

The two header fields follow draft-ietf-httpapi-ratelimit-headers-11. Counts are of this process; a process that starts
is told what was already used today.
"""

from __future__ import annotations

import datetime as dt
from collections import OrderedDict

from shuzha.core.clock import city_date

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

    @property
    def left(self) -> int:
        """The whole tokens left."""
        return int(self._tokens)


class KeyLimit:
    """The rate and the daily quota of one key; uses are counted when they are answered."""

    __slots__ = ("_bucket", "_day", "_policy", "_quota", "_rate", "used")

    def __init__(self, rate: int, quota: int, now: float, day: dt.date, used: int = 0) -> None:
        self._bucket = TokenBucket(rate, now)
        self._rate = rate
        self._quota = quota
        self._day = day
        self.used = used
        self._policy = f'"second";q={rate};w=1, "day";q={quota};w={DAY_SECONDS}'.encode()

    def take(self, count: int, now: float) -> bool:
        """Return whether the rate allows this many calls now, and take them."""
        return self._bucket.take(count, now)

    def reserve(self, count: int, moment: dt.datetime) -> bool:
        """Return whether the day's quota holds this many more uses, and count them; give back what fails."""
        day = city_date(moment)
        if day != self._day:
            self._day, self.used = day, 0
        if self.used + count > self._quota:
            return False
        self.used += count
        return True

    def give_back(self, count: int) -> None:
        """Take back uses that were reserved and not answered."""
        self.used = max(0, self.used - count)

    def same_limits(self, rate: int, quota: int) -> bool:
        """Return whether these are the limits it was made with."""
        return (rate, quota) == (self._rate, self._quota)

    def headers(self, moment: dt.datetime) -> list[tuple[bytes, bytes]]:
        """Return the two header fields."""
        left = max(0, self._quota - self.used)
        reset = DAY_SECONDS - int((moment.timestamp() + 8 * 3600) % DAY_SECONDS)
        value = f'"second";r={self._bucket.left};t=1, "day";r={left};t={reset}'
        return [(b"ratelimit", value.encode()), (b"ratelimit-policy", self._policy)]


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
