"""The gate: a process that JupyterHub runs as its proxy, with configurable-http-proxy's command line and REST API.

    python -m sandbox.workspaces.gate --controls FILE --usage FILE [--static ENV] [--screen-budget BYTES] + CHP options

It listens for browsers, obeys the hub through the REST API (token in CONFIGPROXY_AUTH_TOKEN), and reads its orders
several times a second. Processes of a suspended workspace are frozen by the jailer, on the same orders.
"""

from __future__ import annotations

import argparse
import asyncio
import hmac
import logging
import os
import resource
import signal
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvloop
from aiohttp import web

from sandbox.workspaces.gate.door import Door, DoorLimits, listen
from sandbox.workspaces.gate.keeper import Gatekeeper
from sandbox.workspaces.gate.meter import CannotCount, Meter
from sandbox.workspaces.gate.pace import DEFAULT_PACE, Pace
from sandbox.workspaces.gate.proxy import Front, Tell
from sandbox.workspaces.gate.status import Measure, StatusDesk
from sandbox.workspaces.gate.upstream import Clients, RouteTable
from sandbox.workspaces.jailer.client import JailerClient
from sandbox.workspaces.records.controls import Controls, FileControls
from sandbox.workspaces.records.notes import Notes, notes_folder

log = logging.getLogger("sandbox.workspaces.gate")

POLL_SECONDS = 0.1
SAVE_SECONDS = 0.25
_JAILER_SECONDS = 0.5
_CLOSE_SECONDS = 2.0
DEFAULT_SCREEN_BUDGET = 64 * 1024**2


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Return the options: configurable-http-proxy's that JupyterHub passes, and the gate's own."""
    parser = argparse.ArgumentParser(prog="shuzha-gate")
    parser.add_argument("--ip", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--socket")
    parser.add_argument("--api-ip", default="127.0.0.1")
    parser.add_argument("--api-port", type=int)
    parser.add_argument("--api-socket")
    parser.add_argument("--default-target")
    parser.add_argument("--error-target")
    parser.add_argument("--log-level", default="info", choices=["debug", "info", "warn", "error"])
    parser.add_argument("--controls", type=Path, required=True)
    parser.add_argument("--usage", type=Path, required=True)
    parser.add_argument("--static", type=Path)
    parser.add_argument("--screen-budget", type=int, default=DEFAULT_SCREEN_BUDGET)
    parser.add_argument("--screen-pace", type=int, default=DEFAULT_PACE, help="bytes a second; 0: none")
    parser.add_argument("--connections-per-address", type=int, default=DoorLimits().per_address, help="0: not counted")
    parser.add_argument("--runtime", type=Path, help="the workspaces' sockets: it names their control groups")
    return parser.parse_args(arguments)


@dataclass(slots=True)
class Gate:
    """A gate that is put together: its door for browsers, its API for the hub, its keeper, its routes."""

    keeper: Gatekeeper
    routes: RouteTable
    clients: Clients
    front: Door
    api: web.Application


def build_gate(
    controls: Controls, meter: Meter, *, token: str, static: Path | None = None, default_target: str | None = None,
    limits: DoorLimits | None = None, tell: Tell | None = None, pace: Pace | None = None,
) -> Gate:  # fmt: skip
    """Return a gate over `controls` and `meter`; whoever knows `token` may change its routes. Needs a running loop."""
    keeper, routes, clients = Gatekeeper(controls, meter), RouteTable(default_target), Clients()
    keeper.refresh()
    door = Door(Front(keeper, routes, clients, static, tell, pace).handle, limits)
    return Gate(keeper, routes, clients, door, RoutesApi(routes, clients, token).application())


class RoutesApi:
    """The REST API by which the hub changes the gate's routes, as configurable-http-proxy has it."""

    def __init__(self, routes: RouteTable, clients: Clients, token: str) -> None:
        self._routes = routes
        self._clients = clients
        self._token = token

    def application(self) -> web.Application:
        """Return the API as an application; every request must show the token."""
        api = web.Application(middlewares=[self._authorized])
        api.router.add_get("/api/routes{path:.*}", self._read)
        api.router.add_post("/api/routes{path:.*}", self._put)
        api.router.add_delete("/api/routes{path:.*}", self._drop)
        return api

    @web.middleware
    async def _authorized(self, request: web.Request, handler: Any) -> web.StreamResponse:
        given = request.headers.get("Authorization", "")
        if not self._token or not hmac.compare_digest(given.encode(), f"token {self._token}".encode()):
            return web.Response(status=403)
        answer: web.StreamResponse = await handler(request)
        return answer

    async def _read(self, request: web.Request) -> web.Response:
        if not _prefix(request).strip("/"):
            return web.json_response({path: route.describe() for path, route in self._routes.list_routes().items()})
        route = self._routes.get(_prefix(request))
        return web.Response(status=404) if route is None else web.json_response(route.describe())

    async def _put(self, request: web.Request) -> web.Response:
        try:
            body = await request.json()
            target = body.pop("target")
            self._routes.put(_prefix(request), target, body)
        except (ValueError, KeyError, TypeError, AttributeError):
            return web.Response(status=400, text="a route needs a JSON object with an http or http+unix target")
        return web.Response(status=201)

    async def _drop(self, request: web.Request) -> web.Response:
        route = self._routes.get(_prefix(request))
        if route is None:
            return web.Response(status=404)
        self._routes.drop(_prefix(request))
        if all(other.target != route.target for other in self._routes.list_routes().values()):
            await self._clients.forget(route.target)
        return web.Response(status=204)


