"""Tables read from CSV and Parquet, and the one way in which the platform writes them.

The canonical form leaves no room beside the values: text in its one form (`letters`), numbers with few digits, moments
to the second, rows in order, no metadata, no statistics. What a spreadsheet would run gets an apostrophe.
"""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from typing import Final

import polars as pl

from sandbox.airlock.files.kinds import FileType, Limits, Read, Unreadable, too_large, unlisted
from sandbox.airlock.files.letters import count_look_alikes, plain_column, plain_text
from sandbox.airlock.files.opaque import check_opaque
from sandbox.airlock.findings import Finding, Severity

_FORMULA: Final = r"^[=+\-@|\t\r]"
_NUMBER: Final = r"^[+-]?\d+(\.\d+)?([eE][+-]?\d+)?$"
_WHOLE: Final = r"^[+-]?(0|[1-9]\d{0,17})$"
_DECIMAL: Final = r"^[+-]?(0|[1-9]\d{0,17})(\.\d{1,40})?([eE][+-]?\d{1,3})?$"
_LINE: Final = 256 * 1024
_HEADING: Final = 200
_ROW_GROUP: Final = 65_536


@dataclass(frozen=True, slots=True)
class Canonical:
    """A table in its canonical form, and how many cells were written otherwise than they came."""

    frame: pl.DataFrame
    changed: int
    findings: tuple[Finding, ...]


def read_csv(data: bytes, limits: Limits) -> Read:
    """Return a CSV read: one comma, quotes as in RFC 4180, each row as long as the first, headings all different."""
    _check_lines(data)
    text = data.decode("utf-8-sig")
    heading: list[str] | None = None
    for number, row in enumerate(csv.reader(io.StringIO(text, newline=""), strict=True)):
        if heading is None:
            heading = row
            if len(row) > limits.columns:
                return _beyond(FileType.CSV, 0, len(row), limits)
        elif row and len(row) != len(heading):
            raise Unreadable("a row of another length than the first")
        if number > 2 * limits.rows + 2:
            return _beyond(FileType.CSV, number, len(heading), limits)
    if not heading or len(set(heading)) != len(heading) or max(map(len, heading)) > _HEADING:
        raise Unreadable(f"no heading, one heading twice, or one of more than {_HEADING} letters")
    frame = pl.read_csv(io.StringIO(text), infer_schema=False, truncate_ragged_lines=False)
    return read_table(FileType.CSV, frame, limits)


def read_parquet(data: bytes, limits: Limits) -> Read:
    """Return a Parquet file read: what its footer says is looked at before any row is decoded."""
    lazy = pl.scan_parquet(io.BytesIO(data))
    schema = lazy.collect_schema()
    rows = int(lazy.select(pl.len()).collect().item())
    if rows > limits.rows or len(schema) > limits.columns:
        return _beyond(FileType.PARQUET, rows, len(schema), limits)
    if any(dtype.is_nested() or dtype in (pl.Binary, pl.Object, pl.Duration, pl.Time) for dtype in schema.dtypes()):
        return Read(FileType.PARQUET, (unlisted("nested, binary or time-of-day columns"),))
    frame = lazy.collect()
    # A dictionary lets few bytes stand for many: the text is counted before it is looked at.
    if sum(int(_letters(column)) for column in frame.iter_columns()) > 16 * limits.bytes:
        return Read(FileType.PARQUET, (too_large("text that is not blown up", frame.height, limits.bytes),))
    return read_table(FileType.PARQUET, frame, limits)


def read_table(kind: FileType, frame: pl.DataFrame, limits: Limits) -> Read:
    """Return a table judged by its size and written anew."""
    if frame.height > limits.rows or frame.width > limits.columns:
        return _beyond(kind, frame.height, frame.width, limits)
    longest = max((int(_longest(column)) for column in frame.iter_columns()), default=0)
    if longest > limits.cell:
        return Read(
            kind, (too_large(f"cells of at most {limits.cell} letters", longest, limits.cell),), rows=frame.height
        )
    made = canonical(frame, limits)
    written = write_csv(made.frame) if kind is FileType.CSV else write_parquet(made.frame)
    return Read(
        kind, made.findings, written, frame.height, table_texts(frame, made.frame), (write_parquet(made.frame),),
        made.changed,
    )  # fmt: skip


