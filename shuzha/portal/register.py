"""The register in public: notices that anybody may object to, registered products with their sheets, data resources."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from fastapi.responses import JSONResponse, Response

from products.registry import dcat, odps
from products.registry.registers import noun_of
from products.registry.registration import PUBLIC, Objector, Registration, check_notice_open
from shuzha.core.clock import city_date
from shuzha.core.errors import Invalid, NotFound
from shuzha.people.web import check_same_origin
from shuzha.portal.desk import Desk, Show
from shuzha.portal.registering import LIFECYCLES
from shuzha.portal.registering_words import LABELS
from shuzha.portal.services import Services

Text = Annotated[str, Form()]
NOTICED = frozenset({Registration.PUBLIC_NOTICE, Registration.HELD})


class RegisterPages:
    """The pages of the register for everybody."""

    def __init__(self, desk: Desk, services: Services) -> None:
        self._desk = desk
        self._services = services
        self._book = services.registers

    def router(self) -> APIRouter:
        """Return the routes of these pages."""
        router = APIRouter()
        router.add_api_route("/public/products", self.show_products, methods=["GET"])
        router.add_api_route("/public/products.jsonld", self.catalog, methods=["GET"])
        router.add_api_route("/public/products/{code}", self.show_product, methods=["GET"])
        router.add_api_route("/public/products/{code}/sheet.json", self.sheet, methods=["GET"])
        router.add_api_route("/public/products/{code}/dcat.jsonld", self.dcat, methods=["GET"])
        router.add_api_route("/public/products/{code}/odps.json", self.odps, methods=["GET"])
        router.add_api_route("/public/notices/{record_id}", self.show_notice, methods=["GET"])
        router.add_api_route("/public/notices/{record_id}", self.object_to, methods=["POST"])
        return router

    def show_products(self, request: Request) -> Response:
        """Show every registered product and data resource."""
        return self._desk.page(
            request, "public_products.html", sheets=self._services.sheets.list_public(),
            resources=self._services.disclosure.list_resources(),
        )  # fmt: skip

    def show_product(self, request: Request, code: str) -> Response:
        """Show the sheet of one product."""
        sheet = self._services.sheets.read_public(code)
        return self._desk.page(
            request, "public_product.html", sheet=sheet, labels=LABELS,
            history=self._services.cases.list_public(sheet.id), noticed=True,
        )  # fmt: skip

    def sheet(self, code: str) -> Response:
        """Give out the sheet as JSON."""
        return Response(self._services.sheets.encode_public(code), media_type="application/json")

    def dcat(self, code: str) -> Response:
        """Give out the sheet as DCAT 3."""
        sheet = self._services.sheets.read_public(code)
        return JSONResponse(dcat.write_product(sheet, self._services.addresses), media_type=dcat.MEDIA_TYPE)

    def odps(self, code: str) -> Response:
        """Give out the sheet as ODPS 4.0."""
        return JSONResponse(odps.write_product(self._services.sheets.read_public(code), self._services.addresses))

    def catalog(self) -> Response:
        """Give out every registered product as a DCAT catalogue."""
        sheets = self._services.sheets.list_public()
        document = dcat.write_catalog(sheets, self._services.addresses, "公共数据登记", "Register of public data")
        return JSONResponse(document, media_type=dcat.MEDIA_TYPE)

    def show_notice(self, request: Request, record_id: str, receipt: str = "") -> Response:
        """Show a public notice, its objections with their answers, and the form of another one."""
        return self._notice(request, record_id, receipt=receipt)

    def object_to(
        self, request: Request, record_id: str, text: Text = "", name: Text = "", contact: Text = ""
    ) -> Response:
        """Object: as oneself where one is signed in and may, else by name and contact."""
        book = self._book
        actor = getattr(request.state, "actor", None)
        if actor is None:
            check_same_origin(request)

        def verb() -> str:
            if actor is None or not self._may(request, record_id):
                return book.object_publicly(record_id, Objector(name.strip(), contact.strip()), text).id
            book.object_to(actor, record_id, text)
            return next(one.id for one in reversed(book.list_objections(actor, record_id)) if one.objector.account)

        def back(receipt: str) -> str:
            return f"/public/notices/{record_id}?receipt={receipt}"

        show: Show = lambda errors, status: self._notice(request, record_id, errors, status)  # noqa: E731
        return self._desk.attempt(request, verb, back, show, "object")

    def _notice(
        self, request: Request, record_id: str, errors: Sequence[str] = (), status: int = 200, receipt: str = ""
    ) -> Response:
        book = self._book
        found: Any = book.find(record_id)
        if found.registration not in PUBLIC or not found.notice_text:
            raise NotFound("no public notice has this id")
        objections = book.list_public_objections(record_id)
        return self._desk.page(
            request, "public_notice.html", status, errors=errors, found=found, open=self._is_open(found),
            objections=objections, product=record_id.startswith("prd_"), own=self._may(request, record_id),
            receipt=receipt if receipt in {one.id for one in objections} else "",
        )  # fmt: skip

    def _is_open(self, found: Any) -> bool:
        if found.registration not in NOTICED:
            return False
        try:
            check_notice_open(found, city_date(self._desk.clock.now()))
        except Invalid:
            return False
        return True

    def _may(self, request: Request, record_id: str) -> bool:
        actor = getattr(request.state, "actor", None)
        if actor is None:
            return False
        permission = LIFECYCLES[noun_of(record_id)].permission("object")
        return self._desk.can(actor, permission, self._book.seen_as(self._book.find(record_id)))
