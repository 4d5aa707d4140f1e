"""The forms in which a value of an export is compared with one of a release, and which a column may have."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

import numpy as np
import polars as pl

_SEED: Final = 20_261
_NOISE: Final = r"[\s\-_/.,:;'\"|]"
_DAY: Final = r"^\d{4}[-/.年]?\d{1,2}[-/.月]?\d{1,2}日?(?:[T ].*)?$"
_DIGITS: Final = 6
_MOST: Final = 0.995
_SAMPLE: Final = 20_000
_LONGEST: Final = 18


class Kind(StrEnum):
    """How values are compared."""

    TEXT = "text"
    PREFIX = "prefix"
    ROUNDED = "rounded"
    CUT = "cut"
    DIGITS = "digits"
    DAY = "day"


@dataclass(frozen=True, slots=True)
class Form:
    """One way to compare: text (without case, blanks and marks), its first letters, a grid, digits, a day.

    Text of a release that is tidy as it is needs no tidying.
    """

    kind: Kind
    size: float = 0.0
    tidy: bool = True

    def fits(self, dtype: pl.DataType) -> bool:
        """Say whether a column of this type has values in this form."""
        if self.kind in (Kind.TEXT, Kind.PREFIX):
            return dtype in (pl.String, pl.Boolean, pl.Categorical, pl.Enum)
        if self.kind is Kind.DAY:
            return dtype in (pl.Date, pl.Datetime)
        return dtype.is_numeric()

    def tidied(self) -> Form:
        """Return the form as it is used on an export, which is always tidied."""
        return replace(self, tidy=True)

    def key(self, column: pl.Expr, dtype: pl.DataType) -> pl.Expr:
        """Return the expression of 64 bits that is equal where values are equal in this form; null stays null."""
        return pl.when(column.is_not_null()).then(self._value(column, dtype).hash(_SEED))

    def plain(self, column: pl.Expr, dtype: pl.DataType) -> pl.Expr:
        """Return the same for a joint key, where nothing equals nothing."""
        return self._value(column, dtype).hash(_SEED)

    def _value(self, column: pl.Expr, dtype: pl.DataType) -> pl.Expr:
        match self.kind:
            case Kind.TEXT | Kind.PREFIX:
                text = column.cast(pl.String).str.to_lowercase()
                text = text.str.normalize("NFKC").str.replace_all(_NOISE, "") if self.tidy else text
                return text.str.slice(0, int(self.size)) if self.kind is Kind.PREFIX else text
            case Kind.DAY:
                return as_day(column, dtype).to_physical().cast(pl.Int64)
            case Kind.DIGITS:
                return column.cast(pl.Float64).round_sig_figs(int(self.size)) + 0.0
            case _:
                number = column.cast(pl.Float64)
                number = number.round_sig_figs(_DIGITS) if dtype.is_float() or dtype.is_decimal() else number
                steps = number / self.size
                placed = (steps + 0.5).floor() if self.kind is Kind.ROUNDED else (steps + 1e-6).floor()
                return placed.cast(pl.Int64, strict=False)


def as_day(column: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """Return the days of a column of dates, moments or text that names days."""
    if dtype in (pl.Date, pl.Datetime):
        return column.cast(pl.Date)
    digits = column.cast(pl.String).str.replace_all(r"[年月/.]", "-").str.replace_all("日", "").str.slice(0, 10)
    return pl.coalesce(digits.str.to_date("%Y-%m-%d", strict=False), digits.str.to_date("%Y%m%d", strict=False))


def forms_of(column: pl.Series) -> tuple[Form, ...]:
    """Return the forms in which a column of an export may hold values of a release, the likeliest first."""
    known = column.drop_nulls().unique().head(_SAMPLE)
    if not len(known):
        return ()
    if known.dtype.is_numeric():
        return (*_numbers(known), *((Form(Kind.TEXT),) if known.dtype.is_integer() else ()), *_days(known))
    if known.dtype in (pl.Date, pl.Datetime):
        return (Form(Kind.DAY),)
    text = known.cast(pl.String)
    lengths = text.str.len_chars().unique()
    whole = lengths.item() if len(lengths) == 1 else 0
    prefix = (Form(Kind.PREFIX, whole),) if 4 <= whole <= 64 else ()
    return (Form(Kind.TEXT), *_days(text), *prefix)


def can_skip_tidying(column: pl.Series) -> bool:
    """Say whether a sample of a release's text has nothing that a tidy form takes away."""
    text = column.drop_nulls().cast(pl.String).unique()
    odd = text.str.contains(_NOISE) | (text != text.str.normalize("NFKC"))
    return not bool(odd.any())


