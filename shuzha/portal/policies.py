"""The pages of questions about policies: why may somebody, or may not, and what if a clause of an agreement changed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response

from policies import Resource
from policies.explain import scope_permissions
from policies.whatif import Difference, Flip
from shuzha.authorization.agreement import Operation, OutputKind, Place, Term
from shuzha.authorization.explaining import Change, Question
from shuzha.authorization.model import Authorization, Grant
from shuzha.authorization.service import AuthorizationService
from shuzha.authorization.subjects import Subject, SubjectVerbs
from shuzha.catalog.service import CatalogService
from shuzha.core.actor import Actor
from shuzha.core.errors import Invalid, ShuzhaError
from shuzha.portal.desk import Desk, actor_of, parse, status_of
from shuzha.portal.forms import read_lines
from shuzha.portal.policy_words import ACTS, Words, read_moment
from shuzha.portal.render import speech_of

MOST_FLIPS = 40
ORGANISATION = "org:"


@dataclass(frozen=True, slots=True)
class Asked:
    """What the form of a question holds, as text; `about` is an account, or `org:` and an organisation."""

    grant: str = ""
    about: str = ""
    permission: str = ""
    operation: str = ""
    output_kind: str = ""
    purpose: str = ""
    place: str = ""
    columns: str = ""
    partners: str = ""
    at: str = ""

    def question(self) -> Question:
        """Return the question that the form asks; refuses a moment that is none."""
        try:
            at = read_moment(self.at)
        except ValueError:
            raise Invalid("the moment cannot be read", rule="form.moment", accepted="2026-11-22T15:30") from None
        return Question(
            self.permission, "" if self.about.startswith(ORGANISATION) else self.about, self.grant,
            frozenset(read_lines(self.columns)) if self.columns.strip() else frozenset(), self.operation,
            self.output_kind, self.purpose, self.place,
            frozenset(read_lines(self.partners)) if self.partners.strip() else frozenset(), at,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Supposed:
    """What the form of a what-if holds: the clauses as they would be."""

    entries: tuple[str, ...]
    purposes: str
    operations: tuple[str, ...]
    output_kinds: tuple[str, ...]
    valid_until: dt.date

    def change(self, found: Authorization) -> Change:
        """Return the change of an agreement that the form supposes; refuses words that no agreement has."""
        return Change(
            self.entries, read_lines(self.purposes) if self.purposes.strip() else (),
            tuple(parse(Operation, each) for each in self.operations),
            tuple(parse(OutputKind, each) for each in self.output_kinds),
            Term(found.agreement.term.valid_from, self.valid_until),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Flips:
    """Questions that would be answered otherwise for the same reason, in the reader's words."""

    permission: str
    asked: str
    allowed: bool
    why: str
    count: int
    first: dt.datetime
    last: dt.datetime


def read_asked(
    grant: Annotated[str, Query(max_length=80)] = "", about: Annotated[str, Query(max_length=80)] = "",
    permission: Annotated[str, Query(max_length=80)] = "", operation: Annotated[str, Query(max_length=80)] = "",
    output_kind: Annotated[str, Query(max_length=80)] = "", purpose: Annotated[str, Query(max_length=80)] = "",
    place: Annotated[str, Query(max_length=80)] = "", columns: Annotated[str, Query(max_length=4_000)] = "",
    partners: Annotated[str, Query(max_length=400)] = "", at: Annotated[str, Query(max_length=40)] = "",
) -> Asked:  # fmt: skip
    """Return what the form of a question holds."""
    return Asked(grant, about, permission, operation, output_kind, purpose, place, columns, partners, at)


def read_supposed(
    valid_until: Annotated[dt.date | None, Query()] = None, purposes: Annotated[str, Query(max_length=400)] = "",
    entries: Annotated[list[str], Query()] = [], operations: Annotated[list[str], Query()] = [],  # noqa: B006
    output_kinds: Annotated[list[str], Query()] = [],  # noqa: B006 - FastAPI copies a parameter's default
) -> Supposed | None:  # fmt: skip
    """Return what the form of a what-if holds; None where nothing was sent yet."""
    if valid_until is None:
        return None
    return Supposed(tuple(entries), purposes, tuple(operations), tuple(output_kinds), valid_until)


