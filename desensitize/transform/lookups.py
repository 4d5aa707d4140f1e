"""Tables of a plan that are kept in CSV files beside it."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from desensitize.errors import InvalidPlan


def fill_in_rows(spec: Mapping[str, Any], folder: Path | None) -> Mapping[str, Any]:
    """Return a column's part of a plan with the rows of its `file` in the place of the file's name.

    The file has no header: in each line a value and what it becomes, ever coarser, apart by commas, semicolons or tabs.
    Refuses files outside the plan's folder, plans that are not a file, and files that are missing or not UTF-8.
    """
    if "file" not in spec:
        return spec
    name, rest = spec["file"], {option: value for option, value in spec.items() if option != "file"}
    if "rows" in rest:
        raise InvalidPlan("give either rows or file")
    if folder is None:
        raise InvalidPlan("file names a CSV file beside the plan, so the plan must be a file too; give rows")
    path = Path(str(name))
    if path.is_absolute() or ".." in path.parts or path.suffix.lower() != ".csv":
        raise InvalidPlan("file must be a .csv file in the plan's folder, such as `bands.csv`")
    if not (folder / path).resolve().is_relative_to(folder.resolve()):
        raise InvalidPlan("file is a link that leads elsewhere; it must be a .csv file in the plan's folder")
    return {**rest, "rows": _read_rows(folder / path)}


def _read_rows(path: Path) -> list[list[str]]:
    if not path.is_file():
        raise InvalidPlan(f"file `{path.name}` does not exist beside the plan")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidPlan(f"file `{path.name}` is not UTF-8 text") from error
    separator = max(",;\t", key=text.split("\n", 1)[0].count)
    return [row for row in csv.reader(text.splitlines(), delimiter=separator) if row]
