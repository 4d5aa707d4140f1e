"""The gate as a process before slow readers: what it holds stays small, in both directions and over websockets."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web
from gate_kit import BASE, TOKEN
from ports_kit import free_port
from workspace_kit import ROOT

from sandbox.workspaces.gate.meter import RESERVE_BYTES, Meter
from sandbox.workspaces.records.controls import ControlsWriter
from sandbox.workspaces.records.runtime import unix_url

MIB = 1024**2
MOST_GROWTH = 32 * MIB
OFFERED = 256 * MIB
CHANNEL = f"{BASE}/api/kernels/1/channels"


class Slow:
    """A gate in a process of its own, and a server that writes as fast as it is let and reads when it is told."""

    def __init__(self, folder: Path, port: int, process: subprocess.Popen[bytes]) -> None:
        self.folder = folder
        self.port = port
        self.process = process
        self.written = 0
        self.read = 0
        self.may_read = asyncio.Event()

    def memory(self) -> int:
        """Return the bytes that the gate has resident."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGESIZE")

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        block = bytes(256 * 1024)
        if request.headers.get("Upgrade"):
            channel = web.WebSocketResponse(max_msg_size=0, compress=False)
            await channel.prepare(request)
            if (await channel.receive_str()) == "write":
                while self.written < OFFERED:
                    await channel.send_bytes(block)
                    self.written += len(block)
            else:
                await self.may_read.wait()
                async for message in channel:
                    self.read += len(message.data)
                    await channel.send_str("taken")
            return channel
        if request.method == "POST":
            await self.may_read.wait()
            async for chunk in request.content.iter_any():
                self.read += len(chunk)
            return web.Response(text=str(self.read))
        response = web.StreamResponse(headers={"Content-Length": str(OFFERED)})
        await response.prepare(request)
        while self.written < OFFERED:
            await response.write(block)
            self.written += len(block)
        return response

    async def settle(self) -> None:
        """Wait until nothing moves any more."""
        before = -1
        while before != self.written + self.read:
            before = self.written + self.read
            await asyncio.sleep(0.3)


