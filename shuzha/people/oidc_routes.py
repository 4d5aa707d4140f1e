"""The OpenID provider over HTTP: /oidc/authorize, /oidc/token, /oidc/userinfo, /oidc/jwks and its discovery."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from urllib.parse import parse_qs, unquote_plus, urlencode

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, RedirectResponse

from shuzha.people.oidc import OAuthError, Provider
from shuzha.people.service import People
from shuzha.people.web import bearer_token, cookie_token, sign_in_path

MAX_FORM = 16_384
_NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}


def oidc_router(people: People, provider: Provider) -> APIRouter:
    """Return the provider's routes, to be mounted at the root of the portal."""
    router = APIRouter(tags=["oidc"], include_in_schema=False)

    @router.get("/.well-known/openid-configuration")
    def discovery() -> JSONResponse:
        return JSONResponse(provider.discovery())

    @router.get("/oidc/jwks")
    def jwks() -> JSONResponse:
        return JSONResponse(provider.jwks())

    @router.get("/oidc/authorize")
    def authorize(request: Request) -> Response:
        return _authorize(people, provider, request)

    @router.post("/oidc/token")
    async def token(request: Request) -> Response:
        try:
            form = await _read_form(request)
            client = provider.check_client(*_client_credentials(request, form))
            tokens = await run_in_threadpool(provider.exchange, client, form)
            return JSONResponse(tokens.body(), headers=_NO_STORE)
        except OAuthError as error:
            return _refusal(error, basic="Authorization" in request.headers)

    @router.get("/oidc/userinfo")
    def userinfo(request: Request) -> Response:
        try:
            return JSONResponse(provider.userinfo(bearer_token(request)), headers=_NO_STORE)
        except OAuthError as error:
            return _refusal(error)

    return router


def _authorize(people: People, provider: Provider, request: Request) -> Response:
    query = _multi(request.url.query)
    try:
        asked = provider.read_request(query)
        found = people.find_session(cookie_token(request))
        if found is None and asked.prompt == "none":
            raise OAuthError("login_required", "nobody is signed in at the portal", redirect=True)
        if found is None:
            return RedirectResponse(sign_in_path(request), 303, _NO_STORE)
        answer = {"code": provider.issue_code(asked, *found)}
    except OAuthError as error:
        if not error.redirect:
            return _refusal(error)
        answer = {"error": error.error, "error_description": error.description}
    # A refusal that may be sent back was raised after client and address were found to be exact.
    state = query.get("state", [])
    answer |= {"iss": provider.issuer} | ({"state": state[0]} if len(state) == 1 else {})
    address = query["redirect_uri"][0]
    return RedirectResponse(f"{address}{'&' if '?' in address else '?'}{urlencode(answer)}", 303, _NO_STORE)


def _refusal(error: OAuthError, *, basic: bool = False) -> JSONResponse:
    headers = dict(_NO_STORE)
    if error.status == 401:
        scheme = "Basic" if basic and error.error == "invalid_client" else "Bearer"
        headers["WWW-Authenticate"] = f'{scheme} realm="shuzha", error="{error.error}"'
    return JSONResponse({"error": error.error, "error_description": error.description}, error.status, headers)


async def _read_form(request: Request) -> dict[str, list[str]]:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_FORM:
            raise OAuthError("invalid_request", f"the form is larger than {MAX_FORM} bytes", status=413)
    if not request.headers.get("Content-Type", "").startswith("application/x-www-form-urlencoded"):
        raise OAuthError("invalid_request", "a form (application/x-www-form-urlencoded) is asked for")
    try:
        return _multi(body.decode("ascii"))
    except UnicodeDecodeError:
        raise OAuthError("invalid_request", "the form is not percent-encoded") from None


def _multi(text: str) -> dict[str, list[str]]:
    try:
        return parse_qs(text, keep_blank_values=True, max_num_fields=40)
    except ValueError:
        raise OAuthError("invalid_request", "the request has too many fields") from None


def _client_credentials(request: Request, form: Mapping[str, list[str]]) -> tuple[str, str]:
    scheme, _, sent = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            name, _, secret = base64.b64decode(sent, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            raise OAuthError("invalid_client", "the Basic header cannot be read", status=401) from None
        return unquote_plus(name), unquote_plus(secret)
    return (form.get("client_id") or [""])[-1], (form.get("client_secret") or [""])[-1]
