"""Decisions on single outputs, remarks, and what a clean room says of the session before it."""

from __future__ import annotations

import dataclasses
import json

import pytest

from products.registry.exports import AirlockFiles
from sandbox.airlock import rerun
from sandbox.airlock.model import Choice, ExportState
from shuzha.core.errors import Conflict, Invalid, NotAllowed, NotFound
from tests.airlock_kit import TABLE, VERIFICATION, AirlockCity

KEEP_BACK = {"insured": "not asked for by the demand"}
OWN_TEXT = 'workbench.export("words", "nothing to see", "a text")'


def test_an_output_that_both_reviewers_withhold_stays_behind(city: AirlockCity) -> None:
    _, release = city.ready()
    request = city.request_at(ExportState.SCREENED, release)
    city.airlock.vote(city.checker, request.id, Choice.APPROVE, "the table only", KEEP_BACK)
    approved = city.airlock.vote(city.second, request.id, Choice.APPROVE, "likewise", {"insured": "too much"})
    assert approved.state is ExportState.APPROVED
    done = city.airlock.finish(request.id)
    assert [file.name for file in done.leaving] == ["by_district"]
    assert city.airlock.read_released(city.analyst, request.id, "by_district").content
    for read in (city.airlock.read_released, city.airlock.read_file):
        with pytest.raises(NotAllowed, match="withheld"):
            read(city.analyst, request.id, "insured")
    record = json.loads(city.airlock.read_record(city.analyst, request.id).content)
    assert [one["name"] for one in record["outputs"]] == ["by_district"]
    assert record["withheld"] == [{"name": "insured", "reason": "too much"}]
    kept = done.find_file("insured")
    assert kept is not None
    assert kept.sha256 not in json.dumps(record), "a small output could be guessed from its hash"
    (told,) = [event for event in city.database.events_after(0) if event.tag == "export:release"]
    assert set(told.data["outputs"]) == {"by_district"}


def test_registry_is_told_why_an_export_was_recalled(city: AirlockCity) -> None:
    _, release = city.ready()
    request = city.request_at(ExportState.RELEASED, release)
    files = AirlockFiles(city.airlock)
    assert files.recall_of(request.id) is None
    city.airlock.recall(city.authority, request.id, "wrong period")
    assert files.recall_of(request.id) == "wrong period"
    (told,) = [event for event in city.database.events_after(0) if event.tag == "export:recall"]
    assert (told.data["authorization"], told.data["reason"]) == (request.authorization, "wrong period")


def test_approvals_that_withhold_different_outputs_are_consolidated(city: AirlockCity) -> None:
    _, release = city.ready()
    request = city.request_at(ExportState.SCREENED, release)
    city.airlock.vote(city.checker, request.id, Choice.APPROVE, "all of it")
    assert city.airlock.vote(city.second, request.id, Choice.APPROVE, "not all", KEEP_BACK).state == "consolidation"
    decided = city.airlock.consolidate(city.third, request.id, Choice.APPROVE, "not all", KEEP_BACK)
    assert [file.name for file in decided.leaving] == ["by_district"]
    assert city.airlock.finish(request.id).state is ExportState.RELEASED


@pytest.mark.parametrize(
    ("choice", "withheld"),
    [
        (Choice.APPROVE, {"by_district": "no", "insured": "no"}),
        (Choice.APPROVE, {"another": "no"}),
        (Choice.APPROVE, {"insured": " "}),
        (Choice.REJECT, KEEP_BACK),
        (Choice.CHANGES, KEEP_BACK),
    ],
)
def test_withholding_what_makes_no_sense_is_refused(
    city: AirlockCity, choice: Choice, withheld: dict[str, str]
) -> None:
    _, release = city.ready()
    request = city.request_at(ExportState.SCREENED, release)
    with pytest.raises(Invalid):
        city.airlock.vote(city.checker, request.id, choice, "why", withheld)
    assert city.airlock.get_export(city.checker, request.id).votes == ()


def test_remarks_reach_those_they_are_meant_for(city: AirlockCity) -> None:
    _, release = city.ready()
    request = city.request_at(ExportState.UNDER_REVIEW, release)
    say = city.airlock.comment
    say(city.analyst, request.id, "the third column is the new one", file="by_district")
    assert not city.airlock.get_export(city.analyst, request.id).asked
    say(city.checker, request.id, "which year is it?")
    assert city.airlock.get_export(city.analyst, request.id).asked
    say(city.checker, request.id, "I doubt the purpose", private=True)

    def read(person: object) -> list[str]:
        return [one.text for one in city.airlock.get_export(person, request.id).comments]  # type: ignore[arg-type]

    assert read(city.analyst) == ["the third column is the new one", "which year is it?"]
    assert read(city.checker)[-1] == "I doubt the purpose"
    assert city.airlock.get_export(city.analyst, request.id).asked, "a private remark changes nothing for the author"
    assert "I doubt the purpose" not in read(city.second), "reviewers are blind to each other until both have voted"
    city.airlock.vote(city.second, request.id, Choice.CHANGES, "say the year")
    assert "I doubt the purpose" in read(city.second)
    assert "I doubt the purpose" not in read(city.analyst)
    assert "I doubt the purpose" not in read(city.operator)
    told = [event.data for event in city.database.events_after(0) if event.tag == "export:comment"]
    assert len(told) == 3
    assert "doubt" not in str(told)


