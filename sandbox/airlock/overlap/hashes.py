"""Columns of an export that are hashes or codes of a release's values: by common functions, of one column or more.

Hashing is repeatable: values of the release are hashed in each usual way and looked up. A hash under a key that the
platform does not know is found by no means; that a column is unreadable is (`sandbox.airlock.files.opaque`).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import permutations
from typing import Final

import polars as pl

from sandbox.airlock.overlap.aligning import Deadline, Sample
from sandbox.airlock.overlap.counting import Count

_HEX: Final = r"^[0-9a-fA-F]{6,128}$"
_BASE64: Final = r"^[A-Za-z0-9+/_-]{8,172}={0,2}$"
_SEPARATORS: Final = ("", "|", ",", "-", "_", " ", ":", ";", "\t")
_BUDGET: Final = 4_000_000
_LEAST: Final = 3
_MOST: Final = 0.8
_WHOLE: Final = 3_000_000
_PAIRED: Final = 8
_SHORTEST: Final = 8
_TELLING: Final = r"[A-Za-z]|^\S{16,}$"
_LARGE: Final = 2**26

Digest = Callable[[bytes], str]


def _of(name: str) -> Digest:
    made = getattr(hashlib, name, None)
    if made is None:
        return lambda data: hashlib.new(name, data, usedforsecurity=False).hexdigest()
    return lambda data: made(data, usedforsecurity=False).hexdigest()


_NAMES: Final = (
    "md5", "sha1", "sha256", "sha512", "sha224", "sha384", "sha3_256", "sha3_512", "sha3_224", "sha3_384", "blake2b",
    "blake2s", "sm3", "ripemd160",
)  # fmt: skip


def digests() -> dict[str, Digest]:
    """Return the functions that are tried by name, each from bytes to digits of base 16."""
    found: dict[str, Digest] = {
        name: _of(name) for name in _NAMES if name in hashlib.algorithms_available and _works(name)
    }
    found["blake2b-128"] = lambda data: hashlib.blake2b(data, digest_size=16).hexdigest()
    found["blake2b-256"] = lambda data: hashlib.blake2b(data, digest_size=32).hexdigest()
    found["crc32"] = lambda data: f"{zlib.crc32(data):08x}"
    found["hex"] = lambda data: data.hex()
    found["hex reversed"] = lambda data: data[::-1].hex()
    found["md5 middle"] = lambda data: hashlib.md5(data, usedforsecurity=False).hexdigest()[8:24]
    return found


@dataclass(frozen=True, slots=True)
class Hashed:
    """A column of the export, and what it holds: a function of these columns of the release, put together so."""

    export: str
    release: tuple[str, ...]
    separator: str
    function: str
    case: str
    length: int


@dataclass(frozen=True, slots=True)
class _Tokens:
    """What is looked up: a column's values as digits of base 16, all of one length."""

    column: str
    known: frozenset[str]
    length: int


def find_hashed(export: pl.DataFrame, sample: Sample, deadline: Deadline) -> list[Hashed]:
    """Return, for each column of hashes or codes, the first usual way in which the release's values give it."""
    found = []
    for column in export.iter_columns():
        tokens = _tokens(column)
        if tokens is not None:
            one = _search(tokens, export.height, sample, deadline)
            found += [] if one is None else [one]
    return found


def count_hashed(export: pl.DataFrame, release: pl.LazyFrame, hashed: Hashed, entity: str | None, least: int) -> Count:
    """Return which rows of the export hold a hash of a record that fewer than `least` entities share."""
    columns = list(hashed.release)
    if entity is not None and entity in columns:
        groups = release.select(columns).unique().with_columns(who=pl.lit(1))
    elif entity is not None:
        groups = release.select(*columns, entity).group_by(columns).agg(pl.col(entity).hash(3).n_unique().alias("who"))
    else:
        groups = release.select(columns).group_by(columns).agg(pl.len().alias("who"))
    known = groups.head(_WHOLE).collect(engine="streaming")
    digest, length = digests()[hashed.function], hashed.length
    texts = _texts(known, columns, hashed.separator, hashed.case)
    given = pl.Series([digest(text.encode())[:length] for text in texts], dtype=pl.String)
    tokens = pl.Series(_as_hex(export[hashed.export]), dtype=pl.String).str.slice(0, length)
    met = tokens.is_in(given.implode()).fill_null(value=False).to_numpy()
    reproduced = tokens.is_in(given.filter(known["who"] < least).implode()).fill_null(value=False).to_numpy()
    return Count(reproduced, met, 0.0, bool(reproduced.any()))


