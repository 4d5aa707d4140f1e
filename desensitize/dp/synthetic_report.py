"""How good a synthetic table is: told from the noisy measurements (may leave), or by the original (may not).

Words: the *distance* of two marginals is their total variation distance, half the sum of the absolute differences of
their shares: 0 where they are equal, 1 where they have nothing in common.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from desensitize.dp.synthetic_domain import Domain
from desensitize.dp.synthetic_estimation import Measurement
from desensitize.dp.synthetic_model import Clique
from desensitize.dp.synthetic_noise import Counts
from desensitize.dp.synthetic_tally import Tally, tally
from desensitize.tables import Table

CONFIDENCE = 0.95
_MISS_OF_TOTAL = 0.01
_MISS_OF_MARGINALS = 0.04


@dataclass(frozen=True, slots=True)
class MarginalReport:
    """One measured marginal beside the synthetic table's.

    `noise` is the deviation of the noise on each count, in rows; `distance` the distance of the synthetic marginal
    from the noisy one, `distance_of_noise` what noise alone makes of it on average, `at_most` a bound on the
    distance from the true marginal.
    """

    columns: tuple[str, ...]
    noise: float
    distance: float
    distance_of_noise: float
    at_most: float


@dataclass(frozen=True, slots=True)
class UtilityReport:
    """What the noisy measurements say about a synthetic table; made without another look at the original.

    All the bounds `at_most` hold together with a confidence of 0.95. Marginals that were not measured follow from
    the model alone; nothing is known of them.
    """

    marginals: tuple[MarginalReport, ...]
    not_measured_pairs: int
    confidence: float = CONFIDENCE

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain values for JSON."""
        values = asdict(self)
        values["marginals"] = [{**each, "columns": list(each["columns"])} for each in values["marginals"]]
        return values

    def list_columns(self) -> tuple[MarginalReport, ...]:
        """Return the reports of the single columns, in their order."""
        return tuple(each for each in self.marginals if len(each.columns) == 1)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The true distances of a synthetic table from its original, for the platform's own eyes.

    It is computed from the original without noise: publishing it would give away what the noise hides.
    """

    mean: Mapping[int, float]
    largest: Mapping[int, float]
    by_column: Mapping[str, float]

    def to_dict(self) -> dict[str, Any]:
        """Return the evaluation as plain values for JSON; the number of columns of a marginal becomes text."""
        return {
            "private": True,
            "mean_distance": {str(degree): value for degree, value in self.mean.items()},
            "largest_distance": {str(degree): value for degree, value in self.largest.items()},
            "by_column": dict(self.by_column),
        }


def report_utility(
    measured: Sequence[Measurement], synthetic: Tally, names: Sequence[str], most_measured: int
) -> UtilityReport:
    """Return what the measurements say about the synthetic table.

    `most_measured` is how many measurements there could have been, known before the first: so many bounds hold
    together, whichever marginals were chosen.
    """
    total, slack = _estimate_rows(measured, len(names))
    best: dict[Clique, Measurement] = {}
    for each in measured:
        if each.clique not in best or each.scale < best[each.clique].scale:
            best[each.clique] = each
    marginals = tuple(
        _report_marginal(each, synthetic.count(each.clique), names, total, slack, most_measured)
        for each in sorted(best.values(), key=lambda each: (len(each.clique), each.clique))
    )
    covered = {pair for clique in best for pair in itertools.combinations(clique, 2)}
    return UtilityReport(marginals, math.comb(len(names), 2) - len(covered))


def evaluate(original: Table, synthetic: Table, domain: Domain, degree: int = 3) -> Evaluation:
    """Return the true distances between all marginals of up to `degree` columns. Not to be released: see `Evaluation`.

    Both tables hold the domain's columns and no other. Refuses what `synthesize` refuses of a table.
    """
    names = tuple(domain.columns)
    true, made = tally(original, domain), tally(synthetic, domain)
    mean, largest, by_column = {}, {}, {}
    for size in range(1, min(degree, len(names)) + 1):
        cliques = list(itertools.combinations(range(len(names)), size))
        found = [measure_distance(true.count(clique), made.count(clique)) for clique in cliques]
        mean[size], largest[size] = float(np.mean(found)), max(found)
        if size == 1:
            by_column = dict(zip(names, found, strict=True))
    return Evaluation(mean, largest, by_column)


def measure_distance(one: Counts, other: Counts) -> float:
    """Return the distance of two marginals; 1 if one of the two tables is empty and the other is not."""
    sums = int(one.sum()), int(other.sum())
    if 0 in sums:
        return float(sums[0] != sums[1])
    return 0.5 * float(np.abs(one / sums[0] - other / sums[1]).sum())


def _estimate_rows(measured: Iterable[Measurement], columns: int) -> tuple[float, float]:
    """Return the number of rows by the first measurement of every column, and how far it is off, at 99 %.

    These first ones were not chosen after looking, so their noise is plain: the mean has the variance of one over
    the sum of the inverse variances, and tails below a Gaussian's.
    """
    first = list(itertools.islice(measured, columns))
    weights = [1 / (each.counts.size * each.scale**2) for each in first]
    mean = sum(weight * float(each.counts.sum()) for weight, each in zip(weights, first, strict=True)) / sum(weights)
    return max(mean, 1.0), math.sqrt(2 * math.log(2 / _MISS_OF_TOTAL) / sum(weights))


def _report_marginal(
    measured: Measurement, synthetic: Counts, names: Sequence[str], total: float, slack: float, most: int
) -> MarginalReport:
    shares = synthetic / max(int(synthetic.sum()), 1)
    apart = float(np.abs(measured.counts - total * shares).sum())
    bound = apart + bound_noise(measured.counts.size, measured.scale, _MISS_OF_MARGINALS / most) + slack
    return MarginalReport(
        columns=tuple(names[column] for column in measured.clique),
        noise=measured.scale,
        distance=min(1.0, 0.5 * apart / total),
        distance_of_noise=min(1.0, 0.5 * math.sqrt(2 / math.pi) * measured.scale * measured.counts.size / total),
        at_most=min(1.0, 0.5 * bound / max(total - slack, 1.0)),
    )


def bound_noise(cells: int, scale: float, miss: float) -> float:
    """Return what the absolute noise of so many cells adds up to at most, but for a probability of `miss`.

    Discrete Gaussian noise is sub-Gaussian (Canonne, Kamath, Steinke 2020, corollary 17): by Chernoff's bound the sum
    exceeds `a` with a probability of at most `2^n exp(-a^2 / (2 n scale^2))`.
    """
    return scale * math.sqrt(2 * cells * (cells * math.log(2) + math.log(1 / miss)))
