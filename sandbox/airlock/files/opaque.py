"""Values that nobody can read: hashes, codes in base 16 or 64, very long numbers. They are keys or hidden bytes.

A pseudonym under a key that the analyst chose can be matched with nothing by the platform; that it is unreadable is
what can be seen. So a free-form output holds at most two such values in a column.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from typing import Final

import polars as pl

from sandbox.airlock.findings import Finding, Severity

FEW: Final = 2
_LONG_HEX: Final = r"[0-9a-fA-F]{16,}"
_UUID: Final = r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_BASE: Final = r"[A-Za-z0-9+/_-]{20,}={0,2}"
_SHORT_HEX: Final = r"^[0-9a-fA-F]{8,15}$"
_LONG_NUMBER: Final = 10**15
_ACCEPTED: Final = "values that people can read: no hashes, tokens or encoded bytes"


def check_opaque(column: pl.Series, name: str) -> list[Finding]:
    """Return a finding where a column holds more than two different values that nobody can read."""
    count = _count_numbers(column) if column.dtype.is_integer() else 0
    if column.dtype == pl.String:
        count = _count_texts(column.drop_nulls().unique())
    return [_finding(count, f"column {name}")] if count > FEW else []


def check_opaque_texts(texts: Iterable[str], place: str) -> list[Finding]:
    """Return a finding where more than two of these texts hold something that nobody can read."""
    count = _count_texts(pl.Series(list(dict.fromkeys(texts)), dtype=pl.String))
    return [_finding(count, place)] if count > FEW else []


def _finding(count: int, place: str) -> Finding:
    return Finding("opaque_values", Severity.BLOCK, _ACCEPTED, None, count, FEW, place=place)


def _count_numbers(column: pl.Series) -> int:
    return int(column.filter(column.abs() >= _LONG_NUMBER).n_unique())


def _count_texts(known: pl.Series) -> int:
    long = known.str.contains(_LONG_HEX) | known.str.contains(_UUID)
    encoded = known.filter(~long & known.str.contains(_BASE))
    mixed = sum(1 for text in encoded.to_list() if any(_is_mixed(part) for part in re.findall(_BASE, text)))
    short = known.filter(known.str.contains(_SHORT_HEX) & known.str.contains("[a-fA-F]") & known.str.contains("[0-9]"))
    # A word may look like eight digits of base 16; a whole column of words does not.
    codes = len(short) if 2 * len(short) > len(known) else 0
    return int(long.sum() or 0) + mixed + codes


def _is_mixed(text: str) -> bool:
    """Say whether letters and digits follow each other as chance has it, not as words do."""
    turns = sum(1 for one, other in itertools.pairwise(text) if _class(one) != _class(other))
    return turns >= len(text) // 4 and len({_class(one) for one in text}) >= 2


def _class(character: str) -> str:
    return "d" if character.isdigit() else "u" if character.isupper() else "l" if character.islower() else "o"
