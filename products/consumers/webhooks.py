"""The verbs of webhooks: make, change the secret, switch off and on, try, send again."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace

from policies import Context, Policies, Resource
from products.consumers.app_model import AppState
from products.consumers.posting import Network
from products.consumers.store import APPS
from products.consumers.webhook_model import (
    MAX_WEBHOOKS,
    WEBHOOK,
    Delivery,
    DeliveryState,
    NewWebhook,
    Notice,
    NoticeType,
    Webhook,
    WebhookState,
    body_of,
    check_types,
    check_url,
    secret_text,
)
from products.consumers.webhook_store import DELIVERIES, WEBHOOKS
from shuzha.core.actor import Actor
from shuzha.core.errors import Invalid, NotFound
from shuzha.core.ids import new_id
from shuzha.core.keys import KeyRing
from shuzha.core.work import Database, Work

KEY_PURPOSE = "webhook"
OVERLAP = dt.timedelta(hours=24)
SHOWN = 200


class WebhookService:
    """The webhooks of consumers' apps."""

    def __init__(self, database: Database, policies: Policies, keys: KeyRing, private: Sequence[Network] = ()) -> None:
        self._database = database
        self._policies = policies
        self._keys = keys
        self._private = bool(private)

    def create_webhook(self, actor: Actor, app_id: str, url: str, types: Sequence[NoticeType]) -> NewWebhook:
        """Return a new webhook of an app with its secret; refuses others' apps, closed ones, and odd addresses."""
        check_url(url, private=self._private)
        check_types(types)
        with self._database.work(actor) as work:
            own = Resource("webhook", "", actor.organisation, actor.id)
            self._policies.check(actor, "webhook:create", own, Context(at=work.now()))
            app = work.get(APPS, app_id)
            if app.organisation != actor.organisation:
                raise NotFound(f"no apps with id {app_id}")
            if app.state is not AppState.ACTIVE:
                raise Invalid(f"no webhook for app {app.id}: it is {app.state.value}", rule="webhook.app")
            known = [one for one in work.list(WEBHOOKS, app=app.id) if one.state is not WebhookState.REMOVED]
            if len(known) >= MAX_WEBHOOKS:
                raise Invalid(
                    "an app refuses one more webhook", rule="webhook.count", accepted=f"at most {MAX_WEBHOOKS}"
                )
            made = Webhook(new_id("whk"), actor.organisation, actor.id, app.id, url, tuple(types), work.now())
            work.add(WEBHOOKS, made)
            work.emit("webhook:create", made.id, f"webhook of app {app.id} created", data={"app": app.id})
            return NewWebhook(made, secret_text(self.secret(made.id, made.version)))

    def rotate_webhook(self, actor: Actor, webhook_id: str) -> NewWebhook:
        """Return the webhook with a new secret; for a day each notice is signed by the older one too."""
        with self._database.work(actor) as work:
            found = self._get(work, actor, webhook_id, "rotate")
            fresh = replace(found, version=found.version + 1, overlap_until=work.now() + OVERLAP)
            saved = work.save(WEBHOOKS, fresh)
            work.emit("webhook:rotate", saved.id, f"secret {saved.version} of the webhook made")
            return NewWebhook(saved, secret_text(self.secret(saved.id, saved.version)))

    def disable_webhook(self, actor: Actor, webhook_id: str, reason: str) -> Webhook:
        """Return the webhook switched off: what happens meanwhile is not told later."""
        return self._move(actor, webhook_id, "disable", reason)

    def enable_webhook(self, actor: Actor, webhook_id: str, reason: str = "") -> Webhook:
        """Return the webhook switched on again, with its failures forgotten."""
        return self._move(actor, webhook_id, "enable", reason)

    def remove_webhook(self, actor: Actor, webhook_id: str, reason: str = "") -> Webhook:
        """Return the webhook removed, for good."""
        return self._move(actor, webhook_id, "remove", reason)

    def try_webhook(self, actor: Actor, webhook_id: str) -> Delivery:
        """Return the delivery of a test notice, which is sent at once, also to a webhook that did not ask for tests."""
        with self._database.work(actor) as work:
            found = self._get(work, actor, webhook_id, "try")
            _check_active(found)
            about = new_id("try")
            notice = Notice(NoticeType.TEST, found.organisation, about, {"webhook": found.id})
            delivery = add_delivery(work, found, notice)
            work.emit("webhook:try", found.id, "a test notice is sent", data={"delivery": delivery.id})
            return delivery

    def replay_delivery(self, actor: Actor, delivery_id: str) -> Delivery:
        """Return a delivery put on its way again, under its own id: receivers that keep ids see a repeat."""
        with self._database.work(actor) as work:
            delivery = work.get(DELIVERIES, delivery_id)
            webhook = self._get(work, actor, delivery.webhook, "replay")
            _check_active(webhook)
            if delivery.state is DeliveryState.PENDING:
                raise Invalid(f"delivery {delivery.id} is on its way", rule="webhook.replay", accepted="one that ended")
            saved = work.save(DELIVERIES, replace(delivery, state=DeliveryState.PENDING, next_at=work.now()))
            work.emit("webhook:replay", webhook.id, f"delivery {saved.id} sent again", data={"delivery": saved.id})
            return saved

    def get_webhook(self, actor: Actor, webhook_id: str) -> Webhook:
        """Return a webhook that the actor may see, or raise NotFound."""
        with self._database.read() as work:
            return self._get(work, actor, webhook_id, "view")

    def list_webhooks(self, actor: Actor, app_id: str) -> tuple[Webhook, ...]:
        """Return the webhooks of an app that the actor may see, oldest first, without the removed ones."""
        with self._database.read() as work:
            found = [one for one in work.list(WEBHOOKS, app=app_id) if one.state is not WebhookState.REMOVED]
            return tuple(one for one in found if self._may(work, actor, one, "view"))

    def list_deliveries(self, actor: Actor, webhook_id: str) -> tuple[Delivery, ...]:
        """Return the newest 200 deliveries of a webhook that the actor may see."""
        with self._database.read() as work:
            self._get(work, actor, webhook_id, "view")
            return work.list(DELIVERIES, newest_first=True, webhook=webhook_id)[:SHOWN]

    def secret(self, webhook_id: str, version: int) -> bytes:
        """Return the bytes of one version of a webhook's secret."""
        return self._keys.derive(KEY_PURPOSE, webhook_id, str(version))

    def _may(self, work: Work, actor: Actor, webhook: Webhook, verb: str) -> bool:
        return self._policies.can(actor, f"webhook:{verb}", webhook_resource(webhook), Context(at=work.now()))

    def _get(self, work: Work, actor: Actor, webhook_id: str, verb: str) -> Webhook:
        webhook = work.get(WEBHOOKS, webhook_id)
        if not self._may(work, actor, webhook, "view"):
            raise NotFound(f"no webhooks with id {webhook_id}")
        self._policies.check(actor, f"webhook:{verb}", webhook_resource(webhook), Context(at=work.now()))
        return webhook

    def _move(self, actor: Actor, webhook_id: str, verb: str, reason: str) -> Webhook:
        if len(reason) > 1000:
            raise Invalid("a reason is too long", rule="decision.reason", accepted="at most 1,000 letters")
        with self._database.work(actor) as work:
            found = self._get(work, actor, webhook_id, verb)
            move = WEBHOOK.next(found.state, verb, found.id)
            saved = work.save(WEBHOOKS, replace(found, state=move.target, reason=reason.strip(), failures=0))
            work.emit(f"webhook:{verb}", found.id, f"webhook {move.target.value}", data={"reason": saved.reason})
            return saved


def webhook_resource(webhook: Webhook) -> Resource:
    """Return the webhook as the policy layer sees it."""
    return Resource("webhook", webhook.id, webhook.organisation, webhook.author)


def add_delivery(work: Work, webhook: Webhook, notice: Notice) -> Delivery:
    """Store a notice for one webhook, due at once; raises Conflict where the same was told before."""
    now = work.now()
    made = Delivery(
        new_id("msg"), webhook.id, webhook.organisation, notice.type, notice.about, body_of(notice, now), now, now
    )
    return work.add(DELIVERIES, made)


def _check_active(webhook: Webhook) -> None:
    if webhook.state is not WebhookState.ACTIVE:
        raise Invalid(f"webhook {webhook.id} is {webhook.state.value}", rule="webhook.state", accepted="an active one")
