"""The platform API's OpenAPI 3.1 document, whole: who may call, and every problem that any operation answers with."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI

PREFIX = "/api/"
PROBLEM = "application/problem+json"
_TRACE = "trc_01k5m3qzv7t2c9x4b8w6r0n1ya"
PROBLEMS: dict[int, tuple[str, str, str]] = {
    400: ("bad_request", "a request that cannot be read", "There was an error parsing the body"),
    401: ("not_signed_in", "nobody is signed in", "nobody is signed in"),
    403: ("not_allowed", "the policy layer refuses; `rule` names the line", "`entry:publish` is refused"),
    404: ("not_found", "no such thing, or not for the person", "no entries with id ent_01k"),
    409: ("transition_not_allowed", "the state does not allow it, or somebody was faster", "cannot publish entry"),
    413: ("body_too_large", "a body over the cap of its route; the connection is closed", "the body is too large"),
    422: ("invalid", "the input breaks a rule; nothing was changed", "the request does not fit its form: body.name"),
    429: ("too_many_attempts", "too many guesses of a password", "too many attempts"),
    500: ("failure", "a fault of the platform", "the platform failed to answer; nothing is known to have changed"),
    503: ("unavailable", "a part that is needed cannot answer now; trying again is safe", "the hub does not answer"),
}
"""What any operation may answer beside its own answer: status, then code, meaning and an example's detail."""

SCHEMA: dict[str, Any] = {
    "type": "object", "title": "Problem",
    "description": "An error as RFC 9457 says it: `code` is stable, `detail` is for people, `rule` names what refused.",
    "required": ["type", "title", "status", "detail", "code", "trace"],
    "properties": {
        **{name: {"type": "string"} for name in ("type", "title", "detail", "code", "trace", "rule", "accepted")},
        "status": {"type": "integer"},
        "errors": {
            "type": "array",
            "items": {"type": "object", "properties": {"place": {"type": "string"}, "rule": {"type": "string"}}},
        },
    },
}  # fmt: skip


def describe(app: FastAPI) -> None:
    """Make the app's document say its security and its problems; the routes say the rest."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            found = FastAPI.openapi(app)
            components = found.setdefault("components", {})
            schemas = components.setdefault("schemas", {})
            schemas["Problem"] = SCHEMA
            components["securitySchemes"] = {"session": {"type": "http", "scheme": "bearer"}}
            for unused in ("HTTPValidationError", "ValidationError"):
                schemas.pop(unused, None)
            for path, methods in found["paths"].items():
                for operation in methods.values():
                    _complete(path, operation)
        assert app.openapi_schema is not None
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]


def _complete(path: str, operation: dict[str, Any]) -> None:
    if path.startswith(PREFIX):
        operation.setdefault("security", [{"session": []}])
    for status in PROBLEMS:
        operation["responses"][str(status)] = _response(status)


def _response(status: int) -> dict[str, Any]:
    code, meaning, detail = PROBLEMS[status]
    example = {
        "type": f"/problems/{code}", "title": HTTPStatus(status).phrase, "status": status, "detail": detail,
        "code": code, "trace": _TRACE,
    }  # fmt: skip
    content = {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}, "example": example}}
    return {"description": meaning, "content": content}