class PolicyPages:
    """The pages of questions. Asking changes nothing, so that a question is an address that can be passed on."""

    def __init__(self, desk: Desk, verbs: SubjectVerbs, service: AuthorizationService, catalog: CatalogService) -> None:
        self._desk = desk
        self._verbs = verbs
        self._service = service
        self._catalog = catalog

    def router(self) -> APIRouter:
        """Return the routes of these pages."""
        router = APIRouter()
        router.add_api_route("/policies", self.ask, methods=["GET"])
        router.add_api_route("/authorizations/{authorization_id}/what-if", self.suppose, methods=["GET"])
        return router

    def ask(self, request: Request, asked: Annotated[Asked, Depends(read_asked)]) -> Response:
        """Show the form of a question and, where one is asked, why the answer is yes or no."""
        actor = actor_of(request)
        mine = Resource("policy", organisation=actor.organisation, author=actor.id)
        self._desk.policies.check(actor, "policy:view", mine, self._desk.context())
        grants = {one.id: one for one in self._service.list_grants(actor)}
        grant = grants.get(asked.grant) or next(iter(grants.values()), None)
        if asked.grant:
            grant = self._service.get_grant(actor, asked.grant)
        facts: dict[str, Any] = {"answer": None, "errors": (), "status": 200}
        if grant is not None and asked.permission:
            try:
                facts["answer"] = self._answer(request, actor, asked, grant)
            except Invalid as error:
                facts |= {"errors": (self._desk.explain(request, error),), "status": status_of(error)}
        elif grant is not None:
            asked = _likely(grant, actor, asked)
        subjects = self._verbs.list_subjects(actor)
        organisations = sorted({one.organisation for one in subjects})
        return self._desk.page(
            request, "policy.html", **facts, asked=asked, grant=grant, grants=self._named(actor, grants),
            people=subjects, acts=self._acts(),
            organisations=[each for each in organisations if self._verbs.can_ask(actor, each)],
            operations=list(Operation), kinds=list(OutputKind), places=list(Place), organisation=ORGANISATION,
            may_suppose=grant is not None and self._may_suppose(actor, grant),
        )  # fmt: skip

    def suppose(
        self, request: Request, authorization_id: str, supposed: Annotated[Supposed | None, Depends(read_supposed)]
    ) -> Response:
        """Show what would change for each grant if clauses of the agreement were others; nothing is changed."""
        actor = actor_of(request)
        found = self._service.get_authorization(actor, authorization_id)
        facts: dict[str, Any] = {"outcome": None, "errors": (), "status": 200}
        words = self._words(request, actor)
        if supposed is not None:
            try:
                outcome = self._verbs.what_if(actor, authorization_id, supposed.change(found))
                facts["outcome"] = outcome
                facts["clauses_changed"] = [words.clause(each) for each in outcome.clauses]
                facts["effects"] = [self._effect(words, each) for each in outcome.differences]
            except ShuzhaError as error:
                facts |= {"errors": (self._desk.explain(request, error),), "status": status_of(error)}
        agreement = found.agreement
        shown = supposed or Supposed(
            agreement.entries, "\n".join(agreement.purposes), agreement.operations, agreement.output_kinds,
            agreement.term.valid_until,
        )  # fmt: skip
        return self._desk.page(
            request, "what_if.html", **facts, authorization=found, agreement=agreement, shown=shown, acts=ACTS,
            titles=words.titles,
            names_of_grants=self._named(actor, self._grants_of(actor, found.id)),
        )  # fmt: skip

    def _answer(self, request: Request, actor: Actor, asked: Asked, grant: Grant) -> dict[str, object]:
        question = asked.question()
        via: Subject | None = None
        if asked.about.startswith(ORGANISATION):
            via, found = self._verbs.explain_organisation(actor, asked.about.removeprefix(ORGANISATION), question)
        else:
            found = self._verbs.explain(actor, question)
        words = self._words(request, actor)
        agreement = self._agreement_of(actor, grant)
        roles = self._roles_for(found.permission)
        return {
            "found": found, "via": via, "reason": words.reason(found), "act": ACTS.get(found.permission, ""),
            "changes": words.changes(found, agreement.agreement, roles) if agreement else [],
            "cited": words.cited(found.decision.clause, found.decision.article),
            "lines": [(line, words.parts(line)) for line in found.lines],
        }  # fmt: skip

    def _effect(self, words: Words, difference: Difference) -> dict[str, object]:
        parts = [
            (words.name(part.name), [words.values([each]) for each in part.gained],
             [words.values([each]) for each in part.lost])
            for part in difference.parts
        ]  # fmt: skip
        flips = _alike(words, difference.flips)
        return {
            "difference": difference, "parts": parts, "flips": flips[:MOST_FLIPS],
            "more": max(0, len(flips) - MOST_FLIPS),
        }  # fmt: skip

    def _words(self, request: Request, actor: Actor) -> Words:
        speech = speech_of(request)
        titles = {one.id: one.title.text(speech.language) for one in self._catalog.list_entries(actor)}
        names = {one.organisation for one in self._verbs.list_subjects(actor)}
        names |= {one.operator for one in self._service.list_grants(actor)}
        return Words(speech, {**titles, **{one: self._desk.renderer.name_of(one, speech.language) for one in names}})

    def _named(self, actor: Actor, grants: Mapping[str, Grant]) -> dict[str, tuple[str, str]]:
        """Return of each grant its scenario and its operating unit."""
        scenarios = {one.id: one.content.scenario for one in self._service.list_demands(actor)}
        return {one.id: (scenarios.get(one.demand, one.id), one.operator) for one in grants.values()}

    def _grants_of(self, actor: Actor, authorization: str) -> dict[str, Grant]:
        return {one.id: one for one in self._service.list_grants(actor, authorization)}

    def _agreement_of(self, actor: Actor, grant: Grant) -> Authorization | None:
        try:
            return self._service.get_authorization(actor, grant.authorization)
        except ShuzhaError:
            return None

    def _may_suppose(self, actor: Actor, grant: Grant) -> bool:
        return self._agreement_of(actor, grant) is not None

    def _acts(self) -> Sequence[tuple[str, str]]:
        return [(each.value, ACTS[each.value]) for each in scope_permissions()]

    def _roles_for(self, permission: str) -> list[str]:
        lines = self._desk.policies.roles.lines
        return list(dict.fromkeys(line.role for line in lines if line.permission.value == permission))


