"""Where a workspace's sockets lie on the host while it lives, and why there.

    RUNTIME/jailer.sock                       the platform's way to the jailer
    RUNTIME/WORKSPACE/in/in.sock              the gate's way to the server; never shown inside
    RUNTIME/WORKSPACE/out/out.sock            the folder is shown to the server, read-only, as /gate/out
    RUNTIME/WORKSPACE/platform/platform.sock  the folder is shown to kernels, read-only, as /gate/platform
    RUNTIME/WORKSPACE/jailer/jailer.sock      the folder is shown to the server, read-only, as /gate/jailer
    RUNTIME/WORKSPACE/ipc/KERNEL/             a kernel's own sockets
    RUNTIME/WORKSPACE/sockets, notebooks      ipc and the home's notebooks as the server sees them: no link leads on
    RUNTIME/WORKSPACE/jail, kernels/KERNEL    marks: which process is the first inside each jail

Folders are shown, not sockets, so that a socket can be made anew while the jail lives. Paths are short and in lower
case: a socket's path ends at 107 bytes, and URLs are lower-cased on their way through the hub.
"""

from __future__ import annotations

import os
import socket
import stat
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from sandbox.workspaces.records.controls import check_workspace_id

_MOST_BYTES = 107
_BACKLOG = 128


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

    @property
    def jailer(self) -> Path:
        """The socket on which the jailer answers the jailed server."""
        return self.folder / "jailer" / "jailer.sock"

    @property
    def ipc(self) -> Path:
        """The folder that holds a folder of sockets for each kernel."""
        return self.folder / "ipc"

    @property
    def sockets(self) -> Path:
        """The place where `ipc` is shown once more, for the server."""
        return self.folder / "sockets"

    @property
    def notebooks(self) -> Path:
        """The place where the home's notebooks are shown once more, for the server."""
        return self.folder / "notebooks"

    @property
    def kernel_marks(self) -> Path:
        """The folder of the kernels' marks."""
        return self.folder / "kernels"

    def is_own(self) -> bool:
        """Return whether the folder is there, no link, and this user's own: nobody else chose what lies in it.

        The service user may put folders and links beside those of workspaces: root works in none of them.
        """
        try:
            status = self.folder.lstat()
        except OSError:
            return False
        return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()

    def make(self, uid: int | None = None, service: int | None = None) -> None:
        """Make the folders, closed to all but those who need them; what is there already is kept.

        The user `uid` of the workspace enters the folders that its jails show, `service` puts its sockets there. Raises
        `RuntimeUnsafe` when somebody else made the folder: what lies in it would be his.
        """
        _make(self.folder, 0o711)
        if not self.is_own():
            raise RuntimeUnsafe(f"cannot use the folder of {self.folder.name}'s sockets: another user has made it")
        for folder, mode in (
            (self.inward.parent, 0o700), (self.kernel_marks, 0o700), (self.notebooks, 0o700),
            (self.sockets, 0o700), (self.ipc, 0o711),
            (self.jailer.parent, 0o755), (self.outward.parent, 0o755), (self.platform.parent, 0o755),
        ):  # fmt: skip
            _make(folder, mode)
        if os.geteuid() == 0 and service is not None and uid is not None:
            os.chown(self.inward.parent, service, service)
            for folder in (self.outward.parent, self.platform.parent):
                os.chown(folder, service, uid)
                folder.chmod(0o750)


class RuntimeUnsafe(OSError):
    """A folder of sockets cannot be trusted; the message says which and why."""


def _make(folder: Path, mode: int) -> None:
    """Make a folder with `mode`; one that is there is kept as it is, and a link in its place is refused."""
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        if folder.is_symlink() or not folder.is_dir():
            raise RuntimeUnsafe(f"cannot use {folder.name} for sockets: it is no folder") from None
        return
    folder.chmod(mode)


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


def make_runtime(runtime: Path, service: int | None = None) -> None:
    """Make the folder of all sockets; root's is left as it is, and so is one that this user has made.

    The user `service` may put sockets of his own there, and can take away nothing that is not his. Raises
    `RuntimeUnsafe` where another user could put a folder of his in its place.
    """
    runtime.mkdir(parents=True, exist_ok=True)
    for folder in (runtime, runtime.parent):
        status = folder.lstat()
        if status.st_uid not in {0, os.geteuid()} or (status.st_mode & 0o002 and not status.st_mode & stat.S_ISVTX):
            raise RuntimeUnsafe(f"cannot use {folder} for sockets: another user could replace what lies there")
    if runtime.stat().st_uid != os.geteuid():
        return
    runtime.chmod(0o711)
    if os.geteuid() == 0 and service is not None:
        os.chown(runtime, 0, service)
        runtime.chmod(0o1771)


def unix_url(path: Path, prefix: str = "") -> str:
    """Return the URL under which JupyterHub and the gate speak to the socket at `path`."""
    return f"http+unix://{quote(str(path), safe='')}{prefix}"


def give_socket(path: Path, uid: int) -> None:
    """Let the user `uid`, and nobody else but root, connect to the socket at `path`.

    Who is not root cannot give it away: where its folder is the group's of `uid`, that folder decides who comes near.
    """
    if os.geteuid() == 0:
        os.chown(path, uid, uid)
    by_folder = os.geteuid() not in {0, uid} and path.parent.stat().st_gid == uid
    path.chmod(0o666 if by_folder else 0o600)


def listen_for(path: Path, service: int | None) -> socket.socket:
    """Return a socket that listens at `path` for the user `service`, or for this one. Raises OSError.

    It is made and given away in the folder above, where this user alone writes: the folder of `path` is the service's,
    who could swap a link in while root gives him what lies there.
    """
    made = path.parent.with_name(path.name)
    made.unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX)
    try:
        listening.bind(os.fspath(made))
        give_socket(made, os.geteuid() if service is None else service)
        made.rename(path)
        listening.listen(_BACKLOG)
    except OSError:
        listening.close()
        raise
    return listening
