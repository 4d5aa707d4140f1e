"""The gate's front: every request of a browser is judged, counted and handed on, or refused with a page that says why.

A workspace's exchanges (requests being answered, open websockets) are known by workspace, so that a suspension can cut
them at once, and no byte passes after it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from aiohttp import WSMsgType, web
from multidict import CIMultiDict
from yarl import URL

from sandbox.workspaces import pages
from sandbox.workspaces.controls import Controls, ControlsUnreadable, Orders
from sandbox.workspaces.meter import Meter
from sandbox.workspaces.routes import Action, Address, Traffic, Verdict, judge, parse_address
from sandbox.workspaces.upstream import Clients, Route, RouteTable

log = logging.getLogger(__name__)

MAX_MESSAGE = 32 * 1024**2
MAX_BODY = 16 * 1024**2
_CHUNK = 256 * 1024
_ERRORS = 400
_HOP_BY_HOP = frozenset({
    "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailers", "transfer-encoding",
    "upgrade",
})  # fmt: skip
_WEBSOCKET = frozenset({
    "sec-websocket-key", "sec-websocket-version", "sec-websocket-extensions", "sec-websocket-protocol",
    "sec-websocket-accept",
})  # fmt: skip


class Held(Exception):
    """An exchange must end now: its workspace is suspended, or has shown what it may."""

    def __init__(self, refusal: pages.Refusal) -> None:
        super().__init__(refusal.code)
        self.refusal = refusal


@dataclass(slots=True)
class Exchange:
    """One request in progress for a workspace, and how to cut it."""

    workspace: str
    cut: Callable[[], None]


@dataclass(slots=True)
class Gatekeeper:
    """The orders in force, the counts, and who is inside right now."""

    controls: Controls
    meter: Meter
    orders: Orders | None = None
    exchanges: list[Exchange] = field(default_factory=list)

    def refresh(self) -> None:
        """Read the orders again and cut every exchange that they no longer allow."""
        try:
            self.orders = self.controls.read()
        except ControlsUnreadable as error:
            if self.orders is not None:
                log.error("holding every workspace back: %s", error)
            self.orders = None
        for exchange in list(self.exchanges):
            if self.find_hold(exchange.workspace) is not None:
                exchange.cut()

    def find_hold(self, workspace: str) -> pages.Refusal | None:
        """Return why nothing may pass for `workspace` now, None when it may."""
        if self.orders is None:
            return pages.orders_unknown()
        if workspace in self.orders.suspended:
            return pages.suspended(self.orders.suspended[workspace])
        return None

    def budget_left(self, workspace: str) -> int:
        """Return the bytes that `workspace` may still show today."""
        budget = None if self.orders is None else self.orders.budgets.get(workspace)
        return self.meter.left_today(workspace, budget)

    def check(self, workspace: str, size: int = 0) -> None:
        """Raise `Held` unless `size` more bytes may be shown by `workspace` now."""
        hold = self.find_hold(workspace)
        if hold is None and (left := self.budget_left(workspace)) < max(size, 1):
            hold = pages.budget_used(left)
        if hold is not None:
            raise Held(hold)


@dataclass(frozen=True, slots=True)
class Visit:
    """One judged request: the workspace it is for (empty for the hub), its route and verdict."""

    workspace: str
    route: Route
    verdict: Verdict


class Front:
    """The handler of all requests that come from browsers."""

    def __init__(self, keeper: Gatekeeper, routes: RouteTable, clients: Clients, static: Path | None) -> None:
        self._keeper = keeper
        self._routes = routes
        self._clients = clients
        self._static = static

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request: refuse it, answer it from disk, or hand it on and count what comes back."""
        try:
            address = parse_address(request.rel_url.raw_path)
        except (ValueError, UnicodeDecodeError) as error:
            return pages.answer(request, pages.bad_path(str(error)))
        route = self._routes.find(request.rel_url.raw_path)
        if route is None:
            return pages.answer(request, pages.unreachable())
        route.last_activity = time.time()
        if route.prefix == "/":
            return await self._ask_hub(request, address, route)
        if address is None or route.prefix != f"/user/{address.user}/{address.workspace}":
            return pages.answer(request, pages.bad_path("the path means a workspace and is not written as one"))
        return await self._visit(request, address, route)

    async def _ask_hub(self, request: web.Request, address: Address | None, route: Route) -> web.StreamResponse:
        """Hand on what is the hub's own, or its word on a server that does not run; nothing of it is counted."""
        orders = self._keeper.orders
        if orders is not None and address is not None and address.workspace in orders.suspended:
            return pages.answer(request, pages.suspended(orders.suspended[address.workspace]))
        return await self._pass(request, Visit("", route, Verdict(Action.PASS)))

    async def _visit(self, request: web.Request, address: Address, route: Route) -> web.StreamResponse:
        websocket = request.headers.get("Upgrade", "").lower() == "websocket"
        verdict = judge(request.method, address, request.rel_url.raw_query_string, websocket=websocket)
        try:
            hold = self._keeper.find_hold(address.workspace)
            if hold is not None:
                raise Held(hold)
            if verdict.action is Action.REFUSE:
                raise Held(pages.closed_route(verdict.reason))
            if verdict.action is Action.STATIC:
                return self._serve_static(address.rest)
            if verdict.action is Action.ABSORB:
                return web.Response(status=204) if verdict.body is None else web.json_response(text=verdict.body)
            self._keeper.check(address.workspace)
            return await self._pass(request, Visit(address.workspace, route, verdict), websocket=websocket)
        except Held as held:
            return pages.answer(request, held.refusal)

    def _serve_static(self, rest: str) -> web.StreamResponse:
        """Answer from the gate's own copy of the Jupyter front end, never from the jail."""
        path = find_static(self._static, rest)
        if path is None:
            return web.Response(status=404, text="not found")
        return web.FileResponse(path, headers={"Cache-Control": "private, max-age=86400"})

    async def _pass(self, request: web.Request, visit: Visit, *, websocket: bool = False) -> web.StreamResponse:
        upgrade = websocket or request.headers.get("Upgrade", "").lower() == "websocket"
        task = asyncio.current_task()
        assert task is not None

        def cut() -> None:
            if request.transport is not None:
                request.transport.abort()
            task.cancel()

        exchange = Exchange(visit.workspace, cut)
        if visit.workspace:
            self._keeper.exchanges.append(exchange)
        try:
            return await (self._pass_websocket(request, visit) if upgrade else self._pass_http(request, visit))
        except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, TimeoutError) as error:
            log.warning("%s does not answer: %s", visit.route.prefix, type(error).__name__)
            return pages.answer(request, pages.unreachable())
        finally:
            if visit.workspace:
                self._keeper.exchanges.remove(exchange)

    async def _pass_http(self, request: web.Request, visit: Visit) -> web.StreamResponse:
        session, base = self._clients.session(visit.route.target)
        if visit.workspace and (request.content_length or 0) > MAX_BODY:
            return pages.answer(request, pages.too_large(MAX_BODY))
        body = _counted(request, visit, self._keeper.meter) if request.can_read_body else None
        upstream = await session.request(
            request.method, _url(base, request, visit), headers=_forward(request), data=body, allow_redirects=False
        )
        async with upstream:
            size = upstream.content_length or 0
            if visit.workspace:
                self._keeper.check(visit.workspace, size)
                if visit.verdict.traffic is Traffic.CONTENTS and size > MAX_BODY:
                    return pages.answer(request, pages.too_large(MAX_BODY))
            if visit.verdict.traffic is Traffic.CONTENTS and upstream.status >= _ERRORS:
                # The server's own words may quote the file that it could not read.
                return pages.answer(request, pages.not_a_notebook(upstream.status))
            response = web.StreamResponse(status=upstream.status, reason=upstream.reason, headers=_backward(upstream))
            if request.method == "HEAD" or upstream.status in {204, 304}:
                await response.prepare(request)
                return response
            if upstream.content_length is None:
                response.enable_chunked_encoding()
            await response.prepare(request)
            async for chunk in upstream.content.iter_chunked(_CHUNK):
                if not self._may_show(request, visit, len(chunk)):
                    break
                await response.write(chunk)
            return response

    def _may_show(self, request: web.Request, visit: Visit, size: int) -> bool:
        """Count `size` bytes on their way to a browser; cut the connection and return False when they may not pass."""
        if not visit.workspace:
            return True
        try:
            self._keeper.check(visit.workspace, size)
        except Held:
            if request.transport is not None:
                request.transport.abort()
            return False
        self._keeper.meter.add(visit.workspace, visit.verdict.traffic, shown=size, messages=1)
        return True

    async def _pass_websocket(self, request: web.Request, visit: Visit) -> web.StreamResponse:
        session, base = self._clients.session(visit.route.target)
        asked = [p.strip() for p in request.headers.get("Sec-WebSocket-Protocol", "").split(",") if p.strip()]
        try:
            inner = await session.ws_connect(
                _url(base, request, visit), headers=_forward(request, _WEBSOCKET), protocols=asked,
                max_msg_size=MAX_MESSAGE, compress=0, autoclose=True, autoping=True,
            )  # fmt: skip
        except aiohttp.WSServerHandshakeError as error:
            return web.Response(status=error.status)
        async with inner:
            chosen = [inner.protocol] if inner.protocol else []
            outer = web.WebSocketResponse(protocols=chosen, max_msg_size=MAX_MESSAGE, compress=False, timeout=2)
            await outer.prepare(request)
            await self._relay_both(outer, inner, visit)
            return outer

    async def _relay_both(
        self, outer: web.WebSocketResponse, inner: aiohttp.ClientWebSocketResponse, visit: Visit
    ) -> None:
        """Hand messages on in both directions until one side ends; count each before it goes."""
        traffic, meter = visit.verdict.traffic, self._keeper.meter

        def receive(size: int) -> None:
            if visit.workspace:
                meter.add(visit.workspace, traffic, received=size)

        def show(size: int) -> None:
            if visit.workspace:
                self._keeper.check(visit.workspace, size)
                meter.add(visit.workspace, traffic, shown=size, messages=1)

        tasks = {
            asyncio.create_task(_relay(outer, inner, receive)),
            asyncio.create_task(_relay(inner, outer, show)),
        }
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            held = next((e for e in (t.exception() for t in done) if isinstance(e, Held)), None)
            if held is not None:
                await outer.close(code=1008, message=held.refusal.code.encode())
            elif not outer.closed:
                await outer.close(code=inner.close_code or 1001)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


