"""Ports for what tests start: below those that the kernel gives to outgoing connections, so that none takes one."""

from __future__ import annotations

import random
import socket
from contextlib import ExitStack
from pathlib import Path

_LOWEST = 15_000
_TRIES = 200


def free_ports(count: int) -> list[int]:
    """Return different ports of 127.0.0.1 that nobody listens on."""
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    chance = random.SystemRandom()  # tests are seeded alike in several processes
    with ExitStack() as held:
        found: list[int] = []
        for _ in range(_TRIES * count):
            port = chance.randrange(_LOWEST, first) if first > _LOWEST else 0
            one = held.enter_context(socket.socket())
            try:
                one.bind(("127.0.0.1", port))
            except OSError:
                continue
            found.append(int(one.getsockname()[1]))
            if len(found) == count:
                return found
    raise RuntimeError(f"no {count} free ports between {_LOWEST} and {first}")


def free_port() -> int:
    """Return one port of 127.0.0.1 that nobody listens on."""
    return free_ports(1)[0]
