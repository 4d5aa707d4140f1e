"""The accountant of differential privacy: what a training that was declared so spends, worked out anew.

Gaussian noise on batches: Rényi differential privacy of the subsampled Gaussian mechanism at whole orders (Mironov,
Talwar and Zhang 2019, arXiv:1908.10530, eq. 3 and section 3.3, Poisson sampling), turned into (epsilon, delta) by
Canonne, Kamath and Steinke 2020 (arXiv:2004.00010, proposition 12). Laplace noise: sequential composition.
"""

from __future__ import annotations

import math
from typing import Final

from sandbox.airlock.models.specification import Privacy

ORDERS: Final = (*range(2, 129), 160, 192, 256, 384, 512)


def spent_epsilon(told: Privacy) -> float:
    """Return the epsilon that the declared training spends at its delta; infinite where its accountant gives none."""
    if told.mechanism == "laplace":
        # `noise` is the scale of the noise in units of the sensitivity.
        return told.steps / told.noise if told.accountant == "composition" else math.inf
    if told.accountant != "rdp" or told.delta <= 0:
        return math.inf
    return min(
        _to_epsilon(order, told.steps * renyi(order, told.sample_rate, told.noise), told.delta) for order in ORDERS
    )


def renyi(order: int, rate: float, noise: float) -> float:
    """Return the Rényi divergence of one step at a whole order; `noise` is in units of the clipping norm."""
    if rate == 1.0:
        return order / (2 * noise**2)
    terms = [
        math.lgamma(order + 1) - math.lgamma(k + 1) - math.lgamma(order - k + 1) + k * math.log(rate)
        + (order - k) * math.log1p(-rate) + k * (k - 1) / (2 * noise**2)
        for k in range(order + 1)
    ]  # fmt: skip
    most = max(terms)
    return (most + math.log(sum(math.exp(one - most) for one in terms))) / (order - 1)


def _to_epsilon(order: int, divergence: float, delta: float) -> float:
    return max(0.0, divergence + math.log1p(-1 / order) - (math.log(delta) + math.log(order)) / (order - 1))


def most_found(epsilon: float, delta: float, alarms: float) -> float:
    """Return the largest share of members that an attack can find at this share of false alarms under (epsilon, delta).

    Kairouz, Oh and Viswanath 2015 (arXiv:1311.0776). A model that shows more was not trained so.
    """
    if epsilon > 700:
        return 1.0
    return min(1.0, math.exp(epsilon) * alarms + delta, 1 - math.exp(-epsilon) * (1 - delta - alarms))
