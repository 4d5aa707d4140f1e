"""The spawner: starts a workspace's Jupyter server in its jail when JupyterHub asks, and finds it after a restart.

The hub says who asks for which server; what is mounted comes from the workspace's record, never from the request.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any

from jupyterhub.spawner import Spawner, SpawnException
from traitlets import Any as AnyTrait
from traitlets import Unicode

from sandbox.workspaces.homes import prepare_home
from sandbox.workspaces.jail import (
    INSIDE_DATA,
    INSIDE_ENVIRONMENT,
    INSIDE_HOME,
    INSIDE_SCRATCH,
    Jail,
    JailFailed,
    JailSpec,
    Mount,
    end_marked,
    start_jail,
)  # fmt: skip
from sandbox.workspaces.limits import CgroupHost
from sandbox.workspaces.out_gate import OutGate
from sandbox.workspaces.runtime import RuntimePaths, runtime_paths, unix_url
from sandbox.workspaces.specs import WorkspaceRefused, WorkspaceSpec
from sandbox.workspaces.warden import group_name

CONFIGURATION = Path(__file__).parent / "inside"
INSIDE_CONFIGURATION = "/etc/jupyter"
_SERVER = (f"{INSIDE_ENVIRONMENT}/bin/python", "-I", "-m", "jupyterhub.singleuser")
_BACKLOG = 128
_LOG_BYTES = 4 * 1024**2


class BwrapSpawner(Spawner):  # type: ignore[misc]
    """Starts, polls and stops one workspace. It needs `specs` (where to look up workspaces) from the hub's settings."""

    specs: Any = AnyTrait(config=True, help="WorkspaceSpecs: what may be started, by account and workspace")
    runtime = Unicode(config=True, help="Folder of the workspaces' sockets; short, lower case")
    environment_folder = Unicode(config=True, help="The sandbox environment, shown read-only inside")
    starter_folder = Unicode("", config=True, help="Notebooks copied into a new home")
    log_folder = Unicode("", config=True, help="Where servers' own logs go; empty for nowhere")

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._jail: Jail | None = None
        self._out: OutGate | None = None
        self._cgroups = CgroupHost.detect()

    async def start(self) -> str:
        """Return the URL of the started server. Raises SpawnException with the reason when it may not be started."""
        try:
            spec = self.specs.load(self.user.name, self.name)
        except WorkspaceRefused as error:
            raise SpawnException(str(error), reason="refused") from error
        paths = runtime_paths(Path(self.runtime), spec.workspace)
        paths.make()
        prepare_home(spec.home, spec.uid, Path(self.starter_folder) if self.starter_folder else None)
        self._end_leftovers(spec.workspace)
        listening = _listen(paths.inward)
        try:
            self._out = OutGate(paths.outward, account=self.user.name, uid=spec.uid, hub_url=self._hub_url())
            await self._out.open()
            self._jail = self._start_jail(spec, paths, listening.fileno())
            self._jail.leave_mark(paths.mark)
        except JailFailed as error:
            raise SpawnException(str(error), reason="jail") from error
        finally:
            listening.close()
        return self._tell_address(paths)

    async def poll(self) -> int | None:
        """Return None while the jail lives, else its exit code."""
        if self._jail is None:
            return 0
        code = self._jail.exit_code()
        if code is None and self._out is not None:
            await self._out.open()
        return code

    async def stop(self, now: bool = False) -> None:
        """End the jail and everything in it, and take its sockets away."""
        if self._jail is not None:
            await asyncio.to_thread(self._jail.stop, 0.0 if now else 2.0)
            self._jail = None
        if self._out is not None:
            await self._out.close()
            self._out = None
        paths = runtime_paths(Path(self.runtime), self.name)
        paths.inward.unlink(missing_ok=True)
        shutil.rmtree(paths.outward.parent, ignore_errors=True)

    def get_state(self) -> dict[str, Any]:
        """Return what is needed to find the jail again after a restart of the hub."""
        state: dict[str, Any] = super().get_state()
        if self._jail is not None:
            state["jail"] = {"outer": self._jail.outer, "inner": self._jail.inner}
        return state

    def load_state(self, state: dict[str, Any]) -> None:
        """Find the jail of `state` again, whether it lives or not; `poll` tells."""
        super().load_state(state)
        if "jail" not in state:
            return
        group = self._cgroups.group(group_name(Path(self.runtime), self.name))
        self._jail = Jail(int(state["jail"]["outer"]), int(state["jail"]["inner"]), group)
        paths = runtime_paths(Path(self.runtime), self.name)
        if self.server is not None:
            self._tell_address(paths)
        owner = paths.outward.parent
        if owner.is_dir() and (uid := self._uid_of(self.name)) is not None:
            self._out = OutGate(paths.outward, account=self.user.name, uid=uid, hub_url=self._hub_url())

    def clear_state(self) -> None:
        """Forget the jail."""
        super().clear_state()
        self._jail = None

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

    def _end_leftovers(self, workspace: str) -> None:
        """End what an earlier jail of the same name left, so that nothing old shares the new one's limits."""
        group = self._cgroups.group(group_name(Path(self.runtime), workspace))
        if group.list_processes():
            group.kill()
        elif not group.paths:
            end_marked(runtime_paths(Path(self.runtime), workspace).mark)

    def _start_jail(self, spec: WorkspaceSpec, paths: RuntimePaths, descriptor: int) -> Jail:
        jail = build_jail(spec, paths, Path(self.environment_folder), self.get_env(), descriptor)
        if not self.log_folder:
            return start_jail(jail, self._cgroups, pass_fds=(descriptor,))
        writing = open_log(Path(self.log_folder) / f"{spec.workspace}.log")
        try:
            return start_jail(jail, self._cgroups, pass_fds=(descriptor,), output=writing)
        finally:
            os.close(writing)


