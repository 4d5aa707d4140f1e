"""The gate beside JupyterHub's own proxy on node, in front of the same servers; and what its counting costs.

python bench/sandbox/gate.py [--quick]

Rounds alternate between the proxies; a figure is the median of its rounds (latencies: of all calls). Downloads go over
a workspace's route, counted by the gate; uploads over the hub's, since bodies to workspaces are capped by policy.
"""

from __future__ import annotations

import asyncio
import json
import socket
import statistics
import sys
import tempfile
import time
import uuid
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import aiohttp
import node_proxy
import uvloop
from stand import BASE, JUPYTER_BASE, Proxy, gate_command, jupyter, proxy, upstream

MIB = 1024**2
CALLERS = 16


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(int(len(values) * share), len(values) - 1)]


# --- loads -----------------------------------------------------------------------------------------------------------


def download(port: int, size: int) -> float:
    """Return the seconds that a body of `size` bytes takes to come down."""
    with socket.create_connection(("127.0.0.1", port)) as raw:
        began = time.perf_counter()
        raw.sendall(f"GET {BASE}/lab?size={size} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
        buffer, total = bytearray(MIB), 0
        while count := raw.recv_into(buffer):
            total += count
        if total < size:
            raise SystemExit(f"only {total} of {size} bytes came down")
        return time.perf_counter() - began


def upload(port: int, size: int) -> float:
    """Return the seconds until a body of `size` bytes was taken and answered."""
    block = memoryview(bytes(MIB))
    with socket.create_connection(("127.0.0.1", port)) as raw:
        began = time.perf_counter()
        raw.sendall(
            f"POST /hub/sink HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {size}\r\n\r\n".encode()
        )
        for _ in range(size // MIB):
            raw.sendall(block)
        answer = b"".join(iter(lambda: raw.recv(65536), b""))
        if str(size).encode() not in answer:
            raise SystemExit(f"the upload was answered with {answer[:200]!r}")
        return time.perf_counter() - began


async def small_gets(port: int, seconds: float) -> float:
    """Return answered requests a second from CALLERS connections."""
    request = f"GET {BASE}/api/me HTTP/1.1\r\nHost: a\r\n\r\n".encode()
    end, count = time.perf_counter() + seconds, 0

    async def call() -> None:
        nonlocal count
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while time.perf_counter() < end:
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            if not head.startswith(b"http/1.1 200"):
                raise SystemExit(f"a small request was answered with {head[:100]!r}")
            if b"chunked" in head:
                while not (await reader.readuntil(b"\r\n")).startswith(b"0"):
                    await reader.readuntil(b"\r\n")
                await reader.readuntil(b"\r\n")
            else:
                await reader.readexactly(int(head.partition(b"content-length:")[2].split(b"\r\n")[0]))
            count += 1
            if b"connection: close" in head:  # As node's proxy does after every answer of some servers.
                writer.close()
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()

    await asyncio.gather(*(call() for _ in range(CALLERS)))
    return count / seconds


async def echoes(port: int, count: int) -> list[float]:
    """Return the round trips of small messages over a websocket, in milliseconds."""
    taken = []
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"http://127.0.0.1:{port}{BASE}/api/kernels/1/channels") as channel,
    ):
        for _ in range(count):
            began = time.perf_counter()
            await channel.send_str("x" * 300)
            await channel.receive()
            taken.append((time.perf_counter() - began) * 1e3)
    return taken


async def flood(port: int, count: int, size: int) -> float:
    """Return the seconds in which so many messages of `size` bytes came over a websocket."""
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"http://127.0.0.1:{port}{BASE}/api/kernels/1/channels", max_msg_size=0) as channel,
    ):
        began = time.perf_counter()
        await channel.send_str(f"flood {count} {size}")
        while (await channel.receive()).data != "done":
            pass
        return time.perf_counter() - began


def execute_request() -> tuple[str, str]:
    identity = uuid.uuid4().hex
    header = {"msg_id": identity, "msg_type": "execute_request", "username": "", "session": identity, "version": "5.3"}
    content = {"code": "1", "silent": False, "store_history": False, "user_expressions": {}, "allow_stdin": False}
    body = {
        "header": header,
        "parent_header": {},
        "metadata": {},
        "content": content,
        "channel": "shell",
        "buffers": [],
    }
    return identity, json.dumps(body)


async def executions(port: int, kernel: str, count: int) -> list[float]:
    """Return the milliseconds from sending a cell to the kernel's being idle again."""
    taken = []
    url = f"http://127.0.0.1:{port}{JUPYTER_BASE}/api/kernels/{kernel}/channels"
    async with aiohttp.ClientSession() as session, session.ws_connect(url, max_msg_size=0) as channel:
        for _ in range(count):
            identity, text = execute_request()
            began = time.perf_counter()
            await channel.send_str(text)
            async for message in channel:
                body = json.loads(message.data)
                if body["parent_header"].get("msg_id") != identity:
                    continue
                if body["msg_type"] == "status" and body["content"]["execution_state"] == "idle":
                    break
            taken.append((time.perf_counter() - began) * 1e3)
    return taken


async def start_kernel(port: int) -> str:
    async with aiohttp.ClientSession() as session:
        for _ in range(100):
            async with session.post(
                f"http://127.0.0.1:{port}{JUPYTER_BASE}/api/kernels", json={"name": "python3"}
            ) as got:
                if got.status == 201:
                    kernel = str((await got.json())["id"])
                    break
            await asyncio.sleep(0.1)
        else:
            raise SystemExit("no kernel could be started")
    await executions(port, kernel, 5)
    return kernel


