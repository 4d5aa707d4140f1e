"""What a workspace and the hub feel of a hog in the workspace beside.

python bench/sandbox/neighbours.py [--quick]
python bench/sandbox/neighbours.py drain PORT PATH   runs the code of stdin in a kernel, and takes all that it shows

One hog at a time runs in one workspace, while cells in another workspace and requests to the hub's API, both through
the gate, are timed in turn by one caller. A hog runs and is stopped in turns, many short ones, so that the machine's
own moods fall on both alike; the ratio is of the p99 while it runs to the p99 while it stands still. Hogs are capped by
their workspace; the filling one looks first whether it writes to mounts of their own. What the hog shows is taken by a
process beside, which looks at none of it and stands still with the hog. What it leaves behind (a disk's cache to be
written) falls on the calm turns too: `p99_before_it_ms` is from before it began.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import signal
import socket
import statistics
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from hubs import Caller, RunningHub, execute, make_user, open_server, our_hub, percentile, request, start_kernel

from sandbox.workspaces.host.limits import CgroupHost, Limits
from sandbox.workspaces.jails.warden import group_name, kernel_group_name

MIB = 1024**2
ACCOUNT, BAR = "u-bench", 2.0
LIMITS = Limits(
    memory_bytes=1024 * MIB, processes=128, cpu_percent=200, scratch_bytes=64 * MIB, home_bytes=256 * MIB,
    home_files=20_000,
)  # fmt: skip
LOUD_SECONDS, SETTLE_SECONDS = 30.0, 0.5
TURNS = 10

HEAD = f"""
import os
number = os.open("/home/analyst/count", os.O_CREAT | os.O_RDWR, 0o600)
os.pwrite(number, b" " * 4096, 0)
def tell(count):
    os.pwrite(number, b"%12d" % count, 0)
done = 0
HOME, SCRATCH = {LIMITS.home_bytes}, {LIMITS.scratch_bytes}
"""
"""Every hog counts in a file of its home how often it met its limit; the bench reads that from outside."""

HOGS = {
    "memory": """
while True:
    if (child := os.fork()) == 0:
        held = []
        while True:
            held.append(b"x" * (16 << 20))
    os.waitpid(child, 0)
    done += 1
    tell(done)
""",
    "forks": """
while True:
    try:
        os.fork()
    except OSError:
        done += 1
        tell(done)
""",
    "disk": """
for place, most in (("/home/analyst", HOME), ("/tmp", SCRATCH)):
    found = os.statvfs(place)
    assert os.path.ismount(place) and found.f_blocks * found.f_frsize <= most, place
block = b"x" * (1 << 20)
while True:
    for place in ("/home/analyst/fill", "/tmp/fill"):
        filling = os.open(place, os.O_CREAT | os.O_WRONLY, 0o600)
        try:
            while True:
                os.write(filling, block)
        except OSError as error:
            assert error.errno == 28
        os.close(filling)
        os.unlink(place)
    done += 1
    tell(done)
""",
    "output": """
from IPython.display import display
while True:
    display({"text/plain": "x" * 100_000}, raw=True)
    done += 1
    tell(done)
""",
    "files": """
os.fork() and os.fork()
while True:
    held = []
    try:
        while True:
            held.append(os.open("/etc/passwd", os.O_RDONLY))
    except OSError:
        done += 1
        tell(done)
    for one in held:
        os.close(one)
