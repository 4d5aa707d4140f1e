"""All that is measured of a program: counts over the training rows, then the attacks over a sample of people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import polars as pl

from sandbox.airlock.models.inside import attacks, counting
from sandbox.airlock.models.inside.arithmetic import MOST_DEPTH, ProgramFault, run
from sandbox.airlock.models.inside.figures import Z95
from sandbox.airlock.models.inside.learners import Recipe, design
from sandbox.airlock.models.inside.program import TREES, Array, Program

LEAST_PEOPLE: Final = 50
"""Members and held-out people that an attack needs at least; with fewer its figures say nothing."""

_CHOSEN: Final = 512
_COUNTED_ROWS: Final = 1_000_000
_SAMPLED_PEOPLE: Final = 5_000
_SAMPLED_ROWS: Final = 20_000


class Unmeasured(ValueError):
    """Something could not be measured; the message says what, in words of our own."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be measured: the task, classes by name in the order of the scores, places of sensitive columns."""

    task: str
    classes: tuple[str, ...]
    sensitive: Mapping[str, int]
    seconds: float = 60.0
    seed: int = 0
    least: int = counting.FEW


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows that a model is about: columns, target, whose each row is, members by person."""

    columns: tuple[Array, ...]
    target: Array
    codes: Array
    member: Array

    def of(self, chosen: Array) -> Rows:
        """Return the chosen rows, with people numbered anew."""
        kept, codes = np.unique(self.codes[chosen], return_inverse=True)
        return Rows(
            tuple(one[chosen] for one in self.columns), self.target[chosen], codes, self.member[kept],
        )  # fmt: skip


def load(path: str, columns: int) -> Rows:
    """Return the rows that the platform prepared: `x0` … of the model, `target`, `entity`, `member`."""
    frame = pl.read_parquet(path, glob=False)
    if frame.height > _COUNTED_ROWS:
        # Fewer rows can only make a place look thinner than it is: what passes on them passes on all. Rows among the
        # program's numbers are looked for in files of their own (`find_rows`), of which none is left out.
        frame = frame.sample(_COUNTED_ROWS, seed=0)
    _, codes = np.unique(frame["entity"].to_numpy(), return_inverse=True)
    member = np.zeros(int(codes.max(initial=-1)) + 1, dtype=bool)
    member[codes] = frame["member"].to_numpy()
    given = tuple(_array(frame[f"x{place}"]) for place in range(columns))
    return Rows(given, _array(frame["target"]), codes, member)


def _array(series: pl.Series) -> Array:
    if series.dtype == pl.Boolean or series.dtype.is_numeric():
        return np.asarray(series.cast(pl.Float64).fill_null(float("nan")).to_numpy())
    return np.asarray(series.cast(pl.String).fill_null("").to_numpy(), dtype=object)


def measure(program: Program, rows: Rows, asked: Asked, also: Sequence[str] = ()) -> dict[str, Any]:
    """Return every figure of `Evidence`; raises Unmeasured or ProgramFault with the step that cannot be done.

    `also` are files with the numbers of all releases that the notebook could read: they are looked for in the program.
    """
    inside = rows.of(rows.member[rows.codes])
    if len(inside.member) < LEAST_PEOPLE or len(rows.member) - len(inside.member) < LEAST_PEOPLE:
        raise Unmeasured(f"fewer than {LEAST_PEOPLE} people to train on or held out")
    counts = counting.count(program, inside.columns, inside.codes, asked.least)
    people, share = max((find_rows(program, path) for path in also), default=(0, 0.0))
    seed = np.random.default_rng(asked.seed)
    classes = _classes(program, rows, asked)
    sample = _sample(rows, classes, seed)
    found = {
        "entities": len(inside.member), "holdout": len(rows.member) - len(inside.member),
        "cells": len(inside.member) * (len(rows.columns) + 1), "free": free_numbers(program),
        "numbers": program.numbers, "texts": program.texts(), "overlap_people": people, "overlap_share": share,
        "class_least": counting.count_classes(_labelled(inside.target, classes), inside.codes, len(classes))
        if classes else None,
        **asdict(counts),
    }  # fmt: skip
    return found | _attacked(program, sample, classes, counts, asked, seed)


def find_rows(program: Program, path: str) -> tuple[int, float]:
    """Return of how many people of a release a row stands among the program's numbers, and their share.

    Every row is looked at, a part after the other: which rows a sample had, whoever hides others could know.
    """
    rows = pl.scan_parquet(path, glob=False)
    names = [name for name in rows.collect_schema().names() if name.startswith("n")]
    if not names:
        return 0, 0.0
    plain = pl.col(names).fill_null(0.0).fill_nan(0.0)
    ends = rows.select(
        plain.mean().name.suffix(" m"), plain.std(ddof=0).name.suffix(" d"), plain.min().name.suffix(" l"),
        plain.max().name.suffix(" h"), pl.col("entity").n_unique().alias("people"), pl.len().alias("rows"),
    ).collect(engine="streaming").row(0, named=True)  # fmt: skip
    mean, deviation, low, high = (np.array([ends[f"{name} {end}"] or 0.0 for name in names]) for end in "mdlh")
    spread = counting.Spread(mean, deviation, low, high)
    found: set[int] = set()
    for start in range(0, int(ends["rows"]), _COUNTED_ROWS):
        part = rows.slice(start, _COUNTED_ROWS).collect(engine="streaming")
        numeric = [_array(part[name]) for name in names]
        found |= counting.overlap(program, numeric, part["entity"].to_numpy().view(np.int64), spread)
    return len(found), len(found) / max(1, int(ends["people"]))


def _attacked(
    program: Program, sample: attacks.Sample, classes: Sequence[str], counts: counting.Counts, asked: Asked,
    seed: np.random.Generator,
) -> dict[str, Any]:  # fmt: skip
    def score(columns: tuple[Array, ...]) -> Array:
        return probabilities(run(program, columns), len(classes))

    recipe = recipe_of(program, len(classes), counts.leaf)
    shadows = attacks.train_shadows(recipe, sample, seed, asked.seconds)
    scores = score(sample.columns)
    sure = attacks.confidence(scores, sample.target, len(classes))
    exposed, wrongly = attacks.exposed(sure, shadows, sample)
    gain, error = attacks.holdout_gain(sure, shadows, sample)
    guessed = []
    for name, place in asked.sensitive.items():
        advantage, wide = attacks.infer_attribute(score, sample, place, len(classes))
        guessed.append({"column": name, "advantage": advantage, "low": advantage - Z95 * wide})
    return {
        "attacks": [asdict(one) for one in attacks.attack(scores, recipe, sample, shadows, seed)],
        "shadows": shadows.count, "exposed": exposed, "exposed_wrongly": wrongly, "holdout_gain": gain,
        "holdout_error": error, "attributes": guessed, **_quality(scores, sample, len(classes)),
    }  # fmt: skip


def _quality(scores: Array, sample: attacks.Sample, classes: int) -> dict[str, float]:
    """Return how well the model does for the held out, and a model that knows the target's distribution alone."""
    held = ~sample.member[sample.codes]
    target = sample.target[held]
    if classes:
        shares = np.bincount(target, minlength=classes) / max(1, len(target))
        return {
            "quality": float((scores[held].argmax(axis=1) == target).mean()),
            "quality_baseline": float(shares.max()),
        }
    error = float(np.mean((scores[held, 0] - target) ** 2) / max(float(np.var(target)), 1e-12))
    return {"quality": max(-1e6, 1.0 - error), "quality_baseline": 0.0}


