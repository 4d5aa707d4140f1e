"""Learners that the attack trains itself: its shadow models are of the same family and size as the model under trial.

They fit numbers only: `design` turns columns into numbers. Scores of classes are probabilities, those of a regression
are values. numpy alone: nothing of the submitted file takes part.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from sandbox.airlock.models.inside.program import Array

BINS: Final = 64
MOST_CATEGORIES: Final = 50
Predict = Callable[[Array], Array]


@dataclass(frozen=True, slots=True)
class Recipe:
    """What to train: family, classes (or 0), number and depth of trees, least rows of a leaf, sizes of layers."""

    family: str
    classes: int
    trees: int = 1
    depth: int = 6
    least: int = 1
    hidden: tuple[int, ...] = ()


def design(columns: tuple[Array, ...]) -> Array:
    """Return columns as numbers: a mean for what is missing, texts as indicators of their most frequent values."""
    made: list[Array] = []
    for column in columns:
        if column.dtype.kind in "fiub":
            numbers = column.astype(np.float64)
            known = numbers[np.isfinite(numbers)]
            made.append(np.where(np.isfinite(numbers), numbers, known.mean() if len(known) else 0.0)[:, None])
        else:
            values, counts = np.unique(column.astype(str), return_counts=True)
            kept = values[np.argsort(-counts)[:MOST_CATEGORIES]]
            made.append((column.astype(str)[:, None] == kept[None, :]).astype(np.float64))
    return np.concatenate(made, axis=1)


def fit(recipe: Recipe, table: Array, target: Array, seed: np.random.Generator) -> Predict:
    """Return a learner of the recipe trained on these rows; `target` are numbers of classes, or values."""
    if recipe.family in ("trees", "boosting"):
        return _fit_trees(recipe, table, target, seed)
    centre, spread = table.mean(axis=0), table.std(axis=0) + 1e-9

    def scaled(rows: Array) -> Array:
        return np.asarray(np.clip((rows - centre) / spread, -10, 10))

    inner = _fit_network if recipe.family == "network" and recipe.hidden else _fit_linear
    learned = inner(recipe, scaled(table), target, seed)
    return lambda rows: learned(scaled(rows))


def _fit_linear(recipe: Recipe, table: Array, target: Array, _: np.random.Generator) -> Predict:
    wide = np.concatenate([table, np.ones((len(table), 1))], axis=1)
    penalty = 1e-2 * np.eye(wide.shape[1])
    if not recipe.classes:
        weights = np.linalg.solve(wide.T @ wide + penalty, wide.T @ target)
        return lambda rows: np.asarray(rows @ weights[:-1] + weights[-1])[:, None]
    learned = np.stack([_newton(wide, (target == one).astype(float), penalty) for one in range(recipe.classes)], axis=1)

    def predict(rows: Array) -> Array:
        raw = 1 / (1 + np.exp(-np.clip(rows @ learned[:-1] + learned[-1], -30, 30)))
        return np.asarray(raw / np.maximum(raw.sum(axis=1, keepdims=True), 1e-12))

    return predict


def _newton(wide: Array, hit: Array, penalty: Array) -> Array:
    """Return the weights of a logistic regression after eight steps of Newton's method."""
    weights = np.zeros(wide.shape[1])
    for _ in range(8):
        chance = 1 / (1 + np.exp(-np.clip(wide @ weights, -30, 30)))
        width = np.maximum(chance * (1 - chance), 1e-6)
        steep = wide.T @ (hit - chance) - penalty @ weights
        weights = weights + np.linalg.solve((wide * width[:, None]).T @ wide + penalty, steep)
    return weights


