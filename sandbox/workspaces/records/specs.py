"""What a workspace is to the machinery: its owner, its own user, its home and the releases that its grant gives.

The platform writes one file a workspace from the grant's record; the hub's spawner reads it. A request never says what
is mounted.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Protocol

from sandbox.workspaces.host.limits import Limits
from sandbox.workspaces.records.controls import Controls, ControlsUnreadable, check_workspace_id, write_atomically

FIRST_UID = 200_000
LAST_UID = 259_999
"""The users that workspaces run as; no account of the host should lie in between."""
OWN_FILES = "own"
"""The name under which a workspace sees its unit's own files; no release is mounted under it."""


@dataclass(frozen=True, slots=True)
class GrantedRelease:
    """One release that a workspace may read: the name it has inside and its folder on the host.

    Under the name `own` it is the folder of what the unit was allowed to bring into this one workspace.
    """

    name: str
    path: Path


@dataclass(frozen=True, slots=True)
class WorkspaceSpec:
    """What a jail for a workspace is built from. `workspace` is also the hub's server name, `account` its user."""

    workspace: str
    account: str
    uid: int
    home: Path
    releases: tuple[GrantedRelease, ...]
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        """Refuse names and users that a jail cannot have."""
        check_workspace_id(self.workspace)
        if not FIRST_UID <= self.uid <= LAST_UID:
            raise ValueError(f"cannot give {self.workspace} the uid {self.uid}: {FIRST_UID} to {LAST_UID} are accepted")
        for release in self.releases:
            if not release.name.replace("_", "").replace("-", "").isalnum():
                raise ValueError(f"cannot name a release {release.name!r}: letters, digits, _ and - are accepted")


class WorkspaceRefused(Exception):
    """A workspace may not be started; the message says why, to the person who asked."""


class WorkspaceSpecs(Protocol):
    """Where a spawner looks up what it may start."""

    def load(self, account: str, workspace: str) -> WorkspaceSpec:
        """Return what to start for `account`; raise `WorkspaceRefused` with the reason when nothing may be."""


class FileSpecs:
    """Specifications as files in one folder that only the platform writes.

    `release_root` is where releases live: a specification that points elsewhere is refused, whoever wrote it.
    `own_root` holds a folder of each workspace's own files; where it is None, no workspace has any.
    """

    def __init__(
        self, folder: Path, *, release_root: Path, home_root: Path, controls: Controls, own_root: Path | None = None
    ) -> None:
        self._folder = folder
        self._release_root = release_root
        self._home_root = home_root
        self._controls = controls
        self._own_root = own_root

    def write(self, spec: WorkspaceSpec) -> None:
        """Keep `spec`, so that its workspace can be started; a later one with the same name takes its place."""
        self._check_places(spec)
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        body = json.dumps(asdict(spec), default=str, ensure_ascii=False, sort_keys=True)
        write_atomically(self._path(spec.workspace), body.encode())

    def remove(self, workspace: str) -> None:
        """Forget `workspace`, so that it cannot be started any more."""
        self._path(workspace).unlink(missing_ok=True)

    def find(self, workspace: str) -> WorkspaceSpec | None:
        """Return the specification of `workspace`, None when there is none."""
        try:
            return _parse(self._path(workspace).read_bytes())
        except (FileNotFoundError, ValueError):
            return None

    def list_workspaces(self) -> tuple[str, ...]:
        """Return the names of all workspaces that have a specification."""
        return tuple(sorted(path.stem for path in self._folder.glob("*.json")))

    def load(self, account: str, workspace: str) -> WorkspaceSpec:
        """Return what to start; refuse unknown, somebody else's and suspended workspaces alike by name of the rule."""
        spec = self.find(workspace)
        if spec is None or spec.account != account:
            raise WorkspaceRefused(
                f"cannot start workspace {workspace!r}: you have no open workspace of this name; open one from your"
                " scenario demand in the portal"
            )
        try:
            reason = self._controls.read().suspended.get(workspace)
        except ControlsUnreadable as error:
            raise WorkspaceRefused(f"cannot start workspace {workspace!r}: {error}") from error
        if reason is not None:
            raise WorkspaceRefused(f"cannot start workspace {workspace!r}: it is suspended: {reason}")
        self._check_places(spec)
        return spec

    def _check_places(self, spec: WorkspaceSpec) -> None:
        for release in spec.releases:
            if release.name == OWN_FILES:
                self._check_own(release.path, spec.workspace)
            elif not release.path.resolve().is_relative_to(self._release_root.resolve()):
                raise WorkspaceRefused(f"cannot mount release {release.name!r}: it does not lie in the release zone")
        if not spec.home.resolve().is_relative_to(self._home_root.resolve()):
            raise WorkspaceRefused(f"cannot use the home of {spec.workspace!r}: it does not lie in the home zone")

    def _check_own(self, path: Path, workspace: str) -> None:
        if self._own_root is None or path.resolve() != (self._own_root / workspace).resolve():
            raise WorkspaceRefused(f"cannot mount {OWN_FILES!r}: it is not the folder of {workspace}'s own files")

    def _path(self, workspace: str) -> Path:
        check_workspace_id(workspace)
        return self._folder / f"{workspace}.json"


def _parse(text: bytes) -> WorkspaceSpec:
    body = json.loads(text)
    releases = tuple(GrantedRelease(one["name"], Path(one["path"])) for one in body["releases"])
    return WorkspaceSpec(
        body["workspace"], body["account"], int(body["uid"]), Path(body["home"]), releases, Limits(**body["limits"])
    )
