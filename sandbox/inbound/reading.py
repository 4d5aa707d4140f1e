"""Reads a file that somebody brought: told by its content, capped before it is parsed, made anew as plain columns.

Accepted are CSV (UTF-8 or GB18030, one header line) and Parquet with plain columns; archives, pickles, workbooks and
all else are refused by what they hold, whatever their name says. What comes out has the file's values and nothing else
of it: no metadata, no encodings. No refusal repeats a cell.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

import desensitize
from desensitize.errors import DesensitizeError
from desensitize.identifiers.definitions import BY_ENTITY, DIRECT
from sandbox.airlock import content
from sandbox.airlock.labels import find_identifier
from sandbox.inbound.model import ImportColumn, Rules, Use
from shuzha.catalog.checks import is_column_name
from shuzha.catalog.encoding import ensure_utf8
from shuzha.catalog.importing import infer_draft
from shuzha.catalog.model import Element, Title
from shuzha.catalog.normal import normalise
from shuzha.catalog.reader import check_shape, file_errors, open_upload
from shuzha.core.errors import Invalid

ACCEPTED: Final = "CSV (UTF-8 or GB18030, one header line) or Parquet with plain columns"
HEADER_BYTES: Final = 16 * 1024
_MARKS: Final = (
    (b"PK\x03\x04", "an archive or a workbook (ZIP, XLSX)"), (b"PK\x05\x06", "an empty archive"),
    (b"\x1f\x8b", "compressed (gzip)"), (b"\xfd7zXZ\x00", "compressed (xz)"),
    (b"\x28\xb5\x2f\xfd", "compressed (zstd)"), (b"7z\xbc\xaf\x27\x1c", "an archive (7z)"),
    (b"Rar!\x1a\x07", "an archive (RAR)"), (b"\xd0\xcf\x11\xe0", "an old office document"),
    (b"\x89HDF\r\n\x1a\n", "HDF5"), (b"SQLite format 3\x00", "a database"), (b"%PDF-", "PDF"),
    (b"\x7fELF", "a program"), (b"\x89PNG\r\n\x1a\n", "an image"), (b"\x93NUMPY", "NumPy"),
    (b"ARROW1\x00", "an Arrow file"), (b"Obj\x01", "Avro"),
)  # fmt: skip
_CONTROLS: Final = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_FORMULA: Final = r"^[=@]|^[+\-][^0-9.]"
_PLAIN: Final = (pl.String, pl.Boolean, pl.Date, pl.Datetime, pl.Categorical, pl.Enum, pl.Float32, pl.Float64)
_NO_TITLE: Final = Title("", "")


@dataclass(frozen=True, slots=True)
class Reading:
    """A file that was read: its kind, rows and columns, and how many cells begin as a spreadsheet's formula would."""

    kind: str
    rows: int
    columns: tuple[ImportColumn, ...]
    formulas: int = 0


def read_file(path: Path, file_name: str, scratch: Path, rules: Rules) -> tuple[pl.DataFrame, Reading]:
    """Return the table of the file at `path` and what a scan of every cell finds in it.

    Refuses a file of another kind, more rows, columns or letters in a cell than the rules allow, broken shapes and
    encodings. `scratch` is a folder for working copies; the caller removes it.
    """
    kind = find_kind(path, file_name, scratch)
    if kind is content.FileType.CSV:
        _check_text(path, file_name, scratch, rules)
    else:
        _check_parquet(path, file_name, rules)
    _check_headings(path, file_name, scratch)
    frame = _table(path, file_name, scratch)
    _check_size(frame, file_name, rules)
    return frame, Reading(kind.value, frame.height, _columns(frame, file_name), _formulas(frame))


def find_kind(path: Path, file_name: str, scratch: Path) -> content.FileType:
    """Return CSV or Parquet by what the file holds; refuses everything else, naming what it seems to be."""
    data = path.read_bytes()
    if not data:
        raise Invalid(f"{file_name} is empty", rule="own.file", accepted=ACCEPTED)
    seems = next((name for mark, name in _MARKS if data.startswith(mark)), "")
    if data[257:262] == b"ustar":
        seems = "an archive (tar)"
    if data[0] == 0x80 and data[1:2] <= b"\x05":
        seems = "a pickle"
    found = None if seems else content.detect(_as_utf8(path, data, file_name, scratch))
    if found is content.FileType.CSV and data.startswith(b"PAR1"):
        found, seems = None, "a Parquet file that is cut off"
    if found not in (content.FileType.CSV, content.FileType.PARQUET):
        seems = seems or (f"{found.value}" if found else "no table")
        raise Invalid(f"{file_name} is {seems}", rule="own.file", accepted=ACCEPTED)
    return found


def _as_utf8(path: Path, data: bytes, file_name: str, scratch: Path) -> bytes:
    if data[:4] == b"PAR1":
        return data
    if _CONTROLS.search(data):
        raise Invalid(f"{file_name} holds control characters: it is no text", rule="own.file", accepted=ACCEPTED)
    text = ensure_utf8(path, file_name, scratch / "kind.utf8")
    return data if text == path else text.read_bytes()


