"""HTTP over a connection that keeps to the clock, with a short way for verifications that arrive whole.

Who sends a request's head too slowly is hung up on. A `POST /v1/products/{code}/verify` that arrived in one piece is
handed to `Fast` at once; what that does not take, and all else, goes through the app as ASGI says.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, ClassVar, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from products.serving.wire import BODY_CAP

if TYPE_CHECKING:
    from products.serving.fast import Fast

HEAD_SECONDS: Final = 10.0
BODY_SECONDS: Final = 10.0
PREFIX: Final = b"/v1/products/"
SUFFIX: Final = b"/verify"


class PunctualProtocol(HttpToolsProtocol):
    """uvicorn's protocol, with `HEAD_SECONDS` for a request's head, also for one that never begins.

    uvicorn bounds only the silence after an answer: without this a few thousand silent callers hold every connection.
    A request that arrives whole costs no timer.
    """

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._begin()

    def data_received(self, data: bytes) -> None:
        """Take bytes; where they do not complete a head, the rest of it is waited for."""
        super().data_received(data)
        if self.cycle is None or self.cycle.response_complete:
            self._begin()

    def on_headers_complete(self) -> None:
        """Stop waiting: the head is there."""
        self._end()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting: nobody is there."""
        self._end()
        super().connection_lost(exc)

    def _begin(self) -> None:
        if self._deadline is None and not self.transport.is_closing():
            self._deadline = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _end(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class _Deaf:
    """Stands for an event that nobody waits for."""

    def set(self) -> None:
        """Do nothing."""


class _Awaited:
    """What uvicorn sees of a call that is answered the short way: as much of its cycle as it looks at."""

    __slots__ = ("_protocol", "body", "disconnected", "keep_alive", "more_body", "response_complete")

    message_event = _Deaf()

    def __init__(self, protocol: ShortProtocol, *, keep_alive: bool) -> None:
        self._protocol = protocol
        self.body = bytearray()
        self.disconnected = False
        self.keep_alive = keep_alive
        self.more_body = False
        self.response_complete = False

    def finish(self, status: int, head: bytes, body: bytes) -> None:
        """Send the answer; nothing where the caller has hung up."""
        if not self.disconnected:
            self.response_complete = True
            self._protocol.answer(self, status, head, body)


class ShortProtocol(PunctualProtocol):
    """The protocol with the short way. A request is held until it is whole; then one of the two ways takes it."""

    fast: ClassVar[Fast]
    _held = False
    _plain = True
    _body = b""
    _authorization = b""
    _idempotency = b""

    def on_message_begin(self) -> None:
        """Begin a request; what only the app needs of it is made when the app is to see it."""
        self.url = b""
        self.expect_100_continue = False
        self.headers = []
        self._held = False
        self._plain = True
        self._authorization = self._idempotency = b""

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a field; some of them only the app understands."""
        name = name.lower()
        if name == b"authorization":
            self._authorization = value
        elif name == b"idempotency-key":
            self._idempotency = value
        elif name in _APP_ONLY:
            self._plain = False
            if name == b"expect" and value.lower() == b"100-continue":
                self.expect_100_continue = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Hold a verification until it is whole; give everything else to the app."""
        url = self.url
        if (
            self._plain and url.endswith(SUFFIX) and url.startswith(PREFIX)
            and (self.cycle is None or self.cycle.response_complete) and not self.pipeline
            and self.parser.get_method() == b"POST" and self.parser.get_http_version() == "1.1"
            and not self.parser.should_upgrade()
        ):  # fmt: skip
            if self._deadline is not None:
                self._end()
            self._held = True
            self._body = b""
            return
        self._give_to_app()

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        if not self._held:
            super().on_body(body)
            return
        self._body = self._body + body if self._body else body
        if len(self._body) > BODY_CAP:
            self._let_go()

    def on_message_complete(self) -> None:
        """Answer a whole request the short way, or give it to the app."""
        if not self._held:
            super().on_message_complete()
            return
        code = self.url[len(PREFIX) : -len(SUFFIX)]
        if code.isalnum() or (code.isascii() and not _ESCAPED.intersection(code)):
            awaited = _Awaited(self, keep_alive=self.parser.should_keep_alive())
            if self.fast.serve(code.decode(), self._authorization, self._idempotency, self._body, awaited.finish):
                self._held = False
                self.cycle = awaited  # type: ignore[assignment]
                return
        self._let_go()
        super().on_message_complete()

    def data_received(self, data: bytes) -> None:
        """Take bytes; a held request that is not whole yet goes to the app, which waits for its rest."""
        super().data_received(data)
        if self._held:
            self._let_go()

    def answer(self, awaited: _Awaited, status: int, head: bytes, body: bytes) -> None:
        """Write an answer and go on to the next request."""
        lines = [STATUS_LINE[status]]
        for name, value in self.server_state.default_headers:
            lines += (name, b": ", value, b"\r\n")
        closing = b"" if awaited.keep_alive else b"connection: close\r\n"
        lines.append(b"%bcontent-length: %d\r\n%b\r\n%b" % (head, len(body), closing, body))
        self.transport.write(b"".join(lines))
        if not awaited.keep_alive:
            self.transport.close()
        self.on_response_complete()

    def _let_go(self) -> None:
        body, self._held = self._body, False
        self._give_to_app()
        if body:
            super().on_body(body)

    def _give_to_app(self) -> None:
        url, headers, expect = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.headers, self.expect_100_continue = url, headers, expect
        self.scope["headers"] = headers
        super().on_headers_complete()


_APP_ONLY: Final = frozenset((b"accept-signature", b"expect", b"transfer-encoding", b"upgrade"))
_ESCAPED: Final = frozenset(b"/%?#;")


def protocol_with(fast: Fast) -> type[ShortProtocol]:
    """Return the protocol that knows this short way, as uvicorn's configuration takes it."""
    return type("ShortProtocol", (ShortProtocol,), {"fast": fast})
