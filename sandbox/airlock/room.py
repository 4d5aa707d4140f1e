"""The clean room as the airlock uses it: a notebook and the releases it may read, and what came of running it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from sandbox.workspaces.clean_room.box import Rooms
from sandbox.workspaces.clean_room.run import NotebookRefused, RoomCaps, Run, run_notebook
from sandbox.workspaces.records.specs import GrantedRelease
from shuzha.core.errors import Invalid
from shuzha.core.work import Database
from shuzha.releases.model import Release, ReleaseState
from shuzha.releases.store import RELEASES

OWN_FILE_PREFIX = "imp_"


class CleanRoom(Protocol):
    """Whatever runs a submitted notebook from top to bottom with nobody connected."""

    def run(self, notebook: bytes, inputs: Sequence[str]) -> Run:
        """Return what came of the run over releases and own files, by their ids.

        Raises Invalid for bytes that are no notebook, a release that is not ready, a file that is not inside any more.
        """
        ...


class JailedRoom:
    """The clean room of an installation: `rooms` makes the jails of a workspace's kind, `own_file` finds own files."""

    def __init__(
        self, database: Database, release_folder: Callable[[Release], Path], *, environment: Path, rooms: Rooms,
        caps: RoomCaps | None = None, own_file: Callable[[str], GrantedRelease] | None = None,
    ) -> None:  # fmt: skip
        self._database = database
        self._release_folder = release_folder
        self._environment = environment
        self._rooms = rooms
        self._caps = caps
        self._own_file = own_file

    def run(self, notebook: bytes, inputs: Sequence[str]) -> Run:
        """Return what came of the run; raises Invalid for bytes that are no notebook or an input that is not there."""
        granted = [self._granted(one) for one in inputs]
        try:
            return run_notebook(notebook, granted, environment=self._environment, rooms=self._rooms, caps=self._caps)
        except NotebookRefused as error:
            raise Invalid(str(error), rule="export.notebook", accepted="a saved notebook of format 4") from None

    def _granted(self, release_id: str) -> GrantedRelease:
        if self._own_file is not None and release_id.startswith(OWN_FILE_PREFIX):
            return self._own_file(release_id)
        with self._database.read() as work:
            release = work.get(RELEASES, release_id)
        if release.state is not ReleaseState.READY:
            raise Invalid(f"release {release_id} is {release.state}", rule="export.release", accepted="a ready release")
        return GrantedRelease(release.name, self._release_folder(release))
