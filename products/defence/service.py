"""The verbs of limits and alarms."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

from policies import Context, Policies, Resource
from products.consumers.model import ApiKey
from products.consumers.store import KEYS
from products.defence.model import ALARM, Alarm, AlarmKind, ProductLimits, check_limits
from products.defence.store import ALARMS, LIMITS
from products.registry.codes import ProductKind
from products.registry.model import Product
from products.registry.service import product_resource
from products.registry.store import PRODUCTS
from shuzha.catalog.store import ENTRIES
from shuzha.core.actor import Actor
from shuzha.core.errors import Invalid, NotFound
from shuzha.core.ids import new_id
from shuzha.core.work import Database, Work


class DefenceService:
    """Limits of products, and alarms."""

    def __init__(self, database: Database, policies: Policies) -> None:
        self._database = database
        self._policies = policies

    def get_limits(self, actor: Actor, product_id: str) -> ProductLimits:
        """Return the limits of a verification product that the actor may see; the defaults where none were set."""
        with self._database.read() as work:
            product = work.get(PRODUCTS, product_id)
            context = Context(at=work.now())
            if not self._policies.can(actor, "product:view", product_resource(product), context):
                raise NotFound(f"no products with id {product_id}")
            return work.find(LIMITS, product_id) or ProductLimits(product_id)

    def set_limits(
        self, actor: Actor, product_id: str, reason: str, *, distinct_subjects: int, subject_asks: int, negatives: int
    ) -> ProductLimits:
        """Return the product's limits as they are from now on; every process counts by them within a second."""
        reason = _reason(reason)
        with self._database.work(actor) as work:
            product = work.get(PRODUCTS, product_id)
            self._policies.check(actor, "product:limit", product_resource(product), Context(at=work.now()))
            if product.kind is not ProductKind.VERIFICATION:
                raise Invalid(
                    f"product {product_id} has no subjects to limit", rule="product.limits",
                    accepted="a verification product",
                )  # fmt: skip
            before = work.find(LIMITS, product_id)
            made = replace(
                before or ProductLimits(product_id), distinct_subjects=distinct_subjects, subject_asks=subject_asks,
                negatives=negatives, set_by=actor.id, reason=reason, set_at=work.now(),
            )  # fmt: skip
            check_limits(made)
            saved = work.add(LIMITS, made) if before is None else work.save(LIMITS, made)
            data = {"distinct_subjects": distinct_subjects, "subject_asks": subject_asks, "negatives": negatives}
            work.emit("product:limit", product_id, f"limits of {product.code} set: {reason}", data=data)
        return saved

    def raise_alarm(
        self, actor: Actor, key_id: str, product_id: str, kind: AlarmKind, day: dt.date, limit: int
    ) -> Alarm | None:
        """Return the alarm that says so, or None where one of this key, limit and day is open already.

        Its event is the notice to operator, provider and supervisors.
        """
        with self._database.work(actor) as work:
            key, product = work.get(KEYS, key_id), work.get(PRODUCTS, product_id)
            made = _alarm(work, key, product, kind, day, limit)
            self._policies.check(actor, "alarm:raise", alarm_resource(made, made.operator), Context(at=work.now()))
            if made.round < 0:
                return None
            work.add(ALARMS, made)
            work.emit(
                "alarm:raise", made.id, f"key {key.prefix} reached `{kind}` ({limit} a day) of product {product.code}",
                data={
                    "product": product.id, "key": key.id, "consumer": made.consumer, "operator": made.operator,
                    "provider": made.provider, "entry": made.entry, "authorization": made.authorization,
                    "kind": kind.value, "day": day.isoformat(), "limit": limit, "stops": made.stops,
                },
            )  # fmt: skip
        return made

    def resolve_alarm(self, actor: Actor, alarm_id: str, reason: str) -> Alarm:
        """Return the alarm resolved; a key that it stopped asks on, with a new budget of the day."""
        reason = _reason(reason)
        with self._database.work(actor) as work:
            alarm = work.get(ALARMS, alarm_id)
            self._policies.check(actor, "alarm:resolve", alarm_resource(alarm, alarm.operator), Context(at=work.now()))
            move = ALARM.next(alarm.state, "resolve", alarm.id)
            saved = work.save(
                ALARMS,
                replace(alarm, state=move.target, resolved_by=actor.id, resolved_at=work.now(), reason=reason),
            )
            data = {"product": alarm.product, "key": alarm.key, "kind": alarm.kind.value, "reason": reason}
            work.emit("alarm:resolve", alarm.id, f"alarm about {alarm.kind} resolved: {reason}", data=data)
        return saved

    def get_alarm(self, actor: Actor, alarm_id: str) -> Alarm:
        """Return an alarm that the actor may see, or raise NotFound."""
        with self._database.read() as work:
            alarm = work.get(ALARMS, alarm_id)
            if not self._may_see(work, actor, alarm):
                raise NotFound(f"no alarms with id {alarm_id}")
            return alarm

    def list_alarms(self, actor: Actor, **equal: str) -> tuple[Alarm, ...]:
        """Return the alarms that the actor may see, newest first; keywords such as `product=` narrow them."""
        with self._database.read() as work:
            found = work.list(ALARMS, newest_first=True, **equal)
            return tuple(one for one in found if self._may_see(work, actor, one))

    def _may_see(self, work: Work, actor: Actor, alarm: Alarm) -> bool:
        # Three organisations have a part in it, and each sees it as its own.
        context = Context(at=work.now())
        return any(
            self._policies.can(actor, "alarm:view", alarm_resource(alarm, one), context)
            for one in dict.fromkeys((alarm.operator, alarm.provider, alarm.consumer))
        )


def alarm_resource(alarm: Alarm, organisation: str) -> Resource:
    """Return an alarm as the policy layer sees it, for one of the organisations that have a part in it."""
    return Resource("alarm", alarm.id, organisation, "", alarm.authorization)


def _alarm(work: Work, key: ApiKey, product: Product, kind: AlarmKind, day: dt.date, limit: int) -> Alarm:
    """Return the alarm to be; its round is -1 where one is open."""
    before = work.list(ALARMS, key=key.id, product=product.id, kind=kind.value, day=day)
    entry = work.find(ENTRIES, product.entry)
    is_open = any(one.state is ALARM.initial for one in before)
    return Alarm(
        new_id("alm"), product.id, key.id, kind, day, -1 if is_open else len(before), key.organisation,
        product.operator, entry.provider if entry is not None else "", product.entry, product.authorization, limit,
        kind is AlarmKind.NEGATIVES, work.now(),
    )  # fmt: skip


def _reason(reason: str) -> str:
    if not reason.strip() or len(reason) > 1000:
        raise Invalid("a decision without a reason", rule="decision.reason", accepted="a sentence that says why")
    return reason.strip()
