"""Suppression: what is left out cannot be computed from the totals, tried by brute force."""

from __future__ import annotations

import itertools
import random

import polars as pl
import pytest

from sandbox.airlock import repairs
from sandbox.airlock.disclosure import check_table
from sandbox.airlock.findings import worst
from sandbox.airlock.recompute import compute_table
from sandbox.airlock.specification import Aggregate, Repair, TableSpecification
from shuzha.core.errors import Invalid


def frame_of(counts: dict[tuple[str, ...], int]) -> pl.DataFrame:
    width = len(next(iter(counts)))
    rows = [cell for cell, count in counts.items() for _ in range(count)]
    return pl.DataFrame(rows, schema=["a", "b"][:width], orient="row").with_row_index("person")


def repaired(counts: dict[tuple[str, ...], int]) -> tuple[pl.DataFrame, repairs.Suppression, str] | None:
    frame = frame_of(counts)
    table = TableSpecification("rel_1", ["a", "b"][: len(next(iter(counts)))], repair=Repair.SUPPRESS)
    report = check_table(frame, rows=table.rows, entity="person")
    suppression = repairs.suppress(table, report)
    if suppression is None:
        return None
    result = repairs.apply(table, compute_table(table, frame.lazy(), "person"), report, suppression)
    return result, suppression, worst(repairs.settle(report, suppression, table)).value


def test_suppress_leaves_out_a_small_cell_and_the_smallest_safe_one() -> None:
    found = repaired({("x",): 3, ("y",): 50, ("z",): 20, ("w",): 90})
    assert found is not None
    result, suppression, verdict = found
    assert (suppression.primary, suppression.secondary) == ({("x",)}, {("z",)})
    assert result.to_dict(as_series=False) == {"a": ["w", "x", "y", "z"], "count": [90, None, 50, None]}
    assert verdict == "pass"


def test_suppress_leaves_a_good_table_alone() -> None:
    found = repaired({("x",): 30, ("y",): 50})
    assert found is not None
    assert found[1].cells == frozenset()


def test_suppress_gives_up_where_nothing_safe_is_left() -> None:
    assert repaired({("x",): 3, ("y",): 4}) is None
    assert repaired({("x",): 3}) is None
    assert repaired({("x",): 3, ("y",): 40}) is None


def test_suppress_makes_an_empty_cell_look_like_a_small_one() -> None:
    counts = {(a, b): 30 for a in "xyz" for b in "pqr"} | {("x", "p"): 0, ("y", "q"): 4}
    found = repaired(counts)
    assert found is not None
    shown = {(a, b): count for a, b, count in found[0].iter_rows()}
    assert shown[("x", "p")] is None
    assert shown[("y", "q")] is None


@pytest.mark.parametrize("seed", range(25))
def test_suppress_leaves_no_cell_that_the_totals_determine(seed: int) -> None:
    chance = random.Random(seed)
    counts = {(a, b): chance.choice([0, 3, 9, 12, 15, 40, 70]) for a in "xyzw" for b in "pqr"}
    found = repaired(counts)
    if found is None:
        return
    hidden = sorted(found[1].cells)
    assert determined(hidden) == []
    for place in (0, 1):
        for label in {cell[place] for cell in hidden}:
            line = [counts.get((str(one[0]), str(one[1])), 0) for one in hidden if one[place] == label]
            assert sum(line) >= 10


def determined(hidden: list[tuple[object, ...]]) -> list[tuple[object, ...]]:
    """The hidden cells that no vector of the null space of the totals moves."""
    import numpy as np

    lines = sorted({(place, str(cell[place])) for cell in hidden for place in (0, 1)})
    matrix = np.array([[1.0 if str(cell[place]) == label else 0.0 for cell in hidden] for place, label in lines])
    if not hidden:
        return []
    _, sizes, vectors = np.linalg.svd(matrix)
    null = vectors[int((sizes > 1e-9).sum()) :]
    return [cell for place, cell in enumerate(hidden) if not len(null) or np.abs(null[:, place]).max() < 1e-9]


def test_suppress_refuses_sums_and_three_groupings() -> None:
    frame = frame_of({("x", "p"): 12, ("y", "q"): 12})
    report = check_table(frame, rows=["a"])
    for table in (
        TableSpecification("rel_1", ["a"], value="person", aggregate=Aggregate.SUM),
        TableSpecification("rel_1", ["a", "b"], ["person"]),
    ):
        with pytest.raises(Invalid):
            repairs.suppress(table, report)


def test_settle_keeps_what_is_not_about_a_left_out_cell() -> None:
    counts = {("13812345678",): 30, ("x",): 3, ("y",): 30, ("z",): 30}
    found = repaired(counts)
    assert found is not None
    assert found[2] == "block"


def test_bridges_agree_with_the_null_space() -> None:
    cells = [(a, b) for a in "xyz" for b in "pqr"]
    for count in (1, 2, 3, 4, 5):
        for chosen in itertools.combinations(cells, count):
            assert sorted(repairs._bridges(chosen)) == determined(list(chosen))