def _check_text(path: Path, file_name: str, scratch: Path, rules: Rules) -> None:
    """Refuse, before anything is parsed, a header or a number of lines beyond the caps."""
    with path.open("rb") as file:
        header = file.readline(HEADER_BYTES + 1)
        if len(header) > HEADER_BYTES:
            raise Invalid(
                f"{file_name}: its first line is longer than {HEADER_BYTES} bytes", rule="own.columns",
                accepted=f"a header of at most {rules.columns} columns",
            )  # fmt: skip
        lines = sum(piece.count(b"\n") for piece in iter(lambda: file.read(1 << 20), b""))
    # A quoted field may hold line breaks; a file of so many is refused as one with too many rows is.
    if lines > rules.rows + 1:
        raise _too_many(file_name, "rows", rules.rows)
    upload = open_upload(path, file_name, scratch / "shape.utf8")
    if len(upload.columns) > rules.columns:
        raise _too_many(file_name, "columns", rules.columns)
    assert upload.text is not None
    check_shape(upload.text, upload.separator, len(upload.columns), file_name)


def _check_parquet(path: Path, file_name: str, rules: Rules) -> None:
    """Refuse, from the footer alone, too many rows or columns, and columns that are not plain."""
    with file_errors(file_name):
        schema = pl.read_parquet_schema(path)
        if len(schema) > rules.columns:
            raise _too_many(file_name, "columns", rules.columns)
        for name, dtype in schema.items():
            if not (dtype.is_integer() or dtype.base_type() in _PLAIN):
                shown = f"`{name}`" if is_column_name(name) else "a column"
                raise Invalid(
                    f"{file_name}: {shown} is of type {dtype.base_type()}", rule="own.types",
                    accepted="text, numbers, dates, moments and truth values",
                )  # fmt: skip
        if int(pl.scan_parquet(path, glob=False).select(pl.len()).collect().item()) > rules.rows:
            raise _too_many(file_name, "rows", rules.rows)


def _check_headings(path: Path, file_name: str, scratch: Path) -> None:
    """Refuse names that hold a number of somebody: where a header is missing, the first line is data."""
    names = open_upload(path, file_name, scratch / "names.utf8").columns
    for place, name in enumerate(names, 1):
        if find_identifier(name) is not None:
            raise Invalid(
                f"{file_name}: the name of column {place} holds an identifier", rule="own.columns",
                accepted="a header line with names of columns; it may be missing",
            )  # fmt: skip


def _table(path: Path, file_name: str, scratch: Path) -> pl.DataFrame:
    """Return the values in columns of plain types, which follow from every cell."""
    sheet = infer_draft(path, "own", "own", _NO_TITLE, scratch, file_name=file_name)
    upload = open_upload(path, file_name, scratch / "table.utf8")
    with file_errors(file_name):
        schema = upload.frame.collect_schema()
        before = upload.frame.collect()
        after = before.select(normalise(element, schema[element.name], file_name) for element in sheet.elements)
    for element in sheet.elements:
        _check_whole(element, before[element.name], after[element.name], file_name)
    return after


def _check_whole(element: Element, before: pl.Series, after: pl.Series, file_name: str) -> None:
    """Refuse a column of which a cell was lost when it became plain: a number beyond 64 bits, no number at all."""
    blank = before.str.strip_chars() == "" if before.dtype == pl.String else pl.Series([False])
    lost = after.null_count() - before.null_count() - int(blank.sum() or 0)
    if lost > 0:
        raise Invalid(
            f"{file_name}: {lost} cells of column `{element.name}` are no {element.type}", rule="own.types",
            accepted="finite numbers that fit 64 bits",
        )  # fmt: skip


def _check_size(frame: pl.DataFrame, file_name: str, rules: Rules) -> None:
    if not frame.height:
        raise Invalid(f"{file_name} holds no rows", rule="own.file", accepted="at least one row below the header")
    if frame.height > rules.rows:
        raise _too_many(file_name, "rows", rules.rows)
    for name, dtype in frame.schema.items():
        if dtype == pl.String and int(frame[name].str.len_chars().max() or 0) > rules.cell_letters:  # type: ignore[arg-type]
            raise Invalid(
                f"{file_name}: a cell of column `{name}` is longer than {rules.cell_letters} characters",
                rule="own.cells", accepted=f"at most {rules.cell_letters} characters in a cell",
            )  # fmt: skip


def _columns(frame: pl.DataFrame, file_name: str) -> tuple[ImportColumn, ...]:
    try:
        report = desensitize.scan(frame)
    except DesensitizeError:
        raise Invalid(f"{file_name} cannot be scanned", rule="own.scan", accepted="plain columns") from None
    made = []
    for column in report:
        dtype = frame.schema[column.name]
        found = tuple(dict.fromkeys(one.entity for one in column.entities))
        direct = column.role == DIRECT or any(BY_ENTITY[one].role == DIRECT for one in found if one in BY_ENTITY)
        free_text = column.technique.get("technique") == "redact"
        made.append(
            ImportColumn(
                name=column.name, type=_type(dtype), role=DIRECT if direct else column.role, grade=column.grade,
                found=found, hit_rate=round(column.hit_rate, 4), distinct=column.distinct,
                nulls=frame.height - column.non_null, free_text=free_text,
                use=Use.DROP if direct or free_text else Use.KEEP,
            )
        )  # fmt: skip
    return tuple(made)


def _type(dtype: pl.DataType) -> str:
    if dtype.is_integer():
        return "integer"
    if dtype.is_numeric():
        return "number"
    return {"String": "text", "Boolean": "boolean", "Date": "date"}.get(str(dtype), "datetime")


def _formulas(frame: pl.DataFrame) -> int:
    texts = [name for name, dtype in frame.schema.items() if dtype == pl.String]
    return sum(int(frame[name].str.contains(_FORMULA).sum() or 0) for name in texts)


def _too_many(file_name: str, what: str, most: int) -> Invalid:
    return Invalid(f"{file_name} has too many {what}", rule=f"own.{what}", accepted=f"at most {most} {what}")
