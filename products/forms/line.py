"""What the consumer API and the process of the forms say to each other, over a socket of the host.

Frames are four bytes of length and MessagePack. A request has a number, its answer the same one: many are under way at
once, and no more than `MOST_UNDER_WAY` of a connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import msgspec

log = logging.getLogger(__name__)

MAX_FRAME: Final = 4 * 1024**2
MOST_UNDER_WAY: Final = 512
ANSWER_SECONDS: Final = 60.0
CONNECT_SECONDS: Final = 5.0


class Predict(msgspec.Struct, frozen=True, array_like=True, tag="predict"):
    """Answer these inputs of a model for an organisation."""

    number: int
    product: str
    consumer: str
    inputs: list[dict[str, Any]]


class Query(msgspec.Struct, frozen=True, array_like=True, tag="query"):
    """Answer this question of a data service for an organisation."""

    number: int
    product: str
    consumer: str
    parameters: dict[str, str]


class Said(msgspec.Struct, frozen=True, array_like=True, tag="said"):
    """The answers, one for each input, as JSON."""

    number: int
    answers: list[bytes]


class Denied(msgspec.Struct, frozen=True, array_like=True, tag="denied"):
    """A request that is refused, as the consumer will read it."""

    number: int
    status: int
    code: str
    detail: str
    rule: str
    accepted: str
    retry_after: int


class Refused(Exception):
    """A question that is refused: the fields of the problem that the consumer gets."""

    def __init__(
        self, status: int, code: str, detail: str, rule: str = "", accepted: str = "", *, retry_after: int = 0
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.rule = rule
        self.accepted = accepted
        self.retry_after = retry_after


Request = Predict | Query
Answerer = Callable[[Request], Awaitable[list[bytes]]]
_REQUEST: msgspec.msgpack.Decoder[Request] = msgspec.msgpack.Decoder(Predict | Query)
_REPLY: msgspec.msgpack.Decoder[Said | Denied] = msgspec.msgpack.Decoder(Said | Denied)
_ENCODE = msgspec.msgpack.Encoder().encode


def unavailable() -> Refused:
    """Return the refusal where nobody answers: nothing was charged."""
    detail = "the product cannot be answered now; trying again is safe"
    return Refused(503, "form_unavailable", detail, "forms.process", retry_after=1)


async def serve(socket: Path, answer: Answerer) -> asyncio.Server:
    """Return the listening server; what `answer` raises other than Refused is logged by its kind and told as 503."""
    _make_place(socket)

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        room, tasks = asyncio.Semaphore(MOST_UNDER_WAY), set[asyncio.Task[None]]()

        async def work(request: Request) -> None:
            try:
                await _send(writer, await _told(answer, request))
            finally:
                room.release()

        with contextlib.suppress(OSError, asyncio.IncompleteReadError, msgspec.MsgspecError, ValueError):
            while True:
                request = _REQUEST.decode(await _receive(reader))
                await room.acquire()
                task = asyncio.create_task(work(request))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
        for task in tasks:
            task.cancel()
        writer.close()

    return await asyncio.start_unix_server(meet, str(socket))


def _make_place(socket: Path) -> None:
    socket.parent.mkdir(parents=True, exist_ok=True)
    socket.unlink(missing_ok=True)


async def _told(answer: Answerer, request: Request) -> Said | Denied:
    try:
        return Said(request.number, await answer(request))
    except Refused as refusal:
        error = refusal
    except Exception as fault:  # The boundary of one question: its kind is logged, its text may hold data.
        log.error("a question of %s failed: %s", request.product, type(fault).__name__)
        error = unavailable()
    return Denied(
        request.number, error.status, error.code, error.detail, error.rule, error.accepted, error.retry_after
    )  # fmt: skip


async def _receive(reader: asyncio.StreamReader) -> bytes:
    length = int.from_bytes(await reader.readexactly(4), "big")
    if length > MAX_FRAME:
        raise ValueError("a frame is too long")
    return await reader.readexactly(length)


async def _send(writer: asyncio.StreamWriter, message: Any) -> None:
    data = _ENCODE(message)
    with contextlib.suppress(OSError):
        writer.write(len(data).to_bytes(4, "big") + data)
        await writer.drain()


class FormsClient:
    """Asks the process of the forms; one connection for the whole process, made again when it breaks."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self._waiting: dict[int, asyncio.Future[list[bytes]]] = {}
        self._number = 0
        self._connecting = asyncio.Lock()

    async def predict(self, product: str, consumer: str, inputs: list[dict[str, Any]]) -> list[bytes]:
        """Return a model's answers as JSON; raises Refused."""
        return await self._ask(lambda number: Predict(number, product, consumer, inputs))

    async def query(self, product: str, consumer: str, parameters: dict[str, str]) -> list[bytes]:
        """Return a data service's answer as JSON; raises Refused."""
        return await self._ask(lambda number: Query(number, product, consumer, parameters))

    async def _ask(self, make: Callable[[int], Request]) -> list[bytes]:
        if len(self._waiting) >= MOST_UNDER_WAY:
            raise Refused(503, "busy", "too many questions are under way", "forms.queue", retry_after=1)
        writer = await self._connected()
        self._number += 1
        number = self._number
        future = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            await _send(writer, make(number))
            return await asyncio.wait_for(future, ANSWER_SECONDS)
        except TimeoutError:
            raise unavailable() from None
        finally:
            self._waiting.pop(number, None)

    async def _connected(self) -> asyncio.StreamWriter:
        async with self._connecting:
            if self._writer is not None and not self._writer.is_closing():
                return self._writer
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    reader, writer = await asyncio.open_unix_connection(str(self._socket))
            except (OSError, TimeoutError):
                raise unavailable() from None
            self._writer = writer
            self._reading = asyncio.create_task(self._read(reader, writer))
            return writer

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, msgspec.MsgspecError, ValueError):
            while True:
                self._hear(_REPLY.decode(await _receive(reader)))
        writer.close()
        waiting, self._waiting = self._waiting, {}
        for future in waiting.values():
            if not future.done():
                future.set_exception(unavailable())

    def _hear(self, reply: Said | Denied) -> None:
        future = self._waiting.get(reply.number)
        if future is None or future.done():
            return
        if isinstance(reply, Said):
            future.set_result(reply.answers)
            return
        future.set_exception(
            Refused(reply.status, reply.code, reply.detail, reply.rule, reply.accepted, retry_after=reply.retry_after)
        )
