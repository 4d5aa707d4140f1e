"""The HTTP face of the procedure before an agreement: announcements, evidence, experts, the filed bundle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from shuzha.authorization.announcement import Announcement, AnnouncementDraft
from shuzha.authorization.assessment import Assessment, BlindApplication, Points
from shuzha.authorization.evidence import MOST_BYTES, Evidence, EvidenceKind
from shuzha.authorization.model import Authorization
from shuzha.authorization.service import AuthorizationService
from shuzha.catalog.uploads import RequestFile
from shuzha.core.actor import Actor
from shuzha.core.errors import Invalid

ActorDependency = Callable[..., Actor]


@dataclass(frozen=True, slots=True)
class Reasoned:
    """The body of a verb that asks for nothing but a reason."""

    reason: str


@dataclass(frozen=True, slots=True)
class Panel:
    """The accounts of the experts to appoint, and the reason."""

    experts: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Scores:
    """One expert's points, one for each criterion, and why."""

    points: tuple[Points, ...]
    comment: str


class AnnouncementVerb(StrEnum):
    """The verbs on an announcement that take a reason."""

    AGREE = "agree"
    PUBLISH = "publish"
    CLOSE = "close"
    CANCEL = "cancel"


@dataclass(frozen=True, slots=True)
class Upload:
    """A file as it arrived; one byte more than evidence may have stands for every longer one."""

    name: str
    content: bytes


async def read_upload(request: Request) -> Upload:
    """Return the file of a request, raw or in a form; what is past the cap is read by and kept nowhere.

    Refuses a form that can hold no file.
    """
    if request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        raise Invalid("the form has no file", rule="evidence.form", accepted="multipart/form-data, or the file itself")
    file = RequestFile(request)
    content = bytearray()
    async for piece in file.chunks():
        content += piece[: MOST_BYTES + 1 - len(content)]
    return Upload(file.file_name, bytes(content))


def as_download(described: Evidence, content: bytes) -> Response:
    """Return a piece of evidence as a download that no browser runs or shows inside the portal."""
    headers = {
        "Content-Disposition": f'attachment; filename="{described.id}"', "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "sandbox; default-src 'none'",
    }  # fmt: skip
    return Response(content, media_type=described.type, headers=headers)


def add_procedure_routes(router: APIRouter, service: AuthorizationService, actor: ActorDependency) -> None:
    """Add the routes `/announcements`, `/assessments` and those of evidence, experts and bundles."""
    _add_announcements(router, service, actor)
    _add_evidence(router, service, actor)
    _add_assessments(router, service, actor)


def _add_announcements(router: APIRouter, service: AuthorizationService, actor: ActorDependency) -> None:
    @router.get("/announcements")
    def list_announcements(who: Actor = Depends(actor)) -> tuple[Announcement, ...]:
        return service.list_announcements(who)

    @router.post("/announcements", status_code=201)
    def draft_announcement(body: AnnouncementDraft, who: Actor = Depends(actor)) -> Announcement:
        return service.draft_announcement(who, body)

    @router.get("/announcements/{announcement_id}")
    def get_announcement(announcement_id: str, who: Actor = Depends(actor)) -> Announcement:
        return service.get_announcement(who, announcement_id)

    @router.post("/announcements/{announcement_id}/{verb}")
    def move_announcement(
        announcement_id: str, verb: AnnouncementVerb, body: Reasoned, who: Actor = Depends(actor)
    ) -> Announcement:
        verbs = {
            AnnouncementVerb.AGREE: service.agree_announcement,
            AnnouncementVerb.PUBLISH: service.publish_announcement,
            AnnouncementVerb.CLOSE: service.close_announcement,
            AnnouncementVerb.CANCEL: service.cancel_announcement,
        }
        return verbs[verb](who, announcement_id, body.reason)


def _add_evidence(router: APIRouter, service: AuthorizationService, actor: ActorDependency) -> None:
    one = "/authorizations/{authorization_id}"

    @router.post(f"{one}/evidence", status_code=201)
    def attach_evidence(
        authorization_id: str, kind: EvidenceKind, name: str, upload: Upload = Depends(read_upload),
        who: Actor = Depends(actor),
    ) -> Evidence:  # fmt: skip
        return service.attach_evidence(who, authorization_id, kind, name, upload.content)

    @router.get(f"{one}/evidence/{{evidence_id}}", response_class=Response)
    def read_evidence(authorization_id: str, evidence_id: str, who: Actor = Depends(actor)) -> Response:
        return as_download(*service.read_evidence(who, authorization_id, evidence_id))

    @router.delete(f"{one}/evidence/{{evidence_id}}")
    def remove_evidence(authorization_id: str, evidence_id: str, who: Actor = Depends(actor)) -> Authorization:
        return service.remove_evidence(who, authorization_id, evidence_id)

    @router.get(f"{one}/agreement", response_class=Response)
    def read_agreement(authorization_id: str, who: Actor = Depends(actor)) -> Response:
        headers = {"Content-Disposition": f'attachment; filename="{authorization_id}.agreement.json"'}
        content = service.read_agreement(who, authorization_id)
        return Response(content, media_type="application/json", headers=headers)

    @router.post(f"{one}/experts", status_code=201)
    def appoint_experts(authorization_id: str, body: Panel, who: Actor = Depends(actor)) -> tuple[Assessment, ...]:
        return service.appoint_experts(who, authorization_id, body.experts, body.reason)


def _add_assessments(router: APIRouter, service: AuthorizationService, actor: ActorDependency) -> None:
    @router.get("/assessments")
    def list_assessments(authorization: str | None = None, who: Actor = Depends(actor)) -> tuple[Assessment, ...]:
        return service.list_assessments(who, authorization)

    @router.get("/assessments/{assessment_id}")
    def get_assessment(assessment_id: str, who: Actor = Depends(actor)) -> Assessment:
        return service.get_assessment(who, assessment_id)

    @router.get("/assessments/{assessment_id}/application")
    def read_blind(assessment_id: str, who: Actor = Depends(actor)) -> BlindApplication:
        return service.read_blind(who, assessment_id)

    @router.get("/assessments/{assessment_id}/evidence/{evidence_id}", response_class=Response)
    def read_blind_evidence(assessment_id: str, evidence_id: str, who: Actor = Depends(actor)) -> Response:
        return as_download(*service.read_blind_evidence(who, assessment_id, evidence_id))

    @router.post("/assessments/{assessment_id}/declare")
    def declare(assessment_id: str, who: Actor = Depends(actor)) -> Assessment:
        return service.declare_no_conflict(who, assessment_id)

    @router.post("/assessments/{assessment_id}/score")
    def score(assessment_id: str, body: Scores, who: Actor = Depends(actor)) -> Assessment:
        return service.score(who, assessment_id, body.points, body.comment)

    @router.post("/assessments/{assessment_id}/recuse")
    def recuse(assessment_id: str, body: Reasoned, who: Actor = Depends(actor)) -> Assessment:
        return service.recuse(who, assessment_id, body.reason)

    @router.post("/assessments/{assessment_id}/dismiss")
    def dismiss(assessment_id: str, body: Reasoned, who: Actor = Depends(actor)) -> Assessment:
        return service.dismiss_expert(who, assessment_id, body.reason)
