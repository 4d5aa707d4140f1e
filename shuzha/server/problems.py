"""The one map from the house's errors to HTTP: RFC 9457 problem+json with a stable `code`, the `rule` and a `trace`.

No problem echoes what the caller sent: a validation problem names the place and the rule, never the value.
"""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from shuzha.core.errors import Conflict, Invalid, NotAllowed, NotFound, ShuzhaError, TransitionNotAllowed, Unavailable
from shuzha.core.ids import new_id

log = logging.getLogger(__name__)

STATUS: dict[type[ShuzhaError], int] = {
    NotFound: 404,
    NotAllowed: 403,
    TransitionNotAllowed: 409,
    Conflict: 409,
    Invalid: 422,
    Unavailable: 503,
}
_BY_CODE = {"not_signed_in": 401, "too_many_attempts": 429}


def status_of(error: ShuzhaError) -> int:
    """Return the HTTP status of an error of the house; 401 where nobody is signed in, 429 after too many guesses."""
    if error.code in _BY_CODE:
        return _BY_CODE[error.code]
    return next((status for kind, status in STATUS.items() if isinstance(error, kind)), 400)


def problem(status: int, code: str, detail: str, **extra: Any) -> JSONResponse:
    """Return a problem+json response; `extra` may hold rule, accepted and errors."""
    body = {
        "type": f"/problems/{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    }
    body |= {"code": code, "trace": new_id("trc")} | {key: value for key, value in extra.items() if value}
    return JSONResponse(body, status, media_type="application/problem+json")


def install(app: FastAPI) -> None:
    """Make the app answer every error as a problem."""

    @app.exception_handler(ShuzhaError)
    async def _ours(_request: Request, error: ShuzhaError) -> JSONResponse:
        return problem(status_of(error), error.code, error.message, rule=error.rule, accepted=error.accepted)

    @app.exception_handler(RequestValidationError)
    async def _malformed(_request: Request, error: RequestValidationError) -> JSONResponse:
        errors = [{"place": ".".join(map(str, each["loc"])), "rule": each["type"]} for each in error.errors()]
        places = ", ".join(f"{each['place']} ({each['rule']})" for each in errors)
        return problem(422, "invalid", f"the request does not fit its form: {places}", rule="http.form", errors=errors)

    @app.exception_handler(HTTPException)
    async def _http(_request: Request, error: HTTPException) -> JSONResponse:
        code = getattr(error, "code", HTTPStatus(error.status_code).name.lower())
        told = {name: getattr(error, name, "") for name in ("rule", "accepted")}
        response = problem(error.status_code, code, str(error.detail), **told)
        response.headers.update(error.headers or {})
        return response

    @app.exception_handler(Exception)
    async def _unforeseen(_request: Request, error: Exception) -> JSONResponse:
        response = problem(500, "failure", "the platform failed to answer; nothing is known to have changed")
        # The text of an unforeseen exception may hold data, so only its kind and place are logged.
        frame = error.__traceback__
        while frame is not None and frame.tb_next is not None:
            frame = frame.tb_next
        place = f"{frame.tb_frame.f_code.co_filename}:{frame.tb_lineno}" if frame is not None else "?"
        log.error("unforeseen %s at %s", type(error).__name__, place)
        return response
