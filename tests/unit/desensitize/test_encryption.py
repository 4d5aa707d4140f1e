"""Format-preserving encryption of columns: nothing unchanged, formats kept, and back with the key."""

from __future__ import annotations

import itertools
import re
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import desensitize
from desensitize import InvalidInput, InvalidPlan, Plan
from desensitize.identifiers.check_digits import is_luhn, resident_id_check_digit
from desensitize.transform.encryption import decrypt_column
from desensitize.transform.ff1 import FF1
from desensitize.transform.keys import SecretKey
from desensitize.transform.techniques import Encrypt

KEY = bytes(range(32))
CARD = {"keep_first": 6, "check": "luhn"}
PERSON = {"keep_first": 6, "check": "resident-id"}


def _encrypt(values: list[Any], key: bytes = KEY, **options: Any) -> list[str | None]:
    plan = Plan.from_dict({"columns": {"c": {"technique": "encrypt", **options}}})
    return desensitize.apply(pl.DataFrame({"c": values}), plan, key=key).frame.collect()["c"].to_list()


def _back(values: list[str | None], key: bytes = KEY, **options: Any) -> list[str | None]:
    return decrypt_column(pl.Series(values, dtype=pl.String), Encrypt(**options), key).to_list()


@pytest.mark.parametrize(
    ("options", "values", "form"),
    [
        ({}, ["13800138000", "13800138001", "00000000000"], r"\d{11}"),
        ({"keep_first": 3}, ["13800138000", "13900138000"], r"13[89]\d{8}"),
        ({"keep_last": 4}, ["62220212345", "62220202345"], r"\d{7}2345"),
        ({"alphabet": "alphanumeric"}, ["A12345", "91110000600037341L"], r"[0-9A-Z]+"),
        ({"alphabet": "alphanumeric", "keep_first": 1}, ["浙A12345", "京AD12345"], r"[浙京][0-9A-Z]{6,7}"),
        ({"alphabet": "hexadecimal"}, ["00deadbeef"], r"[0-9a-f]{10}"),
        ({"alphabet": "AaBbCcDd"}, ["aAbBcCdDaA"], r"[AaBbCcDd]{10}"),
        (CARD, ["6222021234567890128", "4111111111111111"], r"(622202\d{13}|411111\d{10})"),
        (PERSON, ["11010519491231002X", "440524188001010014"], r"\d{17}[0-9X]"),
    ],
)
def test_encrypt_keeps_the_format_and_comes_back(options: dict[str, Any], values: list[str], form: str) -> None:
    made = _encrypt(values, **options)
    assert all(re.fullmatch(form, str(cell)) for cell in made)
    assert [len(str(cell)) for cell in made] == [len(value) for value in values]
    assert not set(made) & set(values)
    assert _back(made, **options) == values
    assert _encrypt(values, key=b"k" * 32, **options) != made
    assert _encrypt(values, domain="other", **options) != made


def test_encrypt_keeps_check_digits_right_and_wrong_ones_wrong() -> None:
    cards = _encrypt(["4111111111111111", "4111111111111112"], **CARD)
    assert [is_luhn(str(card)) for card in cards] == [True, False]
    people = _encrypt(["11010519491231002X", "110105194912310021"], **PERSON)
    assert [resident_id_check_digit(str(person)[:17]) == str(person)[17] for person in people] == [True, False]
    assert _back(cards, **CARD) == ["4111111111111111", "4111111111111112"]
    assert _back(people, **PERSON) == ["11010519491231002X", "110105194912310021"]


@pytest.mark.parametrize(
    ("options", "values"),
    [
        ({}, ["12345", "abcdef", "１３８００１３８０００", "138 0013 8000", "", "中文中文", "1" * 37]),
        ({"keep_first": 3, "keep_last": 4}, ["13800138000", "1380013", "138", ""]),
        ({"keep_first": 3}, ["浙13800138000张"]),
        ({"alphabet": "alphanumeric"}, ["abcdef", "浙A12345"]),
        (CARD, ["411111111111111a", "62220212345"]),
        (PERSON, ["11010519490231002X", "11010520991331002X", "110105491231002", "abcdef19491231002X"]),
        (PERSON, ["110105184912310029", "110105210001010021", "11010519491231002Y"]),
    ],
)
def test_encrypt_lets_nothing_pass_that_does_not_fit(options: dict[str, Any], values: list[str]) -> None:
    assert _encrypt(values, **options) == ["*"] * len(values)
    assert _back(["*", None], **options) == ["*", None]


