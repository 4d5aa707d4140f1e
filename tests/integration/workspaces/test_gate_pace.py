"""A gate with a pace: a flood on one websocket waits, whole and in order, and holds back nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiohttp
import pytest_asyncio
from gate_kit import BASE, Place, running_place

from sandbox.workspaces.gate.pace import Pace

MIB = 1024**2
CHANNEL = f"{BASE}/api/kernels/1/channels"
BLOCK, BLOCKS = bytes(MIB), 6


@dataclass
class Paced:
    """A place whose time stands until it is let go on."""

    place: Place
    go_on: asyncio.Event
    waiting: asyncio.Event


@pytest_asyncio.fixture
async def paced() -> AsyncIterator[Paced]:
    go_on, waiting = asyncio.Event(), asyncio.Event()
    now = 0.0

    async def sleep(seconds: float) -> None:
        nonlocal now
        waiting.set()
        await go_on.wait()
        now += seconds

    async with running_place(pace=Pace(MIB, lambda: now, sleep)) as place:
        yield Paced(place, go_on, waiting)


@pytest_asyncio.fixture
async def browser() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def flood(paced: Paced, channel: aiohttp.ClientWebSocketResponse) -> asyncio.Task[None]:
    """Have the server answer with much, and return who asks for it, once some of it waits."""

    async def ask() -> None:
        for number in range(BLOCKS):
            await channel.send_bytes(bytes([number]) + BLOCK)

    asking = asyncio.create_task(ask())
    async with asyncio.timeout(20):
        await paced.waiting.wait()
    return asking


async def test_flood_waits_and_comes_whole_while_all_else_is_answered(
    paced: Paced, browser: aiohttp.ClientSession
) -> None:  # fmt: skip
    channel = await browser.ws_connect(f"{paced.place.url}{CHANNEL}", max_msg_size=0)
    asking = await flood(paced, channel)
    shown = paced.place.meter.shown_today("w-one")
    assert 2 * MIB <= shown <= 4 * MIB, "the burst, and nothing that waits is counted"
    async with browser.ws_connect(f"{paced.place.url}{CHANNEL}") as other, asyncio.timeout(20):
        for word in ("one", "two", "three"):
            await other.send_str(word)
            assert await other.receive_str() == word
        for path in ("/api/kernels", f"/lab?size={8 * MIB}"):
            async with browser.get(f"{paced.place.url}{BASE}{path}") as answer:
                assert answer.status == 200
                await answer.read()
        async with browser.post(f"{paced.place.url}{BASE}/api/kernels/1/interrupt") as answer:
            assert answer.status == 200
    assert paced.place.meter.counts_today("w-one")["kernelws"].shown == shown + len("onetwothree")
    paced.go_on.set()
    async with asyncio.timeout(20):
        for number in range(BLOCKS):
            assert (await channel.receive_bytes()) == bytes([number]) + BLOCK
    await asking
    await channel.close()


async def test_suspension_cuts_a_flood_that_waits(paced: Paced, browser: aiohttp.ClientSession) -> None:
    channel = await browser.ws_connect(f"{paced.place.url}{CHANNEL}", max_msg_size=0)
    asking = await flood(paced, channel)
    shown = paced.place.meter.shown_today("w-one")
    paced.place.controls.suspend("w-one", "looked into")
    async with asyncio.timeout(5):
        while not channel.closed:
            await channel.receive()
    paced.go_on.set()
    asking.cancel()
    await asyncio.sleep(0.1)
    assert paced.place.meter.shown_today("w-one") == shown
    assert not paced.place.gate.keeper.exchanges
