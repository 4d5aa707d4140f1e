"""Staff over HTTP: who a person is, what he was trained in. Every rule is the service's."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass

from fastapi import APIRouter, Depends

from shuzha.core.actor import Actor
from shuzha.people.staff import Training
from shuzha.people.staff_service import Staff

ActorDependency = Callable[..., Actor]
_STRICT = {"extra": "forbid"}


@dataclass(frozen=True, slots=True)
class IdentityForm:
    """The name and number on the identity document that was shown; the number is hashed and not kept."""

    __pydantic_config__ = _STRICT
    name: str
    number: str


@dataclass(frozen=True, slots=True)
class IdentityView:
    """That an account stands for a checked person, since when, and who checked."""

    account: str
    filed_by: str
    filed_at: dt.datetime


@dataclass(frozen=True, slots=True)
class TrainingForm:
    """What somebody was trained in, on which day, and the SHA-256 of the proof."""

    __pydantic_config__ = _STRICT
    account: str
    course: str
    proof_sha256: str
    completed_on: dt.date


@dataclass(frozen=True, slots=True)
class TrainingDecision:
    """Why a training is confirmed, refused or revoked."""

    __pydantic_config__ = _STRICT
    reason: str


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether the caller may enter a workspace as far as his person goes, and what is missing where not."""

    ready: bool
    missing: str


def make_router(staff: Staff, actor: ActorDependency) -> APIRouter:
    """Return the routes of identities and trainings."""
    router = APIRouter(tags=["people"])

    @router.post("/accounts/{account_id}/identity", status_code=201)
    def identify(account_id: str, body: IdentityForm, who: Actor = Depends(actor)) -> IdentityView:
        made = staff.identify(who, account_id, body.name, body.number)
        return IdentityView(made.account, made.filed_by, made.filed_at)

    @router.get("/me/readiness")
    def readiness(who: Actor = Depends(actor)) -> Readiness:
        missing = staff.find_hindrance(who)
        return Readiness(not missing, missing)

    @router.get("/trainings")
    def list_trainings(account: str | None = None, who: Actor = Depends(actor)) -> tuple[Training, ...]:
        return staff.list_trainings(who, account=account)

    @router.post("/trainings", status_code=201)
    def record_training(body: TrainingForm, who: Actor = Depends(actor)) -> Training:
        return staff.record_training(who, body.account, body.course, body.proof_sha256, body.completed_on)

    @router.get("/trainings/{training_id}")
    def get_training(training_id: str, who: Actor = Depends(actor)) -> Training:
        return staff.get_training(who, training_id)

    @router.post("/trainings/{training_id}/confirm")
    def confirm_training(training_id: str, body: TrainingDecision, who: Actor = Depends(actor)) -> Training:
        return staff.confirm_training(who, training_id, body.reason)

    @router.post("/trainings/{training_id}/refuse")
    def refuse_training(training_id: str, body: TrainingDecision, who: Actor = Depends(actor)) -> Training:
        return staff.refuse_training(who, training_id, body.reason)

    @router.post("/trainings/{training_id}/revoke")
    def revoke_training(training_id: str, body: TrainingDecision, who: Actor = Depends(actor)) -> Training:
        return staff.revoke_training(who, training_id, body.reason)

    return router
