"""The pace at which a workspace's websockets show, and how long one of them may keep the gate."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import WSMsgType
from hypothesis import given
from hypothesis import strategies as st

from sandbox.workspaces.gate.pace import BURST_SECONDS, LIGHT_BYTES, Bucket, Line, Pace
from sandbox.workspaces.gate.sockets import MOST_BYTES, MOST_MESSAGES, _relay

RATE = 1024 * 1024
LARGE = 4 * LIGHT_BYTES


class Watch:
    """A clock that goes on only when somebody sleeps or the test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await asyncio.sleep(0)


def open_line(pace: Pace, workspace: str = "w-one") -> Line:
    line = pace.open(workspace)
    assert line is not None
    return line


@given(st.lists(st.tuples(st.floats(0, 5), st.integers(1, 4_000_000)), max_size=30))
def test_bucket_is_never_more_than_full_and_pays_back_evenly(steps: list[tuple[float, int]]) -> None:
    watch = Watch()
    bucket = Bucket(1000.0, 5000.0, watch)
    for gap, size in steps:
        watch.now += gap
        bucket.take(size)
        assert bucket.held() <= 5000.0 - size
        due = bucket.wait()
        assert due == pytest.approx(max(-bucket.held(), 0) / 1000)
        watch.now += due
        assert bucket.held() >= -1e-3
    watch.now += 10_000_000
    assert bucket.is_full()


@given(st.lists(st.integers(LIGHT_BYTES + 1, 16 * RATE), min_size=1, max_size=30))
def test_no_more_passes_than_burst_pace_and_one_message(sizes: list[int]) -> None:
    watch = Watch()
    line = open_line(Pace(RATE, watch, watch.sleep))

    async def flood() -> None:
        passed = 0
        for size in sizes:
            await line.wait(size)
            assert passed <= RATE * (BURST_SECONDS + watch.now) + 1e-3, "what went before is paid for"
            passed += size

    asyncio.run(flood())


async def test_a_silent_workspace_may_show_much_at_once() -> None:
    watch = Watch()
    line = open_line(Pace(RATE, watch, watch.sleep))
    for _ in range(int(RATE * BURST_SECONDS) // LARGE):
        await line.wait(LARGE)
    assert watch.now == 0


async def test_what_is_light_waits_for_nobody_and_is_paid_for() -> None:
    watch = Watch()
    never = asyncio.Event()
    pace = Pace(RATE, watch, lambda _: never.wait())
    flooding, other = open_line(pace), open_line(pace)
    await flooding.wait(16 * RATE)
    held = asyncio.create_task(flooding.wait(LARGE))
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        for _ in range(LIGHT_BYTES // 1024):
            await other.wait(1024)
    assert not held.done()
    too_much = asyncio.create_task(other.wait(1024))
    await asyncio.sleep(0)
    assert not too_much.done(), "a flood of small messages is a flood"
    for task in (held, too_much):
        task.cancel()


async def test_websockets_of_a_workspace_take_turns_and_workspaces_do_not_meet() -> None:
    watch = Watch()
    pace = Pace(RATE, watch, watch.sleep)
    order: list[str] = []

    async def flood(name: str, workspace: str) -> None:
        line = open_line(pace, workspace)
        for _ in range(20):
            await line.wait(RATE)
            order.append(name)

    await asyncio.gather(flood("a", "w-one"), flood("b", "w-one"))
    late = order[6:30]
    assert all(abs(late[:n].count("a") - late[:n].count("b")) <= 1 for n in range(len(late)))
    before = watch.now
    await open_line(pace, "w-two").wait(RATE)
    assert watch.now == before


async def test_connecting_anew_fills_no_bucket() -> None:
    watch = Watch()
    pace = Pace(RATE, watch, watch.sleep)
    line = open_line(pace)
    await line.wait(16 * RATE)
    pace.close("w-one", line)
    open_line(pace, "w-two")
    await open_line(pace).wait(LARGE)
    assert watch.now == pytest.approx(16 - BURST_SECONDS)


def test_no_pace_is_no_line() -> None:
    pace = Pace(0)
    assert pace.open("w-one") is None
    pace.close("w-one", None)


@pytest.mark.parametrize(("count", "size"), [(2000, 10), (200, 100_000)])
async def test_a_websocket_that_always_has_more_lets_others_have_their_turn(count: int, size: int) -> None:
    left, passed, most = count, 0, 0
    text = SimpleNamespace(type=WSMsgType.TEXT, data=b"x" * size)

    async def receive() -> Any:
        nonlocal left
        left -= 1
        return text if left >= 0 else SimpleNamespace(type=WSMsgType.CLOSED, data=None)

    async def send_frame(data: bytes, kind: WSMsgType) -> None:
        nonlocal passed
        passed += 1

    async def others() -> None:
        nonlocal most
        before = 0
        while passed < count:
            most, before = max(most, passed - before), passed
            await asyncio.sleep(0)

    end: Any = SimpleNamespace(receive=receive, send_frame=send_frame)
    await asyncio.gather(others(), _relay(end, end, lambda _: None))
    assert 0 < most <= min(MOST_MESSAGES, MOST_BYTES // size + 1)