Socket = web.WebSocketResponse | aiohttp.ClientWebSocketResponse


async def _relay(source: Socket, target: Socket, count: Callable[[int], None]) -> None:
    async for message in source:
        if message.type is WSMsgType.TEXT:
            count(len(message.data.encode()))
            await target.send_str(message.data)
        elif message.type is WSMsgType.BINARY:
            count(len(message.data))
            await target.send_bytes(message.data)


async def _counted(request: web.Request, visit: Visit, meter: Meter) -> AsyncIterator[bytes]:
    """Yield the request's body while counting it; a body above the cap is cut."""
    total = 0
    async for chunk in request.content.iter_chunked(_CHUNK):
        total += len(chunk)
        if visit.workspace:
            if total > MAX_BODY:
                raise Held(pages.too_large(MAX_BODY))
            meter.add(visit.workspace, visit.verdict.traffic, received=len(chunk))
        yield chunk


def _url(base: str, request: web.Request, visit: Visit) -> URL:
    query = request.rel_url.raw_query_string if visit.verdict.query is None else visit.verdict.query
    path = request.rel_url.raw_path
    return URL(f"{base}{path}?{query}" if query else f"{base}{path}", encoded=True)


def _forward(request: web.Request, leave_out: frozenset[str] = frozenset()) -> CIMultiDict[str]:
    """Return the request's headers as the server behind may see them."""
    headers: CIMultiDict[str] = CIMultiDict()
    named = {name.strip().lower() for name in request.headers.get("Connection", "").split(",")}
    for name, value in request.headers.items():
        if name.lower() not in _HOP_BY_HOP | leave_out | named and not name.lower().startswith("x-forwarded-"):
            headers.add(name, value)
    headers["X-Forwarded-For"] = request.remote or ""
    headers["X-Forwarded-Proto"] = request.headers.get("X-Forwarded-Proto", request.scheme)
    headers["X-Forwarded-Host"] = request.host
    headers["X-Forwarded-Port"] = str(request.url.port or "")
    return headers


def _backward(upstream: aiohttp.ClientResponse) -> CIMultiDict[str]:
    """Return the answer's headers as the browser may see them."""
    headers: CIMultiDict[str] = CIMultiDict()
    for name, value in upstream.headers.items():
        if name.lower() not in _HOP_BY_HOP:
            headers.add(name, value)
    return headers


def find_static(environment: Path | None, rest: str) -> Path | None:
    """Return the file of the sandbox environment that a static route means, None when there is none.

    Only files of the front end are found, whatever the path says.
    """
    if environment is None:
        return None
    share = environment / "share" / "jupyter"
    packages = sorted(environment.glob("lib/python3*/site-packages/jupyter_server/static"))
    places = [("static/lab/", share / "lab" / "static"), ("lab/extensions/", share / "labextensions")]
    places += [("lab/api/themes/", share / "lab" / "themes"), ("kernelspecs/", share / "kernels")]
    places += [("static/", place) for place in packages]
    for prefix, place in places:
        if rest.startswith(prefix):
            path = (place / rest.removeprefix(prefix)).resolve()
            fitting = path.is_relative_to(place.resolve()) and path.is_file()
            if prefix == "kernelspecs/" and path.suffix not in {".png", ".svg"}:
                return None
            return path if fitting else None
    return None
