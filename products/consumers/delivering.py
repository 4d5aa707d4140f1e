"""How notices reach webhooks: stored for each, sent by jobs, tried again with growing pauses, logged.

A delivery is claimed in one unit of work and reported in another, so that nothing is locked while somebody else's
server is waited for. A process that dies between the two leaves the claim, which runs out after a minute.
"""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import sqlalchemy as sa

from products.consumers.posting import Network, Outcome, send
from products.consumers.webhook_model import (
    KEPT_DELIVERIES,
    LEASE,
    MAX_FAILURES,
    RETRIES,
    Attempt,
    Delivery,
    DeliveryState,
    Notice,
    Webhook,
    WebhookState,
    signature_of,
)
from products.consumers.webhook_store import DELIVERIES, WEBHOOKS
from products.consumers.webhooks import WebhookService, add_delivery
from shuzha.core.actor import platform_actor
from shuzha.core.errors import Conflict
from shuzha.core.work import Database, Work

DELIVER = "webhooks.deliver"
AGENT = "Shuzha-Webhooks/1"
GONE = 410
AT_ONCE = 1

Send = Callable[[str, Mapping[str, str], bytes, Sequence[Network]], Outcome]


class Deliveries:
    """The way of notices to their webhooks, for the worker alone."""

    def __init__(
        self, database: Database, webhooks: WebhookService, private: Sequence[Network] = (), post: Send = send
    ) -> None:
        self._database = database
        self._webhooks = webhooks
        self._private = tuple(private)
        self._post = post
        # A silent receiver holds one of the worker's threads at most; the others go on with everything else.
        self._slots = threading.BoundedSemaphore(AT_ONCE)

    def announce(self, notices: Sequence[Notice]) -> tuple[str, ...]:
        """Store notices for the webhooks that want them and return the new deliveries' ids; a repeat stores nothing."""
        made: list[str] = []
        for notice in notices:
            with self._database.work(platform_actor("webhooks")) as work:
                for webhook in work.list(WEBHOOKS, organisation=notice.organisation, state=WebhookState.ACTIVE.value):
                    if notice.type in webhook.types and notice.app in ("", webhook.app):
                        try:
                            made.append(add_delivery(work, webhook, notice).id)
                        except Conflict:
                            continue  # It was told already.
        return tuple(made)

    def list_due(self) -> tuple[str, ...]:
        """Return the deliveries whose next attempt is due: what the worker asks for again and again."""
        with self._database.read() as work:
            due = DELIVERIES.table.c.next_at <= work.now()
            return tuple(one.id for one in work.list(DELIVERIES, due, state=DeliveryState.PENDING.value))

    def deliver(self, delivery_id: str) -> Delivery | None:
        """Make the next attempt of a delivery and return it as it is then; None where none is due, or no slot free."""
        if not self._slots.acquire(blocking=False):
            return None
        try:
            claimed = self._claim(delivery_id)
            if claimed is None:
                return None
            delivery, webhook, secrets = claimed
            at = self._database.clock.now()
            body = delivery.body.encode()
            headers = {
                "content-type": "application/json", "user-agent": AGENT, "webhook-id": delivery.id,
                "webhook-timestamp": str(int(at.timestamp())),
                "webhook-signature": signature_of(secrets, delivery.id, at, body),
            }  # fmt: skip
            outcome = self._post(webhook.url, headers, body, self._private)
            return self._report(delivery, Attempt(at, outcome.milliseconds, outcome.status, outcome.why), outcome)
        finally:
            self._slots.release()

    def forget_old(self) -> int:
        """Drop the oldest deliveries beyond the thousand that each webhook keeps; return how many."""
        dropped = 0
        with self._database.work(platform_actor("webhooks")) as work:
            for webhook in work.list(WEBHOOKS):
                old = work.list(DELIVERIES, newest_first=True, webhook=webhook.id)[KEPT_DELIVERIES:]
                gone = [one.id for one in old if one.state is not DeliveryState.PENDING]
                if gone:
                    work.connection.execute(sa.delete(DELIVERIES.table).where(DELIVERIES.table.c.id.in_(gone)))
                    dropped += len(gone)
        return dropped

    def _claim(self, delivery_id: str) -> tuple[Delivery, Webhook, list[bytes]] | None:
        with self._database.work(platform_actor("webhooks")) as work:
            delivery = work.find(DELIVERIES, delivery_id)
            if delivery is None or delivery.state is not DeliveryState.PENDING or delivery.next_at > work.now():
                return None
            webhook = work.get(WEBHOOKS, delivery.webhook)
            if webhook.state is not WebhookState.ACTIVE:
                work.save(DELIVERIES, replace(delivery, state=DeliveryState.FAILED))
                return None
            versions = [webhook.version]
            if webhook.overlap_until is not None and work.now() < webhook.overlap_until:
                versions.append(webhook.version - 1)
            claimed = work.save(DELIVERIES, replace(delivery, next_at=work.now() + LEASE))
            return claimed, webhook, [self._webhooks.secret(webhook.id, version) for version in versions]

    def _report(self, delivery: Delivery, attempt: Attempt, outcome: Outcome) -> Delivery:
        with self._database.work(platform_actor("webhooks")) as work:
            attempts = (*delivery.attempts, attempt)
            if outcome.is_taken:
                fresh = replace(delivery, attempts=attempts, state=DeliveryState.DELIVERED)
            elif len(attempts) > len(RETRIES) or outcome.status == GONE:
                fresh = replace(delivery, attempts=attempts, state=DeliveryState.FAILED)
            else:
                fresh = replace(delivery, attempts=attempts, next_at=work.now() + _pause(len(attempts)))
            saved = work.save(DELIVERIES, fresh)
            self._count(work, delivery.webhook, outcome)
            return saved

    def _count(self, work: Work, webhook_id: str, outcome: Outcome) -> None:
        """Count what failed in a row; a webhook that fails too often, or says that it is gone, is switched off."""
        webhook = work.get(WEBHOOKS, webhook_id)
        failures = 0 if outcome.is_taken else webhook.failures + 1
        if failures == webhook.failures:
            return
        fresh = replace(webhook, failures=failures)
        if webhook.state is WebhookState.ACTIVE and (failures >= MAX_FAILURES or outcome.status == GONE):
            why = (
                "its receiver says that it is gone"
                if outcome.status == GONE
                else f"{failures} attempts failed in a row"
            )
            fresh = replace(fresh, state=WebhookState.DISABLED, reason=why)
            work.emit("webhook:disable", webhook.id, f"webhook disabled: {why}", data={"reason": why})
        work.save(WEBHOOKS, fresh)


def _pause(attempts: int) -> dt.timedelta:
    return RETRIES[min(attempts, len(RETRIES)) - 1]
