"""What apps are told of: made of the platform's events, and of what the clock and the meter say."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from products.consumers.model import ApiKey, KeyState
from products.consumers.store import KEYS
from products.consumers.webhook_model import Notice, NoticeType, WebhookState
from products.consumers.webhook_store import WEBHOOKS
from products.registry.model import Product
from products.registry.store import PRODUCTS
from shuzha.core.clock import city_date
from shuzha.core.errors import NotFound
from shuzha.core.work import Database, Event, Work
from shuzha.metering.reports import UsageQuery, UsageReader

RECALLED = "its export was recalled"
ORDERED = "recalled by order"
"""How the reason of a supervisor's recall begins."""
NEAR = (80, 100)
"""At which percent of a key's quota of the day its app is told."""
AHEAD = (14, 1)
"""How many days before a key's end its app is told."""

_OF_PRODUCT: Mapping[str, NoticeType] = {
    "product:suspend": NoticeType.PRODUCT_SUSPENDED,
    "product:restore": NoticeType.PRODUCT_RESTORED,
    "product:delist": NoticeType.PRODUCT_DELISTED,
    "product:build": NoticeType.INDEX_REFRESHED,
}
TAGS = (*_OF_PRODUCT, "key:suspend")
"""The events of this room that `Notices.of` understands."""


class Notices:
    """Makes notices; it sends nothing."""

    def __init__(self, database: Database, usage: Path) -> None:
        self._database = database
        self._usage = usage

    def of(self, event: Event) -> tuple[Notice, ...]:
        """Return the notices of an event: one for each app that has a key for the product, or the key's own app."""
        with self._database.read() as work:
            if event.tag == "key:suspend":
                key = work.find(KEYS, event.subject)
                why = {"reason": str(event.data.get("reason", ""))}
                return () if key is None else (_of_key(NoticeType.KEY_SUSPENDED, key, event.id, why),)
            kind = _OF_PRODUCT.get(event.tag)
            product = work.find(PRODUCTS, event.subject)
            if kind is None or product is None:
                return ()
            reason = str(event.data.get("reason", ""))
            if kind is NoticeType.PRODUCT_SUSPENDED and reason.startswith((RECALLED, ORDERED)):
                kind = NoticeType.PRODUCT_RECALLED
            told = _told(product) | ({"reason": reason} if reason else {}) | _index(kind, event)
            apps = {(key.organisation, key.app) for key in _keys_for(work, product)}
            return tuple(Notice(kind, owner, event.id, told, app) for owner, app in sorted(apps))

    def due(self) -> tuple[Notice, ...]:
        """Return what is to be told now of keys: a quota nearly used, an end that is near; a repeat is the same notice.

        Only for organisations that have a webhook: nothing is counted for the others.
        """
        with self._database.read() as work:
            listening = {one.organisation for one in work.list(WEBHOOKS, state=WebhookState.ACTIVE.value)}
            keys = [
                key for owner in sorted(listening)
                for key in work.list(KEYS, organisation=owner, state=KeyState.ACTIVE.value)
                if not key.has_expired(work.now())
            ]  # fmt: skip
            now = work.now()
        return (*self._ending(keys, now), *self._nearly_used(keys, now))

    def _ending(self, keys: list[ApiKey], now: dt.datetime) -> Iterator[Notice]:
        for key in keys:
            if key.expires_at is None:
                continue
            left = key.expires_at - now
            days = [each for each in AHEAD if left <= dt.timedelta(days=each)]
            if days:
                end = key.expires_at.isoformat()
                yield _of_key(NoticeType.KEY_EXPIRING, key, f"{key.id}:{end}:{min(days)}", {"expires_at": end})

    def _nearly_used(self, keys: list[ApiKey], now: dt.datetime) -> Iterator[Notice]:
        try:
            reader = UsageReader(self._usage)
        except NotFound:
            return
        day = city_date(now)
        try:
            for key in keys:
                query = UsageQuery(key_id=key.id, first=day, end=day + dt.timedelta(days=1))
                used = reader.totals(query).quantity
                reached = [percent for percent in NEAR if used * 100 >= key.daily_quota * percent]
                if reached:
                    told = {"used": used, "quota": key.daily_quota, "percent": max(reached), "day": day.isoformat()}
                    yield _of_key(NoticeType.QUOTA_NEAR, key, f"{key.id}:{day}:{max(reached)}", told)
        finally:
            reader.close()


def _keys_for(work: Work, product: Product) -> list[ApiKey]:
    return [key for key in work.list(KEYS) if key.covers(product.id) and key.state is not KeyState.REVOKED]


def _of_key(kind: NoticeType, key: ApiKey, about: str, told: dict[str, Any]) -> Notice:
    return Notice(
        kind, key.organisation, about, {"key": key.id, "name": key.name, "prefix": key.prefix} | told, key.app
    )


def _told(product: Product) -> dict[str, Any]:
    sheet = product.sheet
    return {"product": product.code or product.id, "title": {"zh": sheet.title_zh, "en": sheet.title_en}}


def _index(kind: NoticeType, event: Event) -> dict[str, Any]:
    if kind is not NoticeType.INDEX_REFRESHED:
        return {}
    return {"index": {name: event.data.get(name) for name in ("version", "subjects", "sha256")}}