def test_remarks_that_cannot_be_are_refused(city: AirlockCity) -> None:
    _, release = city.ready()
    request = city.request_at(ExportState.SCREENED, release)
    for text, file in (("", ""), ("x" * 2_001, ""), ("here", "another")):
        with pytest.raises(Invalid):
            city.airlock.comment(city.checker, request.id, text, file=file)
    with pytest.raises(NotAllowed):
        city.airlock.comment(city.analyst, request.id, "between us", private=True)
    with pytest.raises(NotAllowed):
        city.airlock.comment(city.regulator, request.id, "a regulator only looks")
    city.airlock.return_for_changes(city.checker, request.id, "no")
    city.airlock.withdraw(city.analyst, request.id, "not needed")
    with pytest.raises(Conflict):
        city.airlock.comment(city.checker, request.id, "too late")


def test_an_output_that_was_another_in_the_session_is_questioned(city: AirlockCity) -> None:
    _, release = city.ready()
    session = (("by_district", "0" * 64), ("words", rerun.digest(None, b"nothing to see")))
    asked = dataclasses.replace(city.submission(release, TABLE, OWN_TEXT), session=session)
    screened = city.airlock.process(city.airlock.submit(city.analyst, asked).id)
    assert screened.state is ExportState.SCREENED
    assert [one.file for one in screened.findings if one.rule == "session_differs"] == ["by_district"]


def test_a_request_without_a_session_is_compared_by_its_cells_alone(city: AirlockCity) -> None:
    _, release = city.ready()
    made = json.loads(city.submission(release, TABLE, VERIFICATION).notebook)
    made["cells"][1]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "41\n"}]
    asked = dataclasses.replace(city.submission(release), notebook=json.dumps(made).encode())
    executed = json.loads(asked.notebook)
    executed["cells"][1]["outputs"][0]["text"] = "42\n"
    city.room.executed = json.dumps(executed).encode()
    screened = city.airlock.process(city.airlock.submit(city.analyst, asked).id)
    assert screened.run is not None
    assert screened.run.changed_cells == (2,)
    (note,) = [one for one in screened.findings if one.rule == "session_differs"]
    assert (note.severity, note.figure, note.place) == ("note", 1, "cell 2")


def test_released_outputs_of_the_same_entry_stand_beside_a_request(city: AirlockCity) -> None:
    _, release = city.ready()
    before = city.request_at(ExportState.RELEASED, release, TABLE)
    now = city.request_at(ExportState.SCREENED, release, TABLE)
    assert [one.id for one in city.airlock.list_related(city.checker, now.id)] == [before.id]
    assert city.airlock.list_related(city.checker, before.id) == ()
    free = city.request_at(ExportState.SCREENED, release, OWN_TEXT)
    assert city.airlock.list_related(city.checker, free.id) == (), "a text is of no entry"


def test_evidence_is_for_reviewers(city: AirlockCity) -> None:
    _, release = city.ready()
    request = city.request_at(ExportState.SCREENED, release)
    report = json.loads(city.airlock.read_evidence(city.checker, request.id, "by_district"))
    assert report["verdict"] == "pass"
    fewest = [one["entities"] for one in report["grounds"]["cells"]]
    assert fewest == sorted(fewest)
    assert fewest[0] >= 10
    with pytest.raises(NotAllowed):
        city.airlock.read_evidence(city.analyst, request.id, "by_district")
    with pytest.raises(NotFound):
        city.airlock.read_evidence(city.checker, request.id, "insured")


def test_what_requests_came_back_for_is_counted(city: AirlockCity) -> None:
    _, release = city.ready()
    city.request_at(ExportState.RELEASED, release, TABLE)
    city.request_at(ExportState.RETURNED, release, "1 / 0")
    blocked = city.request_at(ExportState.RETURNED, release, TABLE, 'workbench.export("x", "110101199003074514")')
    rules = {one.rule for one in blocked.findings if one.severity == "block"}
    fared = city.airlock.count_causes(city.checker)
    assert (fared.submitted, fared.first, fared.released) == (3, 1, 1)
    assert {one.cause for one in fared.causes} == rules | {"notebook"}
    assert city.airlock.count_causes(city.colleague).submitted == 3
