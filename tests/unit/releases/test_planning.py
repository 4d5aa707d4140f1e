from __future__ import annotations

import datetime as dt
from dataclasses import replace

import polars as pl
import pytest

from desensitize.transform.plan import Plan
from desensitize.transform.techniques import Drop, Keep, Mask, Pseudonymize, Redact
from policies import Permission
from shuzha.catalog.model import (
    Element,
    ElementType,
    Entry,
    EntryDraft,
    EntryState,
    Finding,
    Role,
    ScanEvidence,
    SubjectKind,
    Title,
)
from shuzha.core.errors import Invalid
from shuzha.releases.model import RELEASE, RiskPolicy
from shuzha.releases.planning import found_in, make_plan

NOW = dt.datetime(2026, 3, 2, tzinfo=dt.UTC)


def element(name: str, role: Role, kind: ElementType = ElementType.TEXT) -> Element:
    return Element(name, Title(name, name), kind, role)


ENTRY = Entry(
    "ent_1", "2020101", "org_p", "acc_p",
    EntryDraft(
        "2020101", "residents", Title("居民", "residents"), "people",
        (
            element("resident_id", Role.DIRECT), element("name", Role.DIRECT), element("mobile", Role.DIRECT),
            element("born", Role.QUASI, ElementType.DATE), element("district", Role.QUASI),
            element("capital", Role.QUASI, ElementType.INTEGER), element("education", Role.QUASI),
            element("income", Role.SENSITIVE, ElementType.INTEGER), element("note", Role.FREE_TEXT),
            element("score", Role.DIRECT, ElementType.NUMBER), element("kind", Role.PLAIN),
        ),
        subject_kind=SubjectKind.PERSON, entity_key="resident_id",
    ),
    EntryState.PUBLISHED, NOW, NOW,
    scan=ScanEvidence(NOW, "acc_p", 9, (
        Finding("name", Role.DIRECT, 3, ("PERSON",), 1.0), Finding("mobile", Role.DIRECT, 3, ("CN_MOBILE",), 0.98),
    )),
)  # fmt: skip
FRAME = pl.LazyFrame(
    {
        "resident_id": ["a", "b"], "name": ["x", "y"], "mobile": ["1", "2"],
        "born": [dt.date(1990, 1, 1), None], "district": ["370102", "370103"], "capital": [0, 10_000_000],
        "education": ["master", None], "income": [1, 2], "note": ["x", None], "score": [0.5, 0.6], "kind": ["k", "l"],
    }
)  # fmt: skip
EVERY = tuple(each.name for each in ENTRY.elements)


def plan(columns: tuple[str, ...] = EVERY, frame: pl.LazyFrame = FRAME) -> Plan:
    return make_plan(ENTRY, columns, RiskPolicy(), frame)


def test_follows_the_roles_and_the_scan() -> None:
    techniques = plan().columns
    assert techniques["resident_id"] == Pseudonymize(normalize=True)
    assert techniques["name"] == Drop()
    assert techniques["mobile"] == Mask(keep_first=3)
    assert techniques["note"] == Redact(caution="strict")
    assert techniques["score"] == Drop()
    assert {techniques[name] for name in ("born", "district", "capital", "income", "kind")} == {Keep()}


@pytest.mark.parametrize(
    "finding",
    [
        Finding("mobile", Role.DIRECT, 3, ("CN_MOBILE", "CN_RESIDENT_ID"), 0.95),
        Finding("mobile", Role.DIRECT, 3, ("CN_MOBILE",), 0.6),
    ],
)
def test_shows_no_beginnings_of_a_mixed_column(finding: Finding) -> None:
    # Kept beginnings of a mobile number are a network; of `欧阳小明` they are a name.
    mixed = replace(ENTRY, scan=ScanEvidence(NOW, "acc_p", 9, (finding,)))
    assert make_plan(mixed, ("mobile",), RiskPolicy(), FRAME.select("mobile")).columns["mobile"] == Mask()


def test_leaves_free_text_out_where_the_policy_says_so() -> None:
    made = make_plan(ENTRY, EVERY, RiskPolicy(free_text="drop"), FRAME)
    assert made.columns["note"] == Drop()


def test_gives_each_quasi_identifier_the_hierarchy_of_its_form() -> None:
    anonymity = plan().anonymity
    assert anonymity is not None
    assert dict(anonymity.quasi_identifiers) == {
        "born": {"kind": "date"},
        "district": {"kind": "region"},
        "capital": {"kind": "number", "widths": [500_000, 1_000_000, 2_000_000, 10_000_000]},
        "education": {"kind": "flat"},
    }
    assert (anonymity.k, anonymity.entity, anonymity.mode) == (3, "resident_id", "enclave")


@pytest.mark.parametrize("largest", [99, 10_000_000, 10**15, None])
def test_the_widths_of_bands_tell_nothing_of_the_largest_figure(largest: int | None) -> None:
    frame = pl.LazyFrame({"capital": [*range(1_000), largest]})
    anonymity = plan(("capital",), frame).anonymity
    assert anonymity is not None
    assert anonymity.quasi_identifiers["capital"]["widths"] == [50, 100, 200, 1000]


def test_mixed_forms_are_only_hidden_or_shown() -> None:
    mixed = FRAME.with_columns(district=pl.Series(["370102", "Lixia"]))
    anonymity = plan(frame=mixed).anonymity
    assert anonymity is not None
    assert anonymity.quasi_identifiers["district"] == {"kind": "flat"}


def test_drops_the_entity_key_where_it_is_not_granted() -> None:
    made = plan(("district",), FRAME.select("resident_id", "district"))
    assert made.columns["resident_id"] == Drop()
    assert made.anonymity is not None
    assert made.anonymity.entity == "resident_id"


def test_asks_for_no_anonymity_without_quasi_identifiers() -> None:
    assert plan(("kind",), FRAME.select("kind")).anonymity is None


def test_survives_its_own_text() -> None:
    made = plan()
    assert Plan.from_toml(made.to_toml()).to_dict() == made.to_dict()


def test_refuses_a_column_that_left_the_entry() -> None:
    with pytest.raises(Invalid, match="no element `gone` any more"):
        plan(("gone",), FRAME.select(gone="kind"))


def test_says_what_was_found() -> None:
    assert found_in(ENTRY, ["mobile"]) == {
        "columns": [{"name": "mobile", "role": "direct", "grade": 1, "types": ["CN_MOBILE"], "hit_rate": 0.98}]
    }
    assert found_in(replace(ENTRY, scan=None), ["mobile"])["columns"][0]["types"] == []


def test_every_lifecycle_verb_has_a_permission() -> None:
    assert set(RELEASE.permissions()) <= {permission.value for permission in Permission}
