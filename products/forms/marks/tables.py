"""A table with a buyer's signs in it: each marked cell is one step higher or lower than in the original."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from products.forms.marks import codes
from products.forms.terms import Mark
from shuzha.core.errors import Invalid

RULE: Final = "forms.marks"
PARQUET: Final = b"PAR1"
MOST_DECIMALS: Final = 9
MOST: Final = 1 << 52
Kind = Literal["csv", "parquet"]


@dataclass(frozen=True, slots=True)
class Column:
    """A marked column in whole steps of ten to the minus `decimals`: its values, and which of them can be marked."""

    name: str
    values: NDArray[np.int64]
    open: NDArray[np.bool_]
    step: int
    decimals: int


def read_table(content: bytes) -> tuple[Kind, pl.DataFrame]:
    """Return a released table, a CSV file's values as text; raises Invalid for content that is neither form."""
    try:
        if content[:4] == PARQUET:
            return "parquet", pl.read_parquet(io.BytesIO(content), glob=False)
        return "csv", pl.read_csv(io.BytesIO(content), infer_schema=False)
    except (pl.exceptions.PolarsError, UnicodeDecodeError):
        raise Invalid(
            "the file is no table that can be marked", rule=RULE, accepted="CSV in UTF-8, or Parquet"
        ) from None


def write_table(kind: Kind, frame: pl.DataFrame) -> bytes:
    """Return the table as a file of its kind."""
    out = io.BytesIO()
    if kind == "csv":
        frame.write_csv(out)
    else:
        frame.write_parquet(out)
    return out.getvalue()


def mark(content: bytes, marks: Mapping[str, Mark], key: bytes, buyer: str) -> bytes:
    """Return the file with this buyer's signs: the same bytes each time. Refuses columns that cannot be marked."""
    kind, frame = read_table(content)
    changed = []
    for name, one in marks.items():
        column = read_column(frame, name, one)
        signs = codes.signs(key, buyer, name, frame.height)
        moved = column.values + np.where(column.open, signs.astype(np.int64) * column.step, 0)
        changed.append(_written(frame[name], moved, column))
    return write_table(kind, frame.with_columns(changed))


def read_column(frame: pl.DataFrame, name: str, mark: Mark) -> Column:
    """Return a column as whole numbers with the cells that are open to a mark; refuses one that is no number.

    Open is a cell whose value may go one step up and one down: within `least` and `most` of its mark, and above zero
    where no value of the column is below.
    """
    if name not in frame.columns:
        raise Invalid(f"the table has no column `{name}`", rule=RULE, accepted=", ".join(frame.columns))
    series = frame[name]
    numbers = as_floats(series)
    given, known = series.is_not_null().sum(), numbers.is_not_null().sum()
    if not known or known < given:
        raise Invalid(f"column `{name}` is no number in every row", rule=RULE, accepted="a numeric column")
    decimals = decimals_of(mark.step)
    if series.dtype.is_integer() and decimals:
        raise Invalid(f"column `{name}` holds whole numbers", rule=RULE, accepted="a whole step")
    step, unit = round(mark.step * 10**decimals), 10**decimals
    scaled = (numbers * unit).fill_null(0.0).to_numpy()
    values = np.rint(np.clip(scaled, -MOST, MOST)).astype(np.int64)
    exact = np.abs(scaled - values) < 1e-3
    least = mark.least if mark.least is not None else (None if bool((numbers < 0).any()) else 0.0)
    free = numbers.is_not_null().to_numpy() & exact & (np.abs(scaled) < MOST - step)
    if least is not None:
        free &= values - step >= round(least * unit)
    if mark.most is not None:
        free &= values + step <= round(mark.most * unit)
    return Column(name, values, free, step, decimals)


def as_floats(series: pl.Series) -> pl.Series:
    """Return the numbers of a column, null where it has none; text is read as it is written."""
    if series.dtype == pl.String:
        return series.str.strip_chars().cast(pl.Float64, strict=False)
    if series.dtype.is_numeric():
        return series.cast(pl.Float64, strict=False)
    return pl.Series(series.name, [None] * len(series), dtype=pl.Float64)


def decimals_of(step: float) -> int:
    """Return how many decimals a step has; refuses one that is no decimal number of at most nine."""
    exponent = Decimal(repr(step)).normalize().as_tuple().exponent
    if not isinstance(exponent, int) or step <= 0 or exponent < -MOST_DECIMALS:
        raise Invalid("a mark's step is no decimal number", rule=RULE, accepted="such as 1, 0.1 or 0.01")
    return max(0, -exponent)


def _written(series: pl.Series, moved: NDArray[np.int64], column: Column) -> pl.Series:
    """Return the column with its open cells as they are now, the others as they were."""
    unit = 10**column.decimals
    if series.dtype == pl.String:
        text = pl.Series(moved).cast(pl.String) if not column.decimals else pl.Series(
            [f"{value / unit:.{column.decimals}f}" for value in moved.tolist()], dtype=pl.String
        )  # fmt: skip
        new = text
    else:
        new = pl.Series(moved if not column.decimals else moved / unit).cast(series.dtype)
    found = pl.DataFrame({"old": series, "new": new, "open": column.open})
    return found.select(
        pl.when(pl.col("open")).then(pl.col("new")).otherwise(pl.col("old")).alias(series.name)
    ).to_series()
