"""The types on the list and how each is told by its content; names and suffixes are not asked.

Words: a *model* type is only told here, its gate judges it. What is on no list is None, and None never leaves.
"""

from __future__ import annotations

import io
import json
import pickletools
import re
import struct
import zipfile
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import msgspec

from sandbox.airlock.files.protobuf import is_onnx
from sandbox.airlock.findings import Finding, Severity


class FileType(StrEnum):
    """The types on the list."""

    CSV = "csv"
    PARQUET = "parquet"
    JSON = "json"
    PNG = "png"
    SVG = "svg"
    NOTEBOOK = "ipynb"
    REPORT = "report"
    SPECIFICATION = "specification"
    ONNX = "onnx"
    SKOPS = "skops"
    SAFETENSORS = "safetensors"
    PMML = "pmml"


MODELS: Final = frozenset({FileType.ONNX, FileType.SKOPS, FileType.SAFETENSORS, FileType.PMML})
"""Told here and judged by the model gate; this gate alone lets none of them leave."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that one request or file may hold, and how finely figures are written; parameters of the authority.

    `digits` are the significant digits of a fraction, `integer_digits` those of a whole number, `picture_bits` the
    compressed bits a pixel may take, `overlap_rows` and `overlap_share` what of a release's rows blocks, `audience` the
    release mode (`desensitize.risk`) that rows of people must meet. The last two bound what a comparison may take.
    """

    files: int = 20
    bytes: int = 5 * 1024 * 1024
    rows: int = 10_000
    columns: int = 200
    cell: int = 1_000
    pixels: int = 4_000_000
    picture_bits: float = 2.0
    depth: int = 32
    elements: int = 50_000
    digits: int = 6
    integer_digits: int = 12
    overlap_rows: int = 10
    overlap_share: float = 0.5
    audience: str = "public"
    seconds: float = 120.0


@dataclass(frozen=True, slots=True)
class Read:
    """What was read in a file: its type, what stands against it, and the bytes that may leave (None: nothing may).

    `texts` are what people will read, each group with its place, still to be searched for identifiers; `tables` are its
    rows as Parquet of our own making; `changed` counts the values that were written otherwise than they came.
    """

    type: FileType | None
    findings: tuple[Finding, ...] = ()
    content: bytes | None = None
    rows: int = 0
    texts: tuple[tuple[str, tuple[str, ...]], ...] = ()
    tables: tuple[bytes, ...] = ()
    changed: int = 0


class Unreadable(Exception):
    """The content is not what it seemed to be; the message is of our own words and holds nothing of the file."""


PNG: Final = b"\x89PNG\r\n\x1a\n"
_CONTROLS: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_MARKUP: Final = re.compile(r"<\s*(script|html|iframe|object|embed|!doctype|svg)|%PDF-", re.IGNORECASE)
_HEAD: Final = 4_096
_SKOPS_BYTES: Final = 4 * 1024**2


def detect(data: bytes) -> FileType | None:
    """Return the type of these bytes, or None for a type that is not on the list; names are not asked."""
    if data.startswith(PNG):
        return FileType.PNG
    if data[:4] == b"PAR1" and data[-4:] == b"PAR1" and len(data) > 12:
        return FileType.PARQUET
    if data.startswith(b"PK"):
        return FileType.SKOPS if _is_skops(data) else None
    if _is_safetensors(data):
        return FileType.SAFETENSORS
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return FileType.ONNX if is_onnx(data) else None
    if _CONTROLS.search(text):
        return FileType.ONNX if is_onnx(data) else None
    start = text.lstrip()[:_HEAD]
    if not start or _is_pickle(data):
        return None
    if start[0] == "<":
        return _markup(start)
    # Another parser may take a table that holds a page or a document for one: a file of two minds is none.
    if _MARKUP.search(text):
        return None
    return _json(data) if start[0] in "{[" else FileType.CSV


def unlisted(place: str = "", accepted: str = "") -> Finding:
    """Return the finding of a file that is of no listed type, or not sound as one."""
    accepted = accepted or f"content of a listed type: {', '.join(FileType)}"
    return Finding("file_type", Severity.BLOCK, accepted, place=place)


def too_large(accepted: str, figure: float, limit: float) -> Finding:
    """Return the finding of a file beyond a limit."""
    return Finding("file_size", Severity.BLOCK, accepted, None, figure, limit)


def _markup(start: str) -> FileType | None:
    root = re.match(r"(?:<\?xml[^>]*\?>\s*|<!--.*?-->\s*|<!DOCTYPE\s+svg[^>\[]*>\s*)*<([A-Za-z:]+)", start, re.DOTALL)
    names = {"svg": FileType.SVG, "svg:svg": FileType.SVG, "PMML": FileType.PMML}
    return names.get(root.group(1)) if root else None


def _json(data: bytes) -> FileType:
    """Return which JSON this is; text that only begins like JSON is a table."""
    try:
        value: Any = msgspec.json.decode(data.removeprefix(b"\xef\xbb\xbf"))
    except (msgspec.MsgspecError, RecursionError):
        return FileType.CSV
    if isinstance(value, dict):
        if "nbformat" in value and isinstance(value.get("cells"), list):
            return FileType.NOTEBOOK
        if value.get("kind") == "report":
            return FileType.REPORT
        if value.get("kind") in ("table", "verification", "service"):
            return FileType.SPECIFICATION
    return FileType.JSON


def _is_pickle(data: bytes) -> bool:
    """Say whether text is a pickle of the oldest protocol; its instructions are listed, never followed."""
    if not data.endswith(b"."):
        return False
    try:
        return sum(1 for _ in pickletools.genops(data)) > 1
    except Exception:  # The parser raises whatever it meets; what it cannot read is no pickle.
        return False


def _is_safetensors(data: bytes) -> bool:
    """Say whether a length, a header of JSON and the tensors that it names make up these bytes exactly."""
    if len(data) < 10 or data[8:9] != b"{":
        return False
    (length,) = struct.unpack("<Q", data[:8])
    if length > len(data) - 8:
        return False
    try:
        header = json.loads(data[8 : 8 + length])
        tensors = [one for name, one in header.items() if name != "__metadata__"]
        ends = [int(one["data_offsets"][1]) for one in tensors]
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
        return False
    return bool(ends) and max(ends) == len(data) - 8 - length


def _is_skops(data: bytes) -> bool:
    """Say whether these bytes are a skops file and no other archive: one that begins and ends as it says."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if archive.comment or "schema.json" not in archive.namelist() or not data.startswith(b"PK\x03\x04"):
                return False
            if archive.getinfo("schema.json").file_size > _SKOPS_BYTES:
                return False
            schema = json.loads(archive.read("schema.json"))
    except (zipfile.BadZipFile, ValueError, RecursionError, NotImplementedError, RuntimeError, OSError, EOFError):
        return False
    return isinstance(schema, dict) and {"protocol", "_skops_version"} <= schema.keys()
