"""The granted releases and the unit's own files, read-only."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from workbench.errors import WorkbenchError
from workbench.place import data_folder

OWN = "own"
"""The folder of what the unit was allowed to bring in, among the releases."""


def load(name: str) -> pl.LazyFrame:
    """Return the release or own file `name` as a lazy frame: nothing is read before `collect()`.

    Example: `workbench.load("social_insurance").group_by("district_code").len().collect()`

    Refuses a name that is not granted and says which are.
    """
    folders = find_folders()
    if name not in folders:
        raise WorkbenchError(
            f"cannot load {name!r}: no release of this name is granted here; granted: {', '.join(folders) or 'none'}",
            rule="workspace.release",
        )
    return scan(folders[name])


def scan(folder: Path) -> pl.LazyFrame:
    """Return the table of a folder, lazily."""
    return pl.scan_parquet(folder / "**/*.parquet")


def find_folders() -> dict[str, Path]:
    """Return the folder of each table by its name; a release stands before an own file of the same name."""
    releases = {folder.name: folder for folder in _list(data_folder()) if folder.name != OWN}
    return {**{folder.name: folder for folder in _list(data_folder() / OWN)}, **releases}


def _list(folder: Path) -> list[Path]:
    return sorted(entry for entry in folder.iterdir() if entry.is_dir()) if folder.is_dir() else []
