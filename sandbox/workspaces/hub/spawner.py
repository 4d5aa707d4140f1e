"""The spawner: has the jailer start a workspace's Jupyter server when JupyterHub asks, and finds it after a restart.

The hub says who asks for which server; what is mounted comes from the workspace's record, never from the request.
"""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path
from typing import Any

from jupyterhub.spawner import Spawner, SpawnException
from traitlets import Any as AnyTrait
from traitlets import Unicode

from sandbox.workspaces.gate.out_gate import OutGate
from sandbox.workspaces.jailer.client import AsyncJailerClient
from sandbox.workspaces.records.runtime import RuntimePaths, runtime_paths, unix_url
from sandbox.workspaces.records.specs import WorkspaceRefused
from shuzha.core.errors import ShuzhaError, Unavailable

log = logging.getLogger(__name__)


class BwrapSpawner(Spawner):  # type: ignore[misc]
    """Starts, polls and stops one workspace. It needs `specs` (where to look up workspaces) from the hub's settings."""

    specs: Any = AnyTrait(config=True, help="WorkspaceSpecs: what may be started, by account and workspace")
    runtime = Unicode(config=True, help="Folder of the workspaces' sockets; short, lower case")
    jailer_socket = Unicode(config=True, help="Where the jailer answers the platform")

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._runs = False
        self._out: OutGate | None = None

    async def start(self) -> str:
        """Return the URL of the started server. Raises SpawnException with the reason when it may not be started."""
        try:
            spec = self.specs.load(self.user.name, self.name)
        except WorkspaceRefused as error:
            raise SpawnException(str(error), reason="refused") from error
        paths = runtime_paths(Path(self.runtime), spec.workspace)
        jailer = self._jailer()
        try:
            await jailer.prepare(spec.workspace)
            self._out = OutGate(paths.outward, account=self.user.name, uid=spec.uid, hub_url=self._hub_url())
            await self._out.open()
            await jailer.start(spec.workspace, self.user.name, self.get_env())
        except ShuzhaError as error:
            await self._give_up(error)
            raise SpawnException(error.message, reason="jail") from error
        self._runs = True
        return self._tell_address(paths)

    async def poll(self) -> int | None:
        """Return None while the server lives, else its exit code. A jailer that does not answer has said no end."""
        if not self._runs:
            return 0
        try:
            code = await self._jailer().poll(self.name)
        except Unavailable as error:
            log.warning("cannot tell whether %s lives: %s", self.name, error)
            return None
        if code is None and self._out is not None:
            await self._out.open()
        return code

    async def stop(self, now: bool = False) -> None:
        """End the server, its kernels and everything in them, and take the sockets away."""
        self._runs = False
        await self._jailer().stop(self.name, 0.0 if now else 2.0)
        if self._out is not None:
            await self._out.close()
            self._out = None

    def get_state(self) -> dict[str, Any]:
        """Return what is needed to find the server again after a restart of the hub: that it was started."""
        state: dict[str, Any] = super().get_state()
        if self._runs:
            state["jailed"] = True
        return state

    def load_state(self, state: dict[str, Any]) -> None:
        """Find the server of `state` again, whether it lives or not; `poll` tells."""
        super().load_state(state)
        if "jailed" not in state:
            return
        self._runs = True
        paths = runtime_paths(Path(self.runtime), self.name)
        if self.server is not None:
            self._tell_address(paths)
        if paths.outward.parent.is_dir() and (uid := self._uid_of(self.name)) is not None:
            self._out = OutGate(paths.outward, account=self.user.name, uid=uid, hub_url=self._hub_url())

    def clear_state(self) -> None:
        """Forget the server."""
        super().clear_state()
        self._runs = False

    def get_env(self) -> dict[str, str]:
        """Return the variables that the server starts with: the hub's own, and nothing of the host's."""
        ours = {name: str(value) for name, value in super().get_env().items() if name.startswith("JUPYTERHUB_")}
        ours["JUPYTERHUB_SERVICE_URL"] = f"http+unix://%2Ftmp%2Fserver.sock{self.server.base_url}"
        return ours

    def _tell_address(self, paths: RuntimePaths) -> str:
        # The hub would store port 80 for a URL without one, and the gate would look for a socket named "in.sock:80".
        url = unix_url(paths.inward)
        self.server.connect_url = url
        return url

    def _uid_of(self, workspace: str) -> int | None:
        try:
            return int(self.specs.load(self.user.name, workspace).uid)
        except WorkspaceRefused:
            return None

    def _hub_url(self) -> str:
        return str(self.hub.url)

    async def _give_up(self, error: ShuzhaError) -> None:
        """Leave nothing of a start that failed: a jailer that died meanwhile may have started the server yet."""
        if self._out is not None:
            await self._out.close()
            self._out = None
        if isinstance(error, Unavailable):
            with contextlib.suppress(ShuzhaError):
                await self._jailer().stop(self.name, 0.0)

    def _jailer(self) -> AsyncJailerClient:
        return AsyncJailerClient(Path(self.jailer_socket))
