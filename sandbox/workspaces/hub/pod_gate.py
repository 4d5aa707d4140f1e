"""What pods reach of the platform, over TCP: the hub's four routes, and each kernel's own platform socket.

A process of its own beside the hub (`python -m sandbox.workspaces.hub.pod_gate`), started by it where workspaces are
pods. On one host a unix socket says who asks; here it is the hub's token and a token of the workspace's kernels.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hmac
import json
import logging
import re
from pathlib import Path
from urllib.parse import unquote

from aiohttp import web

from sandbox.workspaces.gate.out_gate import MAX_BODY, allows, forward
from sandbox.workspaces.gate.upstream import Clients
from sandbox.workspaces.hub.pods import HUB_PORT, PLATFORM_PORT, make_pod_token
from sandbox.workspaces.records.hub_settings import read_secret
from sandbox.workspaces.records.runtime import runtime_paths

log = logging.getLogger(__name__)

_ACTIVITY = re.compile(r"/hub/api/users/([^/]+)/activity")
_GREETING_BYTES = 512
_GREETING_SECONDS = 5.0
_PIECE = 64 * 1024
_MOST_CONNECTIONS = 1024


def passes(method: str, path: str) -> bool:
    """Return whether a pod may ask this of the hub, which then looks at the token: the four routes of any server."""
    own = _ACTIVITY.fullmatch(path)
    return allows(method, path, unquote(own.group(1)) if own else "")


class PodGate:
    """Both doors, opened together; `hub_url` is the hub's, `runtime` holds the workspaces' platform sockets."""

    def __init__(self, hub_url: str, runtime: Path, secret: str) -> None:
        self._hub_url = hub_url
        self._runtime = runtime
        self._secret = secret
        self._clients = Clients()
        self._runner: web.AppRunner | None = None
        self._relay: asyncio.Server | None = None
        self._open = 0
        self.ports: tuple[int, int] = (0, 0)

    async def open(self, address: str, hub_port: int = HUB_PORT, platform_port: int = PLATFORM_PORT) -> None:
        """Answer at `address` from now on; `ports` then says on which ports."""
        app = web.Application(client_max_size=MAX_BODY)
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False)
        await self._runner.setup()
        await web.TCPSite(self._runner, address, hub_port).start()
        self._relay = await asyncio.start_server(self._meet, address, platform_port, limit=_GREETING_BYTES)
        self.ports = (self._runner.addresses[0][1], self._relay.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Answer no more."""
        if self._relay is not None:
            self._relay.close()
        if self._runner is not None:
            await self._runner.cleanup()
        await self._clients.close()

    async def _answer(self, request: web.Request) -> web.Response:
        if not passes(request.method, request.rel_url.raw_path):
            log.warning("the pods' gate refuses %s %.80s", request.method, request.rel_url.raw_path)
            return web.json_response({"status": 403, "message": "this route of the hub is closed here"}, status=403)
        return await forward(self._clients, self._hub_url, request)

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Join a kernel's connection to its workspace's own platform socket, once its first line has said which."""
        self._open += 1
        try:
            place = await self._greet(reader) if self._open <= _MOST_CONNECTIONS else None
            if place is not None:
                await join(reader, writer, *await asyncio.open_unix_connection(str(place), limit=_PIECE))
        except (OSError, TimeoutError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            log.warning("the pods' gate ends a connection: %s", type(error).__name__)
        finally:
            self._open -= 1
            writer.close()

    async def _greet(self, reader: asyncio.StreamReader) -> Path | None:
        async with asyncio.timeout(_GREETING_SECONDS):
            said = json.loads(await reader.readuntil(b"\n"))
        workspace, token = str(said["workspace"]), str(said["token"])
        if not hmac.compare_digest(token.encode(), make_pod_token(self._secret, workspace).encode()):
            log.warning("the pods' gate refuses a token that is not its workspace's")
            return None
        return runtime_paths(self._runtime, workspace).platform


async def join(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, inner: asyncio.StreamReader, outer: asyncio.StreamWriter
) -> None:
    """Carry bytes both ways until either side has said its last."""
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_carry(reader, outer))
            group.create_task(_carry(inner, writer))
    finally:
        outer.close()


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while piece := await reader.read(_PIECE):
            writer.write(piece)
            await writer.drain()
    with contextlib.suppress(OSError):
        writer.write_eof()


async def _serve(gate: PodGate, address: str) -> None:
    await gate.open(address)
    await asyncio.Event().wait()


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Return what the command line says; by default this process's own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--address", default="0.0.0.0")  # noqa: S104 - pods come from their own network; policies say which
    parser.add_argument("--hub", required=True, help="the hub's URL")
    parser.add_argument("--runtime", required=True, type=Path, help="the folder of the workspaces' sockets")
    parser.add_argument("--secret", required=True, type=Path, help="the file of mode 0600 that tokens are made from")
    return parser.parse_args(arguments)


def main() -> None:
    """Serve until ended."""
    given = parse_arguments()
    logging.basicConfig(level=logging.INFO)
    asyncio.run(_serve(PodGate(given.hub, given.runtime, read_secret(given.secret)), given.address))


if __name__ == "__main__":
    main()
