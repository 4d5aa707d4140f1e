import datetime as dt
from dataclasses import replace

import pytest

from shuzha.catalog.checks import check_complete, check_draft, check_grade
from shuzha.catalog.model import (
    ENTRY,
    PUBLIC,
    Authorizing,
    ElementType,
    EntryState,
    Finding,
    Opening,
    Role,
    ScanEvidence,
    Sharing,
    SubjectKind,
    TermsKind,
)
from shuzha.catalog.scanning import propose
from shuzha.core.errors import Invalid
from tests.catalog_kit import element, make_sheet

SHEET = make_sheet()


def evidence(sheet=SHEET, **found):
    plain = {item.name: Finding(item.name, Role.PLAIN, 1) for item in sheet.elements}
    return ScanEvidence(dt.datetime(2026, 3, 2, tzinfo=dt.UTC), "acc_wang", 3, tuple((plain | found).values()))


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"secret": True}, "W21 art. 2"),
        ({"code": "x"}, "entry.code"),
        ({"code": "has blank"}, "entry.code"),
        ({"name": "Payments"}, "entry.name"),
        ({"elements": ()}, "entry.elements"),
        ({"elements": (*SHEET.elements, element("MONTH"))}, "entry.elements"),
        ({"elements": (*SHEET.elements, element("a b"))}, "element.name"),
        ({"elements": (*SHEET.elements, element("x", grade=5))}, "element.grade"),
        ({"elements": (*SHEET.elements, element("x", scale=40))}, "element.scale"),
        ({"key_columns": ("person", "nobody")}, "entry.keys"),
        ({"key_columns": ("person", "late")}, "entry.keys"),
        ({"key_columns": ("person", "person")}, "entry.keys"),
        ({"update_marker": "month"}, "W25 art. 16"),
        ({"entity_key": None}, "entry.entity_key"),
        ({"subject_kind": SubjectKind.NONE}, "entry.entity_key"),
    ],
)
def test_draft_refuses_what_cannot_be_kept(changes, rule):
    with pytest.raises(Invalid) as caught:
        check_draft(replace(SHEET, **changes))
    assert caught.value.rule == rule
    assert caught.value.accepted


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"abstract": " "}, "entry.complete"),
        ({"classification": ""}, "entry.classification"),
        ({"classification": "12"}, "entry.classification"),
        ({"sharing": Sharing(TermsKind.CONDITIONAL)}, "W21 art. 16"),
        ({"sharing": Sharing(TermsKind.NONE)}, "W21 art. 16"),
        ({"opening": Opening(TermsKind.NONE)}, "W21 art. 20"),
        ({"authorizing": Authorizing(allowed=False)}, "W25 art. 13"),
        ({"grade": 2}, "entry.grade"),
    ],
)
def test_submit_refuses_an_open_core_element(changes, rule):
    with pytest.raises(Invalid) as caught:
        check_complete(replace(SHEET, **changes), evidence())
    assert caught.value.rule == rule


def test_submit_accepts_a_complete_sheet_with_its_scan():
    check_complete(SHEET, evidence())


def test_submit_refuses_a_sheet_without_a_scan():
    with pytest.raises(Invalid, match="no sample"):
        check_complete(SHEET, None)


def test_submit_refuses_an_element_that_the_sample_lacked():
    scan = evidence()
    with pytest.raises(Invalid, match="lacks `visits`"):
        check_complete(SHEET, replace(scan, findings=scan.findings[:-1]))


def test_submit_refuses_a_role_milder_than_the_scan_until_a_reason_is_given():
    scan = evidence(month=Finding("month", Role.DIRECT, 3, ("resident_id",), 0.9))
    with pytest.raises(Invalid, match="milder"):
        check_complete(SHEET, scan)
    explained = tuple(replace(item, reason="a month") if item.name == "month" else item for item in SHEET.elements)
    check_complete(replace(SHEET, elements=explained), scan)


def test_propose_raises_grade_and_role_and_never_lowers_them():
    scan = evidence(month=Finding("month", Role.QUASI, 4), person=Finding("person", Role.QUASI, 1, ("name",), 1.0))
    sheet = propose(SHEET, scan)
    by_name = {item.name: item for item in sheet.elements}
    assert (by_name["month"].role, by_name["month"].grade) == (Role.QUASI, 4)
    assert (by_name["person"].role, by_name["person"].grade) == (Role.DIRECT, 3)
    assert sheet.grade == 4
    check_complete(sheet, scan)


def test_grade_covers_the_highest_element():
    check_grade(SHEET, 4)
    for grade in (2, 5):
        with pytest.raises(Invalid):
            check_grade(SHEET, grade)


def test_lifecycle_ends_only_in_retirement_and_a_returned_change_stays_published():
    assert ENTRY.terminal == {EntryState.RETIRED}
    assert ENTRY.next(EntryState.CHANGE_PENDING, "return").target is EntryState.PUBLISHED
    assert EntryState.SUBMITTED not in PUBLIC
    assert ENTRY.next(EntryState.DRAFT, "submit").clock == "entry.review"


def test_types_of_keys_are_told_apart_by_equality():
    with pytest.raises(Invalid):
        check_draft(make_sheet(elements=(element("person", ElementType.NUMBER), *SHEET.elements[1:])))
