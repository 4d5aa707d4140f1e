"""The HTTP face of the forms: terms of a product, and traces of leaked copies; every rule is the service's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Body, Depends, File, Form, UploadFile

from products.forms.service import FormService
from products.forms.store import LeakTrace
from shuzha.core.actor import Actor
from shuzha.core.errors import NotFound


def make_router(service: FormService, actor: Callable[..., Actor]) -> APIRouter:
    """Return the routes `/products/{id}/terms` and `/products/{id}/traces`."""
    router = APIRouter(tags=["products"])

    @router.get("/products/{product_id}/terms")
    def get_terms(product_id: str, who: Actor = Depends(actor)) -> dict[str, Any]:
        found = service.get_terms(who, product_id)
        if found is None:
            raise NotFound(f"product {product_id} has no terms")
        return dict(msgspec.json.decode(found.text))

    @router.put("/products/{product_id}/terms")
    def set_terms(
        product_id: str, body: Annotated[dict[str, Any], Body()], who: Actor = Depends(actor)
    ) -> dict[str, Any]:
        return dict(msgspec.json.decode(service.set_terms(who, product_id, msgspec.json.encode(body)).text))

    @router.get("/products/{product_id}/traces")
    def list_traces(product_id: str, who: Actor = Depends(actor)) -> tuple[LeakTrace, ...]:
        return service.list_traces(who, product_id)

    @router.post("/products/{product_id}/traces", status_code=201)
    def trace_copy(
        product_id: str, copy: Annotated[UploadFile, File()], reason: Annotated[str, Form()],
        who: Actor = Depends(actor),
    ) -> LeakTrace:  # fmt: skip
        return service.trace_copy(who, product_id, copy.file.read(MOST_UPLOAD + 1), reason)

    return router


MOST_UPLOAD = 64 * 1024**2
