"""Reading values as they are written in practice: full-width digits and letters, blanks around them, mixed case."""

from __future__ import annotations

import polars as pl

_WIDE = "[！-～　]"


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
