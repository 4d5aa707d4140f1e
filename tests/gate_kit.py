"""A gate in this process over a server of many faces on a unix socket, for tests of the gate alone."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
from aiohttp import web
from ports_kit import free_port
from workspace_kit import ENVIRONMENT

from sandbox.workspaces.gate.__main__ import Gate, build_gate, watch
from sandbox.workspaces.gate.door import DoorLimits, listen
from sandbox.workspaces.gate.meter import Meter
from sandbox.workspaces.gate.pace import Pace
from sandbox.workspaces.records.controls import ControlsWriter, FileControls
from sandbox.workspaces.records.runtime import unix_url

TOKEN = "token of a test"
BASE = "/user/u-zhao/w-one"
KNOWN = {"Cookie": "session=known"}
PACKED = b"\x1f\x8b packed"


class Place:
    """A gate over a server on a unix socket that answers as a Jupyter server of many faces would."""

    def __init__(self, folder: Path, limits: DoorLimits | None = None, pace: Pace | None = None) -> None:
        self.folder = folder
        self.controls = ControlsWriter(folder / "controls.json")
        self.controls.start()
        self.meter = Meter(folder / "usage.db", default_budget=64 * 1024**2)
        self.gate: Gate = build_gate(
            FileControls(folder / "controls.json"), self.meter, token=TOKEN, static=ENVIRONMENT, limits=limits,
            pace=pace,
        )  # fmt: skip
        self.port, self.api_port = free_port(), free_port()
        self.seen: list[tuple[str, str, int]] = []
        self.heads: list[dict[str, str]] = []
        self.ended: list[int | None] = []
        self.runners: list[web.AppRunner] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        server = web.Application(client_max_size=2**30)
        server.router.add_route("*", "/{path:.*}", self.answer)
        for app, site in (
            (server, lambda r: web.UnixSite(r, str(self.folder / "server.sock"))),
            (self.gate.api, lambda r: web.TCPSite(r, "127.0.0.1", self.api_port)),
        ):
            runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.2)
            await runner.setup()
            await site(runner).start()
            self.runners.append(runner)
        self.server = await listen(self.gate.front, ip="127.0.0.1", port=self.port)
        self.gate.routes.put(BASE, unix_url(self.folder / "server.sock"), {})

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if request.path.endswith("/api/me"):
            return web.Response(status=200 if request.headers.get("Cookie") == KNOWN["Cookie"] else 403)
        body = await request.read()
        self.heads.append(dict(request.headers))
        self.seen.append((request.method, request.path_qs, len(body)))
        if request.headers.get("Upgrade"):
            socket = web.WebSocketResponse(protocols=["v1"])
            await socket.prepare(request)
            async for message in socket:
                if message.data == "leave":
                    await socket.close(code=4321, message=b"words of the server")
                    break
                await (socket.send_bytes if message.type is aiohttp.WSMsgType.BINARY else socket.send_str)(message.data)
            self.ended.append(socket.close_code)
            return socket
        if "packed" in request.query:
            return web.Response(body=PACKED, headers={"Content-Encoding": "gzip"})
        if "cookies" in request.query:
            return self.answer_with_cookies()
        if "size" in request.query:
            response = web.StreamResponse()
            await response.prepare(request)
            for _ in range(int(request.query["size"]) // 65536):
                await response.write(bytes(65536))
            return response
        if "forever" in request.query:
            response = web.StreamResponse()
            await response.prepare(request)
            while True:
                await response.write(b"x" * 1000)
                await asyncio.sleep(0.01)
        return web.json_response(dict(request.headers), headers={"Set-Cookie": "a=b", "X-Of-Server": "1"})

    def answer_with_cookies(self) -> web.Response:
        answer = web.Response(text="x" * 10, headers={"Service-Worker-Allowed": "/", "X-Large": "y" * 5000})
        for cookie in (
            f"own=1; Path={BASE}/",
            "root=1; Path=/",
            "hub=1; Path=/hub/",
            "wide=1; Domain=city.cn",
            "plain=1",
        ):
            answer.headers.add("Set-Cookie", cookie)
        return answer


@asynccontextmanager
async def running_place(limits: DoorLimits | None = None, pace: Pace | None = None) -> AsyncIterator[Place]:
    """Give a place that answers, and end it."""
    with tempfile.TemporaryDirectory(prefix="sz-", dir="/tmp") as name:
        place = Place(Path(name), limits, pace)
        await place.start()
        watching = asyncio.create_task(watch(place.gate))
        yield place
        watching.cancel()
        place.server.close()
        for exchange in list(place.gate.keeper.exchanges):
            exchange.cut()
        await place.gate.front.shutdown(1)
        for runner in place.runners:
            await runner.cleanup()
        await place.gate.clients.close()
        place.meter.close()
