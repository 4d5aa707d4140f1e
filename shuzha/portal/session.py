"""Signing in and out, the choice of language, and the guard that stands before every page."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse, Response

from shuzha.core.errors import NotAllowed, ShuzhaError
from shuzha.people.service import People
from shuzha.people.web import (
    check_csrf,
    check_same_origin,
    clear_session_cookie,
    cookie_token,
    csrf_token,
    find_actor,
    safe_next,
    set_session_cookie,
)  # fmt: skip
from shuzha.portal.desk import Desk, status_of
from shuzha.portal.i18n import COOKIE, LANGUAGES

_YEAR_SECONDS = 365 * 24 * 3600


def make_guard(people: People) -> Callable[[Request], Awaitable[None]]:
    """Return the dependency of every page: it says who asks, and holds each form to its session."""

    async def guard(request: Request) -> None:
        request.state.actor = await run_in_threadpool(find_actor, people, request)
        request.state.csrf = csrf_token(people, request)
        if request.method not in {"GET", "HEAD"} and request.state.actor is not None:
            # A form that streams a file names its token in the address: reading the body here would spool all of it.
            sent = request.query_params.get("csrf") or (await request.form()).get("csrf", "")
            await run_in_threadpool(check_csrf, people, request, str(sent))

    return guard


class SessionPages:
    """The pages for those who are not signed in yet, or no longer want to be."""

    def __init__(self, desk: Desk, people: People, *, secure: bool) -> None:
        self._desk = desk
        self._people = people
        self._secure = secure

    def router(self) -> APIRouter:
        """Return the routes of these pages."""
        router = APIRouter()
        router.add_api_route("/sign-in", self.ask, methods=["GET"])
        router.add_api_route("/sign-in", self.sign_in, methods=["POST"])
        router.add_api_route("/sign-out", self.sign_out, methods=["POST"])
        router.add_api_route("/language", self.choose_language, methods=["POST"])
        return router

    def ask(self, request: Request, next: str = "/") -> Response:  # noqa: A002 - the query's name
        """Show the sign-in form, or go on where someone is signed in already."""
        if getattr(request.state, "actor", None) is not None:
            return RedirectResponse(safe_next(next), 303)
        return self._desk.page(request, "sign_in.html", next=safe_next(next), login="")

    def sign_in(
        self, request: Request, login: Annotated[str, Form()], password: Annotated[str, Form()],
        next: Annotated[str, Form()] = "/",  # noqa: A002 - the form's name
    ) -> Response:  # fmt: skip
        """Open a session; a wrong pair says no more than that."""
        try:
            check_same_origin(request)
            signed_in = self._people.sign_in(login, password, "portal")
        except ShuzhaError as error:
            said = (self._desk.explain(request, error),)
            status = 401 if error.code == "not_signed_in" else status_of(error)
            return self._desk.page(request, "sign_in.html", status, errors=said, next=safe_next(next), login=login)
        response = RedirectResponse(safe_next(next), 303)
        set_session_cookie(response, signed_in.token, secure=self._secure)
        return response

    def sign_out(self, request: Request) -> Response:
        """End the session."""
        self._people.sign_out(cookie_token(request))
        response = RedirectResponse("/sign-in", 303)
        clear_session_cookie(response, secure=self._secure)
        return response

    def choose_language(
        self, request: Request, language: Annotated[str, Form()],
        next: Annotated[str, Form()] = "/",  # noqa: A002 - the form's name
    ) -> Response:  # fmt: skip
        """Keep the chosen language for a year; nothing but a page's words depends on it."""
        if language not in LANGUAGES:
            raise NotAllowed("this language is not spoken here", rule="portal.language", accepted=", ".join(LANGUAGES))
        response = RedirectResponse(safe_next(next), 303)
        response.set_cookie(COOKIE, language, max_age=_YEAR_SECONDS, samesite="lax", secure=self._secure, path="/")
        return response