""",
}
V2_ONLY = (
    "io.max and io.weight: version 1 does not hold what is written through the page cache",
    "memory.high: slows a workspace down before it meets its limit",
    "memory.oom.group: ends all of a kernel at once",
)


# --- the taker of what a hog shows -----------------------------------------------------------------------------------


def drain(port: int, path: str) -> None:
    """Send a cell over a websocket, then take and drop all that comes, until ended; the first line is the headers."""
    token, _, code = sys.stdin.read().partition("\n")
    with socket.create_connection(("127.0.0.1", port)) as raw:
        wanted = {
            "Host": f"127.0.0.1:{port}", "Authorization": f"token {token}", "Connection": "Upgrade",
            "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
        }  # fmt: skip
        lines = (f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in wanted.items()), "", "")
        raw.sendall("\r\n".join(lines).encode())
        if b" 101 " not in raw.recv(4096):
            raise SystemExit("a kernel's channel was refused")
        text = request(code)[1].encode()
        raw.sendall(struct.pack("!BBQL", 0x81, 0xFF, len(text), 0) + text)  # A mask of zeros changes nothing.
        buffer, taken = bytearray(MIB), 0
        while count := raw.recv_into(buffer):
            taken += count
            if taken // MIB != (taken - count) // MIB:
                print(taken // MIB, flush=True)


class Hog:
    """A hog that runs: what it has done so far, as its home, its groups and its taker tell."""

    def __init__(self, hub: RunningHub, caller: Caller, workspace: str, code: str) -> None:
        self._hub, self._caller, self._workspace = hub, caller, workspace
        runtime = hub.settings.runtime
        host = CgroupHost.detect()
        self._groups = [host.group(name(runtime, workspace)) for name in (group_name, kernel_group_name)]
        self._before = [one.measure() for one in self._groups]
        self._began = time.perf_counter()
        self.kernel = asyncio.run(self._start())
        path = f"/user/{ACCOUNT}/{workspace}/api/kernels/{self.kernel}/channels"
        self._taker = subprocess.Popen(
            [sys.executable, __file__, "drain", str(hub.settings.bind_port), path],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self._taker.stdin is not None
        self._taker.stdin.write(f"{caller.token}\n{HEAD}{code}")
        self._taker.stdin.close()
        self._taken = 0
        threading.Thread(target=self._listen, daemon=True).start()

    async def _start(self) -> str:
        async with self._caller.sessions() as (_, front):
            return await start_kernel(front, self._caller.path(ACCOUNT, self._workspace))

    def _listen(self) -> None:
        assert self._taker.stdout is not None
        for line in self._taker.stdout:
            self._taken = int(line)

    def count(self) -> int:
        """Return how often the hog has met its limit, or how many outputs it made."""
        try:
            return int((self._hub.settings.homes / self._workspace / "count").read_bytes().strip() or 0)
        except (OSError, ValueError):
            return 0

    def wait_loud(self) -> None:
        deadline = time.monotonic() + LOUD_SECONDS
        while not self.count():
            if self._taker.poll() is not None or time.monotonic() > deadline:
                raise SystemExit("a hog did not begin")
            time.sleep(0.05)

    def stop(self) -> None:
        """Let every process of its kernel, and its taker, stand still until `run_on`."""
        self._signal(signal.SIGSTOP, standing=True)

    def run_on(self) -> None:
        self._signal(signal.SIGCONT, standing=False)

    def _signal(self, number: signal.Signals, *, standing: bool) -> None:
        deadline = time.monotonic() + LOUD_SECONDS
        while wrong := [pid for pid in self._list_processes() if _is_standing(pid) is (not standing)]:
            if time.monotonic() > deadline:
                raise SystemExit("a hog could not be told to stand still and run on")
            for pid in wrong:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)

    def _list_processes(self) -> list[int]:
        return [*self._groups[1].list_processes(), self._taker.pid]

    def figures(self) -> dict[str, Any]:
        """Return what it used while it ran: without that, a calm neighbour would prove nothing."""
        now = [one.measure() for one in self._groups]
        used = sum((b.cpu_nanoseconds or 0) - (a.cpu_nanoseconds or 0) for a, b in zip(self._before, now, strict=True))
        return {
            "processors": round(used / 1e9 / (time.perf_counter() - self._began), 2), "count": self.count(),
            "oom_kills": now[1].kills - self._before[1].kills,
            "forks_refused": now[1].refusals - self._before[1].refusals,
            "processes": now[1].processes, "shown_mib": self._taken,
        }  # fmt: skip

    def end(self) -> float:
        """End its kernel as a person would, and return the seconds that takes."""
        began = time.perf_counter()
        self._taker.kill()
        self._taker.wait()
        asyncio.run(self._delete())
        return time.perf_counter() - began

    async def _delete(self) -> None:
        url = f"{self._caller.path(ACCOUNT, self._workspace)}/api/kernels/{self.kernel}"
        async with self._caller.sessions() as (_, front), front.delete(url) as got:
            if got.status not in {204, 404}:
                raise SystemExit(f"the hog's kernel could not be ended: {got.status}")


def _is_standing(pid: int) -> bool | None:
    """Return whether a process is stopped; None for one that is gone or dead, which nothing need be told."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return None
    return None if state in "ZX" else state == "T"


# --- the neighbour ---------------------------------------------------------------------------------------------------


@dataclass
class Stretch:
    """The milliseconds of the calls of one stretch."""

    cell: list[float] = field(default_factory=list)
    hub: list[float] = field(default_factory=list)

    def add(self, more: Stretch) -> None:
        self.cell += more.cell
        self.hub += more.hub


async def call(caller: Caller, workspace: str, kernel: str, count: int) -> Stretch:
    """Time cells of a neighbour's kernel and requests to the hub, in turn."""
    seen = Stretch()
    async with (
        caller.sessions() as (_, front),
        front.ws_connect(f"{caller.path(ACCOUNT, workspace)}/api/kernels/{kernel}/channels", max_msg_size=0) as channel,
    ):
        for _ in range(count):
            began = time.perf_counter()
            await execute(channel, "1")
            then = time.perf_counter()
            await _ask_hub(caller, front)
            seen.cell.append((then - began) * 1e3)
            seen.hub.append((time.perf_counter() - then) * 1e3)
    return seen


