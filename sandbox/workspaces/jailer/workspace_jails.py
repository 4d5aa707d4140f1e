"""The two kinds of jails of a workspace, each built from its specification: the server's, and each kernel's.

The server's jail has no data and the kernels' has no way to the hub. They meet in the folder of notebooks and in the
folder of each kernel's sockets, which the server can only read.
"""

from __future__ import annotations

import json
import stat
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import msgspec

from sandbox.workspaces.host.homes import NOTEBOOKS
from sandbox.workspaces.host.limits import Limits
from sandbox.workspaces.jailer.verbs import KernelStart
from sandbox.workspaces.jails import inside
from sandbox.workspaces.jails.jail import (
    INSIDE_DATA,
    INSIDE_ENVIRONMENT,
    INSIDE_HOME,
    INSIDE_SCRATCH,
    JailSpec,
    Mount,
)
from sandbox.workspaces.jails.landlock import LAUNCHER_MOUNTS, kernel_command
from sandbox.workspaces.jails.warden import group_name, kernel_group_name
from sandbox.workspaces.records.runtime import RuntimePaths
from sandbox.workspaces.records.specs import WorkspaceSpec

CONFIGURATION = Path(inside.__file__).parent
INSIDE_CONFIGURATION = "/etc/jupyter"
INSIDE_SOCKETS = "/job/sockets"
INSIDE_CONNECTION = "/job/connection/kernel.json"
INSIDE_NOTEBOOKS = f"{INSIDE_HOME}/{NOTEBOOKS}"
SERVER_COMMAND = (f"{INSIDE_ENVIRONMENT}/bin/python", "-I", "-m", "jupyterhub.singleuser")
SERVER_LIMITS = Limits(
    memory_bytes=768 * 1024**2, processes=64, cpu_percent=100, open_files=4096, file_bytes=64 * 1024**2,
    scratch_bytes=64 * 1024**2,
)  # fmt: skip
"""The server's own, beside the workspace's limits, which its kernels have together."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where the jails of a workspace find things; `notebooks` and `sockets` are what the server is shown."""

    environment: Path
    paths: RuntimePaths
    notebooks: Path
    sockets: Path


def build_server_jail(spec: WorkspaceSpec, places: Places, hub_variables: dict[str, str], descriptor: int) -> JailSpec:
    """Return the jail of a workspace's server, which listens on the open socket `descriptor`.

    Its home is in memory but for the notebooks; of the platform it has the hub's four routes and its jailer.
    """
    paths = places.paths
    mounts = (
        Mount(places.notebooks, INSIDE_NOTEBOOKS, writable=True),
        Mount(CONFIGURATION, INSIDE_CONFIGURATION),
        Mount(paths.outward.parent, "/gate/out"),
        Mount(paths.jailer.parent, "/gate/jailer"),
        Mount(places.sockets, "/gate/ipc"),
    )
    variables = {
        **hub_variables, **_variables(),
        "JUPYTER_RUNTIME_DIR": f"{INSIDE_SCRATCH}/jupyter", "JUPYTER_DATA_DIR": f"{INSIDE_SCRATCH}/jupyter-data",
        "SHUZHA_WORKSPACE": spec.workspace, "SHUZHA_LISTEN_FD": str(descriptor),
    }  # fmt: skip
    return JailSpec(
        group_name(paths.folder.parent, spec.workspace), spec.uid, places.environment, mounts, SERVER_COMMAND,
        tuple(sorted(variables.items())), SERVER_LIMITS, scratch=(INSIDE_HOME,),
    )  # fmt: skip


def build_kernel_jail(spec: WorkspaceSpec, places: Places, asked: KernelStart) -> JailSpec:
    """Return the jail of one kernel: the granted releases, the home, the platform's socket, sockets of its own."""
    paths = places.paths
    mounts = (
        *(Mount(release.path, f"{INSIDE_DATA}/{release.name}") for release in spec.releases),
        Mount(spec.home, INSIDE_HOME, writable=True),
        # Mounted once more: what is a mount in every jail of this user can be neither renamed nor replaced by a link.
        Mount(spec.home / NOTEBOOKS, INSIDE_NOTEBOOKS, writable=True),
        Mount(paths.ipc / asked.kernel, INSIDE_SOCKETS, writable=True),
        Mount(paths.platform.parent, "/gate/platform"),
        *LAUNCHER_MOUNTS,
    )
    variables = {
        **_variables(),
        "POLARS_MAX_THREADS": str(max(1, spec.limits.cpu_percent // 100)),
        "SHUZHA_WORKSPACE": spec.workspace, "SHUZHA_DATA": INSIDE_DATA,
        "SHUZHA_PLATFORM_SOCKET": f"/gate/platform/{paths.platform.name}",
    }  # fmt: skip
    return JailSpec(
        kernel_group_name(paths.folder.parent, spec.workspace), spec.uid, places.environment, mounts,
        kernel_command(INSIDE_CONNECTION), tuple(sorted(variables.items())), spec.limits,
        directory=choose_directory(spec.home, asked.directory), files=((INSIDE_CONNECTION, _connection(asked)),),
        shares_group=True,
    )  # fmt: skip


def choose_directory(home: Path, asked: str | None) -> str:
    """Return where a kernel stands: the folder of its notebook, or the home when none was asked for.

    `asked` is taken as a name below the folder of notebooks; one that leaves it, or is no folder, gives that folder.
    """
    if asked is None:
        return INSIDE_HOME
    place = PurePosixPath(asked)
    folder = home / NOTEBOOKS
    for part in () if place.is_absolute() or ".." in place.parts else place.parts:
        folder /= part
        if not _is_plain_folder(folder):
            return INSIDE_NOTEBOOKS
    return f"{INSIDE_HOME}/{folder.relative_to(home)}"


def _is_plain_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except OSError:
        return False


def _connection(asked: KernelStart) -> str:
    """Return the connection file of a kernel, which holds its key: it is in no folder of the host."""
    said = {
        "transport": "ipc", "ip": f"{INSIDE_SOCKETS}/k", "key": asked.key, "signature_scheme": "hmac-sha256",
        "kernel_name": "python3",
    }  # fmt: skip
    return json.dumps({**said, **msgspec.to_builtins(asked.ports)})


def _variables() -> dict[str, str]:
    return {
        "HOME": INSIDE_HOME, "USER": "analyst", "LANG": "C.UTF-8", "TZ": "UTC", "PYTHONDONTWRITEBYTECODE": "1",
        "PATH": f"{INSIDE_ENVIRONMENT}/bin:/usr/bin:/bin", "IPYTHONDIR": f"{INSIDE_SCRATCH}/ipython",
    }  # fmt: skip
