"""The zone of own files: what units brought into their workspaces, one folder a workspace, shown inside at /data/own.

The whole folder of a workspace is mounted, read-only, from its first start: a file that is put there later is inside at
once, and one that is taken away is gone at once. Only processes of the platform write here.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
from pathlib import Path
from typing import Any, Final, Protocol

from sandbox.workspaces.records.controls import check_workspace_id
from shuzha.core.errors import Conflict, Invalid

DATA_FILE: Final = "data.parquet"
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")
_WORK: Final = ".work"


class OwnDesk(Protocol):
    """Whoever knows the records of own files, as workspaces need it; the room above implements it."""

    def list_own(self, workspace: str) -> list[dict[str, Any]]:
        """Return name, rows and columns of each file that the workspace of this id has inside now."""
        ...


class NoOwnFiles:
    """A desk that knows of none: for places that bring nothing in."""

    def list_own(self, workspace: str) -> list[dict[str, Any]]:
        """Return nothing."""
        return []


class OwnZone:
    """The folders of all workspaces' own files; each can be passed through and, by its own workspace alone, listed."""

    def __init__(self, root: Path) -> None:
        self._root = root
        root.mkdir(parents=True, exist_ok=True)
        root.chmod(0o711)
        self._work = root / _WORK
        self._work.mkdir(exist_ok=True, mode=0o700)

    def folder(self, workspace: str) -> Path:
        """Return the folder of a workspace by its short name, made where there is none: what its jail is shown."""
        check_workspace_id(workspace)
        folder = self._root / workspace
        folder.mkdir(exist_ok=True)
        folder.chmod(0o755)
        return folder

    def put(self, workspace: str, name: str, content: bytes) -> Path:
        """Return the folder of a file that is inside from now on, whole; Conflict where the name is taken."""
        check_own_name(name)
        made = self._work / secrets.token_hex(8)
        made.mkdir(mode=0o700)
        try:
            handle = os.open(made / DATA_FILE, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o444)
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            (made / DATA_FILE).chmod(0o444)
            made.chmod(0o755)
            return self._publish(made, self.folder(workspace) / name)
        finally:
            shutil.rmtree(made, ignore_errors=True)

    def find(self, workspace: str, name: str) -> Path | None:
        """Return the folder of a file that is inside now, or None."""
        found = self._place(workspace, name)
        return found if (found / DATA_FILE).is_file() else None

    def remove(self, workspace: str, name: str) -> None:
        """Take one file away; nothing there is no error."""
        self._end(self._place(workspace, name))

    def destroy(self, workspace: str) -> None:
        """Take all of a workspace's own files away with their folder; nothing there is no error."""
        check_workspace_id(workspace)
        self._end(self._root / workspace)

    def _place(self, workspace: str, name: str) -> Path:
        check_workspace_id(workspace)
        return self._root / workspace / check_own_name(name)

    def _publish(self, made: Path, target: Path) -> Path:
        if target.exists():
            raise Conflict(f"an own file named {target.name} is inside already", rule="own.name")
        made.rename(target)
        handle = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
        return target

    def _end(self, folder: Path) -> None:
        # Out of the workspace's sight in one step; only then taken apart.
        gone = self._work / secrets.token_hex(8)
        try:
            folder.rename(gone)
        except FileNotFoundError:
            return
        shutil.rmtree(gone)


def check_own_name(name: str) -> str:
    """Return the name; refuse what is no plain name in a notebook and on a disk."""
    if not _NAME.fullmatch(name):
        raise Invalid(
            "an own file cannot have this name", rule="own.name",
            accepted="1 to 40 lower-case letters, digits and _, a letter first",
        )  # fmt: skip
    return name
