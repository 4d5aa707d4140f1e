"""A kernel in a room, driven by trusted code outside it over ZeroMQ's ipc sockets.

The sockets lie in a folder that the jail can write. Whatever it puts in their place, the client speaks ZeroMQ with a
secret key to it and nothing else, so another service on this host learns and does nothing. Between them stands a relay
(`relay.py`) that counts what the kernel sends.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning.provisioner_base import KernelProvisionerBase
from nbclient import NotebookClient

from sandbox.workspaces.clean_room.box import KERNEL_COMMAND, PORTS, Room


class RoomProvisioner(KernelProvisionerBase):
    """Starts the kernel of one room, and ends it with everything in the room."""

    room: Room
    place: str
    _started = False

    @property
    def has_process(self) -> bool:
        """Whether the room has been started."""
        return self._started

    async def poll(self) -> int | None:
        """Return None while the room lives, else its exit code."""
        return self.room.exit_code() if self._started else 0

    async def wait(self) -> int | None:
        """Return the exit code once the room has ended."""
        code = await self.poll()
        while code is None:
            await asyncio.sleep(0.02)
            code = await self.poll()
        return code

    async def send_signal(self, signum: int) -> None:
        """Send nothing: a kernel in a jail is interrupted by message and ended with its room."""

    async def kill(self, restart: bool = False) -> None:
        """End everything in the room."""
        await asyncio.to_thread(self.room.kill)

    terminate = kill

    async def pre_launch(self, **named: Any) -> dict[str, Any]:
        """Choose nothing: the sockets' names are always the same in a folder of their own."""
        return await super().pre_launch(cmd=list(KERNEL_COMMAND), **named)

    async def launch_kernel(self, cmd: list[str], **named: Any) -> Any:
        """Start the room, whose sockets the relay shows."""
        manager: Any = self.parent
        self._started = True
        await asyncio.to_thread(self.room.start, manager.session.key)
        manager.ip = self.place
        self.connection_info = manager.get_connection_info()
        return self.connection_info

    async def cleanup(self, restart: bool = False) -> None:
        """Leave nothing behind."""
        await self.kill()


class RoomManager(AsyncKernelManager):
    """A manager that writes the kernel's key to no file: the room's jail is told it in memory."""

    async def _launch_kernel(self, kernel_cmd: list[str], **named: Any) -> None:  # type: ignore[override]
        provisioner: Any = self.provisioner
        await provisioner.launch_kernel(kernel_cmd, **named)


def make_manager(room: Room, place: str) -> RoomManager:
    """Return a manager whose kernel will be the room's, behind a relay whose sockets' names begin with `place`."""
    manager = RoomManager(transport="ipc", **PORTS)
    manager._kernel_spec = KernelSpec(  # noqa: SLF001 - the only way to name a kernel that is installed nowhere
        argv=list(KERNEL_COMMAND), display_name="clean room", language="python", interrupt_mode="message"
    )
    provisioner = RoomProvisioner(parent=manager, kernel_id="room", kernel_spec=manager._kernel_spec)  # noqa: SLF001
    provisioner.room, provisioner.place = room, place
    manager.provisioner = provisioner
    return manager


class CountingClient(NotebookClient):
    """Runs a notebook and counts what its kernel sends; above `most_bytes` it calls `on_flood`, once."""

    most_bytes: int = 8 * 1024**2
    on_flood: Callable[[], None] | None = None
    sent = 0

    def process_message(self, msg: dict[str, Any], cell: Any, cell_index: int) -> Any:
        """Count one message of the kernel before it is looked at; drop it when the room has said too much."""
        self.sent += len(json.dumps(msg.get("content"), default=str)) + sum(len(b) for b in msg.get("buffers") or ())
        if self.sent > self.most_bytes:
            if self.on_flood is not None:
                self.on_flood()
                self.on_flood = None
            return None
        return super().process_message(msg, cell, cell_index)
