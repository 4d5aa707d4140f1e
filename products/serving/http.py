"""The raw ASGI side: header fields, a body with a cap, an answer. No framework stands between the wire and a call."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from products.serving.gate import Call
from products.serving.metrics import Metrics
from products.serving.protocol import BODY_SECONDS
from products.serving.signing import Asked, Seen, Signer, read_asked
from products.serving.wire import BODY_CAP, Answer, Refusal

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Endpoint = Callable[[Call], Awaitable[Answer]]

log = logging.getLogger(__name__)


class Disconnected(Exception):
    """The caller hung up before its request was whole."""


def too_large() -> Refusal:
    """Return the refusal of a body over the cap; the connection is closed, for its rest is not read."""
    return Refusal(
        413, "body_too_large", "the request's body is too large", rule="http.body_cap",
        accepted=f"at most {BODY_CAP} bytes", headers=[(b"connection", b"close")],
    )  # fmt: skip


def too_slow() -> Refusal:
    """Return the refusal of a body that does not come; the connection is closed."""
    return Refusal(
        408, "body_too_slow", "the request's body did not arrive in time", rule="http.body_seconds",
        accepted=f"the whole body within {BODY_SECONDS:.0f} s", headers=[(b"connection", b"close")],
    )  # fmt: skip


async def read_body(headers: dict[bytes, bytes], receive: Receive, cap: int = BODY_CAP) -> bytes:
    """Return the whole body; refuses (413) by the announced length before anything is read, else at the cap.

    A body that does not come in time is refused too (408).
    """
    announced = headers.get(b"content-length", b"0")
    if not announced.isdigit() or int(announced) > cap:
        raise too_large()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            message = await receive()
            body: bytes = message.get("body", b"")
            while message.get("more_body", False) and len(body) <= cap:
                message = await receive()
                body += message.get("body", b"")
    except TimeoutError:
        raise too_slow() from None
    if message["type"] == "http.disconnect":
        raise Disconnected
    if len(body) > cap:
        raise too_large()
    return body


async def send_answer(send: Send, answer: Answer) -> None:
    """Send an answer."""
    headers = [*answer.headers, (b"content-length", b"%d" % len(answer.body))]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


async def run(
    endpoint: Endpoint, metrics: Metrics, name: str, code: str, asgi: tuple[Scope, Receive, Send],
    signer: Signer | None = None,
) -> None:  # fmt: skip
    """Run one endpoint on one request: read, call, answer, count; sign the answer where the caller asks for it."""
    scope, receive, send = asgi
    started = time.perf_counter()
    headers = dict(scope["headers"])
    asked: Asked | None = None
    try:
        if signer is not None and b"accept-signature" in headers:
            asked = read_asked(headers[b"accept-signature"])
        body = await read_body(headers, receive)
        answer = await endpoint(make_call(scope, headers, code, body))
    except Refusal as refusal:
        answer = refusal.answer()
    except Disconnected:
        return
    except Exception as error:  # The boundary of the raw path: its kind is logged, its text may hold data.
        log.error("a call of %s failed: %s", name, type(error).__name__)
        answer = Refusal(500, "failure", "the platform failed to answer; the call was not charged").answer()
    if asked is not None and signer is not None:
        answer = signer.sign(asked, answer, see(scope, headers))
    await send_answer(send, answer)
    metrics.count(name, answer.status, time.perf_counter() - started)


def see(scope: Scope, headers: dict[bytes, bytes]) -> Seen:
    """Return a request as a signature can name it."""
    query = scope.get("query_string", b"").decode("latin-1")
    path = scope.get("raw_path", b"").partition(b"?")[0].decode("latin-1") or scope["path"]
    return Seen(scope["method"], path, query, scope.get("scheme", "http"), headers)


def signed(app: App, signer: Signer) -> App:
    """Return the app with its answers signed for callers who ask; the others' calls pass as they are."""

    async def signing(scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"]) if scope["type"] == "http" else {}
        if b"accept-signature" not in headers:
            await app(scope, receive, send)
            return
        try:
            asked = read_asked(headers[b"accept-signature"])
        except Refusal as refusal:
            await send_answer(send, refusal.answer())
            return
        told: MutableMapping[str, Any] = {}
        body = bytearray()

        async def collect(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                told.update(message)
                return
            body.extend(message.get("body", b""))
            if not message.get("more_body", False):
                fields = [(name.lower(), value) for name, value in told["headers"]]
                kept = [(name, value) for name, value in fields if name != b"content-length"]
                await send_answer(
                    send, signer.sign(asked, Answer(told["status"], kept, bytes(body)), see(scope, headers))
                )

        await app(scope, receive, collect)

    return signing


def make_call(scope: Scope, headers: dict[bytes, bytes], code: str, body: bytes) -> Call:
    """Return the call of a request."""
    client = scope.get("client")
    return Call(
        code,
        headers.get(b"authorization", b"").decode("latin-1"),
        headers.get(b"idempotency-key", b"").decode("latin-1"),
        client[0] if client else "",
        body,
    )


def capped(app: App, cap: int = BODY_CAP) -> App:
    """Return the app behind the same cap on bodies: a larger one is refused before the app sees it."""

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        try:
            body = await read_body(dict(scope["headers"]), receive, cap)
        except Refusal as refusal:
            await send_answer(send, refusal.answer())
            return
        except Disconnected:
            return
        handed = False

        async def replay() -> MutableMapping[str, Any]:
            nonlocal handed
            if handed:
                return await receive()
            handed = True
            return {"type": "http.request", "body": body, "more_body": False}

        await app(scope, replay, send)

    return guarded
