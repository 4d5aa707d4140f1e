"""What makes the OpenAPI document whole: an example of every request, answer and problem, and the fields of headers.

The routes say what they take and give; this adds what FastAPI cannot know, and a test holds that nothing is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from products.serving.contract_forms import FORM_EXAMPLES
from products.serving.problems import problems_of
from products.serving.shapes import ANSWERS, MEDIA

_USAGE_ID = "usg_01k5m3qzv7t2c9x4b8w6r0n1ya"
_CODE = "37I23000000127"
_RATE = {
    "RateLimit": '"second";r=199;t=1, "day";r=99871;t=43200',
    "RateLimit-Policy": '"second";q=200;w=1, "day";q=100000;w=86400',
    "Shuzha-Log-Index": 4711,
    "Shuzha-Usage-Id": _USAGE_ID,
    "Retry-After": "1",
}
_SUBJECT = {"resident_id": "370102198001010014"}
_SHEET: dict[str, Any] = {
    "code": _CODE, "kind": "verification", "state": "in_service",
    "title": {"zh": "社保参保核验", "en": "Insurance check"}, "answers": "Is this person insured?",
    "refresh": "monthly", "price_yuan": "0.0120", "price_hao": 120, "purposes": ["loan-review"],
    "subject": ["resident_id"], "claims": ["insured"],
    "index": {"version": 3, "subjects": 8_120_000, "built_at": "2026-11-02T02:11:09Z"},
}  # fmt: skip

_KIND = {"type": "/problems/key_missing", "code": "key_missing", "status": 401}
_TRACE = "trc_01k5m3qzv7t2c9x4b8w6r0n1ya"

EXAMPLES: dict[str, dict[str, Any]] = {
    "POST /v1/products/{code}/verify": {
        "request": {"subject": _SUBJECT, "claim": "insured", "purpose": "loan-review", "consent": "form-4711"},
        "answer": {"result": "match", "usage_id": _USAGE_ID},
    },
    "POST /v1/products/{code}/verify:batch": {
        "request": {
            "purpose": "loan-review", "items": [{"subject": _SUBJECT, "claim": "insured", "consent": "form-4711"}],
        },
        "answer": {"answers": [{"result": "no_match", "usage_id": _USAGE_ID}], "log_indexes": [4711]},
    },
    "GET /v1/products": {"answer": {"products": [_SHEET]}},
    "GET /v1/products/{code}": {"answer": _SHEET},
    "GET /v1/usage": {
        "answer": {
            "period": "2026-11", "uses": 2, "quantity": 2, "charged_hao": 240, "waived_hao": 0,
            "items": [{
                "log_index": 4711, "usage_id": _USAGE_ID, "kind": "verification", "key_id": "key_01k5…",
                "consumer": "org_01k5…", "product": "prd_01k5…", "claim": "insured", "purpose": "loan-review",
                "price": 120, "waived": False, "quantity": 1, "occurred_at": "2026-11-23T06:30:00Z",
                "day": "2026-11-23",
            }],
        },
    },
    "GET /v1/ledger/proof/{usage_id}": {
        "answer": {"leaf_index": 4711, "tree_size": 90210, "hashes": ["q83v…"], "checkpoint": "shuzha/usage\n90210\n…"},
    },
    "GET /v1/ledger/checkpoint": {"answer": "shuzha/usage\n90210\nq83v…\n\n— shuzha/usage Az3G…\n"},
    "GET /v1/ledger/key": {"answer": "shuzha/usage+2f1c9a3b+AZ8k…\n"},
    "GET /v1/ledger/cosigned": {"answer": "shuzha/usage\n90210\nq83v…\n\n— shuzha/usage Az3G…\n— witness B1x…\n"},
    "GET /v1/ledger/tile/{path}": {"answer": "32 bytes for each hash"},
    "GET /v1/ledger/consistency": {
        "answer": {"first": 4096, "second": 90210, "hashes": ["q83v…"], "checkpoint": "shuzha/usage\n90210\n…"},
    },
    "GET /v1/products/{code}/files/{name}": {"answer": "district,count\n370102,41\n"},
    **FORM_EXAMPLES,
    "GET /healthz": {"answer": {"status": "ok"}},
    "GET /readyz": {"answer": {"status": "ready"}},
    "GET /metrics": {"answer": 'shuzha_calls_total{endpoint="verify",status="200"} 4711\n'},
    "GET /.well-known/http-message-signatures-directory": {
        "answer": {"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "JrQLj5P_89iX…", "kid": "poqkLGiy…", "use": "sig"}]},
    },
    "GET /problems": {"answer": {"problems": [_KIND]}},
    "GET /problems/{code}": {"answer": _KIND},
}  # fmt: skip
"""One call of each operation, by method and path."""

_PROBLEM = "application/problem+json"
_PROBLEM_SCHEMA = {"$ref": "#/components/schemas/Problem"}
_EVERYWHERE = {
    400: "a header field that is refused",
    408: "a body that did not arrive in time",
    413: "a body over 64 KiB",
    500: "a fault of the platform: the call was not charged",
}
"""What any operation may answer, whatever it is for."""
_SIGNED = {
    "name": "Accept-Signature", "in": "header", "required": False, "schema": {"type": "string", "maxLength": 1000},
    "description": "asks for a signed answer (RFC 9421): Content-Digest, Signature-Input and Signature come with it",
    "example": 'sig1=("@status" "content-digest" "@path";req);nonce="b3k2pp5k7z"',
}  # fmt: skip


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each operation of a document by its method and path."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if isinstance(operation, dict) and "responses" in operation:
                yield f"{method.upper()} {path}", operation


def complete(document: dict[str, Any]) -> None:
    """Add shapes, media types, examples, header examples and `Accept-Signature` to every operation of the document."""
    for name, operation in operations(document):
        known = EXAMPLES.get(name, {})
        for media in operation.get("requestBody", {}).get("content", {}).values():
            if "request" in known:
                media.setdefault("example", known["request"])
        operation.setdefault("parameters", []).append(_SIGNED)
        responses = operation["responses"]
        _add_answer_shape(name, responses.setdefault("200", {"description": "the answer"}))
        for status, meaning in _EVERYWHERE.items():
            responses.setdefault(
                str(status), {"description": meaning, "content": {_PROBLEM: {"schema": _PROBLEM_SCHEMA}}}
            )
        for status, response in responses.items():
            for header, field in response.get("headers", {}).items():
                if header in _RATE:
                    field.setdefault("example", _RATE[header])
            _add_answers(int(status), response, known)


def _add_answer_shape(name: str, response: dict[str, Any]) -> None:
    """Give the answer its shape and media types, where the route could not say them."""
    shape, kinds = ANSWERS.get(name), MEDIA.get(name)
    if kinds is None and shape is None:
        return
    found: dict[str, Any] = {}
    for kind in kinds or ("application/json",):
        is_json = kind.endswith("json")
        schema = {"$ref": f"#/components/schemas/{shape.__name__}"} if shape is not None and is_json else {}
        found[kind] = {"schema": schema or ({} if is_json else {"type": "string"})}
    response["content"] = found


def _add_answers(status: int, response: dict[str, Any], known: dict[str, Any]) -> None:
    for kind, media in response.get("content", {}).items():
        if kind == _PROBLEM:
            media.setdefault("examples", problem_examples(status))
        elif kind == "text/html":
            media.setdefault("example", "<!doctype html><title>Problems</title>")
        elif "answer" in known:
            media.setdefault("example", known["answer"])


def problem_examples(status: int) -> dict[str, Any]:
    """Return one example of each problem of a status, by its code."""
    return {
        one.code.replace("*", "suspended"): {
            "summary": one.means,
            "value": {
                "type": one.uri.replace("*", "suspended"), "title": HTTPStatus(status).phrase, "status": status,
                "detail": one.detail, "code": one.code.replace("*", "suspended"), "trace": _TRACE,
            },
        }
        for one in problems_of(status)
    }  # fmt: skip
