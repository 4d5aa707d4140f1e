"""Shapley values: what each player adds to a common value, on average over all orders in which they could come.

Exact for few players (each coalition valued once, 2^n in all); beyond, sampled from seeded permutations, each with its
reverse, with the standard error of the mean stated. Values sum to what all together are worth (L. S. Shapley, 1953;
sampling after J. Castro, D. Gómez and J. Tejada, 2009).
"""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations, pairwise

from shuzha.core.money import apportion

EXACT_UP_TO = 8
PAIRS = 200
SHARES = 1_000_000

Coalition = frozenset[str]
Value = Callable[[Coalition], float]


@dataclass(frozen=True, slots=True)
class Shapley:
    """The values of players, their standard errors (0 where exact), and every coalition that was valued."""

    values: Mapping[str, float]
    errors: Mapping[str, float]
    exact: bool
    evaluations: Mapping[Coalition, float]

    @property
    def weights(self) -> dict[str, int]:
        """The values as whole shares of a million: what is below 0 counts as 0; equal where nobody adds anything."""
        positive = {name: Fraction(max(value, 0.0)) for name, value in self.values.items()}
        total = sum(positive.values())
        if not total:
            return apportion(SHARES, dict.fromkeys(positive, Fraction(SHARES, len(positive))))
        return apportion(SHARES, {name: SHARES * value / total for name, value in positive.items()})


def measure(players: Sequence[str], value: Value, *, seed: int = 0, exact_up_to: int = EXACT_UP_TO) -> Shapley:
    """Return the Shapley values of distinct players; the same seed gives the same ones. `value` is asked once each."""
    if not players or len(set(players)) != len(players):
        raise ValueError("players are distinct, and at least one")
    known = _Known(value)
    order = sorted(players)
    if len(order) <= exact_up_to:
        values = {name: _exact(name, [one for one in order if one != name], known) for name in order}
        return Shapley(values, dict.fromkeys(order, 0.0), True, known.found)
    return _sampled(order, known, random.Random(seed))  # noqa: S311 -- the order must be the same on every machine.


class _Known:
    """Values each coalition once."""

    def __init__(self, value: Value) -> None:
        self._value = value
        self.found: dict[Coalition, float] = {}

    def __call__(self, coalition: Iterable[str]) -> float:
        key = frozenset(coalition)
        if key not in self.found:
            self.found[key] = float(self._value(key))
        return self.found[key]


def _exact(player: str, others: Sequence[str], value: _Known) -> float:
    count = len(others) + 1
    parts = []
    for size in range(count):
        weight = math.factorial(size) * math.factorial(count - size - 1) / math.factorial(count)
        parts += [weight * (value((*some, player)) - value(some)) for some in combinations(others, size)]
    return math.fsum(parts)


def _sampled(players: Sequence[str], value: _Known, chance: random.Random) -> Shapley:
    added: dict[str, list[float]] = {name: [] for name in players}
    for _ in range(PAIRS):
        order = chance.sample(players, len(players))
        both = [_added(order, value), _added(order[::-1], value)]
        for name in players:
            # The two orders of a pair depend on each other: their mean is one observation.
            added[name].append(math.fsum(one[name] for one in both) / 2)
    values = {name: math.fsum(found) / len(found) for name, found in added.items()}
    errors = {name: statistics.stdev(found) / math.sqrt(len(found)) for name, found in added.items()}
    return Shapley(values, errors, False, value.found)


def _added(order: Sequence[str], value: _Known) -> dict[str, float]:
    worth = [value(order[:count]) for count in range(len(order) + 1)]
    return {name: later - earlier for name, (earlier, later) in zip(order, pairwise(worth), strict=True)}