def build_jail(
    spec: WorkspaceSpec, paths: RuntimePaths, environment: Path, hub_variables: dict[str, str], descriptor: int
) -> JailSpec:
    """Return the jail of a workspace: its releases read-only, its home, both sockets' folders, its settings."""
    mounts = [Mount(release.path, f"{INSIDE_DATA}/{release.name}") for release in spec.releases]
    mounts += [
        Mount(spec.home, INSIDE_HOME, writable=True),
        Mount(CONFIGURATION, INSIDE_CONFIGURATION),
        Mount(paths.outward.parent, "/gate/out"),
        Mount(paths.platform.parent, "/gate/platform"),
    ]
    threads = max(1, spec.limits.cpu_percent // 100)
    variables = {
        **hub_variables,
        "HOME": INSIDE_HOME, "USER": "analyst", "LANG": "C.UTF-8", "TZ": "UTC",
        "PATH": f"{INSIDE_ENVIRONMENT}/bin:/usr/bin:/bin", "JUPYTER_RUNTIME_DIR": f"{INSIDE_SCRATCH}/jupyter",
        "JUPYTER_DATA_DIR": f"{INSIDE_SCRATCH}/jupyter-data", "IPYTHONDIR": f"{INSIDE_SCRATCH}/ipython",
        "POLARS_MAX_THREADS": str(threads), "PYTHONDONTWRITEBYTECODE": "1",
        "SHUZHA_WORKSPACE": spec.workspace, "SHUZHA_DATA": INSIDE_DATA, "SHUZHA_LISTEN_FD": str(descriptor),
        "SHUZHA_PLATFORM_SOCKET": f"/gate/platform/{paths.platform.name}",
    }  # fmt: skip
    return JailSpec(
        group_name(paths.folder.parent, spec.workspace), spec.uid, environment, tuple(mounts), _SERVER,
        tuple(sorted(variables.items())), spec.limits,
    )  # fmt: skip


def open_log(path: Path) -> int:
    """Return the writing end of a pipe whose first mebibytes are kept at `path`; the rest is read and dropped.

    A jail never holds the file itself, and what it writes cannot fill the disk. The reader ends with the last writer,
    and outlives the hub as the jail does.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    reading, writing = os.pipe()
    number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        subprocess.Popen(
            ["sh", "-c", f"head -c {_LOG_BYTES}; exec cat >/dev/null"],
            stdin=reading, stdout=number, stderr=subprocess.DEVNULL, env={}, start_new_session=True,
        )  # fmt: skip
    finally:
        os.close(reading)
        os.close(number)
    return writing


def _listen(path: Path) -> socket.socket:
    """Return a socket that listens at `path`; the server inherits it, and nothing inside ever sees the path."""
    path.unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(os.fspath(path))
    path.chmod(0o600)
    listening.listen(_BACKLOG)
    return listening
