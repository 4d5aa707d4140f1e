"""A kernel in a jail of its own, driven by trusted code outside it over ZeroMQ's ipc sockets.

The sockets lie in a folder that the jail can write. Whatever it puts in their place, the client speaks ZeroMQ with a
secret key to it and nothing else, so another service on this host learns and does nothing.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning.provisioner_base import KernelProvisionerBase
from nbclient import NotebookClient

from sandbox.workspaces.jail import Jail, JailSpec, start_jail
from sandbox.workspaces.landlock import kernel_command
from sandbox.workspaces.limits import CgroupHost

INSIDE_SOCKETS = "/job/sockets"
INSIDE_CONNECTION = "/job/connection/kernel.json"
KERNEL_COMMAND = kernel_command(INSIDE_CONNECTION)


class RoomProvisioner(KernelProvisionerBase):
    """Starts the kernel of one clean room as a jail, and ends it by its control group."""

    jail: Jail | None = None
    spec: JailSpec
    host: CgroupHost
    connection: Path

    @property
    def has_process(self) -> bool:
        """Whether the jail has been started."""
        return self.jail is not None

    async def poll(self) -> int | None:
        """Return None while the jail lives, else its exit code."""
        return 0 if self.jail is None else self.jail.exit_code()

    async def wait(self) -> int | None:
        """Return the exit code once the jail has ended."""
        code = await self.poll()
        while code is None:
            await asyncio.sleep(0.02)
            code = await self.poll()
        return code

    async def send_signal(self, signum: int) -> None:
        """Send nothing: a kernel in a jail is interrupted by message and ended by its group."""

    async def kill(self, restart: bool = False) -> None:
        """End everything in the jail."""
        if self.jail is not None:
            await asyncio.to_thread(self.jail.stop, 0.0)

    terminate = kill

    async def pre_launch(self, **named: Any) -> dict[str, Any]:
        """Write the connection file: one for this side, one with the path that the jail sees."""
        manager: Any = self.parent
        manager.write_connection_file()
        self.connection_info = manager.get_connection_info()
        _write_inside(self.connection, manager, self.spec.uid)
        return await super().pre_launch(cmd=list(KERNEL_COMMAND), **named)

    async def launch_kernel(self, cmd: list[str], **named: Any) -> Any:
        """Start the jail."""
        self.jail = start_jail(self.spec, self.host, output=subprocess.DEVNULL)
        return self.connection_info

    async def cleanup(self, restart: bool = False) -> None:
        """Leave nothing behind."""
        await self.kill()


def _write_inside(connection: Path, manager: Any, uid: int) -> None:
    """Write the connection file that the kernel reads, with the sockets' path as the jail sees it."""
    inside = json.loads(Path(manager.connection_file).read_text())
    inside["ip"] = f"{INSIDE_SOCKETS}/{Path(manager.ip).name}"
    connection.write_text(json.dumps(inside))
    connection.chmod(0o400)
    if os.geteuid() == 0:
        os.chown(connection, uid, uid)


def make_manager(spec: JailSpec, host: CgroupHost, sockets: Path, connection: Path) -> AsyncKernelManager:
    """Return a manager whose kernel will be the jail `spec`; `sockets` is shown inside as /job/sockets."""
    manager = AsyncKernelManager(transport="ipc", ip=str(sockets / "k"))
    manager.connection_file = str(connection.with_name("client.json"))
    manager._kernel_spec = KernelSpec(  # noqa: SLF001 - the only way to name a kernel that is installed nowhere
        argv=list(KERNEL_COMMAND), display_name="clean room", language="python", interrupt_mode="message"
    )
    provisioner = RoomProvisioner(parent=manager, kernel_id="room", kernel_spec=manager._kernel_spec)  # noqa: SLF001
    provisioner.spec, provisioner.host, provisioner.connection = spec, host, connection
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
