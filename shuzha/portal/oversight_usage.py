"""Usage beside money for supervisors, by product, consumer, operating unit, provider and time; charts, CSV, live."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.responses import Response

from shuzha.core.actor import Actor
from shuzha.core.clock import CITY_ZONE, city_date
from shuzha.core.errors import Invalid
from shuzha.oversight.live import Minute
from shuzha.oversight.usage import OwnedFact, Sum, Wanted, sum_by
from shuzha.portal.desk import Desk, actor_of
from shuzha.portal.i18n import Speech
from shuzha.portal.purposes import purpose_name
from shuzha.portal.render import speech_of
from shuzha.portal.services import Services
from shuzha.portal.sheets import csv_response

HEADS = (
    "day", "code", "product", "operator", "provider", "consumer", "purpose", "claim", "uses", "quantity", "price_hao",
    "waived", "charged_hao", "first", "last",
)  # fmt: skip
LABELS = 12
Column = tuple[str, float, str]


class OversightUsagePages:
    """The pages of usage beside money."""

    def __init__(self, desk: Desk, services: Services) -> None:
        self._desk = desk
        self._services = services

    def router(self) -> APIRouter:
        """Return the routes of these pages."""
        router = APIRouter()
        router.add_api_route("/oversight/usage", self.show, methods=["GET"])
        router.add_api_route("/oversight/usage.csv", self.sheet, methods=["GET"])
        return router

    def show(
        self, request: Request, first: str = "", last: str = "", product: str = "", consumer: str = "",
        operator: str = "", provider: str = "", purpose: str = "",
    ) -> Response:  # fmt: skip
        """Show the use of a span of days, filtered; the address holds every choice."""
        actor, speech = actor_of(request), speech_of(request)
        minutes = self._services.live.list_minutes(actor)
        wanted = self._wanted(first, last, product, consumer, operator, provider, purpose)
        span = Wanted(wanted.first, wanted.end)
        whole = self._services.usage_views.list_range(actor, span)
        facts = tuple(one for one in whole if wanted.fits(one))
        final = wanted.end - dt.timedelta(days=1)
        return self._desk.page(
            request, "oversight_usage.html", wanted=wanted, last=final, facts=facts, query=_query(wanted),
            choices=self._choices(whole, speech), uses=sum(one.fact.uses for one in facts),
            charged=sum(one.fact.charged for one in facts),
            waived=sum(one.fact.price * one.fact.quantity for one in facts if one.fact.waived),
            live=_minutes(minutes, speech), live_total=sum(one.total for one in minutes),
            live_products=self._products_now(actor, minutes, speech),
            days=_by_day(facts, wanted, lambda one: one.fact.uses, speech.number),
            money=_by_day(facts, wanted, lambda one: one.fact.charged, lambda value: speech.hao(int(value))),
            every=max(1, -(-(wanted.end - wanted.first).days // LABELS)), tables=self._tables(facts, wanted, speech),
        )  # fmt: skip

    def sheet(
        self, request: Request, first: str = "", last: str = "", product: str = "", consumer: str = "",
        operator: str = "", provider: str = "", purpose: str = "",
    ) -> Response:  # fmt: skip
        """Give the same as a CSV file."""
        actor = actor_of(request)
        self._services.live.list_minutes(actor, 1)  # Supervisors alone: others have their own usage's page.
        wanted = self._wanted(first, last, product, consumer, operator, provider, purpose)
        facts = self._services.usage_views.list_range(actor, wanted)
        return csv_response(f"usage-{wanted.first}-{wanted.end}", HEADS, map(_row, facts))

    def _wanted(self, first: str, last: str, *named: str) -> Wanted:
        today = city_date(self._desk.clock.now())
        begin = _day(first, today - dt.timedelta(days=29))
        return Wanted(begin, _day(last, today) + dt.timedelta(days=1), *named)

    def _choices(self, facts: Iterable[OwnedFact], speech: Speech) -> dict[str, list[tuple[str, str]]]:
        found: dict[str, dict[str, str]] = {
            "product": {}, "consumer": {}, "operator": {}, "provider": {}, "purpose": {},
        }  # fmt: skip
        for one in facts:
            found["product"][one.fact.product] = one.title(speech.language)
            found["purpose"][one.fact.purpose] = speech.t(purpose_name(one.fact.purpose))
            for field, organisation in _parties(one):
                found[field][organisation] = self._name(organisation, speech)
        return {field: sorted(names.items(), key=lambda pair: pair[1]) for field, names in found.items()}

    def _tables(
        self, facts: tuple[OwnedFact, ...], wanted: Wanted, speech: Speech
    ) -> list[tuple[str, str, list[tuple[str, Sum]]]]:
        ways: tuple[tuple[str, str, Callable[[OwnedFact], str], Callable[[str], str]], ...] = (
            ("product", speech.t("By product"), lambda one: one.fact.product,
             {one.fact.product: one.title(speech.language) for one in facts}.__getitem__),
            ("consumer", speech.t("By consumer"), lambda one: one.fact.consumer, lambda key: self._name(key, speech)),
            ("operator", speech.t("By operating unit"), lambda one: one.operator, lambda key: self._name(key, speech)),
            ("provider", speech.t("By provider"), lambda one: one.provider, lambda key: self._name(key, speech)),
        )  # fmt: skip
        return [
            (
                f"by-{field}", title,
                [(_query(wanted, **{field: one.key}), replace(one, key=name(one.key)))
                 for one in sum_by(facts, key)],
            )
            for field, title, key, name in ways
        ]  # fmt: skip

    def _products_now(self, actor: Actor, minutes: Iterable[Minute], speech: Speech) -> list[tuple[str, int]]:
        counts: Counter[str] = Counter()
        for one in minutes:
            counts.update(one.uses)
        titles = {one.id: one.title(speech.language) for one in self._services.registry.list_products(actor)}
        return [(titles.get(product, product), uses) for product, uses in counts.most_common(5)]

    def _name(self, organisation: str, speech: Speech) -> str:
        return self._desk.renderer.name_of(organisation, speech.language) if organisation else "—"


def _parties(one: OwnedFact) -> tuple[tuple[str, str], ...]:
    return ("consumer", one.fact.consumer), ("operator", one.operator), ("provider", one.provider)


def _day(text: str, otherwise: dt.date) -> dt.date:
    if not text:
        return otherwise
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise Invalid("this day is refused", rule="usage.span", accepted="YYYY-MM-DD") from None


def _query(wanted: Wanted, **other: str) -> str:
    fields = {
        "first": wanted.first.isoformat(), "last": (wanted.end - dt.timedelta(days=1)).isoformat(),
        "product": wanted.product, "consumer": wanted.consumer, "operator": wanted.operator,
        "provider": wanted.provider, "purpose": wanted.purpose,
    }  # fmt: skip
    return urlencode({name: value for name, value in (fields | other).items() if value})


def _by_day(
    facts: Iterable[OwnedFact], wanted: Wanted, measure: Callable[[OwnedFact], int], say: Callable[[float], str]
) -> list[Column]:
    sums: Counter[dt.date] = Counter()
    for one in facts:
        sums[one.fact.day] += measure(one)
    days = (wanted.first + dt.timedelta(days=place) for place in range((wanted.end - wanted.first).days))
    return [(f"{day.month}-{day.day}", sums[day], say(sums[day])) for day in days]


def _minutes(minutes: Iterable[Minute], speech: Speech) -> list[Column]:
    return [(f"{one.begins.astimezone(CITY_ZONE):%H:%M}", one.total, speech.number(one.total)) for one in minutes]


def _row(one: OwnedFact) -> tuple[object, ...]:
    fact = one.fact
    return (
        fact.day.isoformat(), one.code, fact.product, one.operator, one.provider, fact.consumer, fact.purpose,
        fact.claim, fact.uses, fact.quantity, fact.price, fact.waived, fact.charged, fact.first_index, fact.last_index,
    )  # fmt: skip
