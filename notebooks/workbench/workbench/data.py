"""The granted releases and the unit's own files, read-only."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from workbench.connection import ask
from workbench.errors import WorkbenchError
from workbench.place import data_folder, platform_socket
from workbench.show import Shown

OWN = "own"
"""The folder of what the unit was allowed to bring in, among the releases."""


def datasets() -> Shown:
    """Return the granted releases and own files: as the platform describes them, or by name in a clean room."""
    if platform_socket() is not None:
        return Shown("已授权数据 · datasets", ask("datasets"))
    found = [
        {
            "name": name,
            "kind": "own" if folder.parent == _own() else "release",
            "columns": _scan(folder).collect_schema().names(),
        }
        for name, folder in _folders().items()
    ]
    return Shown("已授权数据 · datasets", found)


def load(name: str) -> pl.LazyFrame:
    """Return the release or own file `name`, lazily. Refuses a name that is not granted and says which are."""
    folders = _folders()
    if name not in folders:
        granted = ", ".join(folders) or "none"
        raise WorkbenchError(f"cannot load {name!r}: no release of this name is granted here; granted: {granted}")
    return _scan(folders[name])


def _scan(folder: Path) -> pl.LazyFrame:
    return pl.scan_parquet(folder / "**/*.parquet")


def _own() -> Path:
    return data_folder() / OWN


def _folders() -> dict[str, Path]:
    """Return the folder of each table by its name; a release stands before an own file of the same name."""
    releases = {folder.name: folder for folder in _list(data_folder()) if folder.name != OWN}
    return {**{folder.name: folder for folder in _list(_own())}, **releases}


def _list(folder: Path) -> list[Path]:
    return sorted(entry for entry in folder.iterdir() if entry.is_dir()) if folder.is_dir() else []
