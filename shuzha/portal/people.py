"""The pages of people: whose name was checked, who was trained until when, and who may get a workspace."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from policies import Resource
from shuzha.core.actor import Actor
from shuzha.core.clock import city_date
from shuzha.people.model import Organisation
from shuzha.people.service import People
from shuzha.people.staff import TRAINING, Member, Training
from shuzha.people.staff_service import Staff, training_resource
from shuzha.portal.desk import Desk, Show, Verb, actor_of

VERBS = (
    Verb("confirm", "Confirm the training", reason=True),
    Verb("refuse", "Refuse the proof", reason=True, tone="bad"),
    Verb("revoke", "Revoke the training", reason=True, tone="bad"),
)
NO_IDENTITY = "Nobody has checked the identity document yet"
NO_TRAINING = "No pre-job training is in force"
NOT_ACTIVE = "The account is suspended"
ALL = (NO_IDENTITY, NO_TRAINING, NOT_ACTIVE)


def find_missing(member: Member, at: dt.datetime) -> tuple[str, ...]:
    """Return the message ids of what keeps a person from a workspace, as far as the reader may know it."""
    found = () if member.active else (NOT_ACTIVE,)
    if member.identity is None:
        found = (*found, NO_IDENTITY)
    if member.trainings is not None and not member.is_trained(at):
        found = (*found, NO_TRAINING)
    return found


class PeoplePages:
    """The pages of people."""

    def __init__(self, desk: Desk, staff: Staff, people: People) -> None:
        self._desk = desk
        self._staff = staff
        self._people = people

    def router(self) -> APIRouter:
        """Return the routes of these pages."""
        router = APIRouter()
        one = "/people/{account_id}"
        router.add_api_route("/people", self.show_list, methods=["GET"])
        router.add_api_route(one, self.show, methods=["GET"])
        router.add_api_route(f"{one}/identity", self.identify, methods=["POST"])
        router.add_api_route(f"{one}/trainings", self.record, methods=["POST"])
        router.add_api_route(f"{one}/trainings/{{training_id}}/{{verb}}", self.decide, methods=["POST"])
        return router

    def show_list(self, request: Request) -> Response:
        """Show the people of the organisations that the person answers for, and who heads them."""
        members, now = self._staff.list_members(actor_of(request)), self._desk.clock.now()
        known = dict.fromkeys(one.organisation for one in members)
        organisations = [self._people.get_organisation(each) for each in known]
        return self._desk.page(
            request, "people.html", members=[(one, find_missing(one, now)) for one in members],
            heads=[(each, _head(each, members)) for each in organisations], now=now,
        )  # fmt: skip

    def show(self, request: Request, account_id: str) -> Response:
        """Show one person: identity, trainings, and what is missing."""
        return self._person(request, account_id)

    def identify(
        self, request: Request, account_id: str, name: Annotated[str, Form()] = "", number: Annotated[str, Form()] = ""
    ) -> Response:
        """Tie an account to the person who has shown his identity document."""
        actor = actor_of(request)
        return self._run(request, account_id, lambda: self._staff.identify(actor, account_id, name, number), "identify")

    def record(
        self, request: Request, account_id: str, completed_on: Annotated[dt.date, Form()],
        course: Annotated[str, Form()] = "", proof: Annotated[str, Form()] = "",
    ) -> Response:  # fmt: skip
        """Record the proof of a training."""
        actor, digest = actor_of(request), proof.strip().lower()
        return self._run(
            request, account_id,
            lambda: self._staff.record_training(actor, account_id, course, digest, completed_on), "record",
        )  # fmt: skip

    def decide(
        self, request: Request, account_id: str, training_id: str, verb: str, reason: Annotated[str, Form()] = ""
    ) -> Response:
        """Confirm, refuse or revoke a training."""
        actor, staff = actor_of(request), self._staff
        actions = {
            "confirm": lambda: staff.confirm_training(actor, training_id, reason),
            "refuse": lambda: staff.refuse_training(actor, training_id, reason),
            "revoke": lambda: staff.revoke_training(actor, training_id, reason),
        }
        show: Show = lambda errors, status: self._person(request, account_id, errors, status)  # noqa: E731
        return self._desk.act(request, actions, verb, f"/people/{account_id}", show)

    def _run(self, request: Request, account_id: str, action: Callable[[], object], done: str) -> Response:
        show: Show = lambda errors, status: self._person(request, account_id, errors, status)  # noqa: E731
        return self._desk.attempt(request, action, f"/people/{account_id}", show, done)

    def _person(self, request: Request, account_id: str, errors: Sequence[str] = (), status: int = 200) -> Response:
        actor, now = actor_of(request), self._desk.clock.now()
        member = self._staff.get_member(actor, account_id)
        trainings = [(one, self._verbs(actor, one)) for one in member.trainings or ()]
        account = Resource("account", member.id, member.organisation)
        own = Resource("training", "", member.organisation)
        return self._desk.page(
            request, "person.html", status, errors=errors, member=member, missing=find_missing(member, now), now=now,
            trainings=trainings, today=city_date(now),
            may_identify=member.identity is None and self._desk.can(actor, "account:identify", account),
            may_record=self._desk.can(actor, "training:record", own),
        )  # fmt: skip

    def _verbs(self, actor: Actor, training: Training) -> list[Verb]:
        return self._desk.verbs(actor, TRAINING, training.state, training_resource(training), VERBS)


def _head(organisation: Organisation, members: Sequence[Member]) -> Member | None:
    """Return the account in the name of the responsible person; None where none or more than one bears it."""
    named = organisation.responsible_person.strip()
    found = [one for one in members if one.organisation == organisation.id and one.name.strip() == named]
    return found[0] if len(found) == 1 else None
