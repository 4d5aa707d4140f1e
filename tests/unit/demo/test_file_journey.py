"""Which two columns of a file the journey makes a table of."""

from __future__ import annotations

import datetime as dt

import pytest

from shuzha.catalog.model import (
    ColumnQuality,
    Element,
    ElementType,
    Entry,
    EntryDraft,
    EntryState,
    Receipt,
    Role,
    Title,
)
from shuzha.core.errors import Invalid
from shuzha.server.demo.file_journey import choose_columns

NOW = dt.datetime(2026, 3, 2, tzinfo=dt.UTC)


def taken_in(rows: int, *columns: tuple[str, int, Role]) -> tuple[Entry, Receipt]:
    elements = tuple(Element(name, Title(name, name), ElementType.TEXT, role) for name, _, role in columns)
    sheet = EntryDraft("CENSUS-1", "census", Title("c", "c"), "", elements)
    entry = Entry("ent_1", "CENSUS-1", "org_1", "acc_1", sheet, EntryState.PUBLISHED, NOW, NOW)
    quality = tuple(ColumnQuality(name, 0, distinct) for name, distinct, _ in columns)
    return entry, Receipt(rows, 0, rows, tuple(one[0] for one in columns), "h", 0, quality, NOW, 0.1)


def test_choose_takes_many_values_down_and_few_across():
    entry, receipt = taken_in(
        30_000, ("sex", 2, Role.PLAIN), ("age", 72, Role.QUASI), ("education", 16, Role.QUASI), ("race", 5, Role.PLAIN)
    )
    assert choose_columns(entry, receipt) == ("education", "sex")


def test_choose_leaves_out_what_names_somebody_and_what_says_nothing():
    entry, receipt = taken_in(
        5_000, ("phone", 20, Role.DIRECT), ("note", 20, Role.FREE_TEXT), ("country", 1, Role.PLAIN),
        ("kind", 4, Role.PLAIN), ("town", 6, Role.QUASI),
    )  # fmt: skip
    assert choose_columns(entry, receipt) == ("town", "kind")


def test_choose_prefers_cells_with_room_in_a_small_file():
    entry, receipt = taken_in(300, ("a", 2, Role.PLAIN), ("b", 5, Role.PLAIN), ("c", 20, Role.PLAIN))
    assert choose_columns(entry, receipt) == ("b", "a")


def test_choose_refuses_a_file_without_two_columns_of_few_values():
    entry, receipt = taken_in(900, ("sex", 2, Role.PLAIN), ("serial", 900, Role.PLAIN))
    with pytest.raises(Invalid, match="two columns"):
        choose_columns(entry, receipt)