def _classes(program: Program, rows: Rows, asked: Asked) -> tuple[str, ...]:
    if asked.task != "classification":
        return ()
    named = program.classes or asked.classes or tuple(sorted({_text(one) for one in rows.target.tolist()}))
    if not 2 <= len(named) <= 64:
        raise Unmeasured("a classification of fewer than 2 or more than 64 classes")
    return tuple(named)


def _sample(rows: Rows, classes: Sequence[str], seed: np.random.Generator) -> attacks.Sample:
    """Return rows of at most so many members and as many others, without rows whose target is missing or no class."""
    chosen = np.zeros(len(rows.member), dtype=bool)
    for side in (rows.member, ~rows.member):
        chosen[seed.permutation(np.flatnonzero(side))[:_SAMPLED_PEOPLE]] = True
    target = _labelled(rows.target, classes) if classes else rows.target
    known = target >= 0 if classes else np.isfinite(np.asarray(target, np.float64))
    kept = np.flatnonzero(chosen[rows.codes] & known)
    if len(kept) > _SAMPLED_ROWS:
        kept = np.sort(seed.permutation(kept)[:_SAMPLED_ROWS])
    part = rows.of(kept)
    if len(part.member) == 0 or min(part.member.sum(), (~part.member).sum()) < LEAST_PEOPLE:
        raise Unmeasured("too few rows whose target is one of the model's classes")
    return attacks.Sample(part.columns, design(part.columns), target[kept], part.codes, part.member)


