"""The HTTP face of authorizations, demands and grants; every rule is the service's."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from fastapi import APIRouter, Depends

from shuzha.authorization import document
from shuzha.authorization.agreement import Agreement, Clause
from shuzha.authorization.model import Application, Authorization, Demand, DemandDraft, Grant
from shuzha.authorization.qualification import Check
from shuzha.authorization.routes_procedure import add_procedure_routes
from shuzha.authorization.service import AuthorizationService
from shuzha.core.actor import Actor

ActorDependency = Callable[..., Actor]


@dataclass(frozen=True, slots=True)
class Decision:
    """The body of a verb that asks for nothing but a reason."""

    reason: str


@dataclass(frozen=True, slots=True)
class Qualification:
    """The looked-up facts of J23 art. 9, and the reason."""

    checks: tuple[Check, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Approval:
    """The government's number and day, the reason, and the final agreement where it differs from the proposal."""

    number: str
    reason: str
    agreement: Agreement | None = None
    approved_on: dt.date | None = None


@dataclass(frozen=True, slots=True)
class SignedDocument:
    """The document of an authorization: its clauses, its hash, and whose signatures hold."""

    authorization: str
    sha256: str
    clauses: tuple[Clause, ...]
    signed_by: tuple[str, ...]


def make_router(service: AuthorizationService, actor: ActorDependency) -> APIRouter:
    """Return the routes `/announcements`, `/authorizations`, `/assessments`, `/demands` and `/grants`."""
    router = APIRouter(tags=["authorization"])
    _add_authorizations(router, service, actor)
    _add_procedure(router, service, actor)
    add_procedure_routes(router, service, actor)
    _add_demands(router, service, actor)
    _add_grants(router, service, actor)
    return router


def _add_authorizations(router: APIRouter, service: AuthorizationService, actor: ActorDependency) -> None:
    @router.get("/authorizations")
    def list_authorizations(who: Actor = Depends(actor)) -> tuple[Authorization, ...]:
        return service.list_authorizations(who)

    @router.post("/authorizations", status_code=201)
    def apply(body: Application, who: Actor = Depends(actor)) -> Authorization:
        return service.apply(who, body)

    @router.get("/authorizations/{authorization_id}")
    def get_authorization(authorization_id: str, who: Actor = Depends(actor)) -> Authorization:
        return service.get_authorization(who, authorization_id)

    @router.get("/authorizations/{authorization_id}/document")
    def get_document(authorization_id: str, who: Actor = Depends(actor)) -> SignedDocument:
        found = service.get_authorization(who, authorization_id)
        signers = tuple(one.organisation for one in found.signatures if service.is_signed(found, one))
        return SignedDocument(found.id, document.document_hash(found), found.agreement.clauses(), signers)


def _add_procedure(router: APIRouter, service: AuthorizationService, actor: ActorDependency) -> None:
    @router.post("/authorizations/{authorization_id}/qualify")
    def qualify(authorization_id: str, body: Qualification, who: Actor = Depends(actor)) -> Authorization:
        return service.qualify(who, authorization_id, body.checks, body.reason)

    @router.post("/authorizations/{authorization_id}/approve")
    def approve(authorization_id: str, body: Approval, who: Actor = Depends(actor)) -> Authorization:
        return service.approve(who, authorization_id, body.number, body.reason, body.agreement, body.approved_on)

    plain = (
        service.review, service.publicize, service.sign, service.countersign, service.suspend, service.restore,
        service.reject, service.terminate, service.withdraw,
    )  # fmt: skip
    for verb in plain:
        path = f"/authorizations/{{authorization_id}}/{verb.__name__}"
        router.post(path, name=verb.__name__)(_decide(verb, actor))


def _decide(verb: Callable[[Actor, str, str], Authorization], actor: ActorDependency) -> Callable[..., Authorization]:
    def decide(authorization_id: str, body: Decision, who: Actor = Depends(actor)) -> Authorization:
        return verb(who, authorization_id, body.reason)

    return decide


def _add_demands(router: APIRouter, service: AuthorizationService, actor: ActorDependency) -> None:
    @router.get("/demands")
    def list_demands(authorization: str | None = None, who: Actor = Depends(actor)) -> tuple[Demand, ...]:
        return service.list_demands(who, authorization)

    @router.post("/demands", status_code=201)
    def draft_demand(body: DemandDraft, who: Actor = Depends(actor)) -> Demand:
        return service.draft_demand(who, body)

    @router.get("/demands/{demand_id}")
    def get_demand(demand_id: str, who: Actor = Depends(actor)) -> Demand:
        return service.get_demand(who, demand_id)

    @router.put("/demands/{demand_id}")
    def change_demand(demand_id: str, body: DemandDraft, who: Actor = Depends(actor)) -> Demand:
        return service.change_demand(who, demand_id, body)

    @router.post("/demands/{demand_id}/submit")
    def submit_demand(demand_id: str, who: Actor = Depends(actor)) -> Demand:
        return service.submit_demand(who, demand_id)

    @router.post("/demands/{demand_id}/grant", status_code=201)
    def grant_demand(demand_id: str, body: Decision, who: Actor = Depends(actor)) -> Grant:
        return service.grant_demand(who, demand_id, body.reason)

    @router.post("/demands/{demand_id}/{verb}")
    def decide_demand(demand_id: str, verb: DemandVerb, body: Decision, who: Actor = Depends(actor)) -> Demand:
        verbs = {
            DemandVerb.CHECK: service.check_demand,
            DemandVerb.RETURN: service.return_demand,
            DemandVerb.REFUSE: service.refuse_demand,
            DemandVerb.CLOSE: service.close_demand,
        }
        return verbs[verb](who, demand_id, body.reason)


class DemandVerb(StrEnum):
    """The verbs on a demand that take a reason and give the demand back."""

    CHECK = "check"
    RETURN = "return"
    REFUSE = "refuse"
    CLOSE = "close"


def _add_grants(router: APIRouter, service: AuthorizationService, actor: ActorDependency) -> None:
    @router.get("/grants")
    def list_grants(authorization: str | None = None, who: Actor = Depends(actor)) -> tuple[Grant, ...]:
        return service.list_grants(who, authorization)

    @router.get("/grants/{grant_id}")
    def get_grant(grant_id: str, who: Actor = Depends(actor)) -> Grant:
        return service.get_grant(who, grant_id)

    @router.post("/grants/{grant_id}/suspend")
    def suspend_grant(grant_id: str, body: Decision, who: Actor = Depends(actor)) -> Grant:
        return service.suspend_grant(who, grant_id, body.reason)

    @router.post("/grants/{grant_id}/restore")
    def restore_grant(grant_id: str, body: Decision, who: Actor = Depends(actor)) -> Grant:
        return service.restore_grant(who, grant_id, body.reason)
