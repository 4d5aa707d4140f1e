"""The model that fits noisy marginals best: mirror descent over a junction tree.

Source: McKenna, Sheldon, Miklau, "Graphical-model based estimation and inference for differential privacy" (2019),
algorithm 1 (proximal estimation with line search).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from desensitize.dp.synthetic_model import (
    Clique,
    Floats,
    JunctionTree,
    Model,
    build_tree,
    calibrate,
    reduce_to,
    spread,
)

# Steps that lower the loss by less than this share of it, several times in a row, are the end.
_LEAST_GAIN = 1e-4
_PATIENCE = 10
_HALVINGS = 40


@dataclass(frozen=True, slots=True)
class Measurement:
    """Noisy counts of rows over a clique, shaped by the sizes of its columns; `scale` is the noise's deviation."""

    clique: Clique
    counts: Floats
    scale: float


@dataclass(frozen=True, slots=True)
class _Target:
    """What the model should come to over one clique, as shares of the table, and how much that weighs."""

    clique: Clique
    home: int
    shares: Floats
    weight: float


@dataclass(frozen=True, slots=True)
class _Point:
    """A candidate: its potentials, the probabilities they give, and the loss with its gradient at each target."""

    potentials: tuple[Floats, ...]
    beliefs: tuple[Floats, ...]
    marginals: tuple[Floats, ...]
    gradients: tuple[Floats, ...]
    loss: float


def estimate_total(measurements: Iterable[Measurement]) -> float:
    """Return the number of rows that the sums of the noisy marginals agree on best, at least 1.

    A mean weighted by the inverse variances of the sums.
    """
    top = bottom = 0.0
    for each in measurements:
        weight = 1 / (each.counts.size * each.scale**2)
        top += weight * float(each.counts.sum())
        bottom += weight
    return max(top / bottom, 1.0) if bottom else 1.0


def merge_measurements(measurements: Iterable[Measurement]) -> tuple[Measurement, ...]:
    """Return one measurement for each clique: the mean of all of it, weighted by their inverse variances."""
    sums: dict[Clique, tuple[Floats, float]] = {}
    for each in measurements:
        counts, weight = sums.get(each.clique, (np.zeros(each.counts.shape), 0.0))
        sums[each.clique] = counts + each.counts / each.scale**2, weight + each.scale**-2
    return tuple(Measurement(clique, counts / weight, weight**-0.5) for clique, (counts, weight) in sums.items())


def estimate(
    measurements: Iterable[Measurement],
    sizes: Sequence[int],
    total: float,
    start: Mapping[Clique, Floats] | None = None,
    steps: int = 1000,
) -> Model:
    """Return the model whose marginals are closest to the measurements: least squares weighted by inverse variances.

    Every column must be measured at least once. `start` are potentials of an earlier model.
    """
    merged = merge_measurements(measurements)
    tree = build_tree([each.clique for each in merged], sizes)
    targets = _list_targets(merged, tree, total)
    known = start or {}
    point = _look(tree, targets, tuple(known.get(each.clique, np.zeros(each.shares.shape)) for each in targets))
    step, idle = 1.0, 0
    for _ in range(steps):
        found = _step(tree, targets, point, step * 2)
        if found is None:
            break
        following, step = found
        idle = idle + 1 if point.loss - following.loss < _LEAST_GAIN * point.loss else 0
        point = following
        if idle == _PATIENCE:
            break
    return Model(tree, point.beliefs, {each.clique: own for each, own in zip(targets, point.potentials, strict=True)})


def _list_targets(merged: Sequence[Measurement], tree: JunctionTree, total: float) -> tuple[_Target, ...]:
    whole = sum(each.scale**-2 for each in merged)
    return tuple(
        _Target(each.clique, tree.find_home(each.clique), each.counts / total, each.scale**-2 / whole)
        for each in merged
    )


def _look(tree: JunctionTree, targets: Sequence[_Target], potentials: tuple[Floats, ...]) -> _Point:
    logs = [np.zeros([tree.sizes[column] for column in clique]) for clique in tree.cliques]
    for target, own in zip(targets, potentials, strict=True):
        logs[target.home] += spread(own, target.clique, tree.cliques[target.home])
    beliefs = tuple(calibrate(tree, logs))
    marginals = tuple(reduce_to(beliefs[each.home], tree.cliques[each.home], each.clique) for each in targets)
    gradients = tuple(each.weight * (own - each.shares) for each, own in zip(targets, marginals, strict=True))
    loss = sum(0.5 * float(np.vdot(slope, slope)) / each.weight for each, slope in zip(targets, gradients, strict=True))
    return _Point(potentials, beliefs, marginals, gradients, loss)


def _step(tree: JunctionTree, targets: Sequence[_Target], point: _Point, step: float) -> tuple[_Point, float] | None:
    """Return the next point and the step that led there, halved until the loss falls enough; None if it never does."""
    for _ in range(_HALVINGS):
        moved = tuple(own - step * slope for own, slope in zip(point.potentials, point.gradients, strict=True))
        following = _look(tree, targets, moved)
        promised = sum(
            float(np.vdot(slope, before - after))
            for slope, before, after in zip(point.gradients, point.marginals, following.marginals, strict=True)
        )
        if promised > 0 and point.loss - following.loss >= 0.5 * promised:
            return following, step
        step *= 0.5
    return None
