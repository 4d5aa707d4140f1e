"""Suspend or recall with one decision: a product, an authorization, an export, a key, or a whole consumer.

The supervisor decides, the platform carries it out under its own name in the same call: when it returns, every record
says so, and every process hears of it within a second. A recall also tells each buyer, and keeps their receipts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from policies import Context, Policies, Resource
from products.consumers.noticing import ORDERED
from products.consumers.store import APPS, KEYS
from products.registry.store import PRODUCTS
from shuzha.authorization.store import AUTHORIZATIONS
from shuzha.core.actor import Actor, platform_actor
from shuzha.core.errors import Conflict, Invalid, NotFound, ShuzhaError, TransitionNotAllowed
from shuzha.core.ids import new_id
from shuzha.core.work import Database, Event, Work
from shuzha.metering.reports import UsageReader
from shuzha.oversight.model import RECALLED, Hit, Notice, Order, OrderKind, OrderVerb, check_words
from shuzha.oversight.store import NOTICES, ORDERS

ALREADY, DONE = "already", "done"
_LIVING = ("listed", "in_service", "suspended")


class Means(Protocol):
    """What carries an order out: the verbs of the rooms, each by its thing's id."""

    def suspend_product(self, actor: Actor, identifier: str, reason: str) -> object:
        """Take a product out of service."""
        ...

    def suspend_authorization(self, actor: Actor, identifier: str, reason: str) -> object:
        """Suspend an authorization's data rights."""
        ...

    def suspend_key(self, actor: Actor, identifier: str, reason: str) -> object:
        """Let a key open nothing."""
        ...

    def suspend_app(self, actor: Actor, identifier: str, reason: str) -> object:
        """Let none of an app's keys open anything."""
        ...


@dataclass(frozen=True, slots=True)
class Buyer:
    """A consumer that used products: which, and how often."""

    consumer: str
    products: tuple[str, ...]
    uses: int


Buyers = Callable[[Sequence[str]], tuple[Buyer, ...]]
"""Gives who used any of these products."""


