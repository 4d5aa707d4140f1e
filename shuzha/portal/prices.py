"""The prices of a product: its plans by day, its ceiling, and the forms to publish one and to set the other."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from products.registry.model import Product
from products.registry.service import RegistryService, product_resource
from shuzha.core.clock import city_date
from shuzha.core.errors import Invalid
from shuzha.core.money import HAO_PER_FEN, Price
from shuzha.portal.desk import Desk, Show, actor_of
from shuzha.portal.i18n import Speech
from shuzha.portal.products import read_price
from shuzha.settlement.plans import (
    ByTime,
    Graduated,
    Minimum,
    Package,
    PerCall,
    Plan,
    Subscription,
    Tier,
    Trial,
    Volume,
    read_plan,
)
from shuzha.settlement.pricing import NewPrice, PricingService

BASIC = ("per_call", "graduated", "volume", "package", "subscription", "by_time")


@dataclass(frozen=True, slots=True)
class PlanForm:
    """What the form of a plan sends; the fields that its type does not have are left out."""

    type: str
    yuan: str
    fee: str
    count: str
    free: str
    tiers: str

    def plan(self) -> Plan:
        """Return the plan; refuses a field that is no number."""
        if self.type in ("graduated", "volume"):
            return read_plan({"type": self.type, "tiers": [_tier(line) for line in self.tiers.splitlines() if line]})
        fields: dict[str, Callable[[], dict[str, object]]] = {
            "per_call": lambda: {"price": self._price()},
            "package": lambda: {"size": _whole(self.count), "price_fen": self._fee(), "free": _whole(self.free or "0")},
            "subscription": lambda: {
                "fee_fen": self._fee(), "included": _whole(self.count), "price": self._price(),
            },
            "by_time": lambda: {"price_fen": self._fee()},
        }  # fmt: skip
        return read_plan({"type": self.type, **fields.get(self.type, dict)()})

    def _price(self) -> int:
        return read_price(self.yuan or "0").hao

    def _fee(self) -> int:
        hao = read_price(self.fee or "0").hao
        if hao % HAO_PER_FEN:
            raise Invalid("a fee is in yuan and fen", rule="price.plan", accepted="at most two places", field="fee")
        return hao // HAO_PER_FEN


class PricePages:
    """The pages of prices."""

    def __init__(self, desk: Desk, pricing: PricingService, registry: RegistryService) -> None:
        self._desk = desk
        self._pricing = pricing
        self._registry = registry

    def router(self) -> APIRouter:
        """Return the routes of these pages."""
        router = APIRouter()
        router.add_api_route("/products/{product_id}/prices", self.show, methods=["GET"])
        router.add_api_route("/products/{product_id}/prices", self.publish, methods=["POST"])
        router.add_api_route("/products/{product_id}/ceilings", self.set_ceiling, methods=["POST"])
        return router

    def show(self, request: Request, product_id: str) -> Response:
        """Show the plans of a product, the newest first."""
        return self._page(request, product_id)

    def publish(
        self, request: Request, product_id: str, kind: Annotated[str, Form()], valid_from: Annotated[str, Form()],
        consumer: Annotated[str, Form()] = "", yuan: Annotated[str, Form()] = "", fee: Annotated[str, Form()] = "",
        count: Annotated[str, Form()] = "", free: Annotated[str, Form()] = "", tiers: Annotated[str, Form()] = "",
        waived: Annotated[str, Form()] = "",
    ) -> Response:  # fmt: skip
        """Publish a plan from a coming day on."""
        actor = actor_of(request)
        form = PlanForm(kind, yuan.strip(), fee.strip(), count.strip(), free.strip(), tiers)

        def publish() -> object:
            new = NewPrice(form.plan(), _day(valid_from), consumer.strip(), waived == "yes")
            return self._pricing.publish(actor, product_id, new)

        return self._desk.attempt(request, publish, f"/products/{product_id}/prices", self._again(request, product_id))

    def set_ceiling(
        self, request: Request, product_id: str, yuan: Annotated[str, Form()], valid_from: Annotated[str, Form()],
        source: Annotated[str, Form()],
    ) -> Response:  # fmt: skip
        """Set the most that one use may cost."""
        actor, pricing = actor_of(request), self._pricing
        return self._desk.attempt(
            request, lambda: pricing.set_ceiling(actor, product_id, read_price(yuan), _day(valid_from), source),
            f"/products/{product_id}/prices", self._again(request, product_id),
        )  # fmt: skip

    def _again(self, request: Request, product_id: str) -> Show:
        return lambda errors, status: self._page(request, product_id, errors, status)

    def _page(self, request: Request, product_id: str, errors: Sequence[str] = (), status: int = 200) -> Response:
        actor = actor_of(request)
        product: Product = self._registry.get_product(actor, product_id)
        resource = product_resource(product)
        today = city_date(self._desk.clock.now())
        may_see_ceilings = self._desk.can(actor, "price:view", resource)
        return self._desk.page(
            request, "prices.html", status, errors=errors, product=product, today=today.isoformat(),
            versions=self._pricing.list_prices(actor, product_id), say=say_plan, price=Price, types=BASIC,
            ceilings=self._pricing.list_ceilings(actor, product_id) if may_see_ceilings else (),
            next_month=_next_month(today).isoformat(),
            may_price=self._desk.can(actor, "product:price", resource),
            may_cap=self._desk.can(actor, "price:cap", resource),
        )  # fmt: skip


def say_plan(plan: Plan, speech: Speech) -> list[str]:
    """Return a plan in a reader's words, one line for each of its parts."""
    t, yuan = speech.t, speech.hao
    if isinstance(plan, Trial):
        return [t("{price} a use to {day}, then", price=yuan(plan.price), day=speech.date(plan.until)),
                *say_plan(plan.then, speech)]  # fmt: skip
    if isinstance(plan, Minimum):
        return [*say_plan(plan.then, speech), t("at least {sum} a month", sum=speech.fen(plan.minimum_fen))]
    if isinstance(plan, Graduated | Volume):
        head = t("each use at its tier") if isinstance(plan, Graduated) else t("all uses at the tier of their number")
        return [head, *(_say_tier(tier, speech) for tier in plan.tiers)]
    return [_say_basic(plan, speech)]


