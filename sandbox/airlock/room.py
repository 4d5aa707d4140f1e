"""The clean room as the airlock uses it: a notebook and the releases it may read, and what came of running it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from sandbox.workspaces.clean_room import NotebookRefused, RoomCaps, Run, run_notebook
from sandbox.workspaces.specs import GrantedRelease
from shuzha.core.errors import Invalid
from shuzha.core.work import Database
from shuzha.releases.model import Release, ReleaseState
from shuzha.releases.store import RELEASES


class CleanRoom(Protocol):
    """Whatever runs a submitted notebook from top to bottom with nobody connected."""

    def run(self, notebook: bytes, releases: Sequence[str]) -> Run:
        """Return what came of the run; raises Invalid for bytes that are no notebook or a release that is not ready."""
        ...


class JailedRoom:
    """The clean room of an installation: a jail of the workspaces' own kind."""

    def __init__(
        self, database: Database, release_folder: Callable[[Release], Path], *, environment: Path, work: Path,
        caps: RoomCaps | None = None,
    ) -> None:  # fmt: skip
        self._database = database
        self._release_folder = release_folder
        self._environment = environment
        self._work = work
        self._caps = caps

    def run(self, notebook: bytes, releases: Sequence[str]) -> Run:
        """Return what came of the run; raises Invalid for bytes that are no notebook or a release that is not ready."""
        granted = [self._granted(release) for release in releases]
        try:
            return run_notebook(notebook, granted, environment=self._environment, work=self._work, caps=self._caps)
        except NotebookRefused as error:
            raise Invalid(str(error), rule="export.notebook", accepted="a saved notebook of format 4") from None

    def _granted(self, release_id: str) -> GrantedRelease:
        with self._database.read() as work:
            release = work.get(RELEASES, release_id)
        if release.state is not ReleaseState.READY:
            raise Invalid(f"release {release_id} is {release.state}", rule="export.release", accepted="a ready release")
        return GrantedRelease(release.name, self._release_folder(release))