def canonical(frame: pl.DataFrame, limits: Limits) -> Canonical:
    """Return the table in its canonical form; raises Unreadable where two headings become one."""
    names = [plain_text(name) or f"column_{place}" for place, name in enumerate(frame.columns, 1)]
    if len(set(names)) != len(names):
        raise Unreadable("two headings that look alike")
    columns, findings, changed = [], [], 0
    for name, column in zip(names, frame.iter_columns(), strict=True):
        made, differs = _canonical_column(column, limits)
        findings += check_opaque(made if made.dtype == pl.String else column, name)
        if made.dtype == pl.String and (alike := count_look_alikes(made)):
            accepted = "words in one script: letters that look alike can hide a message"
            findings.append(Finding("hidden_text", Severity.REVIEW, accepted, None, alike, place=f"column {name}"))
        columns.append(neutral(made.alias(name)))
        changed += differs
    table = pl.DataFrame(columns)
    return Canonical(table.sort(table.columns, nulls_last=True) if table.width else table, changed, tuple(findings))


def write_csv(frame: pl.DataFrame) -> bytes:
    """Return the table as canonical CSV (UTF-8, LF); text that a spreadsheet would run gets an apostrophe first."""
    made = pl.DataFrame([_written(neutral(column)) for column in frame.iter_columns()])
    headings = {name: f"'{name}" for name in frame.columns if re.match(_FORMULA, name)}
    return made.rename(headings).write_csv(line_terminator="\n").encode()


def write_parquet(frame: pl.DataFrame) -> bytes:
    """Return the table as Parquet of one fixed form: no statistics, no metadata of anybody's."""
    buffer = io.BytesIO()
    frame.write_parquet(buffer, compression="zstd", compression_level=3, statistics=False, row_group_size=_ROW_GROUP)
    return buffer.getvalue()


def neutral(column: pl.Series) -> pl.Series:
    """Return the column with an apostrophe before every text that a spreadsheet would run."""
    if column.dtype != pl.String:
        return column
    text = pl.col("c")
    runs = text.str.contains(_FORMULA) & ~text.str.contains(_NUMBER)
    made = column.to_frame("c").select(pl.when(runs).then(pl.concat_str(pl.lit("'"), text)).otherwise(text))
    return made["c" if "c" in made.columns else made.columns[0]].alias(column.name)


