"""How a process records usage: one pipelined connection to the writer, made again when it breaks."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from shuzha.core.errors import ShuzhaError, Unavailable
from shuzha.metering.compute import ComputeUse
from shuzha.metering.events import Point, Recorded, Series, UsageEvent, all_usual, check_point, check_series, split
from shuzha.metering.wire import (
    Compute,
    Declare,
    Done,
    Frames,
    Group,
    Publish,
    Refused,
    Reply,
    Request,
    Reverse,
    Stored,
    error_of,
    frame,
)

CONNECT_SECONDS = 1.0
ANSWER_SECONDS = 10.0
EAGER = 16
WATCH_SECONDS = 1.0
MARGIN_SECONDS = 1.0  # What the writer stores in time is answered in time: nobody pays for a call that he gave up.

_REPLY: msgspec.msgpack.Decoder[Reply] = msgspec.msgpack.Decoder(Stored | Done | Refused)
_ENCODE = msgspec.msgpack.Encoder().encode

Told = Callable[[Point, "int | Recorded | ShuzhaError"], None]
"""Is told what became of a point: its place in the log once it is on disk, what an earlier one got, or the refusal."""


class _Line(asyncio.Protocol):
    """One connection: the uses of one turn of the loop go out as one group, answers are matched by number."""

    def __init__(self) -> None:
        self._frames = Frames()
        self._groups: dict[int, tuple[list[Point], list[Told], float]] = {}
        self._asked: dict[int, tuple[asyncio.Future[Done], float]] = {}
        self._watched = False
        self._series: dict[Series, int] = {}
        self._numbers: list[int] = []
        self._points: list[Point] = []
        self._told: list[Told] = []
        self._transport: asyncio.Transport | None = None
        self._number = 0
        self._handle = -1
        self._loop = asyncio.get_running_loop()

    @property
    def open(self) -> bool:
        """Whether requests can still be sent."""
        return self._transport is not None and not self._transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]
        self._handle = transport.get_extra_info("socket").fileno()

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self._fail(_gone())

    def data_received(self, data: bytes) -> None:
        for message in self._frames.feed(data):
            reply = _REPLY.decode(message)
            if isinstance(reply, Stored):
                points, told, _ = self._groups.pop(reply.number, ([], [], 0.0))
                _tell(reply, points, told)
            else:
                future, _ = self._asked.pop(reply.number, (None, 0.0))
                if future is None or future.done():
                    continue
                if isinstance(reply, Done):
                    future.set_result(reply)
                else:
                    future.set_exception(error_of(reply))

    def send(self, series: Series, point: Point, told: Told) -> None:
        """Send a point with the others of this turn of the loop."""
        number = self._series.get(series)
        if number is None:
            check_series(series)
            number = self._series[series] = len(self._series)
            self._write(Declare(number, series))
        if not self._points:
            self._loop.call_soon(self._send_group)
        self._numbers.append(number)
        self._points.append(point)
        self._told.append(told)
        if len(self._points) >= EAGER:
            # The writer works, and its disk, while this turn of the loop still makes more.
            self._send_group()

    def ask(self, make: Callable[[int], Request]) -> asyncio.Future[Done]:
        """Return the answer to come to a request of its own."""
        self._number += 1
        future: asyncio.Future[Done] = self._loop.create_future()
        self._asked[self._number] = (future, self._loop.time() + ANSWER_SECONDS)
        self._send_group()
        self._write(make(self._number))
        self._watch_from_now()
        return future

    def close(self) -> None:
        """Hang up; whoever waits gets Unavailable."""
        if self._transport is not None:
            self._transport.close()

    def _send_group(self) -> None:
        if not self._points:
            return
        numbers, points, told = self._numbers, self._points, self._told
        self._numbers, self._points, self._told = [], [], []
        self._number += 1
        self._groups[self._number] = (points, told, self._loop.time() + ANSWER_SECONDS)
        self._write(Group(self._number, numbers, points, time.monotonic() + ANSWER_SECONDS - MARGIN_SECONDS))
        self._watch_from_now()

    def _write(self, request: Request) -> None:
        if self._transport is None:
            self._fail(_gone())
            return
        data = frame(_ENCODE(request))
        if not self._transport.get_write_buffer_size():
            # At once, where the loop would wait for the end of its turn.
            with contextlib.suppress(BlockingIOError, ConnectionError):
                data = data[os.write(self._handle, data) :]
        if data:
            self._transport.write(data)

    def _watch_from_now(self) -> None:
        # One timer a connection is enough: requests wait in the order in which they were sent.
        if not self._watched:
            self._watched = True
            self._loop.call_later(WATCH_SECONDS, self._watch)

    def _watch(self) -> None:
        deadlines = [next(iter(self._groups.values()))[2]] if self._groups else []
        deadlines += [next(iter(self._asked.values()))[1]] if self._asked else []
        self._watched = bool(deadlines)
        if deadlines:
            if self._loop.time() > min(deadlines):
                self._fail(_silent())
                self.close()
            self._loop.call_later(WATCH_SECONDS, self._watch)

    def _fail(self, reason: Unavailable) -> None:
        groups, self._groups = self._groups, {}
        asked, self._asked = self._asked, {}
        for points, told, _ in groups.values():
            for point, tell in zip(points, told, strict=True):
                tell(point, reason)
        for future, _ in asked.values():
            if not future.done():
                future.set_exception(reason)


def _tell(reply: Stored, points: list[Point], told: list[Told]) -> None:
    index = reply.first
    if not reply.others:
        for point, tell in zip(points, told, strict=True):
            tell(point, index)
            index += 1
        return
    others = {other.number: other for other in reply.others}
    for place, (point, tell) in enumerate(zip(points, told, strict=True)):
        other = others.get(place)
        if other is None:
            tell(point, index)
            index += 1
        else:
            tell(point, error_of(other) if isinstance(other, Refused) else _recorded(other))


class UsageClient:
    """Records usage through the writer of this socket; one client serves a whole process."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self._line: _Line | None = None
        self._connecting = asyncio.Lock()

    def send(self, series: Series, point: Point, told: Told) -> bool:
        """Send a point and return True; False, and nothing is sent, where there is no connection now.

        `told` is called, in the loop, once the point is on disk or refused. The caller vouches for `check_point`.
        """
        line = self._line
        if line is None or not line.open:
            return False
        line.send(series, point, told)
        return True

    async def record(self, event: UsageEvent) -> Recorded:
        """Return once the event is on disk; a repeat of (key, idempotency key) returns what the first one got.

        Raises Unavailable when the writer is down or silent (the event may or may not be stored: send it again with the
        same idempotency key), Conflict when the key was used for another request, Invalid for a malformed event.
        """
        (done,) = await self.record_all((event,))
        return done

    async def record_all(self, events: Iterable[UsageEvent]) -> list[Recorded]:
        """Return the outcomes of events sent together; raises the first refusal once all are answered."""
        return await self.record_points([split(event) for event in events])

    async def record_points(self, points: Iterable[tuple[Series, Point]]) -> list[Recorded]:
        """Return the outcomes of points sent together; raises the first refusal once all are answered."""
        sent = list(points)
        if not all_usual([point for _, point in sent]):
            for _, point in sent:
                check_point(point)
        line = await self._connected()
        outcomes: list[Recorded | ShuzhaError] = []
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def told(point: Point, outcome: int | Recorded | ShuzhaError) -> None:
            # Answers come in the order in which the points were sent.
            known = Recorded(point.usage_id, outcome, point.answer, False) if isinstance(outcome, int) else outcome
            outcomes.append(known)
            if len(outcomes) == len(sent) and not done.done():
                done.set_result(None)

        for series, point in sent:
            line.send(series, point, told)
        if sent:
            await done
        for outcome in outcomes:
            if isinstance(outcome, ShuzhaError):
                raise outcome
        return [outcome for outcome in outcomes if isinstance(outcome, Recorded)]

    async def reverse(self, usage_id: str, reason: str) -> Recorded:
        """Return the event that undoes a use, on disk; a second time the same one again.

        Raises NotFound for an unknown use, Invalid for a reversal or an empty reason, Unavailable as `record`.
        """
        line = await self._connected()
        return _recorded(await line.ask(lambda number: Reverse(number, usage_id, reason)))

    async def publish(self) -> str:
        """Return a signed checkpoint over everything recorded so far."""
        return (await (await self._connected()).ask(Publish)).answer

    def close(self) -> None:
        """Hang up."""
        if self._line is not None:
            self._line.close()

    async def record_compute(self, uses: list[ComputeUse]) -> int:
        """Return how many of these days of workspaces were new, all on disk; raises Unavailable and Invalid."""
        line = await self._connected()
        return (await line.ask(lambda number: Compute(number, uses))).log_index

    async def connect(self) -> None:
        """Make the connection where there is none; raises Unavailable when the writer is down."""
        await self._connected()

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
