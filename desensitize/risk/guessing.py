"""Linking and inferring: what the rows of a release that are nearest to a person's known columns give away.

Nearest is by Gower's distance (J. C. Gower, Biometrics 27, 1971): the mean over the columns of 0 or 1 for text, and of
the difference in units of the column's range for numbers. Ties are broken at random for linking; for inferring all
rows that tie are asked, which is the stronger attack.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from desensitize.risk.comparison import Comparison, Side, Values

Rows: TypeAlias = npt.NDArray[np.int64]
_CELLS = 4_000_000


def link(
    side: Side,
    tables: Comparison,
    rows: Rows,
    halves: tuple[Sequence[str], Sequence[str]],
    neighbours: int,
    rng: np.random.Generator,
) -> int:
    """Return for how many of these people both halves of their columns lead to the same row of the release."""
    hits = 0
    for part in _parts(rows, tables.released.rows):
        first, second = (_nearest(side, tables, part, columns, neighbours, rng) for columns in halves)
        hits += int((first[:, :, None] == second[:, None, :]).any(axis=(1, 2)).sum())
    return hits


def infer(
    side: Side,
    tables: Comparison,
    rows: Rows,
    columns: Sequence[str],
    secret: str,
    tolerance: float,
    rng: np.random.Generator | None = None,
) -> int:
    """Return for how many of these people the guess is right; without columns, one of a random row's values.

    The guess is the most frequent value (for numbers the median) among the rows of the release that are nearest.
    """
    theirs, truth = tables.released.values[secret], side.values[secret]
    is_number = secret in tables.spans
    hits = 0
    for part in _parts(rows, tables.released.rows):
        if not columns:
            guesses = theirs[(rng or np.random.default_rng()).integers(0, len(theirs), len(part))]
        else:
            distances = _distances(side, tables, part, columns)
            tied = distances <= distances.min(axis=1, keepdims=True) + 1e-6
            guesses = np.array([_guess(theirs[row], is_number) for row in tied])
        hits += _count_right(guesses, truth[part], tolerance if is_number else 0.0)
    return hits


def _parts(rows: Rows, width: int) -> Iterator[Rows]:
    step = max(1, _CELLS // max(1, width))
    for start in range(0, len(rows), step):
        yield rows[start : start + step]


def _distances(side: Side, tables: Comparison, rows: Rows, columns: Sequence[str]) -> npt.NDArray[np.float32]:
    """Return the distance of each of these people (rows) to each row of the release (columns)."""
    total = np.zeros((len(rows), tables.released.rows), dtype=np.float32)
    for column in columns:
        ours, theirs = side.values[column][rows][:, None], tables.released.values[column][None, :]
        if column in tables.spans:
            apart = np.abs(ours - theirs) / tables.spans[column]
            both = np.isnan(ours) & np.isnan(theirs)
            total += np.where(both, 0.0, np.nan_to_num(apart, nan=1.0)).astype(np.float32)
        else:
            total += ours != theirs
    return total


def _nearest(
    side: Side, tables: Comparison, rows: Rows, columns: Sequence[str], neighbours: int, rng: np.random.Generator
) -> Rows:
    distances = _distances(side, tables, rows, columns)
    distances += rng.random(distances.shape, dtype=np.float32) * np.float32(1e-4)
    count = min(neighbours, distances.shape[1])
    found = distances.argmin(axis=1)[:, None] if count == 1 else np.argpartition(distances, count - 1, axis=1)
    return found[:, :count].astype(np.int64)


def _guess(values: Values, is_number: bool) -> Any:
    if is_number:
        known = values[~np.isnan(values)]
        return float(np.median(known)) if len(known) else np.nan
    kinds, often = np.unique(values, return_counts=True)
    return kinds[often.argmax()]


def _count_right(guesses: Values, truth: Values, tolerance: float) -> int:
    if not np.issubdtype(truth.dtype, np.floating):
        return int((guesses == truth).sum())
    close = np.abs(guesses - truth) <= tolerance * np.abs(truth) + 1e-12
    return int((close | (np.isnan(guesses) & np.isnan(truth))).sum())
