"""Turns a page's facts into HTML: one Jinja environment, autoescaped and strict about names that are missing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context, select_autoescape
from jinja2.runtime import Context

from shuzha.core.actor import Actor
from shuzha.portal.i18n import COOKIE, LANGUAGES, Speech, negotiate
from shuzha.portal.refill import fill_again
from shuzha.portal.refusals import say_refusal
from shuzha.portal.refused import AGAIN, refused_of, unseen

_TEMPLATES = Path(__file__).parent / "templates"
PROBLEM = "problem.html"
STATIC = Path(__file__).parent / "static"

SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; "
        "form-action 'self' {sandbox}"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True, slots=True)
class NavItem:
    """One entry of the navigation: where it leads, its message id, the roles that see it (empty: everyone).

    `also` names other places whose pages belong to it.
    """

    href: str
    label: str
    roles: frozenset[str] = frozenset()
    also: tuple[str, ...] = ()

    def is_at(self, path: str) -> bool:
        """Return whether a page of this path belongs to the entry."""
        return any(path == place or path.startswith(f"{place}/") for place in (self.href, *self.also))

    def is_for(self, actor: Actor | None) -> bool:
        """Return whether this person sees the entry."""
        return actor is not None and (not self.roles or bool(self.roles & actor.roles))


class Renderer:
    """Renders templates for one installation."""

    def __init__(
        self, navigation: Sequence[NavItem], *, sandbox_url: str, demo: bool,
        days_ahead: Callable[[], int] = lambda: 0,
        name_of: Callable[[str, str], str] = lambda organisation, _language: organisation,
    ) -> None:  # fmt: skip
        self._name_of = name_of
        self._navigation = tuple(navigation)
        self._demo = demo
        self._days_ahead = days_ahead
        self._headers = {name: text.replace("{sandbox}", sandbox_url) for name, text in SECURITY_HEADERS.items()}
        self._environment = Environment(
            loader=FileSystemLoader(_TEMPLATES),
            autoescape=select_autoescape(default=True),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters["told"] = _told

    def name_of(self, organisation: str, language: str) -> str:
        """Return the name of an organisation in a language."""
        return self._name_of(organisation, language)

    def add_helpers(self, **helpers: Callable[..., object]) -> None:
        """Make these functions known to every template."""
        self._environment.globals.update(helpers)

    def page(self, request: Request, template: str, status: int = 200, **facts: Any) -> HTMLResponse:
        """Return a page; `facts` are the template's names, beside the request's speech, actor and token."""
        speech, refused = speech_of(request), refused_of(request)
        if refused is not None and refused.said and "errors" in facts:
            facts["errors"] = facts["errors"] or refused.said
            status = refused.status if status == 200 else status
        actor: Actor | None = getattr(request.state, "actor", None)
        html = self._environment.get_template(template).render(
            speech=speech,
            t=speech.t,
            names=lambda organisation: self._name_of(organisation, speech.language),
            actor=actor,
            csrf=getattr(request.state, "csrf", ""),
            navigation=[item for item in self._navigation if item.is_for(actor)],
            path=request.url.path,
            languages=LANGUAGES,
            demo=self._demo,
            days_ahead=self._days_ahead() if self._demo else 0,
            **facts,
        )
        if refused is not None and facts.get("errors"):
            filled = fill_again(html, refused.path, refused.typed, refused.marks, speech.t(AGAIN))
            refused.drawn, html = filled.found, filled.html
        if refused is not None and not refused.drawn and (facts.get("errors") or template == PROBLEM):
            html = html.replace("</main>", f"{unseen(refused, speech)}</main>")
        return HTMLResponse(html, status, headers=self._headers)


@pass_context
def _told(context: Context, refusal: str) -> str:
    """Return a refusal in the language of the page."""
    return say_refusal(refusal, context["speech"])


def speech_of(request: Request) -> Speech:
    """Return the language of a request."""
    return Speech(negotiate(request.cookies.get(COOKIE), request.headers.get("accept-language")))
