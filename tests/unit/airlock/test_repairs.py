"""Repairs: what is left out cannot be computed from any margin, tried by brute force and by bounds."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl
import pytest

from sandbox.airlock.disclosure import check_table
from sandbox.airlock.repairs import Checked, bounds, compute_checked, grid, suppression
from sandbox.airlock.rules import Rules
from sandbox.airlock.specification import Aggregate, Repair, TableSpecification
from shuzha.core.errors import Invalid

NAMES = ["a", "b", "c", "d"]


def frame_of(counts: dict[tuple[str, ...], int], rows_each: int = 1) -> pl.LazyFrame:
    width = len(next(iter(counts)))
    rows = [cell for cell, count in counts.items() for _ in range(count)]
    frame = pl.DataFrame(rows, schema=NAMES[:width], orient="row").with_row_index("person")
    return pl.concat([frame] * rows_each).lazy()


def table_of(counts: dict[tuple[str, ...], int], **fields: Any) -> TableSpecification:
    dimensions = NAMES[: len(next(iter(counts)))]
    return TableSpecification("rel_1", dimensions, **{"repair": Repair.SUPPRESS, **fields})


def repaired(counts: dict[tuple[str, ...], int], rows_each: int = 1, **fields: Any) -> Checked:
    rules = fields.pop("rules", Rules())
    table = table_of(counts, **fields)
    return compute_checked(table, frame_of(counts, rows_each), entity="person", rules=rules)


def shown(checked: Checked) -> dict[tuple[str, ...], Any]:
    return {row[:-1]: row[-1] for row in checked.frame.iter_rows()}


def test_suppress_leaves_out_a_small_cell_and_the_smallest_safe_one() -> None:
    found = repaired({("x",): 3, ("y",): 50, ("z",): 20, ("w",): 90})
    assert found.frame.to_dict(as_series=False) == {"a": ["w", "x", "y", "z"], "count": [90, None, 50, None]}
    assert found.report.verdict == "pass"
    note = next(one for one in found.report.findings if one.rule == "suppressed")
    assert (note.figure, note.place) == (2, "1 blocked, 1 to protect them, the fewest possible")


def test_suppress_leaves_a_good_table_alone() -> None:
    found = repaired({("x",): 30, ("y",): 50})
    assert (found.hidden, shown(found)) == (0, {("x",): 30, ("y",): 50})


@pytest.mark.parametrize("counts", [{"x": 3, "y": 4}, {"x": 3}, {"x": 3, "y": 40}])
def test_suppress_gives_up_where_nothing_safe_is_left(counts: dict[str, int]) -> None:
    found = repaired({(label,): count for label, count in counts.items()})
    assert found.report.verdict == "block"
    assert {one.rule for one in found.report.findings} >= {"min_count", "repair_failed"}


def test_suppress_makes_an_empty_cell_look_like_a_small_one() -> None:
    counts = {(a, b): 30 for a in "xyz" for b in "pqr"} | {("x", "p"): 0, ("y", "q"): 4}
    figures = shown(repaired(counts))
    assert figures["x", "p"] is None
    assert figures["y", "q"] is None


def test_a_rounded_table_without_small_cells_shows_rounded_figures() -> None:
    counts = {("x",): 12, ("y",): 13, ("z",): 48}
    assert shown(repaired(counts, repair=Repair.ROUND)) == {("x",): 10, ("y",): 15, ("z",): 50}
    assert shown(repaired(counts, repair=Repair.ROUND, rules=Rules(round_base=10))) == {
        ("x",): 10,
        ("y",): 10,
        ("z",): 50,
    }
    assert shown(repaired(counts, repair=Repair.MIDPOINT6)) == {("x",): 9, ("y",): 15, ("z",): 45}


def test_midpoint_6_is_the_middle_of_six() -> None:
    expected = {0: 0, 1: 3, 6: 3, 7: 9, 12: 9, 13: 15, 18: 15, 19: 21}
    found = {size: int(grid.show(np.array(float(size)), Rules(), Repair.MIDPOINT6)) for size in expected}
    assert found == expected


@pytest.mark.parametrize("repair", [Repair.ROUND, Repair.MIDPOINT6])
def test_what_is_shown_like_a_figure_is_what_rounds_to_it(repair: Repair) -> None:
    sizes = np.arange(80.0)
    for rules in (Rules(), Rules(round_base=1), Rules(round_base=4), Rules(round_base=10)):
        lower, upper = grid.shown_between(sizes, rules, repair)
        for size, least, most in zip(sizes, lower, upper, strict=True):
            alike = [int(one) for one in sizes if grid.show(one, rules, repair) == grid.show(size, rules, repair)]
            if max(alike) < 70:
                assert (least, most) == (min(alike), max(alike))


@pytest.mark.parametrize(("repair", "middle"), [(Repair.ROUND, 30), (Repair.MIDPOINT6, 28)])
def test_a_rounded_table_leaves_fewer_cells_out(repair: Repair, middle: int) -> None:
    counts = {(a, b): middle for a in "uvwxyz" for b in "mnopqr"} | {("x", "p"): 4}
    found = repaired(counts, repair=repair)
    hidden = {cell for cell, figure in shown(found).items() if figure is None}
    assert found.report.verdict == "pass"
    assert ("x", "p") in hidden
    assert len(hidden) < int((repaired(counts).frame["count"].is_null()).sum())


def tables_like(counts: dict[tuple[str, ...], int], hidden: list[tuple[str, ...]]) -> Iterator[dict[Any, int]]:
    """Every whole table without negative figures that has the same margins and shows the same cells."""
    width = len(hidden[0])
    lines = [[cell for cell in hidden if [*cell[:axis], *cell[axis + 1 :]] == list(rest)]
             for axis in range(width) for rest in {(*cell[:axis], *cell[axis + 1 :]) for cell in hidden}]  # fmt: skip
    totals = [sum(counts[cell] for cell in line) for line in lines]
    found: dict[tuple[str, ...], int] = {}

    def fill(place: int) -> Iterator[dict[Any, int]]:
        if place == len(hidden):
            yield dict(found)
            return
        cell = hidden[place]
        most = min(total - sum(found.get(one, 0) for one in line)
                   for line, total in zip(lines, totals, strict=True) if cell in line)  # fmt: skip
        for figure in range(most + 1):
            found[cell] = figure
            done = [(line, total) for line, total in zip(lines, totals, strict=True) if set(line) <= set(found)]
            whole = (sum(found[one] for one in line) == total for line, total in done)
            if all(whole):
                yield from fill(place + 1)
            del found[cell]

    yield from fill(0)


@pytest.mark.parametrize("seed", range(20))
def test_suppress_leaves_as_many_figures_possible_as_a_safe_cell_has_people(seed: int) -> None:
    chance = random.Random(seed)
    counts = {(a, b): chance.choice([3, 5, 11, 12, 14, 14]) for a in "xyz" for b in "pqr"}
    found = repaired(counts, rules=Rules(min_entities=6))
    if found.report.verdict == "block":
        return
    hidden = [cell for cell, figure in shown(found).items() if figure is None]
    primary = [cell for cell in hidden if counts[cell] < 6]
    possible: dict[Any, set[int]] = {cell: set() for cell in primary}
    for number, one in enumerate(tables_like(counts, hidden)):
        for cell in primary:
            possible[cell].add(one[cell])
        if number > 40_000 or all(len(figures) >= 6 for figures in possible.values()):
            break
    assert all(len(figures) >= 6 for figures in possible.values()), possible


def test_suppress_never_leaves_a_line_of_blocked_cells_alone() -> None:
    chance = random.Random(5)
    for _ in range(8):
        counts = {(a, b): chance.choice([0, 3, 9, 12, 15, 40, 70]) for a in "xyzw" for b in "pqr"}
        found = repaired(counts)
        if found.report.verdict == "block":
            continue
        figures = shown(found)
        for axis, label in [(0, one) for one in "xyzw"] + [(1, one) for one in "pqr"]:
            gone = [counts[cell] for cell in figures if cell[axis] == label and figures[cell] is None]
            assert not gone or max(gone) >= 10


def test_suppress_protects_three_groupings_against_every_margin() -> None:
    counts = {(a, b, c): 20 + 3 * place for place, (a, b, c) in enumerate(itertools.product("xyz", "pqr", "mn"))}
    counts["x", "p", "m"] = 4
    found = repaired(counts)
    assert found.report.verdict == "pass"
    hidden = sorted(cell for cell, figure in shown(found).items() if figure is None)
    assert len(hidden) == 8  # a box: two labels of each grouping
    assert [len({cell[axis] for cell in hidden}) for axis in range(3)] == [2, 2, 2]
    values = {one["x", "p", "m"] for one in tables_like(counts, hidden)}
    assert len(values) >= 10


def test_suppress_counts_what_rows_an_entity_has() -> None:
    # Three persons of twenty rows: ten more rows would be no other person.
    found = repaired({("x",): 3, ("y",): 14, ("z",): 20}, rows_each=20)
    assert found.hidden >= 2
    figures = shown(found)
    gone = sum({"x": 60, "y": 280, "z": 400}[cell[0]] for cell, figure in figures.items() if figure is None)
    assert gone - 60 >= 20 * 9 / 2


@pytest.mark.parametrize("aggregate", [Aggregate.SUM, Aggregate.MEAN])
def test_suppress_protects_a_sum_that_one_dominates(aggregate: Aggregate) -> None:
    rows = [(a, b, 100.0 + number) for a in "xyz" for b in "pqr" for number in range(20)] + [("x", "p", 90_000.0)]
    frame = pl.DataFrame(rows, schema=["a", "b", "value"], orient="row").with_row_index("person").lazy()
    table = TableSpecification("rel_1", ["a"], ["b"], value="value", aggregate=aggregate)
    plain = compute_checked(table, frame, entity="person", rules=Rules())
    assert {one.rule for one in plain.report.findings} == {"dominance_nk", "dominance_p"}
    asked = TableSpecification("rel_1", ["a"], ["b"], value="value", aggregate=aggregate, repair=Repair.SUPPRESS)
    found = compute_checked(asked, frame, entity="person", rules=Rules())
    # No other cell is large enough to hide that the largest is about 90,000: nothing is left to do but to merge.
    assert found.report.verdict == "block"
    more = pl.concat([frame.collect(), frame.collect().filter(pl.col("a") != "x").with_columns(
        pl.col("person") + 1_000, value=pl.col("value") * 100)]).lazy()  # fmt: skip
    wide = pl.concat([more.collect(), frame.collect().filter((pl.col("a") == "x") & (pl.col("b") != "p")).with_columns(
        pl.col("person") + 2_000, value=pl.col("value") * 100)]).lazy()  # fmt: skip
    found = compute_checked(asked, wide, entity="person", rules=Rules())
    assert found.report.verdict == "pass"
    assert found.hidden == 4


@pytest.mark.boundary(
    rule="suppressed", passes="a cell of 3 left out with three others: 0 to 18 are possible",
    fails="left out alone: the totals give 3 back",
)  # fmt: skip
def test_bounds_are_those_that_a_reader_reckons() -> None:
    counts = {("x", "p"): 3, ("x", "q"): 20, ("y", "p"): 15, ("y", "q"): 30}
    report = check_table(frame_of(counts), rows=["a", "b"], entity="person")
    made = grid.make_grid(table_of(counts), report, Rules(), Repair.SUPPRESS)
    everything = np.ones(4, dtype=bool)
    assert bounds.feasible(made, made.measures[0], everything, 0) == pytest.approx((0, 18))
    assert bounds.feasible(made, made.measures[0], np.array([True, False, False, False]), 0) == pytest.approx((3, 3))
    assert not bounds.protects(made, np.array([True, True, False, False]))
    assert bounds.protects(made, everything)


def test_a_large_table_is_repaired_program_by_program() -> None:
    chance = random.Random(3)
    counts = {(f"a{a}", f"b{b}"): chance.randint(12, 90) for a in range(20) for b in range(15)}
    for cell in chance.sample(sorted(counts), 12):
        counts[cell] = chance.randint(1, 9)
    found = repaired(counts)
    assert found.report.verdict == "pass"
    assert 18 <= found.hidden <= 40


@pytest.mark.parametrize(
    "fields",
    [
        {"aggregate": Aggregate.SUM, "value": "person", "where": "negative"},
        {"aggregate": Aggregate.STD, "value": "person"},
    ],
)
def test_suppress_refuses_what_it_cannot_protect(fields: dict[str, Any]) -> None:
    frame = frame_of({("x", "p"): 12, ("y", "q"): 3})
    if fields.pop("where", None):
        frame = frame.with_columns(value=pl.col("person").cast(pl.Int64) - 5)
        fields["value"] = "value"
    table = TableSpecification("rel_1", ["a"], repair=Repair.SUPPRESS, **fields)
    with pytest.raises(Invalid, match="refuses"):
        compute_checked(table, frame, entity="person", rules=Rules())


def test_repair_keeps_what_is_not_about_a_left_out_cell() -> None:
    found = repaired({("13812345678",): 30, ("x",): 3, ("y",): 30, ("z",): 30})
    assert (found.hidden, found.report.verdict) == (2, "block")


@pytest.mark.boundary(
    rule="repair_failed", passes="a table repaired within the limits of the solver",
    fails="the same table, where the limit is three linear programs: it stays blocked",
)  # fmt: skip
def test_suppress_gives_up_beyond_its_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = {(f"x{place}",): 3 if place % 2 else 50 for place in range(20)}
    assert repaired(counts).report.verdict == "pass"
    monkeypatch.setattr(suppression, "PROGRAMS", 3)
    assert repaired(counts).report.verdict == "block"
