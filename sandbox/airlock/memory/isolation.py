"""Whether any combination of released figures rests on a few entities alone: every sum and difference at once.

Words: a combination gives each entity a *weight*, the sum over its cells of factor times what it adds there; it *rests
on* the entities whose weight is not zero. Subtracting two nested populations, a margin less its cells, a sum of
disjoint cells against another table are combinations; so is any other. The *leverage* of an entity is the largest share
that it can have in the squared weights of a combination.

How they are found. In a combination of equal weights on fewer than k entities each has a share of 1 / (k - 1) or more,
and so has at least that leverage: these are the candidates. The combinations that rest on candidates alone are a linear
space, found as the null space of everybody else's weights; within it leverage is measured anew, until nobody falls out.
If nobody or nothing is left, there is no such combination of however many of the outputs; otherwise its sparsest
members are read from an echelon form. This is linear algebra and no search. Where weights differ (an entity has other
numbers of rows in other cells) each entity is scaled to its largest first, which changes no support.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from sandbox.airlock.memory.atoms import Atoms
from sandbox.airlock.memory.layers import Array

ZERO: Final = 1e-11
CONFINED: Final = 1e-6
ROUNDS: Final = 50
CHUNK: Final = 200_000


@dataclass(frozen=True, slots=True)
class Isolated:
    """A combination that rests on few entities: on how many, and the outputs (by number) whose cells it takes."""

    entities: int
    outputs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Isolation:
    """Combinations on fewer entities than the limit, and how many independent ones rest on candidates at all.

    `sure` is false where such are left of which none could be shown to rest on few: people judge.
    """

    found: tuple[Isolated, ...]
    freedom: int
    sure: bool


NONE: Final = Isolation((), 0, sure=True)


def find_isolated(atoms: Atoms, limit: int, *, only: Array | None = None) -> Isolation:
    """Return the combinations of figures (`only`: of these columns) that rest on fewer than `limit` entities."""
    weights, outputs = (atoms.weights, atoms.outputs) if only is None else (atoms.weights[:, only], atoms.outputs[only])
    if limit <= 1 or weights.shape[1] == 0 or weights.nnz == 0:
        return NONE
    scaled = _scale(weights, atoms.sizes)
    whole = _gram(scaled, atoms.sizes)
    everything = _range_of(whole)
    candidates = np.arange(weights.shape[0])
    space = everything
    for _ in range(ROUNDS):
        leverage = _leverage(scaled, space, candidates)
        fresh = candidates[leverage >= 1 / (limit - 1) - 1e-6]
        if len(fresh) == 0:
            return NONE
        outside = np.ones(weights.shape[0], dtype=bool)
        outside[fresh] = False
        confined = _confined(everything, _gram(scaled[outside], atoms.sizes[outside]))
        if confined.shape[1] == 0:
            return NONE
        settled, candidates = len(fresh) == len(candidates), fresh
        inside = _gram(scaled[candidates], atoms.sizes[candidates])
        space = confined @ _range_of(confined.T @ inside @ confined)
        if settled:
            break
    return _read(scaled, space, candidates, atoms.sizes, outputs, limit)


def _scale(weights: Any, sizes: Array) -> Any:
    """Return the weights with each entity's largest as one, and each cell's squares adding up to one."""
    largest = np.asarray(weights.max(axis=1).todense()).ravel()
    level = weights.multiply(1 / np.maximum(largest, 1)[:, None]).tocsr()
    norm = np.sqrt(np.asarray(level.power(2).T @ sizes.astype(float)).ravel())
    return level.multiply(1 / np.maximum(norm, 1e-12)).tocsr()


def _gram(scaled: Any, sizes: Array) -> Array:
    return np.asarray((scaled.T @ scaled.multiply(sizes.astype(float)[:, None])).todense())


def _leverage(scaled: Any, space: Array, places: Array) -> Array:
    """Return the leverage of one entity of each atom, within the combinations of `space` (orthonormal on all)."""
    parts = [places[start : start + CHUNK] for start in range(0, len(places), CHUNK)]
    return np.concatenate([np.square(scaled[part] @ space).sum(axis=1) for part in parts])


def _range_of(gram: Array) -> Array:
    """Return a base in which this quadratic form is the identity; what weighs nothing in it is left out."""
    values, vectors = np.linalg.eigh(gram)
    kept = values > ZERO * max(float(values.max(initial=0)), 1.0)
    return np.asarray(vectors[:, kept] / np.sqrt(values[kept]))


def _confined(everything: Array, outside: Array) -> Array:
    """Return a base of the combinations of which no share lies outside."""
    values, vectors = np.linalg.eigh(everything.T @ outside @ everything)
    return np.asarray(everything @ vectors[:, values < CONFINED])


def _read(
    scaled: Any, space: Array, candidates: Array, sizes: Array, outputs: Array, limit: int
) -> Isolation:  # fmt: skip
    """Return the combinations of a space, made sparse by an echelon form over the candidates."""
    rows, factors = _echelon(np.asarray(scaled[candidates] @ space).T, space.T)
    found = []
    for row, factor in zip(rows, factors, strict=True):
        entities = int(sizes[candidates[np.abs(row) > 1e-5]].sum())
        if entities < limit:
            used = np.unique(outputs[np.abs(factor) > 1e-6 * np.abs(factor).max()])
            found.append(Isolated(entities, tuple(int(one) for one in used)))
    return Isolation(tuple(found), len(rows), sure=bool(found))


def _echelon(rows: Array, factors: Array) -> tuple[Array, Array]:
    """Return the reduced echelon form of the rows, and `factors` after the same steps."""
    size = np.maximum(np.abs(rows).max(axis=1, keepdims=True), 1e-300)
    rows, factors, place = rows / size, factors / size, 0
    for column in range(rows.shape[1]):
        if place == len(rows):
            break
        pivot = place + int(np.argmax(np.abs(rows[place:, column])))
        if abs(rows[pivot, column]) < 1e-6:
            continue
        rows[[place, pivot]], factors[[place, pivot]] = rows[[pivot, place]], factors[[pivot, place]]
        factors[place] /= rows[place, column]
        rows[place] /= rows[place, column]
        others = np.arange(len(rows)) != place
        factors[others] -= np.outer(rows[others, column], factors[place])
        rows[others] -= np.outer(rows[others, column], rows[place])
        place += 1
    return rows[:place], factors[:place]
