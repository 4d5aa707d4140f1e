"""Other shapes in which a table may hold rows: lying on its side, a value a row, running sums, values within texts.

Each is cheap to make and to undo, so a table is compared with a release in each of them that it can have.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Final

import polars as pl

SIDEWAYS: Final = 8
"""The fewest columns of a table that is also read lying on its side."""
_MOST_PARTS: Final = 40
_FEWEST: Final = 10
_MOST: Final = 0.9
_SAMPLE: Final = 1_000
_MOST_NAMES: Final = 3
_WIDEST: Final = 400
_NUMBER: Final = r"\d+(?:\.\d+)?"


def shapes_of(table: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Yield the table with its running sums undone, its texts taken apart, on its side, and with a row for each name.

    Shapes that it cannot have are left out.
    """
    unwound, unpacked = unwind(table), unpack(table)
    if unwound.columns != table.columns:
        yield unwound
    if unpacked.width > table.width:
        yield unpacked
    if table.width >= SIDEWAYS and 0 < table.height <= _MOST_PARTS:
        yield lay_sideways(table)
        # What a column of labels says would be no number among numbers.
        yield lay_sideways(table.select(table.columns[1:]))
    gathered = (_gather(table, name) for name in table.columns)
    yield from islice((made for made in gathered if made is not None), _MOST_NAMES)


def unwind(table: pl.DataFrame) -> pl.DataFrame:
    """Return the table with the differences of each column of numbers that only rises, in its place.

    A table leaves with its rows in order: a running sum keeps the order that it had.
    """
    columns = []
    for column in table.iter_columns():
        number = _as_number(column)
        if number is not None and not number.null_count() and len(number) >= _FEWEST:
            steps = number.diff().fill_null(number.first()).round(4)
            if bool((steps >= 0).all()) and steps.n_unique() > 1:
                columns.append(steps.alias(f"{column.name}/steps"))
                continue
        columns.append(column)
    return pl.DataFrame(columns)


def unpack(table: pl.DataFrame) -> pl.DataFrame:
    """Return the table with the numbers inside the texts of a column as columns beside it, where all have as many."""
    more: list[pl.Series] = []
    for column in table.iter_columns():
        if column.dtype != pl.String:
            continue
        known = column.drop_nulls().unique().head(_SAMPLE)
        counts = known.str.count_matches(_NUMBER)
        parts = int(counts.mode().max() or 0) if len(counts) else 0  # type: ignore[arg-type]
        if 2 <= parts <= _MOST_PARTS and float((counts == parts).mean() or 0.0) >= _MOST:  # type: ignore[arg-type]
            pieces = column.str.extract_all(_NUMBER)
            more += [
                pieces.list.get(place, null_on_oob=True).alias(f"{column.name}/number {place + 1}")
                for place in range(parts)
            ]
    return table.with_columns(more)


def lay_sideways(table: pl.DataFrame) -> pl.DataFrame:
    """Return the table with rows for columns: a row for each column, its heading first."""
    return table.select(pl.all().cast(pl.String)).transpose(include_header=True)


def _gather(table: pl.DataFrame, name: str) -> pl.DataFrame | None:
    """Return a table of a value a row with a row for each of what column `name` names; None where it is none."""
    keys = table[name]
    groups = keys.drop_nulls().n_unique()
    if groups < _FEWEST or table.width < 2 or not 2 <= table.height / groups <= _MOST_PARTS:
        return None
    sizes = keys.to_frame("k").group_by("k").len()["len"]
    size = int(sizes.mode().max() or 0)  # type: ignore[arg-type]
    if size < 2 or size * table.width > _WIDEST or float((sizes == size).mean() or 0.0) < _MOST:  # type: ignore[arg-type]
        return None
    others = [one for one in table.columns if one != name]
    # Values of one kind meet in one column: by what names their kind where something does, else in order.
    kinds = next((one for one in others if len(others) > 1 and table[one].n_unique() == size), None)
    values = [one for one in others if one != kinds]
    text = table.select(pl.col(name).cast(pl.String).alias("k"), *(pl.col(one).cast(pl.String) for one in others))
    text = text.sort("k", kinds or values[0], maintain_order=True)
    lists = text.group_by("k", maintain_order=True).agg(values)
    made = [
        pl.col(one).list.get(place, null_on_oob=True).alias(f"{one}/{place + 1}")
        for one in values
        for place in range(size)
    ]
    return lists.select("k", *made)


def _as_number(column: pl.Series) -> pl.Series | None:
    if column.dtype.is_numeric():
        return column.cast(pl.Float64)
    if column.dtype != pl.String:
        return None
    number = column.cast(pl.Float64, strict=False)
    return number if number.null_count() == column.null_count() else None
