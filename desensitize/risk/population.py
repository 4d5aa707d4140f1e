"""How many people of a sample are unique in the population it was drawn from, estimated from its class sizes alone.

Words: a *class* is all records equal on the quasi-identifiers; the sample has n records in u classes, f_j of them of
size j; the population has N records, and pi = n/N is the sampling fraction. Sources: Pitman's model, N. Hoshino,
"Applying Pitman's sampling formula to microdata disclosure risk assessment", J. Official Statistics 17(4), 2001;
L. Zayatz, "Estimation of the percent of unique population elements on a microdata file using the sample", Census
Bureau 1991; the shifted negative binomial, G. Chen and S. Keller-McNulty, "Estimation of identification disclosure
risk in microdata", J. Official Statistics 14(1), 1998, with the number of classes by Shlosser's estimator as modified
in P. Haas et al., VLDB 1995; the decision rule, F. Dankar et al., "Estimating the re-identification risk of clinical
data sets", BMC Medical Informatics and Decision Making 12:66, 2012.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import special

from desensitize.errors import InvalidInput

Floats: TypeAlias = npt.NDArray[np.float64]
# Above this sampling fraction the rule of Dankar et al. leaves Pitman's model.
DANKAR_FRACTION = 0.1
_STEPS = 200
_EDGE = 1e-9
_LEAST_ALPHA = 1e-4


@dataclass(frozen=True, slots=True)
class Population:
    """What the sample says about the population: estimated shares of its records that are unique there.

    `uniques` is the share that the rule of Dankar et al. chose, `model` whose it is. A model whose equations have no
    solution for this table gives None. `journalist` is the estimated highest risk of the sample's smallest class,
    E[1/F|f] of Benedetti and Franconi (1998).
    """

    size: int
    fraction: float
    uniques: float
    model: str
    pitman: float | None
    zayatz: float | None
    snb: float | None
    journalist: float


@dataclass(frozen=True, slots=True)
class _Sample:
    """Class sizes (distinct, ascending) with their frequencies, and the population's size."""

    sizes: Floats
    counts: Floats
    population: int

    @property
    def records(self) -> float:
        return float(self.sizes @ self.counts)

    @property
    def classes(self) -> float:
        return float(self.counts.sum())

    @property
    def fraction(self) -> float:
        return self.records / self.population

    def of_size(self, size: int) -> float:
        return float(self.counts[self.sizes == size].sum())


def estimate_population(class_sizes: npt.ArrayLike, population_size: int) -> Population:
    """Return the estimates for a sample with these class sizes from a population of so many records.

    Refuses an empty sample and a population smaller than the sample.
    """
    sizes, counts = np.unique(np.asarray(class_sizes, dtype=np.int64), return_counts=True)
    sample = _Sample(sizes.astype(np.float64), counts.astype(np.float64), int(population_size))
    if not len(sizes) or sizes[0] < 1:
        raise InvalidInput("the population is estimated from at least one class, and every class has a member")
    if population_size < sample.records:
        raise InvalidInput(
            f"the population has at least as many members as the table; {int(sample.records)} or more are accepted"
        )
    found = {"pitman": 0.0, "zayatz": 0.0, "snb": 0.0}
    shares: dict[str, float | None] = dict(found)
    if sample.of_size(1):
        shares = {"pitman": _share(_pitman, sample), "zayatz": _share(_zayatz, sample), "snb": _share(_snb, sample)}
    model = _choose(shares, sample.fraction) if sample.of_size(1) else "none"
    return Population(
        size=sample.population,
        fraction=sample.fraction,
        uniques=(shares[model] or 0.0) if model != "none" else 0.0,
        model=model,
        journalist=expected_inverse(int(sizes[0]), sample.fraction),
        **shares,
    )


def expected_inverse(size: int, fraction: float) -> float:
    """Return E[1/F] for a class of `size` records in a sample of this fraction; F is negative binomial.

    With pi the fraction, F-size counts failures before `size` successes: E = pi^f/f * 2F1(f, f; f+1; 1-pi).
    """
    if fraction >= 1:
        return 1.0 / size
    if size == 1:
        return -fraction / (1.0 - fraction) * math.log(fraction)
    # The mass is summed until nothing is left; 2F1 overflows for large classes.
    log_mass, total, covered, members = size * math.log(fraction), 0.0, 0.0, size
    reach = int(size / fraction + 60 * math.sqrt(size * (1 - fraction)) / fraction) + 10
    while members <= reach and covered < 1.0 - 1e-15:
        mass = math.exp(log_mass)
        covered += mass
        total += mass / members
        log_mass += math.log1p(-fraction) + math.log(members) - math.log(members - size + 1)
        members += 1
    return total


def _share(model: Callable[[_Sample], float | None], sample: _Sample) -> float | None:
    uniques = model(sample)
    if uniques is None or not math.isfinite(uniques) or not 0 < uniques <= sample.population * (1 + 1e-9):
        return None
    return min(1.0, uniques / sample.population)


def _choose(shares: dict[str, float | None], fraction: float) -> str:
    """Return whose estimate the rule of Dankar et al. takes: Pitman for small samples, else the lower of two."""
    zayatz, snb = shares["zayatz"], shares["snb"]
    if fraction <= DANKAR_FRACTION:
        return "pitman" if shares["pitman"] is not None else "zayatz"
    return "snb" if snb is not None and zayatz is not None and snb <= zayatz else "zayatz"


