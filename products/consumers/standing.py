"""How products stand, for anybody: when each was refreshed, and each time that it could not be called, and why."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import msgspec
import sqlalchemy as sa

from products.registry.model import Product, ProductState
from products.registry.store import PRODUCTS
from shuzha.core.work import OUTBOX, Database

DAYS = 90
_SHOWN = (ProductState.LISTED, ProductState.IN_SERVICE, ProductState.SUSPENDED)
_STOPS, _GOES_ON = ("product:suspend",), ("product:restore", "product:delist")
_REFRESHED = "product:build"


@dataclass(frozen=True, slots=True)
class Incident:
    """One time in which a product could not be called; without `until` it goes on."""

    since: dt.datetime
    until: dt.datetime | None
    reason: str


@dataclass(frozen=True, slots=True)
class Standing:
    """One product on the price list: whether it is served, its last refresh, its incidents of 90 days, newest first."""

    product: Product
    refreshed_at: dt.datetime | None
    incidents: tuple[Incident, ...]

    @property
    def serves(self) -> bool:
        """Whether it answers calls."""
        return self.product.state is ProductState.IN_SERVICE


class Standings:
    """Reads how products stand; nothing here is more than what is public."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def list_standings(self) -> tuple[Standing, ...]:
        """Return how each product on the price list stands, by code."""
        with self._database.read() as work:
            products = [one for one in work.list(PRODUCTS) if one.code and one.state in _SHOWN]
            since = work.now() - dt.timedelta(days=DAYS)
            tags = (*_STOPS, *_GOES_ON, _REFRESHED)
            columns = (OUTBOX.c.subject, OUTBOX.c.tag, OUTBOX.c.time, OUTBOX.c.data)
            asked = sa.select(*columns).where(OUTBOX.c.tag.in_(tags)).order_by(OUTBOX.c.sequence)
            events: dict[str, list[tuple[str, dt.datetime, str]]] = {}
            for subject, tag, time, data in work.connection.execute(asked):
                reason = str(msgspec.json.decode(data).get("reason", ""))
                events.setdefault(subject, []).append((tag, time, reason))
        found = [_standing(product, events.get(product.id, []), since) for product in products]
        return tuple(sorted(found, key=lambda one: one.product.code or ""))


def _standing(product: Product, events: list[tuple[str, dt.datetime, str]], since: dt.datetime) -> Standing:
    refreshed, begun, incidents = None, None, []
    for tag, time, reason in events:
        if tag == _REFRESHED:
            refreshed = time
        elif tag in _STOPS:
            begun = begun or (time, reason)
        elif begun is not None:
            incidents.append(Incident(begun[0], time, begun[1]))
            begun = None
    if begun is not None:
        incidents.append(Incident(begun[0], None, begun[1]))
    recent = [one for one in incidents if one.until is None or one.until >= since]
    return Standing(product, refreshed, tuple(reversed(recent)))
