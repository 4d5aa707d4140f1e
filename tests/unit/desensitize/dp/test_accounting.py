"""Losses, their conversions, and budgets that cannot be overdrawn."""

from __future__ import annotations

import math
import threading
import time
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from desensitize.dp import accounting
from desensitize.dp.accounting import Accountant, BudgetSpent, Cap, Spent, check_fits, fits, left_of
from desensitize.dp.loss import (
    Loss,
    concentrated,
    epsilon_of,
    exact,
    pure,
    rho_within,
    simple_epsilon_of,
)
from desensitize.errors import InvalidPlan

EPSILONS = st.floats(0.001, 5).map(lambda value: round(value, 4))


def true_delta(rho: float, epsilon: float) -> float:
    """The exact delta of a Gaussian mechanism of this rho at epsilon (Balle and Wang 2018, theorem 8)."""
    shift = math.sqrt(2 * rho)
    upper = stats.norm.cdf(shift / 2 - epsilon / shift)
    return float(upper - math.exp(epsilon) * stats.norm.cdf(-shift / 2 - epsilon / shift))


@pytest.mark.parametrize("rho", [1e-4, 1e-2, 0.1, 1.0, 5.0])
@pytest.mark.parametrize("delta", [1e-12, 1e-9, 1e-6, 1e-3])
def test_converted_epsilon_lies_between_the_exact_one_and_the_simple_one(rho: float, delta: float) -> None:
    found = epsilon_of(rho, delta)
    assert true_delta(rho, found) <= delta
    assert found <= simple_epsilon_of(rho, delta)


@pytest.mark.parametrize("rho", [1e-5, 0.02, 3.0])
def test_converted_epsilon_is_the_best_of_all_orders(rho: float) -> None:
    delta = 1e-7
    orders = [1 + 10 ** (k / 500) for k in range(-3000, 4000)]
    best = min(a * rho + math.log1p(-1 / a) + (math.log(1 / delta) - math.log(a)) / (a - 1) for a in orders)
    assert epsilon_of(rho, delta) == pytest.approx(best, rel=1e-4)


def test_pure_loss_really_has_its_rho() -> None:
    """Renyi's divergence of Laplace noise at shift 1, by integration, is at most order times epsilon^2 / 2."""
    for epsilon in (0.1, 0.5, 1.0):
        for order in (1.5, 2.0, 8.0):

            def density(x: float, epsilon: float = epsilon, order: float = order) -> float:
                one, two = abs(x) * epsilon, abs(x - 1) * epsilon
                return epsilon / 2 * math.exp(-order * one + (order - 1) * two)

            whole, _ = integrate.quad(density, -60 / epsilon, 60 / epsilon, points=[0, 1], limit=400)
            assert math.log(whole) / (order - 1) <= order * pure(epsilon).rho * (1 + 1e-6)


def test_largest_rho_is_within_epsilon_and_not_far_from_it() -> None:
    rho = rho_within(3.0, 1e-6)
    assert epsilon_of(rho, 1e-6) <= 3.0 < epsilon_of(rho * 1.001, 1e-6)


def test_ten_tenths_are_one() -> None:
    accountant = Accountant(Cap(1.0))
    for _ in range(10):
        accountant.debit(pure(0.1))
    assert accountant.spent.epsilon == Decimal(1)
    with pytest.raises(BudgetSpent, match="at most epsilon 0"):
        accountant.debit(pure(1e-9))


def test_refused_answer_debits_nothing() -> None:
    accountant = Accountant(Cap(1.0), Spent())
    accountant.debit(pure(0.6))
    before = accountant.spent
    with pytest.raises(BudgetSpent):
        accountant.debit(pure(0.5))
    assert accountant.spent == before
    accountant.debit(pure(0.4))


def test_cap_without_delta_refuses_gaussian_noise_and_thresholds() -> None:
    accountant = Accountant(Cap(1.0))
    with pytest.raises(BudgetSpent):
        accountant.debit(concentrated(1e-6))
    with pytest.raises(BudgetSpent, match="no delta"):
        accountant.debit(pure(0.1, 1e-9))


def test_cap_with_delta_lets_more_small_answers_pass_than_their_sum() -> None:
    accountant = Accountant(Cap(4.0, 1e-6))
    for _ in range(2 * round(4.0 / 0.05)):
        accountant.debit(pure(0.05))
    assert epsilon_of(float(accountant.spent.rho), 5e-7) <= 4.0


def test_cap_with_delta_still_lets_one_large_pure_answer_pass() -> None:
    Accountant(Cap(1.0, 1e-6)).debit(pure(1.0))


@given(st.lists(st.tuples(EPSILONS, st.sampled_from(["pure", "rho", "threshold"])), max_size=40), EPSILONS)
@settings(max_examples=60, deadline=None)
def test_what_passed_is_always_within_the_cap(asked: list[tuple[float, str]], limit: float) -> None:
    cap = Cap(limit, 1e-6)
    accountant = Accountant(cap)
    passed: list[Loss] = []
    for epsilon, kind in asked:
        loss = {"pure": pure(epsilon), "rho": concentrated(epsilon / 10), "threshold": pure(epsilon, 1e-7)}[kind]
        try:
            accountant.debit(loss)
        except BudgetSpent:
            continue
        passed.append(loss)
    delta = sum(one.delta for one in passed)
    whole = math.fsum(one.epsilon for one in passed)
    concentrated_whole = epsilon_of(math.fsum(one.rho for one in passed), 5e-7)
    assert delta <= 5e-7 * (1 + 1e-9)
    assert min(whole, concentrated_whole) <= limit * (1 + 1e-9)


@given(st.lists(EPSILONS, min_size=1, max_size=20), EPSILONS)
@settings(max_examples=60, deadline=None)
def test_what_is_left_fits_and_no_more(spent: list[float], limit: float) -> None:
    cap, sums = Cap(limit, 1e-6), Spent()
    for one in spent:
        after = sums.with_loss(pure(one))
        sums = after if fits(cap, after) else sums
    left = left_of(cap, sums).epsilon
    if left > 1e-6:
        assert fits(cap, sums.with_loss(pure(left * 0.999999)))
    assert not fits(cap, sums.with_loss(pure(left * 1.001 + 1e-9)))


def test_costs_are_kept_as_written_and_rounded_against_the_asker() -> None:
    assert exact(0.1) == Decimal("0.1")
    assert exact(1e-30) == Decimal("1e-18")
    assert exact(1e-30, up=False) == 0


@pytest.mark.parametrize("bad", [-1.0, math.nan])
def test_loss_refuses_what_is_no_cost(bad: float) -> None:
    with pytest.raises(InvalidPlan):
        Loss(bad, 0.0)


@pytest.mark.parametrize(("epsilon", "delta"), [(0, 0), (-1, 0), (math.inf, 0), (1, 1), (1, -0.1)])
def test_cap_refuses_what_bounds_nothing(epsilon: float, delta: float) -> None:
    with pytest.raises(InvalidPlan):
        Cap(epsilon, delta)


def test_threads_together_spend_no_more_than_the_cap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounting, "check_fits", _check_slowly)
    budget, refused = Accountant(Cap(1.0)), []

    def spend() -> None:
        try:
            budget.debit(pure(0.6))
        except BudgetSpent:
            refused.append(1)

    threads = [threading.Thread(target=spend) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(refused), budget.spent.answers) == (3, 1)


def _check_slowly(*args: Any) -> Spent:
    # Every thread has looked before the first one has written, where nothing keeps them apart.
    found = check_fits(*args)
    time.sleep(0.02)
    return found
