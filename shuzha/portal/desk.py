"""What every page has at hand: the services, the renderer, and the two shapes that all pages share.

A *page* is shown by GET from services' answers. A *verb* is a POST that calls one service method: done, it leads back
to the page, which says what was done; refused, the page is shown again with the reason on top.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar
from urllib.parse import urlencode

from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from markupsafe import Markup

from policies import Context, Policies, Resource
from shuzha.core.actor import Actor
from shuzha.core.clock import Clock
from shuzha.core.errors import Conflict, Invalid, NotAllowed, NotFound, ShuzhaError, TransitionNotAllowed, Unavailable
from shuzha.core.lawbook import LawBook
from shuzha.core.lifecycle import Lifecycle
from shuzha.portal.refusals import say_refusal
from shuzha.portal.refused import Refused, mark_error, typed_of
from shuzha.portal.render import PROBLEM, Renderer, speech_of

Choice = TypeVar("Choice", bound=StrEnum)
Show = Callable[[Sequence[str], int], Response]

_STATUS: tuple[tuple[type[ShuzhaError], int], ...] = (
    (NotFound, 404),
    (NotAllowed, 403),
    (TransitionNotAllowed, 409),
    (Conflict, 409),
    (Unavailable, 503),
)


_GRANT = re.compile(r"scope (grt_[0-9a-z]+)@")  # How a decision begins the rule that a grant's scope refused by.

LINEAGE: Mapping[str, str] = {
    "entry": "entry:browse", "authorization": "authorization:view", "demand": "demand:view", "release": "release:view",
    "workspace": "workspace:view", "export": "export:view",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Verb:
    """One button: what it does, its label's message id, why it cannot be pressed now, and whether it asks a reason."""

    name: str
    label: str
    refusal: str | None = None
    reason: bool = False
    tone: str = ""


@dataclass(frozen=True, slots=True)
class Desk:
    """The pages' common ground."""

    renderer: Renderer
    policies: Policies
    clock: Clock
    law: LawBook

    def page(self, request: Request, template: str, status: int = 200, **facts: Any) -> HTMLResponse:
        """Return a page; it says what was just done where the address asks for it."""
        done = request.query_params.get("done", "")
        return self.renderer.page(request, template, status, **{"done": done, "errors": (), **facts})

    def problem(self, request: Request, status: int, message: str) -> HTMLResponse:
        """Return a page that says why there is no other."""
        title = {401: "Sign in first", 403: "Not allowed", 404: "Not found", 409: "Not possible now"}.get(
            status, "This was not done"
        )
        return self.renderer.page(request, PROBLEM, status, title=title, message=message)

    def attempt(
        self,
        request: Request,
        verb: Callable[[], object],
        back: str | Callable[[Any], str],
        show: Show,
        done: str = "done",
    ) -> Response:
        """Run a verb; then lead to `back`, or show the page again with the reason why it was refused."""
        try:
            result = verb()
        except ShuzhaError as error:
            request.state.refused = self.refusal(request, error)
            return show(request.state.refused.said, request.state.refused.status)
        place = back if isinstance(back, str) else back(result)
        return RedirectResponse(f"{place}{'&' if '?' in place else '?'}{urlencode({'done': done})}", 303)

    def refusal(self, request: Request, error: ShuzhaError) -> Refused:
        """Return the form that was sent and refused, with the reason on top and beside the field that it means."""
        said = self.explain(request, error)
        marks = mark_error(error, say_refusal(error.message, speech_of(request)))
        return Refused(request.url.path, typed_of(request), marks, (said,), status_of(error))

    def act(
        self,
        request: Request,
        actions: Mapping[str, Callable[[], object]],
        verb: str,
        back: str,
        show: Show,
    ) -> Response:
        """Run the named one of a page's verbs; an unknown name is no page."""
        if verb not in actions:
            raise NotFound(f"no page for the verb {verb[:40]}")
        return self.attempt(request, actions[verb], back, show, verb)

    def can(self, actor: Actor, permission: str, resource: Resource) -> bool:
        """Return whether the policy layer would allow this now."""
        return self.policies.can(actor, permission, resource, self.context())

    def reachable(self, actor: Actor, owner: Resource) -> frozenset[str]:
        """Return the kinds of things along a lineage that the person may open, so that no link leads to nothing."""
        owners = {owner.organisation} | ({actor.organisation} if actor.has("provider") else set())
        own = [
            Resource("", organisation=each, author=owner.author, authorization=owner.authorization) for each in owners
        ]
        return frozenset(
            kind for kind, permission in LINEAGE.items() if any(self.can(actor, permission, each) for each in own)
        )

    def context(self) -> Context:
        """Return the context of a decision that is asked now."""
        return Context(at=self.clock.now())

    def explain(self, request: Request, error: ShuzhaError) -> str:
        """Return what a person reads of a refusal: the sentence, what would be accepted, and the way to ask why."""
        speech = speech_of(request)
        parts = [say_refusal(error.message, speech)]
        if error.accepted:
            parts.append(speech.t("Accepted: {accepted}", accepted=say_refusal(error.accepted, speech)))
        if error.rule:
            parts.append(speech.t("Rule: {rule}", rule=error.rule))
        said, named = speech.t(". ").join(parts), _GRANT.match(error.rule or "")
        if named is None:
            return said
        return Markup('{} <a href="/policies?grant={}">{}</a>').format(said, named[1], speech.t("Why may, or may not"))

    def verbs(
        self,
        actor: Actor,
        lifecycle: Lifecycle[Any],
        state: Any,
        resource: Resource,
        offered: Sequence[Verb],
    ) -> list[Verb]:
        """Return the buttons of a page: those that the person's roles could ever press, the others greyed with why.

        The same two tables as the service asks: the lifecycle and the policy layer.
        """
        shown = []
        for verb in offered:
            if not lifecycle.can(state, verb.name):
                continue
            decision = self.policies.decide(actor, lifecycle.permission(verb.name), resource, self.context())
            if decision.allowed:
                shown.append(verb)
            elif self._could(actor, lifecycle.permission(verb.name), resource):
                shown.append(Verb(verb.name, verb.label, decision.reason, verb.reason, verb.tone))
        return shown

    def _could(self, actor: Actor, permission: str, resource: Resource) -> bool:
        own = Resource(resource.kind, resource.id, actor.organisation, "", resource.authorization)
        other = Resource(resource.kind, resource.id, "org_other", "acc_other", resource.authorization)
        context = self.context()
        return any(self.policies.decide(actor, permission, each, context).allowed for each in (own, other))


