"""Gate, hub, jailer, server and kernel killed in turn, again and again: work goes on, counts hold, nothing is left."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import aiohttp
import httpx
import pytest
from workspace_kit import RunningHub, running_hub, wait_until

from sandbox.workspaces.host.limits import Cgroup, CgroupHost
from sandbox.workspaces.jails.warden import group_name, kernel_group_name

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="jails with users of their own need root"),
]
ANALYST, NEIGHBOUR = "acc_alice", "acc_bob"
SHOWN = 20_000
PLATFORM = 3
"""The processes of a hub without workspaces: itself, its gate, the jailer."""


class Victim:
    """A workspace that is used while parts of the platform are killed, and a neighbour that must not notice."""

    def __init__(self, hub: RunningHub) -> None:
        self.hub = hub
        self.name, self.neighbour = hub.open_workspace(ANALYST), hub.open_workspace(NEIGHBOUR)
        self.show()
        hub.run_code(NEIGHBOUR, self.neighbour, "kept = 0")

    def group(self, name: str, *, kernels: bool) -> Cgroup:
        of = kernel_group_name if kernels else group_name
        return CgroupHost.detect().group(of(self.hub.settings.runtime, name))

    def counted(self) -> int:
        """Return the bytes that are written down as shown by the victim, in any class."""
        with closing(sqlite3.connect(f"file:{self.hub.settings.usage}?mode=ro", uri=True)) as store:
            row = store.execute("select sum(shown) from screen_usage where workspace = ?", (self.name,)).fetchone()
            return int(row[0] or 0)

    def show(self) -> None:
        """Show something in a kernel of the workspace: the one from before where it lives, else a new one."""
        assert len(self.hub.run_code(ANALYST, self.name, f"print('x' * {SHOWN})", 30).text) > SHOWN

    def answers(self, account: str, name: str) -> bool:
        try:
            with httpx.Client(headers=self.hub.headers(), timeout=5) as browser:
                return browser.get(f"{self.hub.path(account, name)}/api/kernels").status_code == 200
        except httpx.HTTPError:
            return False

    # --- each kill, with what brings the part back: the hub restarts its gate, the supervisor jailer and hub ----------

    def kill_gate(self) -> None:
        file = self.hub.settings.state / "gate.pid"
        gate = int(file.read_text())
        os.kill(gate, signal.SIGKILL)
        wait_until(lambda: file.exists() and int(file.read_text() or gate) != gate, 30, "another gate")

    def kill_hub(self) -> None:
        self.hub.stop_process(kill=True)
        self.hub.start()

    def kill_jailer(self) -> None:
        self.hub.kill_jailer()
        assert self.answers(ANALYST, self.name), "a workspace goes on without the jailer"
        self.hub.start_jailer()

    def kill_server(self) -> None:
        group, kernels = self.group(self.name, kernels=False), self.group(self.name, kernels=True)
        os.kill(max(group.list_processes()), signal.SIGKILL)
        wait_until(lambda: not kernels.list_processes(), 10, "the end of its kernels")
        with self.hub.client() as client:
            wait_until(lambda: client.find_server(ANALYST, self.name) is None, 30, "the hub's notice")
            client.start_server(ANALYST, self.name)
            client.wait_ready(ANALYST, self.name)

    def kill_kernel(self) -> None:
        group = self.group(self.name, kernels=True)
        killed = max(group.list_processes())
        os.kill(killed, signal.SIGKILL)
        wait_until(lambda: killed not in group.list_processes() and self.restarted(), 30, "the kernel, started again")

    def restarted(self) -> bool:
        """Return whether the server says that the kernel of before lives, under the same name."""
        with httpx.Client(headers=self.hub.headers(), timeout=5) as browser:
            listed = browser.get(f"{self.hub.path(ANALYST, self.name)}/api/kernels").json()
        states = {one["id"]: one["execution_state"] for one in listed}
        return states.get(self.hub._kernels[self.name], "dead") not in {"dead", "restarting"}

    # --- what must hold after each -----------------------------------------------------------------------------------

    def check(self, part: str, turn: int, before: int) -> None:
        """Hold that both workspaces answer, that what was shown just before the kill is counted, and who noticed."""
        for account, name in ((ANALYST, self.name), (NEIGHBOUR, self.neighbour)):
            wait_until(lambda a=account, n=name: self.answers(a, n), 30, f"{name} after the {part} was killed")
        why = f"the count of what was shown before the {part} was killed"
        wait_until(lambda: self.counted() >= before + SHOWN, 10, why)
        wait_until(self.can_show, 60, f"a kernel after the {part} was killed")
        said = self.hub.run_code(NEIGHBOUR, self.neighbour, "kept += 1; print(kept)", 30).text.strip()
        assert said == str(turn), f"the neighbour's kernel lost its memory when the {part} was killed"

    def can_show(self) -> bool:
        before = self.counted()
        try:
            self.show()
        except (TimeoutError, aiohttp.ClientError, AssertionError):
            return False
        wait_until(lambda: self.counted() >= before + SHOWN, 10, "the count of what was shown")
        return True


def left_of(hub: RunningHub) -> dict[str, list[str]]:
    """Return the processes, mounts, loop devices and control groups that are there of a hub."""
    runtime, folder = hub.settings.runtime, str(hub.folder)
    groups = {of(runtime, name) for name in hub.workspaces for of in (group_name, kernel_group_name)}
    images = (path for path in Path("/sys/block").glob("loop*/loop/backing_file"))
    return {
        "processes": [str(path) for path in list_processes() if is_of(path, folder, groups)],
        "mounts": [line for line in read(Path("/proc/self/mounts")).splitlines() if f"{folder}/" in line],
        "loop devices": [text for text in map(read, images) if folder in text],
        "groups": sorted(groups & set(CgroupHost.detect().list_groups())),
    }


def end_in_time(hub: RunningHub, kinds: tuple[str, ...], timeout: float) -> None:
    """Wait until nothing of these kinds is there of a hub, and say what is left where it does not end."""
    deadline = time.monotonic() + timeout
    while left := {kind: there for kind, there in left_of(hub).items() if kind in kinds and there}:
        assert time.monotonic() < deadline, f"left after {timeout:g} s: {left}"
        time.sleep(0.02)


def is_of(process: Path, folder: str, groups: set[str]) -> bool:
    """Return whether a process is of a hub: by its arguments, its variables, its group, or what it has mounted."""
    if any(folder in read(process / name) for name in ("cmdline", "environ")):
        return True
    if any(f"/{group}\n" in read(process / "cgroup") for group in groups):
        return True
    apart = link(process / "ns/mnt") != link(Path("/proc/self/ns/mnt"))
    return apart and f"{folder}/" in read(process / "mountinfo")


def link(path: Path) -> str:
    try:
        return str(path.readlink())
    except OSError:
        return ""


def list_processes() -> list[Path]:
    return [path for path in Path("/proc").iterdir() if path.name.isdigit()]


def read(path: Path) -> str:
    try:
        return path.read_bytes().decode(errors="replace")
    except OSError:
        return ""


def kill_in_turn(turns: int) -> None:
    hubs = running_hub()
    hub = next(hubs)
    try:
        victim = Victim(hub)
        parts: tuple[tuple[str, Callable[[], None]], ...] = (
            ("gate", victim.kill_gate), ("kernel", victim.kill_kernel), ("hub", victim.kill_hub),
            ("server", victim.kill_server), ("jailer", victim.kill_jailer),
        )  # fmt: skip
        for turn in range(turns * len(parts)):
            part, kill = parts[turn % len(parts)]
            before = victim.counted()
            victim.show()
            kill()
            victim.check(part, turn + 1, before)
        assert all(left_of(hub).values()), "the control: while it runs there is one of each kind"
        with hub.client() as client:
            for account, name in ((ANALYST, victim.name), (NEIGHBOUR, victim.neighbour)):
                client.stop_server(account, name)
                client.wait_stopped(account, name)
        # A loop device goes with the last view of its mount: a jail that is being built elsewhere has one, briefly.
        end_in_time(hub, ("groups", "mounts", "loop devices"), 20)
        assert len(left_of(hub)["processes"]) <= PLATFORM, "nothing of a killed gate, hub or jailer runs on"
    finally:
        hubs.close()
    end_in_time(hub, ("processes", "mounts", "loop devices", "groups"), 10)


def test_each_part_killed_in_turn_once() -> None:
    kill_in_turn(1)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_each_part_killed_in_turn_twenty_times() -> None:
    kill_in_turn(20)
