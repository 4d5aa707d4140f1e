"""A workspace as a pod: what its two containers see and may do, as plain values in Kubernetes' own words.

The server's container has the notebooks and the hub's token, the kernels' container has the data and the platform's
socket. They share two small folders in memory, in which the sockets lie, and no process numbers.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.workspaces.host.limits import Limits
from sandbox.workspaces.jails.jail import INSIDE_DATA, INSIDE_ENVIRONMENT, INSIDE_HOME, INSIDE_SCRATCH, INSIDE_SHARED
from sandbox.workspaces.records.specs import WorkspaceRefused, WorkspaceSpec

SERVER_PORT = 8888
HUB_PORT = 8081
PLATFORM_PORT = 8082
HUB_NAME = "hub"
"""The name by which a pod knows the platform; it stands in the pod's own hosts file, as a pod has no DNS."""

SERVER_COMMAND = [f"{INSIDE_ENVIRONMENT}/bin/python", "-I", "-m", "jupyterhub.singleuser"]
KERNELS_COMMAND = [f"{INSIDE_ENVIRONMENT}/bin/python", "-I", "/etc/jupyter/shuzha_starter.py"]
IMAGE = "shuzha-workspace:0.1.0"
SERVER_MEMORY = 768 * 1024**2
_SOCKETS_BYTES = 16 * 1024**2
_NOTEBOOKS = f"{INSIDE_HOME}/notebooks"


@dataclass(frozen=True, slots=True)
class PodSettings:
    """What a cluster calls its things, and where the platform's folders lie in its volumes.

    `address` is where pods reach the platform: an IP address, as they have no DNS. `zones` are the platform's folders
    and the claims that hold them; a specification that points into none of them is refused.
    """

    address: str
    zones: tuple[tuple[Path, str], ...]
    namespace: str = "shuzha-workspaces"
    image: str = IMAGE
    runtime_class: str = "gvisor"


def describe_pod(spec: WorkspaceSpec, settings: PodSettings, token: str) -> dict[str, Any]:
    """Return the values of KubeSpawner's settings for the workspace `spec`, and for nothing that anybody asked for.

    `token` is what its kernels show to the platform. Raises WorkspaceRefused for a folder outside the zones.
    """
    claims = {claim: f"zone-{number}" for number, (_, claim) in enumerate(settings.zones)}
    home_volume, home = _find_zone(spec.home, settings)
    used = {home_volume} | {_find_zone(release.path, settings)[0] for release in spec.releases}
    return {
        "namespace": settings.namespace, "image": settings.image, "image_pull_policy": "IfNotPresent",
        "cmd": SERVER_COMMAND, "port": SERVER_PORT, "working_dir": INSIDE_HOME,
        "uid": spec.uid, "gid": spec.uid, "privileged": False, "allow_privilege_escalation": False,
        "container_security_context": harden_container(), "pod_security_context": harden_pod(spec.uid),
        "automount_service_account_token": False, "service_account": None,
        "mem_limit": SERVER_MEMORY, "mem_guarantee": 256 * 1024**2, "cpu_limit": 1.0, "cpu_guarantee": 0.1,
        "extra_resource_limits": {"ephemeral-storage": "64Mi"},
        "extra_resource_guarantees": {"ephemeral-storage": "16Mi"},
        "extra_labels": {"app.kubernetes.io/part-of": "shuzha", "shuzha/workspace": spec.workspace},
        "extra_pod_config": isolate_pod(settings),
        "volumes": [
            *_memory_volumes(spec.limits),
            *({"name": claims[claim],
               "persistentVolumeClaim": {"claimName": claim, "readOnly": claim != home_volume}}
              for claim in claims if claim in used),
        ],
        "volume_mounts": [
            {"name": claims[home_volume], "mountPath": _NOTEBOOKS, "subPath": f"{home}/notebooks"},
            {"name": "server-home", "mountPath": INSIDE_HOME}, {"name": "server-scratch", "mountPath": INSIDE_SCRATCH},
            {"name": "sockets", "mountPath": "/gate/ipc", "readOnly": True},
            {"name": "starter", "mountPath": "/gate/jailer", "readOnly": True},
        ],
        "extra_containers": [_kernels(spec, settings, claims, token)],
    }  # fmt: skip


def harden_container() -> dict[str, Any]:
    """Return the security context of each container: no right that a plain process would not have."""
    return {
        "privileged": False, "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "runAsNonRoot": True,
        "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"},
    }  # fmt: skip


def harden_pod(uid: int) -> dict[str, Any]:
    """Return the security context of the pod: the workspace's own user, and no group beside his."""
    return {
        "runAsUser": uid, "runAsGroup": uid, "runAsNonRoot": True, "supplementalGroups": [],
        "seccompProfile": {"type": "RuntimeDefault"},
    }  # fmt: skip


def isolate_pod(settings: PodSettings) -> dict[str, Any]:
    """Return what keeps a pod from its node and from others: its runtime, its users, no DNS, no names of services."""
    return {
        "runtimeClassName": settings.runtime_class, "hostUsers": False, "hostNetwork": False, "hostPID": False,
        "hostIPC": False, "shareProcessNamespace": False, "enableServiceLinks": False,
        "dnsPolicy": "None", "dnsConfig": {"nameservers": ["127.0.0.1"]},
        "hostAliases": [{"ip": settings.address, "hostnames": [HUB_NAME]}],
        "terminationGracePeriodSeconds": 5,
    }  # fmt: skip


