"""The spawner for a cluster: a workspace as a pod of KubeSpawner's, described by its record as a jail is.

It needs the package `jupyterhub-kubespawner` (requirements/kubernetes.txt) and is chosen by the setting `spawner`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from jupyterhub.spawner import SpawnException
from kubespawner import KubeSpawner  # type: ignore[import-untyped]
from traitlets import Any as AnyTrait
from traitlets import Unicode

from sandbox.workspaces.hub.pods import HUB_NAME, HUB_PORT, PodSettings, describe_pod, make_pod_token, server_variables
from sandbox.workspaces.jailer.client import AsyncJailerClient
from sandbox.workspaces.records.specs import WorkspaceRefused
from shuzha.core.errors import ShuzhaError

POD_NAME = "workspace-{unescaped_servername}"


class WorkspacePodSpawner(KubeSpawner):  # type: ignore[misc]
    """Starts, polls and stops one workspace as a pod. What the browser asks for with a start is not looked at."""

    specs: Any = AnyTrait(config=True, help="WorkspaceSpecs: what may be started, by account and workspace")
    pod: Any = AnyTrait(config=True, help="PodSettings: what the cluster calls its things")
    jailer_socket = Unicode("", config=True, help="The jailer, which prepares homes")
    token_secret: Any = AnyTrait(config=True, help="Returns the secret that kernels' tokens are made from")

    async def _start(self) -> Any:
        """Return the pod's URL. Raises SpawnException with the reason when it may not be started."""
        self._describe()
        try:
            # Its folders must be there before: a cluster would make them as root's.
            await AsyncJailerClient(Path(self.jailer_socket)).prepare(self.name)
        except ShuzhaError as error:
            raise SpawnException(str(error), reason="home") from error
        return await super()._start()

    async def load_user_options(self) -> None:
        """Look at nothing that came with the request."""

    async def get_pod_manifest(self) -> Any:
        """Return the pod's manifest, from the record as it is now."""
        self._describe()
        return await super().get_pod_manifest()

    def get_env(self) -> dict[str, str]:
        """Return the variables of the server's container: the hub's own, and the fixed ones of a workspace."""
        ours = {name: str(value) for name, value in super().get_env().items() if name.startswith("JUPYTERHUB_")}
        return {**ours, **server_variables(), "SHUZHA_WORKSPACE": self.name}

    async def poll(self) -> int | None:
        """Return None while the pod runs, else an exit code; a pod that may not run any more is deleted at once."""
        code: int | None = await super().poll()
        if code is not None:
            return code
        try:
            self.specs.load(self.user.name, self.name)
        except WorkspaceRefused as error:
            self.log.warning("the pod of workspace %s ends: %s", self.name, error)
            await self.stop(now=True)
            return 0
        return None

    def _describe(self) -> None:
        try:
            spec = self.specs.load(self.user.name, self.name)
            values = describe_pod(spec, self.pod, make_pod_token(self.token_secret(), spec.workspace))
        except WorkspaceRefused as error:
            raise SpawnException(str(error), reason="refused") from error
        for name, value in values.items():
            setattr(self, name, value)


def configure_pods(c: Any, specs: Any, pod: PodSettings, token_secret: Callable[[], str]) -> Any:
    """Choose this spawner in the hub's configuration `c` and return its section; requests may say nothing more."""
    c.JupyterHub.spawner_class = WorkspacePodSpawner
    spawner = c.WorkspacePodSpawner
    spawner.specs, spawner.pod, spawner.token_secret = specs, pod, token_secret
    spawner.namespace = pod.namespace
    spawner.pod_name_template = POD_NAME
    spawner.hub_connect_url = f"http://{HUB_NAME}:{HUB_PORT}"
    spawner.storage_pvc_ensure = False
    spawner.enable_user_namespaces = False
    spawner.delete_stopped_pods = True
    spawner.profile_list = []
    spawner.delete_grace_period = 3
    return spawner
