"""A browser's connection to a kernel that reads the kernel's output no faster than the browser takes it.

The gate shows at a pace and holds back what is beyond it. The stock connection reads on and keeps the rest in the
server's memory, until the server is ended for it. Here the rest stays with the kernel, whose cell then waits.
"""

from __future__ import annotations

from typing import Any

from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection

MOST_UNSENT = 1024 * 1024
MOST_WAITING = 64
"""What one connection may hold: so many bytes on their way to the browser, so many messages of output before that."""


class PacedChannels(ZMQChannelsWebsocketConnection):  # type: ignore[misc]
    """The stock connection, with a stop. Only output waits: replies, and what the browser sends, go as ever."""

    _unsent = 0
    _waits = False
    _may_wait = True

    @property
    def write_message(self) -> Any:
        """What sends a message to the browser."""
        return self._write

    def create_stream(self) -> None:
        """Connect to the kernel, and let few messages of output wait here: the kernel has them all the same."""
        super().create_stream()
        output = self.channels["iopub"].socket
        kernel = output.last_endpoint
        output.disconnect(kernel)
        output.rcvhwm = MOST_WAITING  # It holds for connections that are made from now on.
        output.connect(kernel)

    def disconnect(self) -> None:
        """Let go of the kernel; what it says from now on is kept, or not, as the stock connection does."""
        self._waits = False
        super().disconnect()

    def _write(self, message: Any, binary: bool = False) -> Any:
        written = self.websocket_handler.write_message(message, binary=binary)
        size = len(message)
        self._unsent += size
        written.add_done_callback(lambda done: self._sent(size, done))
        output = self.channels.get("iopub")
        if self._unsent > MOST_UNSENT and self._may_wait and output is not None and not output.closed():
            self._waits = True
            output.stop_on_recv()
        return written

    def _sent(self, size: int, done: Any) -> None:
        self._unsent -= size
        if not done.cancelled():
            done.exception()  # A browser that has gone is no news here.
        if self._unsent <= MOST_UNSENT // 2:
            self._read_on()

    def _read_on(self) -> None:
        output = self.channels.get("iopub")
        if self._waits and output is not None and not output.closed():
            self._waits = False
            output.on_recv_stream(self.handle_outgoing_message)

    def _send_status_message(self, status: str) -> None:
        # It first hands on all that the ended kernel had said: few messages, and without a reader they would be lost.
        self._read_on()
        self._may_wait = False
        try:
            super()._send_status_message(status)
        finally:
            self._may_wait = True