class Orders:
    """Orders, notices and receipts."""

    def __init__(self, database: Database, policies: Policies, means: Means, buyers: Buyers) -> None:
        self._database = database
        self._policies = policies
        self._means = means
        self._buyers = buyers

    def place(
        self, actor: Actor, verb: OrderVerb, kind: OrderKind, subject: str, reason: str, *, alert: str = ""
    ) -> Order:
        """Return the order, carried out: what it hit, and when all of that was out of use.

        Refuses whoever may not order, an unknown subject, an empty reason, and the recall of what nobody buys (a key
        or a consumer). What is out of use already stays so, and is named.
        """
        said = check_words(reason)
        if verb is OrderVerb.RECALL and kind not in RECALLED:
            raise Invalid(
                f"a {kind.value} is not recalled", rule="order.recall",
                accepted=f"suspend, or the recall of: {', '.join(sorted(RECALLED))}",
            )  # fmt: skip
        if kind is OrderKind.EXPORT:
            raise Invalid(
                "an export is recalled at the airlock", rule="order.export", accepted="its page, or export:recall"
            )
        with self._database.work(actor) as work:
            self._policies.check(actor, "order:place", Resource("order"), Context(at=work.now()))
            targets = _targets(work, kind, subject)
            order = Order(
                new_id("ord"), verb, kind, subject, said, actor.id, actor.organisation, work.now(), alert=alert
            )
            work.add(ORDERS, order)
            work.emit(
                "order:place", order.id, f"{verb.value} of {kind.value} {subject} ordered",
                data={"verb": verb.value, "kind": kind.value, "subject": subject, "reason": said},
            )  # fmt: skip
        platform = platform_actor("order")
        begins = ORDERED if verb is OrderVerb.RECALL else "suspended by order"
        hits = tuple(self._hit(platform, one, f"{begins} {order.id}: {said}") for one in targets)
        with self._database.work(platform) as work:
            order = work.save(ORDERS, replace(order, hits=hits, done_at=work.now()))
            work.emit(
                "order:carry_out", order.id, f"{len(hits)} things out of use by order {order.id}", approver=actor.id,
                data={"hits": [f"{hit.kind} {hit.id}: {hit.what}" for hit in hits]},
            )  # fmt: skip
        if verb is OrderVerb.RECALL:
            self._tell(order, _recalled(self._database, kind, subject))
        return order

    def follow_recall(self, event: Event) -> None:
        """Tell the buyers of what was made of a recalled export; a handler of the outbox, which bears a repeat."""
        reason = str(event.data.get("reason", "")) or event.content
        with self._database.work(platform_actor("order")) as work:
            known = [one for one in work.list(ORDERS, subject=event.subject) if one.verb is OrderVerb.RECALL]
            products = [one.id for one in work.list(PRODUCTS) if one.evidence.lineage.export == event.subject]
            if known:
                order = known[0]
            else:
                order = Order(
                    new_id("ord"), OrderVerb.RECALL, OrderKind.EXPORT, event.subject, reason, event.user, "",
                    event.time, tuple(Hit("product", one, DONE) for one in products), work.now(),
                )  # fmt: skip
                work.add(ORDERS, order)
                work.emit("order:carry_out", order.id, f"recall of export {event.subject} told to its buyers")
        self._tell(order, products)

    def list_orders(self, actor: Actor) -> tuple[Order, ...]:
        """Return the orders, newest first; for regulator and authority."""
        with self._database.read() as work:
            self._policies.check(actor, "order:view", Resource("order"), Context(at=work.now()))
            return work.list(ORDERS, newest_first=True)

    def get_order(self, actor: Actor, order_id: str) -> Order:
        """Return one order; for regulator and authority."""
        with self._database.read() as work:
            self._policies.check(actor, "order:view", Resource("order"), Context(at=work.now()))
            return work.get(ORDERS, order_id)

    def list_notices(self, actor: Actor, *, order: str | None = None) -> tuple[Notice, ...]:
        """Return the notices that the actor may see, newest first: a consumer's own, or all for a supervisor."""
        with self._database.read() as work:
            equal = {} if order is None else {"order": order}
            found = work.list(NOTICES, newest_first=True, **equal)
            return tuple(one for one in found if self._may(work, actor, "notice:view", one))

    def receive(self, actor: Actor, notice_id: str) -> Notice:
        """Return the notice with the actor's receipt: it was read; a second time changes nothing."""
        with self._database.work(actor) as work:
            notice = work.get(NOTICES, notice_id)
            if not self._may(work, actor, "notice:view", notice):
                raise NotFound(f"no notices with id {notice_id}")
            self._policies.check(actor, "notice:receive", _resource(notice), Context(at=work.now()))
            if notice.received_at is not None:
                return notice
            saved = work.save(NOTICES, replace(notice, received_by=actor.id, received_at=work.now()))
            work.emit("notice:receive", saved.id, f"recall {saved.order} read by {saved.consumer}")
            return saved

    def _may(self, work: Work, actor: Actor, permission: str, notice: Notice) -> bool:
        return self._policies.can(actor, permission, _resource(notice), Context(at=work.now()))

    def _hit(self, actor: Actor, target: tuple[str, str], reason: str) -> Hit:
        kind, identifier = target
        act = {
            "product": self._means.suspend_product, "authorization": self._means.suspend_authorization,
            "key": self._means.suspend_key, "app": self._means.suspend_app,
        }[kind]  # fmt: skip
        try:
            act(actor, identifier, reason)
        except TransitionNotAllowed:
            return Hit(kind, identifier, ALREADY)  # Out of use, or ended: nothing of it answers.
        except (ShuzhaError, Conflict) as error:
            return Hit(kind, identifier, error.message)
        return Hit(kind, identifier, DONE)

    def _tell(self, order: Order, products: Iterable[str]) -> None:
        recalled = list(products)
        if not recalled:
            return
        buyers = self._buyers(recalled)
        with self._database.work(platform_actor("order")) as work:
            told = {one.consumer for one in work.list(NOTICES, order=order.id)}
            for buyer in buyers:
                if buyer.consumer in told:
                    continue
                notice = Notice(
                    new_id("ntc"), order.id, buyer.consumer, buyer.products, buyer.uses, order.reason, work.now()
                )
                work.add(NOTICES, notice)
                work.emit(
                    "notice:send", notice.id, f"recall {order.id} told to {buyer.consumer}",
                    data={
                        "order": order.id, "consumer": buyer.consumer, "products": list(buyer.products),
                        "reason": order.reason,
                    },
                )  # fmt: skip


def _resource(notice: Notice) -> Resource:
    return Resource("notice", notice.id, notice.consumer)


def _targets(work: Work, kind: OrderKind, subject: str) -> list[tuple[str, str]]:
    match kind:
        case OrderKind.PRODUCT:
            return [("product", work.get(PRODUCTS, subject).id)]
        case OrderKind.KEY:
            return [("key", work.get(KEYS, subject).id)]
        case OrderKind.CONSUMER:
            apps = [("app", one.id) for one in work.list(APPS, organisation=subject) if one.state.value == "active"]
            keys = [("key", one.id) for one in work.list(KEYS, organisation=subject) if one.state.value == "active"]
            if not apps and not keys:
                raise NotFound(f"organisation {subject[:60]} has no key that opens anything")
            return [*apps, *keys]
        case _:
            found = work.get(AUTHORIZATIONS, subject)
            products = [one.id for one in work.list(PRODUCTS) if one.authorization == found.id and one.state in _LIVING]
            return [("authorization", found.id), *(("product", one) for one in products)]


def _recalled(database: Database, kind: OrderKind, subject: str) -> list[str]:
    if kind is OrderKind.PRODUCT:
        return [subject]
    with database.read() as work:
        return [one.id for one in work.list(PRODUCTS) if one.authorization == subject]


def find_buyers(folder: Path, products: Sequence[str]) -> tuple[Buyer, ...]:
    """Return who used any of these products, by the meter's table; waived use counts like any other."""
    try:
        reader = UsageReader(folder)
    except NotFound:
        return ()
    found: dict[str, dict[str, int]] = {}
    try:
        for product in products:
            for consumer, uses in reader.list_consumers(product):
                found.setdefault(consumer, {})[product] = uses
    finally:
        reader.close()
    return tuple(Buyer(one, tuple(sorted(used)), sum(used.values())) for one, used in sorted(found.items()))
