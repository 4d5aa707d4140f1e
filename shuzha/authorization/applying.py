"""The verbs of an applicant: apply in an announced window, attach evidence, take it back (J23 art. 10(2))."""

from __future__ import annotations

from dataclasses import replace

from policies import Resource
from shuzha.authorization.agreement import Agreement, check_agreement
from shuzha.authorization.announcement import Announcement, Mode
from shuzha.authorization.base import Room, authorization_resource, authorization_views, providers_of
from shuzha.authorization.eligibility import check_eligible
from shuzha.authorization.evidence import MOST_FILES, Evidence, EvidenceFile, EvidenceKind, make_evidence
from shuzha.authorization.model import (
    AUTHORIZATION,
    IN_FORCE,
    Application,
    Authorization,
    AuthorizationState,
    check_application,
)  # fmt: skip
from shuzha.authorization.store import ANNOUNCEMENTS, AUTHORIZATIONS, EVIDENCE_FILES
from shuzha.catalog.store import ENTRIES
from shuzha.core.actor import Actor
from shuzha.core.clock import start_of_day
from shuzha.core.errors import Invalid, NotAllowed, NotFound, TransitionNotAllowed
from shuzha.core.ids import new_id
from shuzha.core.work import Work

TERM_RULE = "authorization.term"
REVIEW_RULE = "authorization.review"


class ApplicationVerbs(Room):
    """What an operating unit does before anybody decides."""

    def apply(self, actor: Actor, application: Application) -> Authorization:
        """Return the new application of the actor's organisation, with the day by which it is to be decided.

        Refuses one outside the announced window (J23 art. 10(2)), an incomplete agreement, a term past the cap, a
        renewal that overlaps, and entries that may not be authorized (J23 art. 7, 8) or are another provider's.
        """
        with self._database.work(actor) as work:
            now = work.now()
            self._check(actor, "authorization:apply", Resource("authorization", organisation=actor.organisation), now)
            check_application(application)
            announcement = _open_announcement(work, application.announcement)
            providers = self._checked_providers(work, application.agreement, announcement)
            _check_renewal(work, application, actor)
            # The decision's days run from the end of the window, so that all who applied in time are equal.
            due, provisional = self._due(REVIEW_RULE, start_of_day(announcement.content.closes))
            agreement = application.agreement
            found = Authorization(
                id=new_id("aut"), operator=actor.organisation, title=application.title,
                mode=announcement.content.mode, field=announcement.content.field,
                responsible_person=application.responsible_person, training_proof=application.training_proof,
                agreement=agreement, providers=providers, applicant=actor.id, state=AUTHORIZATION.initial,
                applied_at=now, valid_from=agreement.term.start(), valid_until=agreement.term.end(), due=due,
                due_provisional=provisional, announcement=announcement.id, renews=application.renews,
                legal_representative=application.legal_representative,
            )  # fmt: skip
            work.add(AUTHORIZATIONS, found)
            data = {
                "authorization": found.id, "operator": found.operator, "state": found.state.value,
                "announcement": announcement.id, "renews": found.renews, "grants": (), "document": "", "reason": "",
            }  # fmt: skip
            work.emit("authorization:apply", found.id, f"authorization {found.title} applied for", data=data)
        return found

    def attach_evidence(
        self, actor: Actor, authorization_id: str, kind: EvidenceKind, name: str, content: bytes
    ) -> Evidence:
        """Return the description of a file attached to an application that nobody has decided on yet.

        Refuses an empty or large file and types other than PDF, PNG, JPEG and text; supplements may come late.
        """
        with self._database.work(actor) as work:
            found = self._undecided(work, actor, authorization_id)
            if len(found.evidence) >= MOST_FILES:
                raise Invalid("the application has too many files", rule="evidence.count", accepted=f"{MOST_FILES}")
            made = make_evidence(new_id("evd"), kind, name, content, actor.id, work.now())
            work.add(EVIDENCE_FILES, EvidenceFile(made.id, found.id, content))
            work.save(AUTHORIZATIONS, replace(found, evidence=(*found.evidence, made)))
            data = {"authorization": found.id, "evidence": made.id, "kind": kind.value, "sha256": made.sha256}
            work.emit("authorization:attach", found.id, f"evidence of {kind} attached", data=data, medium="file")
        return made

    def remove_evidence(self, actor: Actor, authorization_id: str, evidence_id: str) -> Authorization:
        """Return the application without one of its files, while nobody has decided on it."""
        with self._database.work(actor) as work:
            found = self._undecided(work, actor, authorization_id)
            if all(each.id != evidence_id for each in found.evidence):
                raise NotFound(f"no evidence with id {evidence_id}")
            table = EVIDENCE_FILES.table
            work.connection.execute(table.delete().where(table.c.id == evidence_id))
            left = tuple(each for each in found.evidence if each.id != evidence_id)
            fresh = work.save(AUTHORIZATIONS, replace(found, evidence=left))
            data = {"authorization": found.id, "evidence": evidence_id}
            work.emit("authorization:detach", found.id, "evidence taken back", data=data, medium="file")
        return fresh

    def read_evidence(self, actor: Actor, authorization_id: str, evidence_id: str) -> tuple[Evidence, bytes]:
        """Return a file with its description; raises NotFound for one that the actor may not see."""
        with self._database.read() as work:
            found = self._get_seen(work, actor, AUTHORIZATIONS, authorization_id, authorization_views)
            resource = Resource("evidence", evidence_id, found.operator, found.applicant, found.id)
            if not self._can_see(actor, "evidence:view", [resource], work.now()):
                raise NotFound(f"no evidence with id {evidence_id}")
            return find_evidence(work, found, evidence_id)

    def _undecided(self, work: Work, actor: Actor, authorization_id: str) -> Authorization:
        found = self._get_seen(work, actor, AUTHORIZATIONS, authorization_id, authorization_views)
        self._check(actor, "authorization:attach", authorization_resource(found), work.now())
        if found.state is not AuthorizationState.APPLIED:
            raise TransitionNotAllowed(
                f"cannot change the evidence of {found.id}: it is {found.state}", rule="lifecycle.authorization",
                accepted="an application that nobody has decided on",
            )  # fmt: skip
        return found

    def _checked_providers(
        self, work: Work, agreement: Agreement, announcement: Announcement | None = None
    ) -> tuple[str, ...]:
        rule = self._law.get_rule(TERM_RULE)
        if rule.years is None:
            raise Invalid("the law book states no cap on the term", rule=TERM_RULE)
        check_agreement(agreement, rule.years, rule.citation())
        if agreement.term.end() <= work.now():
            raise Invalid(
                "the term is over already", rule="agreement.term", accepted="a last day from today on",
                field="valid_until",
            )  # fmt: skip
        entries = tuple(work.get(ENTRIES, entry) for entry in agreement.entries)
        for entry in entries:
            check_eligible(entry)
        providers = providers_of(entries)
        if announcement is not None and announcement.content.mode is not Mode.COMPREHENSIVE:
            _check_one_provider(providers, announcement)
        return providers


