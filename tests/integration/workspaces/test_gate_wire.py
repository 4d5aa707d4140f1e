"""The gate on the wire: heads of two readings, slow and many callers, websockets, the budget."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import random
from collections.abc import AsyncIterator, Callable

import aiohttp
import pytest
import pytest_asyncio
from gate_kit import BASE, KNOWN, Place, running_place

from sandbox.workspaces.gate import http as gate_http
from sandbox.workspaces.gate.door import DoorLimits
from sandbox.workspaces.gate.sockets import MAX_MESSAGE, MAX_SOCKETS

CHANNEL = f"{BASE}/api/kernels/1/channels"
PLAIN = f"GET {BASE}/lab HTTP/1.1\r\nHost: a\r\n"


@pytest_asyncio.fixture
async def place() -> AsyncIterator[Place]:
    async with running_place() as place:
        yield place


@pytest_asyncio.fixture
async def browser() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def send(place: Place, text: str | bytes, *, seconds: float = 5.0) -> bytes:
    """Send bytes as they stand and return all that comes back until the gate hangs up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", place.port)
    writer.write(text if isinstance(text, bytes) else text.encode("latin-1"))
    try:
        return await asyncio.wait_for(reader.read(), seconds)
    finally:
        writer.close()


async def until(true: Callable[[], object], seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while not true():  # noqa: ASYNC110 - what is waited for is another's state
            await asyncio.sleep(0.01)


POST = f"POST {BASE}/api/kernels HTTP/1.1\r\nHost: a\r\n"
SMUGGLED = f"GET {BASE}/files/secret HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.mark.parametrize(
    "head",
    [
        f"{POST}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        f"{POST}Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
        f"{POST}Content-Length: 0\r\nContent-Length: 60\r\n\r\n",
        f"{POST}Content-Length: 0, 60\r\n\r\n",
        f"{POST}Content-Length: +60\r\n\r\n",
        f"{POST}Content-Length : 60\r\n\r\n",
        f"{POST}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        f"{POST}Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
        f"{POST}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        f"POST {BASE}/api/kernels HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        f"{PLAIN}X-Folded: a\r\n b\r\n\r\n",
        f"{PLAIN}X-Null: a\x00b\r\n\r\n",
        f"{PLAIN}Bare: a\nOther: b\r\n\r\n",
        f"{PLAIN} Transfer-Encoding: chunked\r\n\r\n",
        f"{PLAIN}Host: b\r\n\r\n",
        f"GET {BASE}/lab HTTP/1.1\r\n\r\n",
        f"GET {BASE}/lab HTTP/1.1\r\nHost: a b\r\n\r\n",
        f"GET {BASE}/lab HTTP/1.1\r\nHost: evil@a\r\n\r\n",
        f"GET http://evil.example{BASE}/lab HTTP/1.1\r\nHost: a\r\n\r\n",
        f"GET //{BASE}/lab HTTP/1.1\r\nHost: a\r\n\r\n",
        f"GET {BASE}/lab HTTP/2.0\r\nHost: a\r\n\r\n",
        f"GET {BASE}/lab\r\n\r\n",
        f"GET {BASE}/lab?x#y HTTP/1.1\r\nHost: a\r\n\r\n",
        f"TRACE {BASE}/lab HTTP/1.1\r\nHost: a\r\n\r\n",
        "CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: a\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
        f"POST {CHANNEL} HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n\r\n",
        f"GET {CHANNEL} HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n",
        f"GET {BASE}/{'x' * 100_000} HTTP/1.1\r\nHost: a\r\n\r\n",
        f"{PLAIN}X-Long: {'x' * 100_000}\r\n\r\n",
        PLAIN + "X: y\r\n" * 200 + "\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
)
async def test_head_of_two_readings_is_refused_and_nothing_after_it_is_read(place: Place, head: str) -> None:
    answer = await send(place, head + SMUGGLED)
    assert answer.count(b"HTTP/1.") <= 1, "the connection ends there"
    assert answer.split(b" ")[1:2] in ([b"400"], []), answer[:80]
    assert b"evil" not in answer
    assert place.seen == []


_BITS = [
    "\r\n", "\n", "\r", "\t", " ", "\0", ":", ";", ",", "chunked", "HTTP/1.1", "HTTP/1.0", "?", "#", "%2e%2e/", "//",
    "Transfer-Encoding: chunked\r\n", "Content-Length: 0\r\n", "Content-Length: 5\r\n", "Content-Length: 44\r\n",
    "0\r\n\r\n", "5\r\nhello\r\n", "Host: b\r\n", "X: y\r\n", "Connection: close\r\n", "Upgrade: websocket\r\n",
    "Connection: upgrade\r\n", "Expect: 100-continue\r\n",
]  # fmt: skip


async def test_mutated_heads_never_become_a_request_that_was_not_judged(place: Place) -> None:
    """Whatever is put into a head, the server behind sees only what the gate's list has, and as often as it answers."""
    dice, passed = random.Random(20261122), 0
    for turn in range(250):
        text = POST + "Content-Length: 5\r\n\r\nhello" if turn % 2 else f"{PLAIN}\r\n"
        for _ in range(dice.randint(1, 2)):
            bit, cut = dice.choice(_BITS), dice.choice((0, 0, 1, 3))
            at = dice.randrange(len(text))
            if bit.endswith("\r\n") and dice.random() < 0.8:  # A whole line stands between two others.
                at, cut = text.index("\r\n", dice.randrange(20)) + 2, 0
            text = text[:at] + bit + text[at + cut :]
        place.seen.clear()
        answer = b""
        reader, writer = await asyncio.open_connection("127.0.0.1", place.port)
        writer.write(f"{text}{SMUGGLED}{SMUGGLED}{PLAIN}Connection: close\r\n\r\n".encode("latin-1"))
        with contextlib.suppress(TimeoutError):  # The gate waits for more where a length was told too large.
            async with asyncio.timeout(0.3):
                while block := await reader.read(65536):
                    answer += block
        writer.close()
        passed += len(place.seen)
        assert not [path for _, path, _ in place.seen if "secret" in path], text
        assert all(method in {"GET", "POST"} and path.startswith(BASE) for method, path, _ in place.seen), text
        assert answer.count(b"HTTP/1.1 200") <= len(place.seen), text
    assert passed > 40, "many of them are harmless and pass"


async def test_requests_in_a_row_are_answered_in_their_order(place: Place) -> None:
    row = "".join(f"GET {BASE}/api/sessions?n={n} HTTP/1.1\r\nHost: a\r\n\r\n" for n in range(5))
    answer = await send(place, row + f"GET {BASE}/lab HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert answer.count(b"HTTP/1.1 200") == 6
    assert [query[-1] for _, query, _ in place.seen[:5]] == list("01234")


async def test_other_upgrades_are_not_taken_up(place: Place) -> None:
    head = f"{PLAIN}Connection: close, Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n"
    answer = await send(place, head)
    assert answer.startswith(b"HTTP/1.1 200")
    assert not {"Upgrade", "HTTP2-Settings", "Connection"} & set(place.heads[0])


async def test_what_a_client_names_in_connection_and_says_of_itself_does_not_go_on(place: Place) -> None:
    claims = "X-Forwarded-For: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\nX-Real-IP: 6.6.6.6\r\nX-Forwarded-Proto: gopher\r\n"
    await send(place, f"{PLAIN}{claims}X-Private: 1\r\nConnection: close, X-Private, Host\r\n\r\n")
    head = place.heads[0]
    assert head["X-Forwarded-For"] == "127.0.0.1"
    assert head["X-Forwarded-Proto"] == "http"
    assert head["Host"] == "a"
    assert not {"Forwarded", "X-Real-IP", "X-Private"} & set(head)


async def test_path_goes_on_in_its_plain_spelling(place: Place, browser: aiohttp.ClientSession) -> None:
    await send(place, f"GET {BASE}/%61pi/%6bernels HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert place.seen == [("GET", f"{BASE}/api/kernels", 0)]
    long = "初" * 600
    async with browser.get(f"{place.url}{BASE}/lab/tree/{long}.ipynb") as answer:
        assert answer.status == 200


async def test_head_and_options_are_answered_without_a_body(place: Place, browser: aiohttp.ClientSession) -> None:
    async with browser.head(f"{place.url}{BASE}/") as answer:
        assert (answer.status, await answer.read()) == (200, b"")
    async with browser.options(f"{place.url}{BASE}/api/kernels") as answer:
        assert answer.status == 403


async def test_packed_body_goes_on_as_it_came(place: Place, browser: aiohttp.ClientSession) -> None:
    packed, headers = gzip.compress(b"x" * 5000), {"Content-Encoding": "gzip"}
    async with browser.post(f"{place.url}{BASE}/api/kernels", data=packed, headers=headers) as answer:
        assert answer.status == 200
    assert place.heads[0]["Content-Length"] == str(len(packed))
    assert place.seen[0][2] == 5000, "the server behind it unpacks"


async def test_answer_is_counted_unpacked_or_does_not_pass(place: Place, browser: aiohttp.ClientSession) -> None:
    async with browser.get(f"{place.url}{BASE}/lab", headers={"Accept-Encoding": "gzip, br"}) as answer:
        assert (await answer.json())["Accept-Encoding"] == "identity"
    async with browser.get(f"{place.url}{BASE}/lab?packed=1") as answer:
        assert answer.status == 502
        assert (await answer.json())["code"] == "answer_packed"


async def test_answer_reaches_no_further_than_its_workspace(place: Place, browser: aiohttp.ClientSession) -> None:
    before = place.meter.shown_today("w-one")
    async with browser.get(f"{place.url}{BASE}/lab?cookies=1") as answer:
        names = {line.partition("=")[0] for line in answer.headers.getall("Set-Cookie")}
        assert names == {"own", "plain"}
        assert "Service-Worker-Allowed" not in answer.headers
    assert place.meter.shown_today("w-one") - before > 5000, "what stands in a head is shown too"


# --- slow and many ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("begun", ["", "G", f"{PLAIN}X-Slow: ", f"POST {BASE}/api/kernels HTTP/1.1\r\n"])
async def test_head_that_does_not_come_ends_the_connection(begun: str) -> None:
    async with running_place(DoorLimits(head_seconds=0.2)) as place:
        assert await send(place, begun) == b""


async def test_head_that_drips_ends_and_a_body_or_a_websocket_does_not() -> None:
    async with running_place(DoorLimits(head_seconds=0.4)) as place, aiohttp.ClientSession() as browser:
        reader, writer = await asyncio.open_connection("127.0.0.1", place.port)
        channel = await browser.ws_connect(f"{place.url}{CHANNEL}")
        for letter in f"GET {BASE}/lab HTTP/1.1\r\nX: {'y' * 20}":
            writer.write(letter.encode())
            await asyncio.sleep(0.02)
        with contextlib.suppress(ConnectionError):  # It went on dripping after the gate had hung up.
            assert await asyncio.wait_for(reader.read(), 2) == b""
        assert place.gate.front.inside["127.0.0.1"] == 1, "the websocket's"
        writer.close()
        body = f"{POST}Content-Length: 30\r\nConnection: close\r\n\r\n"
        reader, writer = await asyncio.open_connection("127.0.0.1", place.port)
        writer.write(body.encode())
        for _ in range(30):
            writer.write(b"x")
            await asyncio.sleep(0.03)
        assert (await asyncio.wait_for(reader.read(), 5)).startswith(b"HTTP/1.1 200")
        writer.close()
        await channel.send_str("still here")
        assert await channel.receive_str(timeout=5) == "still here"
        await channel.close()


async def test_body_that_does_not_come_ends_too(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate_http, "BODY_GAP_SECONDS", 0.2)
    answer = await send(place, f"{POST}Content-Length: 50\r\nConnection: close\r\n\r\nbegun", seconds=15)
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"body_too_slow" in answer
    await until(lambda: not place.gate.keeper.exchanges)


async def test_second_request_of_a_connection_has_its_own_time() -> None:
    async with running_place(DoorLimits(head_seconds=0.3)) as place:
        reader, writer = await asyncio.open_connection("127.0.0.1", place.port)
        writer.write(f"{PLAIN}\r\n".encode())
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(0.5)  # Silence between two requests is not a slow head.
        writer.write(f"{PLAIN}\r\n".encode())
        await reader.readuntil(b"HTTP/1.1 200")
        writer.write(b"GET /")
        async with asyncio.timeout(3):
            await reader.read()
        writer.close()


async def test_one_address_has_so_many_connections_and_gets_them_back() -> None:
    async with running_place(DoorLimits(per_address=3)) as place:
        held = [await asyncio.open_connection("127.0.0.1", place.port) for _ in range(3)]
        await until(lambda: place.gate.front.inside["127.0.0.1"] == 3)
        assert (await send(place, f"{PLAIN}\r\n")).startswith(b"HTTP/1.1 429")
        held.pop()[1].close()
        await until(lambda: place.gate.front.inside["127.0.0.1"] == 2)
        assert (await send(place, f"{PLAIN}Connection: close\r\n\r\n")).startswith(b"HTTP/1.1 200")
        for _, writer in held:
            writer.close()
        await until(lambda: not place.gate.front.inside)


async def test_client_that_half_closes_or_goes_leaves_nothing_behind(place: Place) -> None:
    for leave in ("half", "reset"):
        reader, writer = await asyncio.open_connection("127.0.0.1", place.port)
        writer.write(f"GET {BASE}/lab?forever=1 HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        await reader.readuntil(b"xxxx")
        assert place.gate.keeper.exchanges
        writer.write_eof() if leave == "half" else writer.transport.abort()
        await until(lambda: not place.gate.keeper.exchanges)
        writer.close()


# --- websockets ------------------------------------------------------------------------------------------------------


async def test_websocket_keeps_bytes_protocol_and_pings_and_packs_nothing(
    place: Place, browser: aiohttp.ClientSession
) -> None:  # fmt: skip
    asked = ["v0", "v1"]
    async with browser.ws_connect(f"{place.url}{CHANNEL}", protocols=asked, compress=15) as channel:
        assert channel.protocol == "v1"
        assert not channel.compress, "the count is of what is shown"
        await channel.ping(b"there?")
        for size in (0, 1, 125, 126, 65_535, 65_536, 3_000_000):
            data = bytes(n % 251 for n in range(min(size, 5000))) * (size // 5000 or 1)
            await channel.send_bytes(data)
            assert await channel.receive_bytes(timeout=10) == data
        await channel.send_str("数闸" * 1000)
        assert await channel.receive_str(timeout=5) == "数闸" * 1000


async def test_close_of_either_side_reaches_the_other(place: Place, browser: aiohttp.ClientSession) -> None:
    channel = await browser.ws_connect(f"{place.url}{CHANNEL}")
    await channel.send_str("leave")
    message = await channel.receive(timeout=5)
    assert (message.type, message.data, message.extra) == (aiohttp.WSMsgType.CLOSE, 4321, ""), "no words of the server"
    await channel.close()
    channel = await browser.ws_connect(f"{place.url}{CHANNEL}")
    await channel.close(code=1000)
    await until(lambda: len(place.ended) == 2)
    await until(lambda: not place.gate.keeper.exchanges)


async def test_websockets_of_a_workspace_are_counted_and_their_messages_capped(
    place: Place, browser: aiohttp.ClientSession
) -> None:  # fmt: skip
    opened = [await browser.ws_connect(f"{place.url}{CHANNEL}") for _ in range(MAX_SOCKETS)]
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await browser.ws_connect(f"{place.url}{CHANNEL}")
    assert refused.value.status == 429
    with contextlib.suppress(ConnectionError):  # The gate need not wait for its end.
        await opened[0].send_bytes(bytes(MAX_MESSAGE + 1))
    assert (await opened[0].receive(timeout=10)).type in {aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED}
    for channel in opened:
        await channel.close()
    await until(lambda: not place.gate.keeper.exchanges)
    channel = await browser.ws_connect(f"{place.url}{CHANNEL}")
    await channel.close()


async def test_websocket_may_come_again_after_it_was_lost(place: Place, browser: aiohttp.ClientSession) -> None:
    for _ in range(5):
        channel = await browser.ws_connect(f"{place.url}{CHANNEL}?session_id=same")
        await channel.send_str("hello")
        assert await channel.receive_str(timeout=5) == "hello"
        assert channel._conn is not None
        channel._conn.transport.abort()  # type: ignore[union-attr]
        await channel.close()
    await until(lambda: not place.gate.keeper.exchanges)
    assert [path for _, path, _ in place.seen] == [f"{CHANNEL}?session_id=same"] * 5


# --- the budget ------------------------------------------------------------------------------------------------------


async def test_budget_is_told_to_those_whom_the_server_knows_and_costs_nothing(
    place: Place, browser: aiohttp.ClientSession
) -> None:  # fmt: skip
    url = f"{place.url}{BASE}/shuzha/budget"
    for headers in ({}, {"Cookie": "session=another"}, {"Authorization": "token x"}):
        async with browser.get(url, headers=headers) as answer:
            assert (answer.status, (await answer.json())["code"]) == (403, "not_signed_in")
    place.meter.add("w-one", "kernelws", shown=100, messages=2)
    async with browser.get(url, headers=KNOWN) as answer:
        said = await answer.json()
        assert answer.headers["Cache-Control"] == "no-store"
    assert (said["shown"], said["state"], said["notice"]) == (100, "fine", None)
    assert said["classes"] == {"kernelws": {"shown": 100, "received": 0, "messages": 2}}
    assert said["budget"] - said["left"] == 100
    assert place.seen == [], "the workspace was asked nothing but who is asking"
    async with browser.post(url, headers=KNOWN) as answer:
        assert answer.status == 403


async def test_budget_warns_stops_says_why_and_can_be_raised(place: Place, browser: aiohttp.ClientSession) -> None:
    place.controls.set_budget("w-one", 10_000)
    place.gate.keeper.refresh()
    url = f"{place.url}{BASE}/shuzha/budget"

    async def standing() -> dict[str, object]:
        async with browser.get(url, headers=KNOWN) as answer:
            return dict(await answer.json())

    channel = await browser.ws_connect(f"{place.url}{CHANNEL}")
    await channel.send_str("x" * 8_000)
    await channel.receive_str(timeout=5)
    low = await standing()
    assert low["state"] == "low"
    assert low["notice"]["code"] == "screen_budget_low"  # type: ignore[index]
    await channel.send_str("y" * 4_000)
    message = await channel.receive(timeout=5)
    assert (message.type, message.data, message.extra) == (aiohttp.WSMsgType.CLOSE, 4429, "screen_budget_used")
    place.meter.add("w-one", "http", shown=2_000)
    for headers in ({"Accept": "text/html"}, {}):
        async with browser.get(f"{place.url}{BASE}/lab", headers=headers) as answer:
            assert answer.status == 429
            assert int(answer.headers["Retry-After"]) > 0
            text = await answer.text()
    assert json.loads(text)["code"] == "screen_budget_used"
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await browser.ws_connect(f"{place.url}{CHANNEL}")
    assert refused.value.status == 429
    assert (await standing())["state"] == "used", "told even when nothing else is"
    day = place.meter.day()
    place.controls.set_budget("w-one", 100_000, day=day)
    place.gate.keeper.refresh()
    assert (await standing())["state"] == "fine"
    async with browser.get(f"{place.url}{BASE}/lab") as answer:
        assert answer.status == 200


async def test_what_cannot_be_counted_is_not_shown(place: Place, browser: aiohttp.ClientSession) -> None:
    channel = await browser.ws_connect(f"{place.url}{CHANNEL}")
    await channel.send_str("x" * 1000)
    assert len(await channel.receive_str(timeout=5)) == 1000
    place.meter._store.execute("pragma query_only=on")  # as a disk that takes no more
    await channel.send_str("x" * 2_000_000)
    message = await channel.receive(timeout=5)
    assert (message.type, message.data, message.extra) == (aiohttp.WSMsgType.CLOSE, 4503, "screen_count_failed")
    place.meter._store.execute("pragma query_only=off")
    async with browser.get(f"{place.url}{BASE}/lab") as answer:
        assert answer.status == 200
