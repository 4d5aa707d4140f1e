"""Ids that sort by time and say what they name: `ent_` an entry, `exp_` an export request, `prd_` a product ….

An id is a prefix and the 26 lower-case Crockford base-32 letters of a UUIDv7 (RFC 9562 section 5.7): 48 bits of
milliseconds, then a counter and random bits, so that ids made by one process never go backwards.
"""

from __future__ import annotations

import secrets
import threading
import time

_LETTERS = "0123456789abcdefghjkmnpqrstvwxyz"
_LENGTH = 26


class IdSource:
    """A maker of ids that increase strictly within one process, also when the host's clock steps back."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0

    def next_int(self) -> int:
        """Return the next UUIDv7 as an integer, larger than every one before it."""
        fresh = (time.time_ns() // 1_000_000 << 80) | (7 << 76) | (secrets.randbits(12) << 64)
        fresh |= (2 << 62) | secrets.randbits(62)
        with self._lock:
            if fresh <= self._last:
                fresh = self._last + 1 + secrets.randbits(20)
            self._last = fresh
        return fresh

    def next(self, prefix: str) -> str:
        """Return a new id such as `ent_01k…`; the prefix names the noun."""
        return f"{prefix}_{encode(self.next_int())}"


def encode(number: int) -> str:
    """Return a 128-bit integer as 26 letters that sort like the integer."""
    return "".join(_LETTERS[(number >> shift) & 31] for shift in range(5 * (_LENGTH - 1), -1, -5))


_SOURCE = IdSource()


def new_id(prefix: str) -> str:
    """Return a new time-ordered id with this prefix, unique in the world and increasing in this process."""
    return _SOURCE.next(prefix)


def short_name(identifier: str) -> str:
    """Return the last ten letters of an id: enough to tell things of one city apart on a page or in a path."""
    return identifier[-10:]
