"""The documented app: the same endpoints as FastAPI routes with their OpenAPI 3.1, and everything that is not hot.

The two verification routes run the very endpoint that the raw path runs; their schemas are made from the wire types.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any, cast

import msgspec
from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, PlainTextResponse, Response
from starlette.exceptions import HTTPException

from products.serving.contract_forms import WIRE, add_forms
from products.serving.documents import complete
from products.serving.files import FILE_TYPES, Files, Part
from products.serving.forms import Forms
from products.serving.http import make_call
from products.serving.lists import Lists
from products.serving.metrics import Metrics
from products.serving.problems import PROBLEMS, document_of, find_problem, page_of
from products.serving.shapes import ANSWERS
from products.serving.signing import DIRECTORY, Signer
from products.serving.verify import Verification
from products.serving.wire import (
    Answer,
    BatchAnswer,
    BatchRequest,
    Problem,
    Refusal,
    VerifyAnswer,
    VerifyRequest,
    schema_of,
)
from shuzha.core.errors import NotFound, ShuzhaError
from shuzha.ledger.routes import PublicLog, make_log_router

_PROBLEMS = {
    400: "not JSON, or an Idempotency-Key that cannot be kept",
    401: "no key, or one that is not known",
    403: "refused by key, product or grant; `code` says which, such as `authorization_suspended`",
    404: "no such product, file or use",
    409: "the Idempotency-Key was used for another request",
    413: "a body over 64 KiB",
    416: "a part that the file has not",
    422: "fields, claim or subject that do not fit",
    429: "more calls than the key has a second or a day",
    503: "the meter or the records are not available: nothing was answered, trying again is safe",
}
_LIMITED = {
    "RateLimit": {"schema": {"type": "string"}, "description": "what is left, and when it is full again"},
    "RateLimit-Policy": {"schema": {"type": "string"}, "description": "calls a second and uses a day"},
}
_INDEX = {"Shuzha-Log-Index": {"schema": {"type": "integer"}, "description": "the use's place in the usage log"}}
_IDEMPOTENCY = {
    "name": "Idempotency-Key", "in": "header", "required": False, "schema": {"type": "string", "maxLength": 200},
    "description": "a repeat with the same key and request gets the first answer and is charged once",
}  # fmt: skip
_PART = [
    {
        "name": name, "in": "header", "required": False, "schema": {"type": "string", "maxLength": 100},
        "description": about, "example": example,
    }
    for name, about, example in (
        ("Range", "the rest of a download that broke off", "bytes=1048576-"),
        ("If-Range", "the ETag of that download: another file is sent whole", '"9f86d0…"'),
    )
]  # fmt: skip
_FILE_FIELDS = {
    "ETag": {"schema": {"type": "string"}, "description": "the SHA-256 of the buyer's copy, in hex"},
    "Repr-Digest": {"schema": {"type": "string"}, "description": "the same as RFC 9530 writes it"},
    "Shuzha-Marked": {"schema": {"type": "string"}, "description": "?1 where the copy carries the buyer's marks"},
    "Shuzha-Usage-Id": {"schema": {"type": "string"}, "description": "the metered use"},
}
_KEYED: dict[str, Any] = {"security": [{"key": []}]}


def make_documented_app(
    verification: Verification,
    files: Files,
    lists: Lists,
    metrics: Metrics,
    signer: Signer | None = None,
    forms: Forms | None = None,
) -> FastAPI:
    """Return the FastAPI app of the consumer API."""
    app = FastAPI(
        title="Shuzha consumer API", version="1", docs_url=None, redoc_url=None,
        description="Registered public data products. Errors are RFC 9457 problems with a stable `code`.",
    )  # fmt: skip
    _add_products(app, verification, files, metrics)
    # Without one the app is made for its document alone, and nothing is ever asked of it.
    add_forms(app, cast(Forms, forms), _docs, partial(_timed, metrics), _INDEX)
    _add_lists(app, lists)
    app.include_router(
        make_log_router(PublicLog(getattr(lists, "log_folder", Path())), "/v1/ledger", _docs, checkpoint=False)
    )
    _add_health(app, lists, metrics)
    _add_meta(app, signer)
    _add_problems(app)
    app.openapi = lambda: _document(app)  # type: ignore[method-assign]
    return app


def _add_products(app: FastAPI, verification: Verification, files: Files, metrics: Metrics) -> None:
    verify_docs = _docs(VerifyRequest, VerifyAnswer, 400, 401, 403, 404, 409, 413, 422, 429, 503, headers=_INDEX)
    batch_docs = _docs(BatchRequest, BatchAnswer, 400, 401, 403, 404, 409, 413, 422, 429, 503)

    @app.post("/v1/products/{code}/verify", openapi_extra=verify_docs, tags=["use"])
    async def verify(code: str, request: Request) -> Response:
        """Ask one question about one subject: match, or no match, for a mismatch and an unknown subject alike."""
        return await _timed(metrics, "verify", verification.verify, request, code)

    @app.post("/v1/products/{code}/verify:batch", openapi_extra=batch_docs, tags=["use"])
    async def verify_batch(code: str, request: Request) -> Response:
        """Ask up to 100 questions; each is metered, and one that does not fit refuses them all."""
        return await _timed(metrics, "verify_batch", verification.verify_batch, request, code)

    files_docs = _docs(None, None, 400, 401, 403, 404, 409, 416, 422, 429, 503) | _KEYED
    files_docs["parameters"] = [_IDEMPOTENCY, *_PART]
    files_docs["responses"] |= _file_answers()

    @app.get("/v1/products/{code}/files/{name}", openapi_extra=files_docs, tags=["use"])
    async def fetch(code: str, name: str, request: Request, purpose: Annotated[str, Query(max_length=64)]) -> Response:
        """Fetch the file of a component or report, with the buyer's marks; each download is metered once.

        To resume one, repeat its `Idempotency-Key` and ask for the rest with `Range`.
        """
        call = make_call(request.scope, dict(request.scope["headers"]), code, b"")
        part = Part(request.headers.get("range", ""), request.headers.get("if-range", ""))
        started = time.perf_counter()
        response = _response(await files.fetch(call, name, purpose, part))
        metrics.count("files", response.status_code, time.perf_counter() - started)
        return response


def _file_answers() -> dict[str, Any]:
    """Return the two answers that carry a file."""
    content = {kind: {"schema": {"type": "string", "contentEncoding": "binary"}} for kind in FILE_TYPES}
    headers = {**_LIMITED, **_INDEX, **_FILE_FIELDS}
    ranged = {"Content-Range": {"schema": {"type": "string"}, "description": "which bytes of how many"}}
    return {
        "200": {"description": "the file", "headers": headers, "content": content},
        "206": {"description": "the asked part of it", "headers": headers | ranged, "content": content},
    }


def _add_lists(app: FastAPI, lists: Lists) -> None:
    @app.get("/v1/products", openapi_extra=_docs(None, None), tags=["products"])
    async def products() -> Response:
        """List the products on the price list, for anyone."""
        return _json({"products": lists.products()})

    @app.get("/v1/products/{code}", openapi_extra=_docs(None, None, 404), tags=["products"])
    async def product(code: str) -> Response:
        """Read a product's sheet: what it answers, from which entry and fields, at what price."""
        return _json(lists.product(code))

    @app.get("/v1/usage", openapi_extra=_docs(None, None, 401, 403, 422, 429, 503) | _KEYED, tags=["account"])
    async def usage(
        request: Request,
        period: Annotated[str, Query(max_length=7, description="YYYY-MM; this month where left out")] = "",
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
        before: Annotated[int | None, Query(ge=0, description="log index of the last use of the page before")] = None,
    ) -> Response:
        """List the organisation's metered uses of a month with their sums, newest first."""
        return _json(lists.usage(_call(request), period, limit, before))

    @app.get("/v1/ledger/checkpoint", openapi_extra=_docs(None, None, 404), tags=["ledger"])
    async def checkpoint() -> Response:
        """Read the newest signed checkpoint of the usage log."""
        return PlainTextResponse(lists.checkpoint())

    @app.get(
        "/v1/ledger/proof/{usage_id}",
        openapi_extra=_docs(None, None, 401, 403, 404, 429, 503) | _KEYED,
        tags=["ledger"],
    )
    async def proof(
        usage_id: str,
        request: Request,
        cosigned: Annotated[bool, Query(description="prove it under the newest cosigned checkpoint")] = False,
    ) -> Response:
        """Get the proof that a use of this organisation stands in the log, for `shuzha ledger verify --proof`."""
        return _json(lists.proof(_call(request), usage_id, cosigned=cosigned))


