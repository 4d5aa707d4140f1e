"""The pages of supervision: alerts with their limits, orders with their notices and receipts, notices to buyers."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from policies import Resource
from shuzha.core.actor import Actor
from shuzha.core.errors import Invalid
from shuzha.oversight.model import ALERT, RECALLED, Alert, AlertKind, AlertState, OrderKind, OrderVerb
from shuzha.portal.desk import Desk, Show, Verb, actor_of, parse
from shuzha.portal.render import speech_of
from shuzha.portal.services import Services

VERBS = (
    Verb("look", "I am looking at it"),
    Verb("close", "Close the alert", reason=True),
)
FIGURES = {
    "uses": "Calls", "usual_a_day": "Usual on a day", "times_usual": "Times the usual", "share": "Share",
    "uses_at_night": "Calls at night", "uses_in_24_hours": "Calls in 24 hours", "negative": "Answers that say no",
    "keys": "Keys made", "limit": "Limit", "least_uses": "From so many calls on", "days_of_history": "Days looked back",
    "from_hour": "From the hour", "to_hour": "To the hour", "keys_a_day": "Keys a day",
    "distinct": "Different subjects",
    "refused": "Calls refused",
}  # fmt: skip
SUSPENDED_BY = {OrderKind.KEY: "Suspend its key", OrderKind.CONSUMER: "Suspend the consumer",
                OrderKind.PRODUCT: "Suspend the product"}  # fmt: skip
ALL = (*FIGURES.values(), *SUSPENDED_BY.values())


class SupervisionPages:
    """The pages of alerts, orders and notices."""

    def __init__(self, desk: Desk, services: Services) -> None:
        self._desk = desk
        self._services = services

    def router(self) -> APIRouter:
        """Return the routes of these pages."""
        router = APIRouter()
        router.add_api_route("/alerts", self.show_alerts, methods=["GET"])
        router.add_api_route("/alerts/rules/{kind}", self.set_rule, methods=["POST"])
        router.add_api_route("/alerts/{alert_id}", self.show_alert, methods=["GET"])
        router.add_api_route("/alerts/{alert_id}/act", self.act, methods=["POST"])
        router.add_api_route("/alerts/{alert_id}/{verb}", self.move, methods=["POST"])
        router.add_api_route("/orders", self.show_orders, methods=["GET"])
        router.add_api_route("/orders", self.place, methods=["POST"])
        router.add_api_route("/orders/{order_id}", self.show_order, methods=["GET"])
        router.add_api_route("/notices", self.show_notices, methods=["GET"])
        router.add_api_route("/notices/{notice_id}/receive", self.receive, methods=["POST"])
        return router

    def show_alerts(self, request: Request, show: str = "") -> Response:
        """Show the alerts: those that wait for somebody, or all; and the limits."""
        return self._alerts(request, everything=show == "every")

    def set_rule(
        self, request: Request, kind: str, names: Annotated[list[str], Form()], values: Annotated[list[str], Form()],
        reason: Annotated[str, Form()] = "",
    ) -> Response:  # fmt: skip
        """Set the limits of one kind of alert."""
        actor = actor_of(request)

        def act() -> object:
            given = dict(zip(names, map(_number, values), strict=True))
            return self._services.alerts.set_rule(actor, parse(AlertKind, kind), given, reason)

        return self._desk.attempt(
            request, act, "/alerts", lambda said, status: self._alerts(request, said, status), "set"
        )

    def show_alert(self, request: Request, alert_id: str) -> Response:
        """Show one alert with its figures, and what may be done."""
        return self._alert(request, alert_id)

    def move(self, request: Request, alert_id: str, verb: str, reason: Annotated[str, Form()] = "") -> Response:
        """Look at an alert, or close it."""
        actor, alerts = actor_of(request), self._services.alerts
        actions = {
            "look": lambda: alerts.look(actor, alert_id), "close": lambda: alerts.close(actor, alert_id, reason),
        }  # fmt: skip
        return self._desk.act(request, actions, verb, f"/alerts/{alert_id}", self._again(request, alert_id))

    def act(
        self, request: Request, alert_id: str, kind: Annotated[str, Form()], reason: Annotated[str, Form()] = ""
    ) -> Response:
        """Suspend what an alert is about, with one decision."""
        actor = actor_of(request)
        return self._desk.attempt(
            request, lambda: self._services.alerts.act(actor, alert_id, parse(OrderKind, kind), reason),
            lambda order: f"/orders/{order.id}", self._again(request, alert_id), "suspend",
        )  # fmt: skip

    def show_orders(self, request: Request, kind: str = "", subject: str = "") -> Response:
        """Show the orders, and the form of a new one."""
        return self._orders(request, kind=kind, subject=subject)

    def place(
        self, request: Request, verb: Annotated[str, Form()], kind: Annotated[str, Form()],
        subject: Annotated[str, Form()], reason: Annotated[str, Form()] = "",
    ) -> Response:  # fmt: skip
        """Take something out of use with one decision."""
        actor = actor_of(request)
        return self._desk.attempt(
            request,
            lambda: self._services.orders.place(
                actor, parse(OrderVerb, verb), parse(OrderKind, kind), subject.strip(), reason
            ),
            lambda order: f"/orders/{order.id}",
            lambda said, status: self._orders(request, said, status, kind=kind, subject=subject), "order",
        )  # fmt: skip

    def show_order(self, request: Request, order_id: str) -> Response:
        """Show one order: what it hit, whom it was told, and their receipts."""
        actor = actor_of(request)
        order = self._services.orders.get_order(actor, order_id)
        return self._desk.page(
            request, "order.html", order=order, notices=self._services.orders.list_notices(actor, order=order.id),
            titles=self._titles(actor, request), recall=order.verb is OrderVerb.RECALL,
        )  # fmt: skip

    def show_notices(self, request: Request) -> Response:
        """Show what a buyer was told of recalls."""
        return self._notices(request)

    def receive(self, request: Request, notice_id: str) -> Response:
        """Give the receipt of a notice."""
        actor = actor_of(request)
        return self._desk.attempt(
            request, lambda: self._services.orders.receive(actor, notice_id), "/notices",
            lambda said, status: self._notices(request, said, status), "receive",
        )  # fmt: skip

    def _alerts(
        self, request: Request, errors: tuple[str, ...] | list[str] | object = (), status: int = 200, *,
        everything: bool = False,
    ) -> Response:  # fmt: skip
        actor = actor_of(request)
        found = self._services.alerts.list_alerts(actor, waiting=not everything)
        return self._desk.page(
            request, "alerts.html", status, errors=errors, alerts=found, everything=everything,
            rules=self._services.alerts.list_rules(actor), titles=self._titles(actor, request), figures=FIGURES,
            may_set=self._desk.can(actor, "alert:set", Resource("alert")),
        )  # fmt: skip

    def _alert(self, request: Request, alert_id: str, errors: object = (), status: int = 200) -> Response:
        actor = actor_of(request)
        alert = self._services.alerts.get_alert(actor, alert_id)
        resource = Resource("alert", alert.id)
        return self._desk.page(
            request, "alert.html", status, errors=errors, alert=alert, titles=self._titles(actor, request),
            verbs=self._desk.verbs(actor, ALERT, alert.state, resource, VERBS), figures=FIGURES,
            ways=_ways(alert) if self._desk.can(actor, "alert:act", resource) else [],
        )  # fmt: skip

    def _orders(
        self, request: Request, errors: object = (), status: int = 200, *, kind: str = "", subject: str = ""
    ) -> Response:
        actor = actor_of(request)
        orders = self._services.orders.list_orders(actor)
        return self._desk.page(
            request, "orders.html", status, errors=errors, orders=orders, titles=self._titles(actor, request),
            kinds=[one for one in OrderKind if one is not OrderKind.EXPORT], recalled=RECALLED, kind=kind,
            subject=subject, may_place=self._desk.can(actor, "order:place", Resource("order")),
        )  # fmt: skip

    def _notices(self, request: Request, errors: object = (), status: int = 200) -> Response:
        actor = actor_of(request)
        return self._desk.page(
            request, "notices.html", status, errors=errors, notices=self._services.orders.list_notices(actor),
            titles=self._titles(actor, request), mine=actor.has("consumer"),
        )  # fmt: skip

    def _again(self, request: Request, alert_id: str) -> Show:
        return lambda said, status: self._alert(request, alert_id, said, status)

    def _titles(self, actor: Actor, request: Request) -> dict[str, str]:
        language = speech_of(request).language
        return {one.id: one.title(language) for one in self._services.registry.list_products(actor)}


def _ways(alert: Alert) -> list[tuple[str, str]]:
    """Return what may be suspended over an alert, narrowest first, each with its label."""
    if alert.state not in (AlertState.OPEN, AlertState.LOOKED_AT):
        return []
    named = {OrderKind.KEY: alert.key, OrderKind.CONSUMER: alert.consumer, OrderKind.PRODUCT: alert.product}
    return [(kind.value, SUSPENDED_BY[kind]) for kind, identifier in named.items() if identifier]


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise Invalid("this limit is no number", rule="alert.rule", accepted="a number such as 0.5 or 200") from None
