"""The HTTP face of cases on registrations, and of the register of data resources."""

from __future__ import annotations

from dataclasses import dataclass, field

from fastapi import APIRouter, Depends, Response
from fastapi.responses import JSONResponse

from products.registry import dcat, odps
from products.registry.case_model import Asked, Case, CaseKind
from products.registry.cases import CaseService
from products.registry.dossier import Dossiers
from products.registry.receipts import Check
from products.registry.resource_model import Access, DataResource, Duty, ResourceSheet
from products.registry.resources import ResourceService
from products.registry.routes_registration import ActorDependency, Reason, add_registration
from products.registry.sheet import Addresses, ProductSheet, Sheets
from shuzha.core.actor import Actor


@dataclass(frozen=True, slots=True)
class Filed:
    """The body of a new case: on which registration, what is asked and why."""

    subject: str
    kind: CaseKind
    reason: str
    changes: dict[str, str] = field(default_factory=dict)
    export: str = ""
    file: str = ""


@dataclass(frozen=True, slots=True)
class Completed:
    """The body of a supplement: the reason anew, and other texts of the fields where there are."""

    reason: str
    changes: dict[str, str] | None = None


@dataclass(frozen=True, slots=True)
class ResourceDeposit:
    """The body of a resource's deposit: a published entry, its sheet, and how the resource can be had."""

    entry: str
    sheet: ResourceSheet
    access: Access = Access.AUTHORIZED_OPERATION


def make_case_router(service: CaseService, actor: ActorDependency) -> APIRouter:
    """Return the routes `/cases`."""
    router = APIRouter(tags=["registration"])
    _add_asking(router, service, actor)
    _add_deciding(router, service, actor)
    return router


def make_resource_router(service: ResourceService, actor: ActorDependency) -> APIRouter:
    """Return the routes `/resources`."""
    router = APIRouter(tags=["registration"])

    @router.get("/resources")
    def list_resources(who: Actor = Depends(actor)) -> tuple[DataResource, ...]:
        return service.list_all(who)

    @router.get("/resources/duties")
    def list_duties(who: Actor = Depends(actor)) -> tuple[Duty, ...]:
        return service.list_duties(who)

    @router.post("/resources", status_code=201)
    def deposit(body: ResourceDeposit, who: Actor = Depends(actor)) -> DataResource:
        return service.deposit(who, body.entry, body.sheet, body.access)

    @router.get("/resources/{resource_id}")
    def get_resource(resource_id: str, who: Actor = Depends(actor)) -> DataResource:
        return service.get(who, resource_id)

    @router.get("/resources/{resource_id}/receipt")
    def get_receipt(resource_id: str, who: Actor = Depends(actor)) -> Response:
        return Response(service.read_receipt(who, resource_id), media_type="application/json")

    @router.get("/resources/{resource_id}/description")
    def get_description(resource_id: str, who: Actor = Depends(actor)) -> Response:
        return Response(service.read_description(who, resource_id), media_type="application/json")

    @router.post("/resources/{resource_id}/amend")
    def amend(resource_id: str, body: ResourceSheet, who: Actor = Depends(actor)) -> DataResource:
        return service.amend(who, resource_id, body)

    add_registration(router, "/resources", service, DataResource, actor)
    return router


def _add_asking(router: APIRouter, service: CaseService, actor: ActorDependency) -> None:
    @router.get("/cases")
    def list_cases(subject: str | None = None, who: Actor = Depends(actor)) -> tuple[Case, ...]:
        return service.list(who, subject=subject)

    @router.post("/cases", status_code=201)
    def file_case(body: Filed, who: Actor = Depends(actor)) -> Case:
        asked = Asked(body.kind, body.reason, body.changes, body.export, body.file)
        return service.file(who, body.subject, asked)

    @router.get("/cases/{case_id}")
    def get_case(case_id: str, who: Actor = Depends(actor)) -> Case:
        return service.get(who, case_id)

    @router.post("/cases/{case_id}/complete")
    def complete(case_id: str, body: Completed, who: Actor = Depends(actor)) -> Case:
        return service.complete(who, case_id, body.reason, body.changes)

    @router.post("/cases/{case_id}/respond")
    def respond(case_id: str, body: Reason, who: Actor = Depends(actor)) -> Case:
        return service.respond(who, case_id, body.reason)

    @router.post("/cases/{case_id}/withdraw")
    def withdraw(case_id: str, body: Reason, who: Actor = Depends(actor)) -> Case:
        return service.withdraw(who, case_id, body.reason)


def _add_deciding(router: APIRouter, service: CaseService, actor: ActorDependency) -> None:
    @router.post("/cases/{case_id}/accept")
    def accept(case_id: str, who: Actor = Depends(actor)) -> Case:
        return service.accept(who, case_id)

    @router.post("/cases/{case_id}/supplement")
    def supplement(case_id: str, body: Reason, who: Actor = Depends(actor)) -> Case:
        return service.supplement(who, case_id, body.reason)

    @router.post("/cases/{case_id}/grant")
    def grant(case_id: str, body: Reason, who: Actor = Depends(actor)) -> Case:
        return service.grant(who, case_id, body.reason)

    @router.post("/cases/{case_id}/refuse")
    def refuse(case_id: str, body: Reason, who: Actor = Depends(actor)) -> Case:
        return service.refuse(who, case_id, body.reason)


def make_sheet_router(sheets: Sheets, dossiers: Dossiers, addresses: Addresses, actor: ActorDependency) -> APIRouter:
    """Return the routes of product sheets and dossiers."""
    router = APIRouter(tags=["registration"])

    @router.get("/products/{product_id}/sheet")
    def get_sheet(product_id: str, who: Actor = Depends(actor)) -> ProductSheet:
        return sheets.read(who, product_id)

    @router.get("/products/{product_id}/dcat")
    def get_dcat(product_id: str, who: Actor = Depends(actor)) -> JSONResponse:
        return JSONResponse(dcat.write_product(sheets.read(who, product_id), addresses), media_type=dcat.MEDIA_TYPE)

    @router.get("/products/{product_id}/odps")
    def get_odps(product_id: str, who: Actor = Depends(actor)) -> JSONResponse:
        return JSONResponse(odps.write_product(sheets.read(who, product_id), addresses))

    @router.get("/products/{product_id}/dossier")
    def get_dossier(product_id: str, who: Actor = Depends(actor)) -> Response:
        return Response(
            dossiers.write(who, product_id), media_type="application/zip",
            headers={"Content-Disposition": f'attachment; filename="dossier-{product_id}.zip"'},
        )  # fmt: skip

    @router.get("/products/{product_id}/checks")
    def check_dossier(product_id: str, who: Actor = Depends(actor)) -> tuple[Check, ...]:
        return dossiers.check(who, product_id)

    return router
