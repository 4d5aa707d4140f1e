"""The stand of the gate's bench: an upstream on a unix socket, a Jupyter server, and the proxies before them.

python stand.py upstream SOCKET      answers as plainly as it can
python stand.py unmetered ARGUMENTS  the gate with a meter that counts nothing
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

ROOT = Path(__file__).resolve().parents[2]
BASE = "/user/u-bench/w-bench"
JUPYTER_BASE = "/user/u-bench/w-jupyter"
TOKEN = "token-of-a-bench"  # node's proxy takes one without spaces only
CHUNK = bytes(256 * 1024)


# --- the upstream ----------------------------------------------------------------------------------------------------


async def answer(request: Any) -> Any:
    from aiohttp import WSMsgType, web

    if request.path.endswith("/channels"):
        channel = web.WebSocketResponse(max_msg_size=0, compress=False)
        await channel.prepare(request)
        async for message in channel:
            if message.type is WSMsgType.TEXT and message.data.startswith("flood "):
                count, size = (int(part) for part in message.data.split()[1:])
                for _ in range(count):
                    await channel.send_str("x" * size)
                await channel.send_str("done")
            elif message.type is WSMsgType.TEXT:
                await channel.send_str(message.data)
        return channel
    if "size" in request.query:
        size = int(request.query["size"])
        response = web.StreamResponse(headers={"Content-Length": str(size)})
        await response.prepare(request)
        for _ in range(size // len(CHUNK)):
            await response.write(CHUNK)
        return response
    total = 0
    async for chunk in request.content.iter_any():
        total += len(chunk)
    return web.Response(text=f'{{"received": {total}}}', content_type="application/json")


async def serve_upstream(path: str) -> None:
    from aiohttp import web

    server = web.Server(answer)
    await asyncio.get_running_loop().create_unix_server(server, path)
    await asyncio.Event().wait()


def run_unmetered(arguments: list[str]) -> None:
    """Run the gate with counting switched off: all else is the same."""
    from sandbox.workspaces.gate import __main__ as gate

    class NullMeter(gate.Meter):
        def add(self, workspace: str, traffic: str, *, shown: int = 0, received: int = 0, messages: int = 0) -> None:
            pass

        def left_today(self, workspace: str, budget: int | None) -> int:
            return 2**60

        def shown_today(self, workspace: str) -> int:
            return 0

        def day(self) -> str:
            return ""

    gate.Meter = NullMeter  # type: ignore[misc]
    sys.argv = ["gate", *arguments]
    gate.main()


# --- processes -------------------------------------------------------------------------------------------------------


@dataclass
class Proxy:
    """One proxy that answers: where, and its process."""

    name: str
    port: int
    process: subprocess.Popen[bytes]

    def cpu_seconds(self) -> float:
        """Return the processor time of its threads, as the scheduler counts it: to the nanosecond."""
        tasks = Path(f"/proc/{self.process.pid}/task").iterdir()
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9

    def rss_mib(self) -> int:
        """Return its resident memory."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) // 1024


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(true: Any, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise SystemExit("a process of the bench did not come up")
        time.sleep(0.05)


@contextlib.contextmanager
def started(command: list[str], **named: Any) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **named)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def upstream(folder: Path) -> Iterator[Path]:
    """Give the socket of a running upstream."""
    path = folder / "up.sock"
    with started([sys.executable, __file__, "upstream", str(path)], env=_environment()):
        wait_for(path.exists)
        yield path


@contextlib.contextmanager
def jupyter(folder: Path) -> Iterator[Path]:
    """Give the socket of a real Jupyter server of the sandbox environment, with one kernelspec."""
    path, home = folder / "jupyter.sock", folder / "home"
    home.mkdir()
    options = {
        "ServerApp.sock": path, "ServerApp.base_url": f"{JUPYTER_BASE}/", "ServerApp.root_dir": home,
        "ServerApp.disable_check_xsrf": True, "ServerApp.allow_root": True, "IdentityProvider.token": "",
        "ServerApp.open_browser": False, "ServerApp.terminals_enabled": False, "ServerApp.allow_remote_access": True,
    }  # fmt: skip
    command = [str(ROOT / ".venv-sandbox/bin/python"), "-m", "jupyter_server"]
    environment = {"PATH": os.environ["PATH"], "HOME": str(home)}
    flags = [f"--{name}={value}" for name, value in options.items()]
    with started([*command, *flags], cwd=home, env=environment):
        wait_for(path.exists)
        yield path


@contextlib.contextmanager
def proxy(name: str, command: list[str], targets: dict[str, Path]) -> Iterator[Proxy]:
    """Give a running proxy with routes to the sockets of `targets`."""
    port, api_port = free_port(), free_port()
    addresses = ["--ip", "127.0.0.1", "--port", str(port), "--api-ip", "127.0.0.1", "--api-port", str(api_port)]
    with started([*command, *addresses, "--log-level", "error"], env=_environment()) as process:
        wait_for(lambda: _add_routes(api_port, targets))
        yield Proxy(name, port, process)


def gate_command(folder: Path, *, metered: bool) -> list[str]:
    """Return how the gate is started: orders and a count of its own, a budget that no bench uses up, and no pace.

    At the gate's pace a flood would measure the pace, and neither the gate nor its counting.
    """
    folder.mkdir()
    (folder / "controls.json").write_text('{"suspended": {}, "budgets": {}}')
    head = ["-m", "sandbox.workspaces.gate"] if metered else [__file__, "unmetered"]
    files = ["--controls", str(folder / "controls.json"), "--usage", str(folder / "usage.db")]
    return [sys.executable, *head, *files, "--screen-budget", str(2**50), "--screen-pace", "0"]


def _environment() -> dict[str, str]:
    return {**os.environ, "CONFIGPROXY_AUTH_TOKEN": TOKEN, "PYTHONPATH": str(ROOT)}


def _add_routes(api_port: int, targets: dict[str, Path]) -> bool:
    try:
        for prefix, path in targets.items():
            connection = http.client.HTTPConnection("127.0.0.1", api_port, timeout=5)
            target = f"http+unix://{quote(str(path), safe='')}"
            headers = {"Authorization": f"token {TOKEN}", "Content-Type": "application/json"}
            connection.request("POST", f"/api/routes{prefix}", json.dumps({"target": target}), headers)
            if connection.getresponse().status != 201:
                return False
    except OSError:
        return False
    return True


if __name__ == "__main__":
    if sys.argv[1] == "upstream":
        import uvloop

        uvloop.run(serve_upstream(sys.argv[2]))
    else:
        run_unmetered(sys.argv[2:])
