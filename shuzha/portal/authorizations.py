"""The pages of authorizations: the way from an application to a filed agreement, and what hangs on it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import Response

from policies import Resource
from sandbox.workspaces.computing import ComputeService
from shuzha.authorization.assessing import assessment_resource
from shuzha.authorization.assessment import Assessment, AssessmentState
from shuzha.authorization.base import authorization_resource
from shuzha.authorization.evidence import EvidenceKind
from shuzha.authorization.holds import RightsService
from shuzha.authorization.model import AUTHORIZATION, IN_FORCE, Authorization, AuthorizationState, check_notice_over
from shuzha.authorization.qualification import OF_HEAD, USUAL_SOURCE, Check, Fact
from shuzha.authorization.routes_procedure import Upload, as_download, read_upload
from shuzha.authorization.service import AuthorizationService
from shuzha.catalog.service import CatalogService
from shuzha.core.actor import Actor
from shuzha.core.calendar import Due
from shuzha.core.clock import city_date
from shuzha.core.errors import Invalid, ShuzhaError
from shuzha.exits.model import Exit
from shuzha.exits.service import ExitService
from shuzha.portal.desk import Desk, Show, Verb, actor_of, parse, progress
from shuzha.portal.holds import may_ever_lift, show_holds, standing

_A = AuthorizationState
WAY = (_A.APPLIED, _A.QUALIFIED, _A.REVIEWED, _A.APPROVED, _A.PUBLICIZED, _A.SIGNED, _A.ACTIVE)
OPEN_ASSESSMENTS = (AssessmentState.INVITED, AssessmentState.DECLARED)
VERBS = (
    Verb("qualify", "Qualified: every fact looked up and clear", reason=True),
    Verb("review", "Close the review and report", reason=True),
    Verb("approve", "Approve", reason=True),
    Verb("publicize", "Make public", reason=True),
    Verb("sign", "Sign the agreement"),
    Verb("countersign", "Countersign the agreement"),
    Verb("restore", "Restore", reason=True),
    Verb("suspend", "Suspend", reason=True, tone="bad"),
    Verb("reject", "Reject", reason=True, tone="bad"),
    Verb("withdraw", "Withdraw", reason=True, tone="bad"),
    Verb("terminate", "Terminate", reason=True, tone="bad"),
)


class AuthorizationPages:
    """The pages of authorizations."""

    def __init__(
        self, desk: Desk, service: AuthorizationService, catalog: CatalogService, compute: ComputeService,
        rights: RightsService, exits: ExitService,
    ) -> None:  # fmt: skip
        self._desk = desk
        self._service = service
        self._catalog = catalog
        self._compute = compute
        self._rights = rights
        self._exits = exits

    def router(self) -> APIRouter:
        """Return the routes of these pages."""
        router = APIRouter()
        one = "/authorizations/{authorization_id}"
        router.add_api_route("/authorizations", self.show_list, methods=["GET"])
        router.add_api_route(one, self.show, methods=["GET"])
        router.add_api_route(f"{one}/agreement", self.download_agreement, methods=["GET"])
        router.add_api_route(f"{one}/evidence", self.attach, methods=["POST"])
        router.add_api_route(f"{one}/evidence/{{evidence_id}}", self.download, methods=["GET"])
        router.add_api_route(f"{one}/evidence/{{evidence_id}}/remove", self.remove, methods=["POST"])
        router.add_api_route(f"{one}/qualify", self.qualify, methods=["POST"])
        router.add_api_route(f"{one}/experts", self.appoint, methods=["POST"])
        router.add_api_route(f"{one}/experts/{{assessment_id}}/dismiss", self.dismiss, methods=["POST"])
        router.add_api_route(f"{one}/holds/{{hold_id}}/lift", self.lift, methods=["POST"])
        router.add_api_route(f"{one}/{{verb}}", self.move, methods=["POST"])
        return router

    def show_list(self, request: Request) -> Response:
        """Show the authorizations that the person may see."""
        actor = actor_of(request)
        return self._desk.page(
            request, "authorizations.html", authorizations=self._service.list_authorizations(actor),
            held=self._rights.list_held(), may_see_exits=self._may_see_exits(actor),
        )  # fmt: skip

    def show(self, request: Request, authorization_id: str) -> Response:
        """Show one authorization: evidence, facts, experts, agreement, signatures, demands."""
        return self._authorization(request, authorization_id)

    def download(self, request: Request, authorization_id: str, evidence_id: str) -> Response:
        """Give one of the applicant's files."""
        return as_download(*self._service.read_evidence(actor_of(request), authorization_id, evidence_id))

    def download_agreement(self, request: Request, authorization_id: str) -> Response:
        """Give the filed agreement as the file that anybody verifies offline."""
        found = self._service.read_agreement(actor_of(request), authorization_id)
        headers = {"Content-Disposition": f'attachment; filename="{authorization_id}.agreement.json"'}
        return Response(found, media_type="application/json", headers=headers)

    def attach(
        self, request: Request, authorization_id: str, kind: str, upload: Annotated[Upload, Depends(read_upload)]
    ) -> Response:
        """Attach a file to an application; the form's address says what it shows, so that the file is not spooled."""
        actor = actor_of(request)

        def attach() -> object:
            chosen = parse(EvidenceKind, kind)
            return self._service.attach_evidence(actor, authorization_id, chosen, upload.name, upload.content)

        return self._run(request, authorization_id, attach, "attach")

    def remove(self, request: Request, authorization_id: str, evidence_id: str) -> Response:
        """Take a file back."""
        actor = actor_of(request)
        return self._run(
            request, authorization_id, lambda: self._service.remove_evidence(actor, authorization_id, evidence_id),
            "remove",
        )  # fmt: skip

    def qualify(
        self, request: Request, authorization_id: str, day: Annotated[list[dt.date], Form()],
        source: Annotated[list[str], Form()], found: Annotated[list[str], Form()], reason: Annotated[str, Form()] = "",
        clear: Annotated[list[str], Form()] = [],  # noqa: B006 - FastAPI copies a form's default
    ) -> Response:  # fmt: skip
        """Record the looked-up facts, one line of the form each, in the order of `Fact`."""
        actor = actor_of(request)

        def qualify() -> object:
            if not len(day) == len(source) == len(found) == len(Fact):
                raise Invalid("the form does not hold one line for each fact", rule="J23 art. 9")
            checks = [
                Check(fact, fact.value in clear, day[place], found[place], source[place])
                for place, fact in enumerate(Fact)
            ]
            return self._service.qualify(actor, authorization_id, checks, reason)

        return self._run(request, authorization_id, qualify, "qualify")

    def appoint(
        self, request: Request, authorization_id: str, reason: Annotated[str, Form()] = "",
        experts: Annotated[list[str], Form()] = [],  # noqa: B006 - FastAPI copies a form's default
    ) -> Response:  # fmt: skip
        """Appoint experts to assess the application."""
        actor = actor_of(request)
        return self._run(
            request, authorization_id,
            lambda: self._service.appoint_experts(actor, authorization_id, experts, reason), "appoint",
        )  # fmt: skip

    def dismiss(
        self, request: Request, authorization_id: str, assessment_id: str, reason: Annotated[str, Form()] = ""
    ) -> Response:
        """Dismiss an expert who does not answer."""
        actor = actor_of(request)
        return self._run(
            request, authorization_id, lambda: self._service.dismiss_expert(actor, assessment_id, reason), "dismiss"
        )

    def lift(
        self, request: Request, authorization_id: str, hold_id: str, reason: Annotated[str, Form()] = ""
    ) -> Response:
        """Lift a hold before its cause has ended."""
        actor = actor_of(request)
        return self._run(request, authorization_id, lambda: self._rights.lift_hold(actor, hold_id, reason), "lift")

    def move(
        self, request: Request, authorization_id: str, verb: str, reason: Annotated[str, Form()] = "",
        number: Annotated[str, Form()] = "", approved_on: Annotated[dt.date | None, Form()] = None,
    ) -> Response:  # fmt: skip
        """Move an authorization along its procedure, suspend it, or end it."""
        actor, service, one = actor_of(request), self._service, authorization_id
        actions = {
            "review": lambda: service.review(actor, one, reason),
            "approve": lambda: service.approve(actor, one, number, reason, approved_on=approved_on),
            "publicize": lambda: service.publicize(actor, one, reason),
            "sign": lambda: service.sign(actor, one),
            "countersign": lambda: service.countersign(actor, one),
            "suspend": lambda: service.suspend(actor, one, reason),
            "restore": lambda: service.restore(actor, one, reason),
            "reject": lambda: service.reject(actor, one, reason),
            "withdraw": lambda: service.withdraw(actor, one, reason),
            "terminate": lambda: service.terminate(actor, one, reason),
        }
        show: Show = lambda errors, status: self._authorization(request, one, errors, status)  # noqa: E731
        return self._desk.act(request, actions, verb, f"/authorizations/{one}", show)

    def _run(self, request: Request, one: str, action: Callable[[], object], done: str) -> Response:
        show: Show = lambda errors, status: self._authorization(request, one, errors, status)  # noqa: E731
        return self._desk.attempt(request, action, f"/authorizations/{one}", show, done)

    def _authorization(
        self, request: Request, authorization_id: str, errors: Sequence[str] = (), status: int = 200
    ) -> Response:
        actor = actor_of(request)
        found = self._service.get_authorization(actor, authorization_id)
        own = authorization_resource(found)
        demand = Resource("demand", organisation=found.operator, authorization=found.id)
        today = city_date(self._desk.clock.now())
        verbs, held = self._verbs(actor, found), self._rights.list_held()
        demands = self._service.list_demands(actor, found.id)
        entries = {entry.id: entry for entry in self._catalog.list_entries(actor)}
        # The facts have a form of their own beside the applicant's files.
        qualify = next((verb for verb in verbs if verb.name == "qualify" and verb.refusal is None), None)
        return self._desk.page(
            request, "authorization.html", status, errors=errors, authorization=found, today=today,
            steps=progress(AUTHORIZATION, WAY, found.state, _reached(found)), qualify=qualify,
            verbs=[verb for verb in verbs if verb != qualify],
            demands=demands, entries=entries, held=held, state=standing(found, held),
            holds=show_holds(
                self._desk, actor, found, self._rights.list_holds(actor, found.id), demands, entries, self._service,
                self._rights,
            ),
            may_lift=may_ever_lift(self._desk, actor), exit=next(iter(self._list_exits(actor, found)), None),
            leaving=found.state in IN_FORCE and self._may_see_exits(actor),
            used=self._compute.sum_authorization(actor, found.id),
            may_demand=found.state is _A.ACTIVE and self._desk.can(actor, "demand:draft", demand),
            may_attach=found.state is _A.APPLIED and self._desk.can(actor, "authorization:attach", own),
            may_read=self._desk.can(actor, "evidence:view", own), kinds=list(EvidenceKind), facts=list(Fact),
            of_head=OF_HEAD, usual_source=USUAL_SOURCE, left=self._left(found),
            signed=[(one, self._service.is_signed(found, one)) for one in found.signatures],
            notice_runs=found.notice_until is not None and found.state is _A.PUBLICIZED
            and today <= found.notice_until, **self._panel(actor, found),
        )  # fmt: skip

    def _verbs(self, actor: Actor, found: Authorization) -> list[Verb]:
        """Return the buttons; the report's is the leading provider's where one leads."""
        lead = next((one.lead for one in self._service.list_assessments(actor, found.id)), "")
        review = [verb for verb in VERBS if verb.name == "review"]
        others = [verb for verb in VERBS if verb.name != "review"]
        led = Resource("authorization", found.id, lead, found.applicant, found.id)
        mine = self._desk.verbs(actor, AUTHORIZATION, found.state, led, review)
        if lead and actor.organisation != lead:
            mine = []
        verbs = self._desk.verbs(actor, AUTHORIZATION, found.state, authorization_resource(found), others)
        return [*mine, *(self._with_notice(found, verb) for verb in verbs)]

    def _with_notice(self, found: Authorization, verb: Verb) -> Verb:
        """Return the verb greyed while the public notice has to pass before it."""
        if verb.name == "sign" and not verb.refusal:
            try:
                check_notice_over(found, city_date(self._desk.clock.now()))
            except Invalid as error:
                return replace(verb, refusal=error.message)
        return verb

    def _panel(self, actor: Actor, found: Authorization) -> dict[str, object]:
        """Return the experts of an application as the person may see them, and whom he may appoint."""
        try:
            candidates = self._service.list_candidates(actor, found.id) if found.state is _A.QUALIFIED else ()
            may_appoint = found.state is _A.QUALIFIED
        except ShuzhaError:
            candidates, may_appoint = (), False
        panel: tuple[Assessment, ...] = self._service.list_assessments(actor, found.id)
        panel = tuple(one for one in panel if one.expert != actor.id)
        dismissable = {
            one.id for one in panel
            if one.state in OPEN_ASSESSMENTS
            and self._desk.can(actor, "assessment:dismiss", assessment_resource(one)) and may_appoint
        }  # fmt: skip
        return {"panel": panel, "candidates": candidates, "may_appoint": may_appoint, "dismissable": dismissable}

    def _list_exits(self, actor: Actor, found: Authorization) -> tuple[Exit, ...]:
        return self._exits.list_exits(actor, authorization=found.id) if self._may_see_exits(actor) else ()

    def _may_see_exits(self, actor: Actor) -> bool:
        return self._desk.can(actor, "exit:view", Resource("exit", organisation=actor.organisation))

    def _left(self, found: Authorization) -> int | None:
        due = found.due
        return None if due is None else self._desk.law.remaining(Due(due), self._desk.clock.now())


def _reached(found: Authorization) -> AuthorizationState:
    """Return how far an authorization came before it left the usual way."""
    if found.filing:
        return _A.ACTIVE
    if found.signatures:
        return _A.SIGNED
    if found.notice_until:
        return _A.PUBLICIZED
    if found.approved_on:
        return _A.APPROVED
    if found.report:
        return _A.REVIEWED
    return _A.QUALIFIED if found.checks else _A.APPLIED
