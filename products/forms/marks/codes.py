"""A fingerprint code of Tardos: each cell has a secret bias, each buyer a sign drawn by it; copies are scored by both.

Source: G. Tardos, *Optimal probabilistic fingerprint codes*, J. ACM 55(2), 2008; the symmetric score is of B. Škorić,
S. Katzenbeisser and M. Celik, *Symmetric Tardos fingerprinting codes for arbitrary alphabet sizes*, DCC 46, 2008.
Biases and signs come from SHAKE-256 under the product's key: who has not the key cannot tell them from coin throws.

Words: the *sign* of a cell in a copy is +1 or -1 where the copy differs from the original by one step, 0 where it says
nothing (as it was, rounded, or changed by something else). The *score* of a buyer is the sum over cells; for one who
had no part in the copy it has mean zero and variance one a cell, whatever the copy's maker did, since he did not know
that buyer's signs. So its chance to reach a score by accident is bounded (Bernstein), for every copy and every attack.
"""

from __future__ import annotations

import hashlib
import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Signs = NDArray[np.int8]

CUT: Final = 0.05
"""Biases lie between this and one less it: a smaller one makes single cells heavier and the bound worse."""

HEAVIEST: Final = math.sqrt((1 - CUT) / CUT)
ACCUSED: Final = 1e-6
"""The most that the chance of a false accusation in one trace, over all its buyers together, may be."""


def biases(key: bytes, column: str, rows: int) -> Floats:
    """Return of each row's cell how likely a buyer's sign is +1: arcsine distributed, cut off at `CUT`."""
    least = math.asin(math.sqrt(CUT))
    angle = least + _uniform(key, b"bias", column.encode(), rows) * (math.pi / 2 - 2 * least)
    return np.asarray(np.sin(angle) ** 2)


def signs(key: bytes, buyer: str, column: str, rows: int) -> Signs:
    """Return a buyer's signs for a column's cells, +1 or -1."""
    drawn = _uniform(key, b"sign", _joined(buyer, column), rows)
    return np.where(drawn < biases(key, column, rows), 1, -1).astype(np.int8)


def scores(found: NDArray[Any], own: Signs, bias: Floats) -> Floats:
    """Return the symmetric score of each cell, for the copy's signs `found` and a buyer's `own`; 0 where `found` is."""
    plus, minus = np.sqrt((1 - bias) / bias), np.sqrt(bias / (1 - bias))
    agreed = np.where(own > 0, plus, -minus)
    return np.asarray(np.where(found > 0, agreed, np.where(found < 0, -agreed, 0.0)))


def log_chance(score: float, cells: int) -> float:
    """Return the natural logarithm of a bound on the chance that somebody without a part has this score or more.

    Bernstein's inequality for `cells` independent terms of mean 0, variance 1 and size at most `HEAVIEST`.
    """
    if score <= 0 or cells <= 0:
        return 0.0
    return -(score**2) / (2 * (cells + HEAVIEST * score / 3))


def log_chance_of_any(score: float, cells: int, buyers: int) -> float:
    """Return the logarithm of the bound for the worst of several buyers (union bound), at most 0."""
    return min(0.0, log_chance(score, cells) + math.log(max(1, buyers)))


def cells_needed(buyers: int, accused: float = ACCUSED) -> int:
    """Return how many cells a whole copy needs so that its one buyer is named among so many on average."""
    mean, cells = mean_score(), 1
    while log_chance_of_any(mean * cells, cells, buyers) > math.log(accused):
        cells += 1
    return cells


def mean_score() -> float:
    """Return what a cell of his own copy adds to a buyer's score on average: E[2 sqrt(p (1 - p))]."""
    least = math.asin(math.sqrt(CUT))
    # The mean of sin(2 angle) for an angle drawn evenly between `least` and the rest of the quarter circle.
    return math.cos(2 * least) / (math.pi / 2 - 2 * least)


def _uniform(key: bytes, what: bytes, about: bytes, rows: int) -> Floats:
    stream = hashlib.shake_256(b"shuzha/marks/1" + _framed(key) + _framed(what) + _framed(about))
    words = np.frombuffer(stream.digest(8 * rows), dtype="<u8")
    return np.asarray((words >> np.uint64(11)).astype(np.float64) / float(1 << 53))


def _joined(*parts: str) -> bytes:
    return b"".join(_framed(part.encode()) for part in parts)


def _framed(part: bytes) -> bytes:
    return len(part).to_bytes(4, "big") + part
