"""Opening a table: a DataFrame, a LazyFrame, a Parquet or CSV file, or a folder of Parquet files."""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeAlias, TypeVar

import polars as pl

from desensitize.errors import InvalidInput

Table: TypeAlias = pl.DataFrame | pl.LazyFrame | str | Path
Result = TypeVar("Result")
_SNIFFED = 1 << 20
_LARGEST_CONVERTED = 512 << 20
_LINES_LOOKED_AT, _CHANCE_OF_UTF8 = 20_000, 0.01
_CHINESE_UTF8 = re.compile(rb"[\xe4-\xe9][\x80-\xbf]{2}")
# For private use in Unicode, so in no column's name; a zero byte would end the name in Arrow.
_HIDDEN = "\ue000"


def open_table(table: Table) -> pl.LazyFrame:
    """Return `table` as a LazyFrame.

    A CSV file is read as text throughout, so that no leading zero and no 18th digit is lost; one in GB18030, GBK or
    UTF-16 is converted in memory. A folder is read as its Parquet files, in the order of their names. Refuses a file
    that is missing, of another kind, empty, of mixed encodings, or with two columns of one name, a folder without
    Parquet files, and a column whose name would be read as a pattern.
    """
    opened = open_by_place(table)
    _check_names(run_quietly(opened.collect_schema).names())
    return opened


def open_by_place(table: Table) -> pl.LazyFrame:
    """Return `table` as `open_table` does, whatever its columns' names: for who takes them by their places alone."""
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


def _check_names(names: list[str]) -> None:
    """Refuse names that the table engine takes for a pattern: `^a.*$` kept would release a dropped column `abc`."""
    for name in names:
        if name == "*" or (name.startswith("^") and name.endswith("$")):
            raise InvalidInput(f"the name of column `{name}` would be read as a pattern; rename it first")


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


def refuse_hidden(names: Iterable[str]) -> None:
    """Refuse a table of which a column has a name that hidden columns have."""
    if any(name.startswith(_HIDDEN) for name in names):
        raise InvalidInput("a column's name begins with a character that is kept for hidden columns; rename it first")


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
    encoding = _find_encoding(head, path.name, whole=len(head) < _SNIFFED)
    text = head.decode(encoding, errors="ignore")
    first = text.split("\n", 1)[0]
    if not first.strip():
        raise InvalidInput(f"file `{path.name}` is empty; its first line must name the columns")
    separator = max(",;\t", key=first.count)
    _check_header(first, separator, path.name)
    source = path if encoding == "utf-8-sig" else _read_as_utf8(path, encoding)
    return pl.scan_csv(source, separator=separator, infer_schema=False)


def _find_encoding(head: bytes, name: str, *, whole: bool) -> str:
    """Return how a file is written: UTF-8, UTF-16 with its mark, or GB18030 (and with it GBK and GB 2312)."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if _decodes(head, "utf-8-sig", whole=whole):
        return "utf-8-sig"
    # Chinese in GB18030 is hardly ever UTF-8 by chance, so many such lines beside others mean two encodings.
    lines = [line for line in head.split(b"\n")[:_LINES_LOOKED_AT] if not line.isascii()]
    in_utf8 = sum(_CHINESE_UTF8.search(line) is not None and _decodes(line, "utf-8", whole=True) for line in lines)
    if in_utf8 > _CHANCE_OF_UTF8 * len(lines):
        raise InvalidInput(f"file `{name}` mixes UTF-8 and another encoding, line by line; save it as UTF-8 first")
    if not _decodes(head, "gb18030", whole=whole):
        raise InvalidInput(f"file `{name}` is neither UTF-8 nor GB18030 (GBK) text; save it as UTF-8 first")
    return "gb18030"


def _decodes(data: bytes, encoding: str, *, whole: bool) -> bool:
    """Say whether the bytes are text of this encoding; where they are the start of more, the last may be cut."""
    try:
        codecs.getincrementaldecoder(encoding)().decode(data, final=whole)
    except UnicodeDecodeError:
        return False
    return True


def _check_header(line: str, separator: str, name: str) -> None:
    columns = next(csv.reader([line.rstrip("\r")], delimiter=separator))
    twice = sorted({column for column in columns if columns.count(column) > 1})
    if twice:
        raise InvalidInput(f"file `{name}` has two columns named: {', '.join(f'`{one}`' for one in twice)}")


def _read_as_utf8(path: Path, encoding: str) -> bytes:
    """Return the file's text as UTF-8, in memory: a copy on the disk would outlive its use."""
    if path.stat().st_size > _LARGEST_CONVERTED:
        raise InvalidInput(
            f"file `{path.name}` is not UTF-8 and larger than {_LARGEST_CONVERTED >> 20} MB; save it as UTF-8 first"
        )
    try:
        return path.read_bytes().decode(encoding).encode()
    except UnicodeDecodeError as error:
        raise InvalidInput(
            f"file `{path.name}` is no {encoding} text from byte {error.start} on; save it as UTF-8 first"
        ) from None
