"""No body larger than its route needs: refused by its announced length before a byte is read, else where it grows.

Files that are streamed into the inbox are counted by the catalogue, whose cap is another.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.exceptions import HTTPException

MOST_BYTES = 1 << 20
MOST_SAMPLE_BYTES = 64 << 20
MOST_OWN_BYTES = 17 << 20
MOST_EVIDENCE_BYTES = 5 << 20
_SAMPLE_FORM = "/entries"
_OWN_FILES = "/imports"
MOST_COPY_BYTES = 65 << 20
_EVIDENCE = "/evidence"
_TRACES = "/traces"
_STREAMED = ("/batches", "/scan")

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]


class BodyTooLarge(HTTPException):
    """A body over its route's cap; the connection is closed, for the rest is not read."""

    code = "body_too_large"
    rule = "http.body_cap"

    def __init__(self, cap: int) -> None:
        super().__init__(413, "the request's body is too large", {"Connection": "close"})
        self.accepted = f"at most {cap} bytes"


class BodyCap:
    """The app behind caps on bodies."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request; whoever reads a body over the cap gets BodyTooLarge."""
        cap = cap_of(scope["path"]) if scope["type"] == "http" else None
        await self._app(scope, receive if cap is None else _counted(scope, receive, cap), send)


def cap_of(path: str) -> int | None:
    """Return the most bytes that a request to this path may bring; None where the catalogue counts them."""
    if path == _SAMPLE_FORM:
        return MOST_SAMPLE_BYTES
    if path.endswith(_OWN_FILES):
        return MOST_OWN_BYTES
    if path.endswith(_EVIDENCE):
        return MOST_EVIDENCE_BYTES
    if path.endswith(_TRACES):
        return MOST_COPY_BYTES
    return None if path.endswith(_STREAMED) else MOST_BYTES


def _counted(scope: MutableMapping[str, Any], receive: Receive, cap: int) -> Receive:
    announced = dict(scope["headers"]).get(b"content-length", b"0")
    size = int(announced) if announced.isdigit() else cap + 1
    read = 0

    async def counted() -> Message:
        nonlocal read
        if size > cap:
            raise BodyTooLarge(cap)
        message = await receive()
        read += len(message.get("body", b""))
        if read > cap:
            raise BodyTooLarge(cap)
        return message

    return counted
