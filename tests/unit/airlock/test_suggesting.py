"""What is suggested for a blocked table: each suggestion, submitted as it is, passes when it is judged again."""

from __future__ import annotations

from typing import Any

import msgspec
import polars as pl
import pytest

from sandbox.airlock.repairs import compute_checked, suggest
from sandbox.airlock.rules import Rules
from sandbox.airlock.specification import Aggregate, TableSpecification, parse

RULES = Rules()


def frame_of(counts: dict[tuple[str, ...], int], **columns: Any) -> pl.LazyFrame:
    width = len(next(iter(counts)))
    rows = [cell for cell, count in counts.items() for _ in range(count)]
    return pl.DataFrame(rows, schema=["a", "b", "c"][:width], orient="row").with_row_index("person").lazy()


def suggested(table: TableSpecification, frame: pl.LazyFrame) -> dict[str, Any]:
    found = {one.name: one for one in suggest(table, frame, entity="person", rules=RULES)}
    for one in found.values():
        again = parse(msgspec.json.encode(one.as_dict()["specification"]))
        assert isinstance(again, TableSpecification)
        checked = compute_checked(again, frame, entity="person", rules=RULES)
        assert checked.report.verdict == one.verdict != "block"
        assert checked.frame.drop_nulls().height == one.shown
    return found


def test_a_small_cell_has_every_repair_on_offer() -> None:
    counts = {(a, b): 28 for a in "uvwxyz" for b in "mnopqr"} | {("x", "p"): 4}
    found = suggested(TableSpecification("rel", ["a"], ["b"]), frame_of(counts))
    assert set(found) == {"suppress", "round", "midpoint6", "merge"}
    assert found["suppress"].hidden == 4
    assert (found["merge"].hidden, found["merge"].shown) == (0, 30)
    (merge,) = found["merge"].specification.merges
    assert (merge.column, merge.labels, merge.into) in [("a", ["w", "x"], "w + x"), ("b", ["o", "p"], "o + p")]


def test_nothing_is_suggested_for_a_good_table_nor_for_an_identifier() -> None:
    table = TableSpecification("rel", ["a"])
    assert suggested(table, frame_of({("x",): 30, ("y",): 30})) == {}
    assert suggested(table, frame_of({("13812345678",): 30, ("y",): 30})) == {}


@pytest.mark.boundary(
    rule="rounding", passes="a cell of 3 beside 40 and 50: repairs are on offer",
    fails="cells of 3 and 4: nothing helps",
)  # fmt: skip
def test_nothing_is_suggested_where_nothing_helps() -> None:
    assert "suppress" in suggested(TableSpecification("rel", ["a"]), frame_of({("x",): 3, ("y",): 40, ("z",): 50}))
    assert suggested(TableSpecification("rel", ["a"]), frame_of({("x",): 3, ("y",): 4})) == {}
    assert suggested(TableSpecification("rel", []), frame_of({("x",): 3})) == {}


def test_merge_looks_further_where_one_person_dominates() -> None:
    rows = [(a, 100.0 + number) for a in "wxyz" for number in range(12)] + [("x", 3_000.0)]
    frame = pl.DataFrame(rows, schema=["a", "value"], orient="row").with_row_index("person").lazy()
    rules = Rules(nk_k=0.6)
    table = TableSpecification("rel", ["a"], value="value", aggregate=Aggregate.SUM)
    blocked = compute_checked(table, frame, entity="person", rules=rules).report
    assert [finding.cell for finding in blocked.findings] == [{"a": "x"}]
    found = {one.name: one for one in suggest(table, frame, entity="person", rules=rules)}
    assert "x" in found["merge"].specification.merges[0].labels
    assert "suppress" in found


@pytest.mark.parametrize("aggregate", ["median", "p90", "max", "mode"])
def test_code_makes_a_value_that_enough_people_have(aggregate: str) -> None:
    frame = pl.DataFrame({"a": "x", "value": [1_000.0 + 7 * n for n in range(400)]}).with_row_index("person").lazy()
    table = TableSpecification("rel", ["a"], value="value", aggregate=Aggregate(aggregate))
    found = suggested(table, frame)
    assert found["code"].verdict == "review"
    step = found["code"].specification.coding.step
    assert (
        compute_checked(found["code"].specification, frame, entity="person", rules=RULES).frame.item(0, 1) % step == 0
    )


def test_merge_keeps_null_and_numbers_apart() -> None:
    frame = pl.DataFrame({"a": [1] * 30 + [2] * 4 + [None] * 6}).with_row_index("person").lazy()
    found = suggested(TableSpecification("rel", ["a"]), frame)
    (merge,) = found["merge"].specification.merges
    assert (merge.labels, merge.into) == (["2", None], "2 + (null)")
