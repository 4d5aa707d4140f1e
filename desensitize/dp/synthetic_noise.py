"""The budget of a synthetic table: noisy counts and noisy choices, added up as zCDP.

Words: a *rho* is a budget of zero-concentrated differential privacy (Bun and Steinke 2016); the rhos of several
questions add up. Two tables are *neighbours* when one holds all rows that the other holds, and those of one entity
more. Noise comes from OpenDP, which takes it from the operating system; nobody can seed it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from desensitize.dp.loss import Loss, check_delta, check_epsilon, concentrated, epsilon_of, rho_within
from desensitize.dp.noise import Noise, Sensitivity, add_noise, scale_of
from desensitize.errors import InvalidPlan

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Cost:
    """What a synthetic table cost: the rho of all questions asked, and the epsilon that it means at delta."""

    rho: float
    epsilon: float
    delta: float

    @property
    def loss(self) -> Loss:
        """Return it as a loss that an accountant can debit."""
        return concentrated(self.rho)


class Budget:
    """A rho that questions are paid from. A question that would exceed it is not asked.

    `rows` is the largest number of rows that one entity has in the table: one entity moves a count by that much.
    """

    def __init__(self, rho: float, rows: int = 1) -> None:
        self._total = Fraction(rho)
        self._spent = Fraction(0)
        self._sensitivity = Sensitivity(1, rows)

    def __repr__(self) -> str:
        return f"Budget({self.spent:.6g} of {float(self._total):.6g} rho spent)"

    @classmethod
    def within(cls, epsilon: float, delta: float, rows: int = 1) -> Budget:
        """Return the largest budget that stays within (epsilon, delta).

        Refuses an epsilon that is no finite number above 0, a delta outside (0, 1), and fewer than one row.
        """
        check_epsilon(epsilon)
        check_delta(delta)
        if rows < 1:
            raise InvalidPlan("`rows_per_entity` must be a whole number of at least 1")
        return cls(rho_within(epsilon, delta), rows)

    @property
    def spent(self) -> float:
        """Return the rho of all questions so far."""
        return float(self._spent)

    @property
    def left(self) -> float:
        """Return the rho that is still there, rounded down."""
        left = float(self._total - self._spent)
        return left if Fraction(left) <= self._total - self._spent else math.nextafter(left, 0)

    @property
    def rows(self) -> int:
        """Return the largest number of rows of one entity."""
        return self._sensitivity.amount

    def find_scale(self, rho: float) -> float:
        """Return the standard deviation of the noise that a count gets for this rho."""
        return scale_of(Noise(rho=rho), self._sensitivity)

    def measure(self, counts: Counts, rho: float) -> Counts:
        """Return the counts of a marginal, each with discrete Gaussian noise, at the price of rho.

        An entity's rows change the cells by at most `rows` in all, so the change is no longer than `rows`.
        """
        self._pay(rho)
        noisy = add_noise(counts.ravel().tolist(), Noise(rho=rho), self._sensitivity)
        return np.asarray(noisy, np.int64).reshape(counts.shape)

    def choose(self, scores: Counts, change: int, rho: float) -> int:
        """Return the position of a high score at the price of rho: the exponential mechanism, by Gumbel noise.

        `change` is how far one row moves a score at most. Scores are whole numbers, so that this holds exactly.
        Source: Cesar and Rogers 2021 (an exponential mechanism of range epsilon is epsilon^2/8-zCDP).
        """
        moved = change * self._sensitivity.amount
        scale = moved / math.sqrt(2 * rho)
        while (mechanism := _noisy_max(scale)).map(moved) > rho:
            scale *= 1 + 2.0**-50
        self._pay(rho)
        return int(mechanism(scores.tolist()))

    def settle(self, delta: float) -> Cost:
        """Return what was spent so far, at this delta."""
        return Cost(self.spent, epsilon_of(self.spent, delta), delta)

    def _pay(self, rho: float) -> None:
        if self._spent + Fraction(rho) > self._total:
            raise InvalidPlan("the question would exceed the budget of the synthetic table")
        self._spent += Fraction(rho)


@lru_cache(maxsize=64)
def _noisy_max(scale: float) -> Any:
    import opendp.prelude as dp

    dp.enable_features("contrib")
    space = dp.vector_domain(dp.atom_domain(T="i64")), dp.linf_distance(T="i64")
    return dp.m.make_noisy_max(*space, dp.zero_concentrated_divergence(), scale=scale)