def _fit_network(recipe: Recipe, table: Array, target: Array, seed: np.random.Generator) -> Predict:
    """Return dense layers with rectifiers, trained by Adam on the whole table."""
    goal = np.eye(recipe.classes)[target] if recipe.classes else target[:, None].astype(float)
    middle, width = (0.0, 1.0) if recipe.classes else (float(goal.mean()), float(goal.std() + 1e-9))
    goal = (goal - middle) / width
    sizes = (table.shape[1], *recipe.hidden[:3], goal.shape[1])
    parts = [seed.normal(0, np.sqrt(2 / one), (one, other)) for one, other in pairwise(sizes)]
    parts += [np.zeros(one) for one in sizes[1:]]
    first, second = [np.zeros_like(one) for one in parts], [np.zeros_like(one) for one in parts]
    for step in range(1, 201):
        for place, steep in enumerate(_steep(parts, table, goal, classes=bool(recipe.classes))):
            first[place] = 0.9 * first[place] + 0.1 * steep
            second[place] = 0.999 * second[place] + 0.001 * steep**2
            moved = first[place] / (1 - 0.9**step) / (np.sqrt(second[place] / (1 - 0.999**step)) + 1e-8)
            parts[place] = parts[place] - 0.01 * moved

    def predict(rows: Array) -> Array:
        raw = _forward(parts, rows)[-1]
        return _softmax(raw) if recipe.classes else np.asarray(raw * width + middle)

    return predict


def _forward(parts: list[Array], rows: Array) -> list[Array]:
    layers = len(parts) // 2
    values = [rows]
    for place in range(layers):
        raw = values[-1] @ parts[place] + parts[layers + place]
        values.append(np.maximum(raw, 0) if place < layers - 1 else raw)
    return values


def _steep(parts: list[Array], rows: Array, goal: Array, *, classes: bool) -> list[Array]:
    """Return the gradient of cross entropy, or of squared error, by each part."""
    layers, values = len(parts) // 2, _forward(parts, rows)
    back = ((_softmax(values[-1]) if classes else values[-1]) - goal) / len(rows)
    found: list[Array] = [back] * len(parts)
    for place in range(layers - 1, -1, -1):
        found[place], found[layers + place] = values[place].T @ back, back.sum(axis=0)
        back = (back @ parts[place].T) * (values[place] > 0)
    return found


def _softmax(raw: Array) -> Array:
    made = np.exp(raw - raw.max(axis=1, keepdims=True))
    return np.asarray(made / made.sum(axis=1, keepdims=True))


def _fit_trees(recipe: Recipe, table: Array, target: Array, seed: np.random.Generator) -> Predict:
    edges = [np.unique(np.quantile(one, np.linspace(0, 1, BINS + 1)[1:-1])) for one in table.T]

    def binned(rows: Array) -> Array:
        return np.stack([np.searchsorted(edge, one, "left") for edge, one in zip(edges, rows.T, strict=True)], axis=1)

    goal = np.eye(recipe.classes)[target] if recipe.classes else target[:, None].astype(float)
    places, grown = binned(table), []
    if recipe.family == "boosting":
        base, made = goal.mean(axis=0), np.zeros_like(goal)
        for _ in range(min(recipe.trees, 40)):
            rest = goal - (_softmax(made) if recipe.classes else made + base)
            tree = grow(places, rest, recipe, seed, every=True)
            made += 0.3 * tree.predict(places)
            grown.append(tree)

        def boosted(rows: Array) -> Array:
            at = binned(rows)
            total = 0.3 * np.sum([tree.predict(at) for tree in grown], axis=0)
            return _softmax(total) if recipe.classes else np.asarray(total + base)

        return boosted
    several = recipe.trees > 1
    for _ in range(min(recipe.trees, 10)):
        taken = seed.integers(0, len(table), len(table)) if several else np.arange(len(table))
        grown.append(grow(places[taken], goal[taken], recipe, seed, every=not several))

    def predict(rows: Array) -> Array:
        at = binned(rows)
        return np.asarray(np.mean([tree.predict(at) for tree in grown], axis=0))

    return predict


