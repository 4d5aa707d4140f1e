"""The verbs of the experts' review: appoint, declare, score, recuse, dismiss, report (J23 art. 10(3))."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from policies import Resource
from shuzha.authorization.announcement import Announcement
from shuzha.authorization.applying import find_evidence
from shuzha.authorization.assessment import (
    ASSESSMENT,
    NO_CONFLICT,
    Assessment,
    AssessmentState,
    BlindApplication,
    BlindEntry,
    Points,
    alias_of,
    check_points,
    hide_names,
    make_report,
)  # fmt: skip
from shuzha.authorization.base import Room, authorization_views
from shuzha.authorization.evidence import BLIND_KINDS, Evidence
from shuzha.authorization.model import AUTHORIZATION, Authorization, AuthorizationState, check_reason
from shuzha.authorization.store import ANNOUNCEMENTS, ASSESSMENTS, AUTHORIZATIONS
from shuzha.catalog.store import ENTRIES
from shuzha.core.actor import Actor
from shuzha.core.errors import Conflict, Invalid, NotAllowed, NotFound, TransitionNotAllowed
from shuzha.core.ids import new_id
from shuzha.core.work import Work
from shuzha.people.model import Account
from shuzha.people.staff_store import organisations_of
from shuzha.people.store import ACCOUNTS, ORGANISATIONS

RULE = "J23 art. 10(3)"
SCORE_RULE = "assessment.score"
Change = Callable[[Work, Assessment, Authorization], Assessment]


def assessment_resource(found: Assessment) -> Resource:
    """Return the assessment as decisions see it: the leading provider's, by its expert."""
    return Resource("assessment", found.id, found.lead, found.expert, found.authorization)


def assessment_views(found: Assessment) -> tuple[Resource, ...]:
    """Return the assessment as whoever leads it and its expert see it."""
    return (assessment_resource(found),)


