"""What API workers and the writer say to each other: frames of four bytes of length and a MessagePack array."""

from __future__ import annotations

import math
from collections.abc import Iterator

import msgspec

from shuzha.core.errors import Conflict, Invalid, ShuzhaError, Unavailable
from shuzha.metering.events import UsageEvent

MAX_FRAME = 262_144
_LENGTH = 4


class Record(msgspec.Struct, frozen=True, array_like=True, tag="record"):
    """Record this event, unless `deadline` (of the host's monotonic clock) is over: then nobody waits for it."""

    number: int
    event: UsageEvent
    deadline: float = math.inf


class Publish(msgspec.Struct, frozen=True, array_like=True, tag="publish"):
    """Sign a checkpoint now, without waiting for the next second."""

    number: int


class Done(msgspec.Struct, frozen=True, array_like=True, tag="done"):
    """The event is on disk; or, for `Publish`, the note is `answer`."""

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


Request = Record | Publish
Reply = Done | Refused
_ERRORS: dict[str, type[ShuzhaError]] = {kind.__name__: kind for kind in (Conflict, Invalid, Unavailable)}


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
