"""Noise for everything that is released: OpenDP's, on whole numbers, from the operating system's random source.

No floating-point noise is added anywhere: its last bits give the true value away (Mironov 2012; Haney et al. 2022).
Values are whole multiples of a step before they come here, and a privacy map of OpenDP says what each mechanism costs.
OpenDP's noise cannot be seeded, and nothing here takes a seed for it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from desensitize.dp.loss import Loss, check_delta, check_epsilon, concentrated, pure
from desensitize.errors import InvalidPlan

CONFIDENCE = 0.95
_MOST_SCALE = 2.0**50
_DENSE_GAUSS = 1e4


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """How far one entity can move a vector of whole numbers: at most `cells` of them, each by at most `amount`."""

    cells: int
    amount: int

    @property
    def l1(self) -> int:
        """The largest sum of absolute changes."""
        return self.cells * self.amount

    @property
    def l2(self) -> float:
        """The largest Euclidean length of the change, rounded up."""
        return math.nextafter(math.sqrt(self.cells) * self.amount, math.inf)


@dataclass(frozen=True, slots=True)
class Noise:
    """A mechanism's kind and what it may cost: Laplace noise by `epsilon`, or Gaussian noise by `rho`, never both."""

    epsilon: float | None = None
    rho: float | None = None

    def __post_init__(self) -> None:
        if (self.epsilon is None) == (self.rho is None):
            raise InvalidPlan("noise needs either `epsilon` (Laplace) or `rho` (Gaussian); accepted: one of the two")
        if self.epsilon is not None:
            check_epsilon(self.epsilon)
        if self.rho is not None:
            check_epsilon(self.rho, "rho")

    @property
    def kind(self) -> Literal["laplace", "gaussian"]:
        """The distribution: discrete Laplace or discrete Gaussian."""
        return "gaussian" if self.epsilon is None else "laplace"

    @property
    def limit(self) -> float:
        """The epsilon of Laplace noise, the rho of Gaussian noise."""
        return (self.epsilon if self.epsilon is not None else self.rho) or 0.0

    @property
    def loss(self) -> Loss:
        """What a mechanism with this noise costs."""
        return pure(self.epsilon) if self.epsilon is not None else concentrated(self.limit)

    def share(self, part: float) -> Noise:
        """Return the noise that `part` of the cost pays for."""
        if self.epsilon is not None:
            return Noise(epsilon=self.epsilon * part)
        return Noise(rho=self.limit * part)


def scale_of(noise: Noise, sensitivity: Sensitivity) -> float:
    """Return the scale with which OpenDP's own privacy map stays within what the noise may cost.

    Refuses a scale so large that no figure would be left of the answer.
    """
    moved: float = sensitivity.l1 if noise.kind == "laplace" else sensitivity.l2
    first = moved / noise.limit if noise.kind == "laplace" else moved / math.sqrt(2 * noise.limit)
    if first > _MOST_SCALE:
        raise InvalidPlan(
            "the bounds are so wide, or the step so fine, for this epsilon that the noise drowns the answer; accepted: "
            "narrower bounds, a coarser step or more epsilon"
        )
    return _within(lambda scale: float(_vector(noise.kind, scale).map(moved)), first, noise.limit)


def add_noise(values: Sequence[int], noise: Noise, sensitivity: Sensitivity) -> list[int]:
    """Return each whole number with its own noise."""
    if not values:
        return []
    found: list[int] = _vector(noise.kind, scale_of(noise, sensitivity))(list(values))
    return found


def half_width(noise: Noise, sensitivity: Sensitivity, confidence: float = CONFIDENCE) -> int:
    """Return how far from the truth one noisy number is at most, with this confidence."""
    scale, miss = scale_of(noise, sensitivity), 1 - confidence
    if noise.kind == "laplace":
        reached: float = _dp().discrete_laplacian_scale_to_accuracy(scale, miss)
    elif scale <= _DENSE_GAUSS:
        reached = _dp().discrete_gaussian_scale_to_accuracy(scale, miss)
    else:
        # There the discrete Gaussian is the continuous one to many digits, and counting it out is slow.
        reached = _dp().gaussian_scale_to_accuracy(scale, miss) + 1
    return math.ceil(reached) - 1


