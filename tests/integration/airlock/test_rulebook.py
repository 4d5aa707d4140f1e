"""The authority sets the rules' parameters; a request is judged by one set from its screening to its release."""

from __future__ import annotations

import json

import pytest

from sandbox.airlock.model import Choice, ExportState
from sandbox.airlock.rulebook import flatten, make_rules
from sandbox.airlock.rules import Rules
from shuzha.core.errors import Invalid, NotAllowed, NotFound
from tests.airlock_kit import AirlockCity
from tests.authorization_kit import person

TABLE_ASKED = {"kind": "table", "rows": ["district_code"], "aggregate": "entities"}
AUTHORITY = person("zhou", "org_authority", "authority")


def test_a_request_keeps_the_rules_by_which_it_was_screened(city: AirlockCity) -> None:
    _, release = city.ready()
    before = city.request_at(ExportState.SCREENED, release)
    made = city.airlock.rules.set_rules(AUTHORITY, {"min_entities": 400}, "few people in the new districts")
    assert made.changed == ("min_entities",)
    after = city.request_at(ExportState.RETURNED, release)
    assert (before.rules_version, after.rules_version) == (Rules().version, made.version)
    assert "min_count" in after.reason
    for checker in (city.checker, city.second):
        city.airlock.vote(checker, before.id, Choice.APPROVE, "counts are large")
    assert city.airlock.finish(before.id).state is ExportState.RELEASED
    record = city.airlock.read_record(city.checker, before.id)
    assert json.loads(record.content)["rules"]["values"]["min_entities"] == 10
    advice = city.airlock.check(city.analyst, city.submission(release), TABLE_ASKED | {"release": release.id})
    assert advice["rules"]["min_entities"] == 400


@pytest.mark.parametrize("who", ["analyst", "checker", "second"])
def test_nobody_else_changes_the_rules(city: AirlockCity, who: str) -> None:
    with pytest.raises(NotAllowed):
        city.airlock.rules.set_rules(getattr(city, who), {"min_entities": 1}, "a lower threshold")
    assert city.airlock.rules.in_force() == Rules()


@pytest.mark.parametrize(
    "changes",
    [
        {}, {"min_entities": 10}, {"min_entitys": 5}, {"min_entities": 9.5}, {"min_entities": True}, {"nk_k": 1.5},
        {"nk_k": float("nan")}, {"share_low": 0.99}, {"models.auc_block": 0.5}, {"structural_zeros": 1},
        {"min_dof": -1},
    ],
)  # fmt: skip
def test_what_is_no_change_of_the_rules_is_refused(city: AirlockCity, changes: dict[str, float]) -> None:
    with pytest.raises(Invalid):
        city.airlock.rules.set_rules(AUTHORITY, changes, "to try")
    assert city.airlock.rules.describe(AUTHORITY) == (Rules(), ())


def test_a_change_needs_a_reason_and_is_logged(city: AirlockCity) -> None:
    with pytest.raises(Invalid, match="reason"):
        city.airlock.rules.set_rules(AUTHORITY, {"min_entities": 20}, " ")
    made = city.airlock.rules.set_rules(AUTHORITY, {"min_entities": 20, "models.leaf_entities": 12}, "a new handbook")
    (event,) = [one for one in city.database.events_after(0) if one.tag == "rules:set"]
    assert event.data["changed"] == {
        "min_entities": {"from": 10, "to": 20}, "models.leaf_entities": {"from": 10, "to": 12},
    }  # fmt: skip
    assert city.airlock.rules.of_version(made.version).models.leaf_entities == 12
    with pytest.raises(NotFound):
        city.airlock.rules.of_version("0" * 16)


def test_rules_are_the_numbers_that_they_are_made_of() -> None:
    rules = make_rules(flatten(Rules()) | {"nk_k": 1})
    assert rules.nk_k == 1.0
    assert rules.version == make_rules(flatten(Rules()) | {"nk_k": 1.0}).version
    assert make_rules(flatten(Rules())) == Rules()
