from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest

from shuzha.authorization.agreement import (
    PARTS,
    Agreement,
    Allocation,
    Income,
    Operation,
    OutputKind,
    Term,
    anniversary,
    canonical,
    check_agreement,
    percent,
)
from shuzha.core.errors import Invalid

AGREEMENT = Agreement(
    entries=("ent_a", "ent_b"),
    term=Term(dt.date(2026, 3, 1), dt.date(2028, 2, 29)),
    purposes=("loan-review",),
    operations=(Operation.AGGREGATE,),
    output_kinds=(OutputKind.REPORT,),
    income=Income("price times calls", 1_000, Allocation(3_333, 3_333, 3_334)),
    rights_and_duties="duties",
    security="sandbox",
    exit="freeze",
    asset_disposal="destroy",
)


def check(agreement: Agreement) -> None:
    check_agreement(agreement, 2, "J23 art. 10(5)")


def test_accepts_a_term_of_exactly_the_cap() -> None:
    check(AGREEMENT)


def test_refuses_a_term_one_day_past_the_cap() -> None:
    late = replace(AGREEMENT, term=Term(dt.date(2026, 3, 1), dt.date(2028, 3, 1)))
    with pytest.raises(Invalid, match=r"after the cap of 2 years.*J23 art. 10\(5\).*up to 2028-02-29"):
        check(late)


def test_refuses_a_term_that_ends_before_it_starts() -> None:
    with pytest.raises(Invalid, match="before it starts"):
        check(replace(AGREEMENT, term=Term(dt.date(2026, 3, 2), dt.date(2026, 3, 1))))


@pytest.mark.parametrize("shares", [(3_333, 3_333, 3_333), (10_001, 0, -1), (0, 0, 0)])
def test_refuses_an_allocation_that_does_not_sum_to_the_whole(shares: tuple[int, int, int]) -> None:
    income = replace(AGREEMENT.income, allocation=Allocation(*shares))
    with pytest.raises(Invalid, match=r"agreement\.allocation"):
        check(replace(AGREEMENT, income=income))


@pytest.mark.parametrize("part", ["rights_and_duties", "security", "exit", "asset_disposal"])
def test_refuses_an_empty_content_item(part: str) -> None:
    with pytest.raises(Invalid, match=f"clause {PARTS[part]} `{part}` empty.*J23 art. 4"):
        check(replace(AGREEMENT, **{part: "  "}))


@pytest.mark.parametrize("part", ["entries", "purposes", "operations", "output_kinds"])
def test_refuses_an_empty_list_and_a_double_value(part: str) -> None:
    with pytest.raises(Invalid, match=f"names no {part}"):
        check(replace(AGREEMENT, **{part: ()}))
    first = getattr(AGREEMENT, part)[0]
    with pytest.raises(Invalid, match="twice"):
        check(replace(AGREEMENT, **{part: (first, first)}))


def test_refuses_an_infrastructure_rate_that_leaves_nothing() -> None:
    with pytest.raises(Invalid, match=r"agreement\.infrastructure"):
        check(replace(AGREEMENT, income=replace(AGREEMENT.income, infrastructure_rate=10_000)))


def test_numbers_each_clause_once_and_cites_its_article() -> None:
    clauses = AGREEMENT.clauses()
    assert len({clause.number for clause in clauses}) == len(clauses) == len(PARTS)
    assert AGREEMENT.clause("allocation").text == "provider 33.33%, platform 33.33%, operator 33.34%"
    assert AGREEMENT.clause("term").citation() == "clause 2 (J23 art. 10(5))"
    assert all(clause.text and clause.title_zh and clause.title_en for clause in clauses)


def test_canonical_bytes_differ_by_one_changed_value_only() -> None:
    same = replace(AGREEMENT)
    assert canonical(same) == canonical(AGREEMENT)
    assert canonical(replace(AGREEMENT, exit="freezd")) != canonical(AGREEMENT)


def test_a_term_covers_its_last_day_in_the_city() -> None:
    term = AGREEMENT.term
    assert term.start() == dt.datetime(2026, 2, 28, 16, tzinfo=dt.UTC)
    assert term.end() == dt.datetime(2028, 2, 29, 16, tzinfo=dt.UTC)


def test_anniversary_of_a_leap_day_is_the_first_of_march() -> None:
    assert anniversary(dt.date(2028, 2, 29), 1) == dt.date(2029, 3, 1)
    assert percent(1_250) == "12.50%"