def _search(tokens: _Tokens, rows: int, sample: Sample, deadline: Deadline) -> Hashed | None:
    functions = digests()
    fitting = [name for name, digest in functions.items() if _fits(name, digest, tokens.length)]
    # So many rows that some thirty of them should be met, if what was hashed stands in single rows.
    frame = sample.plain
    size = int(min(frame.height, max(500, 30 * sample.rows / max(rows, 1))))
    rows_taken = frame.sample(size, seed=11) if size < frame.height else frame
    left = _BUDGET
    for columns, separator in _inputs(frame):
        for case in ("as is", "lower", "upper"):
            texts = set(_texts(rows_taken, list(columns), separator, case))
            if case != "as is" and texts == set(_texts(rows_taken, list(columns), separator, "as is")):
                continue
            for name in fitting:
                deadline.check()
                left -= len(texts)
                if left < 0:
                    return None
                if _met(texts, functions[name], tokens) >= min(_LEAST, len(tokens.known)):
                    return Hashed(tokens.column, columns, separator, name, case, tokens.length)
    return None


def _met(texts: set[str], digest: Digest, tokens: _Tokens) -> int:
    return sum(1 for text in texts if digest(text.encode())[: tokens.length] in tokens.known)


def _fits(name: str, digest: Digest, length: int) -> bool:
    return name.startswith("hex") or len(digest(b"")) >= length


def _inputs(frame: pl.DataFrame) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield what may have been hashed, the likeliest first: one column, all, two, with usual separators."""
    names = [name for name, dtype in frame.schema.items() if not dtype.is_nested()]
    telling = sorted(names, key=lambda name: -frame[name].n_unique())
    for name in telling:
        yield (name,), ""
    for separator in _SEPARATORS:
        yield tuple(names), separator
    for separator in _SEPARATORS:
        for two in permutations(telling[:_PAIRED], 2):
            yield two, separator


def _texts(frame: pl.DataFrame, columns: list[str], separator: str, case: str) -> list[str]:
    """Return the values of columns as a program would write them, put together."""
    written = [_written(frame[name]) for name in columns]
    joined = pl.DataFrame(written).select(pl.concat_str(pl.all(), separator=separator, ignore_nulls=True).alias("t"))[
        "t"
    ]
    if case != "as is":
        joined = joined.str.to_lowercase() if case == "lower" else joined.str.to_uppercase()
    return joined.fill_null("").to_list()


def _written(column: pl.Series) -> pl.Series:
    if column.dtype == pl.Boolean:
        return pl.Series(column.name, [None if one is None else str(one) for one in column.to_list()], pl.String)
    return column.cast(pl.String)


def _tokens(column: pl.Series) -> _Tokens | None:
    """Return what a column's values are as digits of base 16, None for a column of another kind."""
    values = column.drop_nulls()
    if not _may_be_codes(values):
        return None
    known = {token for token in _as_hex(values.unique()) if token}
    if len(known) < _LEAST or len(known) < _MOST * values.n_unique():
        return None
    length = min(map(len, known))
    return _Tokens(column.name, frozenset(token[:length] for token in known), length) if length >= _SHORTEST else None


def _may_be_codes(values: pl.Series) -> bool:
    """Say whether values differ as hashes do: counts, codes of places and years are no hashes and are not searched."""
    if len(values) < _LEAST or values.n_unique() < len(values) / 10:
        return False
    if values.dtype.is_integer():
        return float(values.median() or 0) >= _LARGE  # type: ignore[arg-type]
    told = values.dtype == pl.String and values.str.contains(_TELLING).mean()
    return bool(told) and float(told) >= 0.5  # type: ignore[arg-type]


def _as_hex(column: pl.Series) -> list[str | None]:
    """Return each value as digits of base 16: read so, or as base 64, or as a number of 32 bits."""
    if column.dtype.is_integer():
        return [f"{one:08x}" if one is not None and 0 <= one < 2**32 else None for one in column.to_list()]
    if column.dtype != pl.String:
        return [None] * len(column)
    given = column.drop_nulls()
    if len(given) and float(given.str.contains(_HEX).mean() or 0.0) >= _MOST:  # type: ignore[arg-type]
        return column.str.to_lowercase().to_list()
    if len(given) and float(given.str.contains(_BASE64).mean() or 0.0) >= _MOST:  # type: ignore[arg-type]
        return [_from_base64(one) for one in column.to_list()]
    return [None] * len(column)


def _from_base64(text: str | None) -> str | None:
    try:
        return base64.urlsafe_b64decode((text or "").replace("+", "-").replace("/", "_") + "==").hex() or None
    except (binascii.Error, ValueError):
        return None


def _works(name: str) -> bool:
    try:
        hashlib.new(name, b"", usedforsecurity=False).hexdigest()
    except (ValueError, TypeError):
        return False
    return True
