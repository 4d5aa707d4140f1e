"""A product's form: its terms before registration, and leaked copies traced to their buyers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

from fastapi import APIRouter, File, Form, Request, UploadFile
from fastapi.responses import Response

from products.forms.service import OPEN
from products.registry.codes import ProductKind
from products.registry.service import product_resource
from shuzha.portal.desk import Desk, Show, actor_of
from shuzha.portal.services import Services

WITH_TERMS: Final = (ProductKind.COMPONENT, ProductKind.REPORT, ProductKind.MODEL)
MOST_COPY: Final = 64 * 1024**2


class ProductFormPages:
    """The page of a product's form."""

    def __init__(self, desk: Desk, services: Services) -> None:
        self._desk = desk
        self._forms = services.forms
        self._registry = services.registry

    def router(self) -> APIRouter:
        """Return the routes of these pages."""
        router = APIRouter()
        router.add_api_route("/products/{product_id}/form", self.show, methods=["GET"])
        router.add_api_route("/products/{product_id}/terms", self.set_terms, methods=["POST"])
        router.add_api_route("/products/{product_id}/traces", self.trace, methods=["POST"])
        return router

    def show(self, request: Request, product_id: str) -> Response:
        """Show a product's terms and the traces of its leaked copies."""
        return self._show(request, product_id)

    def set_terms(self, request: Request, product_id: str, terms: Annotated[str, Form()]) -> Response:
        """Set a product's terms."""
        actor = actor_of(request)
        return self._desk.attempt(
            request, lambda: self._forms.set_terms(actor, product_id, terms), f"/products/{product_id}/form",
            self._again(request, product_id), "terms",
        )  # fmt: skip

    def trace(self, request: Request, product_id: str, copy: Annotated[UploadFile, File()], reason: str) -> Response:
        """Trace a leaked copy; the form's address has the reason, so that the file alone is its body."""
        actor = actor_of(request)
        return self._desk.attempt(
            request, lambda: self._forms.trace_copy(actor, product_id, copy.file.read(MOST_COPY + 1), reason),
            f"/products/{product_id}/form", self._again(request, product_id), "trace",
        )  # fmt: skip

    def _again(self, request: Request, product_id: str) -> Show:
        return lambda errors, status: self._show(request, product_id, errors, status)

    def _show(self, request: Request, product_id: str, errors: Sequence[str] = (), status: int = 200) -> Response:
        actor = actor_of(request)
        product = self._registry.get_product(actor, product_id)
        terms, resource = self._forms.get_terms(actor, product_id), product_resource(product)
        may_trace = self._desk.can(actor, "product:trace", resource)
        return self._desk.page(
            request, "product_form.html", status, errors=errors, product=product, terms=terms,
            may_set=product.registration in OPEN and product.kind in WITH_TERMS
            and self._desk.can(actor, "product:terms", resource),
            traces=self._forms.list_traces(actor, product_id) if may_trace else (),
            may_trace=may_trace and terms is not None and '"form": "file"' in terms.text, sees_traces=may_trace,
            path_reason=request.query_params.get("reason", "")[:1000],
        )  # fmt: skip
