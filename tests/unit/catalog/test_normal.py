# ruff: noqa: DTZ001 (the lake keeps the city's wall time, without a zone)
import datetime as dt
from decimal import Decimal

import polars as pl
import pytest

from shuzha.catalog.model import ElementType
from shuzha.catalog.normal import normalise
from shuzha.core.errors import Invalid
from tests.catalog_kit import element

T = ElementType


def cast(kind, values, dtype=pl.String, **changes):
    dtype = dtype() if isinstance(dtype, type) else dtype
    column = element("c", kind, **changes)
    frame = pl.LazyFrame({"c": pl.Series(values, dtype=dtype)})
    return frame.select(normalise(column, dtype, "rows.csv")).collect(engine="streaming")["c"].to_list()


@pytest.mark.parametrize(
    ("kind", "written", "read"),
    [
        (T.TEXT, [" a ", "", "  ", None], ["a", None, None, None]),
        (T.INTEGER, ["1", " 2 ", "1.0", "x", "9223372036854775808"], [1, 2, None, None, None]),
        (T.DECIMAL, ["1.5", "-3", "1.555", "1e3"], [Decimal("1.50"), Decimal("-3.00"), None, None]),
        (T.NUMBER, ["1.5", "1e3", "nan", "inf", "x"], [1.5, 1000.0, None, None, None]),
        (
            T.DATE,
            ["2026-03-31", "2026/3/1", "20260331", "2026年3月31日", "2026-02-30", "31-03-2026", "2026-03-31 00:00"],
            [dt.date(2026, 3, 31), dt.date(2026, 3, 1), dt.date(2026, 3, 31), dt.date(2026, 3, 31), None, None, None],
        ),
        (
            T.DATETIME,
            ["2026-03-31 08:00", "2026/03/31T08:00:01.5", "2026-03-31T00:00:00Z", "2026-03-31 08:00:00+08:00", "x"],
            [
                dt.datetime(2026, 3, 31, 8), dt.datetime(2026, 3, 31, 8, 0, 1, 500_000),
                dt.datetime(2026, 3, 31, 8), dt.datetime(2026, 3, 31, 8), None,
            ],
        ),
        (T.BOOLEAN, ["true", "FALSE", "是", "0", "2"], [True, False, True, False, None]),
    ],
)  # fmt: skip
def test_normalise_reads_text(kind, written, read):
    assert cast(kind, written) == read


@pytest.mark.parametrize(
    ("kind", "values", "dtype", "read"),
    [
        (T.INTEGER, [1.0, 2.5], pl.Float64, [1, None]),
        (T.INTEGER, [2**63, 1], pl.UInt64, [None, 1]),
        (T.INTEGER, [2**100, 4], pl.Int128, [None, 4]),
        (T.DECIMAL, [1.25, 2.555], pl.Float64, [Decimal("1.25"), None]),
        (T.DATE, [dt.datetime(2026, 1, 1), dt.datetime(2026, 1, 1, 3)], pl.Datetime("ns"), [dt.date(2026, 1, 1), None]),
        (T.DATETIME, [dt.datetime(2026, 1, 1)], pl.Datetime("ms", "UTC"), [dt.datetime(2026, 1, 1, 8)]),
        (T.BOOLEAN, [0, 1, 2], pl.Int8, [False, True, None]),
        (T.TEXT, ["a", "b"], pl.Categorical, ["a", "b"]),
        (T.TEXT, ["a"], pl.Enum(["a", "b"]), ["a"]),
        (T.INTEGER, [None], pl.Null, [None]),
    ],
)
def test_normalise_converts_types_that_delta_would_not_take(kind, values, dtype, read):
    assert cast(kind, values, dtype) == read


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [(T.TEXT, pl.Time), (T.INTEGER, pl.Duration), (T.TEXT, pl.List(pl.Int64)), (T.TEXT, pl.Binary), (T.DATE, pl.Int64)],
)
def test_normalise_refuses_types_without_a_meaning_naming_the_column(kind, dtype):
    with pytest.raises(Invalid, match="column `c` has type"):
        cast(kind, [], dtype)
