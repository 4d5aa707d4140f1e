"""Webhooks (回调): where an app is told what happened, signed by the Standard Webhooks scheme.

A *notice* is one thing that happened, for one organisation. A *delivery* is a notice on its way to one webhook, with
every attempt that was made. The secret is derived from the platform's master key and stands in no record.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

import msgspec

from shuzha.core.errors import Invalid
from shuzha.core.lifecycle import Lifecycle, Move

MAX_WEBHOOKS = 20
MAX_URL = 500
MAX_FAILURES = 20
KEPT_DELIVERIES = 1_000
LEASE = dt.timedelta(seconds=60)
RETRIES = tuple(
    dt.timedelta(seconds=seconds) for seconds in (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
)
"""How long after each failed attempt the next one is made; after the last, some three days on, none is."""


class NoticeType(StrEnum):
    """What an app can be told of."""

    PRODUCT_SUSPENDED = "product.suspended"
    PRODUCT_RECALLED = "product.recalled"
    PRODUCT_RESTORED = "product.restored"
    PRODUCT_DELISTED = "product.delisted"
    INDEX_REFRESHED = "index.refreshed"
    QUOTA_NEAR = "quota.near"
    KEY_EXPIRING = "key.expiring"
    KEY_SUSPENDED = "key.suspended"
    STATEMENT_ISSUED = "statement.issued"
    TEST = "webhook.test"


class WebhookState(StrEnum):
    """Whether notices are sent."""

    ACTIVE = "active"
    DISABLED = "disabled"
    REMOVED = "removed"


WEBHOOK = Lifecycle(
    "webhook",
    WebhookState,
    WebhookState.ACTIVE,
    [
        Move("disable", (WebhookState.ACTIVE,), WebhookState.DISABLED, owner="consumer"),
        Move("enable", (WebhookState.DISABLED,), WebhookState.ACTIVE),
        Move("remove", (WebhookState.ACTIVE, WebhookState.DISABLED), WebhookState.REMOVED),
    ],
)


class DeliveryState(StrEnum):
    """Where a delivery stands."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Webhook:
    """One address of one app, with what it wants to hear of.

    `version` is that of the secret; the one before signs too until `overlap_until`. `failures` counts the attempts that
    failed since the last one that did not.
    """

    id: str
    organisation: str
    author: str
    app: str
    url: str
    types: tuple[NoticeType, ...]
    created_at: dt.datetime
    version: int = 1
    overlap_until: dt.datetime | None = None
    failures: int = 0
    state: WebhookState = WebhookState.ACTIVE
    reason: str = ""
    revision: int = 0


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try: when, how long it took, and what came back; `status` 0 means that nothing did, and `why` says why."""

    at: dt.datetime
    milliseconds: int
    status: int
    why: str = ""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A notice for one webhook; `about` is what it tells of, so that the same is told once."""

    id: str
    webhook: str
    organisation: str
    type: NoticeType
    about: str
    body: str
    made_at: dt.datetime
    next_at: dt.datetime
    attempts: tuple[Attempt, ...] = ()
    state: DeliveryState = DeliveryState.PENDING
    revision: int = 0


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing that happened, for one organisation; with `app`, for this one of its apps alone."""

    type: NoticeType
    organisation: str
    about: str
    data: Mapping[str, Any]
    app: str = ""


@dataclass(frozen=True, slots=True)
class NewWebhook:
    """A webhook with its secret: shown when it is made or rotated, and at no other moment."""

    webhook: Webhook
    secret: str

    def __repr__(self) -> str:
        return f"NewWebhook({self.webhook.id})"


def body_of(notice: Notice, at: dt.datetime) -> str:
    """Return the JSON that is sent: type, timestamp and data, as Standard Webhooks lays it out."""
    made = {"type": notice.type.value, "timestamp": at.isoformat(), "data": dict(notice.data)}
    return msgspec.json.encode(made).decode()


def secret_text(secret: bytes) -> str:
    """Return a secret as receivers' libraries take it: `whsec_` and base64."""
    return f"whsec_{base64.b64encode(secret).decode()}"


def signature_of(secrets: Sequence[bytes], identifier: str, at: dt.datetime, body: bytes) -> str:
    """Return the `webhook-signature` field: one `v1,` HMAC-SHA-256 for each secret, newest first.

    Standard Webhooks: over id, timestamp in seconds and body, joined by points.
    """
    signed = b"%b.%d.%b" % (identifier.encode(), int(at.timestamp()), body)
    made = (base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode() for secret in secrets)
    return " ".join(f"v1,{one}" for one in made)


def check_url(url: str, *, private: bool) -> None:
    """Refuse an address that notices cannot be sent to: by HTTPS only, but where private networks are allowed."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    schemes = ("https", "http") if private else ("https",)
    odd = (
        parts.username is not None
        or bool(parts.fragment)
        or (port is not None and port < 1024 and port not in (80, 443))
    )
    plain = url.isascii() and url.isprintable() and " " not in url
    if len(url) > MAX_URL or not plain or parts.scheme not in schemes or not parts.hostname or odd:
        raise Invalid(
            "a webhook refuses this address", rule="webhook.url", field="url",
            accepted="an address such as https://example.com/hook, on port 443, 80 or above 1023",
        )  # fmt: skip


def check_types(types: Sequence[NoticeType]) -> None:
    """Refuse a webhook that wants to hear of nothing, or of one thing twice."""
    if not types or len(set(types)) != len(types):
        raise Invalid(
            "a webhook wants to hear of something", rule="webhook.types",
            accepted=", ".join(one.value for one in NoticeType),
        )  # fmt: skip
