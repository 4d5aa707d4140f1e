import datetime as dt
from dataclasses import replace

import polars as pl
import pytest

from shuzha.catalog.model import Change, EntryState, Role
from shuzha.core.errors import Conflict, Invalid, NotAllowed, NotFound, TransitionNotAllowed
from tests.catalog_kit import ROWS, CatalogKit, element, make_sheet, scan_as_plain


@pytest.fixture
def kit(tmp_path):
    return CatalogKit(tmp_path, scanner=scan_as_plain)


def test_publish_takes_an_entry_from_draft_to_its_first_version(kit):
    entry = kit.published()
    assert (entry.state, entry.version, entry.grade) == (EntryState.PUBLISHED, 1, 3)
    assert entry.due is None
    assert kit.service.get_entry(kit.analyst, entry.id) == entry
    assert kit.tags() == ["entry:draft", "entry:scan", "entry:submit", "entry:publish"]


def test_submit_starts_the_clock_of_the_city_and_says_when_it_is_provisional(kit):
    entry = kit.submitted()
    assert entry.due == dt.date(2026, 3, 5)  # Wuhan: three working days.
    assert not entry.due_provisional
    assert kit.service.remaining_days(entry) == 3
    kit.clock.advance(dt.timedelta(days=300))
    late = kit.submitted(code="3010002")
    assert late.due_provisional == (late.due.year > 2026)
    assert kit.service.remaining_days(entry) < 0


def test_draft_refuses_a_code_that_is_taken_naming_it(kit):
    kit.drafted()
    before = kit.tags()
    with pytest.raises(Conflict, match="3010001"):
        kit.service.draft_entry(kit.other_provider, make_sheet(name="other"))
    assert kit.tags() == before
    assert len(kit.service.list_entries(kit.authority)) == 1


def test_update_refuses_a_code_that_is_taken_and_a_published_entry(kit):
    kit.published()
    second = kit.drafted(code="3010002")
    with pytest.raises(Conflict, match="3010001"):
        kit.service.update_entry(kit.provider, second.id, make_sheet())
    changed = kit.service.update_entry(kit.provider, second.id, make_sheet(code="3010003"))
    assert changed.code == "3010003"
    published = kit.service.list_entries(kit.analyst)[0]
    with pytest.raises(TransitionNotAllowed, match="published"):
        kit.service.update_entry(kit.provider, published.id, make_sheet())


def test_draft_refuses_a_state_secret(kit):
    with pytest.raises(Invalid, match="state secret"):
        kit.drafted(secret=True)
    assert kit.tags() == []


def test_submit_refuses_an_entry_without_a_scan(kit):
    entry = kit.drafted()
    with pytest.raises(Invalid, match="no sample"):
        kit.service.submit_entry(kit.provider, entry.id)
    assert kit.service.get_entry(kit.provider, entry.id).state is EntryState.DRAFT


def test_verbs_ask_the_policies(kit):
    entry = kit.submitted()
    for refused in (
        lambda: kit.service.draft_entry(kit.authority, make_sheet(code="3010009")),
        lambda: kit.service.submit_entry(kit.other_provider, entry.id),
        lambda: kit.service.publish_entry(kit.provider, entry.id, "mine"),
        lambda: kit.service.return_entry(kit.provider, entry.id, "mine"),
        lambda: kit.service.suspend_entry(kit.provider, entry.id, "mine"),
        lambda: kit.service.scan_sample(kit.other_provider, entry.id, kit.file("x.csv")),
    ):
        with pytest.raises(NotAllowed):
            refused()


def test_a_draft_is_seen_by_its_provider_and_the_authority_only(kit):
    entry = kit.drafted()
    for actor in (kit.other_provider, kit.analyst, kit.auditor):
        with pytest.raises(NotFound):
            kit.service.get_entry(actor, entry.id)
        assert kit.service.list_entries(actor) == ()
    assert kit.service.get_entry(kit.provider, entry.id) == entry
    assert kit.service.list_entries(kit.authority) == (entry,)


def test_return_sends_the_entry_back_with_a_reason_and_it_can_be_submitted_again(kit):
    entry = kit.submitted()
    with pytest.raises(Invalid, match="without a reason"):
        kit.service.return_entry(kit.authority, entry.id, " ")
    returned = kit.service.return_entry(kit.authority, entry.id, "name the legal basis")
    assert (returned.state, returned.decision, returned.due) == (EntryState.RETURNED, "name the legal basis", None)
    again = kit.service.submit_entry(kit.provider, entry.id)
    assert again.state is EntryState.SUBMITTED


def test_publish_confirms_a_higher_grade_and_refuses_a_lower_one(kit):
    entry = kit.submitted()
    with pytest.raises(Invalid, match="grade 2"):
        kit.service.publish_entry(kit.authority, entry.id, "it is harmless", grade=2)
    published = kit.service.publish_entry(kit.authority, entry.id, "many people", grade=4)
    assert (published.grade, published.grade_reason) == (4, "many people")


