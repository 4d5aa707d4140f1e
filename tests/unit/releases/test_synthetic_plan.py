"""The plan of a synthetic release: every value has a cell, whatever the raw rows hold."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from desensitize.dp.synthetic_tally import tally
from desensitize.synthetic import SyntheticPlan
from policies import Scope
from shuzha.authorization.model import Grant, GrantState
from shuzha.catalog.checks import check_draft
from shuzha.catalog.domains import accepted_of, find_domain, read_domain
from shuzha.catalog.model import Element, ElementType, Entry, EntryDraft, EntryState, Role, SubjectKind, Title
from shuzha.catalog.value_domain import ValueDomain
from shuzha.core.errors import Invalid
from shuzha.releases.model import SyntheticOptions
from shuzha.releases.synthetic import fit_cells, list_synthesized, make_synthetic_plan
from shuzha.server.demo import sheets

MOMENT = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
ELEMENTS = (
    Element("who", Title("谁", "who"), role=Role.DIRECT),
    Element("kind", Title("类", "kind"), domain=ValueDomain(values=("a", "b"))),
    Element("day", Title("日", "day"), ElementType.DATE, domain=ValueDomain(edges=("2024-01-01", "2025-01-01"))),
    Element("size", Title("量", "size"), ElementType.NUMBER, domain=ValueDomain(edges=(0, 1.5, 10))),
    Element("count", Title("数", "count"), ElementType.INTEGER, domain=ValueDomain(values=(1, 2, 3))),
    Element("paid", Title("付", "paid"), ElementType.BOOLEAN),
    Element("written", Title("文", "written"), domain=ValueDomain(edges=(0, 10, 20))),
    Element("note", Title("注", "note"), role=Role.FREE_TEXT),
)


def entry_of(sheet: EntryDraft) -> Entry:
    return Entry("ent_1", sheet.code, "org_p", "acc_p", sheet, EntryState.PUBLISHED, MOMENT, MOMENT)


def grant_of(*columns: str) -> Grant:
    scope = Scope(
        grant="grt_1", authorization="aut_1", version="1", row_filter="", entry="ent_1",
        columns=frozenset(columns), operations=frozenset({"aggregate"}), output_kinds=frozenset(),
        places=frozenset({"workspace"}), purposes=frozenset(), valid_from=MOMENT, valid_until=MOMENT, clause="1",
    )  # fmt: skip
    return Grant("grt_1", "dem_1", "aut_1", "org_o", "org_p", "ent_1", scope, (), MOMENT, GrantState.ACTIVE)


def plan_of(elements: tuple[Element, ...] = ELEMENTS) -> SyntheticPlan:
    sheet = EntryDraft(
        "C-1", "things", Title("物", "things"), "", elements, subject_kind=SubjectKind.PERSON, entity_key="who"
    )
    options = SyntheticOptions(1.0, 1e-9)
    return make_synthetic_plan(entry_of(sheet), grant_of(*(each.name for each in elements)), options)


CELLS = st.fixed_dictionaries({
    "who": st.none() | st.text(max_size=3),
    "kind": st.none() | st.sampled_from(["a", "b", "c", ""]),
    "day": st.none() | st.dates(dt.date(1900, 1, 1), dt.date(2200, 1, 1)),
    "size": st.none() | st.floats(),
    "count": st.none() | st.integers(-(2**62), 2**62),
    "paid": st.none() | st.booleans(),
    "written": st.none() | st.sampled_from(["7", "x", "-1", "1e9", "nan", "inf", "", " 3"]),
    "note": st.none() | st.text(max_size=2),
})  # fmt: skip
SCHEMA = {
    "who": pl.String, "kind": pl.String, "day": pl.Date, "size": pl.Float64, "count": pl.Int64, "paid": pl.Boolean,
    "written": pl.String, "note": pl.String,
}  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(st.lists(CELLS, max_size=12))
def test_no_row_is_refused_for_what_it_holds(rows: list[dict[str, object]]) -> None:
    plan = plan_of()
    fitted = fit_cells(pl.LazyFrame(rows, schema=SCHEMA), plan).collect()
    counted = tally(fitted.select(*plan.columns, "who"), plan.domain(), "who", 1000)
    assert counted.rows.sum() == sum(row["who"] is not None for row in rows)


def test_names_key_and_free_text_are_dropped_and_two_values_need_no_domain() -> None:
    plan = plan_of()
    assert list(plan.columns) == ["kind", "day", "size", "count", "paid", "written"]
    assert {name: step.technique for name, step in plan.plan.columns.items()}.items() >= {
        ("who", "drop"), ("note", "drop"), ("paid", "keep"),
    }  # fmt: skip
    assert plan_of(ELEMENTS).to_dict() == SyntheticPlan.from_toml(plan.to_toml()).to_dict()


@pytest.mark.parametrize("name", ["kind", "day", "size", "count", "written"])
def test_missing_domain_names_the_column_and_what_would_do(name: str) -> None:
    elements = tuple(replace(each, domain=None) if each.name == name else each for each in ELEMENTS)
    with pytest.raises(Invalid, match=f"`{name}`") as caught:
        plan_of(elements)
    assert accepted_of(next(each for each in ELEMENTS if each.name == name)) in (caught.value.accepted or "")


@pytest.mark.parametrize(
    ("kind", "domain"),
    [
        (ElementType.TEXT, ValueDomain(values=(1, 2))),
        (ElementType.INTEGER, ValueDomain(values=("1",))),
        (ElementType.INTEGER, ValueDomain(values=(True,))),
        (ElementType.DECIMAL, ValueDomain(values=(1,))),
        (ElementType.DATE, ValueDomain(edges=(1, 2))),
        (ElementType.DATE, ValueDomain(edges=("2024-01-01", "yesterday"))),
        (ElementType.NUMBER, ValueDomain(edges=("2024-01-01", "2025-01-01"))),
        (ElementType.BOOLEAN, ValueDomain(regions="370100")),
        (ElementType.TEXT, ValueDomain(values=("a", "a"))),
        (ElementType.TEXT, ValueDomain(values=("a",), regions="370100")),
        (ElementType.NUMBER, ValueDomain(edges=(1,))),
        (ElementType.NUMBER, ValueDomain(edges=(2, 1))),
        (ElementType.NUMBER, ValueDomain(edges=(1, float("inf")))),
        (ElementType.NUMBER, ValueDomain(edges=(1, 2), step=-1)),
        (ElementType.INTEGER, ValueDomain(values=tuple(range(2001)))),
    ],
)
def test_domain_that_does_not_fit_its_element_is_refused(kind: ElementType, domain: ValueDomain) -> None:
    element = Element("x", Title("x", "x"), kind)
    with pytest.raises(Invalid, match="`x`") as caught:
        read_domain(element, domain)
    assert caught.value.accepted
    sheet = EntryDraft("C-1", "things", Title("物", "things"), "", (replace(element, domain=domain),))
    with pytest.raises(Invalid, match="`x`"):
        check_draft(sheet)


@pytest.mark.parametrize(
    ("domain", "label"),
    [
        (ValueDomain(values=("a", "b")), "a, b"),
        (ValueDomain(values=tuple(range(6))), "0, 1, 2, 3, … (6)"),
        (ValueDomain(edges=(0, 0.5, 10_000)), "0 … 10000 (2)"),
        (ValueDomain(edges=("2024-01-01", "2025-01-01")), "2024-01-01 … 2025-01-01 (1)"),
        (ValueDomain(regions="370100"), "GB/T 2260 370100 district"),
    ],
)
def test_a_domain_is_said_in_a_few_words(domain: ValueDomain, label: str) -> None:
    assert domain.label == label


def test_a_decimal_is_drawn_in_its_own_places() -> None:
    element = Element("x", Title("x", "x"), ElementType.DECIMAL, scale=1, domain=ValueDomain(edges=(0, 1)))
    column = find_domain(element)
    assert column is not None
    assert column.to_dict()["step"] == 0.1


def test_the_demonstrations_entry_says_every_value_that_a_synthetic_table_needs() -> None:
    sheet = TypeAdapter(EntryDraft).validate_python(sheets.entry_sheet())
    check_draft(sheet)
    every = frozenset(each.name for each in sheet.elements)
    elements = list_synthesized(entry_of(sheet), grant_of(*every))
    unsaid = [each.name for each in elements if find_domain(each) is None]
    # Direct identifiers and free text get their role by the scan.
    assert set(unsaid) <= {"name", "employer", "note"}