def table_texts(frame: pl.DataFrame, made: pl.DataFrame) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Return what is to be searched for identifiers: headings, labels as written, whole numbers as they came."""
    texts: list[tuple[str, tuple[str, ...]]] = [("heading", tuple(made.columns))]
    for before, after in zip(frame.iter_columns(), made.iter_columns(), strict=True):
        column = after if after.dtype == pl.String else before
        if column.dtype.is_integer() or column.dtype in (pl.String, pl.Categorical, pl.Enum):
            known = column.cast(pl.String).drop_nulls().unique(maintain_order=True)
            texts.append((f"column {after.name}", tuple(known.to_list())))
    return tuple(texts)


def _canonical_column(column: pl.Series, limits: Limits) -> tuple[pl.Series, int]:
    """Return the column in plain types and few digits, and in how many cells that made a difference."""
    dtype = column.dtype
    if dtype in (pl.Categorical, pl.Enum):
        column = column.cast(pl.String)
        dtype = pl.String()
    if dtype == pl.String:
        before = column
        stripped = _empty_as_null(column.str.strip_chars(" "))
        after = _numeric(stripped, limits)
        if after is None:
            plain = plain_column(stripped, limits.digits)
            numbers = _numeric(plain, limits)
            after = plain if numbers is None else numbers
        return after, _differences(before, _written(after))
    if dtype.is_integer():
        after = _few_digits(column.cast(pl.Int64), limits.integer_digits)
    elif dtype.is_float() or dtype.is_decimal():
        after = _fraction(column.cast(pl.Float64), limits.digits)
        column = column.cast(pl.Float64)
    elif dtype == pl.Datetime:
        zone = getattr(dtype, "time_zone", None)
        plain = column.dt.convert_time_zone("UTC").dt.replace_time_zone(None) if zone else column
        after = plain.cast(pl.Datetime("us")).dt.truncate("1s")
        column = plain.cast(pl.Datetime("us"))
    elif dtype in (pl.Date, pl.Boolean, pl.Null):
        after = column.cast(pl.String) if dtype == pl.Null else column
        column = after
    else:
        raise Unreadable("a column of another type than text, numbers, dates, moments and truth values")
    return after, _differences(column, after)


def _empty_as_null(column: pl.Series) -> pl.Series:
    return column.to_frame("c").select(pl.when(pl.col("c") != "").then(pl.col("c")))["c"].alias(column.name)


def _numeric(column: pl.Series, limits: Limits) -> pl.Series | None:
    """Return a column of text as numbers where all of it is numbers without leading zeros, else None."""
    if column.null_count() == len(column):
        return None
    if bool(column.str.contains(_WHOLE).all()):
        return _few_digits(column.str.strip_prefix("+").cast(pl.Int64), limits.integer_digits)
    if bool(column.str.contains(_DECIMAL).all()):
        return _fraction(column.str.strip_prefix("+").cast(pl.Float64), limits.digits)
    return None


def _few_digits(column: pl.Series, digits: int) -> pl.Series:
    """Return whole numbers with at most so many significant digits."""
    most = 10**digits
    size = column.abs()
    if not len(column) or int(size.max() or 0) < most:  # type: ignore[arg-type]
        return column
    frame = pl.DataFrame({"c": column, "s": size.cast(pl.String).str.len_chars().cast(pl.Int64)})
    grid = pl.lit(10, pl.Int64).pow((pl.col("s") - digits).clip(0, 18)).cast(pl.Int64)
    return frame.select(((pl.col("c") // grid) * grid).alias("c"))["c"]


def _fraction(column: pl.Series, digits: int) -> pl.Series:
    """Return fractions with so many significant digits; what is no number becomes null, and minus zero zero."""
    value = pl.col("c")
    rounded = value.round_sig_figs(digits)
    finite = pl.when(value.is_finite()).then(pl.when(rounded == 0).then(0.0).otherwise(rounded))
    return column.to_frame("c").select(finite.alias("c"))["c"]


def _written(column: pl.Series) -> pl.Series:
    """Return a column as its CSV has it: a whole number is written without a fraction."""
    if not column.dtype.is_float():
        return column.cast(pl.String) if column.dtype.is_integer() else column
    return column.cast(pl.String).str.strip_suffix(".0")


def _differences(before: pl.Series, after: pl.Series) -> int:
    pair = pl.DataFrame({"b": before, "a": after})
    if before.dtype != after.dtype:
        pair = pair.select(pl.col("b").cast(pl.String), pl.col("a").cast(pl.String))
    both_empty = pl.col("a").is_null() & (pl.col("b") == "") if pair.schema["b"] == pl.String else pl.lit(value=False)
    return int(pair.select((pl.col("b").ne_missing(pl.col("a")) & ~both_empty.fill_null(value=False)).sum()).item())


def _letters(column: pl.Series) -> int:
    if column.dtype == pl.String:
        return int(column.str.len_bytes().sum() or 0)
    return len(column)


def _longest(column: pl.Series) -> int:
    return int(column.str.len_chars().max() or 0) if column.dtype == pl.String else 0  # type: ignore[arg-type]


def _check_lines(data: bytes) -> None:
    """Refuse a line of a length that no table has, before any parser looks at it."""
    place = 0
    while place < len(data):
        end = data.find(b"\n", place)
        end = len(data) if end < 0 else end
        if end - place > _LINE:
            raise Unreadable("a line of more than 256 KiB")
        place = end + 1


def _beyond(kind: FileType, rows: int, columns: int, limits: Limits) -> Read:
    accepted = f"at most {limits.rows} rows and {limits.columns} columns"
    figure, limit = (rows, limits.rows) if rows > limits.rows else (columns, limits.columns)
    return Read(kind, (too_large(accepted, figure, limit),), rows=rows)
