"""The warden: keeps suspended workspaces frozen until the order is lifted, and has busy kernels let others go first.

Only the first is a duty. The second is for the neighbours: somebody's short cell is not to wait behind a long run.
"""

from __future__ import annotations

import logging
import time
from pathlib import Path

from sandbox.workspaces.host.limits import Cgroup, CgroupHost
from sandbox.workspaces.host.mounts import unmount
from sandbox.workspaces.jails.jail import end_marked
from sandbox.workspaces.records.controls import WORKSPACE_ID, Orders
from sandbox.workspaces.records.runtime import runtime_paths

log = logging.getLogger(__name__)

GROUP_PREFIX = "ws-"
KERNELS = "-k"
FREEZE_SECONDS = 0.6
"""How long a group may take to stand still before it is killed: an order is obeyed within a second."""

BUSY_SHARE = 0.2
"""The share of one processor above which a workspace's kernels let others go first; a busy one waits only for others
that are not."""
BUSY_SECONDS = 1.0
"""How long it takes to be called busy, and to be so no more."""


def group_name(runtime: Path, workspace: str) -> str:
    """Return the name of the control group of a workspace's server.

    It names the installation by its runtime folder: a restored copy beside the first one knows the same workspaces.
    """
    return f"{GROUP_PREFIX}{runtime.name}-{workspace}"


def kernel_group_name(runtime: Path, workspace: str) -> str:
    """Return the name of the control group that all kernels of a workspace share."""
    return f"{group_name(runtime, workspace)}{KERNELS}"


def list_marks(runtime: Path, workspace: str) -> tuple[Path, ...]:
    """Return the marks of a workspace's jails: its server's and its kernels', living or not.

    None in a folder that is not this user's own: who made it could have them name anybody's process.
    """
    paths = runtime_paths(runtime, workspace)
    if not paths.is_own():
        return ()
    kernels = sorted(paths.kernel_marks.iterdir()) if paths.kernel_marks.is_dir() else []
    return tuple(mark for mark in (paths.mark, *kernels) if mark.is_file())


def end_workspace(host: CgroupHost, runtime: Path, workspace: str) -> bool:
    """End whatever still runs in the jails of a workspace, with its mounts, and return whether something did."""
    ran = False
    groups = host.list_groups()
    for name in (kernel_group_name(runtime, workspace), group_name(runtime, workspace)):
        if name in groups:
            group = host.group(name)
            ran |= bool(group.list_processes())
            group.kill()
            group.remove()
    for mark in list_marks(runtime, workspace):
        ran |= end_marked(mark)
    paths = runtime_paths(runtime, workspace)
    for place in () if not paths.is_own() else (paths.notebooks, paths.sockets, paths.ipc):
        unmount(place)
    return ran


class Warden:
    """Freezes and thaws by the orders; where the host cannot freeze it kills, for a suspended process must not run.

    It looks after the workspaces that have sockets in `runtime`: another installation on this host has its own warden.
    All groups are told to stand still at once and looked at again in the next round, so that many are held as fast as
    one.
    """

    def __init__(self, host: CgroupHost, runtime: Path) -> None:
        self._host = host
        self._runtime = runtime
        self._asked: dict[str, float] = {}
        self._used: dict[str, tuple[float, int]] = {}

    def obey(self, orders: Orders) -> None:
        """Bring every workspace's processes into the state that `orders` ask for, as far as one round goes."""
        groups = frozenset(self._host.list_groups())
        for workspace in self._list_workspaces():
            names = (kernel_group_name(self._runtime, workspace), group_name(self._runtime, workspace))
            for name in names:
                if name in groups:
                    self._bring_in_line(self._host.group(name), suspended=workspace in orders.suspended)
            if workspace in orders.suspended and not groups.intersection(names):
                for mark in list_marks(self._runtime, workspace):
                    if end_marked(mark):
                        log.warning("a jail of %s has no control group and is killed", workspace)

    def let_short_cells_first(self) -> None:
        """Have every workspace whose kernels were busy of late give way to those whose were not."""
        groups = self._host.list_groups()
        now = time.monotonic()
        names = [kernel_group_name(self._runtime, workspace) for workspace in self._list_workspaces()]
        self._used = {name: used for name, used in self._used.items() if name in names}
        for name in names:
            if name in groups:
                self._weigh(self._host.group(name), now)

    def _weigh(self, group: Cgroup, now: float) -> None:
        at, before = self._used.get(group.name, (0.0, 0))
        if now - at < BUSY_SECONDS:
            return
        used = group.measure_cpu()
        if used is None:
            return
        self._used[group.name] = (now, used)
        if at:
            group.let_others_first((used - before) / 1e9 > BUSY_SHARE * (now - at))

    def _list_workspaces(self) -> tuple[str, ...]:
        names = (folder.name for folder in self._runtime.iterdir() if folder.is_dir())
        return tuple(sorted(name for name in names if WORKSPACE_ID.fullmatch(name)))

    def _bring_in_line(self, group: Cgroup, *, suspended: bool) -> None:
        if not suspended:
            self._asked.pop(group.name, None)
            if group.is_frozen():
                group.thaw(timeout=0.0)
            return
        if not group.list_processes() or group.freeze(timeout=0.0):
            self._asked.pop(group.name, None)
        elif time.monotonic() - self._asked.setdefault(group.name, time.monotonic()) > FREEZE_SECONDS:
            log.warning("%s cannot be frozen and is killed", group.name)
            group.kill(timeout=0.2)
