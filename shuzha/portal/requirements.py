"""The pages of governance requirements (J23 art. 11): what units ask providers to mend, and how that went."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from policies import Resource
from shuzha.authorization.model import DemandState
from shuzha.core.actor import Actor
from shuzha.core.calendar import Due
from shuzha.oversight.model import REQUIREMENT, Lack, Requirement, RequirementState
from shuzha.oversight.requirements import Asked
from shuzha.portal.desk import Desk, Verb, actor_of, parse
from shuzha.portal.render import speech_of
from shuzha.portal.services import Services

VERBS = (
    Verb("accept", "Accept it and mend the data", reason=True),
    Verb("fix", "Say that it is mended", reason=True),
    Verb("settle", "It is mended: settle", reason=True),
    Verb("reopen", "It is not mended: open again", reason=True),
    Verb("order", "Order it to be mended", reason=True),
    Verb("decline", "Decline", reason=True, tone="bad"),
    Verb("withdraw", "Withdraw", reason=True, tone="bad"),
)
SIDES = {"accept": "provider", "fix": "provider", "decline": "provider"}


class RequirementPages:
    """The pages of requirements."""

    def __init__(self, desk: Desk, services: Services) -> None:
        self._desk = desk
        self._services = services

    def router(self) -> APIRouter:
        """Return the routes of these pages."""
        router = APIRouter()
        router.add_api_route("/requirements", self.show_list, methods=["GET"])
        router.add_api_route("/requirements", self.create, methods=["POST"])
        router.add_api_route("/requirements/{requirement_id}", self.show, methods=["GET"])
        router.add_api_route("/requirements/{requirement_id}/{verb}", self.move, methods=["POST"])
        return router

    def show_list(self, request: Request) -> Response:
        """Show the requirements of this person's unit or data, and the form of a new one."""
        return self._list(request)

    def create(
        self, request: Request, entry: Annotated[str, Form()], lack: Annotated[str, Form()],
        text: Annotated[str, Form()] = "", columns: Annotated[str, Form()] = "",
    ) -> Response:  # fmt: skip
        """Raise a requirement."""
        actor = actor_of(request)
        named = tuple(one for one in columns.replace("，", ",").replace(",", " ").split() if one)
        return self._desk.attempt(
            request,
            lambda: self._services.requirements.raise_requirement(actor, Asked(entry, parse(Lack, lack), text, named)),
            lambda made: f"/requirements/{made.id}", lambda said, status: self._list(request, said, status), "raise",
        )  # fmt: skip

    def show(self, request: Request, requirement_id: str) -> Response:
        """Show one requirement, its steps, and what this person may do."""
        return self._one(request, requirement_id)

    def move(self, request: Request, requirement_id: str, verb: str, reason: Annotated[str, Form()] = "") -> Response:
        """Answer, mend, order, settle or withdraw a requirement."""
        actor, service = actor_of(request), self._services.requirements
        actions = {one.name: lambda: service.move(actor, requirement_id, verb, reason) for one in VERBS}
        return self._desk.act(
            request, actions, verb, f"/requirements/{requirement_id}",
            lambda said, status: self._one(request, requirement_id, said, status),
        )  # fmt: skip

    def _list(self, request: Request, errors: object = (), status: int = 200) -> Response:
        actor = actor_of(request)
        found = self._services.requirements.list_requirements(actor)
        own = Resource("requirement", "", actor.organisation, actor.id)
        may_raise = self._desk.can(actor, "requirement:raise", own)
        return self._desk.page(
            request, "requirements.html", status, errors=errors, requirements=found, lacks=list(Lack),
            entries=self._granted(actor, request) if may_raise else [], titles=self._titles(actor, request),
            left={one.id: self._left(one) for one in found},
            supervises=actor.has("authority") or actor.has("regulator"),
        )  # fmt: skip

    def _one(self, request: Request, requirement_id: str, errors: object = (), status: int = 200) -> Response:
        actor = actor_of(request)
        found = self._services.requirements.get_requirement(actor, requirement_id)
        return self._desk.page(
            request, "requirement.html", status, errors=errors, requirement=found, left=self._left(found),
            title=self._titles(actor, request).get(found.entry, found.entry), verbs=self._verbs(actor, found),
        )  # fmt: skip

    def _verbs(self, actor: Actor, found: Requirement) -> list[Verb]:
        shown = []
        for verb in VERBS:
            side = found.provider if verb.name in SIDES else found.operator
            resource = Resource("requirement", found.id, side, found.author if side == found.operator else "")
            late = self._services.requirements.is_late(found) or found.state is RequirementState.DECLINED
            if verb.name != "order" or late:
                shown += self._desk.verbs(actor, REQUIREMENT, found.state, resource, (verb,))
        return shown

    def _left(self, found: Requirement) -> int | None:
        if found.due is None:
            return None
        return self._services.law.remaining(Due(found.due, found.due_provisional), self._services.clock.now())

    def _granted(self, actor: Actor, request: Request) -> list[tuple[str, str]]:
        titles = self._titles(actor, request)
        demands = self._services.authorization.list_demands(actor)
        entries = {
            one.content.entry: titles.get(one.content.entry, one.content.entry)
            for one in demands
            if one.state is DemandState.GRANTED and one.operator == actor.organisation
        }
        return sorted(entries.items(), key=lambda pair: pair[1])

    def _titles(self, actor: Actor, request: Request) -> dict[str, str]:
        language = speech_of(request).language
        found = self._services.catalog.list_entries(actor)
        return {one.id: one.title.zh if language.startswith("zh") else one.title.en or one.title.zh for one in found}