def _add_health(app: FastAPI, lists: Lists, metrics: Metrics) -> None:
    @app.get("/healthz", openapi_extra=_docs(None, None), tags=["health"])
    async def healthz() -> Response:
        """Answer while the process lives."""
        return _json({"status": "ok"})

    @app.get("/readyz", openapi_extra=_docs(None, None, 503), tags=["health"])
    async def readyz() -> Response:
        """Answer 200 when a call could be answered: news are heard, and the meter's socket is there."""
        lists.check_ready()
        return _json({"status": "ready"})

    @app.get("/metrics", openapi_extra=_docs(None, None), tags=["health"])
    async def read_metrics() -> Response:
        """Read this process's counters as Prometheus text."""
        return PlainTextResponse(metrics.text(lists.gauges()), media_type="text/plain; version=0.0.4")


def _add_meta(app: FastAPI, signer: Signer | None) -> None:
    @app.get(DIRECTORY, openapi_extra=_docs(None, None), tags=["meta"])
    async def key_directory() -> Response:
        """Read the public keys that answers are signed by, on request (RFC 9421)."""
        if signer is None:
            raise Refusal(404, "not_found", "this process signs no answers")
        return _response(signer.directory())

    @app.get("/problems", openapi_extra=_docs(None, None), tags=["meta"])
    async def problems(request: Request) -> Response:
        """List every kind of problem that this API answers with; a page where the caller is a browser."""
        if _wants_page(request):
            return HTMLResponse(page_of(PROBLEMS))
        return _json({"problems": [document_of(one) for one in PROBLEMS]})

    @app.get("/problems/{code}", openapi_extra=_docs(None, None, 404), tags=["meta"])
    async def problem(code: str, request: Request) -> Response:
        """Read what one problem means and what helps; its address is the `type` of the problem's answers."""
        found = find_problem(code)
        if found is None:
            raise Refusal(404, "not_found", "no problem has this code", accepted="GET /problems")
        return HTMLResponse(page_of([found])) if _wants_page(request) else _json(document_of(found))


