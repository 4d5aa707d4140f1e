"""What idle workspaces hold of the host's memory: one beside JupyterHub's own spawner, and thirty at once.

python bench/sandbox/memory.py [--quick]

Counted is anonymous memory: of ours what the host's kernel charges to a workspace's two control groups, of the rival
the sum over its server and its kernel. A kernel is idle when it has answered one cell and imported nothing. Thirty are
asked for at the same moment; when all were stopped, what is left of them on the host is listed.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from hubs import (
    ROOT,
    Caller,
    RunningHub,
    anonymous_bytes,
    make_user,
    open_server,
    our_hub,
    percentile,
    rival_hub,
    run_first,
    stop_server,
)

from sandbox.workspaces.host.limits import CgroupHost
from sandbox.workspaces.jails.warden import group_name, kernel_group_name

MIB = 1024**2
ACCOUNT, CELL, ANSWER = "u-bench", "6 * 7", "42"
MOST_MIB, MANY = 150, 30
SETTLE_SECONDS = 3.0
LARGE_FREE_MIB = 260
"""What must be free for each of the many: a bench that presses its host into want of memory measures nothing."""


class Groups:
    """The control groups of the workspaces of one hub."""

    def __init__(self, hub: RunningHub) -> None:
        self.host = CgroupHost.detect()
        self.runtime = hub.settings.runtime

    def names(self, workspace: str) -> tuple[str, str]:
        return group_name(self.runtime, workspace), kernel_group_name(self.runtime, workspace)

    def anonymous(self, workspace: str) -> tuple[float, float]:
        """Return the MiB of anonymous memory charged to server and kernels."""
        server, kernels = (self._anonymous(name) / MIB for name in self.names(workspace))
        return server, kernels

    def _anonymous(self, name: str) -> int:
        paths = self.host.group(name).paths
        place, word = (paths["memory"], "total_rss") if "memory" in paths else (paths["unified"], "anon")
        for line in (place / "memory.stat").read_text().splitlines():
            if line.split()[0] == word:
                return int(line.split()[1])
        raise SystemExit(f"the group {name} does not say what anonymous memory it holds")

    def charged(self, workspace: str) -> float:
        """Return the MiB charged in all: anonymous memory, rooms in memory, and what was read first by its jails."""
        return sum(self.host.group(name).measure().memory_bytes or 0 for name in self.names(workspace)) / MIB

    def cpu_seconds(self, workspace: str) -> float:
        used = [self.host.group(name).measure().cpu_nanoseconds or 0 for name in self.names(workspace)]
        return sum(used) / 1e9


# --- one -------------------------------------------------------------------------------------------------------------


async def open_idle(caller: Caller, account: str, name: str) -> float:
    """Open a workspace, have one cell answered, and return the seconds that took."""
    began = time.perf_counter()
    await open_server(caller, account, name)
    said = await run_first(caller, account, name, CELL)
    if ANSWER not in said:
        raise SystemExit(f"a kernel answered {said[:100]!r}")
    return time.perf_counter() - began


def measure_one(hub: RunningHub, caller: Caller, groups: Groups) -> tuple[float, float]:
    name = hub.make_workspace(ACCOUNT)
    asyncio.run(open_idle(caller, ACCOUNT, name))
    time.sleep(SETTLE_SECONDS)
    found = groups.anonymous(name)
    asyncio.run(stop_server(caller, ACCOUNT, name))
    return found


def measure_rival() -> float:
    with rival_hub() as (_, caller):
        asyncio.run(make_user(caller, ACCOUNT))
        before = set(_processes())
        asyncio.run(open_idle(caller, ACCOUNT, "w"))
        time.sleep(SETTLE_SECONDS)
        own = str(ROOT / ".venv-sandbox/bin/python")
        found = [pid for pid, command in _processes().items() if pid not in before and command.startswith(own)]
        if len(found) != 2:
            raise SystemExit(f"the rival's server and kernel are {len(found)} processes")
        return sum(anonymous_bytes(pid) for pid in found) / MIB


def _processes() -> dict[int, str]:
    """Return the commands of the host's processes by their number."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
    return found


# --- many ------------------------------------------------------------------------------------------------------------


