"""Membership and attribute inference against a program: what its scores tell of whose rows it was trained on.

Sources: likelihood ratio with shadow models, Carlini et al. 2022 (arXiv:2112.03570); threshold of the loss, Yeom et al.
2018 (arXiv:1709.01604), and its attribute advantage; the worst case, an attacker who knows for most people whether they
are members, as in SACRO-ML (Jefferson et al. 2022, arXiv:2212.01233). Scores are put together by entity: the question
is whose rows, not which.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from sandbox.airlock.models.inside.figures import Figures, by_entity, judge
from sandbox.airlock.models.inside.learners import Recipe, fit
from sandbox.airlock.models.inside.program import Array

MOST_SHADOWS: Final = 32
LEAST_SHADOWS: Final = 8
FOLDS: Final = 5
APART: Final = 4.0
"""Standard deviations between a record's scores in and out, above which one look says whether it was in."""

LEAST_GAP: Final = 0.5
"""Confidence that having seen a row must give on average, for a seen holdout to show."""

_CLIP: Final = 1e-4
Score = Callable[[tuple[Array, ...]], Array]


@dataclass(frozen=True, slots=True)
class Sample:
    """The rows of an attack: columns, design of numbers, target (numbers of classes, or values), whose and members."""

    columns: tuple[Array, ...]
    design: Array
    target: Array
    codes: Array
    member: Array
    """By entity: whether the model was trained on them."""

    @property
    def entities(self) -> int:
        """How many people the rows are of."""
        return len(self.member)


@dataclass(frozen=True, slots=True)
class Shadows:
    """What shadow models say of each row: mean and spread of their confidence when it was in and when it was out."""

    count: int
    inside: Array
    outside: Array
    spread_in: Array
    spread_out: Array


def confidence(scores: Array, target: Array, classes: int) -> Array:
    """Return how sure scores are of what is true: log odds of the true class, or the negative log of the error."""
    if classes:
        kept = np.clip(np.nan_to_num(scores), _CLIP, 1 - _CLIP)
        true = kept[np.arange(len(kept)), target]
        other = np.maximum(kept.sum(axis=1) - true, _CLIP)
        return np.asarray(np.log(true) - np.log(other))
    error = (np.nan_to_num(scores[:, 0]) - target) ** 2
    return np.asarray(-np.log(error / max(float(np.var(target)), 1e-12) + 1e-4))


def train_shadows(recipe: Recipe, sample: Sample, seed: np.random.Generator, seconds: float) -> Shadows:
    """Return what models of the recipe, each trained on a random half of all people, say of each row."""
    deadline = time.monotonic() + seconds
    rows = len(sample.target)
    sums = {side: [np.zeros(rows), np.zeros(rows), np.zeros(rows)] for side in (True, False)}
    count = 0
    while count < MOST_SHADOWS and (count < LEAST_SHADOWS or time.monotonic() < deadline):
        half = seed.permutation(sample.entities) < sample.entities // 2
        inside = half[sample.codes]
        learned = fit(recipe, sample.design[inside], sample.target[inside], seed)
        sure = confidence(learned(sample.design), sample.target, recipe.classes)
        for side, chosen in ((True, inside), (False, ~inside)):
            for place, more in enumerate((np.ones(rows), sure, sure**2)):
                sums[side][place] += np.where(chosen, more, 0.0)
        count += 1
    return Shadows(count, *_moments(sums[True], sums[False]))


def _moments(inside: list[Array], outside: list[Array]) -> tuple[Array, Array, Array, Array]:
    made = []
    for number, total, square in (inside, outside):
        mean = total / np.maximum(number, 1)
        spread = np.sqrt(np.maximum(square / np.maximum(number, 1) - mean**2, 0.0))
        made.append((mean, np.maximum(spread, 0.05)))
    return made[0][0], made[1][0], made[0][1], made[1][1]


def likelihood_ratio(sure: Array, shadows: Shadows) -> Array:
    """Return for each row the log of how much likelier its confidence is of one that was in than of one out."""
    width_in, width_out = np.sqrt(np.mean(shadows.spread_in**2)), np.sqrt(np.mean(shadows.spread_out**2))
    near = -np.log(width_in) - (sure - shadows.inside) ** 2 / (2 * width_in**2)
    far = -np.log(width_out) - (sure - shadows.outside) ** 2 / (2 * width_out**2)
    return np.asarray(near - far)


def attack(scores: Array, recipe: Recipe, sample: Sample, shadows: Shadows, seed: np.random.Generator) -> list[Figures]:
    """Return the figures of each attack on these scores of the model under trial."""
    sure = confidence(scores, sample.target, recipe.classes)
    count, codes = sample.entities, sample.codes
    tried = {
        "loss": by_entity(sure, codes, count),
        "likelihood_ratio": by_entity(likelihood_ratio(sure, shadows), codes, count),
        "likelihood_out": by_entity((sure - shadows.outside) / shadows.spread_out, codes, count),
        "worst_case": by_entity(worst_case(scores, sure, sample, seed), codes, count),
    }
    return [judge(name, found, sample.member) for name, found in tried.items()]


