"""Registration of products and data resources: one list, and a page for each with all that is said and done on it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from policies import Resource
from products.registry.case_model import OPEN, Case
from products.registry.model import REGISTRATION, Product
from products.registry.registers import noun_of
from products.registry.registration import (
    Agent,
    Application,
    Objection,
    Outcome,
    Registration,
    check_answered,
    check_not_upheld,
    check_notice_over,
)  # fmt: skip
from products.registry.resource_model import RESOURCE, Access, DataResource, ResourceSheet
from shuzha.core.actor import Actor
from shuzha.core.clock import city_date
from shuzha.core.errors import Invalid, NotFound
from shuzha.core.lifecycle import Lifecycle
from shuzha.portal.desk import Desk, Show, Verb, actor_of, parse, progress
from shuzha.portal.registering_words import FILING, LABELS, VERBS, WAY
from shuzha.portal.services import Services

LIFECYCLES: dict[str, Lifecycle[Registration]] = {"product": REGISTRATION, "resource": RESOURCE}
EDITABLE = frozenset({Registration.EVIDENCE, Registration.SUPPLEMENT})
Text = Annotated[str, Form()]


class RegistrationPages:
    """The pages of registrations, for applicants, the registry and those who supervise."""

    def __init__(self, desk: Desk, services: Services) -> None:
        self._desk = desk
        self._services = services
        self._book = services.registers

    def router(self) -> APIRouter:
        """Return the routes of these pages."""
        router = APIRouter()
        router.add_api_route("/registrations", self.show_list, methods=["GET"])
        router.add_api_route("/registrations", self.deposit, methods=["POST"])
        router.add_api_route("/registrations/new", self.new, methods=["GET"])
        router.add_api_route("/registrations/{record_id}", self.show, methods=["GET"])
        router.add_api_route("/registrations/{record_id}/receipt", self.receipt, methods=["GET"])
        router.add_api_route("/registrations/{record_id}/dossier", self.dossier, methods=["GET"])
        router.add_api_route("/registrations/{record_id}/apply", self.apply, methods=["POST"])
        router.add_api_route("/registrations/{record_id}/amend", self.amend, methods=["POST"])
        router.add_api_route("/registrations/{record_id}/objections/{objection_id}", self.answer, methods=["POST"])
        router.add_api_route("/registrations/{record_id}/{verb}", self.move, methods=["POST"])
        return router

    def show_list(self, request: Request) -> Response:
        """Show what is in registration, registered, and waits to be: to whom it concerns."""
        actor = actor_of(request)
        found = self._book.list_all(actor)
        supervises = actor.roles & {"registry", "authority", "regulator"}
        mine = [one for one in found if supervises or one.holder == actor.organisation]
        cases = [one for one in self._services.cases.list(actor) if one.state in OPEN]
        titles = {one.id: one.title for one in found}
        return self._desk.page(
            request, "registrations.html", items=mine, cases=cases, titles=titles,
            duties=self._services.resources.list_duties(actor),
        )  # fmt: skip

    def new(self, request: Request, entry: str = "") -> Response:
        """Show the form of a data resource's registration."""
        return self._new(request, entry)

    def deposit(
        self, request: Request, entry: Text, title_zh: Text, title_en: Text, summary: Text, basis: Text, contact: Text,
        access: Text,
    ) -> Response:  # fmt: skip
        """Deposit the evidence of a data resource: the first step of its registration."""
        actor = actor_of(request)

        def deposit() -> DataResource:
            sheet = ResourceSheet(title_zh, title_en, summary, basis, contact)
            return self._services.resources.deposit(actor, entry, sheet, parse(Access, access))

        show: Show = lambda errors, status: self._new(request, entry, errors, status)  # noqa: E731
        return self._desk.attempt(request, deposit, lambda made: f"/registrations/{made.id}", show, "deposit")

    def show(self, request: Request, record_id: str) -> Response:
        """Show one registration."""
        return self._page(request, record_id)

    def receipt(self, request: Request, record_id: str) -> Response:
        """Give out the signed receipt of the evidence."""
        content = self._book.read_receipt(actor_of(request), record_id)
        return _download(content, f"receipt-{record_id}.json", "application/json")

    def dossier(self, request: Request, record_id: str) -> Response:
        """Give out the registration dossier of a product."""
        content = self._services.dossiers.write(actor_of(request), record_id)
        return _download(content, f"dossier-{record_id}.zip", "application/zip")

    def apply(
        self, request: Request, record_id: str, description: Text = "", agent: Text = "", agent_code: Text = "",
        mandate: Text = "",
    ) -> Response:  # fmt: skip
        """Apply for registration, on the commitment letter that the page shows."""
        actor, book = actor_of(request), self._book
        named = Agent(agent, agent_code, mandate) if any((agent, agent_code, mandate)) else None
        return self._do(
            request, record_id, lambda: book.apply(actor, record_id, Application(description, named)), "apply"
        )

    def amend(
        self, request: Request, record_id: str, title_zh: Text = "", title_en: Text = "", answers: Text = "",
        refresh: Text = "", limits: Text = "", summary: Text = "", basis: Text = "", contact: Text = "",
    ) -> Response:  # fmt: skip
        """Change the sheet before the application, or as the supplement that was asked for."""
        actor, book = actor_of(request), self._book
        typed = {
            "title_zh": title_zh, "title_en": title_en, "answers": answers, "refresh": refresh, "limits": limits,
            "summary": summary, "basis": basis, "contact": contact,
        }  # fmt: skip

        def amend() -> object:
            sheet: Any = book.get(actor, record_id).sheet
            return book.amend(actor, record_id, replace(sheet, **{name: typed[name] for name in fields_of(sheet)}))

        return self._do(request, record_id, amend, "amend")

    def answer(self, request: Request, record_id: str, objection_id: str, outcome: Text, answer: Text = "") -> Response:
        """Answer an objection to the public notice."""
        actor, book, upheld = actor_of(request), self._book, parse(Outcome, outcome) is Outcome.UPHELD
        return self._do(
            request, record_id, lambda: book.answer(actor, record_id, objection_id, answer, upheld=upheld), "answer"
        )

    def move(self, request: Request, record_id: str, verb: str, reason: Text = "") -> Response:
        """Move a registration along its way."""
        actor, book, one = actor_of(request), self._book, record_id
        actions: dict[str, Callable[[], object]] = {
            "accept": lambda: book.accept(actor, one),
            "pass": lambda: book.pass_review(actor, one),
            "announce": lambda: book.announce(actor, one, reason),
            "resume": lambda: book.resume(actor, one),
            "object": lambda: book.object_to(actor, one, reason),
            "code": lambda: book.code(actor, one),
            "validate": lambda: book.validate(actor, one),
            "supplement": lambda: book.supplement(actor, one, reason),
            "refuse": lambda: book.refuse(actor, one, reason),
            "withdraw": lambda: book.withdraw(actor, one, reason),
        }
        return self._desk.act(request, actions, verb, f"/registrations/{one}", self._again(request, one))

    def _do(self, request: Request, record_id: str, verb: Callable[[], object], done: str) -> Response:
        return self._desk.attempt(request, verb, f"/registrations/{record_id}", self._again(request, record_id), done)

    def _again(self, request: Request, record_id: str) -> Show:
        return lambda errors, status: self._page(request, record_id, errors, status)

    def _new(self, request: Request, entry: str, errors: Sequence[str] = (), status: int = 200) -> Response:
        actor = actor_of(request)
        found = self._services.catalog.get_entry(actor, entry)
        return self._desk.page(
            request, "registration_new.html", status, errors=errors, entry=found, accesses=tuple(Access)
        )

    def _page(self, request: Request, record_id: str, errors: Sequence[str] = (), status: int = 200) -> Response:
        actor, book, noun = actor_of(request), self._book, noun_of(record_id)
        found: Any = book.get(actor, record_id)
        own, table = book.seen_as(found), LIFECYCLES[noun]
        objections = book.list_objections(actor, found.id)
        running = [one for one in objections if found.noticed_at and one.filed_at >= found.noticed_at]
        today = city_date(self._desk.clock.now())
        offered = self._desk.verbs(actor, table, found.registration, own, VERBS)
        verbs = [_greyed(one, found, running, today) for one in offered]
        may = {verb: self._may(actor, table, found, verb, own) for verb in ("apply", "amend", "answer", "announce")}
        cases = self._services.cases.list(actor, subject=found.id)
        return self._desk.page(
            request, "registration.html", status, errors=errors, found=found, noun=noun, verbs=verbs, may=may,
            steps=progress(table, WAY, found.registration), fields=fields_of(found.sheet), labels=LABELS,
            commitment=book.preview_commitment(actor, found.id) if may["apply"] else "",
            notice=book.preview_notice(actor, found.id) if may["announce"] else "",
            objections=objections, cases=cases, filing=self._filing(actor, found, cases),
            checks=self._checks(actor, found), key=self._services.registry.public_key(),
            public=found.registration in _PUBLIC,
        )  # fmt: skip

    def _may(self, actor: Actor, table: Lifecycle[Registration], found: Any, verb: str, own: Resource) -> bool:
        return table.can(found.registration, verb) and self._desk.can(actor, table.permission(verb), own)

    def _filing(self, actor: Actor, found: Any, cases: Sequence[Case]) -> list[tuple[str, str]]:
        """Return the kinds of cases that the person may file on this registration now."""
        if found.registration is not Registration.VALID:
            return []
        own = Resource("case", "", found.holder, actor.id)
        return [(kind.value, label) for kind, label in FILING if self._desk.can(actor, f"case:{kind.value}", own)]

    def _checks(self, actor: Actor, found: Any) -> Sequence[object]:
        if not isinstance(found, Product):
            return ()
        try:
            return self._services.dossiers.check(actor, found.id)
        except NotFound:  # A release record that this person may not read is no contradiction.
            return ()


_PUBLIC = frozenset(set(WAY[4:]) | {Registration.HELD, Registration.EXPIRED, Registration.CANCELLED})


def fields_of(sheet: object) -> tuple[str, ...]:
    """Return the names of a sheet's fields."""
    return tuple(getattr(sheet, "__dataclass_fields__", ()))


def _greyed(verb: Verb, found: Any, objections: Sequence[Objection], today: dt.date) -> Verb:
    """Return the verb greyed while the public notice runs, or while an objection waits for its answer."""
    if verb.refusal or verb.name not in {"code", "resume", "supplement", "refuse"}:
        return verb
    try:
        if verb.name == "code":
            check_notice_over(found, today)
        else:
            check_answered(found, objections)
        if verb.name == "resume":
            check_not_upheld(found, objections)
    except Invalid as error:
        return replace(verb, refusal=error.message)
    return verb


def _download(content: bytes, name: str, kind: str) -> Response:
    return Response(content, media_type=kind, headers={"Content-Disposition": f'attachment; filename="{name}"'})
