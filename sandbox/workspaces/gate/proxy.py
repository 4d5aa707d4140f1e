"""The gate's front: every request of a browser is judged, and then handed on, answered here, or refused with a page."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from yarl import URL

from sandbox.workspaces.gate import pages
from sandbox.workspaces.gate.head import BadHead, check_head, split_target
from sandbox.workspaces.gate.http import HttpPass, Visit
from sandbox.workspaces.gate.keeper import Exchange, Gatekeeper, Held
from sandbox.workspaces.gate.meter import next_day
from sandbox.workspaces.gate.pace import Pace
from sandbox.workspaces.gate.routes import STATUS, Action, Address, Verdict, judge, parse_address
from sandbox.workspaces.gate.sockets import SocketPass
from sandbox.workspaces.gate.static_files import StaticFiles
from sandbox.workspaces.gate.upstream import Clients, Route, RouteTable

log = logging.getLogger(__name__)

Tell = Callable[[str, dict[str, Any]], dict[str, Any]]
"""Returns the panel's status of a workspace, given its standing with the screen budget."""

_HUB = Verdict(Action.PASS)
_ASK_SECONDS = 5.0


class Front:
    """The handler of all requests that come from browsers."""

    def __init__(
        self, keeper: Gatekeeper, routes: RouteTable, clients: Clients, static: Path | None, tell: Tell | None = None,
        pace: Pace | None = None,
    ) -> None:  # fmt: skip
        self._keeper = keeper
        self._tell = tell
        self._routes = routes
        self._static = StaticFiles(static)
        self._known = Acquaintances(clients)
        self._http = HttpPass(keeper, clients)
        self._sockets = SocketPass(keeper, clients, pace)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request: refuse it, answer it from disk, or hand it on and count what comes back."""
        try:
            check_head(request.method, (request.version.major, request.version.minor), request.raw_headers)
            path, query = split_target(request.raw_path)
            websocket = _asks_for_websocket(request)
        except BadHead as error:
            return _hang_up_after(pages.answer(request, pages.bad_request(str(error))))
        try:
            address = parse_address(path)
        except (ValueError, UnicodeDecodeError):
            return pages.answer(request, pages.bad_path("the path could be read in two ways"))
        route = self._routes.find(path)
        if route is None:
            return pages.answer(request, pages.unreachable())
        route.last_activity = time.time()
        if route.prefix == "/":
            return await self._ask_hub(request, address, Visit("", route, _HUB, path, query), websocket=websocket)
        if address is None or route.prefix != f"/user/{address.user}/{address.workspace}":
            return pages.answer(request, pages.bad_path("the path means a workspace and is not written as one"))
        return await self._visit(request, address, route, query, websocket=websocket)

    async def _ask_hub(
        self, request: web.BaseRequest, address: Address | None, visit: Visit, *, websocket: bool
    ) -> web.StreamResponse:
        """Hand on what is the hub's own, or its word on a server that does not run; nothing of it is counted."""
        orders = self._keeper.orders
        if orders is not None and address is not None and address.workspace in orders.suspended:
            return pages.answer(request, pages.suspended(orders.suspended[address.workspace]))
        try:
            if websocket:
                raise Held(pages.closed_route("no websocket is served here"))
            return await self._http.hand_on(request, visit)
        except Held as held:
            return pages.answer(request, held.refusal)
        except (aiohttp.ClientError, TimeoutError) as error:
            return self._unreachable(request, visit.route, error)

    async def _visit(
        self, request: web.BaseRequest, address: Address, route: Route, query: str, *, websocket: bool
    ) -> web.StreamResponse:
        verdict = judge(request.method, address, query, websocket=websocket)
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
            if verdict.action is Action.OWN:
                return await self._show_standing(request, address, route)
            self._keeper.check(address.workspace)
            asked = query if verdict.query is None else verdict.query
            visit = Visit(address.workspace, route, verdict, address.path, asked)
            return await self._pass(request, visit, websocket=websocket)
        except Held as held:
            return pages.answer(request, held.refusal)
        except (aiohttp.ClientError, TimeoutError) as error:
            return self._unreachable(request, route, error)

    async def _show_standing(self, request: web.BaseRequest, address: Address, route: Route) -> web.StreamResponse:
        """Answer how the workspace stands; the jail is asked nothing but whether it knows who is asking."""
        if not await self._known.knows(request, address, route):
            raise Held(pages.stranger())
        body = self._keeper.standing(address.workspace).to_dict(next_day())
        if address.rest == STATUS:
            if self._tell is None:
                return web.Response(status=404, text="not found")
            body = await asyncio.to_thread(self._tell, address.workspace, body)
        return web.json_response(body, headers={"Cache-Control": "no-store"})

    def _serve_static(self, rest: str) -> web.StreamResponse:
        """Answer from the gate's own copy of the Jupyter front end, never from the jail."""
        path = self._static.find(rest)
        if path is None:
            return web.Response(status=404, text="not found")
        return web.FileResponse(path, headers={"Cache-Control": "private, max-age=86400"})

    async def _pass(self, request: web.BaseRequest, visit: Visit, *, websocket: bool) -> web.StreamResponse:
        """Hand on to a workspace, known as under way, so that an order can cut it."""
        task = asyncio.current_task()
        assert task is not None

        def cut() -> None:
            if request.transport is not None:
                request.transport.abort()
            task.cancel()

        exchange = Exchange(visit.workspace, cut)
        self._keeper.exchanges.add(exchange)
        try:
            return await (self._sockets if websocket else self._http).hand_on(request, visit)
        finally:
            self._keeper.exchanges.discard(exchange)

    def _unreachable(self, request: web.BaseRequest, route: Route, error: Exception) -> web.StreamResponse:
        log.warning("%s does not answer: %s", route.prefix, type(error).__name__)
        if request.writer.output_size > 0 and request.transport is not None:
            # Half an answer went out: only a cut says that the rest is missing.
            request.transport.abort()
        return pages.answer(request, pages.unreachable())