class AssessmentVerbs(Room):
    """The panel of one application; each verb is one unit of work."""

    def appoint_experts(
        self, actor: Actor, authorization_id: str, experts: Sequence[str], reason: str
    ) -> tuple[Assessment, ...]:
        """Return the invitations of these accounts to assess a qualified application.

        Refuses who is no active expert, is appointed already, or belongs to a party: unit, provider or authority.
        """
        check_reason(reason)
        if not experts:
            raise Invalid(
                "nobody is appointed", rule=RULE, accepted="at least one account of an expert",
                field="experts",
            )  # fmt: skip
        with self._database.work(actor) as work:
            found, announcement = self._led(work, actor, authorization_id)
            due, provisional = self._due(SCORE_RULE, work.now())
            made = []
            for account in experts:
                organisation = self._third_party(work, account, found, announcement)
                one = Assessment(
                    new_id("asm"), found.id, account, organisation, announcement.lead, actor.id, ASSESSMENT.initial,
                    work.now(), due, provisional,
                )  # fmt: skip
                made.append(work.add(ASSESSMENTS, one))
                data = {"assessment": one.id, "authorization": found.id, "expert": account, "reason": reason}
                work.emit("assessment:appoint", one.id, "expert appointed", data=data, approver=actor.id)
        return tuple(made)

    def declare_no_conflict(self, actor: Actor, assessment_id: str) -> Assessment:
        """Return the assessment with its expert's declaration that no conflict of interest is known to him."""

        def change(work: Work, found: Assessment, authorization: Authorization) -> Assessment:
            self._check_unbiased(work, actor, authorization)
            return replace(found, declaration=NO_CONFLICT)

        return self._move_assessment(actor, assessment_id, "declare", NO_CONFLICT, change)

    def recuse(self, actor: Actor, assessment_id: str, reason: str) -> Assessment:
        """Return the assessment given back by its expert for a conflict of interest that he states."""
        return self._move_assessment(actor, assessment_id, "recuse", reason, _kept)

    def dismiss_expert(self, actor: Actor, assessment_id: str, reason: str) -> Assessment:
        """Return the assessment of an expert who is not to score any more; points once given stay."""

        def change(work: Work, found: Assessment, authorization: Authorization) -> Assessment:
            _check_lead(actor, work.get(ANNOUNCEMENTS, authorization.announcement), authorization)
            return found

        return self._move_assessment(actor, assessment_id, "dismiss", reason, change)

    def score(self, actor: Actor, assessment_id: str, points: Sequence[Points], comment: str) -> Assessment:
        """Return the assessment with its expert's points, one for each criterion, and why; it cannot be changed."""

        def change(work: Work, found: Assessment, authorization: Authorization) -> Assessment:
            self._check_unbiased(work, actor, authorization)
            criteria = work.get(ANNOUNCEMENTS, authorization.announcement).content.criteria
            check_points(points, comment, criteria)
            return replace(found, points=tuple(points), comment=comment)

        return self._move_assessment(actor, assessment_id, "score", "scored", change)

    def review(self, actor: Actor, authorization_id: str, reason: str) -> Authorization:
        """Return the application with the experts' report, which goes to the government for approval.

        Refuses while an expert has not scored, with too few experts, and below the pass mark.
        """
        with self._database.work(actor) as work:
            found = self._get_seen(work, actor, AUTHORIZATIONS, authorization_id, authorization_views)
            lead = self._lead(work, found)
            resource = Resource("authorization", found.id, lead, found.applicant, found.id)
            self._check(actor, "authorization:review", resource, work.now())
            move = AUTHORIZATION.next(found.state, "review", found.id)
            check_reason(reason)
            announcement = work.get(ANNOUNCEMENTS, found.announcement)
            _check_lead(actor, announcement, found)
            report = make_report(work.list(ASSESSMENTS, authorization=found.id), announcement, work.now())
            fresh = replace(found, state=move.target, reason=reason, score=report.score, report=report)
            fresh = work.save(AUTHORIZATIONS, fresh)
            data = {
                "authorization": found.id, "operator": found.operator, "state": fresh.state.value, "grants": (),
                "document": "", "reason": reason, "score": report.score, "experts": report.experts,
            }  # fmt: skip
            content = f"authorization {found.title}: review"
            work.emit("authorization:review", found.id, content, data=data, approver=actor.id)
        return fresh

    def list_candidates(self, actor: Actor, authorization_id: str) -> tuple[tuple[str, str], ...]:
        """Return account and organisation of whoever may be appointed to assess an application, by name."""
        with self._database.read() as work:
            found, announcement = self._led(work, actor, authorization_id)
            known = {one.expert for one in work.list(ASSESSMENTS, authorization=found.id)}
            experts = [one for one in work.list(ACCOUNTS) if one.active and "expert" in one.roles]
            unknown = [one for one in experts if one.id not in known]
            free = [one for one in unknown if not self._find_bias(work, one, found, announcement)]
        return tuple((one.id, one.organisation) for one in sorted(free, key=lambda one: one.name))

    def get_assessment(self, actor: Actor, assessment_id: str) -> Assessment:
        """Return one assessment; points are empty to all but its expert until the review is closed."""
        with self._database.read() as work:
            found = self._get_seen(work, actor, ASSESSMENTS, assessment_id, assessment_views)
            return _sealed(actor, found, work.get(AUTHORIZATIONS, found.authorization))

    def list_assessments(self, actor: Actor, authorization_id: str | None = None) -> tuple[Assessment, ...]:
        """Return the assessments that the actor may see, newest first, sealed as `get_assessment` has them."""
        equal = {} if authorization_id is None else {"authorization": authorization_id}
        with self._database.read() as work:
            now = work.now()
            found = work.list(ASSESSMENTS, newest_first=True, **equal)
            seen = [one for one in found if self._can_see(actor, "assessment:view", [assessment_resource(one)], now)]
            return tuple(_sealed(actor, one, work.get(AUTHORIZATIONS, one.authorization)) for one in seen)

    def read_blind(self, actor: Actor, assessment_id: str) -> BlindApplication:
        """Return what the expert of an assessment reads, without names; refuses who has not declared."""
        with self._database.read() as work:
            _, found = self._declared(work, actor, assessment_id)
            announcement = work.get(ANNOUNCEMENTS, found.announcement)
            entries = [work.get(ENTRIES, entry) for entry in found.agreement.entries]
            unit = work.find(ORGANISATIONS, found.operator)
            names = [found.legal_representative, found.responsible_person, found.operator]
            names += [] if unit is None else [unit.name, unit.name_en, unit.code]
            return BlindApplication(
                alias_of(found.id), found.mode.value, found.field, announcement.content.conditions,
                announcement.content.criteria,
                tuple(BlindEntry(one.code, one.title.zh, one.title.en) for one in entries),
                hide_names(found.agreement, names),
                _nameless(found.evidence),
            )  # fmt: skip

    def read_blind_evidence(self, actor: Actor, assessment_id: str, evidence_id: str) -> tuple[Evidence, bytes]:
        """Return one of the files that experts read; every other file does not exist for them."""
        with self._database.read() as work:
            _, found = self._declared(work, actor, assessment_id)
            described, content = find_evidence(work, found, evidence_id)
            if described.kind not in BLIND_KINDS:
                raise NotFound(f"no evidence with id {evidence_id}")
            return _nameless((described,))[0], content

    def _declared(self, work: Work, actor: Actor, assessment_id: str) -> tuple[Assessment, Authorization]:
        found = self._get_seen(work, actor, ASSESSMENTS, assessment_id, assessment_views)
        if actor.id == found.expert and found.state not in (AssessmentState.DECLARED, AssessmentState.SCORED):
            raise NotAllowed(
                f"assessment {found.id} is {found.state}: the application is shown once no conflict is declared",
                rule=RULE, accepted="declare first",
            )  # fmt: skip
        return found, work.get(AUTHORIZATIONS, found.authorization)

    def _led(self, work: Work, actor: Actor, authorization_id: str) -> tuple[Authorization, Announcement]:
        """Return a qualified application and its announcement, to whoever leads its review."""
        found = self._get_seen(work, actor, AUTHORIZATIONS, authorization_id, authorization_views)
        announcement = work.find(ANNOUNCEMENTS, found.announcement)
        lead = announcement.lead if announcement else ""
        self._check(actor, "assessment:appoint", Resource("assessment", "", lead), work.now())
        _check_qualified(found)
        announcement = work.get(ANNOUNCEMENTS, found.announcement)
        _check_lead(actor, announcement, found)
        return found, announcement

    def _third_party(self, work: Work, account_id: str, found: Authorization, announcement: Announcement) -> str:
        account = work.find(ACCOUNTS, account_id)
        if account is None or not account.active or "expert" not in account.roles:
            raise Invalid("one of those named is no active expert", rule=RULE, accepted="accounts with the role expert")
        bias = self._find_bias(work, account, found, announcement)
        if bias:
            raise NotAllowed(f"expert {account.id} {bias}", rule=RULE, accepted="a third party")
        if work.list(ASSESSMENTS, authorization=found.id, expert=account.id):
            raise Conflict(f"expert {account.id} is appointed already", rule=RULE, accepted="another expert")
        return account.organisation

    def _check_unbiased(self, work: Work, actor: Actor, found: Authorization) -> None:
        """Refuse an expert who became a party, or came to see whose application it is, since he was appointed."""
        account = replace(work.get(ACCOUNTS, actor.id), organisation=actor.organisation, roles=actor.roles)
        bias = self._find_bias(work, account, found, work.get(ANNOUNCEMENTS, found.announcement))
        if bias:
            raise NotAllowed(f"the expert now {bias}", rule=RULE, accepted="recuse")

    def _find_bias(self, work: Work, account: Account, found: Authorization, announcement: Announcement) -> str:
        """Return why an account is no blind third party, in words; empty where it is one.

        A person counts with all the accounts that he has or had, as far as his identity was checked.
        """
        belongs = {account.organisation, *organisations_of(work, account.id)}
        if belongs & _parties(found, announcement):
            return "belongs to a party: the unit, a provider or the authority"
        if self._can_see(account.actor("portal"), "authorization:view", authorization_views(found), work.now()):
            return "may see whose application it is by another role"
        return ""

    def _lead(self, work: Work, found: Authorization) -> str:
        announcement = work.find(ANNOUNCEMENTS, found.announcement)
        return announcement.lead if announcement else ""

    def _move_assessment(self, actor: Actor, assessment_id: str, verb: str, reason: str, change: Change) -> Assessment:
        with self._database.work(actor) as work:
            found = self._get_seen(work, actor, ASSESSMENTS, assessment_id, assessment_views)
            self._check(actor, ASSESSMENT.permission(verb), assessment_resource(found), work.now())
            move = ASSESSMENT.next(found.state, verb, found.id)
            check_reason(reason)
            authorization = work.get(AUTHORIZATIONS, found.authorization)
            if authorization.state is not AuthorizationState.QUALIFIED:
                raise TransitionNotAllowed(
                    f"the review of {authorization.id} is closed: it is {authorization.state}",
                    rule="lifecycle.assessment", accepted="an application under review",
                )  # fmt: skip
            fresh = replace(change(work, found, authorization), state=move.target, reason=reason)
            fresh = work.save(ASSESSMENTS, fresh)
            # No points in the event: until the review is closed nobody else is to know them.
            data = {"assessment": found.id, "authorization": found.authorization, "expert": found.expert}
            work.emit(ASSESSMENT.permission(verb), found.id, f"assessment: {verb}", data={**data, "reason": reason})
        return fresh


