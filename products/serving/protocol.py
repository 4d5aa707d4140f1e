"""HTTP over a connection that keeps to the clock: who sends a request's head too slowly is hung up on."""

from __future__ import annotations

import asyncio
from typing import Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_SECONDS: Final = 10.0
BODY_SECONDS: Final = 10.0


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