def _alike(words: Words, flips: Iterable[Flip]) -> list[Flips]:
    """Return flips by what is asked and why it would flip, whatever the column and the moment, in their order."""
    found: dict[tuple[object, ...], Flips] = {}
    for flip in flips:
        context, granted = flip.context, flip.reason.partition("which has: ")[2]
        asked = (context.operation, context.output_kind, context.purpose, context.place, *sorted(context.partners))
        key = (flip.permission, asked, flip.allowed, flip.code, granted)
        known = found.get(key)
        if known is None:
            why = words.said(flip.code, granted.split(", ") if granted else ())
            said = words.values(each for each in asked if each)
            found[key] = Flips(flip.permission, said, flip.allowed, why, 1, context.at, context.at)
        else:
            first, last = min(known.first, context.at), max(known.last, context.at)
            found[key] = replace(known, count=known.count + 1, first=first, last=last)
    return list(found.values())


def _likely(grant: Grant, actor: Actor, asked: Asked) -> Asked:
    """Return a first question that the grant would allow to the right person, for the form to begin with."""
    scope = grant.scope
    return Asked(
        grant.id, asked.about or actor.id, "data:open", next(iter(sorted(scope.operations)), ""), "",
        next(iter(sorted(scope.purposes)), ""), next(iter(sorted(scope.places, reverse=True)), ""),
        ", ".join(sorted(scope.columns)),
    )  # fmt: skip
