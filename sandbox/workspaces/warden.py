"""The warden: keeps the processes of suspended workspaces frozen, and lets them run again when the order is lifted."""

from __future__ import annotations

import logging

from sandbox.workspaces.controls import Orders
from sandbox.workspaces.limits import CgroupHost

log = logging.getLogger(__name__)

GROUP_PREFIX = "ws-"


def group_name(workspace: str) -> str:
    """Return the name of the control group of a workspace's jail."""
    return f"{GROUP_PREFIX}{workspace}"


class Warden:
    """Freezes and thaws by the orders; where the host cannot freeze it kills, for a suspended process must not run."""

    def __init__(self, host: CgroupHost) -> None:
        self._host = host

    def obey(self, orders: Orders) -> None:
        """Bring every workspace's processes into the state that `orders` ask for."""
        held = {group_name(workspace) for workspace in orders.suspended}
        for name in self._host.list_groups():
            if not name.startswith(GROUP_PREFIX):
                continue
            group = self._host.group(name)
            if name not in held:
                if group.is_frozen():
                    group.thaw()
            elif group.list_processes() and not group.is_frozen() and not group.freeze():
                log.warning("%s cannot be frozen and is killed", name)
                group.kill(timeout=2.0)
