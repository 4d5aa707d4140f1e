"""Alarms: keys that reached a product's limit, and the decision of who answers for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from products.defence.model import ALARM
from products.defence.service import alarm_resource
from shuzha.portal.desk import Desk, Show, Verb, actor_of
from shuzha.portal.services import Services

VERBS = (Verb("resolve", "Resolve the alarm", reason=True),)


class AlarmPages:
    """The pages of alarms."""

    def __init__(self, desk: Desk, services: Services) -> None:
        self._desk = desk
        self._defence = services.defence
        self._products = services.registry

    def router(self) -> APIRouter:
        """Return the routes of these pages."""
        router = APIRouter()
        router.add_api_route("/alarms", self.show_list, methods=["GET"])
        router.add_api_route("/alarms/{alarm_id}", self.show, methods=["GET"])
        router.add_api_route("/alarms/{alarm_id}/resolve", self.resolve, methods=["POST"])
        return router

    def show_list(self, request: Request) -> Response:
        """Show the alarms that the person may see, newest first."""
        actor = actor_of(request)
        found = self._defence.list_alarms(actor)
        titles = {one.id: (one.title("zh"), one.title("en")) for one in self._products.list_products(actor)}
        return self._desk.page(request, "alarms.html", alarms=found, titles=titles)

    def show(self, request: Request, alarm_id: str) -> Response:
        """Show one alarm."""
        return self._alarm(request, alarm_id)

    def resolve(self, request: Request, alarm_id: str, reason: Annotated[str, Form()] = "") -> Response:
        """Resolve an alarm; a key that it stopped asks on."""
        actor = actor_of(request)
        show: Show = lambda errors, status: self._alarm(request, alarm_id, errors, status)  # noqa: E731
        return self._desk.attempt(
            request, lambda: self._defence.resolve_alarm(actor, alarm_id, reason), f"/alarms/{alarm_id}", show,
            VERBS[0].label,
        )  # fmt: skip

    def _alarm(self, request: Request, alarm_id: str, errors: Sequence[str] = (), status: int = 200) -> Response:
        actor = actor_of(request)
        alarm = self._defence.get_alarm(actor, alarm_id)
        verbs = self._desk.verbs(actor, ALARM, alarm.state, alarm_resource(alarm, alarm.operator), VERBS)
        return self._desk.page(request, "alarm.html", status, alarm=alarm, verbs=verbs, errors=errors)
