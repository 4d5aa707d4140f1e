"""Every disclosure rule at its boundary, by entity where rows are not entities."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import polars as pl
import pytest

from sandbox.airlock.disclosure import Report, Rules, check_table
from shuzha.core.errors import Invalid


def people(count: int, **columns: Any) -> pl.DataFrame:
    """A frame of one row for each of `count` persons; a column is a list or one value for all."""
    return pl.DataFrame({"person": range(count)}).with_columns(
        **{name: pl.Series(value) if isinstance(value, list) else pl.lit(value) for name, value in columns.items()}
    )


def rules_of(report: Report) -> set[str]:
    return {finding.rule for finding in report.findings if finding.severity != "note"}


def spread(count: int) -> list[float]:
    """Values that no rule but min_count minds."""
    return [100.0 + place for place in range(count)]


def around(total: float, count: int) -> list[float]:
    """Values that differ a little and add up to a total."""
    each = total / count
    return [each + (place - (count - 1) / 2) / 128 for place in range(count)]


# min_count ----------------------------------------


@pytest.mark.boundary(
    rule="min_count", passes="a cell of 10 rows, without an entity key",
    fails="a cell of 9 rows",
)  # fmt: skip
@pytest.mark.parametrize(("count", "verdict"), [(10, "pass"), (9, "block")])
def test_min_count_counts_rows_without_a_key(count: int, verdict: str) -> None:
    report = check_table(people(count, place="A"), rows=["place"])
    assert report.verdict == verdict
    assert report.cells.to_dicts() == [{"place": "A", "entities": count, "values": count, "verdict": verdict}]


@pytest.mark.boundary(
    rule="min_count", passes="10 persons in 50 rows",
    fails="9 persons in 45 rows",
)  # fmt: skip
@pytest.mark.parametrize(("persons", "verdict"), [(10, "pass"), (9, "block")])
def test_min_count_counts_distinct_entities_not_rows(persons: int, verdict: str) -> None:
    frame = people(persons, place="A")
    report = check_table(pl.concat([frame] * 5), rows=["place"], entity="person")
    assert report.verdict == verdict
    assert report.cells["entities"].to_list() == [persons]
    assert report.cells["values"].to_list() == [persons * 5]


def test_min_count_takes_no_notice_of_rows_without_a_value() -> None:
    frame = people(12, place="A", income=[1.0] + [None] * 11)
    report = check_table(frame, rows=["place"], value="income", entity="person")
    found = next(finding for finding in report.findings if finding.rule == "min_count")
    assert (found.figure, found.limit, found.cell) == (1, 10, {"place": "A"})
    assert report.verdict == "block"


def test_min_count_takes_no_notice_of_nan() -> None:
    frame = people(12, place="A", income=[1.0] * 3 + [float("nan")] * 9)
    assert check_table(frame, rows=["place"], value="income").cells["entities"].to_list() == [3]
    sums = check_table(frame, rows=["place"], value="income", aggregate="sum")
    assert sums.cells["entities"].to_list() == [3]


def test_min_count_counts_rows_of_nobody_as_no_entity() -> None:
    frame = people(20, place="A").with_columns(person=pl.when(pl.col("person") < 9).then("person"))
    report = check_table(frame, rows=["place"], entity="person")
    assert report.verdict == "block"
    assert report.cells["entities"].to_list() == [9]


def test_check_keeps_a_null_label_as_a_cell_of_its_own() -> None:
    report = check_table(people(13, place=["A"] * 10 + [None] * 3), rows=["place"])
    assert report.cells.filter(pl.col("place").is_null())["verdict"].to_list() == ["block"]
    assert report.findings[0].cell == {"place": None}


def test_check_judges_the_whole_where_nothing_groups() -> None:
    assert check_table(people(10), rows=[]).verdict == "pass"
    assert check_table(people(9), rows=[], entity="person").verdict == "block"


def test_check_takes_column_names_that_are_like_its_own() -> None:
    frame = people(10, d0="A", e="B").rename({"person": "v"})
    report = check_table(frame, rows=["d0"], columns=["e"], entity="v")
    assert report.verdict == "pass"
    assert report.cells.columns == ["d0", "e", "entities", "values", "verdict"]


# dominance ----------------------------------------


@pytest.mark.boundary(
    rule="dominance_nk", passes="the largest two of 11 hold .899 of the total",
    fails="the largest two hold .900",
)  # fmt: skip
@pytest.mark.parametrize(("largest", "verdict"), [(899.0, "pass"), (900.0, "block")])
def test_dominance_nk_blocks_from_the_limit_on(largest: float, verdict: str) -> None:
    # Two of eleven hold `largest` of 1,000; the p rule is set out of the way.
    values = [largest / 2, largest / 2, *around(1000 - largest, 9)]
    report = check_table(
        people(11, place="A", income=values), rows=["place"], value="income", aggregate="sum", rules=Rules(p_percent=0)
    )
    assert report.verdict == verdict
    assert rules_of(report) == ({"dominance_nk"} if verdict == "block" else set())


@pytest.mark.boundary(
    rule="dominance_nk", passes="90 rows of one person that add up to a small share",
    fails="the same rows with larger values: no row is large, the person is",
)  # fmt: skip
def test_dominance_nk_looks_at_entities_not_rows() -> None:
    # One person's income stands in ninety rows: no row is large, the person is.
    frame = pl.DataFrame({"person": [0] * 90 + list(range(1, 12)), "place": "A", "income": [10.0] * 90 + spread(11)})
    frame = frame.with_columns(income=pl.col("income") / 10)
    assert check_table(frame, rows=["place"], value="income", aggregate="sum").verdict == "pass"
    many = frame.with_columns(income=pl.when(pl.col("person") == 0).then(pl.col("income") * 1000).otherwise("income"))
    assert "dominance_nk" in rules_of(
        check_table(many, rows=["place"], value="income", aggregate="sum", entity="person")
    )
    assert "dominance_nk" not in rules_of(check_table(many, rows=["place"], value="income", aggregate="sum"))


def test_dominance_uses_absolute_values_of_negatives() -> None:
    values = [-1_000.0, 900.0, *spread(10)[:9]]
    values[2:] = [1.0, -1.0, 1.5, -1.5, 2.0, -2.0, 1.0, -1.0, 0.5]
    report = check_table(people(11, place="A", income=values), rows=["place"], value="income", aggregate="mean")
    assert {"dominance_nk"} <= rules_of(report)


@pytest.mark.boundary(
    rule="dominance_p", passes="largest 100, second 1, the others 10 together",
    fails="largest 100, second 1, the others 9 together",
)  # fmt: skip
@pytest.mark.parametrize(("rest", "verdict"), [(10.0, "pass"), (9.0, "block")])
def test_dominance_p_asks_what_is_left_of_the_largest(rest: float, verdict: str) -> None:
    # The largest is 100, the second 1: the others must leave ten.
    values = [100.0, 1.0, *around(rest, 20)]
    report = check_table(
        people(22, place="A", income=values), rows=["place"], value="income", aggregate="sum", rules=Rules(nk_k=1)
    )
    assert report.verdict == verdict
    assert rules_of(report) == ({"dominance_p"} if verdict == "block" else set())


def test_dominance_does_not_judge_a_count() -> None:
    frame = people(11, place="A", income=[1e9] + [1.0] * 10)
    assert check_table(frame, rows=["place"], value="income", aggregate="count").verdict == "pass"


def test_dominance_blocks_a_cell_whose_values_are_all_zero() -> None:
    report = check_table(people(20, place="A", income=[0.0] * 20), rows=["place"], value="income", aggregate="sum")
    assert {"dominance_nk", "dominance_p", "class_disclosure"} <= rules_of(report)


# zero_cell ----------------------------------------


def crossed(counts: dict[tuple[str, str], int]) -> pl.DataFrame:
    rows = [(a, b) for (a, b), count in counts.items() for _ in range(count)]
    return pl.DataFrame(rows, schema=["a", "b"], orient="row").with_row_index("person")


FULL = {("x", "p"): 20, ("x", "q"): 20, ("y", "p"): 20, ("y", "q"): 20}


def test_zero_cell_passes_a_full_table() -> None:
    report = check_table(crossed(FULL), rows=["a"], columns=["b"], entity="person")
    assert report.verdict == "pass"
    assert report.cells.height == 4


@pytest.mark.boundary(
    rule="zero_cell", passes="a table of two columns without an empty cell",
    fails="one combination empty, so that another cell holds its whole row",
)  # fmt: skip
@pytest.mark.parametrize("how", [{"rows": ["a"], "columns": ["b"]}, {"rows": ["a", "b"], "columns": []}])
def test_zero_cell_blocks_an_empty_combination_and_the_cell_that_holds_the_margin(how: dict[str, list[str]]) -> None:
    assert check_table(crossed(FULL), **how, entity="person").verdict == "pass"
    report = check_table(crossed(FULL | {("x", "q"): 0}), **how, entity="person")
    found = [(finding.cell, finding.figure) for finding in report.findings if finding.rule == "zero_cell"]
    assert ({"a": "x", "b": "q"}, 0) in found
    assert ({"a": "x", "b": "p"}, 20) in found
    empty = report.cells.filter(pl.col("entities") == 0).to_dicts()
    assert empty == [{"a": "x", "b": "q", "entities": 0, "values": 0, "verdict": "block"}]


@pytest.mark.boundary(
    rule="zero_cell", passes="an empty cell that is declared a structural zero",
    fails="the same without the declaration",
)  # fmt: skip
def test_zero_cell_accepts_a_declared_structural_zero() -> None:
    frame = crossed(FULL | {("x", "q"): 0, ("x", "r"): 20, ("y", "r"): 20})
    declared = Rules(structural_zeros=((("a", "x"), ("b", "q")),))
    assert check_table(frame, rows=["a"], columns=["b"], rules=declared).verdict == "block"  # y has all of column q
    narrow = crossed(
        {
            ("x", "p"): 20,
            ("x", "r"): 20,
            ("y", "p"): 20,
            ("y", "q"): 20,
            ("z", "q"): 20,
            ("z", "p"): 20,
            ("y", "r"): 20,
            ("z", "r"): 20,
        }
    )
    assert check_table(narrow, rows=["a"], columns=["b"], rules=declared).verdict == "pass"
    assert check_table(narrow, rows=["a"], columns=["b"]).verdict == "block"


def test_zero_cell_does_not_mind_one_label_alone() -> None:
    assert check_table(crossed({("x", "p"): 20, ("x", "q"): 20}), rows=["a"], columns=["b"]).verdict == "pass"


# class_disclosure ----------------------------------------


@pytest.mark.boundary(
    rule="class_disclosure", passes="20 members, ten of whom have another value",
    fails="20 members with one value, or nine with another",
)  # fmt: skip
def test_class_disclosure_blocks_members_who_share_one_value() -> None:
    report = check_table(people(20, place="A", income=[7.0] * 20), rows=["place"], value="income", aggregate="mean")
    assert rules_of(report) == {"class_disclosure"}
    for others, verdict in ((10, "pass"), (9, "block")):
        varied = people(20, place="A", income=[7.0] * (20 - others) + [8.0] * others)
        assert check_table(varied, rows=["place"], value="income", aggregate="mean").verdict == verdict


@pytest.mark.boundary(
    rule="class_disclosure", passes="a sum of 100 with one value (smallest, largest or zero) and ten with others",
    fails="and nine with others: less the known value it is a sum of nine",
)  # fmt: skip
@pytest.mark.parametrize("aggregate", ["sum", "mean", "std", "var"])
@pytest.mark.parametrize("known", [0.0, 50.0, 500.0])
@pytest.mark.parametrize(("others", "verdict"), [(10, "pass"), (9, "block")])
def test_class_disclosure_wants_as_many_beside_those_whose_value_is_known(
    aggregate: str, known: float, others: int, verdict: str
) -> None:
    # Around zero there are others on both sides.
    values = [100.0 + place if known or place % 2 else -100.0 - place for place in range(others)]
    frame = people(100 + others, place="A", income=[known] * 100 + values)
    rows = pl.concat([frame] * 3)
    report = check_table(rows, rows=["place"], value="income", aggregate=aggregate, entity="person")
    assert rules_of(report) == ({"class_disclosure"} if verdict == "block" else set())


@pytest.mark.parametrize(("ones", "verdict"), [(3, "block"), (9, "block"), (10, "pass"), (190, "pass"), (191, "block")])
def test_a_sum_of_yes_and_no_is_a_count(ones: int, verdict: str) -> None:
    frame = people(200, place="A", ill=[True] * ones + [False] * (200 - ones))
    assert check_table(frame, rows=["place"], value="ill", aggregate="sum", entity="person").verdict == verdict
    few = people(14, place="A", ill=[True] * 8 + [False] * 6)
    assert check_table(few, rows=["place"], value="ill", aggregate="sum", entity="person").verdict == "block"


@pytest.mark.boundary(
    rule="class_disclosure", passes="a share of .05 or .95",
    fails="a share of .045 or .955",
)  # fmt: skip
@pytest.mark.parametrize(
    ("ones", "verdict"), [(9, "block"), (10, "pass"), (190, "pass"), (191, "block"), (0, "block"), (200, "block")]
)
def test_class_disclosure_keeps_a_share_within_limits(ones: int, verdict: str) -> None:
    frame = people(200, place="A", insured=[True] * ones + [False] * (200 - ones))
    rules = Rules(p_percent=0, nk_k=1, min_entities=1)
    report = check_table(frame, rows=["place"], value="insured", aggregate="mean", entity="person", rules=rules)
    assert ("class_disclosure" in rules_of(report)) == (verdict == "block")


# dof, extreme, unknown ----------------------------------------


@pytest.mark.boundary(
    rule="dof", passes="std or var of 11 entities: 10 degrees of freedom",
    fails="of 10 entities: 9",
)  # fmt: skip
@pytest.mark.parametrize(("count", "verdict"), [(11, "pass"), (10, "block")])
@pytest.mark.parametrize("aggregate", ["std", "var"])
def test_dof_asks_for_ten_degrees_of_freedom(aggregate: str, count: int, verdict: str) -> None:
    report = check_table(
        people(count, place="A", income=spread(count)), rows=["place"], value="income", aggregate=aggregate
    )
    assert report.verdict == verdict
    assert rules_of(report) == ({"dof"} if verdict == "block" else set())


@pytest.mark.boundary(
    rule="extreme", passes="a maximum that 10 entities have (then review)",
    fails="a maximum that 9 have",
)  # fmt: skip
@pytest.mark.parametrize("aggregate", ["min", "max"])
@pytest.mark.parametrize(("holders", "verdict"), [(10, "review"), (9, "block")])
def test_extreme_counts_the_entities_that_have_the_value(aggregate: str, holders: int, verdict: str) -> None:
    edge = -5.0 if aggregate == "min" else 500.0
    frame = people(30, place="A", income=[edge] * holders + spread(30 - holders))
    report = check_table(frame, rows=["place"], value="income", aggregate=aggregate, entity="person")
    assert report.verdict == verdict
    assert rules_of(report) == {"extreme"}


@pytest.mark.boundary(
    rule="extreme", passes="a median that 11 entities have (then review)",
    fails="a median that 9 have",
)  # fmt: skip
@pytest.mark.parametrize(("holders", "verdict"), [(11, "review"), (9, "block")])
def test_extreme_counts_the_entities_at_the_median(holders: int, verdict: str) -> None:
    side = (31 - holders) // 2
    frame = people(2 * side + holders, place="A", income=[1.0] * side + [5.0] * holders + [9.0] * side)
    report = check_table(pl.concat([frame] * 2), rows=["place"], value="income", aggregate="median", entity="person")
    assert report.verdict == verdict


@pytest.mark.boundary(
    rule="extreme", passes="a percentile or mode that 10 entities have (then review)",
    fails="one that 9 have",
)  # fmt: skip
@pytest.mark.parametrize("aggregate", ["mode", "p05", "p10", "p25", "p75", "p90", "p95"])
@pytest.mark.parametrize(("holders", "verdict"), [(10, "review"), (9, "block")])
def test_extreme_counts_the_entities_that_have_a_percentile_or_the_mode(
    aggregate: str, holders: int, verdict: str
) -> None:
    place = {"mode": 30}.get(aggregate) or round(99 * int(aggregate[1:]) / 100)
    values = spread(100)
    start = min(max(place - 4, 0), 100 - holders)
    values[start : start + holders] = [values[place]] * holders
    frame = pl.concat([people(100, place="A", income=values)] * 3)
    report = check_table(frame, rows=["place"], value="income", aggregate=aggregate, entity="person")
    assert (report.verdict, rules_of(report)) == (verdict, {"extreme"})


def test_dominance_judges_a_spread_too() -> None:
    frame = people(20, place="A", income=[1e9, *spread(19)])
    for aggregate in ("std", "var"):
        report = check_table(frame, rows=["place"], value="income", aggregate=aggregate)
        assert rules_of(report) == {"dominance_nk", "dominance_p"}


@pytest.mark.boundary(
    rule="dominance_nk", passes="n = 3: the largest three hold .897",
    fails="n = 3: the largest three hold .900",
)  # fmt: skip
@pytest.mark.parametrize(
    ("n", "top", "verdict"), [(2, 450, "block"), (2, 449, "pass"), (3, 300, "block"), (3, 299, "pass")]
)
def test_dominance_nk_takes_its_n_from_the_rules(n: int, top: int, verdict: str) -> None:
    values = [float(top)] * n + around(1000 - n * top, 20)
    rules = Rules(nk_n=n, p_percent=0)
    report = check_table(
        people(n + 20, place="A", income=values), rows=["place"], value="income", aggregate="sum", rules=rules
    )
    assert report.verdict == verdict


def test_extreme_blocks_a_median_between_two_values() -> None:
    frame = people(40, place="A", income=[1.0] * 20 + [2.0] * 20)
    assert check_table(frame, rows=["place"], value="income", aggregate="median").verdict == "block"


@pytest.mark.boundary(
    rule="unknown_aggregate", passes="an aggregate of the grammar",
    fails="any other word, and every function of the analyst's own",
)  # fmt: skip
@pytest.mark.parametrize("aggregate", ["kurtosis", "", "COUNT", len, lambda values: values, None])
def test_unknown_aggregate_blocks(aggregate: str | Callable[..., Any]) -> None:
    frame = people(100, place="A", income=1.0)
    assert "unknown_aggregate" not in rules_of(check_table(frame, rows=["place"], value="income", aggregate="median"))
    report = check_table(frame, rows=["place"], value="income", aggregate=aggregate)
    assert report.verdict == "block"
    assert rules_of(report) == {"unknown_aggregate"}


# labels ----------------------------------------


@pytest.mark.boundary(
    rule="label_pii", passes="a district code or a year",
    fails="an identity card, telephone or e-mail in a label",
)  # fmt: skip
@pytest.mark.parametrize(
    "label", ["11010519491231002X", "手机13812345678联系", "zhang@example.com", 13812345678, "6222021234567890128"]
)
def test_label_pii_blocks_an_identifier_in_a_label(label: str | int) -> None:
    assert check_table(people(20, who=["370102"] * 20), rows=["who"]).verdict == "pass"
    report = check_table(people(20, who=[label] * 20), rows=["who"])
    assert rules_of(report) == ({"label_pii"} if label != "6222021234567890128" else rules_of(report))
    assert str(label) not in str([finding.place for finding in report.findings])


def test_label_pii_passes_codes_and_years() -> None:
    assert check_table(people(20, district="370102", year=2026), rows=["district"], columns=["year"]).verdict == "pass"


# bad input ----------------------------------------


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"rows": ["nowhere"]}, "no column `nowhere`"),
        ({"rows": ["place"], "columns": ["place"]}, "twice"),
        ({"rows": ["place"], "aggregate": "sum"}, "names no value"),
        ({"rows": ["place"], "aggregate": "sum", "value": "word"}, "is no number"),
        ({"rows": ["place"], "aggregate": "sum", "value": "endless"}, "infinite"),
        ({"rows": ["entities"]}, "a column `entities` of its own"),
    ],
)
def test_check_refuses_bad_input(asked: dict[str, Any], message: str) -> None:
    frame = people(12, place="A", word="w", endless=[float("inf")] * 12, entities=1)
    with pytest.raises(Invalid, match=message):
        check_table(frame, **asked)


def test_rules_refuse_values_that_make_no_sense() -> None:
    for wrong in ({"min_entities": 0}, {"nk_k": 1.5}, {"share_low": 0.9, "share_high": 0.1}):
        with pytest.raises(Invalid):
            Rules(**wrong)


def test_rules_version_names_the_values() -> None:
    assert Rules().version == Rules().version
    assert Rules().version != Rules(min_entities=11).version


def test_check_blocks_an_empty_population() -> None:
    report = check_table(people(0, place="A"), rows=["place"])
    assert report.cells.is_empty()
    assert (report.verdict, rules_of(report)) == ("block", {"zero_cell"})


def test_check_counts_the_findings_it_leaves_out() -> None:
    report = check_table(pl.DataFrame({"place": range(1_200)}), rows=["place"])
    assert [finding.place for finding in report.findings if finding.cell is None and finding.rule == "min_count"] == [
        "700 more cells"
    ]


@pytest.mark.parametrize(
    ("aggregate", "values", "verdict"),
    [
        ("count", spread(10), "pass"), ("count", spread(9), "block"),
        ("sum", [449.5] * 2 + around(101, 9), "pass"), ("sum", [450.0] * 2 + around(100, 9), "block"),
        ("mean", [449.5] * 2 + around(101, 9), "pass"), ("mean", [450.0] * 2 + around(100, 9), "block"),
        ("std", spread(11), "pass"), ("std", spread(10), "block"),
        ("max", [900.0] * 10 + spread(20), "review"), ("max", [900.0] * 9 + spread(20), "block"),
        ("median", spread(9) + [150.0] * 11 + [200.0 + n for n in range(9)], "review"),
        ("median", spread(10) + [150.0] * 9 + [200.0 + n for n in range(10)], "block"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("each", [1, 7])
def test_boundaries_are_of_entities_whatever_their_rows(
    aggregate: str, values: list[float], verdict: str, each: int
) -> None:
    # Each entity's values are spread over its rows, so that its sum and its ends stay what they are.
    person = people(len(values), place="A", income=values)
    added = aggregate in {"sum", "mean"}
    rows = pl.concat([person.with_columns(income=pl.col("income") / (each if added else 1))] * each)
    report = check_table(rows, rows=["place"], value="income", aggregate=aggregate, entity="person")
    assert report.verdict == verdict
    assert report.cells.to_dicts()[0]["values"] == each * len(values)


def test_grounds_tell_reviewers_the_thinnest_cells_first() -> None:
    frame = pl.concat([people(30, place="A", income=spread(30)), people(12, place="B", income=[88.0, *around(11, 11)])])
    report = check_table(frame, rows=["place"], value="income", aggregate="sum", entity="person")
    grounds = report.list_grounds(most=1)
    assert grounds["cells"] == [{"labels": ["B"], "entities": 12, "share": 0.8994, "verdict": "pass"}]
    assert (grounds["labels"], grounds["more"]) == (["place"], 1)
    counted = check_table(frame, rows=["place"], entity="person").list_grounds()
    assert [(one["entities"], one["share"]) for one in counted["cells"]] == [(12, None), (30, None)]
