"""Kernels of the jailed Jupyter server: each in a jail of its own, which the jailer starts when it is asked.

It runs in the sandbox environment. What a kernel's jail has is none of this code's doing: it names the kernel, gives it
the key of its sockets, and says in which folder of notebooks it stands.
"""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

from jupyter_client.provisioning.provisioner_base import KernelProvisionerBase
from jupyter_server.services.kernels.kernelmanager import ServerKernelManager

JAILER = "/gate/jailer/jailer.sock"
SOCKETS = "/gate/ipc"
_PORTS = ("shell_port", "iopub_port", "stdin_port", "control_port", "hb_port")
_TRIES, _STEP_SECONDS, _POLL_SECONDS = 100, 0.1, 0.05


class JailerRefused(RuntimeError):
    """The jailer would not do what it was asked; the message says why."""


async def ask(verb: str, kernel: str, **fields: Any) -> Any:
    """Return the jailer's answer; wait for one that is being started again. Raises JailerRefused with the reason."""
    line = json.dumps({"verb": verb, "kernel": kernel, **fields}).encode() + b"\n"
    for _ in range(_TRIES):
        try:
            reader, writer = await asyncio.open_unix_connection(JAILER)
        except OSError:
            await asyncio.sleep(_STEP_SECONDS)
            continue
        try:
            writer.write(line)
            answer = await reader.readline()
        except OSError:
            answer = b""
        finally:
            writer.close()
        if not answer:
            continue
        said = json.loads(answer)
        if said["ok"]:
            return said["result"]
        raise JailerRefused(said["error"]["message"])
    raise JailerRefused("the jailer does not answer")


class JailedProvisioner(KernelProvisionerBase):
    """One kernel as its server sees it: started, watched and ended by the jailer."""

    runs: bool = False

    @property
    def has_process(self) -> bool:
        """Whether the kernel was started and its end has not been waited for."""
        return self.runs

    async def poll(self) -> int | None:
        """Return None while the kernel lives, else its exit code; one that cannot be asked about is said to live."""
        if not self.runs:
            return 0
        try:
            code = await ask("poll", self.kernel_id)
        except JailerRefused:
            return None
        return None if code is None else int(code)

    async def wait(self) -> int | None:
        """Return the exit code once the kernel has ended."""
        code = await self.poll()
        while code is None:
            await asyncio.sleep(_POLL_SECONDS)
            code = await self.poll()
        self.runs = False
        return code

    async def send_signal(self, signum: int) -> None:
        """Send nothing: a kernel in a jail is interrupted by message."""

    async def kill(self, restart: bool = False) -> None:
        """End the kernel and everything that it started."""
        await ask("stop", self.kernel_id)

    terminate = kill

    async def pre_launch(self, **named: Any) -> dict[str, Any]:
        """Choose the kernel's sockets and key."""
        manager: Any = self.parent
        manager.write_connection_file()
        self.connection_info = manager.get_connection_info()
        return dict(await super().pre_launch(cmd=["jailed"], **named))

    async def launch_kernel(self, cmd: list[str], **named: Any) -> Any:
        """Have the kernel started; its environment is the jailer's to make, so nothing of this one reaches it."""
        info: Any = self.connection_info
        fields: dict[str, Any] = {"key": info["key"].decode(), "ports": {name: info[name] for name in _PORTS}}
        if named.get("cwd") is not None:
            fields["directory"] = _below_notebooks(named["cwd"])
        await ask("start", self.kernel_id, **fields)
        self.runs = True
        return info

    async def cleanup(self, restart: bool = False) -> None:
        """Leave nothing behind."""
        if self.runs:
            await ask("stop", self.kernel_id)
            self.runs = False


def _below_notebooks(folder: str) -> str:
    return os.path.relpath(folder, Path(os.environ["HOME"]) / "notebooks")


class JailedKernel(ServerKernelManager):  # type: ignore[misc]
    """A kernel that the server reaches over unix sockets in the kernel's own folder, and interrupts by message."""

    kernel_id: Any
    provisioner: Any

    @property
    def kernel_spec(self) -> Any:
        """The kernel's specification, for a kernel that gets no signals."""
        spec = super().kernel_spec
        if spec is not None:
            spec.interrupt_mode = "message"
        return spec

    async def _async_pre_start_kernel(self, **named: Any) -> Any:
        given = named.pop("kernel_id", None)
        self.kernel_id = self.kernel_id or given
        self.transport, self.ip = "ipc", f"{SOCKETS}/{self.kernel_id}/k"
        if self.provisioner is None:
            self.provisioner = JailedProvisioner(parent=self, kernel_id=self.kernel_id, kernel_spec=self.kernel_spec)
        return await super()._async_pre_start_kernel(**named)

    pre_start_kernel = _async_pre_start_kernel
