"""Export requests through the real verbs: what leaves, what is stopped, and by whom."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import polars as pl
import pytest

from sandbox.airlock.model import Choice, ExportState
from sandbox.airlock.record import verify_record
from sandbox.airlock.specification import VerificationSpecification, parse
from shuzha.core.errors import Conflict, Invalid, NotAllowed, NotFound, TransitionNotAllowed
from tests.airlock_kit import TABLE, VERIFICATION, AirlockCity, BrokenRoom, notebook
from tests.releases_kit import payments

SMALL = (
    'workbench.export("small", workbench.table("social_insurance", rows=["district_code"], '
    'where=[("base", ">", 22_300)]), "few")'
)
FREE = (
    'import polars as pl; workbench.export("mine", pl.DataFrame({"a": [1, 2], "note": ["=1+1", "x"]}), "made by hand")'
)
LEAK = 'workbench.export("leak", "who,n\\n11010519491231002X,1\\n", "made by hand")'
SECRET = (
    'workbench.export("everybody", workbench.verification("social_insurance", subject=["resident_id"], claims=['
    'workbench.claim("present", "在册", [("period", "==", "2026-02")])]), "x")'
)


def test_a_table_and_a_verification_leave(city: AirlockCity) -> None:
    grant, release = city.ready()
    request = city.airlock.submit(city.analyst, city.submission(release))
    assert request.state is ExportState.SUBMITTED
    city.run_jobs()
    request = city.airlock.get_export(city.checker, request.id)
    assert (request.state, request.verdict) == (ExportState.SCREENED, "pass")
    assert request.due is not None
    city.airlock.vote(city.checker, request.id, Choice.APPROVE, "counts are large")
    city.airlock.vote(city.second, request.id, Choice.APPROVE, "I looked at each cell")
    city.run_jobs()
    request = city.airlock.get_export(city.analyst, request.id)
    assert request.state is ExportState.RELEASED

    table = city.airlock.read_released(city.analyst, request.id, "by_district")
    shown = pl.read_csv(io.BytesIO(table.content), schema_overrides={"district_code": pl.String})
    truth = (
        payments(600).group_by("district_code").agg(pl.col("resident_id").n_unique().cast(pl.Int64).alias("entities"))
    )
    assert shown.sort("district_code").equals(truth.sort("district_code"))
    assert (table.form, table.grant, table.demand) == ("table", grant.id, grant.demand)

    verification = city.airlock.read_released(city.analyst, request.id, "insured")
    specification = parse(verification.content)
    assert isinstance(specification, VerificationSpecification)
    assert specification.entry == grant.entry == verification.entry
    assert verification.form == "verification"


def test_the_record_is_signed_and_says_everything(city: AirlockCity) -> None:
    _, release = city.ready()
    request = city.request_at(ExportState.RELEASED, release)
    record = city.airlock.read_record(city.regulator, request.id)
    assert record.holds()
    assert not verify_record(record.content + b" ", record.signature, record.public_key)
    told = json.loads(record.content)
    assert told["request"] == request.id
    assert [one["release"] for one in told["inputs"]] == [release.id]
    assert {one["account"] for one in told["reviewers"]} == {city.checker.id, city.second.id}
    assert told["rules"]["values"]["min_entities"] == 10
    assert {one["sha256"] for one in told["outputs"]} == {file.sha256 for file in request.files}
    event = next(event for event in city.database.events_after(0) if event.tag == "export:release")
    assert event.data["record"] == request.record
    assert event.approver is not None


def test_the_kernel_cannot_choose_the_bytes_of_a_table(city: AirlockCity) -> None:
    _, release = city.ready()
    forged = (
        "import json, os, pathlib; box = pathlib.Path(os.environ['SHUZHA_OUTBOX'])\n"
        "(box / 'c').write_text('district_code,count\\n370102,999999\\n')\n"
        "(box / 'a.json').write_text(json.dumps({'name': 'by_district', 'kind': 'table', 'file': 'c', 'specification': "
        "{'kind': 'table', 'release': 'social_insurance', 'rows': ['district_code']}}))"
    )
    request = city.request_at(ExportState.SCREENED, release, forged)
    assert [finding.rule for finding in request.findings if finding.severity == "review"] == ["kernel_differs"]
    assert b"999999" not in city.airlock.read_file(city.checker, request.id, "by_district")


def test_a_small_cell_returns_the_request_and_a_repair_lets_it_pass(city: AirlockCity) -> None:
    _, release = city.ready()
    request = city.request_at(ExportState.RETURNED, release, SMALL)
    assert request.state is ExportState.RETURNED
    found = next(finding for finding in request.findings if finding.rule == "min_count")
    assert found.file == "small"
    assert found.limit == 10
    assert "blocked by min_count" in request.reason
    cells = SMALL.replace("22_300)]", '20_300)], repair="suppress"').replace(
        '("base"', '("kind", "==", "pension"), ("base"'
    )
    again = city.airlock.resubmit(city.analyst, request.id, city.submission(release, cells))
    assert (again.state, again.round, again.findings) == (ExportState.SUBMITTED, 2, ())
    again = city.airlock.process(request.id)
    assert again.state is ExportState.SCREENED, again.findings
    shown = city.airlock.read_file(city.checker, again.id, "small").decode().splitlines()
    assert [line for line in shown[1:] if not line.endswith(",")] == ["370112,18"]
    assert len(shown) == 7


def test_a_free_form_file_needs_people_and_is_written_anew(city: AirlockCity) -> None:
    _, release = city.ready()
    request = city.request_at(ExportState.SCREENED, release, FREE)
    assert request.verdict == "review"
    assert city.airlock.read_file(city.checker, request.id, "mine") == b"a,note\n1,'=1+1\n2,x\n"


@pytest.mark.parametrize(
    ("cell", "rule"), [(LEAK, "label_pii"), (SECRET, "class_disclosure"), ("x = 1", "rerun_differs")]
)
def test_screening_blocks(city: AirlockCity, cell: str, rule: str) -> None:
    _, release = city.ready()
    request = city.request_at(ExportState.RETURNED, release, cell)
    assert rule in {finding.rule for finding in request.findings if finding.severity == "block"}
    assert "11010519491231002X" not in str(request)


@pytest.mark.parametrize(
    "cell",
    [
        TABLE.replace("district_code", "name"),
        TABLE.replace("social_insurance", "somewhere_else"),
        TABLE.replace('aggregate="entities"', 'aggregate="sum", value="district_code"'),
        VERIFICATION.replace('"kind"', '"employer"'),
    ],
)
def test_screening_blocks_a_specification_that_reaches_outside_the_grant(city: AirlockCity, cell: str) -> None:
    _, release = city.ready()
    request = city.request_at(ExportState.RETURNED, release, cell)
    assert request.state is ExportState.RETURNED
    assert "specification" in {finding.rule for finding in request.findings}


def test_screening_blocks_an_output_kind_that_the_grant_does_not_have(city: AirlockCity) -> None:
    from shuzha.authorization.agreement import OutputKind

    _, release = city.ready(output_kinds=(OutputKind.VERIFICATION,))
    request = city.request_at(ExportState.RETURNED, release, TABLE)
    assert "scope" in {finding.rule for finding in request.findings}
    assert city.request_at(ExportState.SCREENED, release, VERIFICATION).state is ExportState.SCREENED


def test_an_output_that_is_meant_and_not_made_blocks(city: AirlockCity) -> None:
    _, release = city.ready()
    request = city.airlock.submit(city.analyst, city.submission(release, TABLE, outputs=("by_district", "other")))
    request = city.airlock.process(request.id)
    assert [(one.rule, one.file) for one in request.findings if one.severity == "block"] == [("rerun_differs", "other")]


def test_only_what_is_meant_is_judged_and_leaves(city: AirlockCity) -> None:
    _, release = city.ready()
    request = city.airlock.submit(city.analyst, city.submission(release, TABLE, LEAK, outputs=("by_district",)))
    request = city.airlock.process(request.id)
    assert [file.name for file in request.files] == ["by_district"]


def test_a_notebook_that_fails_is_returned_with_its_cell(city: AirlockCity) -> None:
    _, release = city.ready()
    request = city.request_at(ExportState.RETURNED, release, "1 / 0")
    assert request.state is ExportState.RETURNED
    assert "failed at cell 1" in request.reason


def test_a_broken_room_leaves_the_request_where_the_job_can_take_it_up_again(city: AirlockCity) -> None:
    _, release = city.ready()
    request = city.request_at(ExportState.SUBMITTED, release)
    with pytest.raises(OSError, match="broken"):
        city.make_service(BrokenRoom()).process(request.id)
    assert city.airlock.get_export(city.analyst, request.id).state is ExportState.RERUNNING
    assert city.airlock.process(request.id).state is ExportState.SCREENED
    assert city.airlock.process(request.id).state is ExportState.SCREENED
    assert city.room.runs == 1


def test_a_release_that_was_changed_on_disk_is_not_read(city: AirlockCity) -> None:
    _, release = city.ready()
    path = city.files(release) / "data.parquet"
    path = next(city.files(release).glob("*.parquet")) if not path.exists() else path
    path.chmod(0o644)
    path.write_bytes(path.read_bytes() + b"x")
    request = city.request_at(ExportState.RETURNED, release, TABLE)
    assert [finding.rule for finding in request.findings if finding.severity == "block"] == ["specification"]


# people ------------------------------------------------------------


def test_vote_refuses_the_author_and_his_unit(city: AirlockCity) -> None:
    _, release = city.ready()
    request = city.request_at(ExportState.SCREENED, release)
    both = replace(city.analyst, roles=frozenset({"analyst", "checker"}))
    elsewhere = replace(both, organisation="org_authority")
    for reviewer in (both, elsewhere, city.insider, city.operator, city.regulator):
        with pytest.raises((NotAllowed, NotFound)):
            city.airlock.vote(reviewer, request.id, Choice.APPROVE, "mine is fine")
    assert city.airlock.get_export(city.checker, request.id).votes == ()


def test_vote_refuses_a_second_vote_of_one_person_in_another_role(city: AirlockCity) -> None:
    _, release = city.ready()
    request = city.request_at(ExportState.UNDER_REVIEW, release)
    again = replace(city.checker, roles=frozenset({"checker", "authority"}), organisation="org_elsewhere")
    with pytest.raises(NotAllowed, match="again"):
        city.airlock.vote(again, request.id, Choice.APPROVE, "once more")


@pytest.mark.parametrize("reason", ["", "  ", "x" * 2_001])
def test_vote_asks_for_a_reason(city: AirlockCity, reason: str) -> None:
    _, release = city.ready()
    request = city.request_at(ExportState.SCREENED, release)
    with pytest.raises(Invalid):
        city.airlock.vote(city.checker, request.id, Choice.APPROVE, reason)


def test_votes_are_blind_until_both_are_in(city: AirlockCity) -> None:
    _, release = city.ready()
    request = city.request_at(ExportState.UNDER_REVIEW, release)
    assert len(city.airlock.get_export(city.checker, request.id).votes) == 1
    for person in (city.second, city.analyst, city.regulator, city.authority):
        seen = city.airlock.get_export(person, request.id)
        assert seen.votes == ()
        assert all(step.verb != "review" for step in seen.steps)
    assert [one.id for one in city.airlock.list_to_review(city.second)] == [request.id]
    assert city.airlock.list_to_review(city.checker) == ()
    told = [event for event in city.database.events_after(0) if event.tag == "export:review"]
    assert "approve" not in str([event.data for event in told])
    city.airlock.vote(city.second, request.id, Choice.APPROVE, "fine")
    assert len(city.airlock.get_export(city.analyst, request.id).votes) == 2


@pytest.mark.parametrize(
    ("choice", "state"),
    [
        (Choice.CHANGES, ExportState.RETURNED),
        (Choice.REJECT, ExportState.REJECTED),
        (Choice.APPROVE, ExportState.APPROVED),
    ],
)
def test_two_equal_votes_decide(city: AirlockCity, choice: Choice, state: ExportState) -> None:
    _, release = city.ready()
    request = city.request_at(ExportState.SCREENED, release)
    city.airlock.vote(city.checker, request.id, choice, "one")
    assert city.airlock.vote(city.second, request.id, choice, "two").state is state


def test_votes_that_differ_are_consolidated_by_a_third(city: AirlockCity) -> None:
    _, release = city.ready()
    request = city.request_at(ExportState.UNDER_REVIEW, release)
    with pytest.raises(Conflict):
        city.airlock.consolidate(city.third, request.id, Choice.APPROVE, "too early")
    request = city.airlock.vote(city.second, request.id, Choice.CHANGES, "merge two districts")
    assert request.state is ExportState.CONSOLIDATION
    for voter in (city.checker, city.second, city.analyst, city.insider):
        with pytest.raises((NotAllowed, NotFound)):
            city.airlock.consolidate(voter, request.id, Choice.APPROVE, "decided")
    assert city.airlock.consolidate(city.third, request.id, Choice.APPROVE, "decided").state is ExportState.APPROVED


def test_reject_refuses_one_checker_alone(city: AirlockCity) -> None:
    _, release = city.ready()
    request = city.request_at(ExportState.UNDER_REVIEW, release)
    with pytest.raises(NotAllowed):
        city.airlock.reject(city.second, request.id, "no")
    assert city.airlock.reject(city.authority, request.id, "no").state is ExportState.REJECTED


def test_return_for_changes_needs_no_second_vote(city: AirlockCity) -> None:
    _, release = city.ready()
    request = city.request_at(ExportState.UNDER_REVIEW, release)
    with pytest.raises(NotAllowed):
        city.airlock.return_for_changes(city.analyst, request.id, "mine")
    returned = city.airlock.return_for_changes(city.second, request.id, "merge the districts")
    assert (returned.state, returned.reason) == (ExportState.RETURNED, "merge the districts")


def test_hold_and_resume_are_the_authoritys(city: AirlockCity) -> None:
    _, release = city.ready()
    request = city.request_at(ExportState.SCREENED, release)
    with pytest.raises(NotAllowed):
        city.airlock.hold(city.checker, request.id, "wait")
    assert city.airlock.hold(city.authority, request.id, "wait").state is ExportState.HELD
    assert city.airlock.resume(city.authority, request.id, "go on").state is ExportState.SCREENED
    city.airlock.hold(city.authority, request.id, "wait")
    assert city.airlock.reject(city.authority, request.id, "the unit is gone").state is ExportState.REJECTED


def test_withdraw_is_the_units_own(city: AirlockCity) -> None:
    _, release = city.ready()
    request = city.request_at(ExportState.SUBMITTED, release)
    for stranger in (city.checker, city.rival, city.colleague):
        with pytest.raises((NotAllowed, NotFound)):
            city.airlock.withdraw(stranger, request.id, "not mine")
    assert city.airlock.withdraw(city.analyst, request.id, "a mistake").state is ExportState.WITHDRAWN
    assert city.airlock.process(request.id).state is ExportState.WITHDRAWN


def test_nobody_outside_sees_a_request(city: AirlockCity) -> None:
    _, release = city.ready()
    request = city.request_at(ExportState.SUBMITTED, release)
    for stranger in (city.rival, city.other_provider):
        with pytest.raises(NotFound):
            city.airlock.get_export(stranger, request.id)
        assert city.airlock.list_exports(stranger) == ()


def test_the_unit_reads_its_files_only_once_they_are_released(city: AirlockCity) -> None:
    _, release = city.ready()
    request = city.request_at(ExportState.APPROVED, release)
    with pytest.raises(NotAllowed):
        city.airlock.read_file(city.analyst, request.id, "by_district")
    with pytest.raises(Invalid):
        city.airlock.read_released(city.analyst, request.id, "by_district")
    city.run_jobs()
    assert city.airlock.read_file(city.analyst, request.id, "by_district").startswith(b"district_code,entities\n")
    with pytest.raises(NotFound):
        city.airlock.read_released(city.analyst, request.id, "other")


def test_bytes_that_were_changed_in_the_vault_do_not_leave(city: AirlockCity) -> None:
    _, release = city.ready()
    request = city.request_at(ExportState.APPROVED, release)
    address = request.files[0].sha256
    (city.folder / "vault" / address[:2] / address).write_bytes(b"district_code,entities\n370102,1\n")
    with pytest.raises(Invalid, match="changed"):
        city.airlock.finish(request.id)
    assert city.airlock.get_export(city.checker, request.id).state is ExportState.APPROVED


def test_recall_is_the_authoritys(city: AirlockCity) -> None:
    _, release = city.ready()
    request = city.request_at(ExportState.RELEASED, release)
    with pytest.raises(NotAllowed):
        city.airlock.recall(city.checker, request.id, "an error was found")
    assert city.airlock.recall(city.authority, request.id, "an error was found").state is ExportState.RECALLED
    with pytest.raises(Invalid):
        city.airlock.read_released(city.analyst, request.id, "by_district")


# suspension ------------------------------------------------------------


@pytest.mark.parametrize(
    "state", [ExportState.SUBMITTED, ExportState.SCREENED, ExportState.UNDER_REVIEW, ExportState.APPROVED]
)
def test_a_suspended_authorization_holds_its_requests(city: AirlockCity, state: ExportState) -> None:
    grant, release = city.ready()
    request = city.request_at(state, release)
    city.service.suspend(city.authority, grant.authorization, "a breach")
    held = city.airlock.hold_all(grant.authorization, "authorization suspended")
    assert [one.state for one in held] == [ExportState.HELD]
    assert city.airlock.hold_all(grant.authorization, "again") == ()
    with pytest.raises(TransitionNotAllowed):
        city.airlock.vote(city.third, request.id, Choice.APPROVE, "anyway")
    assert city.airlock.process(request.id).state is ExportState.HELD
    assert city.airlock.finish(request.id).state is ExportState.HELD
    city.service.restore(city.authority, grant.authorization, "mended")
    assert [one.state for one in city.airlock.resume_all(grant.authorization, "restored")] == [state]


def test_a_suspended_authorization_refuses_submission_and_release(city: AirlockCity) -> None:
    grant, release = city.ready()
    request = city.request_at(ExportState.APPROVED, release)
    city.service.suspend(city.authority, grant.authorization, "a breach")
    city.policies.forget(grant.id)
    with pytest.raises(NotAllowed, match="suspended"):
        city.airlock.submit(city.analyst, city.submission(release))
    with pytest.raises(NotAllowed, match="suspended"):
        city.airlock.finish(request.id)
    assert city.airlock.get_export(city.checker, request.id).state is ExportState.APPROVED


def test_what_a_job_found_is_dropped_when_the_request_was_held_meanwhile(city: AirlockCity) -> None:
    grant, release = city.ready()
    request = city.request_at(ExportState.SUBMITTED, release)
    city.room.before_end = lambda: city.airlock.hold_all(grant.authorization, "authorization suspended") and None
    assert city.airlock.process(request.id).state is ExportState.HELD
    city.room.before_end = lambda: None
    assert city.airlock.resume_all(grant.authorization, "restored")[0].state is ExportState.SUBMITTED
    city.run_jobs()
    assert city.airlock.get_export(city.checker, request.id).state is ExportState.SCREENED


# submission ------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"title": " "},
        {"purpose": ""},
        {"context": ""},
        {"releases": ()},
        {"notebook": b""},
        {"notebook": b"print()"},
        {"workspace": ""},
    ],
)
def test_submit_refuses_what_reviewers_could_not_judge(city: AirlockCity, changes: dict[str, object]) -> None:
    _, release = city.ready()
    with pytest.raises(Invalid):
        city.airlock.submit(city.analyst, city.submission(release, **changes))
    assert city.airlock.list_exports(city.analyst) == ()


def test_submit_refuses_releases_of_others(city: AirlockCity) -> None:
    _, release = city.ready()
    with pytest.raises(NotAllowed):
        city.airlock.submit(replace(city.analyst, organisation="org_rival"), city.submission(release))
    with pytest.raises(NotAllowed):
        city.airlock.submit(city.analyst, city.submission(release, authorization="aut_other"))
    with pytest.raises(Invalid):
        city.airlock.submit(city.analyst, city.submission(release, releases=(release.id, release.id)))
    with pytest.raises(NotFound):
        city.airlock.submit(city.analyst, city.submission(release, releases=("rel_none",)))


def test_submit_refuses_roles_that_make_no_exports(city: AirlockCity) -> None:
    _, release = city.ready()
    for person in (city.operator, city.checker, city.provider, city.authority):
        with pytest.raises(NotAllowed):
            city.airlock.submit(person, city.submission(release))


@pytest.mark.parametrize(("aggregate", "state"), [("count", ExportState.RETURNED), ("entities", ExportState.SCREENED)])
def test_two_tables_whose_difference_is_a_few_rows_are_returned_where_rows_count(
    city: AirlockCity, aggregate: str, state: ExportState
) -> None:
    """Everybody has another row below the limit: as sets of people the two populations are one."""
    _, release = city.ready()
    every = TABLE.replace('"entities"', f'"{aggregate}"')
    some = every.replace("by_district", "some").replace("aggregate=", 'where=[("base", "<", 22400)], aggregate=')
    alone = city.airlock.process(city.airlock.submit(city.analyst, city.submission(release, some)).id)
    assert alone.state is ExportState.SCREENED, alone.findings
    both = city.airlock.process(city.airlock.submit(city.analyst, city.submission(release, every, some)).id)
    assert both.state is state
    blocked = {finding.rule for finding in both.findings if finding.severity == "block"}
    assert blocked == ({"differencing"} if state is ExportState.RETURNED else set())


def test_a_purpose_outside_the_grant_blocks(city: AirlockCity) -> None:
    _, release = city.ready()
    request = city.airlock.submit(city.analyst, city.submission(release, TABLE, purpose="statistics"))
    request = city.airlock.process(request.id)
    assert {finding.rule for finding in request.findings if finding.severity == "block"} == {"scope"}


def test_resubmit_refuses_another_workspace_and_a_request_that_was_not_returned(city: AirlockCity) -> None:
    _, release = city.ready()
    request = city.request_at(ExportState.RETURNED, release, "1 / 0")
    with pytest.raises(Invalid):
        city.airlock.resubmit(city.analyst, request.id, city.submission(release, workspace="ws-2"))
    city.airlock.resubmit(city.analyst, request.id, city.submission(release))
    with pytest.raises(TransitionNotAllowed):
        city.airlock.resubmit(city.analyst, request.id, city.submission(release))


def test_check_gives_advice_and_keeps_nothing(city: AirlockCity) -> None:
    _, release = city.ready()
    asked = city.submission(release, notebook=b"")
    table = {"kind": "table", "release": "social_insurance", "rows": ["district_code"], "aggregate": "count"}
    assert city.airlock.check(city.analyst, asked, table)["verdict"] == "pass"
    small = table | {"where": [{"column": "base", "op": "gt", "value": 22_300}]}
    told = city.airlock.check(city.analyst, asked, small)
    assert told["verdict"] == "block"
    assert "min_count" in {finding["rule"] for finding in told["findings"]}
    assert city.airlock.list_exports(city.analyst) == ()


def test_can_greys_what_the_state_or_the_policy_refuses(city: AirlockCity) -> None:
    _, release = city.ready()
    request = city.request_at(ExportState.SCREENED, release)
    assert city.airlock.can(city.checker, "review", request)
    assert not city.airlock.can(city.analyst, "review", request)
    assert not city.airlock.can(city.checker, "recall", request)


def test_nothing_of_the_data_stands_in_the_events(city: AirlockCity) -> None:
    _, release = city.ready()
    city.request_at(ExportState.RELEASED, release)
    told = str(
        [(event.content, event.data) for event in city.database.events_after(0) if event.tag.startswith("export:")]
    )
    assert "370102" not in told
    assert notebook("x")[:20].decode() not in told
