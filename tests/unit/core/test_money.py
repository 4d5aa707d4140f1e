"""Sums are exact, a line is rounded once, and a split always adds up."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shuzha.core.errors import Invalid
from shuzha.core.money import Amount, Price, line_amount, split

WEIGHTS = st.dictionaries(st.text("abcdefg", min_size=1, max_size=3), st.integers(0, 10_000), min_size=1, max_size=7)


@given(st.integers(-(10**12), 10**12), WEIGHTS.filter(lambda weights: any(weights.values())))
def test_split_sums_to_the_whole_and_strays_less_than_a_fen(fen, weights):
    parts = split(Amount(fen), weights)
    assert sum(part.fen for part in parts.values()) == fen
    total = sum(weights.values())
    assert all(abs(parts[key].fen - Fraction(fen * weight, total)) < 1 for key, weight in weights.items())


@pytest.mark.parametrize("weights", [{}, {"a": 0}, {"a": -1, "b": 2}])
def test_split_refuses_weights_that_share_nothing(weights):
    with pytest.raises(Invalid):
        split(Amount(1), weights)


def test_line_amount_rounds_once_and_half_up():
    assert line_amount(Price(120), 1) == Amount(1)
    assert line_amount(Price(150), 1) == Amount(2)
    assert line_amount(Price(375), 100_000) == Amount(375_000)


def test_amounts_show_as_yuan_with_their_sign():
    assert (Amount(-5).yuan(), Amount(12345).yuan(), Price(375).yuan()) == ("-0.05", "123.45", "0.0375")


def test_price_refuses_to_be_negative():
    with pytest.raises(Invalid):
        Price(-1)
