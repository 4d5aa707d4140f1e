"""Reads the files of an export request for its page: a table's rows, a specification's claims, a notebook's cells."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from typing import Any

from sandbox.airlock.model import ExportFile
from shuzha.core.errors import Invalid

MOST_ROWS = 200
MOST_COLUMNS = 40
MOST_GROUNDS = 50


@dataclass(frozen=True, slots=True)
class Table:
    """The first rows of a table; `total` counts all of them."""

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    total: int
    numeric: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Ground:
    """What one cell of an output rests on: distinct entities, and what the largest two hold of it (0 to 1)."""

    labels: tuple[str | None, ...]
    entities: int
    share: float | None
    verdict: str


@dataclass(frozen=True, slots=True)
class Grounds:
    """The cells that rest on the fewest entities; `more` counts the others."""

    heads: tuple[str, ...]
    cells: tuple[Ground, ...]
    more: int

    @property
    def has_shares(self) -> bool:
        """Whether values were added up, so that one entity can hold most of a cell."""
        return any(one.share is not None for one in self.cells)


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of a notebook, without its outputs."""

    kind: str
    source: str


def read_table(content: bytes) -> Table:
    """Return a CSV's first rows; a file without a row is an empty table."""
    lines = list(csv.reader(io.StringIO(content.decode("utf-8-sig", "replace"))))
    if not lines:
        return Table((), (), 0, ())
    heads = tuple(lines[0][:MOST_COLUMNS])
    rows = tuple(tuple(line[:MOST_COLUMNS]) for line in lines[1 : MOST_ROWS + 1])
    numeric = tuple(all(_is_figure(row[place]) for row in rows if place < len(row)) for place in range(len(heads)))
    return Table(heads, rows, len(lines) - 1, tuple(found and _last_kind(rows, n) for n, found in enumerate(numeric)))


def read_claims(content: bytes) -> list[dict[str, Any]]:
    """Return the claims of a verification specification, each with its conditions in words."""
    specification = json.loads(content)
    return [
        {"name": one["name"], "title": one["title"], "where": [condition_text(each) for each in one["where"]]}
        for one in specification.get("claims", ())
    ]


def read_subject(content: bytes) -> list[str]:
    """Return the columns that name a subject of a verification specification."""
    return [str(one) for one in json.loads(content).get("subject", ())]


def read_number(text: str) -> int | float:
    """Return the number that somebody typed, whole where it is written so; refuses anything else."""
    try:
        return int(text) if text.strip().lstrip("+-").isdigit() else float(text)
    except ValueError:
        raise Invalid("the value is no number", rule="form.number", accepted="a number such as 12 or 0.85") from None


def condition_text(condition: dict[str, Any]) -> str:
    """Return a condition as one reads it."""
    signs = {"eq": "=", "ne": "≠", "gt": ">", "ge": "≥", "lt": "<", "le": "≤", "in": "∈", "is_null": "is null"}
    value = condition.get("value")
    shown = ", ".join(map(str, value)) if isinstance(value, list) else "" if value is None else str(value)
    return f"{condition['column']} {signs.get(str(condition['op']), condition['op'])} {shown}".strip()


def read_cells(notebook: bytes) -> list[Cell]:
    """Return the cells of a notebook; bytes that are no notebook have none."""
    try:
        cells = json.loads(notebook)["cells"]
    except (ValueError, KeyError, TypeError):
        return []
    return [Cell(str(cell.get("cell_type", "")), _text(cell.get("source", ""))) for cell in cells]


def read_grounds(evidence: bytes) -> Grounds | None:
    """Return what the rules wrote of the cells of a table or figure; None where they wrote of no cells."""
    found = json.loads(evidence).get("grounds")
    if not found:
        return None
    cells = tuple(
        Ground(tuple(one["labels"]), one["entities"], one["share"], one["verdict"])
        for one in found["cells"][:MOST_GROUNDS]
    )
    return Grounds(tuple(found["labels"]), cells, found["more"] + len(found["cells"]) - len(cells))


def is_picture(file: ExportFile) -> bool:
    """Return whether a browser draws a file: the airlock has written it anew, and it can run nothing."""
    return file.type in ("svg", "png")


def is_table(file: ExportFile) -> bool:
    """Return whether a file is shown as a table."""
    return file.type == "csv"


def is_verification(file: ExportFile) -> bool:
    """Return whether a file is shown as claims."""
    return file.form == "verification" and file.type == "json"


def _text(source: Any) -> str:
    return "".join(source) if isinstance(source, list) else str(source)


def _is_figure(text: str) -> bool:
    if not text:
        return True
    try:
        float(text)
    except ValueError:
        return False
    return True


def _last_kind(rows: tuple[tuple[str, ...], ...], place: int) -> bool:
    """Return whether a column of figures is a measure: codes such as districts are the same length throughout."""
    lengths = {len(row[place]) for row in rows if place < len(row) and row[place]}
    return bool(rows) and (len(lengths) > 1 or max(lengths, default=0) < 5)
