"""The granted releases, read-only."""

from __future__ import annotations

import polars as pl

from workbench.connection import ask
from workbench.errors import WorkbenchError
from workbench.place import data_folder, platform_socket
from workbench.show import Shown


def datasets() -> Shown:
    """Return the granted releases: as the platform describes them, or by name and columns in a clean room."""
    if platform_socket() is not None:
        return Shown("已授权数据 · datasets", ask("datasets"))
    found = [{"name": name, "columns": load(name).collect_schema().names()} for name in _names()]
    return Shown("已授权数据 · datasets", found)


def load(name: str) -> pl.LazyFrame:
    """Return the release `name`, lazily. Refuses a name that is not granted and says which are."""
    names = _names()
    if name not in names:
        granted = ", ".join(names) or "none"
        raise WorkbenchError(f"cannot load {name!r}: no release of this name is granted here; granted: {granted}")
    return pl.scan_parquet(data_folder() / name / "**/*.parquet")


def _names() -> list[str]:
    folder = data_folder()
    return sorted(entry.name for entry in folder.iterdir() if entry.is_dir()) if folder.is_dir() else []
