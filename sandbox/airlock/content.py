"""What a file is, told by its content, and the one way in which the platform writes it: nothing else leaves.

A free-form file is read, judged and written anew: CSV and Parquet through a table (formula prefixes neutralised,
metadata dropped), JSON through its values, PNG by its image chunks alone. What cannot be read so is refused;
nothing is ever unpickled or executed.
"""

from __future__ import annotations

import csv
import io
import pickletools
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import msgspec
import polars as pl

from sandbox.airlock.findings import Finding, Severity
from sandbox.airlock.labels import check_texts


class FileType(StrEnum):
    """The types on the list."""

    CSV = "csv"
    PARQUET = "parquet"
    JSON = "json"
    PNG = "png"


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that one request or file may hold; parameters of the authority."""

    files: int = 20
    bytes: int = 5 * 1024 * 1024
    rows: int = 10_000
    columns: int = 200
    pixels: int = 4_000_000


@dataclass(frozen=True, slots=True)
class Inspection:
    """What was found in a file: its type, what the rules say, and the bytes that may leave (None when nothing may)."""

    type: FileType | None
    findings: tuple[Finding, ...]
    content: bytes | None
    rows: int = 0


_NAME: Final = re.compile(r"[A-Za-z0-9一-鿿][A-Za-z0-9一-鿿._-]{0,79}")
_PNG: Final = b"\x89PNG\r\n\x1a\n"
_PNG_KEPT: Final = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})
_FORMULA: Final = r"^[=+\-@|\t\r]"
_NUMBER: Final = r"^[+-]?\d+(\.\d+)?([eE][+-]?\d+)?$"


class _Unreadable(Exception):
    """The content is not what it seemed to be."""


def detect(data: bytes) -> FileType | None:
    """Return the type of these bytes, or None for a type that is not on the list; names are not asked."""
    if data.startswith(_PNG):
        return FileType.PNG
    if data[:4] == b"PAR1" and data[-4:] == b"PAR1" and len(data) > 12:
        return FileType.PARQUET
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None
    if _is_pickle(data):
        return None
    # Markup and control characters are no table: SVG, HTML and the like are written by the platform or not at all.
    if not text.strip() or text.lstrip()[0] == "<" or re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f]", text):
        return None
    return FileType.JSON if text.lstrip()[0] in "{[" and _is_json(data) else FileType.CSV


def check_name(name: str) -> list[Finding]:
    """Return findings about a file's name: a plain name without folders, and no identifier in it."""
    if not _NAME.fullmatch(name) or ".." in name:
        accepted = "letters, digits, dot, dash and underscore, at most 80, no folder"
        return [Finding("file_type", Severity.BLOCK, accepted, place="file name")]
    return check_texts([name], "file name")


def inspect(data: bytes, limits: Limits | None = None) -> Inspection:
    """Return what these bytes are and the canonical bytes in their place; whatever cannot be read blocks."""
    limits = limits or Limits()
    if len(data) > limits.bytes:
        accepted = f"at most {limits.bytes} bytes"
        return Inspection(None, (Finding("file_size", Severity.BLOCK, accepted, None, len(data), limits.bytes),), None)
    kind = detect(data)
    if kind is None:
        return Inspection(None, (_unlisted(),), None)
    try:
        return _READERS[kind](data, limits)
    except (
        _Unreadable,
        pl.exceptions.PolarsError,
        msgspec.MsgspecError,
        csv.Error,
        OSError,
        RecursionError,
        ValueError,
    ):
        return Inspection(kind, (_unlisted(f"no sound {kind.value}"),), None)


def write_csv(frame: pl.DataFrame) -> bytes:
    """Return the table as canonical CSV (UTF-8, LF); text that a spreadsheet would run gets an apostrophe first."""
    neutral = frame.with_columns(
        pl.when(_runs(pl.col(name))).then(pl.concat_str(pl.lit("'"), pl.col(name))).otherwise(pl.col(name)).alias(name)
        for name, dtype in frame.schema.items()
        if dtype == pl.String
    )
    headings = {name: f"'{name}" for name in frame.columns if re.match(_FORMULA, name)}
    return neutral.rename(headings).write_csv(line_terminator="\n").encode()


def _runs(text: pl.Expr) -> pl.Expr:
    return text.str.contains(_FORMULA) & ~text.str.contains(_NUMBER)


def _unlisted(place: str = "") -> Finding:
    return Finding("file_type", Severity.BLOCK, f"content of a listed type: {', '.join(FileType)}", place=place)


def _read_csv(data: bytes, limits: Limits) -> Inspection:
    text = data.decode("utf-8-sig")
    widths = {len(row) for row in csv.reader(io.StringIO(text), strict=True) if row}
    if len(widths) != 1:
        raise _Unreadable
    frame = pl.read_csv(io.StringIO(text), infer_schema=False, truncate_ragged_lines=False)
    return _table(FileType.CSV, frame, limits)


