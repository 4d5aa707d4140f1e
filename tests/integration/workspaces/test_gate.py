"""The gate alone: configurable-http-proxy's REST API, bodies of any size, orders that are obeyed or doubted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
import pytest_asyncio
from gate_kit import BASE, TOKEN, Place, running_place
from workspace_kit import ENVIRONMENT

from sandbox.workspaces.gate.meter import read_usage
from sandbox.workspaces.gate.static_files import StaticFiles
from sandbox.workspaces.records.runtime import unix_url

ENDED = {aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR, aiohttp.WSMsgType.CLOSE}


async def drain(answer: aiohttp.ClientResponse) -> None:
    """Read for ever, until the gate hangs up."""
    while True:
        await answer.content.readexactly(1)


@pytest_asyncio.fixture
async def place() -> AsyncIterator[Place]:
    async with running_place() as place:
        yield place


@pytest_asyncio.fixture
async def browser() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def test_request_and_answer_pass_whole(place: Place, browser: aiohttp.ClientSession) -> None:
    headers = {"Host": "sandbox.localhost", "X-Forwarded-For": "6.6.6.6", "Authorization": "token x"}
    async with browser.get(f"{place.url}{BASE}/api/kernels?a=%20b&c=%E5%88%9D", headers=headers) as answer:
        assert answer.status == 200
        assert answer.headers["X-Of-Server"] == "1"
        got = await answer.json()
    assert got["Host"] == "sandbox.localhost"
    assert got["X-Forwarded-For"] == "127.0.0.1"
    assert place.seen == [("GET", f"{BASE}/api/kernels?a=%20b&c=%E5%88%9D", 0)]


async def test_large_body_is_streamed_and_counted(place: Place, browser: aiohttp.ClientSession) -> None:
    size = 48 * 1024**2
    async with browser.get(f"{place.url}{BASE}/lab?size={size}") as answer:
        total = 0
        async for chunk in answer.content.iter_chunked(2**20):
            total += len(chunk)
    assert total == size
    assert size < place.meter.shown_today("w-one") < size + 500, "the body and its head"


async def test_upload_is_capped_even_when_its_size_is_not_told(place: Place, browser: aiohttp.ClientSession) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield bytes(2**20)

    async with browser.put(f"{place.url}{BASE}/api/contents/a.ipynb", data=bytes(17 * 2**20)) as answer:
        assert answer.status == 413
    try:
        async with browser.put(f"{place.url}{BASE}/api/contents/a.ipynb", data=pieces()) as answer:
            assert answer.status in {413, 503}
    except aiohttp.ClientError:
        pass  # the gate hung up, which is an answer too
    assert all(size <= 17 * 2**20 for _, _, size in place.seen)


async def test_websocket_passes_text_bytes_and_protocol_and_is_counted(
    place: Place, browser: aiohttp.ClientSession
) -> None:  # fmt: skip
    async with browser.ws_connect(f"{place.url}{BASE}/api/kernels/1/channels", protocols=["v1"]) as channel:
        assert channel.protocol == "v1"
        await channel.send_str("数闸")
        assert await channel.receive_str(timeout=5) == "数闸"
        await channel.send_bytes(bytes(100_000))
        assert len(await channel.receive_bytes(timeout=5)) == 100_000
    assert place.meter.shown_today("w-one") == 100_006


async def test_suspension_cuts_a_stream_and_a_websocket_in_progress(
    place: Place, browser: aiohttp.ClientSession
) -> None:  # fmt: skip
    channel = await browser.ws_connect(f"{place.url}{BASE}/api/kernels/1/channels")
    stream = await browser.get(f"{place.url}{BASE}/lab?forever=1")
    await stream.content.read(1000)
    place.controls.suspend("w-one", "looked into")
    async with asyncio.timeout(1):
        with pytest.raises(aiohttp.ClientError):
            await drain(stream)
        assert (await channel.receive()).type in {
            aiohttp.WSMsgType.CLOSED,
            aiohttp.WSMsgType.ERROR,
            aiohttp.WSMsgType.CLOSE,
        }
    shown = place.meter.shown_today("w-one")
    for path in ("/lab", "/api/kernels", "/static/lab/package.json"):
        async with browser.get(f"{place.url}{BASE}{path}", headers={"Accept": "text/html"}) as answer:
            assert answer.status == 403
            assert "looked into" in await answer.text()
    with pytest.raises(aiohttp.WSServerHandshakeError):
        await browser.ws_connect(f"{place.url}{BASE}/api/kernels/1/channels")
    assert place.meter.shown_today("w-one") == shown


async def test_reason_is_shown_as_text_and_never_as_html(place: Place, browser: aiohttp.ClientSession) -> None:
    place.controls.suspend("w-one", "<script>alert(1)</script>")
    place.gate.keeper.refresh()
    async with browser.get(f"{place.url}{BASE}/lab", headers={"Accept": "text/html"}) as answer:
        text = await answer.text()
    assert "<script>" not in text
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize("damage", ["absent", "malformed"])
async def test_orders_that_cannot_be_read_hold_everything_back(
    place: Place, browser: aiohttp.ClientSession, damage: str
) -> None:  # fmt: skip
    stream = await browser.get(f"{place.url}{BASE}/lab?forever=1")
    if damage == "absent":
        (place.folder / "controls.json").unlink()
    else:
        (place.folder / "controls.json").write_text("{")
    async with asyncio.timeout(2):
        with pytest.raises(aiohttp.ClientError):
            await drain(stream)
    async with browser.get(f"{place.url}{BASE}/api/kernels") as answer:
        assert answer.status == 503
        assert (await answer.json())["code"] == "controls_unreadable"
    (place.folder / "controls.json").unlink(missing_ok=True)
    place.controls.start()
    place.gate.keeper.refresh()
    async with browser.get(f"{place.url}{BASE}/api/kernels") as answer:
        assert answer.status == 200


async def test_budget_stops_a_stream_and_says_so(place: Place, browser: aiohttp.ClientSession) -> None:
    place.controls.set_budget("w-one", 1_000_000)
    place.gate.keeper.refresh()
    stream = await browser.get(f"{place.url}{BASE}/lab?size={4 * 2**20}")
    with pytest.raises(aiohttp.ClientError):
        await drain(stream)
    assert place.meter.shown_today("w-one") <= 1_000_000
    place.meter.add("w-one", "http", shown=1_000_000)
    async with browser.get(f"{place.url}{BASE}/api/kernels") as answer:
        assert answer.status == 429
        assert (await answer.json())["code"] == "screen_budget_used"
    assert place.meter.left_today("w-one", 1_000_000) <= 0


async def test_server_that_does_not_answer_is_said(place: Place, browser: aiohttp.ClientSession) -> None:
    place.gate.routes.put("/user/u-zhao/w-two", unix_url(place.folder / "absent.sock"), {})
    async with browser.get(f"{place.url}/user/u-zhao/w-two/lab") as answer:
        assert answer.status == 503
        assert (await answer.json())["code"] == "server_unreachable"


async def test_rest_api_is_that_of_configurable_http_proxy(place: Place, browser: aiohttp.ClientSession) -> None:
    api = f"http://127.0.0.1:{place.api_port}/api/routes"
    async with browser.get(api) as answer:
        assert answer.status == 403
    allowed = {"Authorization": f"token {TOKEN}"}
    route = {"target": "http://127.0.0.1:9", "user": "u-sun", "server_name": "w-two"}
    async with browser.post(f"{api}/user/u-sun/w-two/", json=route, headers=allowed) as answer:
        assert answer.status == 201
    async with browser.get(api, headers=allowed) as answer:
        found = (await answer.json())["/user/u-sun/w-two"]
    assert {k: found[k] for k in route} == route
    assert found["last_activity"].endswith("Z")
    async with browser.post(f"{api}/x", json={"target": "file:///etc/passwd"}, headers=allowed) as answer:
        assert answer.status == 400
    async with browser.delete(f"{api}/user/u-sun/w-two", headers=allowed) as answer:
        assert answer.status == 204
    async with browser.delete(f"{api}/user/u-sun/w-two", headers=allowed) as answer:
        assert answer.status == 404


async def test_static_files_come_from_the_environment_and_from_nowhere_else(
    place: Place, browser: aiohttp.ClientSession
) -> None:  # fmt: skip
    async with browser.get(f"{place.url}{BASE}/static/lab/package.json") as answer:
        assert answer.status == 200
    for rest in ("static/lab/../../../../pyvenv.cfg", "static/../../x", "static//etc/passwd", "lab/extensions/.."):
        assert StaticFiles(ENVIRONMENT).find(rest) is None
    for path in ("static/lab/absent.js", "kernelspecs/python3/kernel.json"):
        async with browser.get(f"{place.url}{BASE}/{path}") as answer:
            assert answer.status == 404
    assert place.seen == []
    assert place.meter.shown_today("w-one") == 0


async def test_neighbour_is_served_while_one_is_suspended(place: Place, browser: aiohttp.ClientSession) -> None:
    place.gate.routes.put("/user/u-sun/w-two", unix_url(place.folder / "server.sock"), {})
    place.controls.suspend("w-one", "held")
    place.gate.keeper.refresh()
    async with browser.get(f"{place.url}/user/u-sun/w-two/api/kernels") as answer:
        assert answer.status == 200


async def test_server_that_does_not_run_is_the_hubs_to_explain_and_counts_nothing(
    place: Place, browser: aiohttp.ClientSession
) -> None:  # fmt: skip
    place.gate.routes.put("/", unix_url(place.folder / "server.sock"), {})
    async with browser.get(f"{place.url}/user/u-zhao/w-none/lab") as answer:
        assert answer.status == 200
    place.meter.save()
    assert read_usage(place.folder / "usage.db") == ()
    place.controls.suspend("w-none", "held")
    place.gate.keeper.refresh()
    async with browser.get(f"{place.url}/user/u-zhao/w-none/lab") as answer:
        assert answer.status == 403


@pytest.mark.parametrize(
    "path", ["/%75ser/u-zhao/w-one/files/a", "//user/u-zhao/w-one/files/a", "/user%2fu-zhao/w-one/x"]
)
async def test_workspace_is_reached_by_its_plain_path_only(place: Place, path: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", place.port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    answer = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    assert answer.split()[1] in {b"400", b"503"}
    assert place.seen == []
