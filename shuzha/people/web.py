"""Sessions over HTTP: the cookie, the bearer token, the form's text against forgery, and safe ways back."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote, urlsplit

from fastapi import Request, Response

from shuzha.core.actor import Actor
from shuzha.core.errors import NotAllowed
from shuzha.people.service import People, require_actor

SESSION_COOKIE = "shuzha_session"
CSRF_HEADER = "X-CSRF-Token"
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

ActorDependency = Callable[[Request], Actor]


def actor_dependency(people: People, *, via: str = "api", forms: bool = False) -> ActorDependency:
    """Return a FastAPI dependency that gives the signed-in actor, or raises NotSignedIn.

    A bearer token is taken before the cookie. A request that changes something by the cookie must carry the session's
    text in `X-CSRF-Token`; with `forms` the page reads it from its form instead and calls `check_csrf` itself.
    """

    def signed_in(request: Request) -> Actor:
        bearer = bearer_token(request)
        if bearer:
            return require_actor(people.actor_of_session(bearer, via))
        actor = require_actor(people.actor_of_session(cookie_token(request), via))
        if not forms and request.method not in _SAFE_METHODS:
            check_csrf(people, request, request.headers.get(CSRF_HEADER, ""))
        return actor

    return signed_in


def find_actor(people: People, request: Request, via: str = "portal") -> Actor | None:
    """Return who is signed in by the request's cookie, or None: for pages that send visitors to the sign-in page."""
    return people.actor_of_session(cookie_token(request), via)


def csrf_token(people: People, request: Request) -> str:
    """Return the text that the forms of this request's session carry; empty where nobody is signed in."""
    token = cookie_token(request)
    return people.csrf_token(token) if token else ""


def check_csrf(people: People, request: Request, sent: str) -> None:
    """Refuse a change that another site may have caused: a foreign origin, or a form without its session's text."""
    check_same_origin(request)
    people.check_csrf(cookie_token(request), sent)


def check_same_origin(request: Request) -> None:
    """Refuse a request whose browser says that another origin made it; for forms without a session, such as sign-in."""
    origin = request.headers.get("Origin")
    site = request.headers.get("Sec-Fetch-Site", "same-origin")
    foreign = origin is not None and urlsplit(origin).netloc != request.headers.get("Host", "")
    if foreign or site not in ("same-origin", "none"):
        raise NotAllowed("another site sent this form", rule="session.origin", accepted="a form of this portal")


def set_session_cookie(response: Response, token: str, *, secure: bool) -> None:
    """Give the browser its session: HttpOnly, SameSite=Lax, this host only, until it is closed."""
    response.set_cookie(SESSION_COOKIE, token, httponly=True, samesite="lax", secure=secure, path="/")


def clear_session_cookie(response: Response, *, secure: bool = False) -> None:
    """Take the session from the browser."""
    response.delete_cookie(SESSION_COOKIE, httponly=True, samesite="lax", secure=secure, path="/")


def cookie_token(request: Request) -> str:
    """Return the token in the session cookie, empty where there is none."""
    return request.cookies.get(SESSION_COOKIE, "")


def bearer_token(request: Request) -> str:
    """Return the token of the Authorization header, empty where there is none."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def safe_next(text: str | None) -> str:
    """Return a way back that stays on this host; `/` for anything else (another host, a scheme, a control letter)."""
    if not text or not text.startswith("/") or text.startswith("//") or not text.isprintable() or "\\" in text:
        return "/"
    return text


def sign_in_path(request: Request) -> str:
    """Return the sign-in page's path that leads back to this request."""
    query = f"?{request.url.query}" if request.url.query else ""
    return f"/sign-in?next={quote(request.url.path + query, safe='')}"
