"""The tables of webhooks and of what is on its way to them."""

from __future__ import annotations

from products.consumers.webhook_model import WEBHOOK, Delivery, Webhook
from shuzha.core.records import Noun

WEBHOOKS = Noun("webhooks", Webhook, lifecycle=WEBHOOK, index=["organisation", "app"])
DELIVERIES = Noun("deliveries", Delivery, unique=[("webhook", "about")], index=["webhook", "state"])