def _nameless(evidence: Sequence[Evidence]) -> tuple[Evidence, ...]:
    # A file's own name and who attached it would say whose application this is.
    shown = [each for each in evidence if each.kind in BLIND_KINDS]
    return tuple(replace(each, name=f"{each.kind}-{place}", by="") for place, each in enumerate(shown, 1))


def _kept(_work: Work, found: Assessment, _authorization: Authorization) -> Assessment:
    return found


def _sealed(actor: Actor, found: Assessment, authorization: Authorization) -> Assessment:
    """Return the assessment as others than its expert see it: without points while the review is open."""
    if actor.id == found.expert or authorization.state is not AuthorizationState.QUALIFIED:
        return found
    return replace(found, points=(), comment="")


def _check_qualified(found: Authorization) -> None:
    if found.state is not AuthorizationState.QUALIFIED:
        raise TransitionNotAllowed(
            f"cannot appoint experts for {found.id}: it is {found.state}", rule="lifecycle.assessment",
            accepted="a qualified application",
        )  # fmt: skip


def _check_lead(actor: Actor, announcement: Announcement, found: Authorization) -> None:
    if actor.organisation == found.operator:
        raise NotAllowed(
            "nobody leads the expert review of his unit's own application", rule=RULE,
            accepted="a person of another organisation",
        )  # fmt: skip
    if announcement.lead and actor.organisation != announcement.lead:
        raise NotAllowed(
            "the expert review of an authorization by field is led by its provider", rule=RULE,
            accepted="a person of the provider that the announcement names",
        )  # fmt: skip


def _parties(found: Authorization, announcement: Announcement) -> set[str]:
    return {found.operator, announcement.authority, announcement.content.provider, *found.providers}