def measure_many(hub: RunningHub, caller: Caller, groups: Groups, count: int, one_mib: float) -> dict[str, Any]:
    names = [hub.make_workspace(ACCOUNT) for _ in range(count)]
    free = _available_mib()
    if free < count * LARGE_FREE_MIB:
        return {"not run": f"{free:.0f} MiB are free, {count * LARGE_FREE_MIB} are wanted"}
    began = time.perf_counter()
    took = asyncio.run(_open_all(caller, names))
    opened = time.perf_counter() - began
    cpu = sum(groups.cpu_seconds(name) for name in names)
    time.sleep(SETTLE_SECONDS)
    held = sum(sum(groups.anonymous(name)) for name in names)
    charged = sum(groups.charged(name) for name in names)
    uids = {hub.specs.find(name).uid for name in names}  # type: ignore[union-attr]
    began = time.perf_counter()
    asyncio.run(_stop_all(caller, names))
    stopped = time.perf_counter() - began
    left = _left_over(hub, groups, names, uids)
    return {
        "workspaces": count, "answered": len(took), "seconds_open": round(opened, 1),
        "seconds_each": {"median": round(percentile(took, 0.5), 1), "most": round(max(took), 1)},
        "seconds_stop": round(stopped, 1), "anonymous_mib": round(held), "charged_mib": round(charged),
        "anonymous_each_beside_one": round(held / count / one_mib, 2),
        "open_beside_processor_floor": round(opened / (cpu / (os.cpu_count() or 1)), 2), "left_over": left,
    }  # fmt: skip


async def _open_all(caller: Caller, names: list[str]) -> list[float]:
    return list(await asyncio.gather(*(open_idle(caller, ACCOUNT, name) for name in names)))


async def _stop_all(caller: Caller, names: list[str]) -> None:
    await asyncio.gather(*(stop_server(caller, ACCOUNT, name) for name in names))


def _available_mib() -> float:
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable")) / 1024


def _left_over(hub: RunningHub, groups: Groups, names: list[str], uids: set[int]) -> dict[str, int]:
    """Return how many processes, mounts, groups and loop devices of stopped workspaces are on the host."""
    wanted = {group for name in names for group in groups.names(name)}
    deadline = time.monotonic() + 10
    while True:
        mounts = Path("/proc/self/mounts").read_text().splitlines()
        loops = subprocess.run(["losetup", "-a"], check=False, capture_output=True, text=True).stdout.splitlines()
        left = {
            "processes": sum(_is_of(pid, uids, hub.folder.name) for pid in _processes()),
            "mounts": sum(str(hub.folder) in line for line in mounts),
            "groups": len(wanted & set(groups.host.list_groups())),
            "loop_devices": sum(str(hub.folder) in line for line in loops),
        }
        if not any(left.values()) or time.monotonic() > deadline:
            return left
        time.sleep(0.1)


def _is_of(pid: int, uids: set[int], folder: str) -> bool:
    """Return whether a process of one of these users sees the hub's folder; another hub may have the same users."""
    place = Path(f"/proc/{pid}")
    try:
        return place.stat().st_uid in uids and folder in (place / "mountinfo").read_text()
    except OSError:
        return False


def main(quick: bool) -> dict[str, Any]:
    count = 4 if quick else MANY
    with our_hub() as (hub, caller):
        groups = Groups(hub)
        if not {"memory"} & groups.host.controllers:
            return {"not run": "this host charges no memory to control groups"}
        asyncio.run(make_user(caller, ACCOUNT))
        ones = [measure_one(hub, caller, groups) for _ in range(1 if quick else 3)]
        server, kernels = (percentile(list(part), 0.5) for part in zip(*ones, strict=True))
        rival = measure_rival()
        many = measure_many(hub, caller, groups, count, server + kernels)
    one = {
        "anonymous_mib": round(server + kernels, 1), "server_mib": round(server, 1), "kernel_mib": round(kernels, 1),
        "rival_mib": round(rival, 1), "ratio": round((server + kernels) / rival, 2),
    }  # fmt: skip
    bars = {
        f"idle workspace <= {MOST_MIB} MiB anonymous": server + kernels <= MOST_MIB,
        f"{count} at once, each answers": many.get("answered") == count,
        "nothing left of them": not any(many.get("left_over", {"": 1}).values()),
    }
    return {"one": one, "many": many, "bars": bars}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main("--quick" in sys.argv[1:])) + "\n")
