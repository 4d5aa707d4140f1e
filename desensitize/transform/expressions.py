"""From techniques to polars expressions: one expression a column, nothing is run here.

What a technique cannot read (a date that is none, a value outside a table) becomes `*`, or null in a column of
numbers: it never passes unchanged. Null stays null everywhere.
"""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import polars as pl

from desensitize.errors import InvalidInput, InvalidPlan
from desensitize.hierarchy import ANY
from desensitize.tables import refuse_hidden
from desensitize.transform.divisions import generalize_addresses
from desensitize.transform.encryption import encrypt
from desensitize.transform.keys import SecretKey
from desensitize.transform.noise import add_noise
from desensitize.transform.plan import Plan
from desensitize.transform.pseudonyms import pseudonymize
from desensitize.transform.reading import narrow
from desensitize.transform.techniques import (
    Clip,
    Drop,
    Encrypt,
    GeneralizeAddress,
    GeneralizeAge,
    GeneralizeDate,
    GeneralizeNumber,
    GeneralizeRegion,
    GeneralizeTable,
    Keep,
    Mask,
    Noise,
    Pseudonymize,
    Redact,
    Round,
    Technique,
)

STARS = "****"
# Beyond this, adding half a step might wrap round; such numbers become null.
_LARGEST_ROUNDED = 2**62
_REGION_DIGITS = {"district": 6, "city": 4, "province": 2}
_CODE = r"^[0-9]{6}([0-9]{6}|[0-9]{9}|[0-9]{11}[0-9Xx])?$"


def build_expressions(plan: Plan, schema: Mapping[str, pl.DataType], key: SecretKey | None) -> list[pl.Expr]:
    """Return the expressions of the columns that the plan lets through, in the order of the table.

    Refuses columns unknown to plan or table, nested columns, a pseudonym without a key, and a technique that cannot
    read a column's type.
    """
    plan.check_columns(schema)
    refuse_hidden(schema)
    made = []
    for column, dtype in schema.items():
        if dtype.is_nested() or dtype in (pl.Object, pl.Binary):
            raise InvalidInput(
                f"column `{column}` is {dtype}; only text, numbers, dates and truth values can be released"
            )
        technique = plan.columns[column]
        if not isinstance(technique, Drop):
            made.append(_expression(technique, column, dtype, key).alias(column))
    return made


def _expression(technique: Technique, column: str, dtype: pl.DataType, key: SecretKey | None) -> pl.Expr:
    source = pl.col(column)
    if isinstance(technique, Keep):
        # An Enum's type lists every value, those of rows that are left out too.
        return source.cast(pl.String) if isinstance(dtype, pl.Enum) else source
    if dtype in (pl.Categorical, pl.Enum):
        source, dtype = source.cast(pl.String), pl.String()
    if isinstance(technique, Pseudonymize | Encrypt):
        return _keyed(technique, column, source, dtype, key)
    makers: dict[type[Any], Callable[[Any, pl.Expr, pl.DataType], pl.Expr]] = {
        Mask: _mask,
        GeneralizeRegion: _region,
        GeneralizeAddress: _address,
        GeneralizeDate: _date,
        GeneralizeNumber: _number,
        GeneralizeAge: partial(_age, column),
        GeneralizeTable: _table,
        Round: partial(_round, column),
        Clip: partial(_clip, column),
        Noise: partial(_noise, column),
        Redact: _redact,
    }
    return makers[type(technique)](technique, source, dtype)


def _keyed(
    technique: Pseudonymize | Encrypt, column: str, source: pl.Expr, dtype: pl.DataType, key: SecretKey | None
) -> pl.Expr:
    if key is None:
        raise InvalidPlan(f"column `{column}` is to {technique.technique}: a key is needed")
    if dtype.is_float() or dtype.is_decimal() or dtype == pl.Boolean:
        raise InvalidPlan(f"column `{column}` is {dtype}; pseudonyms are made of text, whole numbers or dates")
    if isinstance(technique, Pseudonymize):
        return pseudonymize(source.cast(pl.String), technique, key)
    if dtype.is_temporal():
        raise InvalidPlan(f"column `{column}` is {dtype}; encrypt takes text or whole numbers")
    return encrypt(source.cast(pl.String), technique, key)


def _or_any(source: pl.Expr, made: pl.Expr) -> pl.Expr:
    """Return `made`, with `*` where a value was there and nothing could be made of it."""
    return pl.when(source.is_not_null() & made.is_null()).then(pl.lit(ANY)).otherwise(made)


