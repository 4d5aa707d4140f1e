"""Dates of birth and sequence numbers of resident IDs as one number, so that every number is a date that exists.

The *rank* of the eleven digits YYYYMMDDNNN is 1000 times the days since 1850-01-01, plus NNN; ranks end with 2099.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_FIRST = np.datetime64("1850-01-01", "D")
_END = np.datetime64("2100-01-01", "D")
_A_DAY = np.timedelta64(1, "D")
_POWERS = np.array([1000, 100, 10, 1])


def count_ranks() -> int:
    """Return how many ranks there are: 91,311,000."""
    return int((_END - _FIRST) // _A_DAY) * 1000


def read_ranks(digits: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.bool_]]:
    """Return the ranks of digits of shape (11, cells), and which of them are dates that exist from 1850 to 2099."""
    number = digits.astype(np.int64)
    year, month, day = _POWERS @ number[:4], number[4] * 10 + number[5], number[6] * 10 + number[7]
    first = (year - 1970).astype("datetime64[Y]").astype("datetime64[M]") + (month - 1)
    date = first.astype("datetime64[D]") + (day - 1)
    real = (month >= 1) & (month <= 12) & (day >= 1) & (date.astype("datetime64[M]") == first)
    real &= (date >= _FIRST) & (date < _END)
    ranks = (date - _FIRST) // _A_DAY * 1000 + _POWERS[1:] @ number[8:]
    return np.where(real, ranks, 0).astype(np.uint64), real


def write_ranks(ranks: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint8]:
    """Return the eleven digits of each rank, shape (11, cells)."""
    date = _FIRST + (ranks // np.uint64(1000)).astype(np.int64)
    year, month = date.astype("datetime64[Y]"), date.astype("datetime64[M]")
    parts = (
        (year.astype(np.int64) + 1970, 4),
        ((month - year.astype("datetime64[M]")).astype(np.int64) + 1, 2),
        ((date - month.astype("datetime64[D]")).astype(np.int64) + 1, 2),
        ((ranks % np.uint64(1000)).astype(np.int64), 3),
    )
    return np.stack([number // 10**place % 10 for number, size in parts for place in reversed(range(size))]).astype(
        np.uint8
    )
