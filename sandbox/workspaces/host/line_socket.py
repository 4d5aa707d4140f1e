"""A unix socket that answers typed requests, for whoever holds it: one line of JSON there, one line back.

    {"verb": "submit", "notebook": "insurance.ipynb"}
    {"ok": true, "result": {...}}    or    {"ok": false, "error": {"code": ..., "message": ..., "accepted": ...}}

Who asks is known by which socket was asked, and by the user that the kernel names as the peer: no token is needed, so
none can be stolen.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec

from shuzha.core.errors import ShuzhaError

log = logging.getLogger(__name__)

MOST_LINE_BYTES = 256 * 1024
_PEER = struct.Struct("3i")

CallT = TypeVar("CallT")


@dataclass(slots=True)
class SocketUse:
    """How much a socket was asked: calls, refused calls, bytes in and out."""

    calls: int = 0
    refused: int = 0
    received: int = 0
    answered: int = 0


@dataclass(frozen=True, slots=True)
class LineRules:
    """What a socket bears: the longest line, connections at once, seconds for an answer, and from whom.

    `peers` are the users that may ask, None for anyone who can reach the socket. A `patient` socket answers a line that
    it cannot read and goes on; another closes without a word, so that a program that speaks something else learns
    nothing and sends no more.
    """

    most_bytes: int = MOST_LINE_BYTES
    most_connections: int = 8
    call_seconds: float = 120.0
    patient: bool = True
    peers: frozenset[int] | None = None


@dataclass(slots=True)
class LineServer(Generic[CallT]):
    """One socket: `decoder` says which requests there are, `answer` gives the result of one or raises ShuzhaError."""

    name: str
    decoder: msgspec.json.Decoder[CallT]
    answer: Callable[[CallT], Awaitable[Any]]
    accepted: str
    rules: LineRules = field(default_factory=LineRules)
    use: SocketUse = field(default_factory=SocketUse)
    _open: int = 0
    _server: asyncio.Server | None = None
    _path: Path | None = None

    async def open(self, path: Path) -> None:
        """Answer at `path` from now on; what lay there is replaced. Its owner and mode are the caller's to set."""
        self._path = path
        _clear(path)
        self._server = await asyncio.start_unix_server(self._serve, str(path), limit=self.rules.most_bytes)

    async def close(self) -> None:
        """Answer no more."""
        if self._server is not None and self._path is not None:
            self._server.close()
            _clear(self._path)
        self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        try:
            if not self._may_ask(writer):
                self.use.refused += 1
                return
            if self._open > self.rules.most_connections:
                message = f"at most {self.rules.most_connections} at once"
                await self._write(writer, refuse("too_many_connections", message))
                return
            await self._converse(reader, writer)
        except ConnectionError:
            return
        finally:
            self._open -= 1
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    def _may_ask(self, writer: asyncio.StreamWriter) -> bool:
        if self.rules.peers is None:
            return True
        uid = peer_uid(writer.get_extra_info("socket"))
        if uid not in self.rules.peers:
            log.warning("%s refuses the user %s", self.name, uid)
            return False
        return True

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                line = await reader.readuntil(b"\n")
            except asyncio.IncompleteReadError:
                return
            except asyncio.LimitOverrunError:
                self.use.refused += 1
                if self.rules.patient:
                    message = f"a request is one line of at most {self.rules.most_bytes} bytes"
                    await self._write(writer, refuse("too_large", message))
                return
            self.use.received += len(line)
            answer = await self._answer(line)
            if answer is None:
                return
            await self._write(writer, answer)

    async def _answer(self, line: bytes) -> dict[str, Any] | None:
        self.use.calls += 1
        try:
            call = self.decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self.use.refused += 1
            if not self.rules.patient:
                log.warning("%s got what is no request of its own, and closes", self.name)
                return None
            message = "cannot read the request: a JSON object with `verb` and that verb's own fields is accepted"
            return refuse("malformed", message, accepted=self.accepted)
        try:
            async with asyncio.timeout(self.rules.call_seconds):
                return {"ok": True, "result": await self.answer(call)}
        except ShuzhaError as error:
            self.use.refused += 1
            return refuse(error.code, error.message, rule=error.rule or "", accepted=error.accepted or "")
        except TimeoutError:
            self.use.refused += 1
            return refuse("timeout", f"the platform did not answer within {self.rules.call_seconds:g} seconds")
        except Exception:
            # The boundary between who asks and our services: he learns nothing of a fault of ours.
            self.use.refused += 1
            log.exception("verb %s of %s failed", type(call).__name__, self.name)
            return refuse("unavailable", "the platform could not answer; try again later")

    async def _write(self, writer: asyncio.StreamWriter, answer: dict[str, Any]) -> None:
        line = msgspec.json.encode(answer) + b"\n"
        self.use.answered += len(line)
        writer.write(line)
        await writer.drain()


def _clear(path: Path) -> None:
    path.unlink(missing_ok=True)


def peer_uid(connection: socket.socket) -> int:
    """Return the host's user at the other end of a unix connection, as the kernel says it."""
    said = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
    return int(_PEER.unpack(said)[1])


def refuse(code: str, message: str, *, accepted: str = "", rule: str = "") -> dict[str, Any]:
    """Return the answer that refuses: a code, a sentence, the rule, what would be accepted."""
    error = {"code": code, "message": message, "rule": rule, "accepted": accepted}
    return {"ok": False, "error": {name: value for name, value in error.items() if value}}
