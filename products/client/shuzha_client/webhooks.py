"""Notices that reach a webhook: whether the platform sent them (Standard Webhooks), and what they say."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .errors import NotGenuine


@dataclass(frozen=True, slots=True)
class Notice:
    """What happened. Keep `id`: a notice may come twice, and then has the same."""

    id: str
    type: str
    at: dt.datetime
    data: Mapping[str, Any]


def verify_webhook(secret: str, headers: Mapping[str, str], body: bytes, *, max_age: float = 300) -> Notice:
    """Return the notice of a request; raises NotGenuine for a wrong signature, and for one older than `max_age` s."""
    fields = {name.lower(): value for name, value in headers.items()}
    try:
        identifier, stamp = fields["webhook-id"], fields["webhook-timestamp"]
        key = base64.b64decode(secret.removeprefix("whsec_"))
        age = abs(time.time() - int(stamp))
    except (KeyError, ValueError):
        raise NotGenuine("the request has no signature") from None
    if age > max_age:
        raise NotGenuine("the notice was signed too long ago")
    made = hmac.new(key, f"{identifier}.{stamp}.".encode() + body, hashlib.sha256).digest()
    expected = f"v1,{base64.b64encode(made).decode()}"
    if not any(hmac.compare_digest(expected, one) for one in fields.get("webhook-signature", "").split(" ")):
        raise NotGenuine("the notice's signature does not hold")
    told = json.loads(body)
    return Notice(identifier, str(told["type"]), dt.datetime.fromisoformat(str(told["timestamp"])), told["data"])