def find_evidence(work: Work, found: Authorization, evidence_id: str) -> tuple[Evidence, bytes]:
    """Return one of an application's files with its description, or raise NotFound."""
    described = next((each for each in found.evidence if each.id == evidence_id), None)
    if described is None:
        raise NotFound(f"no evidence with id {evidence_id}")
    return described, work.get(EVIDENCE_FILES, evidence_id).content


def _open_announcement(work: Work, announcement_id: str) -> Announcement:
    found = work.find(ANNOUNCEMENTS, announcement_id)
    if found is None or found.published_at is None:
        raise NotFound("no announcement with the id that the application names")
    if not found.is_open(work.now()):
        window = f"{found.content.opens.isoformat()} to {found.content.closes.isoformat()}"
        raise NotAllowed(
            f"announcement {found.id} is not open to applications now", rule="J23 art. 10(2)",
            accepted=f"an announcement within its window; this one's was {window}, state {found.state}",
        )  # fmt: skip
    return found


def _check_one_provider(providers: tuple[str, ...], announcement: Announcement) -> None:
    if providers != (announcement.content.provider,):
        raise NotAllowed(
            f"the application names entries of others than the provider of {announcement.id}",
            rule="J23 art. 5" if announcement.content.mode is Mode.FIELD else "W25 art. 19",
            accepted="entries of the announced provider only",
        )  # fmt: skip


def _check_renewal(work: Work, application: Application, actor: Actor) -> None:
    if not application.renews:
        return
    old = work.find(AUTHORIZATIONS, application.renews)
    if old is None or old.operator != actor.organisation:
        raise NotFound("no authorization of this unit with the id that is to be renewed")
    rule = "J23 art. 10(5)"
    if old.state not in IN_FORCE or old.valid_until <= work.now():
        raise Invalid(f"{old.id} is over: it cannot be renewed", rule=rule, accepted="an application that renews none")
    if application.agreement.term.valid_from <= old.agreement.term.valid_until:
        raise Invalid(
            f"the term starts before that of {old.id} is over", rule=rule,
            accepted=f"a first day after {old.agreement.term.valid_until.isoformat()}", field="valid_from",
        )  # fmt: skip
