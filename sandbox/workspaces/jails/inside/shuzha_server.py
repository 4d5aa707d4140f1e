"""What the jailed Jupyter server does differently: the second layer behind the gate, which closes the same routes.

It runs in the sandbox environment, inside the jail; the gate outside does not rely on it.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jupyter_server.auth.authorizer import Authorizer
from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.serverapp import ServerApp
from jupyter_server.services.contents.largefilemanager import AsyncLargeFileManager
from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager
from jupyter_server.view.handlers import ViewHandler
from tornado import web

MOST_NOTEBOOK_BYTES = 16 * 1024 * 1024
_PR_SET_DUMPABLE = 4
_CLOSED = frozenset({"nbconvert", "terminals", "lsp", "server"})


class NoFiles(JupyterHandler):  # type: ignore[misc]
    """Answers every file download with a refusal."""

    def initialize(self, **_: Any) -> None:
        """Take what the stock handler is given, and use none of it."""

    @web.authenticated
    def get(self, path: str) -> None:
        """Refuse: files leave a workspace only by an export request."""
        raise web.HTTPError(403, "files leave a workspace only by an export request")

    head = get


class LeftOut(web.HTTPError, OSError):
    """For who asks, a refusal; for a list of a folder, an entry to be left out: a link, or what is no notebook."""

    errno = errno.ELOOP


class Notebooks(AsyncLargeFileManager):  # type: ignore[misc]
    """Contents that are notebooks and folders, and nothing else: a link, to wherever, is said not to exist.

    A kernel can make links in the folder of notebooks. Where root started the platform the kernel of the host follows
    none of them here; this is the second layer there, and the first where nobody is root.
    """

    def _get_os_path(self, path: str) -> str:
        place = str(super()._get_os_path(path))
        if os.path.realpath(place) != place:
            raise LeftOut(404, "links are not followed here")
        return place

    @contextlib.contextmanager
    def open(self, os_path: str, mode: str = "r", **named: Any) -> Iterator[Any]:
        """Give an open file; no link is followed on the way to it, whoever puts one there meanwhile."""
        with self.perm_to_403(os_path), open(os_path, mode, opener=_open_plainly, **named) as file:
            yield file

    async def get(
        self, path: str, content: bool = True, type: str | None = None, format: str | None = None,  # noqa: A002
        require_hash: bool = False,
    ) -> Any:  # fmt: skip
        """Return a notebook or a folder's list; any other file is refused, and so is a very large notebook."""
        if not await self.dir_exists(path):
            if not path.endswith(".ipynb") or type == "file" or format == "base64":
                raise LeftOut(403, "only notebooks and folders are shown; other files stay inside")
            if content and _size(self._get_os_path(path.strip("/"))) > MOST_NOTEBOOK_BYTES:
                raise web.HTTPError(413, f"notebooks above {MOST_NOTEBOOK_BYTES} bytes are not shown: clear outputs")
        return await super().get(path, content=content, type=type, format=format, require_hash=require_hash)

    async def save(self, model: dict[str, Any], path: str = "") -> Any:
        """Save a notebook or make a folder; other files are made by code in a notebook."""
        if model.get("type") != "directory" and not path.endswith(".ipynb"):
            raise web.HTTPError(403, "only notebooks and folders are saved by the browser")
        return await super().save(model, path)


def _open_plainly(path: str, flags: int) -> int:
    """Return the descriptor of the file at the absolute `path`, reached step by step without following a link."""
    *folders, name = Path(path).parts[1:]
    number = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for folder in folders:
            deeper = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=number)
            os.close(number)
            number = deeper
        return os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=number)
    finally:
        os.close(number)


def _size(path: str) -> int:
    place = Path(path)
    return place.stat().st_size if place.exists() else 0


class Closed(Authorizer):  # type: ignore[misc]
    """Refuses what would hand out bytes beside notebooks, whoever asks."""

    def is_authorized(self, handler: Any, user: Any, action: str, resource: str) -> bool:
        """Return whether a handler may act: never to export, to view files or to open terminals."""
        return resource not in _CLOSED and not isinstance(handler, ViewHandler)


def _listen_on(descriptor: int) -> None:
    """Have the server answer on a socket that is open already and of which nothing inside knows the path."""
    listening = socket.socket(fileno=descriptor)
    listening.setblocking(False)
    listening.set_inheritable(False)

    def bind(self: Any) -> None:
        self.http_server.add_socket(listening)

    ServerApp._bind_http_server = bind  # noqa: SLF001 - jupyter-server has no setting for a socket that is there


def configure(settings: Any) -> None:
    """Put the settings of a jailed server into `settings`."""
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    server = settings.ServerApp
    if "SHUZHA_LISTEN_FD" in os.environ:  # not in a pod: its server listens on the port that the hub names
        _listen_on(int(os.environ["SHUZHA_LISTEN_FD"]))
        server.sock = "/tmp/server.sock"  # noqa: S108 - a name only, nothing is made there
    server.root_dir = str(Path(os.environ["HOME"]) / "notebooks")
    server.preferred_dir = server.root_dir
    server.terminals_enabled = False
    server.contents_manager_class = Notebooks
    server.authorizer_class = Closed
    server.kernel_manager_class = AsyncMappingKernelManager
    server.jpserver_extensions = {"jupyter_lsp": False, "jupyter_server_terminals": False, "jupyterlab": True}
    server.max_body_size = MOST_NOTEBOOK_BYTES
    server.kernel_websocket_connection_class = "shuzha_channels.PacedChannels"
    settings.AsyncMappingKernelManager.kernel_manager_class = "shuzha_provisioner.JailedKernel"
    settings.ContentsManager.files_handler_class = NoFiles
    settings.ContentsManager.allow_hidden = False
    settings.FileContentsManager.delete_to_trash = False
    lab = settings.LabApp
    lab.extension_manager = "readonly"
    lab.user_settings_dir = "/etc/jupyter/lab/user-settings"
    lab.workspaces_dir = "/etc/jupyter/lab/workspaces"
    lab.news_url = None
    lab.check_for_updates_class = "jupyterlab.NeverCheckForUpdate"
