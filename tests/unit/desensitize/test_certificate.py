"""A certificate says what was measured before and after, and can be checked again with the table alone."""

from __future__ import annotations

import json

import polars as pl
import pytest

import desensitize
from desensitize import InvalidInput, Plan
from desensitize.certificate import CERTIFICATE_VERSION, report, verify

KEY = bytes(range(32))
TOML = """
[columns.who]
technique = "{who}"

[columns.town]
technique = "keep"

[columns.wage]
technique = "keep"

[anonymity]
k = 3
entity = "who"
suppression_limit = 0.1
mode = "enclave"

[anonymity.quasi_identifiers.town]
kind = "region"
"""


def people(rows: int = 120) -> pl.DataFrame:
    towns = ["370102"] * 60 + ["370103"] * 59 + ["370104"]
    return pl.DataFrame({
        "who": [f"p{number}" for number in range(rows)], "town": towns[:rows],
        "wage": [number % 7 for number in range(rows)],
    })  # fmt: skip


def released(who: str = "pseudonymize") -> desensitize.Release:
    return desensitize.protect(people(), Plan.from_toml(TOML.format(who=who)), KEY)


def plain(value: object) -> dict[str, object]:
    made: dict[str, object] = json.loads(json.dumps(value))
    return made


def test_says_the_risk_before_and_what_is_left() -> None:
    certificate = plain(released().certificate)
    assert certificate["version"] == CERTIFICATE_VERSION
    assert certificate["measured_before"]["smallest_class"] == 1
    assert certificate["measured"]["smallest_class"] >= 3
    assert {language: set(said) for language, said in certificate["done"]["sentences"].items()} == {
        "en": {"who", "town", "wage"}, "zh": {"who", "town", "wage"},
    }  # fmt: skip
    assert certificate["measured_before"]["limits"] == certificate["measured"]["limits"]
    kept = {each["name"]: each for each in certificate["utility"]["columns"]}
    assert set(kept) == {"who", "town", "wage"}
    assert kept["wage"]["distance"] < 0.2
    assert 0 <= kept["town"]["information"] < 1


def test_certificate_without_anonymity_measures_nothing() -> None:
    plan = Plan.from_dict({"columns": {"who": "pseudonymize", "town": "keep", "wage": "drop"}})
    certificate = plain(desensitize.apply(people(), plan, KEY).certificate)
    assert [certificate[name] for name in ("measured", "measured_before", "utility", "level")] == [None] * 4


def test_the_released_table_verifies_whatever_the_order_of_its_rows() -> None:
    release = released()
    frame = release.frame.collect()
    for table in (frame, frame.sample(fraction=1.0, shuffle=True, seed=1)):
        assert [(check.what, check.holds) for check in verify(table, plain(release.certificate))] == [
            ("rows", True), ("columns", True), ("content", True), ("classes", True),
        ]  # fmt: skip


def test_a_changed_table_does_not_verify() -> None:
    release = released()
    frame, certificate = release.frame.collect(), plain(release.certificate)
    found = {check.what: check.holds for check in verify(frame.with_columns(wage=pl.col("wage") + 1), certificate)}
    assert found == {"rows": True, "columns": True, "content": False, "classes": True}
    found = {check.what: check.holds for check in verify(frame[1:], certificate)}
    assert (found["rows"], found["content"]) == (False, False)
    split = frame.with_columns(town=pl.when(pl.col("wage") == 0).then(pl.lit("x")).otherwise("town"))
    assert {check.what: check.holds for check in verify(split, certificate)}["classes"] is False
    assert {check.what: check.holds for check in verify(frame.drop("town"), certificate)}["classes"] is False


def test_a_forged_certificate_does_not_verify() -> None:
    release = released()
    certificate = plain(release.certificate)
    certificate["measured"]["smallest_class"] += 1
    assert {check.what: check.holds for check in verify(release.frame, certificate)}["classes"] is False


def test_without_the_entity_classes_are_compared_by_their_rows() -> None:
    release = released(who="drop")
    checks = {check.what: check for check in verify(release.frame, plain(release.certificate))}
    assert checks["classes"].holds is True
    assert "by rows" in checks["classes"].why


def test_the_hash_of_few_rows_is_not_checked() -> None:
    few = people(19)
    made = plain(report(few, desensitize.measure_risk(few, ["town"], "who")))
    assert {check.what: check.holds for check in verify(few, made)}["content"] is None


def test_a_report_lays_out_what_was_measured() -> None:
    release = released()
    frame = release.frame.collect()
    risk = desensitize.measure_risk(frame, ["town"], "who", population_size=9_000)
    made = plain(report(frame, risk, people()))
    assert made["kind"] == "risk report"
    assert made["measured"]["population"]["size"] == 9_000
    assert made["measured_before"]["smallest_class"] == 1
    assert made["done"] is None
    assert all(check.holds for check in verify(frame, made))


@pytest.mark.parametrize(
    "wrong", [{}, {"kind": "recipe", "output": {}}, {"kind": "risk report", "version": 99, "output": {}}]
)
def test_refuses_what_is_no_certificate(wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidInput, match="certificate"):
        verify(people(), wrong)
