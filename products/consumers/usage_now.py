"""Usage as it stands this moment: per app, product and key, counted from the metered events themselves."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from products.consumers.apps import AppService
from products.consumers.model import ApiKey
from products.consumers.service import KeyService
from shuzha.core.actor import Actor
from shuzha.core.clock import Clock, city_date
from shuzha.core.errors import NotFound
from shuzha.metering.reports import UsageQuery, UsageReader

_DAY = dt.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class UsedNow:
    """What one product was used by one app: uses of today and of this month, and what the month costs so far, in 毫."""

    app: str
    product: str
    today: int
    month: int
    charged: int


@dataclass(frozen=True, slots=True)
class KeyUsed:
    """What one key was used for: uses of today, its quota of the day, and its last metered use."""

    key: str
    today: int
    quota: int
    last: dt.datetime | None


class UsageNow:
    """Live usage of apps; nothing is stored, so nothing is late."""

    def __init__(self, apps: AppService, keys: KeyService, clock: Clock, folder: Path) -> None:
        self._apps = apps
        self._keys = keys
        self._clock = clock
        self._folder = folder

    def of_app(self, actor: Actor, app_id: str) -> tuple[UsedNow, ...]:
        """Return the usage of an app that the actor may see, by product; raises NotFound for another."""
        self._apps.get_app(actor, app_id)
        return self._sum(self._keys.list_keys(actor, app=app_id))

    def of_all(self, actor: Actor) -> tuple[UsedNow, ...]:
        """Return the usage of every app that the actor may see, by app and product."""
        return self._sum(self._keys.list_keys(actor))

    def of_keys(self, actor: Actor, app_id: str) -> dict[str, KeyUsed]:
        """Return the usage of an app's keys by their ids; raises NotFound for an app that the actor may not see."""
        self._apps.get_app(actor, app_id)
        reader = self._open()
        try:
            return {key.id: self._key(reader, key) for key in self._keys.list_keys(actor, app=app_id)}
        finally:
            if reader is not None:
                reader.close()

    def _key(self, reader: UsageReader | None, key: ApiKey) -> KeyUsed:
        if reader is None:
            return KeyUsed(key.id, 0, key.daily_quota, None)
        today = city_date(self._clock.now())
        used = reader.totals(UsageQuery(key_id=key.id, first=today, end=today + _DAY)).quantity
        last = reader.list_uses(UsageQuery(key_id=key.id), limit=1)
        return KeyUsed(key.id, used, key.daily_quota, last[0].occurred_at if last else None)

    def _sum(self, keys: Iterable[ApiKey]) -> tuple[UsedNow, ...]:
        reader = self._open()
        if reader is None:
            return ()
        today = city_date(self._clock.now())
        first = today.replace(day=1)
        found: dict[tuple[str, str], list[int]] = {}
        try:
            for key in keys:
                for product in key.products or (key.product,):
                    month = UsageQuery(key_id=key.id, product=product, first=first, end=today + _DAY)
                    day = UsageQuery(key_id=key.id, product=product, first=today, end=today + _DAY)
                    sums, uses = reader.totals(month), reader.totals(day).quantity
                    line = found.setdefault((key.app, product), [0, 0, 0])
                    for place, value in enumerate((uses, sums.quantity, sums.charged)):
                        line[place] += value
        finally:
            reader.close()
        return tuple(UsedNow(*place, *line) for place, line in sorted(found.items()))

    def _open(self) -> UsageReader | None:
        try:
            return UsageReader(self._folder)
        except NotFound:
            return None