# --- parts -----------------------------------------------------------------------------------------------------------


def alternate(proxies: list[Proxy], rounds: int) -> list[Proxy]:
    """Return the proxies in turn, each round beginning with another."""
    return [proxies[(place + turn) % len(proxies)] for turn in range(rounds) for place in range(len(proxies))]


def measure_beside_node(ours: Proxy, node: Proxy, kernel: str, quick: bool) -> dict[str, Any]:
    rounds, size = (2, 32 * MIB) if quick else (9, 200 * MIB)
    turns, calls, cells, seconds = (5, 40, 20, 0.5) if quick else (60, 100, 25, 2.0)
    seen: dict[str, dict[str, list[float]]] = {one.name: {} for one in (ours, node)}
    for one in alternate([ours, node], turns):  # Short turns, so that both meet the same moods of the machine.
        found = seen[one.name]
        found.setdefault("kernel_ms", []).extend(uvloop.run(executions(one.port, kernel, cells)))
        found.setdefault("echo_ms", []).extend(uvloop.run(echoes(one.port, calls)))
    for one in alternate([ours, node], rounds):
        found = seen[one.name]
        found.setdefault("get_per_second", []).append(uvloop.run(small_gets(one.port, seconds)))
        found.setdefault("down_s", []).append(download(one.port, size))
        found.setdefault("up_s", []).append(upload(one.port, size))
    figures: dict[str, Any] = {}
    for one in (ours, node):
        found = seen[one.name]
        figures[one.name] = {
            "kernel_p50_ms": round(statistics.median(found["kernel_ms"]), 2),
            "kernel_p99_ms": round(percentile(found["kernel_ms"], 0.99), 2),
            "echo_p50_ms": round(statistics.median(found["echo_ms"]), 3),
            "get_per_second": round(statistics.median(found["get_per_second"])),
            "down_mib_per_second": round(size / MIB / statistics.median(found["down_s"])),
            "up_mib_per_second": round(size / MIB / statistics.median(found["up_s"])),
            "rss_mib": one.rss_mib(),
        }
    us, them = figures[ours.name], figures[node.name]
    figures["n"] = {"cells": len(seen[ours.name]["kernel_ms"]), "rounds": rounds, "mib": size // MIB}
    figures["ratio"] = {
        "kernel_p50": round(us["kernel_p50_ms"] / them["kernel_p50_ms"], 3),
        **{
            name: round(us[name] / them[name], 2)
            for name in ("get_per_second", "down_mib_per_second", "up_mib_per_second")
        },
    }
    figures["bars"] = {
        "kernel round trip p50 <= 1.1x": figures["ratio"]["kernel_p50"] <= 1.1,
        "200 MiB down >= 1x": figures["ratio"]["down_mib_per_second"] >= 1.0,
        "200 MiB up >= 1x": figures["ratio"]["up_mib_per_second"] >= 1.0,
    }
    return figures


def measure_counting(metered: Proxy, unmetered: Proxy, quick: bool) -> dict[str, Any]:
    """Return the gate's processor time for floods with and without counting."""
    rounds = 2 if quick else 9
    loads = {"large": (20 if quick else 100, MIB), "small": (2_000 if quick else 20_000, 100)}
    figures: dict[str, Any] = {"n": {"rounds": rounds, **{name: count for name, (count, _) in loads.items()}}}
    for name, (count, size) in loads.items():
        cpu: dict[str, list[float]] = {metered.name: [], unmetered.name: []}
        wall: dict[str, list[float]] = {metered.name: [], unmetered.name: []}
        for one in alternate([metered, unmetered], rounds):
            before = one.cpu_seconds()
            wall[one.name].append(uvloop.run(flood(one.port, count, size)))
            cpu[one.name].append(one.cpu_seconds() - before)
        middle = {one: statistics.median(times) for one, times in cpu.items()}
        figures[name] = {
            "counted_us_each": round(middle[metered.name] / count * 1e6, 1),
            "uncounted_us_each": round(middle[unmetered.name] / count * 1e6, 1),
            "counting_us_each": round((middle[metered.name] - middle[unmetered.name]) / count * 1e6, 1),
            "wall_ratio": round(statistics.median(wall[metered.name]) / statistics.median(wall[unmetered.name]), 3),
        }
    figures["counting_us_per_mb"] = figures["large"]["counting_us_each"]
    figures["counting_us_per_message"] = figures["small"]["counting_us_each"]
    return figures


def main(quick: bool) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="sz-", dir="/tmp") as name, ExitStack() as stack:
        folder = Path(name)
        plain, real = stack.enter_context(upstream(folder)), stack.enter_context(jupyter(folder))
        targets = {"/": plain, BASE: plain, JUPYTER_BASE: real}
        commands = {
            "gate": gate_command(folder / "gate", metered=True),
            "unmetered": gate_command(folder / "unmetered", metered=False),
            "node": node_proxy.command(),
        }
        running = {name: stack.enter_context(proxy(name, command, targets)) for name, command in commands.items()}
        kernel = uvloop.run(start_kernel(running["gate"].port))
        beside = measure_beside_node(running["gate"], running["node"], kernel, quick)
        counting = measure_counting(running["gate"], running["unmetered"], quick)
        return {"versions": node_proxy.versions(), "beside_node": beside, "counting": counting}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main("--quick" in sys.argv[1:])) + "\n")
