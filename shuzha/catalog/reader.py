"""Reads an upload as a lazy table with the columns of an entry: CSV (all text) or Parquet (typed)."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from shuzha.catalog.encoding import ensure_utf8
from shuzha.core.errors import Invalid

_HEADER_BYTES = 1 << 18
_SEPARATORS = ",;\t|"
_PARQUET_MARK = b"PAR1"


@dataclass(frozen=True, slots=True)
class Upload:
    """An upload opened for reading; `is_text` where every column is text that is yet to be cast.

    `text` is then the file as UTF-8, and `separator` what stands between its fields.
    """

    frame: pl.LazyFrame
    columns: tuple[str, ...]
    file_name: str
    is_text: bool
    text: Path | None = None
    separator: str = ""


def open_upload(path: Path, file_name: str, scratch: Path, names: Sequence[str] | None = None) -> Upload:
    """Return the upload at `path`; refuses a wrong encoding, and columns other than `names` where they are given.

    `scratch` is where a UTF-8 copy is kept when the file is GB18030; the caller removes it.
    """
    with path.open("rb") as file:
        mark = file.read(4)
    if not mark:
        raise Invalid(f"{file_name} is empty", rule="batch.file", accepted="a CSV or Parquet file with rows")
    with file_errors(file_name):
        upload = _open_parquet(path, file_name) if mark == _PARQUET_MARK else _open_csv(path, file_name, scratch, names)
    if names is not None:
        check_columns(upload.columns, names, file_name)
        if upload.text is not None:
            check_shape(upload.text, upload.separator, len(upload.columns), file_name)
    return upload


@contextmanager
def file_errors(file_name: str) -> Iterator[None]:
    """Turn what the table engine says of a broken file into an error that holds no value."""
    try:
        yield
    except pl.exceptions.PolarsError:
        raise Invalid(
            f"{file_name} cannot be read: a row does not have the shape of the header, or the file is cut off",
            rule="batch.file", accepted="CSV (RFC 4180, one header line) or Parquet",
        ) from None  # fmt: skip


def check_columns(found: Sequence[str], names: Sequence[str], file_name: str) -> None:
    """Refuse a file whose column set is not the entry's, naming what is missing and what is unknown."""
    accepted = ", ".join(names)
    if not set(found) & set(names):
        # Without one known name the first line may be data: it is not repeated.
        raise Invalid(
            f"{file_name}: its first line is not the header of this entry", rule="batch.columns", accepted=accepted
        )
    if len(set(found)) < len(found):
        raise Invalid(f"{file_name}: a column name stands there twice", rule="batch.columns", accepted=accepted)
    missing = [name for name in names if name not in found]
    if missing:
        words = ", ".join(f"`{name}`" for name in missing)
        raise Invalid(f"{file_name}: missing column {words}", rule="batch.columns", accepted=accepted)
    unknown = [name for name in found if name not in names]
    if unknown:
        words = ", ".join(f"`{name[:64]}`" for name in unknown)
        raise Invalid(f"{file_name}: unknown column {words}", rule="batch.columns", accepted=accepted)


def _open_parquet(path: Path, file_name: str) -> Upload:
    frame = pl.scan_parquet(path, glob=False)
    return Upload(frame, tuple(frame.collect_schema().names()), file_name, is_text=False)


def _open_csv(path: Path, file_name: str, scratch: Path, names: Sequence[str] | None) -> Upload:
    text = ensure_utf8(path, file_name, scratch)
    separator, header = read_header(text, file_name, names)
    # The header was read by the csv module: the table engine would rename columns that stand there twice.
    schema = {f"column {place}": pl.String() for place in range(len(header))}
    frame = pl.scan_csv(text, separator=separator, has_header=False, skip_rows=1, schema=schema, glob=False)
    if len(set(header)) == len(header):
        frame = frame.rename(dict(zip(schema, header, strict=True)))
    return Upload(frame, header, file_name, is_text=True, text=text, separator=separator)


def check_shape(path: Path, separator: str, width: int, file_name: str) -> None:
    """Refuse a CSV file of which a row has more or fewer fields than its header, as the last one of a cut file has.

    The table engine would fill a short row up with nulls, and half a delivery would replace a whole one.
    """
    if _is_plainly_even(path, separator, width):
        return
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.reader(file, delimiter=separator)
        try:
            wrong = next(((rows.line_num, len(row)) for row in rows if len(row) != width and row), None)
        except csv.Error:
            wrong = (rows.line_num, 0)
    if wrong is not None:
        raise Invalid(
            f"{file_name}: the row that ends at line {wrong[0]} does not have the shape of the header",
            rule="batch.file", accepted=f"{width} fields in every row; the file may be cut off",
        )  # fmt: skip


def _is_plainly_even(path: Path, separator: str, width: int) -> bool:
    """Return True where every line has as many separators as the header and no quote is in the file: most files."""
    lines = pl.scan_csv(
        path, separator="\x01", has_header=False, quote_char=None, schema={"line": pl.String()}, glob=False
    ).drop_nulls()
    uneven = pl.col("line").str.count_matches(separator, literal=True) != width - 1
    quoted = pl.col("line").str.contains('"', literal=True)
    try:
        return not lines.select((uneven | quoted).any()).collect(engine="streaming").item()
    except pl.exceptions.PolarsError:
        return False


def read_header(path: Path, file_name: str, names: Sequence[str] | None = None) -> tuple[str, tuple[str, ...]]:
    """Return the separator and the column names of a CSV file.

    The separator is the one that gives most of `names`, else most columns.
    """
    with path.open("rb") as file:
        block = file.read(_HEADER_BYTES)
    text = block.decode("utf-8-sig", errors="ignore")
    wanted = set(names or ())
    found: list[tuple[int, int, str, tuple[str, ...]]] = []
    for separator in _SEPARATORS:
        try:
            cells = next(csv.reader(io.StringIO(text), delimiter=separator), [])
        except csv.Error:
            continue
        header = tuple(cell.strip() for cell in cells)
        found.append((len(wanted & set(header)), len(header), separator, header))
    if not found or not any(found[0][3]):
        raise Invalid(f"{file_name} has no header line", rule="batch.columns", accepted="one line of column names")
    best = max(found, key=lambda item: item[:2])
    return best[2], best[3]
