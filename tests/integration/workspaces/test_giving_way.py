"""A workspace that keeps a processor busy runs behind those that do not, until it is calm again: on real groups."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.workspaces.host.limits import Cgroup, CgroupHost, Limits
from sandbox.workspaces.jails.warden import BUSY_SECONDS, Warden, kernel_group_name
from sandbox.workspaces.records.runtime import runtime_paths

BUSY, CALM = "w-busy", "w-calm"


@pytest.fixture
def groups() -> Iterator[tuple[Warden, Cgroup, Cgroup]]:
    host = CgroupHost.detect()
    folder = host.legacy.get("cpu") or host.unified
    if "cpu" not in host.controllers or folder is None or not host.counts_cpu:
        pytest.skip("this host has no control group of processors")
    if not (folder / host.parent / "cpu.idle").exists():
        pytest.skip("Linux before 5.15 cannot have a group give way")
    runtime = Path(tempfile.mkdtemp(prefix="sz-", dir="/tmp"))
    made = []
    for workspace in (BUSY, CALM):
        runtime_paths(runtime, workspace).make()
        group = host.group(kernel_group_name(runtime, workspace))
        group.create(Limits(cpu_percent=50))
        made.append(group)
    yield Warden(host, runtime), made[0], made[1]
    for group in made:
        group.kill()
        group.remove()
    shutil.rmtree(runtime)


def read_idle(group: Cgroup) -> str:
    return ((group.paths.get("cpu") or group.paths["unified"]) / "cpu.idle").read_text().strip()


def start_in(group: Cgroup, code: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", code], preexec_fn=group.join)


def watch(warden: Warden, seconds: float) -> None:
    """Look several times a second, as the jailer does."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        warden.let_short_cells_first()
        time.sleep(0.1)


def test_busy_workspace_gives_way_until_it_is_calm(groups: tuple[Warden, Cgroup, Cgroup]) -> None:
    warden, busy, calm = groups
    spinning = start_in(busy, "while True: pass")
    sleeping = start_in(calm, "import time\nwhile True: time.sleep(0.05)")
    watch(warden, 3 * BUSY_SECONDS)
    assert (read_idle(busy), read_idle(calm)) == ("1", "0")
    spinning.kill()
    spinning.wait()
    watch(warden, 3 * BUSY_SECONDS)
    assert read_idle(busy) == "0", "what it used before is forgiven"
    sleeping.kill()
    sleeping.wait()
