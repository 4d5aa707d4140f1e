"""Check digits against published examples, and the properties a check digit promises."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from desensitize.errors import InvalidInput
from desensitize.identifiers import check_digits as ids


def test_accept_published_resident_ids() -> None:
    assert ids.is_resident_id("11010519491231002X")
    assert ids.is_resident_id("11010519491231002x")
    assert ids.is_resident_id("440524188001010014")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1101051949123100",
        "110105194912310021",
        "110105194913310029",
        "110105194902300024",
        "１10105194912310021",
        "99x",
    ],
)
def test_refuse_resident_id_of_wrong_digit_date_or_form(text: str) -> None:
    assert not ids.is_resident_id(text)


@pytest.mark.parametrize("area", ["810000", "820000", "830000", "915600"])
def test_accept_permits_that_share_the_form(area: str) -> None:
    body = area + "19800229" + "001"
    assert ids.is_resident_id(body + ids.resident_id_check_digit(body))


def test_accept_legacy_fifteen_digits_with_a_real_date_only() -> None:
    assert ids.is_resident_id_15("110105491231002")
    assert not ids.is_resident_id_15("110105491331002")


def test_accept_published_credit_code_and_refuse_one_changed_character() -> None:
    assert ids.is_uscc("91110000600037341L")
    assert not ids.is_uscc("91110000600037342L")
    assert not ids.is_uscc("9111000060003734IL")


def test_accept_luhn_numbers_of_sixteen_and_nineteen_digits() -> None:
    assert ids.is_luhn("4111111111111111")
    assert ids.is_luhn("622202123456789012" + ids.luhn_digit("622202123456789012"))
    assert not ids.is_luhn("4111111111111112")


@pytest.mark.parametrize("make", [ids.resident_id_check_digit, ids.uscc_check_character, ids.luhn_digit])
def test_check_character_refuses_a_wrong_body_without_echoing_it(make: object) -> None:
    with pytest.raises(InvalidInput) as caught:
        make("SECRETZ")  # type: ignore[operator]
    assert "SECRETZ" not in str(caught.value)


@given(st.text("0123456789", min_size=17, max_size=17), st.integers(0, 16), st.integers(1, 9))
def test_resident_check_digit_finds_any_single_changed_digit(body: str, place: int, shift: int) -> None:
    changed = body[:place] + str((int(body[place]) + shift) % 10) + body[place + 1 :]
    assert ids.resident_id_check_digit(body) != ids.resident_id_check_digit(changed)


@given(st.text(ids.USCC_ALPHABET, min_size=17, max_size=17), st.integers(0, 16), st.integers(1, 30))
def test_credit_check_character_finds_any_single_changed_character(body: str, place: int, shift: int) -> None:
    other = ids.USCC_ALPHABET[(ids.USCC_ALPHABET.index(body[place]) + shift) % 31]
    assert ids.uscc_check_character(body) != ids.uscc_check_character(body[:place] + other + body[place + 1 :])