def _days(known: pl.Series) -> tuple[Form, ...]:
    text = known.cast(pl.String)
    if float(text.str.contains(_DAY).mean() or 0.0) < _MOST:  # type: ignore[arg-type]
        return ()
    read = text.to_frame("c").select(as_day(pl.col("c"), pl.String()))["c"]
    return (Form(Kind.DAY),) if len(read) - read.null_count() > _MOST * len(read) else ()


def _numbers(known: pl.Series) -> tuple[Form, ...]:
    """Return the coarsest grid on which the numbers lie, rounded and cut off, and the fewest digits that they have."""
    values = known.cast(pl.Float64).to_numpy()
    grid = _grid(values)
    forms = [] if grid is None else [Form(Kind.ROUNDED, grid), Form(Kind.CUT, grid)]
    digits = _digits(known.cast(pl.Float64))
    return (*forms, Form(Kind.DIGITS, digits)) if digits else tuple(forms)


def _grid(values: np.ndarray) -> float | None:
    largest = float(np.abs(values).max())
    top = math.floor(math.log10(largest)) if largest else 0
    for power in range(min(top, 12), -7, -1):
        for base in (5, 2, 1):
            size = base * 10.0**power
            steps = values / size
            if float(np.mean(np.abs(steps - np.rint(steps)) < 1e-6)) >= _MOST:
                return size
    return None


def _digits(values: pl.Series) -> int:
    for digits in range(1, _DIGITS + 1):
        if float((values.round_sig_figs(digits) == values).mean() or 0.0) >= _MOST:  # type: ignore[arg-type]
            return digits
    return 0


SEPARATORS: Final = ("|", ";", ",", "\t", "~", "^", "#", "/", ":", "_", "-", " ", "，", "；", "、")


def split_columns(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the export with columns that hold several values between separators taken apart, beside themselves."""
    made = []
    for column in frame.iter_columns():
        if column.dtype != pl.String:
            continue
        known = column.drop_nulls().unique().head(_SAMPLE)
        for mark in SEPARATORS:
            counts = known.str.count_matches(re.escape(mark), literal=False)
            parts = int(counts.mode().max() or 0) if len(counts) else 0  # type: ignore[arg-type]
            if 1 <= parts <= 40 and float((counts == parts).mean() or 0.0) >= 0.9:  # type: ignore[arg-type]
                pieces = column.str.split(mark)
                made += [_typed(pieces.list.get(place, null_on_oob=True).alias(f"{column.name}/{place + 1}"))
                         for place in range(parts + 1)]  # fmt: skip
                break
    return frame.with_columns(made) if made else frame


def typed(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the export with columns of text as numbers where they are all numbers without leading zeros."""
    return frame.with_columns(_typed(column) for column in frame.iter_columns() if column.dtype == pl.String)


def _typed(column: pl.Series) -> pl.Series:
    """Return a column of text as numbers where it is all numbers."""
    text = column.str.strip_chars()
    whole = text.cast(pl.Int64, strict=False)
    if column.null_count() == len(column) or int(column.str.len_chars().max() or 0) > _LONGEST:  # type: ignore[arg-type]
        return column
    if whole.null_count() == column.null_count() and not bool(text.str.contains(r"^0\d").any()):
        return whole
    number = text.cast(pl.Float64, strict=False)
    return number if number.null_count() == column.null_count() else text
