"""Rows in random order, also of a table larger than memory.

The order of a release's rows is a key: two releases of one table in its order are joined row by row, however unrelated
their pseudonyms are. So rows are first thrown on *piles*, each row on a random one, then each pile is shuffled, and the
piles follow one another: every order of all rows is equally likely (Rao 1961; Sandelius 1962). All that is random comes
from the operating system.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
from polars.io.plugins import register_io_source

from desensitize.tables import hide

PILES = ".piles"
_PILE_ROWS, _MOST_PILES = 1_000_000, 256
_PILE = hide("pile")


def count_piles(rows: int) -> int:
    """Return on how many piles so many rows are thrown: about a million rows on each, and never more than 256 piles."""
    return min(_MOST_PILES, max(1, -(-rows // _PILE_ROWS)))


def draw_pile(count: int) -> pl.Expr:
    """Return the expression of each row's pile, a hidden column."""

    def draw(values: pl.Series) -> pl.Series:
        drawn = np.frombuffer(os.urandom(4 * len(values)), dtype=np.uint32)
        return pl.Series(values.name, drawn % np.uint32(count), dtype=pl.UInt32)

    return pl.first().map_batches(draw, return_dtype=pl.UInt32, is_elementwise=True).alias(_PILE)


def to_piles(folder: Path) -> pl.PartitionBy:
    """Return where to sink rows with their pile, so that each pile has files of its own below `folder`."""
    return pl.PartitionBy(folder, key=_PILE, include_key=False)


def read_piles(folder: Path, schema: pl.Schema) -> pl.LazyFrame:
    """Return the rows of all piles, each shuffled when it is its turn."""

    def read(
        columns: list[str] | None, predicate: pl.Expr | None, rows: int | None, _batch: int | None
    ) -> Iterator[pl.DataFrame]:
        for files in _list_piles(folder):
            pile = pl.scan_parquet(files, hive_partitioning=False).collect()
            made = pile[np.argsort(np.frombuffer(os.urandom(8 * pile.height), dtype=np.uint64))]
            made = made if columns is None else made.select(columns)
            made = made if predicate is None else made.filter(predicate)
            if rows is not None:
                made, rows = made.head(rows), max(0, rows - made.height)
            yield made

    return register_io_source(read, schema=schema)


def _list_piles(folder: Path) -> list[list[Path]]:
    return [sorted(pile.rglob("*.parquet")) for pile in sorted(folder.iterdir())]
