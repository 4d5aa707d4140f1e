"""The platform's own computation, and the claims of a verification."""

from __future__ import annotations

import datetime as dt
from typing import Any

import polars as pl
import pytest

from sandbox.airlock.claims import check_claims
from sandbox.airlock.recompute import claim_frame, compute_table, condition
from sandbox.airlock.rules import Rules
from sandbox.airlock.specification import (
    Aggregate,
    Claim,
    Condition,
    TableSpecification,
    VerificationSpecification,
)
from shuzha.core.conditions import Op
from shuzha.core.errors import Invalid

FRAME = pl.LazyFrame(
    {
        "person": ["a", "a", "b", "c", None],
        "place": ["x", "x", "x", "y", "y"],
        "income": [1.5, 2.5, None, 7.0, float("nan")],
        "paid": [True, False, True, None, True],
        "day": [dt.date(2026, 10, 1), dt.date(2026, 10, 2), dt.date(2026, 10, 3), dt.date(2026, 10, 4), None],
    }
)


def table(**fields: Any) -> TableSpecification:
    fields["aggregate"] = Aggregate(fields.get("aggregate", "count"))
    return TableSpecification(**({"release": "rel_1", "rows": ["place"]} | fields))


@pytest.mark.parametrize(
    ("fields", "heading", "figures"),
    [
        ({}, "count", [3, 2]),
        ({"value": "income"}, "count_income", [2, 1]),
        ({"aggregate": "entities"}, "entities", [2, 1]),
        ({"aggregate": "entities", "value": "income"}, "entities_income", [1, 1]),
        ({"aggregate": "sum", "value": "income"}, "sum_income", [4.0, 7.0]),
        ({"aggregate": "mean", "value": "income"}, "mean_income", [2.0, 7.0]),
        ({"aggregate": "max", "value": "income"}, "max_income", [2.5, 7.0]),
        ({"aggregate": "median", "value": "income"}, "median_income", [2.0, 7.0]),
        ({"aggregate": "mean", "value": "paid"}, "mean_paid", [0.666667, 1.0]),
    ],
)
def test_compute_gives_labels_and_figures(fields: dict[str, Any], heading: str, figures: list[float]) -> None:
    result = compute_table(table(**fields), FRAME, "person")
    assert result.to_dict(as_series=False) == {"place": ["x", "y"], heading: figures}


def test_compute_gives_one_figure_where_nothing_groups() -> None:
    assert compute_table(table(rows=[]), FRAME, None).to_dict(as_series=False) == {"count": [5]}


@pytest.mark.parametrize(
    ("op", "column", "value", "people"),
    [
        ("eq", "place", "x", ["a", "a", "b"]),
        ("ne", "place", "x", ["c", None]),
        ("ne", "paid", True, ["a"]),
        ("gt", "income", 2, ["a", "c", None]),
        ("le", "income", 1.5, ["a"]),
        ("ge", "day", "2026-10-03", ["b", "c"]),
        ("in", "place", ["y", "z"], ["c", None]),
        ("is_null", "paid", None, ["c"]),
        ("not_null", "income", None, ["a", "a", "c", None]),
        ("lt", "day", "2026-10-02", ["a"]),
    ],
)
def test_condition_meets(op: str, column: str, value: Any, people: list[str | None]) -> None:
    one = Condition(column, Op(op), value)
    assert FRAME.filter(condition([one], FRAME.collect_schema())).collect()["person"].to_list() == people


@pytest.mark.parametrize(
    ("column", "value"),
    [("place", 1), ("income", "1"), ("income", True), ("paid", 1), ("day", "today"), ("day", 20261001), ("nowhere", 1)],
)
def test_condition_refuses_a_value_of_another_type(column: str, value: Any) -> None:
    with pytest.raises(Invalid) as refused:
        condition([Condition(column, Op.EQ, value)], FRAME.collect_schema())
    assert "today" not in str(refused.value)


def test_condition_reads_text_as_text_and_never_as_code() -> None:
    one = Condition("place", Op.EQ, "x' OR 1=1; pl.read_csv('/etc/passwd')")
    assert FRAME.filter(condition([one], FRAME.collect_schema())).collect().is_empty()


def test_compute_refuses_columns_outside_the_data() -> None:
    for fields in (
        {"rows": ["nowhere"]},
        {"aggregate": "sum", "value": "place"},
        {"rows": ["place"], "value": "nowhere"},
    ):
        with pytest.raises(Invalid):
            compute_table(table(**fields), FRAME, None)


# claims ----------------------------------------


def verification(*claims: tuple[str, int]) -> VerificationSpecification:
    return VerificationSpecification(
        "ent_1", ["person"], [Claim(name, name, [Condition("level", Op.LT, level)]) for name, level in claims]
    )


def register(count: int, rows_each: int = 1) -> pl.LazyFrame:
    people = pl.LazyFrame({"person": [f"p{place}" for place in range(count)], "level": range(count)})
    return pl.concat([people] * rows_each)


def test_claim_frame_answers_each_subject_by_any_of_its_rows() -> None:
    frame = pl.LazyFrame({"person": ["a", "a", "b", None], "level": [9, 1, 9, 1]})
    assert claim_frame(verification(("low", 5)), frame).sort("person").collect().to_dict(as_series=False) == {
        "person": ["a", "b"],
        "low": [True, False],
    }


@pytest.mark.parametrize(
    ("true", "rules"),
    [
        (190, set()),
        (191, {"min_count", "class_disclosure"}),
        (10, set()),
        (9, {"min_count", "class_disclosure"}),
        (200, {"min_count", "class_disclosure"}),
    ],
)
def test_check_claims_blocks_what_is_true_of_nearly_all_or_none(true: int, rules: set[str]) -> None:
    findings = check_claims(verification(("low", true)), register(200, 3), entity="person", rules=Rules())
    assert {finding.rule for finding in findings} == rules
    assert all(finding.place == "claim low" for finding in findings)


def test_check_claims_counts_entities_not_subjects() -> None:
    # The subject is a row's own number here; a person has twenty of them.
    frame = pl.LazyFrame({"number": range(200), "owner": [place // 20 for place in range(200)], "level": range(200)})
    asked = VerificationSpecification("ent_1", ["number"], [Claim("low", "low", [Condition("level", Op.LT, 100)])])
    assert check_claims(asked, frame, entity=None, rules=Rules()) == ()
    assert {one.rule for one in check_claims(asked, frame, entity="owner", rules=Rules())} == {"min_count"}


@pytest.mark.boundary(
    rule="differencing", passes="claims that differ by 10 subjects, or by none",
    fails="claims that differ by 9",
)  # fmt: skip
@pytest.mark.parametrize(("second", "blocked"), [(100, False), (101, True), (109, True), (110, False)])
def test_check_claims_blocks_two_claims_that_differ_by_few(second: int, blocked: bool) -> None:
    findings = check_claims(verification(("one", 100), ("two", second)), register(200), entity="person", rules=Rules())
    assert {finding.rule for finding in findings} == ({"differencing"} if blocked else set())


def test_check_claims_blocks_an_empty_register() -> None:
    assert check_claims(verification(("low", 5)), register(0).cast({"level": pl.Int64}), entity="person", rules=Rules())
