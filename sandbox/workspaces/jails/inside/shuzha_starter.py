"""The first process of the kernels' container in a pod: starts kernels when their server asks.

It needs the standard library alone, and speaks what the jailer of one host speaks, on a socket in a folder that both
containers share. It is no jailer: its kernels are processes of its own container, as its own user. It also carries
their platform socket to the platform, so that a kernel needs no network.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LISTENS = "/gate/jailer/jailer.sock"
PLATFORM = "/gate/platform/platform.sock"
SOCKETS = "/job/sockets"
LAUNCHER = "/etc/jupyter/shuzha_kernel.py"
_KERNEL = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_KEY = re.compile(r"[0-9A-Za-z_-]{16,128}")
_PORTS = ("shell_port", "iopub_port", "stdin_port", "control_port", "hb_port")
_MOST_KERNELS = 16
_PIECE = 64 * 1024
_PR_SET_DUMPABLE = 4


class Refused(ValueError):
    """A request that is not done; the message says why."""


@dataclass
class Starter:
    """The kernels of one container, by their id."""

    home: Path
    variables: dict[str, str]
    kernels: dict[str, int] = field(default_factory=dict)
    codes: dict[int, int] = field(default_factory=dict)

    def do(self, said: Any) -> Any:
        """Return the answer to one request: start, poll or stop of one kernel."""
        if not isinstance(said, dict) or not _KERNEL.fullmatch(str(said.get("kernel"))):
            raise Refused("cannot read the request: start, poll or stop of a kernel by its id is accepted")
        kernel = str(said["kernel"])
        match said.get("verb"):
            case "start":
                return self._start(kernel, said)
            case "poll":
                return self.poll(kernel)
            case "stop":
                return self.stop(kernel)
        raise Refused("cannot read the request: the verbs start, poll and stop are accepted")

    def poll(self, kernel: str) -> int | None:
        """Return None while the kernel lives, else its exit code; 0 for one that never was."""
        self.reap()
        pid = self.kernels.get(kernel)
        return 0 if pid is None else self.codes.get(pid)

    def stop(self, kernel: str) -> None:
        """End the kernel, what it started in its session, and its sockets."""
        pid = self.kernels.get(kernel)
        if pid is not None and self.poll(kernel) is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
        shutil.rmtree(Path(SOCKETS) / kernel, ignore_errors=True)

    def reap(self, *_: Any) -> None:
        """Bury every child that has ended, also those that a kernel left behind: nobody else does in a container."""
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                if ended[0] in self.kernels.values():
                    self.codes[ended[0]] = os.waitstatus_to_exitcode(ended[1])

    def _start(self, kernel: str, said: dict[str, Any]) -> None:
        ports = said.get("ports")
        valid = isinstance(ports, dict) and set(ports) == set(_PORTS)
        if not valid or not all(isinstance(p, int) and 0 < p < 65536 for p in ports.values()):  # type: ignore[union-attr]
            raise Refused("cannot start the kernel: five ports are needed")
        if not _KEY.fullmatch(str(said.get("key"))):
            raise Refused("cannot start the kernel: its key is malformed")
        if self.poll(kernel) is None:
            raise Refused("cannot start the kernel: it runs")
        if sum(self.poll(one) is None for one in self.kernels) >= _MOST_KERNELS:
            raise Refused(f"cannot start another kernel: {_MOST_KERNELS} run; shut one down")
        folder = Path(SOCKETS) / kernel
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o711)
        body = {"transport": "ipc", "ip": f"{folder}/k", "key": said["key"], "signature_scheme": "hmac-sha256"}
        number, connection = tempfile.mkstemp(suffix=".json")
        with os.fdopen(number, "w") as file:
            json.dump({**body, **ports, "kernel_name": "python3"}, file)  # type: ignore[dict-item]
        process = subprocess.Popen(
            [sys.executable, "-P", "-s", LAUNCHER, "-f", connection],
            cwd=self._directory(said.get("directory")), env=self.variables, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        self.kernels[kernel] = process.pid
        self.codes.pop(process.pid, None)
        process.returncode = 0  # `reap` buries it: subprocess must not try

    def _directory(self, asked: Any) -> Path:
        notebooks = self.home / "notebooks"
        if not isinstance(asked, str):
            return self.home
        place = (notebooks / asked).resolve()
        return place if place.is_relative_to(notebooks) and place.is_dir() else notebooks


async def answer(starter: Starter, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer each line of one connection with another."""
    with contextlib.suppress(OSError, ValueError):
        while line := await reader.readline():
            try:
                said = {"ok": True, "result": starter.do(json.loads(line))}
            except (Refused, json.JSONDecodeError, RecursionError, OSError) as error:
                said = {"ok": False, "error": {"code": "refused", "message": str(error)}}
            writer.write(json.dumps(said).encode() + b"\n")
            await writer.drain()
    writer.close()


async def relay(
    address: str, greeting: dict[str, str], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Carry one connection of a kernel to the platform, which is told first whose it is."""
    host, _, port = address.rpartition(":")
    outer: asyncio.StreamWriter | None = None
    try:
        inner, outer = await asyncio.open_connection(host, int(port))
        outer.write(json.dumps(greeting).encode() + b"\n")
        await asyncio.gather(_carry(reader, outer), _carry(inner, writer))
    except OSError:
        pass  # the platform is away: the kernel sees its connection end and says so
    finally:
        for one in (outer, writer):
            if one is not None:
                one.close()


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while piece := await reader.read(_PIECE):
            writer.write(piece)
            await writer.drain()
        writer.write_eof()


async def serve(variables: dict[str, str]) -> None:
    """Answer the server, and carry the platform socket, until told to end."""
    own = dict(variables)
    address, token = own.pop("SHUZHA_PLATFORM_ADDRESS", ""), own.pop("SHUZHA_PLATFORM_TOKEN", "")
    starter = Starter(Path(own["HOME"]), own)
    loop, end = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGCHLD, starter.reap)
    loop.add_signal_handler(signal.SIGTERM, end.set)
    await asyncio.start_unix_server(lambda r, w: answer(starter, r, w), LISTENS)
    if address:
        greeting = {"workspace": own.get("SHUZHA_WORKSPACE", ""), "token": token}
        await asyncio.start_unix_server(lambda r, w: relay(address, greeting, r, w), PLATFORM)
    await end.wait()
    for kernel in list(starter.kernels):
        starter.stop(kernel)


def main() -> None:
    """Serve; no kernel may look into this process, which holds the workspace's token."""
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    for path in (LISTENS, PLATFORM):  # a container that starts again finds them
        Path(path).unlink(missing_ok=True)
    asyncio.run(serve(dict(os.environ)))


if __name__ == "__main__":
    main()
