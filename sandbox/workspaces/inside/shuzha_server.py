"""What the jailed Jupyter server does differently: the second layer behind the gate, which closes the same routes.

It runs in the sandbox environment, inside the jail; the gate outside does not rely on it.
"""

from __future__ import annotations

import ctypes
import os
import socket
from pathlib import Path
from typing import Any

from jupyter_server.auth.authorizer import Authorizer
from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.serverapp import ServerApp
from jupyter_server.services.contents.largefilemanager import AsyncLargeFileManager
from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager, ServerKernelManager
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


class Notebooks(AsyncLargeFileManager):  # type: ignore[misc]
    """Contents that are notebooks and folders, and nothing else."""

    async def get(
        self, path: str, content: bool = True, type: str | None = None, format: str | None = None,  # noqa: A002
        require_hash: bool = False,
    ) -> Any:  # fmt: skip
        """Return a notebook or a folder's list; any other file is refused, and so is a very large notebook."""
        if not await self.dir_exists(path):
            if not path.endswith(".ipynb") or type == "file" or format == "base64":
                raise web.HTTPError(403, "only notebooks and folders are shown; other files stay inside")
            if content and _size(self._get_os_path(path.strip("/"))) > MOST_NOTEBOOK_BYTES:
                raise web.HTTPError(413, f"notebooks above {MOST_NOTEBOOK_BYTES} bytes are not shown: clear outputs")
        return await super().get(path, content=content, type=type, format=format, require_hash=require_hash)

    async def save(self, model: dict[str, Any], path: str = "") -> Any:
        """Save a notebook or make a folder; other files are made by code in a notebook."""
        if model.get("type") != "directory" and not path.endswith(".ipynb"):
            raise web.HTTPError(403, "only notebooks and folders are saved by the browser")
        return await super().save(model, path)


def _size(path: str) -> int:
    place = Path(path)
    return place.stat().st_size if place.exists() else 0


class Closed(Authorizer):  # type: ignore[misc]
    """Refuses what would hand out bytes beside notebooks, whoever asks."""

    def is_authorized(self, handler: Any, user: Any, action: str, resource: str) -> bool:
        """Return whether a handler may act: never to export, to view files or to open terminals."""
        return resource not in _CLOSED and not isinstance(handler, ViewHandler)


class PlainKernel(ServerKernelManager):  # type: ignore[misc]
    """Starts kernels without the server's own variables: its token is not for notebooks."""

    async def _async_pre_start_kernel(self, **named: Any) -> Any:
        variables = dict(named.pop("env", None) or os.environ)
        kept = {n: v for n, v in variables.items() if not n.startswith(("JUPYTERHUB_", "JPY_", "SHUZHA_LISTEN"))}
        return await super()._async_pre_start_kernel(env=kept, **named)

    pre_start_kernel = _async_pre_start_kernel


def configure(settings: Any) -> None:
    """Put the settings of a jailed server into `settings`."""
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    descriptor = int(os.environ["SHUZHA_LISTEN_FD"])
    listening = socket.socket(fileno=descriptor)
    listening.setblocking(False)
    listening.set_inheritable(False)

    def bind(self: Any) -> None:
        self.http_server.add_socket(listening)

    ServerApp._bind_http_server = bind  # noqa: SLF001 - jupyter-server has no setting for a socket that is there
    server = settings.ServerApp
    server.sock = "/tmp/server.sock"  # noqa: S108 - a name only, nothing is made there
    server.root_dir = str(Path(os.environ["HOME"]) / "notebooks")
    server.preferred_dir = server.root_dir
    server.terminals_enabled = False
    server.contents_manager_class = Notebooks
    server.authorizer_class = Closed
    server.kernel_manager_class = AsyncMappingKernelManager
    server.jpserver_extensions = {"jupyter_lsp": False, "jupyter_server_terminals": False, "jupyterlab": True}
    server.max_body_size = MOST_NOTEBOOK_BYTES
    settings.AsyncMappingKernelManager.kernel_manager_class = "shuzha_server.PlainKernel"
    settings.ContentsManager.files_handler_class = NoFiles
    settings.ContentsManager.allow_hidden = False
    settings.FileContentsManager.delete_to_trash = False
    lab = settings.LabApp
    lab.extension_manager = "readonly"
    lab.user_settings_dir = "/etc/jupyter/lab/user-settings"
    lab.workspaces_dir = "/etc/jupyter/lab/workspaces"
    lab.news_url = None
    lab.check_for_updates_class = "jupyterlab.NeverCheckForUpdate"
