"""An announcement, its window to the second, its modes, and the evidence that an application needs."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest

from shuzha.authorization.announcement import AnnouncementState, Criterion, Mode
from shuzha.authorization.evidence import MOST_BYTES, MOST_FILES, EvidenceKind
from shuzha.authorization.model import AuthorizationState
from shuzha.authorization.qualification import clear_checks
from shuzha.core.clock import FixedClock, start_of_day
from shuzha.core.errors import Invalid, NotAllowed, NotFound, TransitionNotAllowed
from tests.authorization_kit import City

DAY = dt.timedelta(days=1)
SECOND = dt.timedelta(seconds=1)


def to_moment(city: City, moment: dt.datetime) -> None:
    city.clock.advance(moment - city.clock.now())


def test_may_be_applied_from_the_first_to_the_last_second_of_the_window(city: City) -> None:
    entry = city.add_entry()
    opens, closes = city.today + 2 * DAY, city.today + 4 * DAY
    announced = city.announce(opens=opens, closes=closes)
    application = city.application(entry, announcement=announced)
    assert start_of_day(opens) == dt.datetime(2026, 3, 3, 16, tzinfo=dt.UTC), "a day of the city begins at 16:00 UTC"
    for moment, allowed in (
        (start_of_day(opens) - SECOND, False),
        (start_of_day(opens), True),
        (start_of_day(closes + DAY) - SECOND, True),
        (start_of_day(closes + DAY), False),
    ):
        to_moment(city, moment)
        if allowed:
            assert city.service.apply(city.operator, application).announcement == announced.id
        else:
            with pytest.raises(NotAllowed, match=r"not open to applications now"):
                city.service.apply(city.operator, application)


@pytest.mark.parametrize("verb", ["close", "cancel"])
def test_nobody_applies_once_an_announcement_is_closed_or_cancelled(city: City, verb: str) -> None:
    entry = city.add_entry()
    announced = city.announce()
    getattr(city.service, f"{verb}_announcement")(city.authority, announced.id, "enough")
    with pytest.raises(NotAllowed):
        city.service.apply(city.operator, city.application(entry, announcement=announced))


def test_a_draft_takes_no_application_and_is_seen_by_its_authority_alone(city: City) -> None:
    entry = city.add_entry()
    draft = city.service.draft_announcement(city.authority, city.announcement())
    with pytest.raises(NotFound):
        city.service.apply(city.operator, city.application(entry, announcement=draft))
    with pytest.raises(NotFound):
        city.service.get_announcement(city.operator, draft.id)
    assert city.service.list_announcements(city.operator) == ()
    assert city.service.list_announcements(city.authority) == (draft,)
    for actor in (city.operator, city.provider, city.analyst, city.platform):
        with pytest.raises(NotAllowed):
            city.service.draft_announcement(actor, city.announcement())


def test_the_decision_is_due_twenty_working_days_after_the_window(city: City) -> None:
    entry = city.add_entry()
    announced = city.announce(closes=dt.date(2026, 9, 30))
    found = city.service.apply(city.operator, city.application(entry, announcement=announced))
    assert (found.due, found.due_provisional) == (dt.date(2026, 11, 3), False)
    later = city.announce(closes=dt.date(2026, 12, 21))
    found = city.service.apply(city.operator, city.application(entry, announcement=later))
    assert found.due_provisional, "no notice for 2027 is published yet: the day is a guess and says so"


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"title": " "}, "J23 art. 10(1)"),
        ({"plan": ""}, "W25 art. 19"),
        ({"conditions": ()}, "J23 art. 10(1)"),
        ({"opens": dt.date(2026, 3, 3)}, "J23 art. 10(1)"),
        ({"opens": dt.date(2026, 2, 1), "closes": dt.date(2026, 3, 1)}, "J23 art. 10(1)"),
        ({"year": 2027}, "J23 art. 10(1)"),
        ({"mode": Mode.FIELD, "provider": "org_provider"}, "J23 art. 5"),
        ({"mode": Mode.FIELD, "field": "health"}, "J23 art. 5"),
        ({"mode": Mode.INDIVIDUAL}, "W25 art. 19"),
        ({"provider": "org_provider"}, "J23 art. 5"),
        ({"experts": 2}, "J23 art. 10(3)"),
        ({"pass_score": 0}, "J23 art. 10(3)"),
        ({"criteria": (Criterion("security", 60), Criterion("value", 30))}, "J23 art. 10(3)"),
        ({"criteria": (Criterion("security", 50), Criterion("security", 50))}, "J23 art. 10(3)"),
        ({"criteria": (Criterion("security", 110), Criterion("value", -10))}, "J23 art. 10(3)"),
        ({"evidence": (EvidenceKind.OPERATION,)}, "J23 art. 9"),
        ({"notice_days": -1}, "W25 art. 20"),
        ({"notice_days": 61}, "W25 art. 20"),
    ],
)
def test_an_announcement_that_does_not_hold_is_refused_by_its_rule(
    city: City, changes: dict[str, object], rule: str
) -> None:
    with pytest.raises(Invalid) as refused:
        city.service.draft_announcement(city.authority, city.announcement(**changes))
    assert refused.value.rule == rule


@pytest.mark.parametrize(("mode", "field"), [(Mode.FIELD, "social insurance"), (Mode.INDIVIDUAL, "")])
def test_a_plan_with_one_provider_needs_its_consent_and_holds_its_entries_only(
    city: City, mode: Mode, field: str
) -> None:
    content = city.announcement(mode=mode, field=field, provider="org_provider")
    found = city.service.draft_announcement(city.authority, content)
    with pytest.raises(Invalid, match="has not agreed"):
        city.service.publish_announcement(city.authority, found.id, "early")
    with pytest.raises(NotFound):
        city.service.agree_announcement(city.other_provider, found.id, "not mine")
    assert city.service.agree_announcement(city.provider, found.id, "ours").state is AnnouncementState.AGREED
    announced = city.service.publish_announcement(city.authority, found.id, "for this year")
    own, other = city.add_entry(), city.add_entry("2020107", provider="org_elsewhere")
    made = city.service.apply(city.operator, city.application(own, announcement=announced))
    assert (made.mode, made.field, made.providers) == (mode, field, ("org_provider",))
    for entries in ((other,), (own, other)):
        with pytest.raises(NotAllowed, match="entries of others"):
            city.service.apply(city.operator, city.application(*entries, announcement=announced))


def test_a_provider_that_nobody_knows_is_refused(city: City) -> None:
    with pytest.raises(NotFound):
        city.service.draft_announcement(city.authority, city.announcement(mode=Mode.INDIVIDUAL, provider="org_nowhere"))


def test_a_window_that_is_over_is_not_published(city: City) -> None:
    found = city.service.draft_announcement(city.authority, city.announcement())
    city.clock.advance(DAY)
    with pytest.raises(Invalid, match=r"window .* is over"):
        city.service.publish_announcement(city.authority, found.id, "late")


def test_qualification_asks_for_each_kind_of_evidence_that_was_announced(city: City) -> None:
    announced = city.announce(evidence=(EvidenceKind.OPERATION, EvidenceKind.COMPETENCE, EvidenceKind.SECURITY))
    found = city.service.apply(city.operator, city.application(city.add_entry(), announcement=announced))
    city.attach(found, EvidenceKind.OPERATION, EvidenceKind.COMPETENCE)
    with pytest.raises(Invalid, match="lacks evidence of: security"):
        city.service.qualify(city.authority, found.id, clear_checks(city.today), "in order")
    city.attach(found, EvidenceKind.SECURITY)
    done = city.service.qualify(city.authority, found.id, clear_checks(city.today), "in order")
    assert done.state is AuthorizationState.QUALIFIED
    assert {one.subject for one in done.checks} == {"org_operator", "Han Mei"}
    with pytest.raises(TransitionNotAllowed):
        city.attach(done, EvidenceKind.OTHER)


def test_evidence_is_read_by_its_own_unit_and_who_decides(city: City) -> None:
    found = city.authorize(city.add_entry(), to="apply")
    made = city.service.attach_evidence(city.operator, found.id, EvidenceKind.PLAN, "../../plan.pdf", b"%PDF-1.7 plan")
    assert (made.name, made.type, made.size) == ("plan.pdf", "application/pdf", 13)
    for actor in (city.operator, city.authority, city.regulator):
        assert city.service.read_evidence(actor, found.id, made.id)[1] == b"%PDF-1.7 plan"
    for actor in (city.rival, city.provider, city.analyst, *city.experts):
        with pytest.raises(NotFound):
            city.service.read_evidence(actor, found.id, made.id)
    for actor in (city.rival, city.authority):
        with pytest.raises((NotFound, NotAllowed)):
            city.service.attach_evidence(actor, found.id, EvidenceKind.PLAN, "x.txt", b"x")
    city.service.remove_evidence(city.operator, found.id, made.id)
    with pytest.raises(NotFound):
        city.service.read_evidence(city.operator, found.id, made.id)


@pytest.mark.parametrize(
    ("name", "content", "rule"),
    [
        (" ", b"text", "evidence.name"),
        ("a\nb.txt", b"text", "evidence.name"),
        ("a.txt", b"", "evidence.size"),
        ("a.txt", b"x" * (MOST_BYTES + 1), "evidence.size"),
        ("a.pdf", b"PK\x03\x04 an archive", "evidence.type"),
        ("a.txt", b"\xff\xfe\x00text", "evidence.type"),
    ],
)
def test_evidence_of_another_kind_or_size_is_refused(city: City, name: str, content: bytes, rule: str) -> None:
    found = city.authorize(city.add_entry(), to="apply")
    with pytest.raises(Invalid) as refused:
        city.service.attach_evidence(city.operator, found.id, EvidenceKind.OTHER, name, content)
    assert refused.value.rule == rule
    assert city.service.get_authorization(city.operator, found.id).evidence == ()


def test_evidence_is_capped_in_number(city: City) -> None:
    found = city.authorize(city.add_entry(), to="apply")
    city.attach(found, *[EvidenceKind.OTHER] * MOST_FILES)
    with pytest.raises(Invalid, match="too many files"):
        city.attach(found, EvidenceKind.OTHER)


def test_a_renewal_is_a_new_application_that_begins_after_the_old_term(city: City) -> None:
    entry = city.add_entry()
    old = city.authorize(entry)
    last = old.agreement.term.valid_until
    good = replace(old.agreement.term, valid_from=last + DAY, valid_until=last + 365 * DAY)
    made = city.authorize(entry, to="apply", renews=old.id, term=good)
    assert (made.state, made.renews) == (AuthorizationState.APPLIED, old.id)
    with pytest.raises(Invalid, match=r"starts before that of .* is over"):
        city.authorize(entry, to="apply", renews=old.id, term=replace(good, valid_from=last))
    with pytest.raises(NotFound):
        city.service.apply(city.rival, city.application(entry, renews=old.id, term=good))
    to_moment(city, start_of_day(last + DAY))
    assert isinstance(city.clock, FixedClock)
    with pytest.raises(Invalid, match="cannot be renewed"):
        city.authorize(entry, to="apply", renews=old.id, term=good)
