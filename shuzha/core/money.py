"""Money is integers: `Price` in 毫 (1/10,000 yuan) for one use, `Amount` in fen (1/100 yuan) for a line of a statement.

A price may be below a fen; rounding each event gave +3.7 % on 100,000 events, so a line is rounded once. A split uses
the largest-remainder method, whose parts always sum to the whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from shuzha.core.errors import Invalid

HAO_PER_FEN = 100


@dataclass(frozen=True, slots=True, order=True)
class Price:
    """The price of one use, in 毫: 10,000 毫 are a yuan."""

    hao: int

    def __post_init__(self) -> None:
        if self.hao < 0:
            raise Invalid("a price refuses to be negative", rule="money.price", accepted="0 毫 or more")

    def yuan(self) -> str:
        """Return the price in yuan with four places, for people."""
        return f"{self.hao // 10_000}.{self.hao % 10_000:04d}"


@dataclass(frozen=True, slots=True, order=True)
class Amount:
    """A sum of money in fen; negative for a credit."""

    fen: int

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.fen + other.fen)

    def __sub__(self, other: Amount) -> Amount:
        return Amount(self.fen - other.fen)

    def yuan(self) -> str:
        """Return the sum in yuan with two places, for people."""
        sign = "-" if self.fen < 0 else ""
        return f"{sign}{abs(self.fen) // 100}.{abs(self.fen) % 100:02d}"


def line_amount(price: Price, count: int) -> Amount:
    """Return what `count` uses at `price` cost, rounded half up to a fen: the one rounding of a statement line."""
    return round_hao(price.hao * count)


def round_hao(hao: int) -> Amount:
    """Return a sum of 毫 in fen, rounded half away from zero: a credit mirrors the charge that it takes back."""
    fen = (abs(hao) + HAO_PER_FEN // 2) // HAO_PER_FEN
    return Amount(-fen if hao < 0 else fen)


def tax_within(gross: Amount, rate: int) -> Amount:
    """Return the tax that a tax-inclusive sum holds, at `rate` basis points: the sum less sum / (1 + rate), rounded."""
    net = (abs(gross.fen) * 10_000 * 2 + (10_000 + rate)) // (2 * (10_000 + rate))
    return Amount(gross.fen + net if gross.fen < 0 else gross.fen - net)


def apportion(whole: int, entitled: Mapping[str, Fraction]) -> dict[str, int]:
    """Return whole fen near to what each is entitled to, by largest remainder; they sum to `whole` exactly.

    The entitlements must sum to `whole`; ties go to the key that sorts first.
    """
    if sum(entitled.values()) != whole:
        raise Invalid("entitlements do not sum to the whole", rule="money.split")
    floors = {key: part.numerator // part.denominator for key, part in entitled.items()}
    left = whole - sum(floors.values())
    for key in sorted(entitled, key=lambda key: (floors[key] - entitled[key], key))[:left]:
        floors[key] += 1
    return floors


def split(whole: Amount, weights: Mapping[str, Fraction | int]) -> dict[str, Amount]:
    """Return the parts of `whole` in proportion to `weights`, by largest remainder; they sum to it exactly.

    Ties go to the key that sorts first, so that two machines split alike. Refuses negative or all-zero weights.
    """
    if not weights or any(weight < 0 for weight in weights.values()) or sum(weights.values()) == 0:
        raise Invalid("a split refuses these weights", rule="money.split", accepted="weights of 0 or more, not all 0")
    sign = -1 if whole.fen < 0 else 1
    total = Fraction(sum(Fraction(weight) for weight in weights.values()))
    exact = {key: abs(whole.fen) * Fraction(weight) / total for key, weight in weights.items()}
    floors = {key: int(part) for key, part in exact.items()}
    left = abs(whole.fen) - sum(floors.values())
    by_remainder = sorted(exact, key=lambda key: (floors[key] - exact[key], key))
    for key in by_remainder[:left]:
        floors[key] += 1
    return {key: Amount(sign * fen) for key, fen in floors.items()}
