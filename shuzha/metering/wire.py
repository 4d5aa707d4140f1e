"""What API workers and the writer say to each other: frames of four bytes of length and a MessagePack array.

A worker sends the uses of one turn of its loop as one group, and each series once a connection, by a number; the writer
answers a group as a whole, with the place of its first use and only what is not simply stored one by one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import msgspec

from shuzha.core.errors import Conflict, Invalid, NotFound, ShuzhaError, Unavailable
from shuzha.metering.compute import ComputeUse
from shuzha.metering.events import Point, Series

MAX_FRAME = 4 * 1024 * 1024
_LENGTH = 4


class Declare(msgspec.Struct, frozen=True, array_like=True, tag="series"):
    """From now on `number` means this series on this connection."""

    number: int
    series: Series


class Group(msgspec.Struct, frozen=True, array_like=True, tag="group"):
    """Record these uses, unless `deadline` (of the host's monotonic clock) is over: then nobody waits for them.

    `series` has the number of each use's series.
    """

    number: int
    series: list[int]
    points: list[Point]
    deadline: float = math.inf


class Publish(msgspec.Struct, frozen=True, array_like=True, tag="publish"):
    """Sign a checkpoint now, without waiting for the next second."""

    number: int


class Reverse(msgspec.Struct, frozen=True, array_like=True, tag="reverse"):
    """Undo a use by an event that names it; `reason` is the reversal's answer."""

    number: int
    usage_id: str
    reason: str


class Compute(msgspec.Struct, frozen=True, array_like=True, tag="compute"):
    """Record what workspaces used on days that are over; days that are known change nothing."""

    number: int
    uses: list[ComputeUse]


class Done(msgspec.Struct, frozen=True, array_like=True, tag="done"):
    """What a use got that was stored before; or, for `Publish`, the note is `answer`; or the reversal."""

    number: int
    usage_id: str
    log_index: int
    answer: str
    duplicate: bool


class Refused(msgspec.Struct, frozen=True, array_like=True, tag="refused"):
    """The request was refused and nothing was stored."""

    number: int
    kind: str
    message: str
    code: str
    rule: str | None
    accepted: str | None


class Stored(msgspec.Struct, frozen=True, array_like=True, tag="stored"):
    """The group is on disk: its uses have the places from `first` on, but for `others`, whose number is their place."""

    number: int
    first: int
    others: list[Done | Refused] = []


Request = Declare | Group | Publish | Reverse | Compute
Reply = Stored | Done | Refused
_ERRORS: dict[str, type[ShuzhaError]] = {kind.__name__: kind for kind in (Conflict, Invalid, NotFound, Unavailable)}


def refusal(number: int, error: ShuzhaError) -> Refused:
    """Return the reply that carries an error."""
    return Refused(number, type(error).__name__, error.message, error.code, error.rule, error.accepted)


def error_of(reply: Refused) -> ShuzhaError:
    """Return the error that a reply carries."""
    kind = _ERRORS.get(reply.kind, Unavailable)
    return kind(reply.message, code=reply.code, rule=reply.rule, accepted=reply.accepted)


def frame(message: bytes) -> bytes:
    """Return a message with its length in front."""
    return len(message).to_bytes(_LENGTH, "big") + message


class Frames:
    """Cuts a stream of bytes into messages."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the messages that are whole now; raises Invalid for one that is longer than MAX_FRAME."""
        if not self._buffer and len(data) > _LENGTH and int.from_bytes(data[:_LENGTH], "big") == len(data) - _LENGTH:
            yield data[_LENGTH:]
            return
        buffer = self._buffer
        buffer += data
        start = 0
        while len(buffer) - start >= _LENGTH:
            length = int.from_bytes(buffer[start : start + _LENGTH], "big")
            if length > MAX_FRAME:
                raise Invalid(
                    f"a frame of {length} bytes is refused", rule="metering.frame", accepted=f"at most {MAX_FRAME}"
                )
            end = start + _LENGTH + length
            if len(buffer) < end:
                break
            yield bytes(buffer[start + _LENGTH : end])
            start = end
        del buffer[:start]
