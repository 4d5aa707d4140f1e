"""How well an attack tells members from others: area under the curve, its interval, hits at few false alarms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from sandbox.airlock.models.inside.program import Array

Z95: Final = 1.959964
"""Two-sided 95 %."""


@dataclass(frozen=True, slots=True)
class Figures:
    """One attack: `auc` with its 95 % interval, and the share of members found (`tpr`) at two shares of false alarms.

    `tpr_1_low` is the lower end of that share's 95 % interval. A share at 0.1 % is null below 1,000 outsiders.
    """

    name: str
    auc: float
    low: float
    high: float
    tpr_1: float
    tpr_1_low: float
    tpr_01: float | None
    members: int
    others: int


def judge(name: str, scores: Array, member: Array) -> Figures:
    """Return the figures of an attack whose scores are high where it says member.

    The area's variance is DeLong's (1988), in the form of Sun and Xu (2014); a share's interval is Wilson's (1927).
    """
    inside, outside = np.asarray(scores[member], np.float64), np.asarray(scores[~member], np.float64)
    area, spread = delong(inside, outside)
    one, found = _at(inside, outside, 0.01)
    thousandth = _at(inside, outside, 0.001)[0] if len(outside) >= 1_000 else None
    return Figures(
        name, area, max(0.0, area - Z95 * spread), min(1.0, area + Z95 * spread), one, wilson_low(found, len(inside)),
        thousandth, len(inside), len(outside),
    )  # fmt: skip


def delong(inside: Array, outside: Array) -> tuple[float, float]:
    """Return the area under the curve and its standard error; ties count half."""
    m, n = len(inside), len(outside)
    both = midranks(np.concatenate([inside, outside]))
    area = (both[:m].sum() - m * (m + 1) / 2) / (m * n)
    first = (both[:m] - midranks(inside)) / n
    second = 1.0 - (both[m:] - midranks(outside)) / m
    variance = (np.var(first, ddof=1) if m > 1 else 0.0) / m + (np.var(second, ddof=1) if n > 1 else 0.0) / n
    return float(area), float(np.sqrt(variance))


def midranks(values: Array) -> Array:
    """Return the rank of each value from 1; equal values share the mean of their ranks."""
    order = np.argsort(values, kind="mergesort")
    ordered = values[order]
    edges = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1], [True]]))
    ranks = np.empty(len(values))
    ranks[order] = np.repeat((edges[:-1] + edges[1:] + 1) / 2.0, np.diff(edges))
    return ranks


def wilson_low(found: int, tried: int) -> float:
    """Return the lower end of the 95 % interval of a share."""
    if tried == 0:
        return 0.0
    share, square = found / tried, Z95**2
    middle = share + square / (2 * tried)
    half = Z95 * np.sqrt(share * (1 - share) / tried + square / (4 * tried**2))
    return float(max(0.0, (middle - half) / (1 + square / tried)))


def _at(inside: Array, outside: Array, alarms: float) -> tuple[float, int]:
    """Return the share and number of members above a threshold that at most this share of outsiders is above."""
    allowed = int(np.floor(alarms * len(outside)))
    threshold = np.sort(outside)[::-1][allowed] if len(outside) > allowed else -np.inf
    found = int((inside > threshold).sum())
    return found / max(1, len(inside)), found


def by_entity(values: Array, codes: Array, count: int) -> Array:
    """Return the mean of `values` over the rows of each entity, whose codes run from 0 to `count` - 1."""
    return np.bincount(codes, weights=values, minlength=count) / np.maximum(1, np.bincount(codes, minlength=count))
