"""Tables side by side: the columns of an original, a release and a control group as arrays that can be compared.

Words: a *number* column holds floats (null is NaN); every other column holds codes of its text, the same code for the
same text in all tables (null is code 0).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from desensitize.errors import InvalidInput, InvalidPlan
from desensitize.hierarchy import Hierarchy
from desensitize.leaves import as_leaf
from desensitize.tables import Table, collect, open_table

Values: TypeAlias = npt.NDArray[np.float64] | npt.NDArray[np.int32]
Recoding: TypeAlias = Mapping[str, tuple[Hierarchy, int]]
_LONGEST_NUMBER = 5
_FEWEST_NUMBERS = 12


@dataclass(frozen=True, slots=True)
class Side:
    """One table: its columns by name, whose each row is, and how many rows."""

    values: Mapping[str, Values]
    owner: npt.NDArray[np.int64]
    rows: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """The tables that an attack is run on; `spans` has the range of every number column, and names them."""

    original: Side
    released: Side
    control: Side | None
    spans: Mapping[str, float]


def compare(
    original: Table,
    released: Table,
    control: Table | None,
    columns: Sequence[str],
    *,
    entity: str | None = None,
    recoding: Recoding | None = None,
    most_rows: int = 200_000,
) -> Comparison:
    """Return these columns of the tables as arrays; of the release, `most_rows` rows evenly spaced at most.

    `recoding` says by which hierarchy and level a column was generalized: the attacker knows it, so original and
    control are written the same way. Refuses a column that a table lacks and an empty original or release.
    """
    sides = [open_table(original), open_table(released), *([] if control is None else [open_table(control)])]
    for side in sides:
        _check(side, columns)
    texts = [_read(side, columns, None if number == 1 else entity) for number, side in enumerate(sides)]
    if not texts[0].height or not texts[1].height:
        raise InvalidInput("an attack needs at least one row of the original and of the release")
    texts[1] = _thin(texts[1], most_rows)
    for number in (0, *range(2, len(texts))):
        texts[number] = _recode(texts[number], recoding or {})
    arrays: list[dict[str, Values]] = [{} for _ in texts]
    spans = {}
    for column in columns:
        made, span = _encode([text[column] for text in texts])
        if span is not None:
            spans[column] = span
        for store, values in zip(arrays, made, strict=True):
            store[column] = values
    built = [Side(values, _owner(text), text.height) for values, text in zip(arrays, texts, strict=True)]
    return Comparison(built[0], built[1], built[2] if len(built) > 2 else None, spans)


def common_columns(original: Table, released: Table) -> list[str]:
    """Return the columns that both tables have, in the order of the original."""
    theirs = set(open_table(released).collect_schema().names())
    return [name for name in open_table(original).collect_schema().names() if name in theirs]


def _check(table: pl.LazyFrame, columns: Sequence[str]) -> None:
    names = table.collect_schema().names()
    for column in columns:
        if column not in names:
            raise InvalidInput(f"column `{column}` is not in every table; this one has: {', '.join(names)}")


def _read(table: pl.LazyFrame, columns: Sequence[str], entity: str | None) -> pl.DataFrame:
    schema = table.collect_schema()
    chosen = [as_leaf(column, schema[column]).alias(column) for column in columns]
    if entity is None:
        return collect(table.select(chosen).with_row_index("\x00owner"))
    if entity not in schema:
        raise InvalidInput(f"entity column `{entity}` is not in the table; it has: {', '.join(schema.names())}")
    owner = pl.col(entity).rank("dense").fill_null(0).cast(pl.UInt32).alias("\x00owner")
    return collect(table.select(owner, *chosen))


def _owner(text: pl.DataFrame) -> npt.NDArray[np.int64]:
    return text["\x00owner"].to_numpy().astype(np.int64)


def _thin(text: pl.DataFrame, most: int) -> pl.DataFrame:
    return text if text.height <= most else text.gather_every(-(-text.height // most))


def _recode(text: pl.DataFrame, recoding: Recoding) -> pl.DataFrame:
    for column, (hierarchy, level) in recoding.items():
        if column not in text.columns or level == 0:
            continue
        rows = hierarchy.list_rows(text[column].unique().to_list(), column)
        if not 0 <= level < len(rows[0]):
            raise InvalidPlan(f"column `{column}` has levels 0 to {len(rows[0]) - 1}, not {level}")
        old = pl.Series([row[0] for row in rows], dtype=pl.String)
        new = pl.Series([row[level] for row in rows], dtype=pl.String)
        text = text.with_columns(pl.col(column).replace_strict(old, new, return_dtype=pl.String))
    return text


def _encode(texts: list[pl.Series]) -> tuple[list[Values], float | None]:
    """Return the values of one column in every table, and the range if they are numbers."""
    numbers = [text.cast(pl.Float64, strict=False) for text in texts]
    if _are_numbers(texts, numbers):
        every = pl.concat(numbers)
        span = float(every.max() or 0) - float(every.min() or 0)  # type: ignore[arg-type]
        return [number.fill_null(float("nan")).to_numpy() for number in numbers], span or 1.0
    known = pl.concat([text.drop_nulls().unique() for text in texts]).unique().sort()
    kind = pl.Enum(known)
    coded = [text.cast(kind).to_physical().cast(pl.Int32).fill_null(-1) + 1 for text in texts]
    return [each.to_numpy() for each in coded], None


def _are_numbers(texts: list[pl.Series], numbers: list[pl.Series]) -> bool:
    """Return whether a column is a quantity: all cells are finite numbers, many, and not codes of one length."""
    for text, number in zip(texts, numbers, strict=True):
        if number.null_count() != text.null_count() or not number.drop_nulls().is_finite().all():
            return False
    first = texts[0].drop_nulls()
    if first.n_unique() < _FEWEST_NUMBERS:
        return False
    lengths = first.str.len_chars()
    return not (lengths.n_unique() == 1 and int(lengths.max() or 0) > _LONGEST_NUMBER)  # type: ignore[arg-type]
