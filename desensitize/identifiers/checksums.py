"""Validity of whole columns of identifiers: the table twins of `identifiers`, on byte matrices."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from desensitize.identifiers.check_digits import (
    PREFECTURE_CODES,
    RESIDENT_ID_CHECKS,
    RESIDENT_ID_WEIGHTS,
    USCC_ALPHABET,
    USCC_WEIGHTS,
    VIN_ALPHABET,
    VIN_VALUES,
    VIN_WEIGHTS,
)

Bools = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
_BATCH = 500_000
_DAYS = np.array([0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])
_ORG_WEIGHTS = np.array([3, 7, 9, 10, 5, 8, 4, 2], np.int32)


def _lookup(alphabet: str, values: Sequence[int] | None = None) -> npt.NDArray[np.int32]:
    table = np.full(256, -1, np.int32)
    for character, value in zip(alphabet, values or range(len(alphabet)), strict=True):
        table[[ord(character), ord(character.lower())]] = value
    return table


_USCC_VALUE = _lookup(USCC_ALPHABET).astype(np.float32)
_ORG_VALUE = _lookup("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_VIN_VALUE = _lookup(VIN_ALPHABET, VIN_VALUES).astype(np.float32)
_PREFECTURE = np.zeros(10_000, bool)
_PREFECTURE[[int(code) for code in PREFECTURE_CODES]] = True


def _matrix(values: pl.Series, width: int) -> Bytes:
    return np.frombuffer(values.str.join("").cast(pl.Binary).item(), np.uint8).reshape(-1, width)


def _number(digits: npt.NDArray[np.int32], start: int, stop: int) -> npt.NDArray[np.int32]:
    total = np.zeros(len(digits), np.int32)
    for place in range(start, stop):
        total = total * 10 + digits[:, place]
    return total


def _weigh(values: Floats, weights: Sequence[int]) -> npt.NDArray[np.int32]:
    # Floats of 32 bits go through the fast matrix product; the sums stay far below 2**24, where they are exact.
    total: npt.NDArray[np.int32] = (values @ np.array(weights, np.float32)).astype(np.int32)
    return total


def _is_date(year: npt.NDArray[np.int32], month: npt.NDArray[np.int32], day: npt.NDArray[np.int32]) -> Bools:
    leap = ((year % 4 == 0) & (year % 100 != 0)) | (year % 400 == 0)
    known = (month >= 1) & (month <= 12)
    last = _DAYS[np.where(known, month, 0)] - ((month == 2) & ~leap)
    result: Bools = known & (day >= 1) & (day <= last) & (year >= 1880) & (year <= 2049)
    return result


def check_resident_id(values: pl.Series) -> Bools:
    """Say for each 18-character text, known to match the pattern, whether prefecture, date and MOD 11-2 hold."""
    matrix = _matrix(values, 18)
    digits = matrix[:, :17].astype(np.int32) - 48
    total = _weigh(digits.astype(np.float32), RESIDENT_ID_WEIGHTS)
    expected = np.frombuffer(RESIDENT_ID_CHECKS.encode(), np.uint8)[total % 11]
    last = np.where(matrix[:, 17] == ord("x"), ord("X"), matrix[:, 17])
    area = _PREFECTURE[_number(digits, 0, 4)] | (digits[:, 0] == 9)
    date = _is_date(_number(digits, 6, 10), _number(digits, 10, 12), _number(digits, 12, 14))
    result: Bools = (expected == last) & area & date
    return result


def check_resident_id_15(values: pl.Series) -> Bools:
    """Say for each 15-digit text whether its prefecture and its date of 19YY are real."""
    digits = _matrix(values, 15).astype(np.int32) - 48
    date = _is_date(1900 + _number(digits, 6, 8), _number(digits, 8, 10), _number(digits, 10, 12))
    result: Bools = _PREFECTURE[_number(digits, 0, 4)] & date
    return result


def check_uscc(values: pl.Series) -> Bools:
    """Say for each 18-character text of the credit code's alphabet whether its check character (mod 31) holds."""
    value = _USCC_VALUE[_matrix(values, 18)]
    total = _weigh(value[:, :17], USCC_WEIGHTS)
    result: Bools = -total % 31 == value[:, 17].astype(np.int32)
    return result


def check_luhn(values: pl.Series) -> Bools:
    """Say for each text of digits, of any length, whether Luhn's check digit holds."""
    lengths = values.str.len_bytes().to_numpy()
    result = np.zeros(len(values), bool)
    for width in np.unique(lengths):
        chosen = np.flatnonzero(lengths == width)
        digits = _matrix(values.gather(chosen), int(width)).astype(np.int32) - 48
        doubled = digits[:, -2::-2] * 2
        total = digits[:, ::-2].sum(axis=1) + (doubled - 9 * (doubled > 9)).sum(axis=1)
        result[chosen] = total % 10 == 0
    return result


def _org_code_holds(matrix: Bytes) -> Bools:
    check = 11 - (_ORG_VALUE[matrix[:, :8]] @ _ORG_WEIGHTS) % 11
    expected = np.where(check == 10, ord("X"), np.where(check == 11, ord("0"), check + 48))
    result: Bools = expected == matrix[:, 8]
    return result


def check_org_code(values: pl.Series) -> Bools:
    """Say for each organisation code (8 characters and the check character) whether GB 11714's check holds."""
    return _org_code_holds(_matrix(values, 9))


def check_tax_number(values: pl.Series) -> Bools:
    """Say for each old taxpayer number (6 digits, organisation code) whether prefecture and organisation code hold."""
    matrix = _matrix(values, 15)
    result: Bools = _PREFECTURE[_number(matrix[:, :4].astype(np.int32) - 48, 0, 4)] & _org_code_holds(matrix[:, 6:])
    return result


def check_vin(values: pl.Series) -> Bools:
    """Say for each vehicle identification number whether its ninth character checks the rest, and a maker is named."""
    matrix = _matrix(values, 17)
    rest = _weigh(_VIN_VALUE[matrix], VIN_WEIGHTS) % 11
    maker = (matrix[:, :3] > ord("9")).any(axis=1)
    result: Bools = (np.frombuffer(b"0123456789X", np.uint8)[rest] == matrix[:, 8]) & maker
    return result


def check_business_registration(values: pl.Series) -> Bools:
    """Say for each 15-digit text whether ISO 7064 MOD 11,10 holds."""
    digits = _matrix(values, 15).astype(np.int32) - 48
    product = np.full(len(digits), 10, np.int32)
    for place in range(14):
        remainder = (product + digits[:, place]) % 10
        product = np.where(remainder == 0, 10, remainder) * 2 % 11
    result: Bools = (product + digits[:, 14]) % 10 == 1
    return result


CHECKS: Mapping[str, Callable[[pl.Series], Bools]] = {
    "resident_id": check_resident_id,
    "resident_id_15": check_resident_id_15,
    "uscc": check_uscc,
    "luhn": check_luhn,
    "org_code": check_org_code,
    "business_registration": check_business_registration,
    "tax_number": check_tax_number,
    "vin": check_vin,
}


def run_check(name: str, values: pl.Series) -> Bools:
    """Return the answers of check `name` for these texts (none null, all matching its pattern), batch by batch.

    Blanks and hyphens between the parts of a text do not count.
    """
    if values.str.contains("[ -]").any():
        values = values.str.replace_all("[ -]", "")
    batches = [CHECKS[name](values.slice(start, _BATCH)) for start in range(0, len(values), _BATCH)]
    return np.concatenate(batches) if batches else np.zeros(0, bool)
