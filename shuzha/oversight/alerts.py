"""The verbs of alerts: the platform raises them from counted hours, a person looks, closes, or acts by an order."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from policies import Context, Policies, Resource
from products.consumers.store import KEYS
from shuzha.core.actor import Actor, platform_actor
from shuzha.core.ids import new_id
from shuzha.core.work import Database, Event, Work
from shuzha.oversight.anomalies import Oddity, find_many_keys, find_oddities
from shuzha.oversight.model import (
    ALERT,
    DEFAULT_RULES,
    Alert,
    AlertKind,
    AlertRule,
    AlertState,
    Order,
    OrderKind,
    OrderVerb,
    check_rule,
    check_words,
)
from shuzha.oversight.orders import Orders
from shuzha.oversight.patterns import Patterns
from shuzha.oversight.store import ALERT_RULES, ALERTS

LOOK_BACK_DAYS = 40


@dataclass(frozen=True, slots=True)
class RuleInForce:
    """The limits of one kind of alert as they hold now; `set_at` is None for the ones that the project ships."""

    kind: AlertKind
    values: Mapping[str, float]
    set_by: str
    set_at: dt.datetime | None
    reason: str


class Alerts:
    """Alerts and their limits."""

    def __init__(self, database: Database, policies: Policies, patterns: Patterns, orders: Orders) -> None:
        self._database = database
        self._policies = policies
        self._patterns = patterns
        self._orders = orders

    def watch(self, actor: Actor) -> int:
        """Count the newest use, raise an alert for each oddity that is new, and return how many were raised.

        For the platform, each minute. An oddity of a day raises one alert, whose figures follow it while it is open.
        """
        self._patterns.refresh()
        now = self._database.clock.now()
        hours = self._patterns.list_hours(now - dt.timedelta(days=LOOK_BACK_DAYS), now + dt.timedelta(hours=1))
        with self._database.read() as work:
            self._policies.check(actor, "alert:raise", Resource("alert"), Context(at=now))
            rules = {kind: rule.values for kind, rule in _rules(work).items()}
            keys = [(one.organisation, one.created_at) for one in work.list(KEYS)]
        found = (*find_oddities(hours, now, rules), *find_many_keys(keys, now, rules))
        return sum(self.raise_alert(actor, one) for one in found)

    def raise_alert(self, actor: Actor, found: Oddity) -> bool:
        """Store an oddity as an open alert and return True; a known one's figures are brought up to date while open.

        Also for rooms that watch by themselves, such as the enumeration defence.
        """
        where: dict[str, Any] = {
            "kind": found.kind.value, "consumer": found.consumer, "product": found.product, "key": found.key,
            "window": found.window,
        }  # fmt: skip
        with self._database.read() as work:
            self._policies.check(actor, "alert:raise", Resource("alert"), Context(at=work.now()))
            known = next(iter(work.list(ALERTS, **where)), None)
        if known is not None and (known.state is not AlertState.OPEN or known.figures == found.figures):
            return False
        with self._database.work(actor) as work:
            if known is not None:
                work.save(ALERTS, replace(known, figures=found.figures))
                return False
            alert = Alert(
                new_id("alr"), found.kind, found.consumer, found.product, found.key, found.window, found.figures,
                work.now(),
            )  # fmt: skip
            work.add(ALERTS, alert)
            work.emit(
                "alert:raise", alert.id, f"{found.kind.value} of {found.consumer}",
                data={"kind": found.kind.value, "consumer": found.consumer, "product": found.product},
            )  # fmt: skip
        return True

    def follow_alarm(self, event: Event) -> None:
        """Raise an alert over an alarm of the enumeration defence; a handler of the outbox, which bears a repeat."""
        told = event.data
        figures = {"limit": float(told.get("limit", 0))}
        consumer, product, key, day = (str(told.get(name, "")) for name in ("consumer", "product", "key", "day"))
        found = Oddity(AlertKind.ENUMERATION, consumer, product, key, day, figures)
        self.raise_alert(platform_actor("watch"), found)

    def look(self, actor: Actor, alert_id: str) -> Alert:
        """Return the alert marked as looked at by this person."""
        with self._database.work(actor) as work:
            return self._move(work, actor, alert_id, "look", "")

    def close(self, actor: Actor, alert_id: str, reason: str) -> Alert:
        """Return the alert closed: nothing is to be done, for a reason."""
        with self._database.work(actor) as work:
            return self._move(work, actor, alert_id, "close", check_words(reason))

    def act(self, actor: Actor, alert_id: str, kind: OrderKind, reason: str) -> Order:
        """Return the order that an alert led to: its key, product or consumer suspended with this one decision."""
        with self._database.read() as work:
            alert = work.get(ALERTS, alert_id)
            self._policies.check(actor, "alert:act", Resource("alert", alert.id), Context(at=work.now()))
            ALERT.next(alert.state, "act", alert.id)
        subject = {OrderKind.PRODUCT: alert.product, OrderKind.KEY: alert.key}.get(kind, alert.consumer)
        order = self._orders.place(actor, OrderVerb.SUSPEND, kind, subject, reason, alert=alert.id)
        with self._database.work(actor) as work:
            self._move(work, actor, alert_id, "act", order.reason, order.id)
        return order

    def list_alerts(self, actor: Actor, *, waiting: bool = False) -> tuple[Alert, ...]:
        """Return the alerts, newest first; only those that await somebody where `waiting` says so."""
        with self._database.read() as work:
            self._policies.check(actor, "alert:view", Resource("alert"), Context(at=work.now()))
            found = work.list(ALERTS, newest_first=True)
        return tuple(one for one in found if not waiting or one.state in (AlertState.OPEN, AlertState.LOOKED_AT))

    def get_alert(self, actor: Actor, alert_id: str) -> Alert:
        """Return one alert."""
        with self._database.read() as work:
            self._policies.check(actor, "alert:view", Resource("alert"), Context(at=work.now()))
            return work.get(ALERTS, alert_id)

    def list_rules(self, actor: Actor) -> tuple[RuleInForce, ...]:
        """Return the limits in force, of each kind."""
        with self._database.read() as work:
            self._policies.check(actor, "alert:view", Resource("alert"), Context(at=work.now()))
            return tuple(_rules(work).values())

    def set_rule(self, actor: Actor, kind: AlertKind, values: Mapping[str, float], reason: str) -> RuleInForce:
        """Return the limits of one kind as they hold from now on; refuses an unknown limit, and one out of range."""
        said = check_words(reason)
        whole = check_rule(kind, values)
        with self._database.work(actor) as work:
            self._policies.check(actor, "alert:set", Resource("alert"), Context(at=work.now()))
            known = work.find(ALERT_RULES, kind.value)
            rule = AlertRule(kind.value, whole, actor.id, work.now(), said, known.revision if known else 0)
            rule = work.add(ALERT_RULES, rule) if known is None else work.save(ALERT_RULES, rule)
            work.emit(
                "alert:set", kind.value, f"limits of {kind.value} set", data={"reason": said, "values": dict(whole)}
            )
        return RuleInForce(kind, rule.values, rule.set_by, rule.set_at, rule.reason)

    def _move(self, work: Work, actor: Actor, alert_id: str, verb: str, reason: str, order: str = "") -> Alert:
        alert = work.get(ALERTS, alert_id)
        self._policies.check(actor, f"alert:{verb}", Resource("alert", alert.id), Context(at=work.now()))
        move = ALERT.next(alert.state, verb, alert.id)
        saved = work.save(
            ALERTS,
            replace(
                alert, state=move.target, seen_by=actor.id, seen_at=work.now(), reason=reason or alert.reason,
                order=order or alert.order,
            ),
        )  # fmt: skip
        work.emit(f"alert:{verb}", saved.id, f"alert {saved.kind.value} {move.target.value}", data={"reason": reason})
        return saved


def _rules(work: Work) -> dict[AlertKind, RuleInForce]:
    stored: Iterable[AlertRule] = work.list(ALERT_RULES)
    known = {one.id: one for one in stored}
    found = {}
    for kind, values in DEFAULT_RULES.items():
        rule = known.get(kind.value)
        found[kind] = (
            RuleInForce(kind, values, "", None, "")
            if rule is None
            else RuleInForce(kind, {**values, **rule.values}, rule.set_by, rule.set_at, rule.reason)
        )
    return found
