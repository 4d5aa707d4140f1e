"""Numbers with check characters, a whole column at a time, by the rules of `desensitize.identifiers.check_digits`."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

from desensitize.identifiers.check_digits import RESIDENT_ID_CHECKS, RESIDENT_ID_WEIGHTS, USCC_ALPHABET, USCC_WEIGHTS

Integers = npt.NDArray[np.int64]

_ORGANISATION_WEIGHTS = (3, 7, 9, 10, 5, 8, 4, 2)
_ORGANISATION_CHECKS = "0123456789X0"
_USCC_CODES = np.frombuffer(USCC_ALPHABET.encode(), dtype=np.uint8)
_BASE = len(USCC_ALPHABET)


def resident_ids(area: Integers, birth: Integers, sequence: Integers) -> pl.Series:
    """Return resident IDs (GB 11643-1999) from region code, birth date as YYYYMMDD and sequence 0-999, odd for men."""
    body = area * 10**11 + birth * 10**3 + sequence
    total = np.zeros(len(body), dtype=np.int64)
    for place, weight in enumerate(RESIDENT_ID_WEIGHTS):
        total += body // 10 ** (16 - place) % 10 * weight
    checks = pl.Series(list(RESIDENT_ID_CHECKS)).gather(total % 11)
    return pl.Series(body).cast(pl.String) + checks


def credit_codes(kind: str, region: Integers, serial: Integers) -> pl.Series:
    """Return unified social credit codes (GB 32100-2015) with a valid organisation code (GB 11714) inside.

    `kind` is the department and kind of subject (`91` for an enterprise); `serial` below 31^6 makes each code its own.
    """
    characters = np.empty((len(region), 18), dtype=np.uint8)
    characters[:, :2] = np.frombuffer(kind.encode(), dtype=np.uint8)
    for place in range(6):
        characters[:, 2 + place] = ord("0") + region // 10 ** (5 - place) % 10
    characters[:, 8:10] = np.frombuffer(b"MA", dtype=np.uint8)
    for place in range(6):
        characters[:, 10 + place] = _USCC_CODES[serial // _BASE ** (5 - place) % _BASE]
    characters[:, 16] = _organisation_check(characters[:, 8:16])
    value_of = np.zeros(256, dtype=np.int64)
    value_of[_USCC_CODES] = np.arange(_BASE)
    total = value_of[characters[:, :17]] @ np.array(USCC_WEIGHTS, dtype=np.int64)
    characters[:, 17] = _USCC_CODES[-total % _BASE]
    return pl.Series(np.ascontiguousarray(characters).view("S18").ravel().astype("U18"))


def _organisation_check(body: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    value = body.astype(np.int64)
    value = np.where(value >= ord("A"), value - ord("A") + 10, value - ord("0"))
    rest = 11 - value @ np.array(_ORGANISATION_WEIGHTS, dtype=np.int64) % 11
    checks: npt.NDArray[np.uint8] = np.frombuffer(_ORGANISATION_CHECKS.encode(), dtype=np.uint8)[rest]
    return checks
