"""A request handed on and its answer handed back, both streamed: no more than a few hundred kilobytes lie in the gate.

Nothing of the browser's head goes on as it came: hop-by-hop headers end here, what a proxy says of itself is said anew,
and of a workspace's answer nothing that reaches beyond the workspace's own path goes out.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from sandbox.workspaces.gate import pages
from sandbox.workspaces.gate.keeper import Gatekeeper, Held
from sandbox.workspaces.gate.routes import Traffic, Verdict
from sandbox.workspaces.gate.upstream import Clients, Route

MAX_BODY = 16 * 1024**2
BODY_GAP_SECONDS = 30.0
BODY_SECONDS = 600.0
_ERRORS = 400
_HOP_BY_HOP = frozenset({
    "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
    "transfer-encoding", "upgrade", "expect", "http2-settings",
})  # fmt: skip
_OURS = frozenset({"forwarded", "x-real-ip", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host",
                   "x-forwarded-port", "x-forwarded-prefix", "x-scheme"})  # fmt: skip
WEBSOCKET = frozenset({
    "sec-websocket-key", "sec-websocket-version", "sec-websocket-extensions", "sec-websocket-protocol",
    "sec-websocket-accept",
})  # fmt: skip
_PACKING = frozenset({"accept-encoding"})
_BEYOND = frozenset({"service-worker-allowed", "clear-site-data", "alt-svc", "strict-transport-security"})
_PLAIN = frozenset({"", "identity"})


@dataclass(frozen=True, slots=True)
class Visit:
    """One judged request: its path and query as they go on, the workspace it is for (empty: the hub), its verdict."""

    workspace: str
    route: Route
    verdict: Verdict
    path: str
    query: str


@dataclass(slots=True)
class _Body:
    """The body on its way in, and why it was cut, if it was."""

    fault: Held | None = None
    total: int = field(default=0)


class Relayed(web.StreamResponse):
    """An answer handed back. A head whose body's length is told goes out with the first of it, in one packet."""

    def __init__(self, upstream: aiohttp.ClientResponse, headers: CIMultiDict[str]) -> None:
        super().__init__(status=upstream.status, headers=headers)
        # A stream of events begins with a head that the page waits for.
        self._send_headers_immediately = upstream.content_length is None


class HttpPass:
    """The way of plain requests; `most_body` caps the body of one to a workspace."""

    def __init__(self, keeper: Gatekeeper, clients: Clients, most_body: int = MAX_BODY) -> None:
        self._keeper = keeper
        self._clients = clients
        self._most_body = most_body

    async def hand_on(self, request: web.BaseRequest, visit: Visit) -> web.StreamResponse:
        """Return the answer of the server behind, streamed and counted; raises `Held` while nothing has been sent."""
        if visit.workspace and (request.content_length or 0) > self._most_body:
            raise Held(pages.too_large(self._most_body))
        session, base = self._clients.session(visit.route.target)
        body = _Body()
        data = self._take(request, visit, body) if request.can_read_body else None
        try:
            upstream = await session.request(
                request.method, target_url(base, visit), headers=self._head(request, visit), data=data,
                allow_redirects=False,
            )  # fmt: skip
        except aiohttp.ClientError:
            if body.fault is not None:
                raise body.fault from None
            raise
        async with upstream:
            if visit.workspace:
                self._check_answer(visit, upstream)
            return await self._hand_back(request, visit, upstream)

    def _head(self, request: web.BaseRequest, visit: Visit) -> CIMultiDict[str]:
        if not visit.workspace:
            return forward(request)
        headers = forward(request, _PACKING)
        headers["Accept-Encoding"] = "identity"
        return headers

    async def _take(self, request: web.BaseRequest, visit: Visit, body: _Body) -> AsyncIterator[bytes]:
        """Yield the request's body while counting it; one that is too large or too slow is cut."""
        try:
            async with asyncio.timeout(BODY_SECONDS):
                while True:
                    async with asyncio.timeout(BODY_GAP_SECONDS):
                        chunk = await request.content.readany()
                    if not chunk:
                        return
                    body.total += len(chunk)
                    if visit.workspace:
                        if body.total > self._most_body:
                            raise Held(pages.too_large(self._most_body))
                        self._keeper.receive(visit.workspace, visit.verdict.traffic, len(chunk))
                    yield chunk
        except Held as held:
            body.fault = held
            raise
        except TimeoutError:
            body.fault = Held(pages.too_slow())
            raise body.fault from None

    def _check_answer(self, visit: Visit, upstream: aiohttp.ClientResponse) -> None:
        """Raise `Held` for an answer that may not be shown, before its first byte is."""
        size = _head_size(upstream) + (upstream.content_length or 0)
        self._keeper.check(visit.workspace, size)
        if upstream.headers.get("Content-Encoding", "").lower() not in _PLAIN:
            raise Held(pages.coded_answer())
        if visit.verdict.traffic is Traffic.CONTENTS:
            if (upstream.content_length or 0) > self._most_body:
                raise Held(pages.too_large(self._most_body))
            if upstream.status >= _ERRORS:
                # The server's own words may quote the file that it could not read.
                raise Held(pages.not_a_notebook(upstream.status))

    async def _hand_back(
        self, request: web.BaseRequest, visit: Visit, upstream: aiohttp.ClientResponse
    ) -> web.StreamResponse:
        if visit.workspace:
            self._keeper.show(visit.workspace, visit.verdict.traffic, _head_size(upstream))
        response = Relayed(upstream, _backward(upstream, visit))
        if request.method == "HEAD" or upstream.status in {204, 304}:
            await response.prepare(request)
            return response
        if upstream.content_length is None and request.version >= aiohttp.HttpVersion11:
            response.enable_chunked_encoding()
        await response.prepare(request)
        async for chunk in upstream.content.iter_any():
            if visit.workspace and not self._may_show(request, visit, len(chunk)):
                break
            await response.write(chunk)
        return response

    def _may_show(self, request: web.BaseRequest, visit: Visit, size: int) -> bool:
        """Count `size` bytes on their way to a browser; cut the connection and return False when they may not pass."""
        try:
            self._keeper.show(visit.workspace, visit.verdict.traffic, size, messages=0)
        except Held:
            if request.transport is not None:
                request.transport.abort()
            return False
        return True


