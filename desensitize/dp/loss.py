"""How much privacy an answer costs: pure epsilon, zCDP's rho, and what they say as (epsilon, delta).

Words: a *loss* is what one mechanism may cost at most, said three ways at once. `epsilon` is the pure loss (Dwork,
McSherry, Nissim, Smith 2006), infinite where a mechanism has none (Gaussian noise); `rho` is the zero-concentrated loss
(Bun and Steinke 2016); `delta` is the probability with which neither holds, 0 unless groups were found by a threshold.
Losses of several mechanisms add up component by component, also when later ones were chosen after earlier answers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import ROUND_CEILING, Context, Decimal

from desensitize.errors import InvalidPlan

_ORDERS = 200
_STEPS = 200
_PLACES = Decimal("1e-18")
_EXACT = Context(prec=60)


@dataclass(frozen=True, slots=True)
class Loss:
    """What an answer costs: `epsilon` (infinite for Gaussian noise) or `rho`, each but for probability `delta`.

    Refuses negative numbers and what is no number. Make one with `pure` or `concentrated`.
    """

    epsilon: float
    rho: float
    delta: float = 0.0

    def __post_init__(self) -> None:
        for name in ("epsilon", "rho", "delta"):
            value = getattr(self, name)
            if math.isnan(value) or value < 0:
                raise InvalidPlan(f"a privacy loss has a bad `{name}`; accepted: a number of at least 0")

    def __add__(self, other: Loss) -> Loss:
        return Loss(self.epsilon + other.epsilon, self.rho + other.rho, self.delta + other.delta)

    def epsilon_at(self, delta: float) -> float:
        """Return the smaller epsilon of the two ways to say this loss with `delta` in all (its own delta included)."""
        left = delta - self.delta
        if left < 0:
            return math.inf
        concentrated = epsilon_of(self.rho, left) if left > 0 else math.inf
        return min(self.epsilon, concentrated)


NOTHING = Loss(0.0, 0.0)


def pure(epsilon: float, delta: float = 0.0) -> Loss:
    """Return the loss of an (epsilon, delta) mechanism: its rho is epsilon^2 / 2.

    Source: Bun and Steinke 2016, proposition 1.4, and lemma 8.8 where there is a delta.
    """
    return Loss(epsilon, epsilon * epsilon / 2, delta)


def concentrated(rho: float, delta: float = 0.0) -> Loss:
    """Return the loss of a rho-zCDP mechanism, which has no pure epsilon."""
    return Loss(math.inf if rho > 0 else 0.0, rho, delta)


def epsilon_of(rho: float, delta: float) -> float:
    """Return the epsilon of a rho-zCDP mechanism at `delta`.

    The best order a > 1 of `a rho + ln(1 - 1/a) + (ln(1/delta) - ln a) / (a - 1)`; every order is a true bound, so an
    inexact search costs tightness, never truth. Source: Canonne, Kamath, Steinke 2020, corollary 13.
    """
    check_delta(delta)
    if rho == 0:
        return 0.0
    if math.isinf(rho):
        return math.inf
    return max(0.0, min(_bound_at(rho, delta, order) for order in _orders(rho, delta)))


def simple_epsilon_of(rho: float, delta: float) -> float:
    """Return `rho + 2 sqrt(rho ln(1/delta))`, the looser and older conversion (Bun and Steinke 2016, prop. 1.3)."""
    check_delta(delta)
    return rho + 2 * math.sqrt(rho * math.log(1 / delta))


def rho_within(epsilon: float, delta: float) -> float:
    """Return a rho, the largest up to rounding, whose (epsilon, delta) by `epsilon_of` is within `epsilon`."""
    check_delta(delta)
    low, high = 0.0, 1.0
    while epsilon_of(high, delta) < epsilon:
        low, high = high, high * 2
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (middle, high) if epsilon_of(middle, delta) <= epsilon else (low, middle)
    return low


def check_delta(delta: float) -> None:
    """Refuse a delta that is no probability between 0 and 1, both excluded."""
    if not 0 < delta < 1:
        raise InvalidPlan("a delta lies outside its range; accepted: more than 0 and less than 1, such as 1e-9")


def check_epsilon(epsilon: float, name: str = "epsilon") -> None:
    """Refuse an epsilon (or rho) that is not a finite number above 0."""
    if not (isinstance(epsilon, int | float) and math.isfinite(epsilon) and epsilon > 0):
        raise InvalidPlan(f"`{name}` is not a number above 0; accepted: a finite number such as 0.1")


def exact(value: float, *, up: bool = True) -> Decimal:
    """Return a share of budget as the decimal that a person wrote, at most 18 places, rounded `up` (or down).

    Sums of such decimals are exact: ten answers of 0.1 spend 1, neither more nor less.
    """
    if math.isinf(value):
        return Decimal("Infinity")
    rounding = ROUND_CEILING if up else "ROUND_FLOOR"
    return Decimal(repr(float(value))).quantize(_PLACES, rounding=rounding, context=_EXACT)


def add(one: Decimal, two: Decimal) -> Decimal:
    """Return the exact sum of two shares of budget."""
    return _EXACT.add(one, two)


def _bound_at(rho: float, delta: float, order: float) -> float:
    return order * rho + math.log1p(-1 / order) + (math.log(1 / delta) - math.log(order)) / (order - 1)


def _orders(rho: float, delta: float) -> list[float]:
    """Return orders around the best one, which lies near 1 + sqrt(ln(1/delta) / rho): a golden-section search."""
    ratio = (math.sqrt(5) - 1) / 2
    near = math.log(math.sqrt(math.log(1 / delta) / rho) + 1e-12)
    low, high = near - 6.0, near + 6.0
    tried = []
    for _ in range(_ORDERS):
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        tried += [1 + math.exp(left), 1 + math.exp(right)]
        if _bound_at(rho, delta, tried[-2]) < _bound_at(rho, delta, tried[-1]):
            high = right
        else:
            low = left
        if high - low < 1e-9:
            break
    return tried
