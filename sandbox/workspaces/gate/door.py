"""The gate's door: connections as they come in. Each address has so many, and each request's head so many seconds.

Without this a few hundred silent callers would hold every connection that the process may have.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from sandbox.workspaces.gate import pages

log = logging.getLogger(__name__)

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

_FULL = b"HTTP/1.1 429 Too Many Requests\r\nConnection: close\r\nContent-Length: 0\r\nRetry-After: 10\r\n\r\n"
_QUIET = {
    socket.SO_KEEPALIVE: (socket.SOL_SOCKET, 1), socket.TCP_KEEPIDLE: (socket.IPPROTO_TCP, 60),
    socket.TCP_KEEPINTVL: (socket.IPPROTO_TCP, 15), socket.TCP_KEEPCNT: (socket.IPPROTO_TCP, 4),
    socket.TCP_USER_TIMEOUT: (socket.IPPROTO_TCP, 180_000),
}  # fmt: skip
"""A browser that is gone, or takes nothing for three minutes, is let go by the system; a slow one is not."""


@dataclass(frozen=True, slots=True)
class DoorLimits:
    """How many connections there may be, for one address and in all (0: not counted), and how long a head may take.

    Between two requests a connection may be silent for `idle_seconds`.
    """

    per_address: int = 1024
    in_all: int = 4096
    head_seconds: float = 10.0
    idle_seconds: float = 75.0


class Door(web.Server):
    """A server that counts who is inside; its handlers are `Caller`s."""

    def __init__(self, handler: Handler, limits: DoorLimits | None = None) -> None:
        self.limits = limits or DoorLimits()
        self.inside: Counter[str] = Counter()
        self._arguments: dict[str, Any] = {
            # A body is handed on as it came: unpacked here it would no longer fit its headers.
            "auto_decompress": False, "access_log": None, "keepalive_timeout": self.limits.idle_seconds,
            "read_bufsize": 2**18, "lingering_time": 2.0,
        }  # fmt: skip
        super().__init__(handler, handler_cancellation=True, **self._arguments)

    def __call__(self) -> Caller:
        """Return the handler of a new connection."""
        return Caller(self, asyncio.get_running_loop(), self._arguments)

    def admit(self, address: str) -> bool:
        """Return whether one more connection from `address` is taken; it is counted then."""
        limits = self.limits
        full = bool(limits.in_all) and self.inside.total() >= limits.in_all
        if full or (address and limits.per_address and self.inside[address] >= limits.per_address):
            return False
        self.inside[address] += 1
        return True

    def leave(self, address: str) -> None:
        """Forget one connection from `address`."""
        self.inside[address] -= 1
        if self.inside[address] <= 0:
            del self.inside[address]


class Caller(RequestHandler):
    """aiohttp's protocol, with a clock for a request's head, also for one that never begins."""

    __slots__ = ("_address", "_admitted", "_deadline", "_door")

    def __init__(self, door: Door, loop: asyncio.AbstractEventLoop, arguments: dict[str, Any]) -> None:
        super().__init__(door, loop=loop, **arguments)
        self._door = door
        self._address = ""
        self._admitted = False
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection, or turn it away at once when its address has enough."""
        peer = transport.get_extra_info("peername")
        self._address = peer[0] if isinstance(peer, tuple) else ""
        self._admitted = self._door.admit(self._address)
        if not self._admitted:
            self._force_close = True
            if isinstance(transport, asyncio.WriteTransport):
                transport.write(_FULL)
            transport.close()
            return
        super().connection_made(transport)
        _let_go_of_the_dead(transport)
        self._begin()

    def data_received(self, data: bytes) -> None:
        """Take bytes; where they do not complete a head, the rest of it is waited for."""
        before = self._request_count
        super().data_received(data)
        if self._request_count != before:
            self._end()
        elif not (self._request_in_progress or self._messages):
            self._begin()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Stop waiting: nobody is there."""
        self._end()
        if self._admitted:
            self._admitted = False
            self._door.leave(self._address)
        super().connection_lost(exc)

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """Return the answer to a head that cannot be parsed, without quoting it; a fault of the gate is logged."""
        if status >= 500:
            return super().handle_error(request, status, exc, message)
        log.info("refusing a malformed request: %s", type(exc).__name__)
        answer = pages.answer(request, pages.bad_request("the request's head cannot be read"))
        answer.force_close()
        return answer

    def _begin(self) -> None:
        if self._deadline is None and self._door.limits.head_seconds:
            self._deadline = self._loop.call_later(self._door.limits.head_seconds, self._hang_up)

    def _end(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _hang_up(self) -> None:
        self._deadline = None
        if not (self._request_in_progress or self._messages):
            self.force_close()


def _let_go_of_the_dead(transport: asyncio.BaseTransport) -> None:
    held = transport.get_extra_info("socket")
    if held is None or held.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    for option, (level, value) in _QUIET.items():
        held.setsockopt(level, option, value)


async def listen(door: Door, *, path: str | None = None, ip: str = "", port: int = 0) -> asyncio.AbstractServer:
    """Return a server that takes connections on a unix socket, or on an address and port."""
    loop = asyncio.get_running_loop()
    if path is not None:
        return await loop.create_unix_server(door, path, backlog=1024)
    return await loop.create_server(door, ip, port, backlog=1024, reuse_address=True)
