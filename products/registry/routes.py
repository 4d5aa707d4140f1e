"""The HTTP face of the register; every rule is the service's."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import APIRouter, Depends, Response

from products.registry.codes import ProductKind
from products.registry.model import Product, Sheet
from products.registry.routes_registration import ActorDependency, Reason, add_registration
from products.registry.service import RegistryService, encode_evidence
from shuzha.core.actor import Actor
from shuzha.core.money import Price


@dataclass(frozen=True, slots=True)
class Deposit:
    """The body of a deposit: a released file, the form of the product and its sheet."""

    export: str
    file: str
    kind: ProductKind
    sheet: Sheet


@dataclass(frozen=True, slots=True)
class Listing:
    """A price in 毫 (1/10,000 yuan) a use, and the purposes for which it is waived (计价免费)."""

    price_hao: int
    waived_purposes: tuple[str, ...] = ()


def make_router(service: RegistryService, actor: ActorDependency) -> APIRouter:
    """Return the routes `/products`, and the key that verifies receipts."""
    router = APIRouter(tags=["products"])
    _add_reading(router, service, actor)
    _add_application(router, service, actor)
    add_registration(router, "/products", service, Product, actor)
    _add_service(router, service, actor)
    return router


def _add_reading(router: APIRouter, service: RegistryService, actor: ActorDependency) -> None:
    @router.get("/products")
    def list_products(who: Actor = Depends(actor)) -> tuple[Product, ...]:
        return service.list_products(who)

    @router.get("/products/{product_id}")
    def get_product(product_id: str, who: Actor = Depends(actor)) -> Product:
        return service.get_product(who, product_id)

    @router.get("/products/{product_id}/evidence")
    def get_evidence(product_id: str, who: Actor = Depends(actor)) -> Response:
        return Response(encode_evidence(service.get_product(who, product_id)), media_type="application/json")

    @router.get("/products/{product_id}/receipt")
    def get_receipt(product_id: str, who: Actor = Depends(actor)) -> Response:
        return Response(service.read_receipt(who, product_id), media_type="application/json")

    @router.get("/registry/public-key")
    def get_public_key() -> dict[str, str]:
        return {"algorithm": "Ed25519", "key": service.public_key()}


def _add_application(router: APIRouter, service: RegistryService, actor: ActorDependency) -> None:
    @router.post("/products", status_code=201)
    def deposit(body: Deposit, who: Actor = Depends(actor)) -> Product:
        return service.deposit(who, body.export, body.file, body.kind, body.sheet)

    @router.post("/products/{product_id}/amend")
    def amend(product_id: str, body: Sheet, who: Actor = Depends(actor)) -> Product:
        return service.amend(who, product_id, body)


def _add_service(router: APIRouter, service: RegistryService, actor: ActorDependency) -> None:
    @router.post("/products/{product_id}/list")
    def list_product(product_id: str, body: Listing, who: Actor = Depends(actor)) -> Product:
        return service.list_product(who, product_id, Price(body.price_hao), body.waived_purposes)

    @router.post("/products/{product_id}/price")
    def set_price(product_id: str, body: Listing, who: Actor = Depends(actor)) -> Product:
        return service.set_price(who, product_id, Price(body.price_hao), body.waived_purposes)

    @router.post("/products/{product_id}/start")
    def start(product_id: str, who: Actor = Depends(actor)) -> Product:
        return service.start(who, product_id)

    @router.post("/products/{product_id}/suspend")
    def suspend(product_id: str, body: Reason, who: Actor = Depends(actor)) -> Product:
        return service.suspend(who, product_id, body.reason)

    @router.post("/products/{product_id}/restore")
    def restore(product_id: str, body: Reason, who: Actor = Depends(actor)) -> Product:
        return service.restore(who, product_id, body.reason)

    @router.post("/products/{product_id}/delist")
    def delist(product_id: str, body: Reason, who: Actor = Depends(actor)) -> Product:
        return service.delist(who, product_id, body.reason)
