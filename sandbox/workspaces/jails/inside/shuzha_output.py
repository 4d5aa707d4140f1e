"""A kernel's output goes no faster than it is taken: code that shows without end waits, and nothing is lost.

As it comes, ipykernel puts aside what is not taken, without end, and its socket drops what is beyond a thousand
messages: among them the word that a cell has ended. Here code waits until its readers have caught up; an interrupt
ends the waiting. Code that goes around this hurts its own kernel only: what passes is held by server and gate.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import zmq
from ipykernel import kernelapp  # type: ignore[import-not-found]
from ipykernel.control import ControlThread  # type: ignore[import-not-found]
from ipykernel.iostream import IOPubThread, OutStream  # type: ignore[import-not-found]
from ipykernel.shellchannel import ShellChannelThread  # type: ignore[import-not-found]

MOST_ASIDE = 4 * 1024 * 1024
MOST_PRINTED = 1024 * 1024
MOST_WAITING = 64
"""How far code may be ahead of its readers: bytes in all, characters printed, messages for each reader."""

_LOOK_SECONDS = 0.2
_SEND_MILLISECONDS = 100


class Aside:
    """The bytes that code has shown and the kernel has not sent; who would add to too many waits."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held = 0
        self._fewer = threading.Condition()

    def put(self, size: int, may_wait: Callable[[], bool]) -> None:
        """Add `size` bytes once there is room, or as soon as `may_wait` says no."""
        with self._fewer:
            while self._held > self._most and may_wait():
                self._fewer.wait(_LOOK_SECONDS)
            self._held += size

    def take(self, size: int) -> None:
        """Take away what was sent."""
        with self._fewer:
            self._held -= size
            self._fewer.notify_all()


class Output(IOPubThread):  # type: ignore[misc]
    """The thread that sends a kernel's output, for which code waits when it is far behind."""

    def __init__(self, socket: Any, **named: Any) -> None:
        self._aside = Aside(MOST_ASIDE)
        super().__init__(socket, **named)

    def may_wait(self) -> bool:
        """Return whether the calling thread may wait: not the kernel's own, not in a child, not once all has ended."""
        calling = threading.current_thread()
        own = calling is self.thread or isinstance(calling, (ControlThread, ShellChannelThread))
        return not own and self._is_master_process() and self.thread.is_alive() and not self._stopped

    def send_multipart(self, message: Any, *given: Any, **named: Any) -> None:
        """Have a message sent by the thread, once there is room for it."""
        size = sum(len(part) for part in message)
        self._aside.put(size, self.may_wait)

        def send() -> None:
            try:
                self._really_send(message, *given, **named)
            finally:
                self._aside.take(size)

        self.schedule(send)

    def _really_send(self, *given: Any, **named: Any) -> None:
        self._insist(super()._really_send, *given, **named)

    def _send_welcome_message(self, *given: Any, **named: Any) -> None:
        self._insist(super()._send_welcome_message, *given, **named)

    def _insist(self, send: Callable[..., None], *given: Any, **named: Any) -> None:
        """Send as soon as every reader has room; a kernel that ends waits for nobody."""
        while True:
            try:
                return send(*given, **named)
            except zmq.Again:
                if self._stopped:
                    return None


class Printed(OutStream):  # type: ignore[misc]
    """What code prints, which is put together and sent now and then: at the latest when there is much of it."""

    _ahead = 0

    def write(self, string: str) -> int | None:
        """Print, and wait until it is sent when much was printed since."""
        done: int | None = super().write(string)
        self._ahead += len(string)
        thread = self.pub_thread
        if self._ahead > MOST_PRINTED and thread is not None and thread.may_wait():
            self._ahead = 0
            sent = threading.Event()
            thread.schedule(self._flush)
            thread.schedule(sent.set)
            while not sent.wait(_LOOK_SECONDS) and thread.may_wait():
                pass
        return done


class WaitingKernel(kernelapp.IPKernelApp):  # type: ignore[misc]
    """A kernel whose output waits for every reader, in its socket too."""

    outstream_class = f"{__name__}.{Printed.__name__}"

    def _bind_socket(self, s: Any, port: int) -> Any:
        if s.type == zmq.XPUB:
            s.sndhwm, s.xpub_nodrop, s.sndtimeo = MOST_WAITING, 1, _SEND_MILLISECONDS
        return super()._bind_socket(s, port)


def be_the_kernel() -> None:
    """Be the kernel that the arguments describe, until it ends."""
    kernelapp.IOPubThread = Output
    WaitingKernel.launch_instance()