def worst_case(scores: Array, sure: Array, sample: Sample, seed: np.random.Generator) -> Array:
    """Return the chance of membership by a forest that was told of all but one fold of people, for that fold's rows."""
    ordered = np.sort(np.nan_to_num(scores), axis=1)[:, ::-1][:, :3]
    known = np.concatenate([sure[:, None], ordered, sample.target[:, None].astype(float)], axis=1)
    member = sample.member[sample.codes].astype(np.int64)
    fold = seed.integers(0, FOLDS, sample.entities)[sample.codes]
    made = np.zeros(len(sure))
    recipe = Recipe("trees", 2, trees=10, depth=5, least=10)
    for one in range(FOLDS):
        told = fold != one
        if len(set(member[told].tolist())) == 2 and (~told).any():
            made[~told] = fit(recipe, known[told], member[told], seed)(known[~told])[:, 1]
    return made


def exposed(sure: Array, shadows: Shadows, sample: Sample) -> tuple[int, int]:
    """Return of how many members one look says that they are in, and of how many outsiders it says so wrongly."""
    gap = (shadows.inside - shadows.outside) / np.sqrt((shadows.spread_in**2 + shadows.spread_out**2) / 2)
    said = (gap > APART) & (np.abs(sure - shadows.inside) < np.abs(sure - shadows.outside))
    found = by_entity(said.astype(float), sample.codes, sample.entities) > 0
    return int((found & sample.member).sum()), int((found & ~sample.member).sum())


def holdout_gain(sure: Array, shadows: Shadows, sample: Sample) -> tuple[float, float]:
    """Return how far the model's confidence about the held out leans to that of models that saw them, and its error.

    0 is what models say that never saw them, 1 what those say that did; the error is a standard error. Where models in
    and out hardly differ there is nothing to lean to: 0.
    """
    outside = ~sample.member
    gap = by_entity(shadows.inside - shadows.outside, sample.codes, sample.entities)[outside]
    lead = by_entity(sure - shadows.outside, sample.codes, sample.entities)[outside]
    scale = float(gap.mean())
    if scale <= LEAST_GAP:
        return 0.0, 0.0
    return float(lead.mean() / scale), float(lead.std(ddof=1) / np.sqrt(len(lead)) / scale)


def infer_attribute(score: Score, sample: Sample, place: int, classes: int) -> tuple[float, float]:
    """Return by how much more of members than of others the value of one column is guessed, and the standard error.

    The attacker knows all else of a row and its target, tries each value, and takes the one that the model finds
    likeliest, weighed by how frequent it is. What holds of others too is knowledge of the population, not of members.
    """
    column = sample.columns[place]
    true, values = _values(column)
    chances = np.bincount(true, minlength=len(values)) / len(true)
    best, guess = np.full(len(true), -np.inf), np.zeros(len(true), np.int64)
    for at, value in enumerate(values):
        tried = list(sample.columns)
        tried[place] = np.full(len(column), value, dtype=column.dtype if column.dtype.kind in "fO" else None)
        sure = confidence(score(tuple(tried)), sample.target, classes)
        likely = -np.logaddexp(0.0, -sure) if classes else sure / 2
        likely = likely + np.log(max(float(chances[at]), 1e-9))
        better = likely > best
        best[better], guess[better] = likely[better], at
    right = by_entity((guess == true).astype(float), sample.codes, sample.entities)
    inside, outside = right[sample.member], right[~sample.member]
    error = np.sqrt(inside.var(ddof=1) / len(inside) + outside.var(ddof=1) / len(outside))
    return float(inside.mean() - outside.mean()), float(error)


def _values(column: Array) -> tuple[Array, Array]:
    """Return the number of each row's value, and the values: all of a few, else the middle of each tenth."""
    if column.dtype.kind in "fiub":
        numbers = np.nan_to_num(column.astype(np.float64))
        values = np.unique(numbers)
        if len(values) <= 20:
            return np.searchsorted(values, numbers), values
        edges = np.unique(np.quantile(numbers, np.linspace(0, 1, 11)[1:-1]))
        true = np.searchsorted(edges, numbers, "left")
        return true, np.asarray(
            [np.median(numbers[true == at]) if (true == at).any() else 0.0 for at in range(len(edges) + 1)]
        )
    texts = column.astype(str)
    values, true, counts = np.unique(texts, return_inverse=True, return_counts=True)
    if len(values) > 50:
        kept = np.argsort(-counts)[:50]
        order = np.full(len(values), 50)
        order[kept] = np.arange(len(kept))
        return order[true], np.concatenate([values[kept].astype(object), ["?"]])
    return np.asarray(true), values.astype(object)