def make_pod_token(secret: str, workspace: str) -> str:
    """Return what the kernels of `workspace` show to the platform, made from a secret that no pod has."""
    return hmac.new(secret.encode(), f"platform socket of {workspace}".encode(), hashlib.sha256).hexdigest()


def _kernels(spec: WorkspaceSpec, settings: PodSettings, claims: dict[str, str], token: str) -> dict[str, Any]:
    """Return the container of the kernels: the granted releases, the home, the way to the platform, no hub's token."""
    home_volume, home = _find_zone(spec.home, settings)
    mounts: list[dict[str, Any]] = []
    for release in spec.releases:
        volume, place = _find_zone(release.path, settings)
        mounts.append({
            "name": claims[volume], "mountPath": f"{INSIDE_DATA}/{release.name}", "subPath": place, "readOnly": True,
        })  # fmt: skip
    mounts += [
        {"name": claims[home_volume], "mountPath": INSIDE_HOME, "subPath": home},
        {"name": claims[home_volume], "mountPath": _NOTEBOOKS, "subPath": f"{home}/notebooks"},
        {"name": "kernel-scratch", "mountPath": INSIDE_SCRATCH},
        {"name": "kernel-shared", "mountPath": INSIDE_SHARED},
        {"name": "sockets", "mountPath": "/job/sockets"},
        {"name": "starter", "mountPath": "/gate/jailer"},
        {"name": "platform", "mountPath": "/gate/platform"},
    ]
    processors = spec.limits.cpu_percent / 100
    memory = str(spec.limits.memory_bytes)
    return {
        "name": "kernels", "image": settings.image, "imagePullPolicy": "IfNotPresent", "command": KERNELS_COMMAND,
        "workingDir": INSIDE_HOME, "securityContext": harden_container(), "volumeMounts": mounts,
        "env": [{"name": name, "value": value} for name, value in sorted(_kernel_variables(spec, token).items())],
        "resources": {
            "limits": {"memory": memory, "cpu": f"{processors:g}", "ephemeral-storage": "64Mi"},
            "requests": {"memory": memory, "cpu": "100m", "ephemeral-storage": "16Mi"},
        },
    }  # fmt: skip


def server_variables() -> dict[str, str]:
    """Return the variables of a server's container, beside the hub's own."""
    return {
        "HOME": INSIDE_HOME, "USER": "analyst", "LANG": "C.UTF-8", "TZ": "UTC", "PYTHONDONTWRITEBYTECODE": "1",
        "PATH": f"{INSIDE_ENVIRONMENT}/bin:/usr/bin:/bin", "IPYTHONDIR": f"{INSIDE_SCRATCH}/ipython",
        "JUPYTER_RUNTIME_DIR": f"{INSIDE_SCRATCH}/jupyter", "JUPYTER_DATA_DIR": f"{INSIDE_SCRATCH}/jupyter-data",
    }  # fmt: skip


def _kernel_variables(spec: WorkspaceSpec, token: str) -> dict[str, str]:
    return {
        "HOME": INSIDE_HOME, "USER": "analyst", "LANG": "C.UTF-8", "TZ": "UTC", "PYTHONDONTWRITEBYTECODE": "1",
        "PATH": f"{INSIDE_ENVIRONMENT}/bin:/usr/bin:/bin", "IPYTHONDIR": f"{INSIDE_SCRATCH}/ipython",
        "POLARS_MAX_THREADS": str(max(1, spec.limits.cpu_percent // 100)),
        "SHUZHA_WORKSPACE": spec.workspace, "SHUZHA_DATA": INSIDE_DATA,
        "SHUZHA_PLATFORM_SOCKET": "/gate/platform/platform.sock",
        "SHUZHA_PLATFORM_ADDRESS": f"{HUB_NAME}:{PLATFORM_PORT}", "SHUZHA_PLATFORM_TOKEN": token,
    }  # fmt: skip


def _memory_volumes(limits: Limits) -> list[dict[str, Any]]:
    scratch = dict.fromkeys(("server-home", "server-scratch"), 64 * 1024**2)
    scratch |= dict.fromkeys(("kernel-scratch", "kernel-shared"), limits.scratch_bytes)
    scratch |= dict.fromkeys(("sockets", "starter", "platform"), _SOCKETS_BYTES)
    return [{"name": n, "emptyDir": {"medium": "Memory", "sizeLimit": str(size)}} for n, size in scratch.items()]


def _find_zone(path: Path, settings: PodSettings) -> tuple[str, str]:
    """Return the claim that holds `path` and the path's place in it; refuse one that no claim holds."""
    for root, claim in settings.zones:
        if path.is_relative_to(root) and path != root:
            place = str(path.relative_to(root))
            if ".." not in place and not set(place) & set("{}$"):
                return claim, place
    raise WorkspaceRefused("cannot start the workspace: a folder of its specification lies in no volume of the cluster")
