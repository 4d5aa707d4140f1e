"""Ids that sort by time and say what they name: `ent_` an entry, `exp_` an export request, `prd_` a product ….

An id is a prefix and the 26 lower-case Crockford base-32 letters of a UUIDv7 (RFC 9562 section 5.7): 48 bits of
milliseconds, then a counter and random bits, so that ids made by one process never go backwards.
"""

from __future__ import annotations

import os
import threading
import time

_LETTERS = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = tuple(first + second for first in _LETTERS for second in _LETTERS)
_TIME_BITS = 80
_FIXED = (7 << 76) | (2 << 62)  # version and variant
_DRAWN = 4_096


class IdSource:
    """A maker of ids that increase strictly within one process, also when the host's clock steps back."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0
        self._drawn = b""
        self._place = 0
        os.register_at_fork(after_in_child=self._draw_anew)

    def next_int(self) -> int:
        """Return the next UUIDv7 as an integer, larger than every one before it."""
        with self._lock:
            if self._place + 10 > len(self._drawn):
                self._drawn, self._place = os.urandom(_DRAWN), 0
            chance = int.from_bytes(self._drawn[self._place : self._place + 10], "big")
            self._place += 10
            fresh = (time.time_ns() // 1_000_000 << _TIME_BITS) | _FIXED
            fresh |= ((chance >> 62 & 0xFFF) << 64) | (chance & 0x3FFFFFFFFFFFFFFF)
            if fresh <= self._last:
                fresh = self._last + 1 + (chance & 0xFFFFF)
            self._last = fresh
        return fresh

    def _draw_anew(self) -> None:
        # A child process must not go on with the random bytes of its parent.
        self._drawn = b""

    def next(self, prefix: str) -> str:
        """Return a new id such as `ent_01k…`; the prefix names the noun."""
        return f"{prefix}_{encode(self.next_int())}"


def encode(number: int) -> str:
    """Return a 128-bit integer as 26 letters that sort like the integer."""
    pairs = _PAIRS
    return (
        f"{pairs[number >> 120]}{pairs[number >> 110 & 1023]}{pairs[number >> 100 & 1023]}{pairs[number >> 90 & 1023]}"
        f"{pairs[number >> 80 & 1023]}{pairs[number >> 70 & 1023]}{pairs[number >> 60 & 1023]}"
        f"{pairs[number >> 50 & 1023]}{pairs[number >> 40 & 1023]}{pairs[number >> 30 & 1023]}"
        f"{pairs[number >> 20 & 1023]}{pairs[number >> 10 & 1023]}{pairs[number & 1023]}"
    )


_SOURCE = IdSource()


def new_id(prefix: str) -> str:
    """Return a new time-ordered id with this prefix, unique in the world and increasing in this process."""
    return _SOURCE.next(prefix)


def short_name(identifier: str) -> str:
    """Return the last ten letters of an id: enough to tell things of one city apart on a page or in a path."""
    return identifier[-10:]


def milliseconds_of(identifier: str) -> int | None:
    """Return when an id was made, in milliseconds since 1970, as the id itself says; None for what is no id."""
    letters = identifier[-26:-16]
    if len(letters) != 10 or not set(letters) <= set(_LETTERS):
        return None
    return sum(_LETTERS.index(letter) << 5 * place for place, letter in enumerate(reversed(letters)))
