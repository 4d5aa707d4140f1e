"""Between a room's kernel and who drives it: what the kernel says is counted on the wire, before it is understood.

ZeroMQ takes a whole message into memory before it gives it to anybody, however large, and one of endless parts without
end. Who drives a room is in no jail: a kernel that spoke ZeroMQ itself could fill the host's memory. So the driver
connects here, and the kernel's bytes go on to it up to a cap.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from sandbox.workspaces.clean_room.box import PORTS, SOCKET_NAME, Room

_PIECE = 64 * 1024
_OVERHEAD = 4 * 1024**2


def most_on_the_wire(said_bytes: int) -> int:
    """Return how many bytes a kernel may send that may say `said_bytes`: heads, signatures and replies come on top."""
    return 2 * said_bytes + _OVERHEAD


@dataclass(slots=True)
class Relay:
    """The sockets of one room as its driver sees them, while the `async with` block lasts.

    Above `most_bytes` from the kernel nothing more goes on, and `on_flood` is called, once, from a thread.
    """

    room: Room
    most_bytes: int
    on_flood: Callable[[], None]
    said: int = 0
    _folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="sz-", dir="/tmp")))
    _servers: list[asyncio.Server] = field(default_factory=list)
    _carrying: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def place(self) -> str:
        """What the sockets' names begin with, as a kernel's connection file has it; a short path."""
        return str(self._folder / SOCKET_NAME)

    async def __aenter__(self) -> Self:
        """Answer on a socket for each of the kernel's, in a folder that only this user enters."""
        for port in PORTS.values():
            self._servers.append(await asyncio.start_unix_server(self._answer(port), f"{self.place}-{port}"))
        return self

    async def __aexit__(self, *_: object) -> None:
        """Answer no more."""
        for server in self._servers:
            server.close()
        for task in tuple(self._carrying):
            task.cancel()
        await asyncio.gather(*self._carrying, return_exceptions=True)
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)

    def _answer(self, port: int) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], None]:
        def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.ensure_future(self._carry_both(port, reader, writer))
            self._carrying.add(task)
            task.add_done_callback(self._carrying.discard)

        return answer

    async def _carry_both(self, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection; where the kernel does not listen yet, the driver is let go and comes again."""
        with contextlib.closing(writer), contextlib.suppress(OSError):
            path = self.room.box / "sockets" / f"{SOCKET_NAME}-{port}"
            inner, outward = await asyncio.open_unix_connection(str(path), limit=_PIECE)
            with contextlib.closing(outward):
                ways = [
                    asyncio.ensure_future(self._carry(reader, outward, counted=False)),
                    asyncio.ensure_future(self._carry(inner, writer, counted=True)),
                ]
                try:
                    await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for way in ways:
                        way.cancel()
                    await asyncio.gather(*ways, return_exceptions=True)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, counted: bool) -> None:
        while piece := await reader.read(_PIECE):
            if counted and not self._may_say(len(piece)):
                return
            writer.write(piece)
            await writer.drain()

    def _may_say(self, size: int) -> bool:
        held = self.said > self.most_bytes
        self.said += size
        if self.said <= self.most_bytes:
            return True
        if not held:
            asyncio.get_running_loop().run_in_executor(None, self.on_flood)
        return False
