"""The short way of a verification is the documented way: the same answers, the same events, the same refusals."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.serving_kit import ServingCity, caller, served


@pytest.fixture(scope="module")
def city(tmp_path_factory):
    return ServingCity(tmp_path_factory.mktemp("city"))


def told(response):
    """Return what an answer says, without what chance made and what a key has left."""
    body = {name: value for name, value in response.json().items() if name not in ("trace", "usage_id")}
    by_chance = ("ratelimit", "shuzha-log-index")
    headers = {
        name: name in by_chance or value
        for name, value in response.headers.items()
        if name not in ("date", "content-length")
    }
    return response.status_code, headers, body


def event_of(meter):
    event = meter.events[-1]
    return event.claim, event.purpose, event.waived, event.price, event.consent, event.request_digest, event.quantity


CALLS = [
    ({}, {}), ({"subject": {"resident_id": "x"}}, {}), ({"claim": "rich"}, {}), ({"purpose": "marketing"}, {}),
    ({"subject": {"name": "x"}}, {}), ({"consent": ""}, {}), ({"extra": 1}, {}), ({}, {"Idempotency-Key": "a"}),
    ({}, {"Idempotency-Key": "a"}), ({"consent": "c-2"}, {"Idempotency-Key": "a"}),
    ({}, {"Idempotency-Key": "k" * 201}),
    ({}, {"Authorization": "Basic x"}), ({}, {"Authorization": ""}), ({}, {"Accept-Encoding": "gzip", "X-Other": "1"}),
]  # fmt: skip
TAKEN = [True, True, False, False, False, False, False, True, True, True, False, False, False, True]


async def test_the_short_way_answers_as_the_documented_way_does(city):
    path, keys = f"/v1/products/{city.product.code}/verify", [city.key(), city.key()]
    parts = [city.parts(), city.parts()]
    async with served(parts[0]) as short, short.client(keys[0]) as one, caller(parts[1], keys[1], raw=False) as other:
        for changes, headers in CALLS:
            body = city.question(**changes)
            answers = [await each.post(path, json=body, headers=headers) for each in (one, other)]
            assert told(answers[0]) == told(answers[1])
            assert event_of(parts[0].meter) == event_of(parts[1].meter)
        for content in (b"{", b"", b"x" * 70_000, b"\xff"):
            answers = [await each.post(path, content=content) for each in (one, other)]
            assert told(answers[0]) == told(answers[1])
        assert short.took[: len(CALLS)] == TAKEN
        assert not any(short.took[len(CALLS) :])
        assert len(parts[0].meter.events) == len(parts[1].meter.events)


async def test_the_short_way_leaves_what_it_refuses_as_it_was(city):
    key = city.key(rate=2, daily_quota=1)
    parts = city.parts()
    path = f"/v1/products/{city.product.code}/verify"
    async with served(parts) as short, short.client(key) as client:
        assert (await client.post(path, json=city.question())).status_code == 200
        refused = await client.post(path, json=city.question())
        assert (refused.status_code, refused.json()["code"]) == (429, "quota_exceeded")
        # The clock of the city stands still, so a token that a refusal took twice would show in the next one.
        assert refused.headers["ratelimit"].startswith('"second";r=')
        parts.meter.down = True
        other = city.key()
        parts.state.step()
        down = await client.post(path, json=city.question(), headers={"Authorization": f"Bearer {other.secret}"})
        assert (down.status_code, down.json()["code"]) == (503, "meter_unavailable")
        parts.meter.down = False
        good = await client.post(path, json=city.question(), headers={"Authorization": f"Bearer {other.secret}"})
        assert '"day";r=99999' in good.headers["ratelimit"]
    assert short.took == [True, False, False, True]


async def test_news_reach_the_short_way_at_the_next_call(city):
    key, parts = city.key(), city.parts()
    path = f"/v1/products/{city.product.code}/verify"
    async with served(parts) as short, short.client(key) as client:
        assert (await client.post(path, json=city.question())).status_code == 200
        city.city.api_keys.suspend_key(city.city.authority, key.key.id, "an inquiry")
        parts.state.step()
        assert (await client.post(path, json=city.question())).json()["code"] == "key_suspended"
        city.city.api_keys.restore_key(city.city.authority, key.key.id, "settled")
        parts.state.step()
        assert (await client.post(path, json=city.question())).status_code == 200
        parts.state._heard -= 60
        assert (await client.post(path, json=city.question())).json()["code"] == "state_unknown"
    assert short.took == [True, False, True, False]


def message(city, key, number, *, extra=b"", version=b"1.1", path=b"verify"):
    body = json.dumps(city.question(number)).encode()
    return (
        b"POST /v1/products/%b/%b HTTP/%b\r\nHost: x\r\nAuthorization: Bearer %b\r\n%bContent-Length: %d\r\n\r\n%b"
        % (city.product.code.encode(), path, version, key.secret.encode(), extra, len(body), body)
    )


async def read_answers(reader, count):
    found = []
    for _ in range(count):
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        found.append((head, json.loads(await reader.readexactly(length))))
    return found


async def test_requests_in_a_row_in_pieces_and_of_other_kinds_are_answered_in_order(city):
    key, parts = city.key(), city.parts()
    async with served(parts) as short, asyncio.timeout(20):
        reader, writer = await asyncio.open_connection("127.0.0.1", short.port)
        writer.write(b"".join(message(city, key, number) for number in range(5)) + b"GET /healthz HTTP/1.1\r\n\r\n")
        answers = await read_answers(reader, 6)
        assert [body.get("result") for _, body in answers] == ["match", "no_match", "match", "no_match", "match", None]
        assert answers[5][1] == {"status": "ok"}
        for piece in (20, 60, -3):
            whole = message(city, key, 1)
            writer.write(whole[:piece])
            await writer.drain()
            await asyncio.sleep(0.02)
            writer.write(whole[piece:])
            assert (await read_answers(reader, 1))[0][1]["result"] == "no_match"
        odd = [{"extra": b"Transfer-Encoding: identity\r\n"}, {"extra": b"Expect: 200-ok\r\n"}]
        for changes in odd:
            writer.write(message(city, key, 2, **changes))
            head = await reader.readuntil(b"\r\n\r\n")
            assert b" 200 " in head or b" 400 " in head
            if b" 400 " in head:
                reader, writer = await asyncio.open_connection("127.0.0.1", short.port)
            else:
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                await reader.readexactly(length)
        writer.write(message(city, key, 2, extra=b"Connection: close\r\n"))
        ((head, body),) = await read_answers(reader, 1)
        assert b"connection: close" in head.lower()
        assert body["result"] == "match"
        assert await reader.read() == b""
        reader, writer = await asyncio.open_connection("127.0.0.1", short.port)
        writer.write(message(city, key, 2, version=b"1.0"))
        assert (await read_answers(reader, 1))[0][1]["result"] == "match"
        writer.close()
    assert True in short.took


async def test_a_caller_who_hangs_up_is_metered_and_nothing_else_suffers(city):
    key, parts = city.key(), city.parts()
    async with served(parts) as short, asyncio.timeout(20):
        for number in range(20):
            _, writer = await asyncio.open_connection("127.0.0.1", short.port)
            writer.write(message(city, key, number))
            await writer.drain()
            writer.transport.abort()
        async with short.client(key) as client:
            path = f"/v1/products/{city.product.code}/verify"
            assert (await client.post(path, json=city.question())).status_code == 200