def target_url(base: str, visit: Visit) -> URL:
    """Return where the request is handed on to."""
    return URL(f"{base}{visit.path}?{visit.query}" if visit.query else f"{base}{visit.path}", encoded=True)


def forward(request: web.BaseRequest, leave_out: frozenset[str] = frozenset()) -> CIMultiDict[str]:
    """Return the request's headers as the server behind may see them."""
    dropped = _HOP_BY_HOP | _OURS | leave_out
    connection = request.headers.get("Connection")
    if connection is not None:
        dropped |= {name.strip().lower() for name in connection.split(",")} - {"host", "content-length"}
    headers = CIMultiDict((name, value) for name, value in request.headers.items() if name.lower() not in dropped)
    headers["X-Forwarded-For"] = request.remote or ""
    told = request.headers.get("X-Forwarded-Proto", "").strip().lower()
    headers["X-Forwarded-Proto"] = told if told in {"http", "https"} else request.scheme
    headers["X-Forwarded-Host"] = request.host
    _, _, port = request.host.rpartition(":")
    headers["X-Forwarded-Port"] = port if port.isdigit() else ("443" if told == "https" else "80")
    return headers


def _backward(upstream: aiohttp.ClientResponse, visit: Visit) -> CIMultiDict[str]:
    """Return the answer's headers as the browser may see them."""
    dropped = _HOP_BY_HOP | _BEYOND if visit.workspace else _HOP_BY_HOP
    headers: CIMultiDict[str] = CIMultiDict()
    for name, value in upstream.headers.items():
        lower = name.lower()
        if lower in dropped or (visit.workspace and lower == "set-cookie" and not stays_within(value, visit)):
            continue
        headers.add(name, value)
    return headers


def stays_within(cookie: str, visit: Visit) -> bool:
    """Return whether a workspace's cookie holds for its own path only: else it could be another's, or the hub's."""
    try:
        parsed = SimpleCookie(cookie)
    except CookieError:
        return False
    prefix = visit.route.prefix
    paths = {morsel["path"] for morsel in parsed.values()}
    own = all(not path or path == prefix or path.startswith(f"{prefix}/") for path in paths)
    return own and bool(parsed) and not any(morsel["domain"] for morsel in parsed.values())


def _head_size(upstream: aiohttp.ClientResponse) -> int:
    """Return the bytes of the answer's headers: a head shows something too."""
    return sum(len(name) + len(value) + 4 for name, value in upstream.raw_headers)
