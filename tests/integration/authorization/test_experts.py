"""The experts' review: third parties, blind both ways, without conflict, by stated criteria."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from shuzha.authorization.announcement import Mode
from shuzha.authorization.assessment import NO_CONFLICT, AssessmentState, Points
from shuzha.authorization.evidence import EvidenceKind
from shuzha.authorization.model import Authorization, AuthorizationState
from shuzha.authorization.qualification import clear_checks
from shuzha.core.errors import Conflict, Invalid, NotAllowed, NotFound, TransitionNotAllowed
from shuzha.people.model import Account, AccountState
from shuzha.people.store import ACCOUNTS
from tests.authorization_kit import City


@pytest.fixture
def found(city: City) -> Authorization:
    return city.authorize(city.add_entry(), to="qualify")


def appoint(city: City, found: Authorization, *numbers: int) -> list[str]:
    experts = [city.experts[number].id for number in numbers]
    return [one.id for one in city.service.appoint_experts(city.authority, found.id, experts, "third parties")]


def test_the_report_is_the_mean_of_all_who_scored(city: City, found: Authorization) -> None:
    city.panel(found, 90, 80, 75)
    done = city.service.review(city.authority, found.id, "reported")
    assert done.state is AuthorizationState.REVIEWED
    assert done.report is not None
    assert (done.score, done.report.score, done.report.experts) == (82, 82, 3)  # 81.67, rounded half up
    assert done.report.comments == ("worth 75", "worth 80", "worth 90")
    first, *_, last = done.report.criteria
    assert (first.mean_hundredths, first.least, first.highest) == (2_500, 25, 25)
    assert (last.mean_hundredths, last.least, last.highest) == (333, 0, 10)


def test_an_application_below_the_pass_mark_is_not_reported_on(city: City, found: Authorization) -> None:
    city.panel(found, 60, 60, 57)  # a mean of 59.0
    with pytest.raises(Invalid, match="score is 59, below the pass mark of 60"):
        city.service.review(city.authority, found.id, "reported")
    assert city.service.reject(city.authority, found.id, "too weak").state is AuthorizationState.REJECTED


def test_the_review_waits_for_everybody_and_for_enough(city: City, found: Authorization) -> None:
    with pytest.raises(Invalid, match="0 of 3 experts have scored"):
        city.service.review(city.authority, found.id, "nobody asked")
    city.panel(found, 80, 80, 80)
    (late,) = appoint(city, found, 3)
    with pytest.raises(Invalid, match="1 experts have not scored yet"):
        city.service.review(city.authority, found.id, "early")
    city.service.dismiss_expert(city.authority, late, "no answer in ten working days")
    assert city.service.review(city.authority, found.id, "reported").score == 80


def test_a_recused_expert_does_not_count(city: City, found: Authorization) -> None:
    city.panel(found, 80, 80)
    (third,) = appoint(city, found, 2)
    assert city.service.recuse(city.experts[2], third, "my brother works there").state is AssessmentState.RECUSED
    with pytest.raises(Invalid, match="2 of 3 experts have scored"):
        city.service.review(city.authority, found.id, "too few")
    (fourth,) = appoint(city, found, 3)
    city.service.declare_no_conflict(city.experts[3], fourth)
    assessment = city.service.get_assessment(city.experts[3], fourth)
    city.service.score(city.experts[3], fourth, city.spread(assessment, 80), "sound")
    report = city.service.review(city.authority, found.id, "reported").report
    assert report is not None
    assert (report.experts, report.recused) == (3, 1)


def test_no_expert_learns_whose_application_it_is(city: City) -> None:
    entry = city.add_entry()
    announced = city.announce()
    made = city.service.apply(
        city.operator,
        replace(
            city.application(
                entry, announcement=announced, rights_and_duties="operator 单位 serves; Li Lei answers",
                security="Han Mei and org_operator keep it",
            ),
            title="Credit services of Quanshu",
        ),
    )  # fmt: skip
    city.attach(made, EvidenceKind.OPERATION, EvidenceKind.COMPETENCE, EvidenceKind.PLAN)
    city.service.qualify(city.authority, made.id, clear_checks(city.today), "in order")
    (asked,) = appoint(city, made, 0)
    expert = city.experts[0]
    with pytest.raises(NotAllowed, match="declare first"):
        city.service.read_blind(expert, asked)
    assert city.service.declare_no_conflict(expert, asked).declaration == NO_CONFLICT
    blind = city.service.read_blind(expert, asked)
    text = msgspec.json.encode(blind).decode()
    for name in ("org_operator", "operator 单位", "Han Mei", "Li Lei", "acc_li", made.id, made.title):
        assert name not in text, name
    assert "███ serves; ███ answers" in text
    # By the procedure's records the expert sees nothing either, and of the files only the plan.
    with pytest.raises(NotFound):
        city.service.get_authorization(expert, made.id)
    assert city.service.list_authorizations(expert) == ()
    (plan,) = blind.evidence
    assert plan.kind is EvidenceKind.PLAN
    assert city.service.read_blind_evidence(expert, asked, plan.id)[1]
    other = next(one for one in city.service.get_authorization(city.operator, made.id).evidence if one.id != plan.id)
    with pytest.raises(NotFound):
        city.service.read_blind_evidence(expert, asked, other.id)


def test_nobody_sees_points_before_the_review_is_closed(city: City, found: Authorization) -> None:
    seen = city.panel(found, 90, 80, 75)
    assert [one.total for one in seen] == [0, 0, 0]
    assert {one.comment for one in seen} == {""}
    events = [event for event in city.database.events_after(0) if event.tag == "assessment:score"]
    assert all("points" not in event.data and "worth" not in event.content for event in events)
    mine = [one for one in city.service.list_assessments(city.experts[0]) if one.expert == city.experts[0].id]
    assert [one.total for one in mine] == [90]
    assert city.service.list_assessments(city.experts[0]) == tuple(mine), "no expert sees another's"
    assert city.service.list_assessments(city.operator, found.id) == ()
    with pytest.raises(NotFound):
        city.service.get_assessment(city.operator, mine[0].id)
    city.service.review(city.authority, found.id, "reported")
    assert sorted(one.total for one in city.service.list_assessments(city.authority, found.id)) == [75, 80, 90]
    assert city.service.list_assessments(city.operator, found.id) == (), "the unit never learns who they were"


def test_only_the_expert_declares_and_scores_once_and_in_range(city: City, found: Authorization) -> None:
    asked, _ = appoint(city, found, 0, 1)
    expert, other = city.experts[:2]
    for actor in (other, city.authority, city.operator):
        with pytest.raises((NotFound, NotAllowed)):
            city.service.declare_no_conflict(actor, asked)
    with pytest.raises(TransitionNotAllowed):
        city.service.score(expert, asked, (), "before the declaration")
    city.service.declare_no_conflict(expert, asked)
    good = city.spread(city.service.get_assessment(expert, asked), 70)
    for points, comment in (
        (good[:-1], "one is missing"),
        ((*good, good[0]), "one is doubled"),
        ((Points(good[0].criterion, 26), *good[1:]), "too many"),
        ((Points(good[0].criterion, -1), *good[1:]), "too few"),
        ((Points("beauty", 5), *good[1:]), "another criterion"),
        (good, " "),
    ):
        with pytest.raises(Invalid):
            city.service.score(expert, asked, points, comment)
    city.service.score(expert, asked, good, "sound")
    with pytest.raises(TransitionNotAllowed):
        city.service.score(expert, asked, good, "again")
    with pytest.raises(TransitionNotAllowed):
        city.service.dismiss_expert(city.authority, asked, "we did not like the points")


def test_parties_strangers_and_the_suspended_are_no_experts(city: City, found: Authorization) -> None:
    now = city.clock.now()
    with city.database.work(city.platform) as work:
        for number, (organisation, roles, state) in enumerate((
            ("org_operator", {"expert"}, AccountState.ACTIVE),
            ("org_provider", {"expert"}, AccountState.ACTIVE),
            ("org_authority", {"expert"}, AccountState.ACTIVE),
            ("org_institute1", {"checker"}, AccountState.ACTIVE),
            ("org_institute1", {"expert"}, AccountState.SUSPENDED),
        )):  # fmt: skip
            name = f"no-expert{number}"
            work.add(ACCOUNTS, Account(name, name, f"h-{name}", name, organisation, frozenset(roles), "", state, now))
    offered = {account for account, _ in city.service.list_candidates(city.authority, found.id)}
    assert offered == {one.id for one in city.experts}
    for number in range(5):
        with pytest.raises((NotAllowed, Invalid)):
            city.service.appoint_experts(city.authority, found.id, [f"no-expert{number}"], "try")
    with pytest.raises(Invalid):
        city.service.appoint_experts(city.authority, found.id, ["acc_nobody"], "try")
    appoint(city, found, 0)
    with pytest.raises(Conflict):
        appoint(city, found, 0)
    for actor in (city.operator, city.provider, city.regulator, city.experts[1]):
        with pytest.raises(NotFound if actor is city.experts[1] else NotAllowed):
            city.service.appoint_experts(actor, found.id, [city.experts[1].id], "mine")
    assert len(city.service.list_assessments(city.authority, found.id)) == 1


def test_an_expert_who_joined_a_party_meanwhile_cannot_declare(city: City, found: Authorization) -> None:
    (asked,) = appoint(city, found, 0)
    joined = replace(city.experts[0], organisation="org_operator")
    with pytest.raises(NotAllowed, match="belongs to a party"):
        city.service.declare_no_conflict(joined, asked)


def test_by_field_the_provider_leads_and_the_authority_does_not(city: City) -> None:
    announced = city.announce(mode=Mode.FIELD, field="insurance", provider="org_provider")
    found = city.service.apply(city.operator, city.application(city.add_entry(), announcement=announced))
    city.attach(found)
    city.service.qualify(city.authority, found.id, clear_checks(city.today), "in order")
    experts = [one.id for one in city.experts[:3]]
    with pytest.raises(NotAllowed, match="led by its provider"):
        city.service.appoint_experts(city.authority, found.id, experts, "mine")
    with pytest.raises(NotFound):
        city.service.appoint_experts(city.other_provider, found.id, experts, "mine")
    city.panel(found, 70, 80, 90, lead=city.provider)
    with pytest.raises(NotAllowed, match="led by its provider"):
        city.service.review(city.authority, found.id, "reported")
    done = city.service.review(city.provider, found.id, "reported to the authority")
    assert done.score == 80
    with pytest.raises(NotAllowed):
        city.service.approve(city.provider, found.id, "JZ-1", "approval is the government's")
    assert city.service.approve(city.authority, found.id, "JZ-1", "approved").state is AuthorizationState.APPROVED
