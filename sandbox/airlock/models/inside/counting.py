"""What the training rows say of a program: people in each leaf, behind categories and classes, rows among weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from sandbox.airlock.models.inside.arithmetic import leaves, matches, run
from sandbox.airlock.models.inside.program import CATEGORICAL, TREES, Array, Program, Step

FEW: Final = 10
WINDOW: Final = 3
"""How many values in a row make a trace of a row."""

MOST_WINDOWS: Final = 2_000_000


@dataclass(slots=True)
class Counts:
    """People at the thinnest place of a program, None where it has no such place; `thin` is how many lie below ten."""

    leaf: int | None = None
    leaves: int = 0
    thin_leaves: int = 0
    trees: int = 0
    category: int | None = None
    thin_categories: int = 0
    extremes: int = 0


def count(program: Program, columns: tuple[Array, ...], codes: Array, least: int = FEW) -> Counts:
    """Return how many people stand behind each leaf, each category and each scale, over the training rows."""
    found = Counts()

    def watch(step: Step, given: Array) -> None:
        if step.op == TREES:
            _count_leaves(found, step.attributes, given, codes, least)
        elif step.op in CATEGORICAL:
            _count_categories(found, step.attributes, given, codes, least)
        elif step.op == "Scale" and given.ndim == 2 and given.dtype.kind in "fiu":
            found.extremes += _extremes(step.attributes, given, codes, least)

    run(program, columns, watch)
    return found


def _count_leaves(found: Counts, trees: Mapping[str, Any], given: Array, codes: Array, least: int) -> None:
    ended = leaves(trees, given)
    leaf = np.flatnonzero(np.asarray(trees["left"]) < 0)
    people = np.zeros(len(np.asarray(trees["left"])), dtype=np.int64)
    for one in ended.T:
        pairs = np.unique(one.astype(np.int64) * (codes.max() + 1) + codes)
        people += np.bincount(pairs // (codes.max() + 1), minlength=len(people))
    here = people[leaf]
    found.leaf = int(min(here.min(), here.min() if found.leaf is None else found.leaf))
    found.leaves += len(leaf)
    found.thin_leaves += int((here < least).sum())
    found.trees += len(np.asarray(trees["roots"]))


def _count_categories(found: Counts, attributes: Mapping[str, Any], given: Array, codes: Array, least: int) -> None:
    table = given if given.ndim > 1 else given[:, None]
    for place, category in zip(np.asarray(attributes["place"]).tolist(), attributes["category"], strict=True):
        column = table[:, int(place)]
        people = len(np.unique(codes[matches(column, category)]))
        found.category = people if found.category is None else min(found.category, people)
        found.thin_categories += people < least


def _extremes(attributes: Mapping[str, Any], given: Array, codes: Array, least: int) -> int:
    """Return how many ends of a scale are the smallest or largest value of a column that fewer than ten people have."""
    offset, scale = np.atleast_1d(attributes["offset"]).astype(float), np.atleast_1d(attributes["scale"]).astype(float)
    hits = 0
    for place, column in enumerate(given.astype(float).T):
        at, by = offset[place % len(offset)], scale[place % len(scale)]
        known = column[np.isfinite(column)]
        for end in (known.min(), known.max()) if len(known) else ():
            few = len(np.unique(codes[column == end])) < least
            told = np.isclose([at, at + 1 / by if by else at], end, rtol=1e-6, atol=1e-9).any()
            hits += bool(few and told and end != 0)
    return hits


def count_classes(target: Array, codes: Array, classes: int) -> int:
    """Return the people behind the class of fewest."""
    return min((len(np.unique(codes[target == one])) for one in range(classes)), default=0)


def overlap(program: Program, columns: tuple[Array, ...], codes: Array) -> tuple[int, float]:
    """Return how many people have a row that stands among the program's numbers, and the share of all that is.

    A trace is three neighbouring numeric values of a row, as they are, standardised or scaled to their range, in the
    order of the columns or of the rows' next column but one, that fewer than ten people share.
    """
    numeric = [column.astype(np.float64) for column in columns if column.dtype.kind in "fiu"]
    if len(numeric) < WINDOW:
        return 0, 0.0
    table = np.nan_to_num(np.stack(numeric, axis=1))
    held = np.unique(np.concatenate([_windows(array) for array in _vectors(program)] or [np.zeros(0, np.uint64)]))
    if not len(held):
        return 0, 0.0
    people: set[int] = set()
    for form in _forms(table):
        for start in range(form.shape[1] - WINDOW + 1):
            part = form[:, start : start + WINDOW]
            hashed = _hash(part)
            telling = (np.abs(part) > 1e-12).all(axis=1) & (np.ptp(part, axis=1) > 0)
            hit = np.isin(hashed, held) & telling
            if hit.any():
                keys, inverse = np.unique(hashed[hit], return_inverse=True)
                pairs = np.unique(np.stack([inverse, codes[hit]], axis=1), axis=0)
                few = np.bincount(pairs[:, 0], minlength=len(keys)) < FEW
                people |= set(pairs[few[pairs[:, 0]], 1].tolist())
    return len(people), len(people) / max(1, len(np.unique(codes)))


def _forms(table: Array) -> Iterator[Array]:
    yield table
    yield (table - table.mean(axis=0)) / np.maximum(table.std(axis=0), 1e-12)
    yield (table - table.min(axis=0)) / np.maximum(np.ptp(table, axis=0), 1e-12)


def _vectors(program: Program) -> Iterator[Array]:
    """Yield every array of numbers, as it is and turned."""
    for _, array in program.arrays():
        if array.dtype.kind in "fiu" and array.size >= WINDOW:
            yield array.astype(np.float64)
            if array.ndim == 2:
                yield array.astype(np.float64).T


def _windows(array: Array) -> Array:
    """Return the hashes of every run of three neighbouring numbers along the last axis."""
    rows = array.reshape(-1, array.shape[-1]) if array.ndim > 1 else array[None, :]
    if rows.shape[1] < WINDOW:
        rows = array.reshape(1, -1)
    runs = np.lib.stride_tricks.sliding_window_view(rows, WINDOW, axis=1).reshape(-1, WINDOW)[:MOST_WINDOWS]
    return _hash(runs)


def _hash(rows: Array) -> Array:
    """Return one number for each row: of its values to four significant digits, so that float32 finds float64."""
    with np.errstate(divide="ignore", invalid="ignore"):
        size = np.where(rows == 0, 1.0, 10.0 ** (np.floor(np.log10(np.abs(rows))) - 3))
        rounded = np.where(rows == 0, 0.0, np.round(rows / size) * size)
    bits = np.round(rounded, 9).astype(np.float32).view(np.uint32).astype(np.uint64)
    mixed = np.zeros(len(rows), dtype=np.uint64)
    for column in bits.T:
        mixed = (mixed ^ column) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(29)
    return mixed
