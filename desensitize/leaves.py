"""Values as text: how cells of quasi-identifiers, and who a row is of, are written before they are compared."""

from __future__ import annotations

import polars as pl

from desensitize.errors import InvalidInput

_WIDE = "[！-～　]"
# Characters that nobody sees (soft hyphens, joiners, marks of direction, variation selectors, a mark of byte order):
# copied along from a web page or put in on purpose, they make two of what reads as one. A class for Rust and Python.
INVISIBLE = (
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U000e0000-\U000e0fff]"
)
_UNPLAIN = f"{_WIDE}|{INVISIBLE}"
# A resident ID in its parts, as forms print it.
_APART = r"^([1-9][0-9]{5})[ -]?([0-9]{4})[ -]?([0-9]{4})[ -]?([0-9]{3}[0-9X])$"
# What `normalize_text` would change.
_OTHER_FORM = rf"^\s|\s$|\p{{Changes_When_Uppercased}}|^(?:[0-9]{{6}}|[0-9]{{10}}|[0-9]{{14}})[ -]|{_UNPLAIN}"


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
    return normalize_text(pl.col(column).cast(pl.String))


def narrow(expr: pl.Expr) -> pl.Expr:
    """Return the text with full-width characters (`１３８`, `Ｘ`, `－`) as their plain forms, and no invisible ones."""
    return expr.map_batches(_narrow, return_dtype=pl.String, is_elementwise=True)


def normalize_text(expr: pl.Expr) -> pl.Expr:
    """Return the text narrow, without blanks around it, letters in upper case, the parts of a resident ID in one."""
    return expr.map_batches(_in_one_form, return_dtype=pl.String, is_elementwise=True)


def drop_invisible(values: pl.Series) -> pl.Series:
    """Return the texts without invisible characters, which may stand in the middle of a number or name."""
    # A column of ASCII is told by its lengths, and looking is faster than changing.
    if values.str.len_bytes().sum() == values.str.len_chars().sum() or not values.str.contains(INVISIBLE).any():
        return values
    return values.str.replace_all(INVISIBLE, "")


def _in_one_form(values: pl.Series) -> pl.Series:
    # Most columns are in it, and looking is faster than changing.
    if not values.str.contains(_OTHER_FORM).any():
        return values
    return _narrow(values).str.strip_chars().str.to_uppercase().str.replace(_APART, "$1$2$3$4")


def _narrow(values: pl.Series) -> pl.Series:
    # Most columns hold none, and looking is ten times as fast as changing.
    if not values.str.contains(_UNPLAIN).any():
        return values
    plain = [chr(code) for code in range(0x21, 0x7F)] + [" "]
    wide = [chr(code + 0xFEE0) for code in range(0x21, 0x7F)] + ["\u3000"]
    return drop_invisible(values).str.replace_many(wide, plain)