def test_change_keeps_the_published_sheet_in_force_until_it_is_published(kit):
    entry = kit.published()
    sheet = replace(entry.sheet, abstract="a better abstract")
    pending = kit.service.change_entry(kit.provider, entry.id, sheet, "clearer")
    assert pending.state is EntryState.CHANGE_PENDING
    assert pending.sheet.abstract != "a better abstract"
    assert pending.change == Change(sheet, "clearer")
    assert pending.due is not None
    second = kit.service.publish_entry(kit.authority, entry.id, "agreed")
    assert (second.version, second.sheet.abstract, second.change) == (2, "a better abstract", None)


def test_change_that_is_returned_leaves_the_version_published(kit):
    entry = kit.published()
    kit.service.change_entry(kit.provider, entry.id, replace(entry.sheet, abstract="worse"), "try")
    back = kit.service.return_entry(kit.authority, entry.id, "less clear")
    assert (back.state, back.version, back.change, back.sheet) == (EntryState.PUBLISHED, 1, None, entry.sheet)


def test_change_refuses_another_code_and_elements_that_no_scan_saw(kit):
    entry = kit.published()
    with pytest.raises(Invalid, match="keeps its code"):
        kit.service.change_entry(kit.provider, entry.id, replace(entry.sheet, code="3010002"), "new")
    wider = replace(entry.sheet, elements=(*entry.elements, element("extra")))
    with pytest.raises(Invalid, match="lacks `extra`"):
        kit.service.change_entry(kit.provider, entry.id, wider, "one more")
    sample = "\n".join(line + (",extra" if place == 0 else ",x") for place, line in enumerate(ROWS.splitlines()))
    kit.service.scan_sample(kit.provider, entry.id, kit.file("wider.csv", sample))
    assert kit.service.change_entry(kit.provider, entry.id, wider, "one more").change


def test_suspend_restore_and_retire_tell_those_who_listen(kit):
    entry = kit.published()
    assert kit.service.suspend_entry(kit.authority, entry.id, "an objection").state is EntryState.SUSPENDED
    assert kit.service.restore_entry(kit.authority, entry.id, "unfounded").state is EntryState.PUBLISHED
    assert kit.service.retire_entry(kit.provider, entry.id, "merged elsewhere").state is EntryState.RETIRED
    events = kit.database.events_after(0)[-3:]
    assert [event.tag for event in events] == ["entry:suspend", "entry:restore", "entry:retire"]
    assert events[0].data == {"entry": entry.id, "reason": "an objection"}
    assert events[0].approver == kit.authority.id
    with pytest.raises(TransitionNotAllowed):
        kit.service.restore_entry(kit.authority, entry.id, "back")


def test_scan_keeps_evidence_and_leaves_no_file_behind(kit):
    entry = kit.drafted()
    evidence = kit.service.scan_sample(kit.provider, entry.id, kit.file("s.csv", ROWS, "gb18030"))
    assert evidence.rows == 3
    assert evidence.find("person").role is Role.PLAIN
    assert list((kit.zone.folder / "inbox").iterdir()) == []


def test_scan_finds_identifiers_and_proposes_roles_and_grades(tmp_path):
    kit = CatalogKit(tmp_path)
    entry = kit.drafted(elements=tuple(replace(item, role=Role.PLAIN, grade=1) for item in make_sheet().elements))
    ids = ["11010519491231002X", "440524188001010014", "110101199003070994"]
    sample = ROWS
    for name, number in zip(("甲一", "乙二", "丙三"), ids, strict=True):
        sample = sample.replace(name, number)
    evidence = kit.service.scan_sample(kit.provider, entry.id, kit.file("s.csv", sample))
    found = evidence.find("person")
    assert (found.role, found.types[0]) == (Role.DIRECT, "CN_RESIDENT_ID")
    assert not any(number in repr(evidence) for number in ids)
    with pytest.raises(Invalid, match="milder"):
        kit.service.submit_entry(kit.provider, entry.id)
    proposed = kit.service.accept_proposals(kit.provider, entry.id)
    assert proposed.find_element("person").role is Role.DIRECT
    assert proposed.grade >= found.grade
    assert kit.service.submit_entry(kit.provider, entry.id).state is EntryState.SUBMITTED


def test_scan_refuses_a_sample_with_nested_columns(tmp_path):
    kit = CatalogKit(tmp_path / "real")
    entry = kit.drafted(elements=(element("person"), element("month")), update_marker=None)
    pl.DataFrame({"person": ["a"], "month": [[1]]}).write_parquet(tmp_path / "nested.parquet")
    with pytest.raises(Invalid, match="cannot be scanned: column `month`"):
        kit.service.scan_sample(kit.provider, entry.id, tmp_path / "nested.parquet")


def test_find_entry_by_code_respects_tenancy(kit):
    entry = kit.drafted()
    assert kit.service.find_entry_by_code(kit.provider, entry.code) == entry
    assert kit.service.find_entry_by_code(kit.analyst, entry.code) is None
