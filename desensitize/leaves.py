"""Values as text: the one way in which the cells of a quasi-identifier are written before they are compared."""

from __future__ import annotations

import polars as pl

from desensitize.errors import InvalidInput


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