def status_of(error: ShuzhaError) -> int:
    """Return the status of a page that shows this refusal."""
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 422)


def actor_of(request: Request) -> Actor:
    """Return the signed-in person; raises NotAllowed (`not_signed_in`) where there is none."""
    actor: Actor | None = getattr(request.state, "actor", None)
    if actor is None:
        raise NotAllowed("nobody is signed in", code="not_signed_in", accepted="sign in first")
    return actor


def parse(kind: type[Choice], value: str) -> Choice:
    """Return the member of an enumeration that a form named; refuses another word, saying which are accepted."""
    try:
        return kind(value)
    except ValueError:
        raise Invalid(
            f"the form names an unknown {kind.__name__}", rule="form.choice", accepted=", ".join(kind)
        ) from None


def progress(lifecycle: Lifecycle[Any], path: Sequence[Any], state: Any, reached: Any = None) -> list[tuple[str, str]]:
    """Return the steps of a thing's usual way with done, now or later.

    A state off that way stands as `off` behind the last step that was surely made: `reached` where it is known, else
    the first of the way from which the state can be entered.
    """
    way = list(path)
    if state not in way:
        before = [reached] if reached in way else [
            step for step in way for move in lifecycle.moves if move.target == state and step in move.sources
        ]  # fmt: skip
        done = way.index(before[0]) + 1 if before else 0
        passed = [(_word(step), "done") for step in way[:done]]
        return [*passed, (_word(state), "off"), *((_word(step), "later") for step in way[done:])]
    place = way.index(state)
    final = state in lifecycle.terminal or place == len(way) - 1
    marks = ["done" if index < place or (final and index == place) else "now" if index == place else "later"
             for index in range(len(way))]  # fmt: skip
    return list(zip(map(_word, way), marks, strict=True))


def _word(state: Any) -> str:
    return str(state.value).replace("_", " ")


TONES = {
    "good": frozenset({"published", "active", "granted", "ready", "open", "released", "sealed", "approved", "valid",
                       "coded", "in_service", "ingested", "pass", "imported", "scored", "issued", "paid", "settled"}),
    "bad": frozenset({"suspended", "rejected", "refused", "terminated", "retired", "failed", "held", "block",
                      "destroyed", "expired", "withdrawn", "revoked", "cancelled", "recused", "dismissed",
                      "recalled", "upheld"}),
    "wait": frozenset({"submitted", "change_pending", "applied", "qualified", "reviewed", "checked", "under_review",
                       "consolidation", "returned", "agreed", "invited", "declared", "publicized",
                       "public_notice", "formal_review", "accepted", "review", "unanswered", "filed", "supplement"}),
    "now": frozenset({"received", "ingesting", "building", "rerunning", "screened", "opening", "requested"}),
}  # fmt: skip


def tone(state: Any) -> str:
    """Return the colour class of a state's tag; the tag's word says the same."""
    return next((name for name, states in TONES.items() if str(state) in states), "")


def word(state: Any) -> str:
    """Return the message id of a state."""
    return str(getattr(state, "value", state)).replace("_", " ")
