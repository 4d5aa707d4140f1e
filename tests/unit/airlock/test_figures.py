"""Figures that the platform draws: each mark is judged, and nothing is in the picture that is not in its table."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree as ET

import msgspec
import polars as pl
import pytest

from sandbox.airlock import content
from sandbox.airlock.computed import Computed, compute
from sandbox.airlock.figures.making import bin_names
from sandbox.airlock.rules import Rules
from sandbox.airlock.specification import FigureSpecification, parse
from shuzha.core.errors import Invalid

RULES = Rules()
NAMESPACE = "{http://www.w3.org/2000/svg}"


def people(count: int = 240) -> pl.DataFrame:
    return pl.DataFrame({
        "person": range(count), "place": [("A", "B", "C")[n % 3] for n in range(count)],
        "kind": [("p", "q")[n // 3 % 2] for n in range(count)], "income": [100.0 + n // 12 * 10 for n in range(count)],
    })  # fmt: skip


def figure(draw: str, edges: list[float] | None = None, **table: Any) -> FigureSpecification:
    said = {"kind": "figure", "draw": draw, "edges": edges or [], "table": {"kind": "table", "release": "r", **table}}
    found = parse(msgspec.json.encode(said))
    assert isinstance(found, FigureSpecification)
    return found


def drawn(asked: FigureSpecification, frame: pl.DataFrame, rules: Rules = RULES) -> Computed:
    return compute(asked, frame.lazy(), entity="person", rules=rules)


def verdict(made: Computed) -> str:
    return str(made.evidence["verdict"])


def rules_of(made: Computed) -> set[str]:
    return {finding.rule for finding in made.findings if finding.severity != "note"}


def titles(made: Computed) -> list[str]:
    """What is said of each mark."""
    root = ET.fromstring(made.content or b"")
    found = [one.findtext(f"{NAMESPACE}title") for one in root.iter() if one is not root]
    return [one for one in found if one is not None and ": " in one]


@pytest.mark.parametrize("draw", ["bar", "line"])
def test_a_figure_says_each_figure_of_its_table(draw: str) -> None:
    made = drawn(figure(draw, rows=["place"], columns=["kind"], aggregate="entities"), people())
    assert (made.type, made.form, verdict(made)) == ("svg", "figure", "pass")
    assert titles(made) == [f"{place} · {kind}: 40" for kind in "pq" for place in "ABC"]
    assert made.evidence["table"].startswith("place,kind,entities\nA,p,40\n")


@pytest.mark.boundary(
    rule="min_count", passes="bars and points of 40 entities",
    fails="one of 9",
)  # fmt: skip
@pytest.mark.parametrize("draw", ["bar", "line"])
def test_a_figure_has_the_findings_of_its_table(draw: str) -> None:
    frame = people().filter((pl.col("place") != "C") | (pl.col("person") < 27))
    made = drawn(figure(draw, rows=["place"], aggregate="count"), frame)
    assert (verdict(made), rules_of(made)) == ("block", {"min_count"})
    assert [finding.cell for finding in made.findings if finding.rule == "min_count"] == [{"place": "C"}]


def test_a_figure_is_mended_like_its_table_and_draws_no_point_that_was_left_out() -> None:
    frame = people().filter((pl.col("place") != "C") | (pl.col("person") < 27))
    made = drawn(figure("line", rows=["place"], aggregate="count"), frame)
    mended = {one.name: one.specification for one in made.repairs}
    assert set(mended) == {"suppress", "round", "midpoint6", "merge"}
    again = drawn(parse(msgspec.json.encode(mended["suppress"])), frame)  # type: ignore[arg-type]
    assert verdict(again) == "pass"
    said = sorted(titles(again))
    assert said[2] == "C: left out"
    assert said[:2] in (["A: left out", "B: 80"], ["A: 80", "B: left out"])
    assert b"polyline" in (made.content or b"")
    assert b"polyline" not in (again.content or b"")  # one point is left, and no line leads to what is not shown


@pytest.mark.boundary(
    rule="zero_cell", passes="a histogram whose bins are all filled",
    fails="one with an empty bin",
)  # fmt: skip
def test_bins_are_judged_and_an_empty_one_is_a_cell() -> None:
    even = figure("histogram", [100, 150, 200, 250, 300], rows=[], value="income")
    made = drawn(even, people())
    assert verdict(made) == "pass"
    assert titles(made) == ["1: < 150: 60", "2: [150, 200): 60", "3: [200, 250): 60", "4: ≥ 250: 60"]
    gap = drawn(even, people().filter(~pl.col("income").is_between(150, 199)))
    assert rules_of(gap) == {"zero_cell"}
    few = drawn(even, people().filter((pl.col("income") < 150) | (pl.col("person") % 7 == 0)))
    assert rules_of(few) == {"min_count"}


def test_end_bins_hold_what_lies_beyond_and_their_edges() -> None:
    made = drawn(figure("histogram", [150, 200, 250], rows=[], value="income"), people())
    assert made.frame.to_series(-1).to_list() == [120, 120]
    assert bin_names([0, 1]) == ["1: all"]
    assert bin_names(list(range(12)))[9:] == ["10: [9, 10)", "11: ≥ 10"]


def test_a_histogram_leaves_out_rows_without_a_value() -> None:
    frame = people().with_columns(income=pl.when(pl.col("person") % 2 == 0).then("income"))
    assert sum(drawn(figure("histogram", [100, 200, 300], rows=[], value="income"), frame).frame.to_series(-1)) == 120


def test_a_histogram_by_group_counts_entities() -> None:
    asked = figure("histogram", [100, 200, 300], rows=["place"], value="income", aggregate="entities")
    made = drawn(asked, pl.concat([people()] * 2))
    assert (verdict(made), made.frame.to_series(-1).to_list()) == ("pass", [40] * 6)


@pytest.mark.boundary(
    rule="extreme", passes="whiskers and ends of a box that 10 entities have (then review)",
    fails="a whisker that one entity has",
)  # fmt: skip
def test_whiskers_and_box_ends_are_judged_each() -> None:
    frame = people().with_columns(income=pl.col("person") // 48 * 10.0)
    made = drawn(figure("box", rows=["place"], value="income", aggregate="median"), frame)
    assert (verdict(made), rules_of(made)) == ("review", {"extreme"})
    assert titles(made) == [f"{place}: 0, 10, 20, 30, 40" for place in "ABC"]
    own = pl.when(pl.col("person") < 48).then(pl.col("person") / 9).otherwise("income")
    spread = frame.with_columns(income=own)
    few = drawn(figure("box", rows=["place"], value="income", aggregate="median"), spread)
    places = {finding.place for finding in few.findings if finding.severity == "block"}
    assert places == {"lower whisker"}


def test_a_picture_is_what_the_gate_of_files_lets_through() -> None:
    made = drawn(figure("bar", rows=["place"], columns=["kind"], aggregate="entities"), people())
    found = content.inspect(made.content or b"")
    assert found.type is content.FileType.SVG
    assert not [finding for finding in found.findings if finding.severity == "block"]


def test_a_picture_takes_labels_as_text() -> None:
    evil = '</text><script>x</script>"&'
    made = drawn(figure("bar", rows=["place"]), people().with_columns(place=pl.lit(evil)))
    root = ET.fromstring(made.content or b"")
    assert not list(root.iter(f"{NAMESPACE}script"))
    assert titles(made) == [f"{evil}: 240"]


@pytest.mark.parametrize(
    ("draw", "edges", "table"),
    [
        ("bar", [1.0, 2.0], {"rows": ["place"]}), ("bar", None, {"rows": []}), ("pie", None, {"rows": ["place"]}),
        ("bar", None, {"rows": ["place", "kind", "person"]}), ("histogram", [1.0], {"rows": [], "value": "income"}),
        ("histogram", [2.0, 1.0], {"rows": [], "value": "income"}), ("histogram", [1.0, 2.0], {"rows": []}),
        ("histogram", [1.0, 2.0], {"rows": [], "value": "income", "aggregate": "sum"}),
        ("histogram", [1.0, 2.0], {"rows": ["place", "kind"], "value": "income"}),
        ("box", None, {"rows": ["place"], "value": "income", "aggregate": "mean"}),
        ("box", None, {"rows": ["place"], "value": "income", "aggregate": "median", "repair": "suppress"}),
    ],
)  # fmt: skip
def test_the_grammar_refuses_a_figure_that_does_not_fit(draw: str, edges: Any, table: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        figure(draw, edges, **table)


def test_a_figure_refuses_more_places_than_can_be_told_apart() -> None:
    with pytest.raises(Invalid, match="told apart"):
        drawn(figure("bar", rows=["person"]), people())
    with pytest.raises(Invalid, match="is no number"):
        drawn(figure("histogram", [1.0, 2.0], rows=[], value="place"), people())
    with pytest.raises(Invalid, match="no column"):
        drawn(figure("histogram", [1.0, 2.0], rows=[], value="nowhere"), people())