def _say_basic(plan: PerCall | Package | Subscription | ByTime, speech: Speech) -> str:
    t, number = speech.t, speech.number
    if isinstance(plan, PerCall):
        return t("{price} a use", price=speech.hao(plan.price))
    if isinstance(plan, Package):
        return t(
            "{sum} for each {count} uses, {free} free a month", sum=speech.fen(plan.price_fen),
            count=number(plan.size), free=number(plan.free),
        )  # fmt: skip
    if isinstance(plan, Subscription):
        return t(
            "{sum} a month with {count} uses, then {price} a use", sum=speech.fen(plan.fee_fen),
            count=number(plan.included), price=speech.hao(plan.price),
        )  # fmt: skip
    return t("{sum} for each day with a use", sum=speech.fen(plan.price_fen))


def _say_tier(tier: Tier, speech: Speech) -> str:
    reach = speech.t("beyond") if tier.up_to is None else speech.t("to {count}", count=speech.number(tier.up_to))
    flat = f" + {speech.fen(tier.flat_fen)}" if tier.flat_fen else ""
    return f"{reach}: {speech.hao(tier.price)}{flat}"


def _tier(line: str) -> dict[str, object]:
    reach, *rest = (part.strip() for part in line.replace("，", ",").split(","))
    price, flat = (rest[0] if rest else ""), rest[1:]
    return {
        "up_to": None if reach in ("", "-") else _whole(reach), "price": read_price(price).hao,
        "flat_fen": read_price(flat[0]).hao // HAO_PER_FEN if flat else 0,
    }  # fmt: skip


def _whole(text: str) -> int:
    if not text.isdecimal() or len(text) > 12:
        raise Invalid("the form names no whole number", rule="price.plan", accepted="a number such as 1000")
    return int(text)


def _day(text: str) -> dt.date:
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise Invalid(
            "the form names no day", rule="price.version", accepted="YYYY-MM-DD", field="valid_from"
        ) from None


def _next_month(day: dt.date) -> dt.date:
    return (day.replace(day=1) + dt.timedelta(days=32)).replace(day=1)
