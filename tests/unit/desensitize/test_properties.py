"""Whatever a table holds: what is transformed names nobody directly, keeps its nulls, and never passes unread."""

from __future__ import annotations

import datetime as dt
import random
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import desensitize
from desensitize import Plan
from desensitize.identifiers.check_digits import luhn_digit, resident_id_check_digit

KEY = bytes(range(32))
TECHNIQUES: list[dict[str, Any]] = [
    {"technique": "mask", "keep_first": 2, "keep_last": 2},
    {"technique": "pseudonymize", "normalize": True},
    {"technique": "encrypt"},
    {"technique": "encrypt", "keep_first": 6, "check": "resident-id", "normalize": True},
    {"technique": "generalize", "kind": "region", "level": "city"},
    {"technique": "generalize", "kind": "address", "level": "city"},
    {"technique": "generalize", "kind": "date", "level": "year"},
    {"technique": "generalize", "kind": "number", "width": 10},
    {"technique": "generalize", "kind": "age", "on": "2026-01-01"},
    {"technique": "round", "to": 10},
    {"technique": "clip", "bottom": 0, "top": 10},
    {"technique": "noise", "scale": 3},
]
# Text as files hold it: broken encodings read as something else, controls, full width, astral and combining characters.
MESSY = st.text(max_size=20) | st.sampled_from(
    ["�", "ÕÅÈý", "锟斤拷", "\ufeff1", "１３８００１３８０００", "1\u0301", "𠮷野家", "\x00", "9" * 400, "-0", "1e999",
     "0001-01-01", "9999-12-31", "10000-01-01", "2023-02-30", "1900/02/29", "99999999"]
)  # fmt: skip


def _apply(frame: pl.DataFrame, options: dict[str, Any]) -> pl.Series:
    plan = Plan.from_dict({"columns": {"c": options}})
    return desensitize.apply(frame, plan, key=KEY).frame.collect()["c"]


@pytest.mark.parametrize("options", TECHNIQUES)
@given(values=st.lists(MESSY | st.none(), max_size=12))
@settings(max_examples=25, deadline=None)
def test_transform_takes_any_text_and_keeps_its_nulls(options: dict[str, Any], values: list[str | None]) -> None:
    made = _apply(pl.DataFrame({"c": pl.Series(values, dtype=pl.String)}), options)
    assert len(made) == len(values)
    if made.dtype == pl.String:
        assert [cell is None for cell in made] == [value is None for value in values]
    else:
        assert all(cell is None for cell, value in zip(made, values, strict=True) if value is None)


@pytest.mark.parametrize(
    "options", [each for each in TECHNIQUES if each.get("kind") not in ("region", "address", "age")]
)
@pytest.mark.parametrize("rows", [[], [None], [None, None], [7], [2**63 - 1, -(2**63), 0, None]])
def test_transform_takes_small_and_extreme_columns_of_numbers(options: dict[str, Any], rows: list[int | None]) -> None:
    assert len(_apply(pl.DataFrame({"c": pl.Series(rows, dtype=pl.Int64)}), options)) == len(rows)


@given(days=st.lists(st.dates() | st.none(), max_size=10))
@settings(deadline=None)
def test_generalize_takes_dates_out_of_any_range(days: list[dt.date | None]) -> None:
    made = _apply(pl.DataFrame({"c": pl.Series(days, dtype=pl.Date)}), {"technique": "generalize", "kind": "date"})
    assert made.to_list() == [None if day is None else str(day.year) for day in days]


@pytest.mark.slow
def test_transform_takes_a_million_categories() -> None:
    frame = pl.DataFrame({"c": [str(n) for n in range(1_000_000)]}).with_columns(pl.col("c").cast(pl.Categorical))
    assert _apply(frame, {"technique": "pseudonymize"}).n_unique() == 1_000_000


def _people(seed: int, rows: int) -> pl.DataFrame:
    chance = random.Random(seed)
    people = []
    for _ in range(rows):
        day = dt.date(1940, 1, 1) + dt.timedelta(days=chance.randrange(25_000))
        body = f"{chance.choice(['330106', '110105', '440305'])}{day:%Y%m%d}{chance.randrange(1000):03}"
        card = f"622202{chance.randrange(10**12):012}"
        people.append(
            (body + resident_id_check_digit(body), f"138{chance.randrange(10**8):08}", card + luhn_digit(card))
        )
    return pl.DataFrame(people, schema=["身份证号", "手机号", "银行卡号"], orient="row")


@given(seed=st.integers(0, 10**6), rows=st.integers(20, 60))
@settings(max_examples=8, deadline=None)
def test_scan_finds_no_direct_identifier_after_transform(seed: int, rows: int) -> None:
    people = _people(seed, rows)
    assert [each.role for each in desensitize.scan(people).columns] == ["direct"] * 3
    ways: list[dict[str, Any]] = [{"technique": "pseudonymize"}, {"technique": "mask", "keep_first": 3}]
    for way in ways:
        plan = Plan.from_dict({"columns": dict.fromkeys(people.columns, way)})
        made = desensitize.apply(people, plan, key=KEY).frame.collect()
        # Names of columns are evidence of their own, so the values are scanned under plain ones.
        found = desensitize.scan(made.rename(dict(zip(made.columns, "abc", strict=True))))
        assert [each.role for each in found.columns if each.role == "direct"] == []


@given(seed=st.integers(0, 10**6), rows=st.integers(1, 60))
@settings(max_examples=15, deadline=None)
def test_encrypted_identifiers_keep_their_form_and_no_cell_its_value(seed: int, rows: int) -> None:
    people = _people(seed, rows)
    plan = Plan.from_dict(
        {
            "columns": {
                "身份证号": {"technique": "encrypt", "keep_first": 6, "check": "resident-id"},
                "手机号": {"technique": "encrypt", "keep_first": 3},
                "银行卡号": {"technique": "encrypt", "keep_first": 6, "check": "luhn"},
            }
        }
    )
    made = desensitize.apply(people, plan, key=KEY).frame.collect()
    for column in people.columns:
        assert (made[column] == people[column]).sum() == 0
        assert "*" not in made[column]
        assert made[column].str.len_chars().equals(people[column].str.len_chars())
