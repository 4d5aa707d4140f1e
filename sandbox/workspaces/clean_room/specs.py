"""What a room is to the jailer: the releases that its run may read and its caps, kept as a file while it runs.

The platform writes the file from the export request's record; a request to the jailer names it and says no more.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path

from sandbox.workspaces.clean_room.box import RoomJob
from sandbox.workspaces.host.limits import Limits
from sandbox.workspaces.records.controls import write_atomically
from sandbox.workspaces.records.hub_settings import HubSettings
from sandbox.workspaces.records.specs import OWN_FILES, GrantedRelease, WorkspaceRefused

ROOM_NAME = r"\Aroom-[0-9a-f]{10}\Z"
_NAME = re.compile(ROOM_NAME)
_MOST_OUTBOX = 1024**3


def specs_of(settings: HubSettings) -> RoomSpecs:
    """Return where an installation keeps the specifications of its rooms: beside those of its workspaces."""
    return RoomSpecs(settings.specs / "rooms", release_root=settings.releases, own_root=settings.own)


class RoomSpecs:
    """Specifications of rooms in one folder. `release_root` and `own_root` are where what they may read lies."""

    def __init__(self, folder: Path, *, release_root: Path, own_root: Path | None = None) -> None:
        self._folder = folder
        self._release_root = release_root
        self._own_root = own_root

    def write(self, job: RoomJob) -> None:
        """Keep `job`, so that its room can be opened; refuses what `load` would."""
        self._check(job)
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_atomically(self._path(job.name), json.dumps(asdict(job), default=str).encode())

    def remove(self, name: str) -> None:
        """Forget a room, so that it cannot be opened any more."""
        self._path(name).unlink(missing_ok=True)

    def clear(self) -> None:
        """Forget every room: for the start of the one process that opens any."""
        for path in self._folder.glob("room-*.json"):
            path.unlink(missing_ok=True)

    def load(self, name: str) -> RoomJob:
        """Return what a room has; refuses an unknown one, and a release from anywhere but the release zone."""
        try:
            body = json.loads(self._path(name).read_bytes())
            releases = tuple(GrantedRelease(one["name"], Path(one["path"])) for one in body["releases"])
            job = RoomJob(body["name"], releases, Limits(**body["limits"]), int(body["outbox_bytes"]))
        except (FileNotFoundError, ValueError, KeyError, TypeError) as error:
            raise WorkspaceRefused(f"no room named {name!r} may be opened ({type(error).__name__})") from None
        if job.name != name:
            raise WorkspaceRefused(f"the specification of {name!r} is another room's")
        self._check(job)
        return job

    def _check(self, job: RoomJob) -> None:
        if not 0 < job.outbox_bytes <= _MOST_OUTBOX:
            raise WorkspaceRefused(f"cannot open {job.name!r}: an outbox of up to {_MOST_OUTBOX} bytes is accepted")
        for release in job.releases:
            zone, _, name = release.name.rpartition("/")
            if not name.replace("_", "").replace("-", "").isalnum() or zone not in {"", OWN_FILES}:
                raise WorkspaceRefused(f"cannot name a release {release.name!r}: letters, digits, _ and - are accepted")
            place = release.path.resolve()
            if zone:
                if self._own_root is None or (place.parent.parent, place.name) != (self._own_root.resolve(), name):
                    raise WorkspaceRefused(f"cannot mount {release.name!r}: it is no workspace's own file of that name")
            elif not place.is_relative_to(self._release_root.resolve()):
                raise WorkspaceRefused(f"cannot mount release {release.name!r}: it does not lie in the release zone")

    def _path(self, name: str) -> Path:
        if not _NAME.match(name):
            raise WorkspaceRefused("cannot name a room so: `room-` and ten hexadecimal digits are accepted")
        return self._folder / f"{name}.json"
