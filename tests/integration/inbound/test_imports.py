"""Import requests over real records, grants, releases and files: who may what, what is refused, what enters."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from sandbox.airlock.findings import Severity
from sandbox.inbound.model import ImportState, Rules
from sandbox.inbound.store import IMPORTS
from sandbox.workspaces.verbs import WorkspaceVerbs
from shuzha.authorization.agreement import Operation
from shuzha.core.actor import Actor
from shuzha.core.errors import Invalid, NotAllowed, NotFound, TransitionNotAllowed
from tests.inbound_kit import BRANCHES, InboundCity, listed, people, resident, wanted

S = ImportState


def rules_of(findings: object) -> set[str]:
    return {one.rule for one in findings}  # type: ignore[attr-defined]


def test_a_plain_file_enters_and_is_inside_at_once(city: InboundCity) -> None:
    made = city.bring(upto=S.IMPORTED)
    assert made.state is S.IMPORTED, made.reason
    inside = city.inside("branches")
    assert inside is not None
    assert inside.columns == ["branches", "opened"]
    assert inside.schema["opened"] == pl.Date
    assert city.inbound.list_own(city.workspace.id)[0]["columns"] == ["branches", "opened"]
    assert city.host.mounts[-1].name == "own"
    assert (city.host.mounts[-1].path / "branches" / "data.parquet").exists()
    assert made.parsed == ""
    assert city.vault.list_addresses() == (made.outcome,)


def test_a_list_enters_with_pseudonyms_that_join_the_release(city: InboundCity) -> None:
    made = city.bring(people(range(100, 260)), listed(), upto=S.IMPORTED)
    assert made.state is S.IMPORTED, made.reason
    inside = city.inside("customers")
    assert inside is not None
    assert inside.columns == ["resident_id", "segment"]
    release = pl.read_parquet(city.files(city.release) / "data.parquet")
    met = inside.join(release.select("resident_id").unique(), on="resident_id").height
    assert met == 100, "the people of the list who are in the release"
    raw = {resident(number) for number in range(100, 260)}
    assert not raw & set(inside["resident_id"])
    assert inside["resident_id"].is_sorted()
    kept = b"".join(city.vault.get(address) for address in city.vault.list_addresses())
    assert resident(100).encode() not in kept
    assert list((city.folder / "scratch").iterdir()) == []


def test_a_grant_without_join_names_the_rule_and_takes_the_file_without_its_key(tmp_path: Path) -> None:
    city = InboundCity(tmp_path, operations=(Operation.AGGREGATE,))
    made = city.bring(people(range(100)), listed(), upto=S.DRAFT)
    with pytest.raises(NotAllowed, match="operation lies outside the grant") as refused:
        city.inbound.submit(city.analyst, made.id, listed())
    assert city.grant_.id in str(refused.value.rule)
    assert "operations" in str(refused.value.rule)
    assert city.inbound.list_joinable(city.analyst, made.id) == ()
    assert "operation" in city.inbound.find_join_refusal(city.analyst, made.id)
    assert city.inbound.get_import(city.analyst, made.id).state is S.DRAFT
    city.inbound.submit(city.analyst, made.id, wanted("segment", name="segments"))
    city.inbound.screen(made.id)
    city.inbound.approve(city.checker, made.id, "segments alone say nothing")
    assert city.inbound.admit(made.id).state is S.IMPORTED
    assert city.inside("segments").columns == ["segment"]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("content", "wish", "rule"),
    [
        (people(range(100)), wanted("resident_id", "segment"), "own.direct"),
        (people(range(100)), listed(keep=("segment", "spend")), "own.linkage"),
        (people(range(100), classes=8)[:-30], listed(), "own.linkage"),
        (people(range(20)), listed(), "own.key_count"),
        (people(range(100)).replace(b",a,", b",13800001234,"), listed(keep=("segment",)), "own.direct"),
    ],
)
def test_a_file_that_gives_somebody_away_goes_back_with_the_finding(
    city: InboundCity, content: bytes, wish: object, rule: str
) -> None:
    if rule == "own.linkage" and wish == listed():
        content = people(range(75), classes=8)
    made = city.bring(content, wish, upto=S.SCREENED)  # type: ignore[arg-type]
    assert made.state is S.DRAFT
    assert rule in rules_of(one for one in made.findings if one.severity is Severity.BLOCK), made.findings
    assert rule in made.reason
    assert made.outcome == ""
    assert city.inside("customers") is None


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (people(range(100)) + people(range(1)).split(b"\n")[1] + b"\n", "1 rows repeat a key"),
        (people(range(100)) + b",x,a,1\n", "1 rows have no key"),
    ],
)
def test_a_key_with_holes_or_repeats_goes_back_by_count(city: InboundCity, content: bytes, said: str) -> None:
    made = city.bring(content, listed(), upto=S.SCREENED)
    assert (made.state, said in made.reason) == (S.DRAFT, True), made.reason


def test_lists_are_measured_together_with_those_that_entered_before(city: InboundCity) -> None:
    """Two lists that are each coarse enough would part people by the pair of their segments, or by who is left out."""
    first = city.bring(people(range(100), classes=4), listed(), upto=S.IMPORTED)
    assert first.state is S.IMPORTED, first.reason
    second = replace(listed(), name="second")
    left_out = city.bring(people(range(97), classes=4), second, upto=S.SCREENED)
    assert left_out.state is S.DRAFT
    assert "own.linkage" in rules_of(left_out.findings)
    city.inbound.remove(city.analyst, first.id, "not needed any more")
    assert city.inside("customers") is None
    again = city.inbound.submit(city.analyst, left_out.id, second)
    assert city.inbound.screen(again.id).state is S.DRAFT, "who copied the first list into his home still has it"


def test_two_lists_that_pass_alone_do_not_both_enter(city: InboundCity) -> None:
    first = city.bring(people(range(100), classes=4), listed(), upto=S.APPROVED)
    second = city.bring(people(range(97), classes=4), replace(listed(), name="second"), upto=S.SCREENED)
    assert (first.state, second.state) == (S.APPROVED, S.DRAFT), "an approved list counts already"


def test_two_lists_that_were_screened_side_by_side_do_not_both_enter(city: InboundCity) -> None:
    first = city.bring(people(range(100), classes=4), listed(), upto=S.SCREENED)
    second = city.bring(people(range(97), classes=4), replace(listed(), name="second"), upto=S.SCREENED)
    assert (first.state, second.state) == (S.SCREENED, S.SCREENED)
    for one in (first, second):
        city.inbound.approve(city.checker, one.id, "coarse enough")
    assert {city.inbound.admit(one.id).state for one in (first, second)} == {S.DRAFT, S.IMPORTED}


def test_made_up_people_do_not_fill_a_class_and_the_applicant_is_not_told(city: InboundCity) -> None:
    """One real person among invented ones: whoever of the class is in the release is he."""
    padded = people(range(1, 2), classes=1) + people(range(300, 360), classes=1).split(b"\n", 1)[1]
    made = city.bring(padded, listed(), upto=S.SCREENED)
    assert made.state is S.SCREENED
    mine = city.inbound.get_import(city.analyst, made.id)
    assert mine.closed == ()
    assert "own.match" not in rules_of(mine.findings)
    theirs = city.inbound.get_import(city.checker, made.id)
    assert {one.rule: one.figure for one in theirs.closed} == {"own.membership": 1, "own.match": 1}
    with pytest.raises(NotAllowed, match="closed finding"):
        city.inbound.approve(city.checker, made.id, "looks fine")
    with city.database.read() as work:
        assert work.get(IMPORTS, made.id).state is S.SCREENED
    rejected = city.inbound.reject(city.checker, made.id, "the purpose does not need this list")
    assert rejected.state is S.REJECTED
    assert city.vault.list_addresses() == ()


MAY_NOT = (
    ("rival", "receive", NotFound), ("outsider", "receive", NotFound), ("authority", "receive", NotAllowed),
    ("checker", "receive", NotFound), ("provider", "receive", NotFound),
    ("analyst", "approve", NotAllowed), ("colleague", "approve", NotAllowed), ("operator", "approve", NotAllowed),
    ("insider", "approve", NotFound), ("provider", "approve", NotAllowed), ("rival", "approve", NotFound),
    ("regulator", "approve", NotAllowed), ("regulator", "reject", NotAllowed), ("insider", "reject", NotFound),
    ("checker", "withdraw", NotAllowed), ("colleague", "withdraw", NotAllowed), ("provider", "remove", NotAllowed),
    ("checker", "remove", NotAllowed), ("colleague", "submit", NotAllowed), ("checker", "submit", NotAllowed),
)  # fmt: skip


@pytest.mark.parametrize("state", [S.DRAFT, S.SCREENED, S.IMPORTED])
def test_who_may_not_is_refused_and_nothing_changes(city: InboundCity, state: ImportState) -> None:
    made = city.bring(upto=state)
    count = city.database.last_sequence()
    tried = {S.DRAFT: ("receive", "submit", "withdraw"), S.SCREENED: ("approve", "reject"), S.IMPORTED: ("remove",)}
    for who, verb, error in MAY_NOT:
        if verb not in tried[state]:
            continue
        given = {"receive": (city.workspace.id, "x.csv", b"a\n1\n"), "submit": (made.id, wanted("branches"))}
        actor: Actor = getattr(city, who)
        with pytest.raises(error):
            getattr(city.inbound, verb)(actor, *given.get(verb, (made.id, "a reason")))
    with city.database.read() as work:
        assert work.list(IMPORTS) == (made,)
    assert city.database.last_sequence() == count


@pytest.mark.parametrize("who", ["checker", "authority"])
def test_one_reviewer_of_another_organisation_decides(city: InboundCity, who: str) -> None:
    made = city.bring(upto=S.SCREENED)
    actor = getattr(city, who)
    assert [one.id for one in city.inbound.list_to_review(actor)] == [made.id]
    assert made.due is not None
    with pytest.raises(Invalid, match="reason"):
        city.inbound.approve(actor, made.id, "  ")
    assert city.inbound.return_for_changes(actor, made.id, "say from where it is").state is S.DRAFT
    assert city.inbound.list_to_review(actor) == ()


def test_submit_refuses_what_says_too_little(city: InboundCity) -> None:
    made = city.bring(upto=S.DRAFT)
    wrong: list[tuple[dict[str, object], str]] = [
        ({"purpose": " "}, "`purpose`"), ({"statement": ""}, "`statement`"), ({"name": "../x"}, "this name"),
        ({"name": "social_insurance"}, "a table named"), ({"name": "own"}, "a table named"),
        ({"keep": ()}, "no column"), ({"keep": ("nothing",)}, "has not"), ({"key": "opened"}, "a join needs"),
        ({"key": "branches", "joins": "period", "keep": ()}, "no pseudonymized column"),
        ({"keep": ("branches", "branches")}, "one twice"),
    ]  # fmt: skip
    for changes, said in wrong:
        with pytest.raises(Invalid, match=said):
            city.inbound.submit(city.analyst, made.id, replace(wanted("branches"), **changes))  # type: ignore[arg-type]
    assert city.inbound.get_import(city.analyst, made.id) == made


def test_a_file_that_cannot_be_read_is_refused_and_forgotten(city: InboundCity) -> None:
    made = city.bring(b"PK\x03\x04 and so on", upto=S.DRAFT)
    assert (made.state, made.reason) == (S.REFUSED, "file.csv is an archive or a workbook (ZIP, XLSX)")
    assert city.vault.list_addresses() == ()
    with pytest.raises(TransitionNotAllowed):
        city.inbound.submit(city.analyst, made.id, wanted("branches"))


def test_quota_and_pace_are_of_the_authorization(template: InboundCity, tmp_path: Path) -> None:
    city = template.copied(tmp_path, rules=Rules(files=2, submissions_a_day=2))
    made = city.bring(upto=S.SUBMITTED)
    city.inbound.withdraw(city.analyst, made.id, "a mistake")
    city.bring(b"a,b\n1,2\n", wanted("a", name="first"), upto=S.SUBMITTED)
    third = city.bring(b"a,b\n1,3\n", upto=S.DRAFT)
    with pytest.raises(Invalid, match="2 times within a day"):
        city.inbound.submit(city.analyst, third.id, wanted("a", name="second"))
    for act in (
        lambda: city.inbound.receive(city.operator, city.workspace.id, "x.csv", b"a\n1\n"),
        lambda: city.inbound.check_may_bring(city.analyst, city.workspace.id),
    ):
        with pytest.raises(Invalid, match="2 files at once"):
            act()


def test_closing_the_workspace_destroys_what_was_brought_in(city: InboundCity) -> None:
    inside = city.bring(people(range(100)), listed(), upto=S.IMPORTED)
    waiting = city.bring(upto=S.SCREENED)
    gone = city.bring(upto=S.DRAFT)
    city.inbound.withdraw(city.analyst, gone.id, "not needed")
    city.workspaces.close_workspace(city.analyst, city.workspace.id, "the scenario ended")
    assert not (city.folder / "own" / city.workspace.name).exists(), "before any event is heard"
    event = next(one for one in city.database.events_after(0, 5000) if one.tag == "workspace:close")
    for _ in range(2):
        city.inbound.follow(event)
    states = {one.id: one.state for one in city.inbound.list_imports(city.regulator)}
    assert states == {inside.id: S.REMOVED, waiting.id: S.WITHDRAWN, gone.id: S.WITHDRAWN}
    assert city.vault.list_addresses() == ()
    assert not (city.folder / "own" / city.workspace.name).exists(), "nor made again"
    with pytest.raises(Invalid, match="closed"):
        city.inbound.receive(city.analyst, city.workspace.id, "x.csv", BRANCHES)


def test_closing_the_grant_destroys_what_was_brought_in_under_it(city: InboundCity) -> None:
    inside = city.bring(people(range(100)), listed(), upto=S.IMPORTED)
    city.service.close_demand(city.operator, city.grant_.demand, "the scenario ended")
    event = next(one for one in city.database.events_after(0, 5000) if one.tag == "grant:close")
    city.inbound.follow(event)
    assert city.inbound.get_import(city.regulator, inside.id).state is S.REMOVED
    assert (city.inside("customers"), city.vault.list_addresses()) == (None, ())


def test_a_notebook_is_told_of_what_is_inside(city: InboundCity) -> None:
    city.bring(people(range(100)), listed(), upto=S.IMPORTED)
    city.bring(upto=S.APPROVED)
    verbs = WorkspaceVerbs(city.database, city.policies, city.host, NoDesk(), NoDesk(), city.inbound)  # type: ignore[arg-type]
    own = [one for one in verbs.datasets(city.workspace.name) if one["kind"] == "own"]
    assert [(one["name"], one["columns"], one["rows"], one["joins"]) for one in own] == [
        ("customers", ["resident_id", "segment"], 100, "resident_id")
    ]


class NoDesk:
    """Is asked nothing."""


def test_a_grant_that_ends_before_the_file_enters_sends_it_back(city: InboundCity) -> None:
    made = city.bring(upto=S.APPROVED)
    city.service.suspend_grant(city.authority, city.grant_.id, "a complaint")
    city.policies.forget(city.grant_.id)
    assert city.inbound.admit(made.id).state is S.DRAFT
    assert city.inside("branches") is None


def test_jobs_bear_a_repeat_and_a_crash_leaves_nothing(city: InboundCity) -> None:
    made = city.bring(upto=S.IMPORTED)
    sequence = city.database.last_sequence()
    for job in (city.inbound.read, city.inbound.screen, city.inbound.admit):
        assert job(made.id).state is S.IMPORTED
    assert city.database.last_sequence() == sequence
    city.vault.put(b"left by a crash")
    city.inbound.sweep()
    assert city.vault.list_addresses() == (made.outcome,)
    waiting = city.bring(b"a,b\n1,2\n", wanted("a", name="other"), upto=S.SUBMITTED)
    assert city.inbound.list_unfinished() == (("inbound.screen", waiting.id),)


def test_no_value_stands_in_an_event_a_reason_or_a_finding(city: InboundCity) -> None:
    city.bring(people(range(100)), listed(), upto=S.IMPORTED)
    city.bring(people(range(20)) + b"\x00", upto=S.DRAFT)
    city.bring(people(range(100)), wanted("resident_id", "name"), upto=S.SCREENED)
    told = [f"{one.content} {one.data}" for one in city.database.events_after(0, 5000) if one.tag.startswith("import:")]
    told += [f"{one.reason} {one.findings} {one.closed} {one.steps}" for one in city.inbound.list_imports(city.checker)]
    assert len(told) > 8
    assert not [text for text in told if "3701021980" in text or "张" in text]