def _zayatz(sample: _Sample) -> float | None:
    """Return f_1/pi times P(unique in the population | unique in the sample), by hypergeometric draws."""
    weights = sample.counts / sample.classes
    drawn = np.array([_draws_one(sample, size) for size in sample.sizes])
    seen = float(weights @ drawn)
    if seen <= 0:
        return None
    return sample.of_size(1) / sample.fraction * (sample.of_size(1) / sample.classes) * sample.fraction / seen


def _draws_one(sample: _Sample, size: float) -> float:
    """Return the probability that a sample holds exactly one member of a population class of this size."""
    total, drawn = float(sample.population), sample.records
    if drawn - 1 > total - size:
        return 0.0
    log = math.log(size) + _log_choose(total - size, drawn - 1) - _log_choose(total, drawn)
    return math.exp(log)


def _log_choose(total: float, taken: float) -> float:
    return math.lgamma(total + 1) - math.lgamma(taken + 1) - math.lgamma(total - taken + 1)


def _pitman(sample: _Sample) -> float | None:
    """Return E[U] = Gamma(theta+1)/Gamma(theta+alpha) N^alpha at the maximum of Pitman's likelihood."""
    if sample.classes < 2 or sample.classes >= sample.records:
        return None
    # Below this alpha differences of digammas lose their digits; the model is then Ewens' (alpha 0), E[U] = theta.
    low, high = _LEAST_ALPHA, 1.0 - _EDGE
    alpha = low if _slope_alpha(sample, low) <= 0 else _bisect(lambda value: _slope_alpha(sample, value), low, high)
    theta = _theta(sample, alpha)
    return math.exp(math.lgamma(theta + 1) - math.lgamma(theta + alpha) + alpha * math.log(sample.population))


def _theta(sample: _Sample, alpha: float) -> float:
    """Return the theta of greatest likelihood for this alpha; its score falls from above zero to below."""
    low, high = -alpha + _EDGE * alpha, 1.0
    while _slope_theta(sample, high, alpha) > 0 and high < 1e15:
        high *= 4
    return _bisect(lambda value: _slope_theta(sample, value, alpha), low, high)


def _slope_theta(sample: _Sample, theta: float, alpha: float) -> float:
    ratio = theta / alpha
    classes = (special.digamma(sample.classes + ratio) - special.digamma(1.0 + ratio)) / alpha
    return float(classes - (special.digamma(sample.records + theta) - special.digamma(1.0 + theta)))


def _slope_alpha(sample: _Sample, alpha: float) -> float:
    theta = _theta(sample, alpha)
    ratio = theta / alpha
    sums = (special.digamma(sample.classes + ratio) - special.digamma(1.0 + ratio)) / alpha
    # sum of i/(theta + i alpha) for i below u, by i = ((theta + i alpha) - theta)/alpha
    growth = (sample.classes - 1.0 - theta * sums) / alpha
    larger = sample.counts @ (special.digamma(sample.sizes - alpha) - special.digamma(1.0 - alpha))
    return float(growth - larger)


def _snb(sample: _Sample) -> float | None:
    """Return K q^r, the classes of size one of K classes whose sizes less one are negative binomial (r, q).

    r and q solve E[f_1] and E[f_2] of the thinned distribution; K is Shlosser's modified estimate.
    """
    classes, pi = _count_classes(sample), sample.fraction
    ones, twos = sample.of_size(1), sample.of_size(2)
    if not math.isfinite(classes) or not twos or ones >= classes * pi or pi >= 1:
        return None

    def gap(log_r: float) -> float:
        r = math.exp(log_r)
        q = _solve_q(r, ones / (classes * pi), pi)
        d = (1 - pi) * (1 - q)
        log = r * (math.log(q) - math.log1p(-d)) + math.log(r) + math.log1p(-q) - 2 * math.log1p(-d)
        return math.exp(log) * classes * pi * pi / 2 * (2 - (1 - r) * d) - twos

    grid = np.linspace(math.log(1e-4), math.log(1e4), 161)
    values = [gap(point) for point in grid]
    for left, right, a, b in zip(grid, grid[1:], values, values[1:], strict=False):
        if a == 0 or a * b < 0:
            log_r = _bisect(lambda value: gap(value) * math.copysign(1.0, a), float(left), float(right))  # noqa: B023
            r = math.exp(log_r)
            return classes * math.exp(r * math.log(_solve_q(r, ones / (classes * pi), pi)))
    return None


def _solve_q(r: float, wanted: float, pi: float) -> float:
    """Return the q at which (q/(1-d))^r (1 + r d/(1-d)), d = (1-pi)(1-q), is the wanted share; it grows with q."""

    def gap(q: float) -> float:
        d = (1 - pi) * (1 - q)
        return wanted - math.exp(r * (math.log(q) - math.log1p(-d))) * (1 + r * d / (1 - d))

    return _bisect(gap, 1e-300, 1.0 - 1e-12)


def _count_classes(sample: _Sample) -> float:
    """Return Shlosser's modified estimate of the number of classes in the population."""
    pi, sizes, counts = sample.fraction, sample.sizes, sample.counts
    missed = counts * (1 - pi) ** sizes
    first = (sizes * pi**2 * (1 - pi**2) ** (sizes - 1)) @ counts
    second = float(counts @ ((1 - pi**2) ** sizes - (1 - pi) ** sizes))
    third = float((sizes * pi * (1 - pi) ** (sizes - 1)) @ counts)
    if second <= 0 or third <= 0:
        return math.nan
    return sample.classes + sample.of_size(1) * float(first) / second * (float(missed.sum()) / third) ** 2


def _bisect(falls: Callable[[float], float], low: float, high: float) -> float:
    """Return where a function that falls from above zero to below crosses it."""
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (middle, high) if falls(middle) > 0 else (low, middle)
    return (low + high) / 2