async def _ask_hub(caller: Caller, front: aiohttp.ClientSession) -> None:
    async with front.get(f"{caller.front}/hub/api/users/{ACCOUNT}") as got:
        await got.read()
        if got.status != 200:
            raise SystemExit(f"the hub answered {got.status}")


@contextmanager
def neighbourhood() -> Iterator[tuple[RunningHub, Caller, str, str, str]]:
    """Give a hub with a loud and a quiet workspace and the quiet one's kernel."""
    with our_hub(screen_budget=2**50) as (hub, caller):
        loud, quiet = (hub.make_workspace(ACCOUNT, limits=LIMITS) for _ in range(2))
        asyncio.run(make_user(caller, ACCOUNT))
        for name in (loud, quiet):
            asyncio.run(open_server(caller, ACCOUNT, name))
        yield hub, caller, loud, quiet, asyncio.run(_start_quiet(caller, quiet))


async def _start_quiet(caller: Caller, quiet: str) -> str:
    async with caller.sessions() as (_, front):
        return await start_kernel(front, caller.path(ACCOUNT, quiet))


def compare(loud: Stretch, calm: Stretch) -> dict[str, Any]:
    figures: dict[str, Any] = {"n": len(loud.cell)}
    for name in ("cell", "hub"):
        for word, share in (("p50", 0.5), ("p99", 0.99)):
            pair = percentile(getattr(loud, name), share), percentile(getattr(calm, name), share)
            figures[f"{name}_{word}_ms"] = {"hog": round(pair[0], 2), "calm": round(pair[1], 2)}
            figures[f"{name}_{word}_ratio"] = round(pair[0] / pair[1], 2)
    return figures


def summarise(stretch: Stretch) -> dict[str, float]:
    return {name: round(percentile(getattr(stretch, name), 0.99), 2) for name in ("cell", "hub")}


def take_turns(hog: Hog, caller: Caller, quiet: str, kernel: str, count: int) -> tuple[Stretch, Stretch]:
    """Return what the neighbour felt while the hog ran, and while it stood still, `count` calls each."""
    loud, calm = Stretch(), Stretch()
    for _ in range(TURNS):
        loud.add(asyncio.run(call(caller, quiet, kernel, count // TURNS)))
        hog.stop()
        time.sleep(SETTLE_SECONDS)
        calm.add(asyncio.run(call(caller, quiet, kernel, count // TURNS)))
        hog.run_on()
        time.sleep(SETTLE_SECONDS)
    return loud, calm


def main(quick: bool, chosen: list[str]) -> dict[str, Any]:
    count = 60 if quick else 1000
    found: dict[str, Any] = {}
    with neighbourhood() as (hub, caller, loud, quiet, kernel):
        asyncio.run(call(caller, quiet, kernel, count // 4))
        for name in chosen or HOGS:
            untouched = asyncio.run(call(caller, quiet, kernel, count // 4))
            hog = Hog(hub, caller, loud, HOGS[name])
            hog.wait_loud()
            felt = take_turns(hog, caller, quiet, kernel, count)
            did = hog.figures()
            did["seconds_end"] = round(hog.end(), 2)
            time.sleep(SETTLE_SECONDS)
            found[name] = {**compare(*felt), "hog": did, "p99_before_it_ms": summarise(untouched)}
    host = CgroupHost.detect()
    missing = [] if host.unified is not None and not host.legacy else list(V2_ONLY)
    bars = {
        f"{name}: p99 of {what} <= {BAR:.0f}x": figures[f"{key}_p99_ratio"] <= BAR
        for name, figures in found.items()
        for key, what in (("cell", "a neighbour's cells"), ("hub", "the hub's answers"))
    }
    worst = {key: max(figures[f"{key}_p99_ratio"] for figures in found.values()) for key in ("cell", "hub")}
    middle = statistics.median(figures["cell_p99_ratio"] for figures in found.values())
    return {
        "hogs": found, "worst_p99_ratio": worst, "median_cell_p99_ratio": middle, "not run": missing, "bars": bars,
        "cpu_percent": LIMITS.cpu_percent,
    }  # fmt: skip


if __name__ == "__main__":
    if sys.argv[1:2] == ["drain"]:
        drain(int(sys.argv[2]), sys.argv[3])
    else:
        names = [one for one in sys.argv[1:] if not one.startswith("-")]
        sys.stdout.write(json.dumps(main("--quick" in sys.argv[1:], names)) + "\n")
