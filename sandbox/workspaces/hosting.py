"""What this host does for a workspace: keep its specification, obey orders about it, run its server, end its home."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from sandbox.workspaces.gate.meter import read_usage, today
from sandbox.workspaces.host.limits import Limits
from sandbox.workspaces.hub.client import HubClient, HubRefused, HubUnavailable
from sandbox.workspaces.jailer.client import JailerClient
from sandbox.workspaces.model import Workspace
from sandbox.workspaces.records.controls import ControlsWriter, FileControls
from sandbox.workspaces.records.hub_settings import HubSettings
from sandbox.workspaces.records.specs import FileSpecs, GrantedRelease, WorkspaceRefused, WorkspaceSpec
from shuzha.core.errors import Invalid, ShuzhaError, Unavailable

_READY_SECONDS = 60.0
OVERFULL = "limit reached: the home holds more than it may"


@dataclass(frozen=True, slots=True)
class Session:
    """A server that runs: since when, and when a browser last asked it for something; seconds since 1970."""

    started: float
    asked: float


class Host(Protocol):
    """Where workspaces run. Every verb bears a repeat."""

    def prepare(self, workspace: Workspace, releases: tuple[GrantedRelease, ...]) -> None:
        """Let the workspace be started with exactly these releases."""
        ...

    def start(self, workspace: Workspace) -> None:
        """Start the workspace's server and return when it is ready; raises Unavailable with the reason."""
        ...

    def stop(self, workspace: Workspace) -> None:
        """End the workspace's server and return when it has ended."""
        ...

    def has_ended(self, workspace: Workspace) -> bool:
        """Return whether the workspace's server is known not to run; False where that cannot be known now."""
        ...

    def why_ended(self, workspace: Workspace) -> str:
        """Return the limit for which the host ended the workspace by itself, in a sentence; empty where it did not."""
        ...

    def hold(self, workspace: Workspace, reason: str) -> None:
        """Have no byte pass and no process run, within a second, until `release`."""
        ...

    def release(self, workspace: Workspace) -> None:
        """Lift the hold."""
        ...

    def destroy(self, workspace: Workspace) -> dict[str, Any]:
        """Take home and specification away for good, and return what there was (`bytes`) and the `method`."""
        ...

    def read_notebook(self, workspace: Workspace, name: str) -> bytes:
        """Return a saved notebook of the workspace."""
        ...

    def screen_bytes(self, workspace: Workspace) -> dict[str, int]:
        """Return the bytes shown so far on screens, by day."""
        ...

    def screen_budget(self, workspace: Workspace) -> int:
        """Return how many bytes a day may be shown."""
        ...


class LocalHost:
    """Workspaces in jails on this host, under the hub of `settings`."""

    def __init__(self, settings: HubSettings, token: Callable[[], str], limits: Limits | None = None) -> None:
        self._settings = settings
        self._token = token
        self._limits = limits or Limits()
        self._controls = ControlsWriter(settings.controls)
        self._jailer = JailerClient(settings.jailer_socket)
        self.specs = FileSpecs(
            settings.specs, release_root=settings.releases, home_root=settings.homes,
            controls=FileControls(settings.controls), own_root=settings.own,
        )  # fmt: skip

    def prepare(self, workspace: Workspace, releases: tuple[GrantedRelease, ...]) -> None:
        """Write the specification; refuses a release that does not lie in the release zone."""
        self._controls.start()
        spec = WorkspaceSpec(
            workspace.name, workspace.handle, workspace.uid, self._home(workspace), releases, self._limits
        )
        try:
            self.specs.write(spec)
        except WorkspaceRefused as error:
            raise Invalid(str(error), rule="workspace.mounts") from None

    def start(self, workspace: Workspace) -> None:
        """Ask the hub for the server and wait until it is ready."""
        try:
            with self._hub() as hub:
                hub.ensure_user(workspace.handle)
                hub.start_server(workspace.handle, workspace.name)
                hub.wait_ready(workspace.handle, workspace.name, _READY_SECONDS)
        except (HubRefused, HubUnavailable) as error:
            raise Unavailable(f"workspace {workspace.id} could not be started: {error}", rule="workspace.hub") from None

    def stop(self, workspace: Workspace) -> None:
        """Ask the hub to end the server and wait until it has; only the platform can start it again."""
        self.specs.remove(workspace.name)
        try:
            with self._hub() as hub:
                hub.stop_server(workspace.handle, workspace.name)
                hub.wait_stopped(workspace.handle, workspace.name)
        except (HubRefused, HubUnavailable) as error:
            raise Unavailable(f"workspace {workspace.id} could not be stopped: {error}", rule="workspace.hub") from None

    def has_ended(self, workspace: Workspace) -> bool:
        """Ask the hub; one that does not answer, because it is starting again, has said nothing."""
        try:
            with self._hub() as hub:
                return hub.find_server(workspace.handle, workspace.name) is None
        except (HubRefused, HubUnavailable):
            return False

    def why_ended(self, workspace: Workspace) -> str:
        """Ask the jailer, which writes down what it does."""
        try:
            limit = str(self._jailer.account(workspace.name)["account"]["ended_for"])
        except ShuzhaError:
            return ""
        return OVERFULL if limit == "disk" else ""

    def find_session(self, workspace: Workspace) -> Session | None:
        """Ask the hub since when the server runs, and when it was last asked for something."""
        try:
            with self._hub() as hub:
                server = hub.find_server(workspace.handle, workspace.name)
        except (HubRefused, HubUnavailable):
            return None
        if server is None or not server.ready or server.started is None:
            return None
        return Session(server.started, server.active or server.started)

    def hold(self, workspace: Workspace, reason: str) -> None:
        """Write the order; gate and warden obey it within a second."""
        self._controls.suspend(workspace.name, reason)

    def release(self, workspace: Workspace) -> None:
        """Take the order back."""
        self._controls.resume(workspace.name)

    def destroy(self, workspace: Workspace) -> dict[str, Any]:
        """Remove home and specification; the hold, if any, is taken back last, when nothing can start any more."""
        self.specs.remove(workspace.name)
        done = self._jailer.destroy(workspace.name)
        self._controls.resume(workspace.name)
        return done

    def read_notebook(self, workspace: Workspace, name: str) -> bytes:
        """Return the notebook as it is saved now; no link is followed. Refuses other names and large files."""
        return self._jailer.read_notebook(workspace.name, name)

    def screen_bytes(self, workspace: Workspace) -> dict[str, int]:
        """Return what the gate has counted, as it last wrote it."""
        days: dict[str, int] = {}
        for _, day, _, count in read_usage(self._settings.usage, workspace.name):
            days[day] = days.get(day, 0) + count.shown
        return days

    def screen_budget(self, workspace: Workspace) -> int:
        """Return the budget that the gate applies."""
        orders = FileControls(self._settings.controls).read()
        ordered = orders.budget_of(workspace.name, today())
        return self._settings.screen_budget if ordered is None else ordered

    def _home(self, workspace: Workspace) -> Path:
        return self._settings.homes / workspace.name

    def _hub(self) -> HubClient:
        return HubClient(self._token(), socket=self._settings.hub_socket)
