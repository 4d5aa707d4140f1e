"""The warden: keeps the processes of suspended workspaces frozen, and lets them run again when the order is lifted."""

from __future__ import annotations

import logging
from pathlib import Path

from sandbox.workspaces.controls import Orders
from sandbox.workspaces.jail import end_marked
from sandbox.workspaces.limits import CgroupHost
from sandbox.workspaces.runtime import runtime_paths

log = logging.getLogger(__name__)

GROUP_PREFIX = "ws-"


def group_name(runtime: Path, workspace: str) -> str:
    """Return the name of the control group of a workspace's jail.

    It names the installation by its runtime folder: a restored copy beside the first one knows the same workspaces.
    """
    return f"{GROUP_PREFIX}{runtime.name}-{workspace}"


class Warden:
    """Freezes and thaws by the orders; where the host cannot freeze it kills, for a suspended process must not run.

    It looks after the workspaces that have sockets in `runtime`: another installation on this host has its own warden.
    """

    def __init__(self, host: CgroupHost, runtime: Path) -> None:
        self._host = host
        self._runtime = runtime

    def obey(self, orders: Orders) -> None:
        """Bring every workspace's processes into the state that `orders` ask for."""
        ours = {
            group_name(self._runtime, folder.name): folder.name for folder in self._runtime.iterdir() if folder.is_dir()
        }
        groups = self._host.list_groups()
        for name, workspace in ours.items():
            if workspace not in orders.suspended or name in groups:
                continue
            if end_marked(runtime_paths(self._runtime, workspace).mark):
                log.warning("%s has no control group and is killed", name)
        for name in groups:
            if name not in ours:
                continue
            group = self._host.group(name)
            if ours[name] not in orders.suspended:
                if group.is_frozen():
                    group.thaw()
            elif group.list_processes() and not group.is_frozen() and not group.freeze():
                log.warning("%s cannot be frozen and is killed", name)
                group.kill(timeout=2.0)
