"""Where a workspace's sockets lie on the host while it lives, and why there.

    RUNTIME/WORKSPACE/in/in.sock              only root: the gate's way to the server; never shown inside
    RUNTIME/WORKSPACE/out/out.sock            the folder is shown read-only inside, as /gate/out
    RUNTIME/WORKSPACE/platform/platform.sock  the folder is shown read-only inside, as /gate/platform

Folders are shown, not sockets, so that a socket can be made anew while the jail lives. Paths are short and in lower
case: a socket's path ends at 107 bytes, and URLs are lower-cased on their way through the hub.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from sandbox.workspaces.controls import check_workspace_id

_MOST_BYTES = 107


@dataclass(frozen=True, slots=True)
class RuntimePaths:
    """The sockets of one workspace."""

    folder: Path

    @property
    def inward(self) -> Path:
        """The socket on which the jailed server answers the gate."""
        return self.folder / "in" / "in.sock"

    @property
    def outward(self) -> Path:
        """The socket on which the out gate answers the jailed server."""
        return self.folder / "out" / "out.sock"

    @property
    def platform(self) -> Path:
        """The socket on which the platform answers the notebook."""
        return self.folder / "platform" / "platform.sock"

    @property
    def mark(self) -> Path:
        """The file that says which process is the first inside the jail."""
        return self.folder / "jail"

    def make(self) -> None:
        """Make the folders, closed to all but those who need them; what is there already is kept."""
        for folder, mode in ((self.folder, 0o711), (self.inward.parent, 0o700)):
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(mode)
        for folder in (self.outward.parent, self.platform.parent):
            folder.mkdir(exist_ok=True)
            folder.chmod(0o755)


def runtime_paths(runtime: Path, workspace: str) -> RuntimePaths:
    """Return the paths of `workspace` under `runtime`; refuse a runtime folder whose paths sockets cannot have."""
    check_workspace_id(workspace)
    paths = RuntimePaths(runtime / workspace)
    longest = os.fsencode(paths.platform)
    if len(longest) > _MOST_BYTES or longest != longest.lower():
        raise ValueError(
            f"cannot use {runtime} for sockets: a socket's path must be in lower case and within {_MOST_BYTES} bytes"
        )
    return paths


def unix_url(path: Path, prefix: str = "") -> str:
    """Return the URL under which JupyterHub and the gate speak to the socket at `path`."""
    return f"http+unix://{quote(str(path), safe='')}{prefix}"


def give_socket(path: Path, uid: int) -> None:
    """Let the user `uid`, and nobody else but root, connect to the socket at `path`."""
    if os.geteuid() == 0:
        os.chown(path, uid, uid)
    path.chmod(0o600)
