"""Websockets handed on in both directions, message by message: each is counted before it goes.

Back-pressure holds both ways: while one side does not take a message, nothing more is read from the other. What a
workspace shows goes at its pace, and no websocket keeps the gate from the others for long. Pings are answered on the
spot, subprotocols agreed end to end, and nothing is compressed, so that what is counted is what is shown.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Literal, TypeAlias

import aiohttp
from aiohttp import WSMsgType, web

from sandbox.workspaces.gate import pages
from sandbox.workspaces.gate.http import WEBSOCKET, Visit, forward, target_url
from sandbox.workspaces.gate.keeper import Gatekeeper, Held
from sandbox.workspaces.gate.pace import Line, Pace
from sandbox.workspaces.gate.upstream import Clients

MAX_MESSAGE = 16 * 1024**2
MAX_SOCKETS = 48
"""The most websockets of one workspace at a time: each may hold one message in the gate."""

MOST_MESSAGES, MOST_BYTES = 64, 256 * 1024
"""What one websocket hands on, in messages and in bytes, before the gate looks at its other connections."""

_CLOSE_SECONDS = 2.0
_DATA = frozenset({WSMsgType.TEXT, WSMsgType.BINARY})
_GOING_AWAY = 1001
_INTERNAL = 1011
_NOT_ON_THE_WIRE = frozenset({1004, 1005, 1006, 1015})

Outer: TypeAlias = "web.WebSocketResponse[Literal[False]]"
Inner: TypeAlias = "aiohttp.ClientWebSocketResponse[Literal[False]]"


class SocketPass:
    """The way of websockets; `pace` is how fast those of one workspace show."""

    def __init__(self, keeper: Gatekeeper, clients: Clients, pace: Pace | None = None) -> None:
        self._keeper = keeper
        self._clients = clients
        self._pace = pace or Pace()
        self._open: Counter[str] = Counter()

    async def hand_on(self, request: web.BaseRequest, visit: Visit) -> web.StreamResponse:
        """Return when one of both sides has ended, or the workspace may show no more; refuses one too many."""
        if self._open[visit.workspace] >= MAX_SOCKETS:
            raise Held(pages.too_many(MAX_SOCKETS))
        self._open[visit.workspace] += 1
        try:
            return await self._hand_on(request, visit)
        finally:
            self._open[visit.workspace] -= 1
            if not self._open[visit.workspace]:
                del self._open[visit.workspace]

    async def _hand_on(self, request: web.BaseRequest, visit: Visit) -> web.StreamResponse:
        session, base = self._clients.session(visit.route.target)
        offered = request.headers.getall("Sec-WebSocket-Protocol", [])
        asked = [one.strip() for line in offered for one in line.split(",") if one.strip()]
        try:
            inner = await session.ws_connect(
                target_url(base, visit), headers=forward(request, WEBSOCKET), protocols=asked,
                max_msg_size=MAX_MESSAGE, compress=0, autoclose=True, autoping=True, decode_text=False,
                timeout=aiohttp.ClientWSTimeout(ws_close=_CLOSE_SECONDS),
            )  # fmt: skip
        except aiohttp.WSServerHandshakeError as error:
            return web.Response(status=error.status if error.status >= 400 else 502)
        async with inner:
            chosen = [inner.protocol] if inner.protocol else []
            outer: Outer = web.WebSocketResponse(
                protocols=chosen, max_msg_size=MAX_MESSAGE, compress=False, timeout=_CLOSE_SECONDS, decode_text=False
            )
            await outer.prepare(request)
            await self._relay_both(outer, inner, visit)
            return outer

    async def _relay_both(self, outer: Outer, inner: Inner, visit: Visit) -> None:
        """Hand messages on in both directions until one side ends; count each before it goes."""
        keeper, workspace, traffic = self._keeper, visit.workspace, visit.verdict.traffic
        line = self._pace.open(workspace)
        tasks = {
            asyncio.create_task(_relay(outer, inner, lambda size: keeper.receive(workspace, traffic, size))),
            asyncio.create_task(_relay(inner, outer, lambda size: keeper.show(workspace, traffic, size), line)),
        }
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            held = next((error for error in (task.exception() for task in done) if isinstance(error, Held)), None)
            if held is not None:
                await _close_for(outer, held.refusal)
            elif not outer.closed:
                await outer.close(code=_sendable(inner.close_code))
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._pace.close(workspace, line)


async def _relay(
    source: Outer | Inner, target: Outer | Inner, count: Callable[[int], None], line: Line | None = None
) -> None:
    messages = size = 0
    while (message := await source.receive()).type in _DATA:
        if line is not None:
            await line.wait(len(message.data))
        # Counted after the wait, so that an order that came meanwhile holds this message too.
        count(len(message.data))
        await target.send_frame(message.data, message.type)
        messages, size = messages + 1, size + len(message.data)
        if messages >= MOST_MESSAGES or size >= MOST_BYTES:
            # Neither reading what has come nor writing what is taken at once lets others have their turn.
            await asyncio.sleep(0)
            messages = size = 0


async def _close_for(outer: Outer, refusal: pages.Refusal) -> None:
    """Close with a code and the refusal's name, so that the page can say why and that it need not try again."""
    await outer.close(code=refusal.close_code, message=refusal.code.encode())


def _sendable(code: int | None) -> int:
    """Return a close code that may stand in a frame: some only say that none came."""
    if code is None or code in _NOT_ON_THE_WIRE:
        return _GOING_AWAY
    return code if 1000 <= code < 5000 else _INTERNAL
