"""The interval of a private quantile, from noisy counts between cut points.

Let `T(c)` be the number of values below c, less alpha times the number of all. The quantile is at least c where
`T(c) <= 0`, and at most c where `T(c) >= 0`. Noisy bins give T of every cut with an error whose size is known, so the
cuts that surely lie on one side bound the quantile, however the values are tied or spread.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from desensitize.dp.noise import CONFIDENCE, Noise, Sensitivity, add_noise, scale_of

MOST_CUTS = 129
_ORDERS = 400


def find_cuts(candidates: Sequence[int]) -> list[int]:
    """Return at most 129 of the candidates, evenly by their place, with the first and the last."""
    places = np.unique(np.linspace(0, len(candidates) - 1, min(MOST_CUTS, len(candidates))).round().astype(int))
    return [candidates[place] for place in places]


def find_interval(
    values: npt.NDArray[np.int64], cuts: Sequence[int], alpha: float, noise: Noise, sensitivity: Sensitivity
) -> tuple[int, int]:
    """Return two cuts between which the alpha-quantile lies, in at least 95 of 100 answers.

    `values` lie between the first and the last cut; `sensitivity` says how far one entity moves the bins.
    """
    bins, _ = np.histogram(values, bins=np.asarray(cuts, dtype=np.int64))
    noisy = np.asarray(add_noise([int(one) for one in bins], noise, sensitivity), dtype=np.float64)
    below = np.concatenate(([0.0], np.cumsum(noisy)))
    balance = below - alpha * below[-1]
    miss = (1 - CONFIDENCE) / (2 * len(cuts))
    scale = scale_of(noise, sensitivity)
    wide = np.array(_errors(len(bins), alpha, noise.kind, scale, miss))
    lower, upper = np.flatnonzero(balance + wide <= 0), np.flatnonzero(balance - wide >= 0)
    low = int(lower.max()) if lower.size else 0
    high = int(upper.min()) if upper.size else len(cuts) - 1
    return cuts[min(low, high)], cuts[max(low, high)]


def find_error(place: int, bins: int, alpha: float, kind: str, scale: float, miss: float) -> float:
    """Return what the noise in `(1 - alpha) * (first bins) - alpha * (other bins)` exceeds with probability `miss`.

    `place` is the number of first bins. Chernoff's bound: in closed form for Gaussian noise, and for Laplace noise the
    best of many orders, with the moments of the continuous distribution, which are larger than the discrete one's.
    """
    weights = ((1 - alpha, place), (alpha, bins - place))
    if kind == "gaussian":
        return scale * math.sqrt(2 * sum(times * weight**2 for weight, times in weights) * math.log(1 / miss))
    largest = max(weight for weight, times in weights if times)
    orders = np.linspace(0, 1 / (largest * scale), _ORDERS + 2)[1:-1] if largest else np.ones(1)
    moments = -sum(times * np.log1p(-((orders * weight * scale) ** 2)) for weight, times in weights if times)
    return float(np.min((moments + math.log(1 / miss)) / orders))


@lru_cache(maxsize=64)
def _errors(bins: int, alpha: float, kind: str, scale: float, miss: float) -> tuple[float, ...]:
    return tuple(find_error(place, bins, alpha, kind, scale, miss) for place in range(bins + 1))
