"""Which labels to show as one so that no cell is blocked: few merges, found by taking the best one each time.

Labels are merged with their neighbours in sorted order, so that of numbers, dates and codes a range comes out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from sandbox.airlock.disclosure import Report
from sandbox.airlock.rules import Rules
from sandbox.airlock.specification import Merge, TableSpecification

MAX_LABELS: Final = 60
_LONGEST: Final = 60

Counts = npt.NDArray[np.int64]


def find_merges(table: TableSpecification, report: Report, rules: Rules, stubborn: Sequence[int]) -> list[Merge] | None:
    """Return the merges after which, by its counts, no cell should be blocked; None where there are none.

    `stubborn` are cells (by their place in the report) that stayed blocked when merges were checked before: each needs
    as many people beside its own. Labels that the table merges already are not looked into.
    """
    shape = [report.cells[name].n_unique() for name in table.dimensions]
    height = report.facts.height
    if not shape or max(shape) > MAX_LABELS or int(np.prod(shape)) != height:
        return None
    entities = report.facts["entities"].fill_null(0).to_numpy().astype(np.int64).reshape(shape)
    wanted = np.full(height, rules.min_entities, dtype=np.int64)
    hard = (report.cells["verdict"] == "block").to_numpy() & (entities.reshape(-1) >= rules.min_entities)
    hard[list(stubborn)] = True
    wanted[hard] = 2 * np.maximum(entities.reshape(-1)[hard], rules.min_entities)
    needed = wanted.reshape(shape)
    groups = [[[place] for place in range(size)] for size in shape]
    while _blocked(entities, needed):
        best = min(_moves(entities, needed), default=None)
        if best is None:
            return None
        _, _, axis, one, other = best
        entities, needed = _join(entities, axis, one, other, np.add), _join(needed, axis, one, other, np.maximum)
        groups[axis][one] += groups[axis].pop(other)
    if all(len(of_axis) == 1 for of_axis in groups):
        return None
    return _named(table, report, groups)


def _blocked(entities: Counts, needed: Counts) -> int:
    few = entities < needed
    # A cell that holds its whole line says something of each of its members.
    whole = np.zeros_like(few)
    if entities.ndim > 1:
        for axis in range(entities.ndim):
            if entities.shape[axis] > 1:
                whole |= entities == entities.sum(axis=axis, keepdims=True)
    return int((few | whole).sum())


def _moves(entities: Counts, needed: Counts) -> list[tuple[float, int, int, int, int]]:
    """Return every merge of two labels with what stays blocked after it and how many people it blurs."""
    found = []
    for axis, size in enumerate(entities.shape):
        mass = entities.sum(axis=tuple(place for place in range(entities.ndim) if place != axis))
        pairs = [(one, one + 1) for one in range(size - 1)]
        if size <= 2 and entities.ndim == 1:
            continue
        for one, other in pairs:
            joined = _join(entities, axis, one, other, np.add)
            left = _blocked(joined, _join(needed, axis, one, other, np.maximum))
            found.append((left / joined.size, int(mass[one] + mass[other]), axis, one, other))
    return found


def _join(figures: Counts, axis: int, one: int, other: int, how: np.ufunc) -> Counts:
    """Return the grid with two labels of a grouping in one."""
    both = how(figures.take(one, axis=axis), figures.take(other, axis=axis))
    rest = np.delete(figures, other, axis=axis)
    index: list[slice | int] = [slice(None)] * figures.ndim
    index[axis] = one
    rest[tuple(index)] = both
    return rest


def _named(table: TableSpecification, report: Report, groups: list[list[list[int]]]) -> list[Merge]:
    merges = []
    for name, of_axis in zip(table.dimensions, groups, strict=True):
        labels = report.cells[name].cast(pl.String).unique(maintain_order=True).to_list()
        taken = set(labels)
        for group in of_axis:
            if len(group) > 1:
                members = [labels[place] for place in group]
                merges.append(Merge(name, members, _title(members, taken)))
    return merges


def _title(members: Sequence[str | None], taken: set[str | None]) -> str:
    texts = ["(null)" if one is None else one for one in members]
    title = " + ".join(texts)
    if len(title) > _LONGEST:
        title = f"{texts[0][:_LONGEST]} … {texts[-1][:_LONGEST]}"
    while title in taken:
        title += " +"
    taken.add(title)
    return title
