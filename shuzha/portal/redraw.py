"""Draws the page of a refused form again where its verb never ran: a field could not be read, or a value not parsed.

Such a form is refused before any page is at hand, so the page is asked for as the browser would: the one that the form
was sent from, else the one at its address, else the nearest above. It is drawn with the reasons and what was typed.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import Any
from urllib.parse import unquote, urlsplit

from fastapi import Request
from fastapi.responses import Response

from shuzha.portal.refused import Refused

_BODY = (b"content-type", b"content-length", b"transfer-encoding")
_KEPT = (
    "type", "asgi", "http_version", "server", "client", "scheme", "root_path", "extensions",
)  # fmt: skip


async def draw_again(request: Request, refused: Refused) -> Response | None:
    """Return the page on which the form stands, drawn again; None where no page of the person's has it."""
    for path, query in dict.fromkeys(_places(request)):
        asked = _Asked(request, refused, path, query)
        await request.app(asked.scope, asked.receive, asked.send)
        if refused.drawn and asked.status == refused.status:
            return Response(bytes(asked.body), asked.status, headers=asked.headers)
    return None


def _places(request: Request) -> Iterator[tuple[str, str]]:
    came_from = urlsplit(request.headers.get("Referer", ""))
    if came_from.netloc == request.headers.get("Host") and came_from.path:
        yield unquote(came_from.path), came_from.query
    path = request.url.path
    while len(path) > 1:
        yield path, ""
        path = path.rsplit("/", 1)[0] or "/"


class _Asked:
    """One page asked for in the name of the request: its scope, and what the app answered."""

    def __init__(self, request: Request, refused: Refused, path: str, query: str) -> None:
        kept = {name: request.scope[name] for name in _KEPT if name in request.scope}
        headers = [(name, value) for name, value in request.scope["headers"] if name not in _BODY]
        self.scope: dict[str, Any] = {
            **kept, "method": "GET", "path": path, "raw_path": path.encode(), "query_string": query.encode(),
            "headers": headers, "state": {"refused": refused},
        }  # fmt: skip
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = bytearray()

    async def receive(self) -> dict[str, Any]:
        """Give the empty body of a GET."""
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(self, message: MutableMapping[str, Any]) -> None:
        """Keep what the app answers."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            named = ((name.decode("latin-1"), value.decode("latin-1")) for name, value in message["headers"])
            self.headers = {name: value for name, value in named if name.lower() != "content-length"}
        elif message["type"] == "http.response.body":
            self.body += message.get("body", b"")
