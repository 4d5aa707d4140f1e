"""The hub is killed while a notebook is open: its kernel lives on, and the restarted hub finds it again."""

from __future__ import annotations

import asyncio
import os
import signal
import time

import aiohttp
import pytest
from journey_kit import Walked, wait_until

from sandbox.workspaces.hub.client import HubClient
from shuzha.server.demo.hub_session import Seat, execute, sit_down

pytestmark = [
    pytest.mark.root,
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="a workspace's processes are told apart by its control group"),
]

RESTART_SECONDS = 60.0


def kill_the_hub(walked: Walked) -> None:
    """Kill the hub and return once another one answers and knows the workspace's server."""
    handle, name = walked.made["server"].split("/")[2:4]
    before = walked.running.pid("hub")
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: walked.running.pid("hub") != before, 10, "another hub")
    with HubClient(walked.platform.hub_token, socket=walked.platform.hub_settings.hub_socket) as hub:
        wait_until(hub.is_up, RESTART_SECONDS, "the hub's return")
        server = wait_until(lambda: hub.find_server(handle, name), RESTART_SECONDS, "the workspace's server")
        assert server.ready


async def reach(seat: Seat, kernel: str) -> str:
    """Return what the kernel still knows, as soon as the gate hands the browser on again."""
    until = time.monotonic() + RESTART_SECONDS
    while True:
        try:
            async with seat.line(kernel) as line:
                return (await execute(line, "print(kept, os.getpid())")).text
        except aiohttp.ClientError:
            assert time.monotonic() < until
            await asyncio.sleep(0.2)


async def use_across_a_kill(walked: Walked) -> tuple[str, str]:
    async with sit_down(walked.settings, "analyst", walked.password, walked.made["server"]) as seat:
        kernel = await seat.start_kernel()
        async with seat.line(kernel) as line:
            before = (await execute(line, "import os\nkept = 6 * 7\nprint(kept, os.getpid())")).text
        await asyncio.to_thread(kill_the_hub, walked)
        return before, await reach(seat, kernel)


def test_restarted_hub_finds_the_living_workspace_again(walked: Walked) -> None:
    walked.workspace()
    group = walked.jail()
    server = min(group.list_processes())
    began = time.monotonic()
    before, after = asyncio.run(use_across_a_kill(walked))
    print(f"\nthe kernel answered {time.monotonic() - began:.1f} s after the hub's kill")
    assert before == after
    assert before.startswith("42 ")
    assert server in group.list_processes(), "the jail was started again"
    found = walked.person("analyst").get(f"/workspaces/{walked.made['workspace']}")
    assert found["state"] == "open", "the record was corrected though the server had never ended"
    # A person who signs in anew is led through the restarted hub to the same server.
    assert walked.run_inside("print(6 * 7)") == "42\n"
