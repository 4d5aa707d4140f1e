"""A kernel that shows without end, through a real hub and gate: it waits, and its workspace goes on working."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from workspace_kit import RunningHub, execute, request_message

from sandbox.workspaces.host.limits import CgroupHost
from sandbox.workspaces.jails.warden import group_name

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="jails with users of their own need root"),
]

MIB = 1024**2
FLOOD = """
import os
from IPython.display import display
file, n = os.open("/home/analyst/count", os.O_CREAT | os.O_RDWR | os.O_TRUNC, 0o600), 0
while True:
    display({"text/plain": f"{n} " + "x" * 100_000}, raw=True)
    n += 1
    os.pwrite(file, str(n).encode(), 0)
"""
PRINTING = "while True: print('x' * 1000)"
MOST_AHEAD = 400
"""What code may have shown that nobody took, in messages of 100 kB: kernel, sockets, server and gate together."""

MOST_IN_SERVER = 64
"""The messages of output that wait in the server: they outlive the kernel."""


class Flood:
    """A workspace of this test and a kernel in it, as a browser uses them."""

    def __init__(self, hub: RunningHub, workspace: str, browser: aiohttp.ClientSession) -> None:
        self.hub = hub
        self.workspace = workspace
        self.browser = browser
        self.base = hub.path("acc_alice", workspace)

    async def start_kernel(self) -> str:
        async with self.browser.post(f"{self.base}/api/kernels", json={"name": "python3"}) as answer:
            assert answer.status == 201
            return str((await answer.json())["id"])

    def channel(self, kernel: str) -> aiohttp.client._WSRequestContextManager:
        return self.browser.ws_connect(f"{self.base}/api/kernels/{kernel}/channels", max_msg_size=0)

    async def settle(self) -> int:
        """Return how often the code has shown something, once it waits."""
        count, before = self.hub.settings.homes / self.workspace / "count", "-"
        async with asyncio.timeout(60):
            while not count.exists() or (now := count.read_text()) != before or not now:
                before = count.read_text() if count.exists() else "-"
                await asyncio.sleep(1)
        return int(before)

    def server_memory(self) -> int:
        """Return the bytes of memory that the workspace's server has made for itself."""
        group = CgroupHost.detect().group(group_name(self.hub.settings.runtime, self.workspace))
        return sum(_anonymous(pid) for pid in group.list_processes())


def _anonymous(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon")), 0)


@asynccontextmanager
async def flooding(hub: RunningHub, workspace: str) -> AsyncIterator[Flood]:
    async with aiohttp.ClientSession(headers=hub.headers()) as browser:
        yield Flood(hub, workspace, browser)


async def test_flood_waits_for_the_browser_and_loses_nothing(hub: RunningHub, workspace: str) -> None:
    async with flooding(hub, workspace) as here:
        kernel, other = await here.start_kernel(), await here.start_kernel()
        async with here.channel(kernel) as channel, here.channel(other) as quiet:
            identity, text = request_message(FLOOD)
            await channel.send_str(text)
            shown = await here.settle()
            assert 0 < shown < MOST_AHEAD, "code waits for who does not read"
            assert here.server_memory() < 192 * MIB
            async with asyncio.timeout(60):
                assert (await execute(quiet, "print(6 * 7)")).text == "42\n"
                async with here.browser.get(f"{here.base}/api/contents") as answer:
                    assert answer.status == 200
                async with here.browser.post(f"{here.base}/api/kernels/{kernel}/interrupt") as answer:
                    assert answer.status == 204
                numbers, errors, state = [], [], ""
                while state != "idle":
                    body = json.loads((await channel.receive()).data)
                    if body["parent_header"].get("msg_id") != identity:
                        continue
                    content, kind = body["content"], body["msg_type"]
                    state = content["execution_state"] if kind == "status" else state
                    if kind == "display_data":
                        numbers.append(int(content["data"]["text/plain"].split()[0]))
                    if kind == "error":
                        errors.append(content["ename"])
                assert errors == ["KeyboardInterrupt"]
                assert numbers == list(range(len(numbers)))
                assert len(numbers) >= shown
                assert (await execute(channel, "print('still here')")).text == "still here\n"
        await end(here, kernel, other)


@pytest.mark.slow
async def test_what_a_kernel_showed_before_it_died_comes_before_the_word_of_it(hub: RunningHub, workspace: str) -> None:
    async with flooding(hub, workspace) as here:
        kernel = await here.start_kernel()
        async with here.channel(kernel) as channel:
            code = "import os, threading\nthreading.Timer(5, lambda: os._exit(1)).start()\n" + FLOOD
            identity, text = request_message(code)
            await channel.send_str(text)
            await here.settle()
            numbers, state = [], ""
            async with asyncio.timeout(60):
                await asyncio.sleep(6)
                while state != "restarting":
                    body = json.loads((await channel.receive()).data)
                    if body["msg_type"] == "status":
                        state = body["content"]["execution_state"]
                    elif body["parent_header"].get("msg_id") == identity and body["msg_type"] == "display_data":
                        numbers.append(int(body["content"]["data"]["text/plain"].split()[0]))
            assert numbers == list(range(len(numbers)))
            assert len(numbers) > MOST_IN_SERVER
        await end(here, kernel)


@pytest.mark.parametrize("code", [FLOOD, PRINTING])
async def test_kernel_that_waits_is_ended_at_once(hub: RunningHub, workspace: str, code: str) -> None:
    async with flooding(hub, workspace) as here:
        kernel = await here.start_kernel()
        async with here.channel(kernel) as channel:
            await channel.send_str(request_message(code)[1])
            await (here.settle() if code is FLOOD else asyncio.sleep(3))
            assert here.server_memory() < 192 * MIB
            await end(here, kernel)


async def end(here: Flood, *kernels: str) -> None:
    for kernel in kernels:
        async with (
            asyncio.timeout(20),
            here.browser.delete(f"{here.base}/api/kernels/{kernel}") as answer,
        ):
            assert answer.status == 204
