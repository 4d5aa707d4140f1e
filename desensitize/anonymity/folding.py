"""A quick look at a node that is never wrong about what must be left out, and at times silent.

Every label has a random number; a tuple's numbers at the node's levels add up to the bucket that it is counted in.
Tuples of one class share a bucket, but so may classes by chance. Thrown together they only look larger, so rows in
buckets of fewer than k rows are in classes of fewer than k rows for certain. One addition an attribute and one count
replace the exact numbering of classes, and most nodes of a search are decided by it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from desensitize.anonymity.histogram import Histogram, Levels

_WORD = 32
_BUCKETS_PER_TUPLE = 2
_REMEMBERED = 8_000_000
_SEED = 20_240_731
"""Any number does: what it is decides how often the look is silent, not what it says."""


class Folding:
    """The quick looks at one histogram; the numbers of its tuples are remembered by attribute and level."""

    def __init__(self, histogram: Histogram) -> None:
        self._histogram = histogram
        self._rows = histogram.rows.astype(np.float64)
        self._total = float(self._rows.sum())
        self._bits = max(1, (_BUCKETS_PER_TUPLE * len(self._rows)).bit_length())
        self._marks: dict[tuple[int, int], npt.NDArray[np.uint32]] = {}

    def least_suppressed(self, levels: Levels, k: int) -> float:
        """Return a number of rows that surely are in classes of fewer than `k` rows at these levels."""
        bucket = np.zeros(len(self._rows), np.uint32)
        for position, level in enumerate(levels):
            if len(self._histogram.attributes[position].labels[level]) > 1:
                bucket += self._mark(position, level)
        bucket >>= np.uint32(_WORD - self._bits)
        rows = np.bincount(bucket, self._rows, 1 << self._bits)
        return self._total - float(rows[rows >= k].sum())

    def _mark(self, position: int, level: int) -> npt.NDArray[np.uint32]:
        known = self._marks.get((position, level))
        if known is None:
            attribute = self._histogram.attributes[position]
            drawn = np.random.default_rng((_SEED, position, level)).integers(
                0, 1 << _WORD, len(attribute.labels[level]), np.uint32
            )
            known = drawn[attribute.codes[level]][self._histogram.leaf[position]]
            if (len(self._marks) + 1) * len(known) <= _REMEMBERED:
                self._marks[position, level] = known
        return known
