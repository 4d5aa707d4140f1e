"""Seeded draws that fill a column: one independent stream for each register."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

Integers = npt.NDArray[np.int64]
Booleans = npt.NDArray[np.bool_]


def stream(seed: int, name: str) -> np.random.Generator:
    """Return the generator of the stream `name` of a city's seed."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, zlib.crc32(name.encode())])))


def places(random: np.random.Generator, weights: Sequence[float], size: int) -> Integers:
    """Return `size` positions, each drawn with its weight."""
    edges = np.cumsum(np.asarray(weights, dtype=np.float64))
    drawn: Integers = np.searchsorted(edges, random.random(size) * edges[-1], side="right").astype(np.int64)
    return drawn


def words(random: np.random.Generator, weighted: Sequence[tuple[str, float]], size: int) -> pl.Series:
    """Return `size` words, each drawn with its weight."""
    return pick([word for word, _ in weighted], places(random, [weight for _, weight in weighted], size))


def pick(choices: Sequence[str | None], positions: Integers) -> pl.Series:
    """Return the word at each position."""
    return pl.Series(list(choices), dtype=pl.String).gather(positions)


def falling(count: int) -> list[float]:
    """Return weights that fall off as frequencies of words do (Zipf with exponent one half)."""
    return [1.0 / (place + 1) ** 0.5 for place in range(count)]


def integers(random: np.random.Generator, low: int, high: int, size: int) -> Integers:
    """Return `size` whole numbers from `low` up to and without `high`."""
    return random.integers(low, high, size, dtype=np.int64)