def _read_parquet(data: bytes, limits: Limits) -> Inspection:
    lazy = pl.scan_parquet(io.BytesIO(data))
    rows = int(lazy.select(pl.len()).collect().item())
    schema = lazy.collect_schema()
    if rows > limits.rows or len(schema) > limits.columns:
        return _too_large(FileType.PARQUET, rows, len(schema), limits)
    if any(dtype.is_nested() or dtype in (pl.Binary, pl.Object) for dtype in schema.dtypes()):
        return Inspection(FileType.PARQUET, (_unlisted("nested or binary columns"),), None)
    return _table(FileType.PARQUET, lazy.collect(), limits)


def _table(kind: FileType, frame: pl.DataFrame, limits: Limits) -> Inspection:
    if frame.height > limits.rows or frame.width > limits.columns:
        return _too_large(kind, frame.height, frame.width, limits)
    findings = check_texts(frame.columns, "heading")
    for name, column in zip(frame.columns, frame.iter_columns(), strict=True):
        if not column.dtype.is_float() and not column.dtype.is_temporal() and column.dtype != pl.Boolean:
            findings += check_texts(
                column.cast(pl.String).drop_nulls().unique(maintain_order=True).to_list(), f"column {name}"
            )
    return Inspection(kind, tuple(findings), _written(kind, frame), frame.height)


def _written(kind: FileType, frame: pl.DataFrame) -> bytes:
    if kind is FileType.CSV:
        return write_csv(frame)
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()


def _too_large(kind: FileType, rows: int, columns: int, limits: Limits) -> Inspection:
    accepted = f"at most {limits.rows} rows and {limits.columns} columns"
    figure, limit = (rows, limits.rows) if rows > limits.rows else (columns, limits.columns)
    return Inspection(kind, (Finding("file_size", Severity.BLOCK, accepted, None, figure, limit),), None, rows)


def _read_json(data: bytes, limits: Limits) -> Inspection:
    value = msgspec.json.decode(data)
    texts = list(_texts(value))
    if len(texts) > limits.rows * limits.columns:
        return _too_large(FileType.JSON, len(texts), 0, limits)
    findings = check_texts(dict.fromkeys(texts), "value")
    return Inspection(FileType.JSON, tuple(findings), msgspec.json.encode(value, order="sorted") + b"\n", len(texts))


def _texts(value: Any) -> Iterator[str]:
    """Yield every key and every scalar of a JSON value as text."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            yield from one
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one
        elif isinstance(one, str) or (isinstance(one, int) and not isinstance(one, bool)):
            yield str(one)


def _is_json(data: bytes) -> bool:
    try:
        msgspec.json.decode(data)
    except (msgspec.MsgspecError, RecursionError):
        return False
    return True


def _is_pickle(data: bytes) -> bool:
    """Say whether text is a pickle of the oldest protocol; its instructions are listed, never followed."""
    if not data.endswith(b"."):
        return False
    try:
        return sum(1 for _ in pickletools.genops(data)) > 1
    except Exception:  # The parser raises whatever it meets; what it cannot read is no pickle.
        return False


def _read_png(data: bytes, limits: Limits) -> Inspection:
    kept = [_PNG]
    for kind, body in _chunks(data):
        if kind == b"IHDR":
            width, height = struct.unpack(">II", body[:8])
            if width * height > limits.pixels:
                finding = Finding(
                    "file_size", Severity.BLOCK, f"at most {limits.pixels} pixels", None, width * height, limits.pixels
                )
                return Inspection(FileType.PNG, (finding,), None)
        if kind in _PNG_KEPT:
            kept.append(struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)))
    return Inspection(FileType.PNG, (), b"".join(kept))


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the chunks of a PNG; raises unless all are sound, first and last are in place, and nothing follows."""
    place, first = len(_PNG), True
    while place < len(data):
        length, kind = struct.unpack(">I4s", data[place : place + 8])
        body, check = data[place + 8 : place + 8 + length], data[place + 8 + length : place + 12 + length]
        if len(body) != length or check != struct.pack(">I", zlib.crc32(kind + body)) or first != (kind == b"IHDR"):
            raise _Unreadable
        first, place = False, place + 12 + length
        yield kind, body
        if kind == b"IEND" and place != len(data):
            raise _Unreadable
    if first or kind != b"IEND":
        raise _Unreadable


_READERS: Final = {
    FileType.CSV: _read_csv,
    FileType.PARQUET: _read_parquet,
    FileType.JSON: _read_json,
    FileType.PNG: _read_png,
}