def _wants_page(request: Request) -> bool:
    return "text/html" in request.headers.get("accept", "")


def _add_problems(app: FastAPI) -> None:
    @app.exception_handler(Refusal)
    async def _refused(_request: Request, refusal: Refusal) -> Response:
        return _response(refusal.answer())

    @app.exception_handler(ShuzhaError)
    async def _ours(_request: Request, error: ShuzhaError) -> Response:
        status = 404 if isinstance(error, NotFound) else 503 if error.code == "unavailable" else 422
        refusal = Refusal(status, error.code, error.message, rule=error.rule or "", accepted=error.accepted or "")
        return _response(refusal.answer())

    @app.exception_handler(RequestValidationError)
    async def _malformed(_request: Request, error: RequestValidationError) -> Response:
        places = ", ".join(".".join(map(str, each["loc"])) for each in error.errors())
        return _response(
            Refusal(422, "invalid", f"the request does not fit its form at {places}", rule="http.form").answer()
        )

    @app.exception_handler(HTTPException)
    async def _http(_request: Request, error: HTTPException) -> Response:
        code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "refused")
        return _response(Refusal(error.status_code, code, str(error.detail)).answer())

    @app.exception_handler(Exception)
    async def _unforeseen(_request: Request, _error: Exception) -> Response:
        return _response(Refusal(500, "failure", "the platform failed to answer; the call was not charged").answer())


async def _timed(
    metrics: Metrics, name: str, endpoint: Callable[[Any], Awaitable[Answer]], request: Request, code: str
) -> Response:
    started = time.perf_counter()
    call = make_call(request.scope, dict(request.scope["headers"]), code, await request.body())
    try:
        answer = await endpoint(call)
    except Refusal as refusal:
        answer = refusal.answer()
    metrics.count(name, answer.status, time.perf_counter() - started)
    return _response(answer)


def _call(request: Request) -> Any:
    return make_call(request.scope, dict(request.scope["headers"]), "", b"")


def _response(answer: Answer) -> Response:
    response = Response(answer.body, answer.status)
    for name, value in answer.headers:
        response.headers[name.decode()] = value.decode()
    return response


def _json(body: Any) -> Response:
    return Response(msgspec.json.encode(body), media_type="application/json")


def _docs(body: Any, answer: Any, *problems: int, headers: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return what FastAPI cannot infer: the wire types as schemas, the header fields, and each problem."""
    responses: dict[str, Any] = {
        str(status): {
            "description": _PROBLEMS[status],
            "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status in problems
    }
    extra: dict[str, Any] = {"responses": responses}
    if body is not None:
        extra["requestBody"] = {"required": True, "content": {"application/json": {"schema": _reference(body)}}}
        extra["parameters"] = [_IDEMPOTENCY]
        extra |= _KEYED
        responses["200"] = {
            "description": "the answer",
            "headers": {**_LIMITED, **(headers or {})},
            "content": {"application/json": {"schema": _reference(answer)}},
        }
    return extra


def _reference(kind: Any) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{kind.__name__}"}


def _document(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        document = FastAPI.openapi(app)
        components = document.setdefault("components", {})
        schemas = components.setdefault("schemas", {})
        wire = (VerifyRequest, VerifyAnswer, BatchRequest, BatchAnswer, Problem, *WIRE, *ANSWERS.values())
        schemas.update(schema_of(*wire))
        components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        for path in document["paths"].values():
            for operation in path.values():
                _mend_422(operation)
        complete(document)
    assert app.openapi_schema is not None
    return app.openapi_schema


def _mend_422(operation: dict[str, Any]) -> None:
    """FastAPI documents its own validation error; ours are problems."""
    response = operation.get("responses", {}).get("422")
    if response is None:
        return
    if "application/json" in response.get("content", {}):
        operation["responses"]["422"] = {
            "description": _PROBLEMS[422],
            "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
