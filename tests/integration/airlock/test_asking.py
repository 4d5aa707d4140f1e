"""A notebook asks the airlock's advice as often as it likes: no answer may tell a raw value."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from sandbox.airlock.findings import Verdict
from sandbox.airlock.model import ExportState
from sandbox.airlock.submitting import MOST_A_DAY
from shuzha.core.errors import Invalid
from tests.airlock_kit import AirlockCity


def _asked(column: str, op: str, value: object, subject: str = "resident_id") -> dict[str, Any]:
    claim = {"name": "some", "title": "some", "where": [{"column": column, "op": op, "value": value}]}
    return {"kind": "verification", "entry": "social_insurance", "subject": [subject], "claims": [claim]}


def _answers(city: AirlockCity, *specifications: dict[str, Any]) -> list[dict[str, Any]]:
    _, release = city.ready()
    asked = city.submission(release, notebook=b"")
    return [city.airlock.check(city.analyst, asked, one) for one in specifications]


def test_check_refuses_to_search_for_a_subject(city: AirlockCity) -> None:
    few, many = _answers(city, _asked("resident_id", "lt", "0"), _asked("resident_id", "lt", "9"))
    assert few == many
    assert few["verdict"] == "block"
    assert {finding["rule"] for finding in few["findings"]} == {"specification"}


def test_check_refuses_to_search_a_name_beside_another_subject(city: AirlockCity) -> None:
    few, many = _answers(
        city, _asked("resident_id", "lt", "0", "district_code"), _asked("resident_id", "lt", "9", "district_code")
    )
    assert few == many
    assert few["verdict"] == "block"


@pytest.mark.parametrize("value", [0, 12_000, 10**9])
def test_check_says_the_same_of_a_claim_whatever_it_is_true_of(city: AirlockCity, value: int) -> None:
    none, some = _answers(city, _asked("base", "ge", value), _asked("base", "ge", 5_000))
    assert none == some
    assert none["verdict"] == "pass"


def test_check_leaves_nothing_in_the_vault(city: AirlockCity) -> None:
    def kept() -> list[str]:
        return sorted(str(path) for path in (city.folder / "vault").rglob("*"))

    city.ready()
    before = kept()
    table = {"kind": "table", "release": "social_insurance", "rows": ["district_code"], "aggregate": "count"}
    _answers(city, table, _asked("base", "ge", 5_000))
    assert kept() == before


def test_a_returned_request_does_not_say_how_many_a_claim_is_true_of(city: AirlockCity) -> None:
    _, release = city.ready()
    request = city.request_at(
        ExportState.RETURNED,
        release,
        'workbench.export("rich", workbench.verification("social_insurance", subject=["resident_id"], claims=['
        'workbench.claim("rich", "x", [("base", ">=", 22460)])]), "who")',
    )
    assert request.verdict == Verdict.BLOCK
    found = [finding for finding in request.findings if finding.place.startswith("claim")]
    assert {finding.rule for finding in found} >= {"min_count"}
    assert {finding.figure for finding in found} == {None}


def test_a_workspace_submits_so_often_a_day(city: AirlockCity) -> None:
    _, release = city.ready()
    for _ in range(MOST_A_DAY):
        city.airlock.submit(city.analyst, city.submission(release))
    with pytest.raises(Invalid) as refused:
        city.airlock.submit(city.analyst, city.submission(release))
    assert refused.value.rule == "export.pace"
    city.airlock.submit(city.analyst, city.submission(release, workspace="ws-2"))
    city.clock.advance(dt.timedelta(days=1, hours=1))
    assert city.airlock.submit(city.analyst, city.submission(release)).state is ExportState.SUBMITTED
