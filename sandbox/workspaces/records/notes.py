"""Notes: what the platform knows of a workspace and its panel shows, one small file a workspace beside the orders.

The platform writes them from the records; the gate reads them and needs no database. Nothing inside a jail sees the
folder, so what a note says is the platform's word.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from sandbox.workspaces.records.controls import check_workspace_id, write_atomically


@dataclass(frozen=True, slots=True)
class ExportLine:
    """One export request as its analyst follows it: where it stands, the last reason, its page in the portal."""

    id: str
    title: str
    state: str
    reason: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True)
class Note:
    """What the platform says of one workspace; `portal` is the workspace's own page there."""

    workspace: str
    scenario: str
    valid_until: str
    days_left: int
    portal: str = ""
    exports: tuple[ExportLine, ...] = ()


def notes_folder(controls: Path) -> Path:
    """Return where the notes lie: beside the orders, which the same two processes share."""
    return controls.parent / "notes"


class Notes:
    """The folder of notes. A reading of an unchanged note costs one `stat`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[str, tuple[tuple[int, int], Note]] = {}
        self._written: dict[str, Note] = {}

    def write(self, workspace: str, note: Note) -> None:
        """Keep `note` as what is known of `workspace`; an equal one is not written again."""
        if self._written.get(workspace) == note and self._path(workspace).exists():
            return
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_atomically(self._path(workspace), json.dumps(asdict(note), ensure_ascii=False).encode())
        self._written[workspace] = note

    def keep_only(self, workspaces: frozenset[str]) -> None:
        """Take away the notes of all other workspaces."""
        for path in self._folder.glob("*.json"):
            if path.stem not in workspaces:
                path.unlink(missing_ok=True)
                self._written.pop(path.stem, None)

    def find(self, workspace: str) -> Note | None:
        """Return what is known of `workspace`, None when nothing is, or what stands there is no note."""
        try:
            path = self._path(workspace)
            status = path.stat()
            stamp = (status.st_ino, status.st_mtime_ns)
            known = self._read.get(workspace)
            if known is None or known[0] != stamp:
                known = (stamp, _parse(path.read_bytes()))
                self._read[workspace] = known
        except (OSError, ValueError, KeyError, TypeError):
            self._read.pop(workspace, None)
            return None
        return known[1]

    def _path(self, workspace: str) -> Path:
        check_workspace_id(workspace)
        return self._folder / f"{workspace}.json"


def _parse(text: bytes) -> Note:
    body = json.loads(text)
    exports = tuple(ExportLine(**line) for line in body.pop("exports"))
    return Note(exports=exports, **body)