@pytest_asyncio.fixture
async def slow() -> AsyncIterator[Slow]:
    with tempfile.TemporaryDirectory(prefix="sz-", dir="/tmp") as name:
        folder, port, api_port = Path(name), free_port(), free_port()
        ControlsWriter(folder / "controls.json").start()
        addresses = ["--port", str(port), "--api-port", str(api_port)]
        files = ["--controls", str(folder / "controls.json"), "--usage", str(folder / "usage.db")]
        process = subprocess.Popen(  # noqa: ASYNC220 - it is only started here
            [sys.executable, "-m", "sandbox.workspaces.gate", *addresses, *files, "--screen-budget", str(2**40)],
            env={**os.environ, "CONFIGPROXY_AUTH_TOKEN": TOKEN, "PYTHONPATH": str(ROOT)}, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        found = Slow(folder, port, process)
        server = await asyncio.get_running_loop().create_unix_server(
            web.Server(found.answer, handler_cancellation=True), folder / "up.sock"
        )
        try:
            await _add_routes(api_port, unix_url(folder / "up.sock"))
            yield found
        finally:
            process.terminate()
            process.wait(10)
            server.close()


async def _add_routes(api_port: int, target: str) -> None:
    headers = {"Authorization": f"token {TOKEN}"}
    async with asyncio.timeout(20), aiohttp.ClientSession(headers=headers) as hub:
        for prefix in ("/", BASE):
            while True:
                try:
                    async with hub.post(
                        f"http://127.0.0.1:{api_port}/api/routes{prefix}", json={"target": target}
                    ) as got:
                        assert got.status == 201
                        break
                except aiohttp.ClientConnectionError:
                    await asyncio.sleep(0.1)


def small_socket(port: int) -> socket.socket:
    """Return a connection whose reader's buffer is small, so that what the gate holds is the gate's."""
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
    raw.connect(("127.0.0.1", port))
    raw.setblocking(False)
    return raw


async def test_body_that_nobody_reads_stays_with_the_server(slow: Slow) -> None:
    before, raw = slow.memory(), small_socket(slow.port)
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(raw, f"GET {BASE}/lab HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    await slow.settle()
    assert slow.written < OFFERED // 4, "the server was told to wait"
    assert slow.memory() - before < MOST_GROWTH
    total = 0
    while total < OFFERED:
        total += len(await loop.sock_recv(raw, MIB))
    assert slow.memory() - before < MOST_GROWTH
    raw.close()


async def test_killed_gate_has_counted_at_least_what_came(slow: Slow) -> None:
    loop = asyncio.get_running_loop()
    raw, came = small_socket(slow.port), 0
    await loop.sock_sendall(raw, f"GET {BASE}/lab HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    while came < 20 * MIB:
        came += len(await loop.sock_recv(raw, MIB))
    slow.process.kill()
    slow.process.wait()
    with contextlib.suppress(ConnectionError):
        while block := await loop.sock_recv(raw, MIB):
            came += len(block)
    raw.close()
    meter = Meter(slow.folder / "usage.db", default_budget=0)
    assert came <= meter.shown_today("w-one") <= slow.written + RESERVE_BYTES + MIB
    meter.close()


@pytest.mark.slow
async def test_body_that_the_server_does_not_read_stays_with_the_browser(slow: Slow) -> None:
    before = slow.memory()
    reader, writer = await asyncio.open_connection("127.0.0.1", slow.port, limit=MIB)
    writer.write(
        f"POST /hub/sink HTTP/1.1\r\nHost: a\r\nContent-Length: {OFFERED}\r\nConnection: close\r\n\r\n".encode()
    )
    sent, block = 0, bytes(256 * 1024)

    async def send() -> None:
        nonlocal sent
        while sent < OFFERED:
            writer.write(block)
            await writer.drain()
            sent += len(block)

    sending = asyncio.create_task(send())
    await asyncio.sleep(1.5)
    held = sent
    assert held < OFFERED // 4, "the browser was told to wait"
    assert slow.memory() - before < MOST_GROWTH
    slow.may_read.set()
    await sending
    assert str(OFFERED).encode() in await reader.read()
    assert slow.memory() - before < MOST_GROWTH
    writer.close()


@pytest.mark.slow
async def test_messages_that_nobody_reads_stay_with_the_server(slow: Slow) -> None:
    before, raw = slow.memory(), small_socket(slow.port)
    loop = asyncio.get_running_loop()
    key = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="
    head = f"Connection: Upgrade\r\nUpgrade: websocket\r\n{key}"
    await loop.sock_sendall(raw, f"GET {CHANNEL} HTTP/1.1\r\nHost: a\r\n{head}\r\n\r\n".encode())
    await loop.sock_recv(raw, 65536)
    await loop.sock_sendall(raw, b"\x81\x85\x00\x00\x00\x00write")
    await slow.settle()
    assert 0 < slow.written < OFFERED // 4
    assert slow.memory() - before < MOST_GROWTH
    raw.close()


@pytest.mark.slow
async def test_messages_that_the_kernel_does_not_read_stay_with_the_browser(slow: Slow) -> None:
    before = slow.memory()
    async with (
        aiohttp.ClientSession() as browser,
        browser.ws_connect(f"http://127.0.0.1:{slow.port}{CHANNEL}") as channel,
    ):
        await channel.send_str("read")
        sent, block = 0, bytes(256 * 1024)

        async def send() -> None:
            nonlocal sent
            while sent < OFFERED // 4:
                await channel.send_bytes(block)
                sent += len(block)

        sending = asyncio.create_task(send())
        await asyncio.sleep(1.5)
        assert sent < OFFERED // 8, "the browser was told to wait"
        assert slow.memory() - before < MOST_GROWTH
        slow.may_read.set()
        answers = 0
        while answers * len(block) < OFFERED // 4:
            assert (await channel.receive(timeout=20)).data == "taken"
            answers += 1
        await sending
    assert slow.read == OFFERED // 4