def _labelled(target: Array, classes: Sequence[str]) -> Array:
    """Return the number of each row's class, -1 for none of them."""
    numbers = {name: place for place, name in enumerate(classes)}
    for place, name in enumerate(classes):
        numbers.setdefault({"True": "1", "False": "0", "true": "1", "false": "0"}.get(name, name), place)
    return np.asarray([numbers.get(_text(one), -1) for one in target.tolist()], dtype=np.int64)


def _text(value: Any) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def probabilities(scores: Array, classes: int) -> Array:
    """Return scores as chances of each class: as they are, of the second class alone, or as logarithms of odds."""
    if not classes:
        return scores
    if scores.shape[1] == 1 and classes == 2:
        scores = np.concatenate([1.0 - scores, scores], axis=1)
    if scores.shape[1] != classes:
        raise ProgramFault("its scores are not as many as its classes")
    if scores.min() < -1e-6 or scores.max() > 1 + 1e-6:
        raised = np.exp(scores - scores.max(axis=1, keepdims=True))
        return np.asarray(raised / raised.sum(axis=1, keepdims=True))
    return scores


def free_numbers(program: Program) -> int:
    """Return the numbers that fitting chose: weights, and of trees each split's threshold and each leaf's score."""
    total = sum(array.size for array in program.constants.values())
    for step in program.steps:
        if step.op == TREES:
            inner = int((np.asarray(step.attributes["left"]) >= 0).sum())
            total += (
                2 * inner
                + (inner + len(np.asarray(step.attributes["roots"]))) * np.asarray(step.attributes["value"]).shape[1]
            )
        else:
            total += sum(array.size for name, array in step.arrays if name != "columns" or array.size > _CHOSEN)
    return int(total)


def recipe_of(program: Program, classes: int, least: int | None) -> Recipe:
    """Return what the attack's own models are: the program's family, its number and depth of trees or its layers."""
    trees = [step for step in program.steps if step.op == TREES]
    if trees:
        step = max(trees, key=lambda one: len(np.asarray(one.attributes["roots"])))
        number = len(np.asarray(step.attributes["roots"]))
        return Recipe(program.family, classes, number, min(depth_of(step.attributes), 16), max(1, least or 1))
    wide = [one.shape for _, one in program.arrays() if one.ndim == 2 and one.dtype.kind == "f"]
    hidden = tuple(min(64, max(1, shape[1])) for shape in wide[:-1]) if program.family == "network" else ()
    return Recipe(program.family if hidden else "linear", classes, hidden=hidden)


def depth_of(table: Mapping[str, Any]) -> int:
    """Return how many splits the deepest leaf lies below its root."""
    left, right = np.asarray(table["left"]), np.asarray(table["right"])
    level = np.asarray(table["roots"])
    for depth in range(MOST_DEPTH + 1):
        level = level[left[level] >= 0]
        if not len(level):
            return depth
        level = np.concatenate([left[level], right[level]])
    return MOST_DEPTH