@dataclass(frozen=True, slots=True)
class Tree:
    """A grown tree over bins: column and last left bin of each node, its left child (the right one follows), values."""

    column: Array
    bin: Array
    left: Array
    value: Array
    depth: int

    def predict(self, places: Array) -> Array:
        """Return the value of the leaf of each row."""
        at, row = np.zeros(len(places), dtype=np.int64), np.arange(len(places))
        for _ in range(self.depth + 1):
            right = places[row, self.column[at]] > self.bin[at]
            at = np.where(self.left[at] >= 0, self.left[at] + right, at)
        return np.asarray(self.value[at])


def grow(places: Array, goal: Array, recipe: Recipe, seed: np.random.Generator, *, every: bool) -> Tree:
    """Return a tree that lessens the variance of `goal` most at each split, a whole level at a time."""
    column, edge, left, value = (
        [np.zeros(1, np.int64)],
        [np.zeros(1, np.int64)],
        [np.full(1, -1)],
        [goal.mean(axis=0)[None]],
    )
    at, count, level = np.zeros(len(places), dtype=np.int64), 1, np.zeros(1, np.int64)
    wide = places.shape[1]
    for _ in range(recipe.depth):
        local = np.searchsorted(level, at)
        live = (local < len(level)) & (level[np.minimum(local, len(level) - 1)] == at)
        chosen = np.arange(wide) if every else seed.permutation(wide)[: max(1, int(np.ceil(np.sqrt(wide))))]
        gain, where, split = _best(places[live], goal[live], local[live], len(level), chosen, recipe.least)
        parting = np.flatnonzero(gain > 1e-12)
        if not len(parting):
            break
        child = np.full(len(level), -1)
        child[parting] = count + 2 * np.arange(len(parting))
        _set(column, level[parting], where[parting])
        _set(edge, level[parting], split[parting])
        _set(left, level[parting], child[parting])
        inner = np.flatnonzero(live)[child[local[live]] >= 0]
        group = local[inner]
        at[inner] = child[group] + (places[inner, where[group]] > split[group])
        fresh = 2 * len(parting)
        level = count + np.arange(fresh)
        hits = np.maximum(1, np.bincount(at[inner] - count, minlength=fresh))
        sums = [np.bincount(at[inner] - count, weights=one, minlength=fresh) for one in goal[inner].T]
        means = np.stack(sums, axis=1) / hits[:, None]
        grown = (np.zeros(fresh, np.int64), np.zeros(fresh, np.int64), np.full(fresh, -1), means)
        for held, more in zip((column, edge, left, value), grown, strict=True):
            held[0] = np.concatenate([held[0], more])
        count += fresh
    return Tree(column[0], edge[0], left[0], value[0], recipe.depth)


def _set(held: list[Array], places: Array, values: Array) -> None:
    held[0][places] = values


def _best(
    places: Array, goal: Array, group: Array, groups: int, chosen: Array, least: int
) -> tuple[Array, Array, Array]:
    """Return for each group the best gain, the column and the last bin that goes left."""
    gain, where, split = np.zeros(groups), np.zeros(groups, np.int64), np.zeros(groups, np.int64)
    total = np.bincount(group, minlength=groups).astype(float)
    sums = np.stack([np.bincount(group, weights=one, minlength=groups) for one in goal.T])
    whole = (sums**2).sum(axis=0) / np.maximum(total, 1)
    for one in chosen:
        cell = group * BINS + places[:, one]
        hits = np.bincount(cell, minlength=groups * BINS).reshape(groups, BINS).cumsum(axis=1)
        score = np.zeros((groups, BINS))
        for each, all_ in zip(goal.T, sums, strict=True):
            low = np.bincount(cell, weights=each, minlength=groups * BINS).reshape(groups, BINS).cumsum(axis=1)
            score += low**2 / np.maximum(hits, 1) + (all_[:, None] - low) ** 2 / np.maximum(total[:, None] - hits, 1)
        score -= whole[:, None]
        score[(hits < least) | (total[:, None] - hits < least)] = 0.0
        best = score.argmax(axis=1)
        better = score[np.arange(groups), best] > gain
        gain[better], where[better], split[better] = score[np.arange(groups), best][better], one, best[better]
    return gain, where, split
