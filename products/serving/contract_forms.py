"""The routes of models and data services in the documented app, with their shapes and examples."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from fastapi.responses import Response

from products.serving.forms import (
    Forms,
    PredictAnswer,
    PredictAnswers,
    PredictBatch,
    PredictRequest,
    QueryAnswer,
)
from products.serving.gate import Call
from products.serving.wire import Answer

WIRE = (PredictRequest, PredictBatch, PredictAnswer, PredictAnswers, QueryAnswer)
_PROBLEMS = (400, 401, 403, 404, 409, 413, 422, 429, 503)

Endpoint = Callable[[Call], Awaitable[Answer]]
Docs = Callable[..., dict[str, Any]]
Run = Callable[[str, Endpoint, Request, str], Awaitable[Response]]

_USAGE_ID = "usg_01k5m3qzv7t2c9x4b8w6r0n1ya"
_INPUTS = {"age": 41, "district": "370102", "employed": True}
FORM_EXAMPLES: dict[str, dict[str, Any]] = {
    "POST /v1/products/{code}/predict": {
        "request": {"inputs": _INPUTS, "purpose": "loan-review"},
        "answer": {"output": {"class": "low", "chance": "0.7-0.9"}, "usage_id": _USAGE_ID},
    },
    "POST /v1/products/{code}/predict:batch": {
        "request": {"items": [_INPUTS], "purpose": "loan-review"},
        "answer": {"answers": [{"output": {"value": 12.5}, "usage_id": _USAGE_ID}], "log_indexes": [4711]},
    },
    "GET /v1/products/{code}/query": {
        "answer": {
            "result": {
                "withheld": False, "data_version": 7, "columns": ["kind", "count"],
                "cells": [["pension", 4210], ["medical", None]],
            },
            "usage_id": _USAGE_ID,
        },
    },
}  # fmt: skip


def add_forms(app: FastAPI, forms: Forms, docs: Docs, run: Run, fields: dict[str, Any]) -> None:
    """Add the routes; `docs` and `run` are those of the other calls, `fields` the header fields of an answer."""
    predict_docs = docs(PredictRequest, PredictAnswer, *_PROBLEMS, headers=fields)
    batch_docs = docs(PredictBatch, PredictAnswers, *_PROBLEMS)
    query_docs = docs(PredictRequest, QueryAnswer, *_PROBLEMS, headers=fields)
    del query_docs["requestBody"]

    @app.post("/v1/products/{code}/predict", openapi_extra=predict_docs, tags=["use"])
    async def predict(code: str, request: Request) -> Response:
        """Ask a model for one input: its fields and what each may be are on the product's sheet."""
        return await run("predict", forms.predict, request, code)

    @app.post("/v1/products/{code}/predict:batch", openapi_extra=batch_docs, tags=["use"])
    async def predict_batch(code: str, request: Request) -> Response:
        """Ask a model for up to 100 inputs; each is metered, and one that does not fit refuses them all."""
        return await run("predict_batch", forms.predict_batch, request, code)

    @app.get("/v1/products/{code}/query", openapi_extra=query_docs, tags=["use"])
    async def query(code: str, request: Request, purpose: Annotated[str, Query(max_length=64)]) -> Response:
        """Ask a data service; its parameters are on the product's sheet, each one a field of the query.

        A `withheld` answer is metered and not charged: too few are behind it, or it would tell them from others.
        """
        parameters = [(name, value) for name, value in request.query_params.multi_items() if name != "purpose"]

        async def ask(call: Call) -> Answer:
            return await forms.query(call, purpose, parameters)

        return await run("query", ask, request, code)
