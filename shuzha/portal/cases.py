"""One case on a registration: what is asked, what it would change, what the holder says, and the decision."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from policies import Resource
from products.registry.case_model import CASE, Asked, Case, CaseKind, CaseState
from shuzha.core.actor import Actor
from shuzha.portal.desk import Desk, Show, Verb, actor_of, parse, progress
from shuzha.portal.registering import fields_of
from shuzha.portal.registering_words import CASE_VERBS, LABELS
from shuzha.portal.services import Services

CASE_WAY = (CaseState.FILED, CaseState.ACCEPTED, CaseState.GRANTED)
Text = Annotated[str, Form()]


class CasePages:
    """The pages of cases."""

    def __init__(self, desk: Desk, services: Services) -> None:
        self._desk = desk
        self._cases = services.cases
        self._book = services.registers

    def router(self) -> APIRouter:
        """Return the routes of these pages."""
        router = APIRouter()
        router.add_api_route("/cases", self.file, methods=["POST"])
        router.add_api_route("/cases/new", self.new, methods=["GET"])
        router.add_api_route("/cases/{case_id}", self.show, methods=["GET"])
        router.add_api_route("/cases/{case_id}/complete", self.complete, methods=["POST"])
        router.add_api_route("/cases/{case_id}/{verb}", self.move, methods=["POST"])
        return router

    def new(self, request: Request, subject: str, kind: str) -> Response:
        """Show the form of a new case."""
        return self._new(request, subject, kind)

    def show(self, request: Request, case_id: str) -> Response:
        """Show one case."""
        return self._page(request, case_id)

    def file(
        self, request: Request, subject: Text, kind: Text, reason: Text = "", export: Text = "", file: Text = "",
        title_zh: Text = "", title_en: Text = "", answers: Text = "", refresh: Text = "", limits: Text = "",
        summary: Text = "", basis: Text = "", contact: Text = "",
    ) -> Response:  # fmt: skip
        """File a case: fields that say something else than now are what is to be changed."""
        actor = actor_of(request)
        typed = {
            "title_zh": title_zh, "title_en": title_en, "answers": answers, "refresh": refresh, "limits": limits,
            "summary": summary, "basis": basis, "contact": contact,
        }  # fmt: skip

        def file_case() -> Case:
            sheet = self._book.get(actor, subject).sheet
            changes = {
                name: said for name in fields_of(sheet)
                if (said := typed[name].replace("\r\n", "\n").strip()) and said != getattr(sheet, name)
            }  # fmt: skip
            asked = Asked(parse(CaseKind, kind), reason, changes, export.strip(), file.strip())
            return self._cases.file(actor, subject, asked)

        show: Show = lambda errors, status: self._new(request, subject, kind, errors, status)  # noqa: E731
        return self._desk.attempt(request, file_case, lambda made: f"/cases/{made.id}", show, "filed")

    def complete(self, request: Request, case_id: str, reason: Text = "") -> Response:
        """Complete a case as it was asked."""
        actor = actor_of(request)
        return self._desk.attempt(
            request, lambda: self._cases.complete(actor, case_id, reason), f"/cases/{case_id}",
            self._again(request, case_id), "complete",
        )  # fmt: skip

    def move(self, request: Request, case_id: str, verb: str, reason: Text = "") -> Response:
        """Move a case along its way."""
        actor, cases, one = actor_of(request), self._cases, case_id
        actions: dict[str, Callable[[], object]] = {
            "accept": lambda: cases.accept(actor, one),
            "grant": lambda: cases.grant(actor, one, reason),
            "respond": lambda: cases.respond(actor, one, reason),
            "supplement": lambda: cases.supplement(actor, one, reason),
            "refuse": lambda: cases.refuse(actor, one, reason),
            "withdraw": lambda: cases.withdraw(actor, one, reason),
        }
        return self._desk.act(request, actions, verb, f"/cases/{one}", self._again(request, one))

    def _again(self, request: Request, case_id: str) -> Show:
        return lambda errors, status: self._page(request, case_id, errors, status)

    def _new(
        self, request: Request, subject: str, kind: str, errors: Sequence[str] = (), status: int = 200
    ) -> Response:
        found, chosen = self._book.get(actor_of(request), subject), parse(CaseKind, kind)
        edits = chosen in (CaseKind.CHANGE, CaseKind.CORRECTION)
        return self._desk.page(
            request, "case_new.html", status, errors=errors, found=found, kind=chosen, labels=LABELS,
            fields=fields_of(found.sheet) if edits else (),
            serves=chosen is CaseKind.CHANGE and subject.startswith("prd_"),
        )  # fmt: skip

    def _page(self, request: Request, case_id: str, errors: Sequence[str] = (), status: int = 200) -> Response:
        actor = actor_of(request)
        case = self._cases.get(actor, case_id)
        found = self._book.get(actor, case.subject)
        return self._desk.page(
            request, "case.html", status, errors=errors, case=case, found=found, labels=LABELS,
            steps=progress(CASE, CASE_WAY, case.state), verbs=self._verbs(actor, case),
            may_complete=case.state is CaseState.SUPPLEMENT
            and self._desk.can(actor, "case:complete", Resource("case", case.id, case.organisation, case.author)),
        )  # fmt: skip

    def _verbs(self, actor: Actor, case: Case) -> list[Verb]:
        found = []
        for verb in CASE_VERBS:
            whose = case.holder if verb.name == "respond" else case.organisation
            own = Resource("case", case.id, whose, case.author)
            if verb.name == "respond" and (not case.is_foreign or case.responded_at):
                continue
            found += self._desk.verbs(actor, CASE, case.state, own, (verb,))
        return [one for one in found if one.name != "respond" or not one.refusal]
