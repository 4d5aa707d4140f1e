"""How a process records usage: one pipelined connection to the writer, made again when it breaks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from shuzha.core.errors import Unavailable
from shuzha.metering.events import Recorded, UsageEvent
from shuzha.metering.wire import Done, Frames, Publish, Record, Refused, Reply, Request, error_of, frame

CONNECT_SECONDS = 1.0
ANSWER_SECONDS = 10.0
WATCH_SECONDS = 1.0
MARGIN_SECONDS = 1.0  # What the writer stores in time is answered in time: nobody pays for a call that he gave up.

_REPLY: msgspec.msgpack.Decoder[Reply] = msgspec.msgpack.Decoder(Done | Refused)
_ENCODE = msgspec.msgpack.Encoder().encode


class _Line(asyncio.Protocol):
    """One connection: requests out, answers matched by number."""

    def __init__(self) -> None:
        self._frames = Frames()
        self._waiting: dict[int, tuple[asyncio.Future[Done], float]] = {}
        self._watched = False
        self._outgoing: list[bytes] = []
        self._transport: asyncio.Transport | None = None
        self._number = 0

    @property
    def open(self) -> bool:
        """Whether requests can still be sent."""
        return self._transport is not None and not self._transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self._fail(_gone)

    def data_received(self, data: bytes) -> None:
        for message in self._frames.feed(data):
            reply = _REPLY.decode(message)
            future, _ = self._waiting.pop(reply.number, (None, 0.0))
            if future is None or future.done():
                continue
            if isinstance(reply, Done):
                future.set_result(reply)
            else:
                future.set_exception(error_of(reply))

    def ask(self, event: UsageEvent | None) -> asyncio.Future[Done]:
        """Return the answer to come: to an event, or (None) to the wish for a checkpoint."""
        self._number += 1
        request: Request = Publish(self._number)
        if event is not None:
            request = Record(self._number, event, time.monotonic() + ANSWER_SECONDS - MARGIN_SECONDS)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Done] = loop.create_future()
        self._waiting[self._number] = (future, loop.time() + ANSWER_SECONDS)
        if not self._watched:
            self._watched = True
            loop.call_later(WATCH_SECONDS, self._watch)
        if not self._outgoing:
            # Requests of one turn of the loop leave together.
            loop.call_soon(self._send)
        self._outgoing.append(frame(_ENCODE(request)))
        return future

    def close(self) -> None:
        """Hang up; whoever waits gets Unavailable."""
        if self._transport is not None:
            self._transport.close()

    def _send(self) -> None:
        data, self._outgoing = b"".join(self._outgoing), []
        if self._transport is not None:
            self._transport.write(data)
        else:
            self._fail(_gone)

    def _watch(self) -> None:
        # One timer a connection is enough: requests wait in the order in which they were sent.
        loop = asyncio.get_running_loop()
        self._watched = bool(self._waiting)
        if self._waiting:
            _, deadline = next(iter(self._waiting.values()))
            if loop.time() > deadline:
                self._fail(_silent)
                self.close()
            loop.call_later(WATCH_SECONDS, self._watch)

    def _fail(self, reason: Callable[[], Unavailable]) -> None:
        waiting, self._waiting = self._waiting, {}
        for future, _ in waiting.values():
            if not future.done():
                future.set_exception(reason())


class UsageClient:
    """Records usage through the writer of this socket; one client serves a whole process."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self._line: _Line | None = None
        self._connecting = asyncio.Lock()

    async def record(self, event: UsageEvent) -> Recorded:
        """Return once the event is on disk; a repeat of (key, idempotency key) returns what the first one got.

        Raises Unavailable when the writer is down or silent (the event may or may not be stored: send it again with the
        same idempotency key), Conflict when the key was used for another request, Invalid for a malformed event.
        """
        return _recorded(await self._answer(event))

    async def record_all(self, events: Iterable[UsageEvent]) -> list[Recorded]:
        """Return the outcomes of events sent together; raises the first refusal once all are answered."""
        line = await self._connected()
        futures = [line.ask(event) for event in events]
        outcomes = await asyncio.gather(*futures, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
        return [_recorded(outcome) for outcome in outcomes if isinstance(outcome, Done)]

    async def publish(self) -> str:
        """Return a signed checkpoint over everything recorded so far."""
        return (await self._answer(None)).answer

    def close(self) -> None:
        """Hang up."""
        if self._line is not None:
            self._line.close()

    async def _answer(self, event: UsageEvent | None) -> Done:
        line = self._line
        if line is None or not line.open:
            line = await self._connected()
        return await line.ask(event)

    async def _connected(self) -> _Line:
        async with self._connecting:
            if self._line is None or not self._line.open:
                loop = asyncio.get_running_loop()
                try:
                    async with asyncio.timeout(CONNECT_SECONDS):
                        _, self._line = await loop.create_unix_connection(_Line, str(self._socket))
                except (OSError, TimeoutError):
                    raise _gone() from None
            return self._line


def _recorded(done: Done) -> Recorded:
    return Recorded(done.usage_id, done.log_index, done.answer, done.duplicate)


def _silent() -> Unavailable:
    return Unavailable("the usage writer does not answer", rule="metering.writer", accepted="send it again")


def _gone() -> Unavailable:
    return Unavailable("the usage writer is not running", rule="metering.writer", accepted="send it again in a moment")