def _prefix(request: web.Request) -> str:
    return request.rel_url.raw_path.removeprefix("/api/routes") or "/"


async def watch(gate: Gate) -> None:
    """Read the orders for ever and act on them, and write down what was counted."""
    saved = 0.0
    loop = asyncio.get_running_loop()
    while True:
        gate.keeper.refresh()
        if loop.time() - saved >= SAVE_SECONDS:
            _save(gate.keeper.meter)
            saved = loop.time()
        await asyncio.sleep(POLL_SECONDS)


def _save(meter: Meter) -> None:
    """Write the counts; where that fails, what goes beyond the last reservation is held back until it does not."""
    try:
        meter.save()
    except CannotCount as error:
        log.error("%s", error)


async def run(options: argparse.Namespace) -> None:
    """Serve until asked to end; what was counted is written before it ends."""
    token = os.environ.pop("CONFIGPROXY_AUTH_TOKEN", "")
    meter = Meter(options.usage, default_budget=options.screen_budget)
    gate = build_gate(
        FileControls(options.controls), meter, token=token, static=options.static,
        default_target=options.default_target, limits=DoorLimits(per_address=options.connections_per_address),
        tell=StatusDesk(Notes(notes_folder(options.controls)), _measure(options.runtime)).find,
        pace=Pace(options.screen_pace),
    )  # fmt: skip
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    api = web.AppRunner(gate.api, access_log=None, handler_cancellation=True)
    await api.setup()
    for path in (options.socket, options.api_socket):
        _remove_dead_socket(path)
    server = await listen(gate.front, path=options.socket, ip=options.ip, port=options.port)
    await _listen(api, options.api_socket, options.api_ip, options.api_port or options.port + 1)
    watching = asyncio.create_task(watch(gate))
    await asyncio.wait({watching, asyncio.create_task(ended.wait())}, return_when=asyncio.FIRST_COMPLETED)
    watching.cancel()
    server.close()
    for exchange in list(gate.keeper.exchanges):
        exchange.cut()
    await gate.front.shutdown(_CLOSE_SECONDS)
    await api.cleanup()
    await gate.clients.close()
    meter.close()


async def _listen(runner: web.AppRunner, path: str | None, ip: str, port: int) -> None:
    if path is None:
        site: web.BaseSite = web.TCPSite(runner, ip, port, reuse_address=True)
    else:
        site = web.UnixSite(runner, path)
    await site.start()


def _remove_dead_socket(name: str | None) -> None:
    """Take away the socket that a killed gate left; one that somebody listens on stays, and starting then fails."""
    path = Path(name or "")
    if not path.is_socket():
        return
    with socket.socket(socket.AF_UNIX) as probe:
        if probe.connect_ex(str(path)) != 0:
            path.unlink()


def _measure(runtime: Path | None) -> Measure | None:
    """Return who measures the workspaces whose sockets lie in `runtime`: the jailer, of which only that is asked."""
    return None if runtime is None else JailerClient(runtime / "jailer.sock", wait=_JAILER_SECONDS).account


def main() -> None:
    """Run the gate from the command line."""
    options = parse_arguments()
    level = {"warn": "warning"}.get(options.log_level, options.log_level).upper()
    logging.basicConfig(level=level, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    _raise_open_files()
    uvloop.run(run(options))


def _raise_open_files() -> None:
    """Let the gate have as many connections as the host allows it: each passed request has two."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    main()