def threshold_of(noise: Noise, sensitivity: Sensitivity, delta: float) -> int:
    """Return the smallest threshold under which a group that one entity alone brings is shown with probability delta.

    OpenDP's privacy map says so for each threshold that is tried, and one is added to what it says: OpenDP 0.16 weighs
    the tail beyond the threshold, but shows counts that equal it (its issue 2922), which costs up to e^epsilon times
    more delta than it says.
    """
    check_delta(delta)
    scale = scale_of(noise, sensitivity)

    def holds(threshold: int) -> bool:
        return bool(_map_threshold(noise.kind, scale, threshold, sensitivity)[1] <= delta)

    high = sensitivity.amount + 1
    while not holds(high):
        high *= 2
    low = sensitivity.amount
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high + 1


def show_groups(counts: Mapping[int, int], noise: Noise, sensitivity: Sensitivity, delta: float) -> dict[int, int]:
    """Return the noisy counts of the groups that reach the threshold; a group of nobody is never among them.

    Source: Rogers 2023, "A unifying privacy analysis framework for unknown domain algorithms".
    """
    # A group of nobody who counts is no group: else somebody with many names beyond his bound would show one by chance.
    standing = {group: count for group, count in counts.items() if count > 0}
    if not standing:
        return {}
    threshold = threshold_of(noise, sensitivity, delta)
    found: dict[int, int] = _threshold(noise.kind, scale_of(noise, sensitivity), threshold)(standing)
    return found


def choose_quantile(values: Any, candidates: Sequence[int], alpha: float, noise: Noise, rows: int) -> int:
    """Return a candidate near the alpha-quantile of whole numbers; one entity brings at most `rows` of them.

    Source: Smith 2011; with an epsilon by permute and flip (McKenna and Sheldon 2020), with a rho by the exponential
    mechanism.
    """
    made = _quantile(noise.kind, tuple(candidates), alpha, quantile_scale(alpha, noise, rows))
    return int(made(values))


def quantile_scale(alpha: float, noise: Noise, rows: int) -> float:
    """Return the least scale of the noise on the candidates' scores (up to rounding) that keeps within the cost."""
    limit = noise.limit

    def cost(scale: float) -> float:
        return float(_quantile(noise.kind, (0, 1), alpha, scale).map(rows))

    low = high = rows / limit
    while cost(high) > limit:
        high *= 2
    while cost(low) <= limit:
        low /= 2
    while high - low > high * 1e-9:
        middle = (low + high) / 2
        low, high = (low, middle) if cost(middle) <= limit else (middle, high)
    return high


def _within(cost: Callable[[float], float], scale: float, limit: float) -> float:
    """Return the scale, widened by what rounding asks for, whose cost is within the limit."""
    while cost(scale) > limit:
        scale *= 1 + 2.0**-50
    return scale


@lru_cache(maxsize=1)
def _dp() -> Any:
    # Imported when it is first needed: it costs half a second that `import desensitize` should not.
    import opendp.prelude

    opendp.prelude.enable_features("contrib")
    return opendp.prelude


@lru_cache(maxsize=256)
def _vector(kind: str, scale: float) -> Any:
    dp = _dp()
    space = dp.vector_domain(dp.atom_domain(T="i64"))
    if kind == "laplace":
        return dp.m.make_laplace(space, dp.l1_distance(T="i64"), scale=scale)
    return dp.m.make_gaussian(space, dp.l2_distance(T="f64"), scale=scale)


@lru_cache(maxsize=1024)
def _threshold(kind: str, scale: float, threshold: int) -> Any:
    dp = _dp()
    space = dp.map_domain(dp.atom_domain(T="u32"), dp.atom_domain(T="i64"))
    if kind == "laplace":
        metric = dp.l01inf_distance(dp.absolute_distance(T="i64"))
        return dp.m.make_laplace_threshold(space, metric, scale=scale, threshold=threshold)
    metric = dp.l02inf_distance(dp.absolute_distance(T="f64"))
    return dp.m.make_gaussian_threshold(space, metric, scale=scale, threshold=threshold)


def _map_threshold(kind: str, scale: float, threshold: int, moved: Sensitivity) -> tuple[float, float]:
    if kind == "laplace":
        distance: tuple[Any, ...] = (moved.cells, moved.l1, moved.amount)
    else:
        distance = (moved.cells, moved.l2, float(moved.amount))
    found: tuple[float, float] = _threshold(kind, scale, threshold).map(distance)
    return found


@lru_cache(maxsize=256)
def _quantile(kind: str, candidates: tuple[int, ...], alpha: float, scale: float) -> Any:
    dp = _dp()
    space, metric = dp.vector_domain(dp.atom_domain(T="i64")), dp.symmetric_distance()
    measure = dp.max_divergence() if kind == "laplace" else dp.zero_concentrated_divergence()
    return dp.m.make_private_quantile(space, metric, measure, candidates=list(candidates), alpha=alpha, scale=scale)
