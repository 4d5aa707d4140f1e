"""The pages of announcements, and the application that each of them takes while its window is open."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import Response

from policies import Resource
from shuzha.authorization.agreement import Agreement, Allocation, Income, Operation, OutputKind, Term
from shuzha.authorization.announcement import (
    ANNOUNCEMENT,
    LEAST_EXPERTS,
    LONGEST_NOTICE,
    MOST_EXPERTS,
    USUAL_CRITERIA,
    Announcement,
    AnnouncementDraft,
    AnnouncementState,
    Criterion,
    Mode,
)  # fmt: skip
from shuzha.authorization.announcing import announcement_resource
from shuzha.authorization.evidence import EvidenceKind
from shuzha.authorization.holds import RightsService
from shuzha.authorization.model import IN_FORCE, Application
from shuzha.authorization.service import AuthorizationService
from shuzha.catalog.model import EntryState
from shuzha.catalog.service import CatalogService
from shuzha.core.actor import Actor
from shuzha.core.clock import city_date
from shuzha.core.errors import Invalid
from shuzha.people.model import OrganisationKind
from shuzha.people.service import People
from shuzha.portal.desk import Desk, Show, Verb, actor_of, parse, progress
from shuzha.portal.forms import years_on
from shuzha.portal.purposes import offer_purposes

_S = AnnouncementState
WHOLE_PERCENT = 100
PROVIDING = (OrganisationKind.DEPARTMENT, OrganisationKind.PUBLIC_SERVICE)
VERBS = (
    Verb("agree", "Agree to the plan", reason=True),
    Verb("publish", "Publish", reason=True),
    Verb("close", "Close before the end of the window", reason=True, tone="bad"),
    Verb("cancel", "Cancel", reason=True, tone="bad"),
)


@dataclass(frozen=True, slots=True)
class Proposal:
    """What the form of an application holds; shares are whole percentages."""

    title: str
    people: tuple[str, str, str]
    term: Term
    purposes: tuple[str, ...]
    entries: tuple[str, ...]
    operations: tuple[str, ...]
    output_kinds: tuple[str, ...]
    calculation: str
    shares: tuple[int, int, int, int]
    texts: tuple[str, str, str, str]
    renews: str

    def application(self, announcement: str) -> Application:
        """Return the application that the form asks for."""
        if sum(self.shares[1:]) != WHOLE_PERCENT:
            raise Invalid(
                f"the three shares sum to {sum(self.shares[1:])} percent", rule="agreement.allocation",
                accepted="shares of provider, platform and operating unit that sum to 100 percent", field="provider",
            )  # fmt: skip
        infrastructure, *shares = (100 * share for share in self.shares)
        rights, security, end, disposal = self.texts
        head, responsible, training = self.people
        agreement = Agreement(
            entries=self.entries, term=self.term, purposes=self.purposes,
            operations=tuple(parse(Operation, each) for each in self.operations),
            output_kinds=tuple(parse(OutputKind, each) for each in self.output_kinds),
            income=Income(self.calculation, infrastructure, Allocation(*shares)),
            rights_and_duties=rights, security=security, exit=end, asset_disposal=disposal,
        )  # fmt: skip
        return Application(announcement, self.title, head, responsible, training, agreement, self.renews)


def read_proposal(
    title: Annotated[str, Form()], legal_representative: Annotated[str, Form()],
    responsible_person: Annotated[str, Form()], training_proof: Annotated[str, Form()],
    valid_from: Annotated[dt.date, Form()], valid_until: Annotated[dt.date, Form()],
    calculation: Annotated[str, Form()], rights_and_duties: Annotated[str, Form()], security: Annotated[str, Form()],
    exit: Annotated[str, Form()], asset_disposal: Annotated[str, Form()],  # noqa: A002 - the clause's name
    entries: Annotated[list[str], Form()] = [], operations: Annotated[list[str], Form()] = [],  # noqa: B006
    output_kinds: Annotated[list[str], Form()] = [],  # noqa: B006 - FastAPI copies a form's default
    purposes: Annotated[list[str], Form()] = [], other_purposes: Annotated[str, Form()] = "",  # noqa: B006
    infrastructure: Annotated[int, Form()] = 0, provider: Annotated[int, Form()] = 0,
    platform: Annotated[int, Form()] = 0, operator: Annotated[int, Form()] = 0, renews: Annotated[str, Form()] = "",
) -> Proposal:  # fmt: skip
    """Return what the form of an application holds; purposes are chosen, and others are written one a line."""
    others = other_purposes.replace(",", "\n").splitlines()
    named = tuple(dict.fromkeys(each.strip() for each in (*purposes, *others) if each.strip()))
    return Proposal(
        title, (legal_representative, responsible_person, training_proof), Term(valid_from, valid_until), named,
        tuple(entries), tuple(operations), tuple(output_kinds), calculation,
        (infrastructure, provider, platform, operator), (rights_and_duties, security, exit, asset_disposal), renews,
    )  # fmt: skip


def read_draft(
    title: Annotated[str, Form()], mode: Annotated[str, Form()], plan: Annotated[str, Form()],
    conditions: Annotated[str, Form()], opens: Annotated[dt.date, Form()], closes: Annotated[dt.date, Form()],
    criteria: Annotated[str, Form()], pass_score: Annotated[int, Form()], experts: Annotated[int, Form()],
    notice_days: Annotated[int, Form()], field: Annotated[str, Form()] = "", provider: Annotated[str, Form()] = "",
    evidence: Annotated[list[str], Form()] = [],  # noqa: B006 - FastAPI copies a form's default
) -> AnnouncementDraft:  # fmt: skip
    """Return what the form of an announcement holds; its year is that in which the window opens.

    A comprehensive one has neither field nor provider: their fields are out of sight then, so they do not count.
    """
    if mode == Mode.COMPREHENSIVE:
        field = provider = ""
    found = tuple(line.strip() for line in conditions.splitlines() if line.strip())
    return AnnouncementDraft(
        title, opens.year, parse(Mode, mode), plan, found, opens, closes, field, provider,
        tuple(parse(EvidenceKind, each) for each in evidence), read_criteria(criteria), pass_score, experts,
        notice_days,
    )  # fmt: skip


def read_criteria(text: str) -> tuple[Criterion, ...]:
    """Return the criteria of a field: `name: points` a line, either colon."""
    found = []
    for line in (line.strip() for line in text.splitlines() if line.strip()):
        name, _, most = line.replace("：", ":").rpartition(":")
        if not name.strip() or not most.strip().isdecimal():
            raise Invalid(
                "a criterion cannot be read", rule="form.list", accepted="name: points, one a line", field="criteria"
            )
        found.append(Criterion(name.strip(), int(most)))
    return tuple(found)


class AnnouncementPages:
    """The pages of this part of the room."""

    def __init__(
        self, desk: Desk, service: AuthorizationService, catalog: CatalogService, people: People, rights: RightsService
    ) -> None:
        self._desk = desk
        self._service = service
        self._catalog = catalog
        self._people = people
        self._rights = rights

    def router(self) -> APIRouter:
        """Return the routes of these pages."""
        router = APIRouter()
        router.add_api_route("/announcements", self.show_list, methods=["GET"])
        router.add_api_route("/announcements", self.draft, methods=["POST"])
        router.add_api_route("/announcements/{announcement_id}", self.show, methods=["GET"])
        router.add_api_route("/announcements/{announcement_id}/applications", self.apply, methods=["POST"])
        router.add_api_route("/announcements/{announcement_id}/{verb}", self.move, methods=["POST"])
        return router

    def show_list(self, request: Request) -> Response:
        """Show the announcements that the person may see, and to the authority the form of a new one."""
        return self._list(request)

    def draft(self, request: Request, content: Annotated[AnnouncementDraft, Depends(read_draft)]) -> Response:
        """Draft an announcement."""
        actor = actor_of(request)
        show: Show = lambda errors, status: self._list(request, errors, status)  # noqa: E731
        return self._desk.attempt(
            request, lambda: self._service.draft_announcement(actor, content),
            lambda found: f"/announcements/{found.id}", show, "draft",
        )  # fmt: skip

    def show(self, request: Request, announcement_id: str) -> Response:
        """Show one announcement, and while its window is open the form of an application."""
        return self._announcement(request, announcement_id)

    def apply(
        self, request: Request, announcement_id: str, proposal: Annotated[Proposal, Depends(read_proposal)]
    ) -> Response:
        """Apply under an announcement with a proposed agreement."""
        actor = actor_of(request)
        show: Show = lambda errors, status: self._announcement(request, announcement_id, errors, status)  # noqa: E731
        return self._desk.attempt(
            request, lambda: self._service.apply(actor, proposal.application(announcement_id)),
            lambda found: f"/authorizations/{found.id}", show, "apply",
        )  # fmt: skip

    def move(self, request: Request, announcement_id: str, verb: str, reason: Annotated[str, Form()] = "") -> Response:
        """Agree to, publish, close or cancel an announcement."""
        actor, service = actor_of(request), self._service
        actions = {
            "agree": lambda: service.agree_announcement(actor, announcement_id, reason),
            "publish": lambda: service.publish_announcement(actor, announcement_id, reason),
            "close": lambda: service.close_announcement(actor, announcement_id, reason),
            "cancel": lambda: service.cancel_announcement(actor, announcement_id, reason),
        }
        show: Show = lambda errors, status: self._announcement(request, announcement_id, errors, status)  # noqa: E731
        return self._desk.act(request, actions, verb, f"/announcements/{announcement_id}", show)

    def _list(self, request: Request, errors: Sequence[str] = (), status: int = 200) -> Response:
        actor = actor_of(request)
        may_draft = self._desk.can(actor, "announcement:draft", Resource("announcement", author=actor.id))
        providers = [
            one for one in (self._people.list_organisations(actor) if may_draft else ()) if one.kind in PROVIDING
        ]
        today = city_date(self._desk.clock.now())
        return self._desk.page(
            request, "announcements.html", status, errors=errors, today=today, may_draft=may_draft, providers=providers,
            announcements=self._service.list_announcements(actor), now=self._desk.clock.now(), modes=list(Mode),
            kinds=list(EvidenceKind), usual=USUAL_CRITERIA, month_on=today + dt.timedelta(days=30),
            least=LEAST_EXPERTS, most=MOST_EXPERTS, longest=LONGEST_NOTICE,
        )  # fmt: skip

    def _announcement(
        self, request: Request, announcement_id: str, errors: Sequence[str] = (), status: int = 200
    ) -> Response:
        actor = actor_of(request)
        found = self._service.get_announcement(actor, announcement_id)
        now = self._desk.clock.now()
        own = Resource("authorization", organisation=actor.organisation, author=actor.id)
        may_apply = found.is_open(now) and self._desk.can(actor, "authorization:apply", own)
        today, years = city_date(now), self._desk.law.get_rule("authorization.term").years or 1
        facts = self._of_form(actor, found) if may_apply else {}
        way = (_S.DRAFT, _S.PUBLISHED, _S.CLOSED) if found.content.mode is Mode.COMPREHENSIVE else (
            _S.DRAFT, _S.AGREED, _S.PUBLISHED, _S.CLOSED)  # fmt: skip
        return self._desk.page(
            request, "announcement.html", status, errors=errors, announcement=found, content=found.content,
            is_open=found.is_open(now), may_apply=may_apply, standing=found.standing(now),
            held=self._rights.list_held(), steps=progress(ANNOUNCEMENT, way, found.standing(now)),
            verbs=self._desk.verbs(actor, ANNOUNCEMENT, found.standing(now), announcement_resource(found), VERBS),
            applications=[one for one in self._service.list_authorizations(actor) if one.announcement == found.id],
            today=today, years=years, last_day=years_on(today, years), **facts,
        )  # fmt: skip

    def _of_form(self, actor: Actor, found: Announcement) -> dict[str, object]:
        entries = [
            one for one in self._catalog.list_entries(actor)
            if one.state is EntryState.PUBLISHED and found.content.provider in ("", one.provider)
        ]  # fmt: skip
        applied = [one for one in self._service.list_authorizations(actor) if one.operator == actor.organisation]
        newest = max(applied, key=lambda one: one.applied_at, default=None)
        return {
            "entries": entries, "own": [one for one in applied if one.state in IN_FORCE],
            "operations": list(Operation), "output_kinds": list(OutputKind),
            "head": newest.legal_representative if newest else "",
            "responsible": self._people.get_organisation(actor.organisation).responsible_person,
            "purposes": offer_purposes(*(one.agreement.purposes for one in applied)),
        }  # fmt: skip
