"""Opening a table: a DataFrame, a LazyFrame, a Parquet or CSV file, or a folder of Parquet files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias, TypeVar

import polars as pl

from desensitize.errors import InvalidInput

Table: TypeAlias = pl.DataFrame | pl.LazyFrame | str | Path
Result = TypeVar("Result")
_SNIFFED = 1 << 20
_HIDDEN = "\x00"


def open_table(table: Table) -> pl.LazyFrame:
    """Return `table` as a LazyFrame.

    A CSV file is read as text throughout, so that no leading zero and no 18th digit is lost.

    A folder is read as its Parquet files, in the order of their names. Refuses a file that is missing, of another
    kind, empty, or not UTF-8, and a folder without Parquet files.
    """
    if isinstance(table, pl.LazyFrame):
        return table
    if isinstance(table, pl.DataFrame):
        return table.lazy()
    path = Path(table)
    if path.is_dir():
        return pl.scan_parquet(list_files(path))
    if not path.is_file():
        raise InvalidInput(f"file `{path.name}` does not exist")
    if path.suffix.lower() == ".parquet":
        return pl.scan_parquet(path)
    if path.suffix.lower() in (".csv", ".txt", ".tsv"):
        return _open_csv(path)
    raise InvalidInput(f"file `{path.name}` is neither .parquet nor .csv")


def list_files(table: Table) -> list[Path]:
    """Return the files that a table is read from, in the order of its rows; none if it is not read from files.

    Refuses a folder without Parquet files.
    """
    if isinstance(table, pl.LazyFrame | pl.DataFrame):
        return []
    path = Path(table)
    if not path.is_dir():
        return [path]
    files = sorted(path.glob("*.parquet"))
    if not files:
        raise InvalidInput(f"folder `{path.name}` holds no .parquet files")
    return files


def hide(column: str) -> str:
    """Return a name under which a column can travel beside the table's own ones."""
    return _HIDDEN + column


def shown(column: str) -> str:
    """Return the name of a hidden column as a person knows it."""
    return column.removeprefix(_HIDDEN)


def run_quietly(work: Callable[[], Result]) -> Result:
    """Return what `work` returns; an error of the table engine, which may quote values, becomes one that does not."""
    try:
        return work()
    except pl.exceptions.PolarsError as error:
        raise InvalidInput(f"the table could not be read or transformed ({type(error).__name__})") from None


def collect(table: pl.LazyFrame) -> pl.DataFrame:
    """Return the rows of a lazy table, streamed; refuses what cannot be read, without quoting it."""
    return run_quietly(lambda: table.collect(engine="streaming"))


def _open_csv(path: Path) -> pl.LazyFrame:
    with path.open("rb") as handle:
        head = handle.read(_SNIFFED)
    text = _decode(head, path.name, whole=len(head) < _SNIFFED)
    first = text.split("\n", 1)[0]
    if not first.strip():
        raise InvalidInput(f"file `{path.name}` is empty; its first line must name the columns")
    separator = max(",;\t", key=first.count)
    return pl.scan_csv(path, separator=separator, infer_schema=False)


def _decode(head: bytes, name: str, *, whole: bool) -> str:
    try:
        return head.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if not whole and error.start > len(head) - 4:
            return head[: error.start].decode("utf-8-sig")
        raise InvalidInput(f"file `{name}` is not UTF-8 text (byte {error.start}); save it as UTF-8 first") from error
