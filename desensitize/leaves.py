"""Values as text: how cells of quasi-identifiers, and who a row is of, are written before they are compared."""

from __future__ import annotations

import polars as pl

from desensitize.errors import InvalidInput

_WIDE = "[！-～　]"
# What `normalize_text` would change.
_OTHER_FORM = r"^\s|\s$|\p{Changes_When_Uppercased}|" + _WIDE


def as_leaf(column: str, dtype: pl.DataType) -> pl.Expr:
    """Return the expression that writes a column's values as leaves (text; whole floats without their point).

    Refuses nested types.
    """
    expr = pl.col(column)
    if dtype.is_nested() or dtype == pl.Binary or dtype == pl.Object:
        raise InvalidInput(
            f"column `{column}` is {dtype}; a quasi-identifier is text, a number, a date or a truth value"
        )
    if dtype.is_float():
        # What no Int64 holds keeps its own text: as null it would pass for a member of the class of nulls.
        whole = pl.when(expr.is_finite() & (expr.round() == expr)).then(expr.cast(pl.Int64, strict=False))
        return pl.coalesce(whole.cast(pl.String), expr.cast(pl.String)).alias(column)
    return expr.cast(pl.String)


def as_entity(column: str, dtype: pl.DataType) -> pl.Expr:
    """Return the expression that says whose a row is: text in one form, so `11x`, `１１X` and ` 11X` are one person.

    Two people whose names differ by case alone count as one: fewer people in a class, never more.
    """
    if dtype not in (pl.String, pl.Categorical, pl.Enum):
        return pl.col(column)
    return pl.col(column).cast(pl.String).map_batches(_in_one_form, return_dtype=pl.String, is_elementwise=True)


def _in_one_form(values: pl.Series) -> pl.Series:
    # Most columns are in it, and looking is faster than changing.
    if not values.str.contains(_OTHER_FORM).any():
        return values
    return values.to_frame("v").select(normalize_text(pl.col("v")).alias(values.name)).to_series()


def narrow(expr: pl.Expr) -> pl.Expr:
    """Return the text with full-width characters (`１３８`, `Ｘ`, `－`) as their plain forms; the rest unchanged."""
    return expr.map_batches(_narrow, return_dtype=pl.String, is_elementwise=True)


def normalize_text(expr: pl.Expr) -> pl.Expr:
    """Return the text narrow, without blanks around it, and with its letters in upper case."""
    return narrow(expr).str.strip_chars().str.to_uppercase()


def _narrow(values: pl.Series) -> pl.Series:
    # Most columns hold none, and looking is ten times as fast as changing.
    if not values.str.contains(_WIDE).any():
        return values
    plain = [chr(code) for code in range(0x21, 0x7F)] + [" "]
    wide = [chr(code + 0xFEE0) for code in range(0x21, 0x7F)] + ["\u3000"]
    return values.str.replace_many(wide, plain)