def _mask(technique: Mask, source: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    text = source if dtype == pl.String else source.cast(pl.String)
    parts = []
    if technique.keep_first:
        parts.append(text.str.head(technique.keep_first))
    parts.append(pl.lit(STARS))
    if technique.keep_last:
        parts.append(text.str.tail(technique.keep_last))
    long_enough = text.str.len_chars() > technique.keep_first + technique.keep_last
    masked = pl.when(long_enough).then(pl.concat_str(parts)).otherwise(pl.lit(STARS))
    return pl.when(text.is_null()).then(None).otherwise(masked)


def _region(technique: GeneralizeRegion, source: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    text = narrow(source).str.strip_chars() if dtype == pl.String else source.cast(pl.String)
    digits = _REGION_DIGITS[technique.level]
    made = pl.concat_str(text.str.head(digits), pl.lit("0" * (6 - digits)))
    return _or_any(text, pl.when(text.str.contains(_CODE)).then(made))


def _address(technique: GeneralizeAddress, source: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    text = source if dtype == pl.String else source.cast(pl.String)
    work = partial(generalize_addresses, level=technique.level, home=technique.home, code=technique.code)
    return _or_any(text, text.map_batches(work, return_dtype=pl.String, is_elementwise=True))


def _as_day(source: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    if dtype == pl.Date or isinstance(dtype, pl.Datetime):
        return source.cast(pl.Date)
    text = (narrow(source) if dtype == pl.String else source.cast(pl.String)).str.strip_chars().str.head(10)
    forms = ("%Y-%m-%d", "%Y/%m/%d", "%Y%m%d")
    return pl.coalesce(text.str.to_date(form, strict=False, exact=True) for form in forms)


def _date(technique: GeneralizeDate, source: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    day = _as_day(source, dtype)
    year = day.dt.year()
    made = {
        "month": day.dt.strftime("%Y-%m"),
        "quarter": pl.format("{}-Q{}", year, day.dt.quarter()),
        "year": year.cast(pl.String),
        "decade": pl.format("{}s", year // 10 * 10),
    }[technique.level]
    return _or_any(source, made)


def _as_number(source: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    if dtype == pl.String:
        source = narrow(source).str.strip_chars()
    number = source if dtype.is_numeric() and not dtype.is_decimal() else source.cast(pl.Float64, strict=False)
    return pl.when(number.is_finite()).then(number) if dtype.is_float() or not dtype.is_numeric() else number


def _number(technique: GeneralizeNumber, source: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    number = _as_number(source, dtype).cast(pl.Float64)
    if technique.edges:
        return _or_any(source, _bands(number, technique.edges))
    low = ((number - technique.origin) / technique.width).floor() * technique.width + technique.origin
    high = low + technique.width
    if float(technique.width).is_integer() and float(technique.origin).is_integer():
        low, high = low.cast(pl.Int64, strict=False), high.cast(pl.Int64, strict=False)
    else:
        low, high = low.round(9), high.round(9)
    return _or_any(source, pl.format("[{},{})", low, high))


def _bands(number: pl.Expr, edges: tuple[float, ...]) -> pl.Expr:
    named = [str(int(edge)) if float(edge).is_integer() else repr(edge) for edge in edges]
    inner = [f"[{low},{high})" for low, high in itertools.pairwise(named)]
    labels = [f"<{named[0]}", *inner, f">={named[-1]}"]
    return number.cut(list(edges), labels=labels, left_closed=True).cast(pl.String)


def _age(column: str, technique: GeneralizeAge, source: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    if not technique.on:
        if dtype == pl.Date or isinstance(dtype, pl.Datetime):
            raise InvalidPlan(f"column `{column}` holds dates: an age band needs the day `on` which ages are taken")
        return _or_any(source, _bands(_as_number(source, dtype).cast(pl.Float64), technique.edges))
    on = dt.date.fromisoformat(technique.on)
    born = _as_day(source, dtype)
    before = (born.dt.month() > on.month) | ((born.dt.month() == on.month) & (born.dt.day() > on.day))
    age = pl.lit(on.year) - born.dt.year() - before.cast(pl.Int32)
    return _or_any(source, _bands(age.cast(pl.Float64), technique.edges))


def _table(technique: GeneralizeTable, source: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    text = source if dtype == pl.String else source.cast(pl.String)
    old = [row[0] for row in technique.rows]
    new = [row[technique.level] for row in technique.rows]
    return _or_any(source, text.replace_strict(old, new, default=None, return_dtype=pl.String))


def _need_numbers(column: str, dtype: pl.DataType) -> None:
    if dtype.is_temporal() or dtype == pl.Boolean:
        raise InvalidPlan(f"column `{column}` is {dtype}; rounding, clipping and noise need numbers")


def _round(column: str, technique: Round, source: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    _need_numbers(column, dtype)
    number = _as_number(source, dtype)
    if dtype.is_integer() and float(technique.to).is_integer():
        to = int(technique.to)
        near = number.cast(pl.Int64, strict=False)
        near = pl.when(near.is_between(-_LARGEST_ROUNDED, _LARGEST_ROUNDED)).then(near)
        return ((near + to // 2) // to) * to
    return (number.cast(pl.Float64) / technique.to).round() * technique.to


def _clip(column: str, technique: Clip, source: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    _need_numbers(column, dtype)
    return _as_number(source, dtype).clip(technique.bottom, technique.top)


def _noise(column: str, technique: Noise, source: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    _need_numbers(column, dtype)
    return add_noise(_as_number(source, dtype), technique, whole=dtype.is_integer())


def _redact(technique: Redact, source: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    from desensitize.freetext.columns import redact_expression

    text = source.cast(pl.String) if dtype != pl.String else source
    return redact_expression(text, names=technique.names, caution=technique.caution)
