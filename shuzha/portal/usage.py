"""Usage of a month as its owner sees it: by day, product and purpose, with what it costs so far; a CSV twin."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable

from fastapi import APIRouter, Request
from fastapi.responses import Response

from shuzha.core.actor import Actor
from shuzha.core.clock import city_date, month_before
from shuzha.oversight.usage import OwnedFact, UsageViews, sum_by
from shuzha.portal.desk import Desk, actor_of
from shuzha.portal.render import speech_of
from shuzha.portal.sheets import csv_response

_PERIOD = re.compile(r"20[0-9]{2}-(0[1-9]|1[0-2])")
HEADS = (
    "day",
    "code",
    "product",
    "consumer",
    "purpose",
    "claim",
    "uses",
    "price_hao",
    "waived",
    "charged_hao",
    "first",
    "last",
)


class UsagePages:
    """The pages of usage."""

    def __init__(self, desk: Desk, views: UsageViews) -> None:
        self._desk = desk
        self._views = views

    def router(self) -> APIRouter:
        """Return the routes of these pages."""
        router = APIRouter()
        router.add_api_route("/usage", self.show, methods=["GET"])
        router.add_api_route("/usage.csv", self.sheet, methods=["GET"])
        return router

    def show(self, request: Request, period: str = "") -> Response:
        """Show the usage of a month."""
        actor = actor_of(request)
        chosen, facts = self._read(actor, period)
        speech = speech_of(request)
        days = Counter[str]()
        for one in facts:
            days[one.fact.day.isoformat()] += one.fact.uses
        return self._desk.page(
            request, "usage.html", period=chosen, facts=facts, days=sorted(days.items()),
            products=sum_by(facts, lambda one: one.title(speech.language)),
            purposes=sum_by(facts, lambda one: one.fact.purpose), mine=actor.has("consumer"),
            uses=sum(one.fact.uses for one in facts), charged=sum(one.fact.charged for one in facts),
            waived=sum(one.fact.price * one.fact.quantity for one in facts if one.fact.waived),
        )  # fmt: skip

    def sheet(self, request: Request, period: str = "") -> Response:
        """Give the same usage as a CSV file."""
        chosen, facts = self._read(actor_of(request), period)
        return csv_response(f"usage-{chosen}", HEADS, map(_row, facts))

    def _read(self, actor: Actor, asked: str) -> tuple[str, tuple[OwnedFact, ...]]:
        present = f"{city_date(self._desk.clock.now()):%Y-%m}"
        return choose_month(asked, present, lambda month: self._views.list_facts(actor, month))


def choose_month(
    asked: str, present: str, read: Callable[[str], tuple[OwnedFact, ...]]
) -> tuple[str, tuple[OwnedFact, ...]]:
    """Return the asked month and its usage; without one the present month, or the last where this has none yet."""
    if _PERIOD.fullmatch(asked):
        return asked, read(asked)
    last = month_before(present)
    if not (facts := read(present)) and (earlier := read(last)):
        return last, earlier
    return present, facts


def _row(one: OwnedFact) -> tuple[object, ...]:
    fact = one.fact
    return (
        fact.day.isoformat(), one.code, fact.product, fact.consumer, fact.purpose, fact.claim, fact.uses, fact.price,
        fact.waived, fact.charged, fact.first_index, fact.last_index,
    )  # fmt: skip