class Acquaintances:
    """Who a workspace's own server knows, asked with the caller's credentials and remembered for a minute."""

    SECONDS = 60.0
    MOST = 4096

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._until: dict[bytes, float] = {}

    async def knows(self, request: web.BaseRequest, address: Address, route: Route) -> bool:
        """Return whether the server lets in whoever sent `request`; of its answer only the status is looked at."""
        shown = {name: request.headers[name] for name in ("Cookie", "Authorization") if name in request.headers}
        if not shown:
            return False
        key = hashlib.sha256("\0".join((route.prefix, *(f"{k}:{v}" for k, v in shown.items()))).encode()).digest()
        now = time.monotonic()
        if self._until.get(key, 0.0) > now:
            return True
        session, base = self._clients.session(route.target)
        url = URL(f"{base}{Address(address.user, address.workspace, 'api/me').path}", encoded=True)
        headers = {**shown, "Host": request.host, "Accept": "application/json"}
        timeout = aiohttp.ClientTimeout(total=_ASK_SECONDS)
        async with session.get(url, headers=headers, allow_redirects=False, timeout=timeout) as answer:
            known = answer.status == 200
        if known:
            if len(self._until) >= self.MOST:
                self._until.clear()
            self._until[key] = now + self.SECONDS
        return known


def _asks_for_websocket(request: web.BaseRequest) -> bool:
    """Return whether the request asks to become a websocket; refuses one that asks for it in another way.

    An upgrade to anything else (h2c) is not taken up: the request is answered as it stands.
    """
    if request.headers.get("Upgrade", "").strip().lower() != "websocket":
        return False
    named = {token.strip().lower() for token in request.headers.get("Connection", "").split(",")}
    if request.method != "GET" or "upgrade" not in named:
        raise BadHead("a websocket is asked for by GET, with Connection: Upgrade")
    return True


def _hang_up_after(answer: web.Response) -> web.Response:
    answer.force_close()
    return answer
