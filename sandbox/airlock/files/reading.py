"""Reads one file by its content and writes it anew; what cannot be read is refused. Runs wherever it is called.

`apart.read_apart` runs this in a process of its own, with little memory and time and without a network.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from typing import Final

import msgspec
import polars as pl

from sandbox.airlock.files.kinds import MODELS, FileType, Limits, Read, Unreadable, detect, too_large, unlisted
from sandbox.airlock.files.png import read_png
from sandbox.airlock.files.report import read_report
from sandbox.airlock.files.svg import read_svg
from sandbox.airlock.files.tables import read_csv, read_parquet
from sandbox.airlock.files.values import read_json, read_notebook, read_specification

_READERS: Final[dict[FileType, Callable[[bytes, Limits], Read]]] = {
    FileType.CSV: read_csv,
    FileType.PARQUET: read_parquet,
    FileType.JSON: read_json,
    FileType.PNG: read_png,
    FileType.SVG: read_svg,
    FileType.NOTEBOOK: read_notebook,
    FileType.REPORT: read_report,
    FileType.SPECIFICATION: read_specification,
}


def read_file(data: bytes, limits: Limits) -> Read:
    """Return what these bytes are and the canonical bytes in their place; whatever cannot be read blocks."""
    if len(data) > limits.bytes:
        return Read(None, (too_large(f"at most {limits.bytes} bytes", len(data), limits.bytes),))
    kind = detect(data)
    if kind is None:
        return Read(None, (unlisted(),))
    if kind in MODELS:
        return Read(kind, (unlisted("a model", "a model declared as one: the model gate judges it"),))
    try:
        return _READERS[kind](data, limits)
    except Unreadable as error:
        return Read(kind, (unlisted(f"no sound {kind.value}: {error}"),))
    except (pl.exceptions.PolarsError, msgspec.MsgspecError, csv.Error, OSError, RecursionError, ValueError, KeyError,
            TypeError, AttributeError, OverflowError, MemoryError):  # fmt: skip
        return Read(kind, (unlisted(f"no sound {kind.value}"),))
