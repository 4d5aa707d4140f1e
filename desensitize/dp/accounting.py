"""Keeping count of what was spent, and refusing what would be too much.

Words: a *cap* is the most that may ever be learned of anybody, as (epsilon, delta); *spent* is what answers have cost
so far (an odometer); a *filter* asks, before an answer is made, whether it still fits. What was debited is never given
back.

A cap without delta counts pure epsilon alone. A cap with delta gives half of it to thresholds (their deltas add up)
and half to the conversion of zCDP, and an answer fits where the sum of epsilons is within the cap **or** the sum of
rhos is within the largest rho whose (epsilon, delta / 2) is. Both sums bound the same privacy loss L. Where the first
holds, L is at most epsilon for certain; where the second holds when the last answer was made,
`exp((a - 1)(L - a rho))`, stopped there, is a supermartingale, so what lies above epsilon weighs at most delta / 2
(Bun and Steinke 2016; Feldman and Zrnic 2021 and Whitehouse et al. 2023 for costs chosen as one goes). Either way
(epsilon, delta) holds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import lru_cache
from threading import Lock

from desensitize.dp.loss import Loss, add, check_delta, check_epsilon, epsilon_of, exact, rho_within
from desensitize.errors import DesensitizeError

_NOTHING = Decimal(0)


class BudgetSpent(DesensitizeError):
    """An answer costs more than what is left; nothing was debited and nothing was computed."""


@dataclass(frozen=True, slots=True)
class Cap:
    """The most that all answers together may cost; `delta` 0 counts pure epsilon alone."""

    epsilon: float
    delta: float = 0.0

    def __post_init__(self) -> None:
        check_epsilon(self.epsilon)
        if self.delta != 0:
            check_delta(self.delta)

    @property
    def rho(self) -> float:
        """The sum of rhos that fits; 0 where the cap has no delta."""
        return _rho_of(self.epsilon, self.delta)


@dataclass(frozen=True, slots=True)
class Spent:
    """The exact sums of what answers have cost: decimals of at most 18 places."""

    epsilon: Decimal = field(default=_NOTHING)
    rho: Decimal = field(default=_NOTHING)
    delta: Decimal = field(default=_NOTHING)
    answers: int = 0

    def with_loss(self, loss: Loss) -> Spent:
        """Return the sums after one more answer, each component rounded up to 18 places."""
        return Spent(
            add(self.epsilon, exact(loss.epsilon)), add(self.rho, exact(loss.rho)), add(self.delta, exact(loss.delta)),
            self.answers + 1,
        )  # fmt: skip

    def epsilon_under(self, cap: Cap) -> float:
        """Return the smallest epsilon that what was spent can be said with, at the cap's delta."""
        whole = float(self.epsilon)
        if cap.delta == 0 or self.rho.is_infinite():
            return whole
        return min(whole, epsilon_of(float(self.rho), cap.delta / 2))


def fits(cap: Cap, spent: Spent) -> bool:
    """Return whether these sums are within the cap."""
    within_pure = spent.epsilon <= exact(cap.epsilon, up=False)
    if cap.delta == 0:
        return within_pure and spent.delta == 0
    within_delta = spent.delta <= exact(cap.delta / 2, up=False)
    return within_delta and (within_pure or spent.rho <= exact(cap.rho, up=False))


def check_fits(cap: Cap, spent: Spent, loss: Loss, what: str) -> Spent:
    """Return the sums after an answer that costs `loss`; refuses one that would pass the cap of `what`."""
    after = spent.with_loss(loss)
    if fits(cap, after):
        return after
    if loss.delta > 0 and cap.delta == 0:
        raise BudgetSpent(f"{what} allows no delta; accepted: answers over known groups, without delta")
    raise BudgetSpent(
        f"{what} does not allow the answer: epsilon {cap.epsilon:g} in all, of which {spent.epsilon_under(cap):.6g} is "
        f"spent; accepted: an answer of at most epsilon {left_of(cap, spent).epsilon:.6g}, or ask who set the cap"
    )


def left_of(cap: Cap, spent: Spent) -> Loss:
    """Return what one more answer may cost at most: its epsilon if its noise is Laplace's, its rho if it is Gaussian.

    The two are alternatives: whoever uses one of them has no more of the other.
    """
    epsilon = max(0.0, float(exact(cap.epsilon, up=False) - spent.epsilon)) if spent.epsilon.is_finite() else 0.0
    rho = max(0.0, float(exact(cap.rho, up=False) - spent.rho)) if spent.rho.is_finite() else 0.0
    delta = max(0.0, float(exact(cap.delta / 2, up=False) - spent.delta))
    return Loss(max(epsilon, math.sqrt(2 * rho)), rho, delta)


@dataclass(slots=True)
class Accountant:
    """The budget of one table within one process, for any number of threads: `debit` before an answer, never after it.

    For a platform of several processes the same checks run on records; this one is for files, notebooks and models.
    """

    cap: Cap
    spent: Spent = field(default_factory=Spent)
    _one_at_a_time: Lock = field(default_factory=Lock, init=False, repr=False, compare=False)

    def debit(self, loss: Loss) -> Spent:
        """Return the sums with `loss` in them, from now on spent; refuses what does not fit and changes nothing."""
        with self._one_at_a_time:
            self.spent = check_fits(self.cap, self.spent, loss, "the budget")
            return self.spent

    def copy(self) -> Accountant:
        """Return an accountant of its own with the same sums, to try out what would fit."""
        return replace(self)

    @property
    def left(self) -> Loss:
        """What one more answer may cost at most."""
        return left_of(self.cap, self.spent)


@lru_cache(maxsize=256)
def _rho_of(epsilon: float, delta: float) -> float:
    return rho_within(epsilon, delta / 2) if delta else 0.0
