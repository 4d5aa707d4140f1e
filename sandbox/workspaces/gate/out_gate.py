"""The out gate: the only way from a jailed server to the hub's API, on one unix socket a workspace.

Who asks is known by the socket. A server needs four routes of the hub; nothing else passes, whatever token it shows.
"""

from __future__ import annotations

import logging
from pathlib import Path
from urllib.parse import quote

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from sandbox.workspaces.gate.upstream import Clients
from sandbox.workspaces.records.runtime import give_socket

log = logging.getLogger(__name__)

MAX_BODY = 64 * 1024
_KEPT_HEADERS = ("Authorization", "Content-Type", "Accept", "User-Agent")
_KEPT_ANSWERS = ("Content-Type", "X-JupyterHub-Version")


def allows(method: str, path: str, account: str) -> bool:
    """Return whether the server of `account` may ask this of the hub."""
    own = f"/hub/api/users/{quote(account, safe='@~')}/activity"
    routes = {("GET", "/hub/api"), ("GET", "/hub/api/"), ("GET", "/hub/api/user")}
    routes |= {("POST", "/hub/api/oauth2/token"), ("POST", own)}
    return (method, path) in routes


class OutGate:
    """The socket of one workspace; it can be opened again after a restart of the hub while the jail lives on."""

    def __init__(self, path: Path, *, account: str, uid: int, hub_url: str) -> None:
        self._path = path
        self._account = account
        self._uid = uid
        self._hub_url = hub_url
        self._clients = Clients()
        self._runner: web.AppRunner | None = None

    async def open(self) -> None:
        """Answer on the socket from now on; an open gate stays as it is."""
        if self._runner is not None:
            return
        app = web.Application(client_max_size=MAX_BODY)
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._path.unlink(missing_ok=True)
        runner = web.AppRunner(app, access_log=None, handle_signals=False)
        await runner.setup()
        await web.UnixSite(runner, str(self._path)).start()
        give_socket(self._path, self._uid)
        self._runner = runner

    async def close(self) -> None:
        """Answer no more."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        await self._clients.close()

    async def _answer(self, request: web.Request) -> web.Response:
        path = request.rel_url.raw_path
        if not allows(request.method, path, self._account):
            log.warning("out gate of %s refuses %s %.80s", self._path.parent.parent.name, request.method, path)
            return web.json_response({"status": 403, "message": "this route of the hub is closed here"}, status=403)
        return await forward(self._clients, self._hub_url, request)


async def forward(clients: Clients, hub_url: str, request: web.Request) -> web.Response:
    """Return the hub's answer to a request that may pass, with the headers that are needed and no others."""
    body = await request.read()
    headers = CIMultiDict((name, request.headers[name]) for name in _KEPT_HEADERS if name in request.headers)
    session, base = clients.session(hub_url)
    try:
        async with session.request(
            request.method, URL(base + request.rel_url.raw_path_qs, encoded=True), data=body, headers=headers
        ) as upstream:
            answer = await upstream.read()
            kept = {n: upstream.headers[n] for n in _KEPT_ANSWERS if n in upstream.headers}
            return web.Response(status=upstream.status, body=answer, headers=kept)
    except aiohttp.ClientError:
        return web.json_response({"status": 503, "message": "the hub does not answer"}, status=503)
