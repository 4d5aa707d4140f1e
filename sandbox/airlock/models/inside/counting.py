"""What the training rows say of a program: people in each leaf, behind categories and classes, rows among weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from sandbox.airlock.models.inside.arithmetic import leaves, matches, run
from sandbox.airlock.models.inside.program import CATEGORICAL, TREES, Array, Program, Step

FEW: Final = 10
WINDOW: Final = 3
"""How many values in a row make a trace of a row."""

MOST_WINDOWS: Final = 2_000_000
_THRESHOLDS: Final = f"{TREES} threshold"


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


@dataclass(frozen=True, slots=True)
class Spread:
    """Mean, deviation, smallest and largest value of each numeric column of a whole release."""

    mean: Array
    deviation: Array
    low: Array
    high: Array


def spread_of(table: Array) -> Spread:
    """Return the spread of these rows."""
    return Spread(table.mean(axis=0), table.std(axis=0), table.min(axis=0), table.max(axis=0))


def overlap(program: Program, numeric: Sequence[Array], codes: Array, spread: Spread | None = None) -> set[int]:
    """Return the people (by code) of whom a row, or a run of a column, stands among the program's numbers.

    A trace of a row is three neighbouring numeric values of it, as they are, standardised or scaled to their range (by
    `spread`, that of these rows where none is given), that fewer than ten people share. A trace of a column is three
    neighbouring numbers of the program that are such values of one column, digit for digit.
    """
    if not numeric or not len(codes):
        return set()
    table = np.nan_to_num(np.stack([column.astype(np.float64) for column in numeric], axis=1))
    found = _runs(program, table, codes)
    held = np.unique(np.concatenate([_windows(array) for array in _vectors(program)] or [np.zeros(0, np.uint64)]))
    if not len(held) or table.shape[1] < WINDOW:
        return found
    for form in _forms(table, spread or spread_of(table)):
        for start in range(form.shape[1] - WINDOW + 1):
            part = form[:, start : start + WINDOW]
            hashed = _hash(part)
            telling = (np.abs(part) > 1e-12).all(axis=1) & (np.ptp(part, axis=1) > 0)
            hit = np.isin(hashed, held) & telling
            if hit.any():
                found |= _of_few(hashed[hit], codes[hit])
    return found


def _of_few(keys: Array, codes: Array) -> set[int]:
    """Return the people of those keys that fewer than ten people share."""
    kept, inverse = np.unique(keys, return_inverse=True)
    pairs = np.unique(np.stack([inverse, codes], axis=1), axis=0)
    few = np.bincount(pairs[:, 0], minlength=len(kept)) < FEW
    return set(pairs[few[pairs[:, 0]], 1].tolist())


def _runs(program: Program, table: Array, codes: Array) -> set[int]:
    """Return the people whose values of one column stand beside each other in the program.

    Thresholds of trees are left out: good ones lie between values, and may be some. So are columns whose values fill
    the grid that they lie on: among them any whole number is somebody's.
    """
    vectors = [one.astype(np.float32).ravel() for name, one in _named(program) if not name.endswith(_THRESHOLDS)]
    vectors = [one for one in vectors if len(one) >= WINDOW]
    if not vectors:
        return set()
    numbers = np.unique(np.concatenate(vectors))
    found: set[int] = set()
    for column in table.T:
        values = column.astype(np.float32)
        hit = np.isin(values, numbers) & (values != 0)
        if not hit.any() or _is_dense(column):
            continue
        few = _of_few_values(values[hit], codes[hit])
        for vector in vectors:
            there = np.isin(vector, few)
            run = np.lib.stride_tricks.sliding_window_view(there, WINDOW).all(axis=-1)
            inside = np.convolve(run, np.ones(WINDOW)) > 0
            told = np.unique(vector[inside])
            if len(told) >= WINDOW:
                found |= set(codes[np.isin(values, told)].tolist())
    return found


def _of_few_values(values: Array, codes: Array) -> Array:
    """Return those values that fewer than ten people have."""
    kept, inverse = np.unique(values, return_inverse=True)
    pairs = np.unique(np.stack([inverse, codes], axis=1), axis=0)
    return kept[np.bincount(pairs[:, 0], minlength=len(kept)) < FEW]


def _is_dense(column: Array) -> bool:
    """Say whether a column has a tenth or more of the values of its grid (whole numbers, or hundredths)."""
    known = np.unique(column)
    grid = 1.0 if np.allclose(known, np.round(known)) else 0.01
    return len(known) * grid * 10 >= float(np.ptp(known))


def _named(program: Program) -> Iterator[tuple[str, Array]]:
    for name, array in program.arrays():
        if array.dtype.kind in "fiu" and array.size >= WINDOW:
            yield name, array
            if array.ndim == 2:
                yield name, np.ascontiguousarray(array.T)


def _forms(table: Array, spread: Spread) -> Iterator[Array]:
    yield table
    yield (table - spread.mean) / np.maximum(spread.deviation, 1e-12)
    yield (table - spread.low) / np.maximum(spread.high - spread.low, 1e-12)


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
