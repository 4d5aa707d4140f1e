"""Casts columns to the types of the entry's elements, before anything reaches the lake.

Each cast turns what it cannot read into null; `ingest` compares null counts before and after and refuses the batch,
naming the column, the rule and the count. Delta's own casts are never used: their errors repeat the value.
"""

from __future__ import annotations

import polars as pl

from shuzha.catalog.model import Element, ElementType
from shuzha.core.clock import CITY_ZONE
from shuzha.core.errors import Invalid

ACCEPTED_FORMS = {
    ElementType.TEXT: "any text",
    ElementType.INTEGER: "whole numbers that fit 64 bits",
    ElementType.DECIMAL: "decimal numbers with at most the element's scale of places",
    ElementType.NUMBER: "finite decimal or scientific numbers",
    ElementType.DATE: "2026-03-31, 2026/3/31, 20260331 or 2026年3月31日",
    ElementType.DATETIME: "2026-03-31 08:00[:00[.000000]], T instead of the blank, with or without a UTC offset",
    ElementType.BOOLEAN: "true/false, 1/0, yes/no, 是/否",
}
_WORDS = {"true": True, "false": False, "1": True, "0": False, "yes": True, "no": False, "t": True, "f": False,
          "y": True, "n": False, "是": True, "否": False}  # fmt: skip
_DECIMAL_DIGITS = 38


def target_type(element: Element) -> pl.DataType:
    """Return the type that the element's column has in the lake."""
    match element.type:
        case ElementType.INTEGER:
            return pl.Int64()
        case ElementType.DECIMAL:
            return pl.Decimal(_DECIMAL_DIGITS, element.scale)
        case ElementType.NUMBER:
            return pl.Float64()
        case ElementType.DATE:
            return pl.Date()
        case ElementType.DATETIME:
            return pl.Datetime("us")
        case ElementType.BOOLEAN:
            return pl.Boolean()
        case ElementType.TEXT:
            return pl.String()


def normalise(element: Element, found: pl.DataType, file_name: str) -> pl.Expr:
    """Return the expression that makes the column its element's type; refuses a column type that cannot become it.

    Text loses blanks around it, and empty text is null. Moments with an offset become the city's wall time.
    """
    column = pl.col(element.name)
    if isinstance(found, pl.Null):
        return column.cast(target_type(element))
    if isinstance(found, pl.Categorical | pl.Enum):
        column, found = column.cast(pl.String), pl.String()
    if isinstance(found, pl.String):
        return _from_text(element, column)
    if not _fits(element.type, found):
        raise Invalid(
            f"{file_name}: column `{element.name}` has type {found.base_type()}, the entry says {element.type}",
            rule="batch.types", accepted=f"a column of {element.type}, or text: {ACCEPTED_FORMS[element.type]}",
        )  # fmt: skip
    return _from_typed(element, column, found)


def _fits(kind: ElementType, found: pl.DataType) -> bool:
    match kind:
        case ElementType.TEXT:
            return found.is_integer() or isinstance(found, pl.Boolean)
        case ElementType.INTEGER | ElementType.DECIMAL | ElementType.NUMBER:
            return found.is_numeric()
        case ElementType.DATE | ElementType.DATETIME:
            return isinstance(found, pl.Date | pl.Datetime)
        case ElementType.BOOLEAN:
            return isinstance(found, pl.Boolean) or found.is_integer()


def _from_typed(element: Element, column: pl.Expr, found: pl.DataType) -> pl.Expr:
    target = target_type(element)
    if isinstance(found, pl.Datetime) and found.time_zone:
        column = column.dt.convert_time_zone(str(CITY_ZONE)).dt.replace_time_zone(None)
    cast = column.cast(target, strict=False)
    match element.type:
        case ElementType.INTEGER if not found.is_integer():
            return _only(cast, cast.cast(found, strict=False) == column)
        case ElementType.DECIMAL if not found.is_integer():
            return _only(cast, (cast.cast(pl.Float64) - column.cast(pl.Float64)).abs() < 0.001 * 10.0**-element.scale)
        case ElementType.DATE if isinstance(found, pl.Datetime):
            return _only(cast, cast.cast(pl.Datetime("us")) == column)
        case ElementType.BOOLEAN if found.is_integer():
            return _only(cast, column.is_in([0, 1]))
        case ElementType.NUMBER:
            return _only(cast, cast.is_finite())
    return cast


def _only(cast: pl.Expr, condition: pl.Expr) -> pl.Expr:
    return pl.when(condition).then(cast)


def _from_text(element: Element, column: pl.Expr) -> pl.Expr:
    text = column.str.strip_chars()
    match element.type:
        case ElementType.TEXT:
            return pl.when(text != "").then(text)
        case ElementType.INTEGER:
            return text.cast(pl.Int64, strict=False)
        case ElementType.DECIMAL:
            whole = _DECIMAL_DIGITS - element.scale
            places = rf"(?:\.\d{{1,{element.scale}}})?" if element.scale else ""
            form = rf"^[+-]?\d{{1,{whole}}}{places}$"
            return _only(text, text.str.contains(form)).cast(target_type(element), strict=False)
        case ElementType.NUMBER:
            number = text.cast(pl.Float64, strict=False)
            return _only(number, number.is_finite())
        case ElementType.DATE:
            return _date(text)
        case ElementType.DATETIME:
            return _datetime(text)
        case ElementType.BOOLEAN:
            return text.str.to_lowercase().replace_strict(_WORDS, default=None, return_dtype=pl.Boolean)


def _date(text: pl.Expr) -> pl.Expr:
    plain = text.str.replace_all("[年月/]", "-").str.strip_suffix("日")
    compact = _only(plain, plain.str.contains(r"^\d{8}$"))
    dashed = _only(plain, plain.str.contains(r"^\d{4}-\d{1,2}-\d{1,2}$"))
    return pl.coalesce(dashed.str.to_date("%Y-%m-%d", strict=False), compact.str.to_date("%Y%m%d", strict=False))


def _datetime(text: pl.Expr) -> pl.Expr:
    plain = text.str.replace_all("/", "-").str.replace("T", " ").str.replace("Z$", "+00:00")
    offset = _only(plain, plain.str.contains(r"[+-]\d{2}:?\d{2}$") & plain.str.contains(":"))
    moment = offset.str.to_datetime("%Y-%m-%d %H:%M:%S%.f%z", time_unit="us", time_zone="UTC", strict=False)
    return pl.coalesce(
        plain.str.to_datetime("%Y-%m-%d %H:%M:%S%.f", time_unit="us", strict=False),
        plain.str.to_datetime("%Y-%m-%d %H:%M", time_unit="us", strict=False),
        moment.dt.convert_time_zone(str(CITY_ZONE)).dt.replace_time_zone(None),
    )
