"""The experts' pages: what I was asked to assess, and one application without names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from shuzha.authorization.assessing import assessment_resource
from shuzha.authorization.assessment import ASSESSMENT, Assessment, AssessmentState, Points, alias_of
from shuzha.authorization.routes_procedure import as_download
from shuzha.authorization.service import AuthorizationService
from shuzha.core.calendar import Due
from shuzha.core.errors import Invalid
from shuzha.portal.desk import Desk, Show, Verb, actor_of, progress

_S = AssessmentState
WAY = (_S.INVITED, _S.DECLARED, _S.SCORED)
READ = (_S.DECLARED, _S.SCORED)
VERBS = (
    Verb("declare", "I know of no conflict of interest"),
    Verb("recuse", "I have a conflict of interest", reason=True, tone="bad"),
)


class AssessmentPages:
    """The pages of this part of the room."""

    def __init__(self, desk: Desk, service: AuthorizationService) -> None:
        self._desk = desk
        self._service = service

    def router(self) -> APIRouter:
        """Return the routes of these pages."""
        router = APIRouter()
        router.add_api_route("/assessments", self.show_list, methods=["GET"])
        router.add_api_route("/assessments/{assessment_id}", self.show, methods=["GET"])
        router.add_api_route("/assessments/{assessment_id}/evidence/{evidence_id}", self.download, methods=["GET"])
        router.add_api_route("/assessments/{assessment_id}/score", self.score, methods=["POST"])
        router.add_api_route("/assessments/{assessment_id}/{verb}", self.move, methods=["POST"])
        return router

    def show_list(self, request: Request) -> Response:
        """Show the person's own assessments."""
        actor = actor_of(request)
        found = [one for one in self._service.list_assessments(actor) if one.expert == actor.id]
        return self._desk.page(request, "assessments.html", assessments=found, alias=alias_of, left=self._left)

    def show(self, request: Request, assessment_id: str) -> Response:
        """Show one assessment: first the declaration, then the application without names and the points."""
        return self._assessment(request, assessment_id)

    def download(self, request: Request, assessment_id: str, evidence_id: str) -> Response:
        """Give one of the files that experts read."""
        return as_download(*self._service.read_blind_evidence(actor_of(request), assessment_id, evidence_id))

    def score(
        self, request: Request, assessment_id: str, criterion: Annotated[list[str], Form()],
        points: Annotated[list[int], Form()], comment: Annotated[str, Form()] = "",
    ) -> Response:  # fmt: skip
        """Give the points, one for each criterion."""
        actor = actor_of(request)

        def score() -> Assessment:
            if len(criterion) != len(points):
                raise Invalid("the form does not give points for each criterion", rule="J23 art. 10(3)")
            given = tuple(Points(name, number) for name, number in zip(criterion, points, strict=True))
            return self._service.score(actor, assessment_id, given, comment)

        show: Show = lambda errors, status: self._assessment(request, assessment_id, errors, status)  # noqa: E731
        return self._desk.attempt(request, score, f"/assessments/{assessment_id}", show, "score")

    def move(self, request: Request, assessment_id: str, verb: str, reason: Annotated[str, Form()] = "") -> Response:
        """Declare that there is no conflict of interest, or give the assessment back for one."""
        actor, service = actor_of(request), self._service
        actions = {
            "declare": lambda: service.declare_no_conflict(actor, assessment_id),
            "recuse": lambda: service.recuse(actor, assessment_id, reason),
        }
        show: Show = lambda errors, status: self._assessment(request, assessment_id, errors, status)  # noqa: E731
        return self._desk.act(request, actions, verb, f"/assessments/{assessment_id}", show)

    def _assessment(
        self, request: Request, assessment_id: str, errors: Sequence[str] = (), status: int = 200
    ) -> Response:
        actor = actor_of(request)
        found = self._service.get_assessment(actor, assessment_id)
        blind = self._service.read_blind(actor, found.id) if found.state in READ else None
        verbs = self._desk.verbs(actor, ASSESSMENT, found.state, assessment_resource(found), VERBS)
        return self._desk.page(
            request, "assessment.html", status, errors=errors, assessment=found, blind=blind, verbs=verbs,
            alias=alias_of(found.authorization), steps=progress(ASSESSMENT, WAY, found.state), left=self._left(found),
            may_score=found.state is _S.DECLARED and actor.id == found.expert,
            given={each.criterion: each.points for each in found.points},
        )  # fmt: skip

    def _left(self, found: Assessment) -> int | None:
        if found.due is None or found.state not in (_S.INVITED, _S.DECLARED):
            return None
        return self._desk.law.remaining(Due(found.due, found.due_provisional), self._desk.clock.now())