def test_encrypt_reads_full_width_and_lower_case_where_the_plan_says_so() -> None:
    assert _encrypt(["１３８００１３８０００", " 13800138000 "], normalize=True) == _encrypt(["13800138000"] * 2)
    assert _encrypt(["１１０１０５１９４９１２３１００２ｘ"], normalize=True, **PERSON) == _encrypt(
        ["11010519491231002X"], **PERSON
    )


@pytest.mark.slow
def test_encrypt_is_one_to_one_on_a_whole_domain_and_leaves_no_value() -> None:
    # All 1,048,576 values of twenty bits: FF1 alone leaves about one of them as it was.
    values = [f"{number:020b}" for number in range(2**20)]
    made = _encrypt(values, alphabet="01")
    assert len(set(made)) == len(values)
    assert not any(itertools.starmap(str.__eq__, zip(values, made, strict=True)))


def test_encrypt_moves_the_values_that_ff1_leaves() -> None:
    every = np.arange(10**6, dtype=np.uint64)
    halves = every // np.uint64(1000), every % np.uint64(1000)
    for number in range(20):
        key = bytes([number]) * 32
        one, two = FF1(SecretKey(key).derive("encrypt", "ff1"), 10).encrypt(*halves, 6)
        fixed = np.flatnonzero((one == halves[0]) & (two == halves[1]))
        if len(fixed):
            break
    chosen = [f"{place:06}" for place in {*fixed, *(fixed ^ 1)}]
    assert chosen
    made = _encrypt(chosen, key=key)
    assert not any(one == two for one, two in zip(chosen, made, strict=True))
    assert len(set(made)) == len(chosen)
    assert _back(made, key=key) == chosen


@given(
    st.lists(st.text("0123456789xX- １张", max_size=20) | st.none(), max_size=30), st.sampled_from([{}, CARD, PERSON])
)
@settings(deadline=None)
def test_encrypt_leaves_no_cell_as_it_was(values: list[str | None], options: dict[str, Any]) -> None:
    made = _encrypt(pl.Series(values, dtype=pl.String), **options)  # type: ignore[arg-type]
    assert [cell is None for cell in made] == [value is None for value in values]
    assert not any(cell == value for cell, value in zip(made, values, strict=True) if value is not None)


def test_encrypt_takes_whole_numbers() -> None:
    made = _encrypt([13800138000, None])
    assert made[1] is None
    assert _back(made) == ["13800138000", None]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"alphabet": "abc"}, "even number of different ASCII"),
        ({"alphabet": "aabb"}, "even number of different ASCII"),
        ({"alphabet": "张三李四"}, "even number of different ASCII"),
        ({"check": "mod97"}, "luhn, resident-id"),
        ({"check": "luhn", "keep_last": 1}, "leave out alphabet and keep_last"),
        ({"check": "resident-id"}, "give keep_first = 6"),
        ({"keep_first": -1}, "cannot be negative"),
    ],
)
def test_plan_refuses_an_encryption_it_cannot_carry_out(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidPlan, match=words):
        Plan.from_dict({"columns": {"c": {"technique": "encrypt", **options}}})


def test_encrypt_refuses_columns_and_keys_it_cannot_use() -> None:
    plan = Plan.from_dict({"columns": {"c": "encrypt"}})
    with pytest.raises(InvalidPlan, match="column `c` is to encrypt: a key is needed"):
        desensitize.apply(pl.DataFrame({"c": ["1"]}), plan)
    with pytest.raises(InvalidPlan, match="encrypt takes text or whole numbers"):
        desensitize.apply(pl.DataFrame({"c": ["2020-01-01"]}).with_columns(pl.col("c").str.to_date()), plan, key=KEY)
    with pytest.raises(InvalidPlan, match="Float64"):
        desensitize.apply(pl.DataFrame({"c": [1.5]}), plan, key=KEY)
    with pytest.raises(InvalidInput, match="encrypted cells are text"):
        decrypt_column(pl.Series("c", [1]), Encrypt(), KEY)
