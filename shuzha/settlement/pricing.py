"""The verbs of prices: publish a plan, set a ceiling, set a permitted revenue. What has begun is never changed.

A price is the operating unit's to set (J23 art. 12(3)), below the ceiling that the authority enters with the decision
it rests on; what it may earn in all is the authority's to enter too.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from policies import Context, Policies, Resource
from products.registry.model import Product, ProductState
from products.registry.service import product_resource
from products.registry.store import PRODUCTS
from shuzha.authorization.store import AUTHORIZATIONS
from shuzha.core.actor import Actor
from shuzha.core.clock import city_date
from shuzha.core.errors import Invalid, NotFound
from shuzha.core.ids import new_id
from shuzha.core.money import Amount, Price
from shuzha.core.work import Database, Work
from shuzha.settlement.model import days_of
from shuzha.settlement.plans import MAX_FEN, MAX_HAO, Plan, Version, check_plan, counts_by_month, dearest_use
from shuzha.settlement.store import CAPS, CEILINGS, CLOSINGS, PRICES, Ceiling, PriceVersion, RevenueCap

_PRICED = (ProductState.LISTED, ProductState.IN_SERVICE, ProductState.SUSPENDED)


@dataclass(frozen=True, slots=True)
class NewPrice:
    """A plan to publish: from a day on, for everybody or (`consumer`) for one organisation."""

    plan: Plan
    valid_from: dt.date
    consumer: str = ""
    waived: bool = False
    waived_purposes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NewCap:
    """A permitted revenue to enter, in fen, for the months `first_period` to `last_period`."""

    first_period: str
    last_period: str
    cost_fen: int
    subsidy_fen: int
    profit_fen: int
    tax_fen: int
    source: str


class PricingService:
    """Price plans, ceilings and permitted revenues."""

    def __init__(self, database: Database, policies: Policies) -> None:
        self._database = database
        self._policies = policies

    def publish(self, actor: Actor, product_id: str, new: NewPrice) -> PriceVersion:
        """Return the published version of a product's plan.

        Refuses a day that is not in the future (past use keeps its price), a plan that counts over a month but does
        not begin on the first of one, a price above the ceiling, and a waiver for a purpose that is not the product's.
        """
        check_plan(new.plan)
        with self._database.work(actor) as work:
            product = work.get(PRODUCTS, product_id)
            self._policies.check(actor, "product:price", product_resource(product), Context(at=work.now()))
            _check_product(product, new)
            _check_day(new, city_date(work.now()))
            self._check_ceiling(work, product, new.plan, new.valid_from)
            identifier = new_id("prc")
            version = Version(
                identifier, product.id, new.consumer, new.valid_from, new.plan, new.waived, new.waived_purposes
            )
            made = PriceVersion(
                identifier, product.id, new.consumer, product.operator, new.valid_from, new.plan, new.waived,
                new.waived_purposes, version.sha256(), actor.id, work.now(),
            )  # fmt: skip
            work.add(PRICES, made)
            work.emit(
                "product:price_plan", product.id,
                f"product {product.code or product.id}: plan {identifier} from {new.valid_from.isoformat()}",
                data={"product": product.id, "version": identifier, "sha256": made.sha256},
            )  # fmt: skip
            return made

    def list_prices(self, actor: Actor, product_id: str) -> tuple[PriceVersion, ...]:
        """Return the versions of a product's plans that the actor may see, the newest first.

        A consumer sees what is for everybody and what is its own; who may not see the product gets NotFound.
        """
        with self._database.read() as work:
            product, context = work.get(PRODUCTS, product_id), Context(at=work.now())
            if not self._policies.can(actor, "product:view", product_resource(product), context):
                raise NotFound(f"no products with id {product_id}")
            found = work.list(PRICES, product=product_id)
        seller = actor.organisation == product.operator or any(map(actor.has, ("authority", "regulator", "platform")))
        shown = (one for one in found if seller or one.consumer in ("", actor.organisation))
        return tuple(sorted(shown, key=lambda one: (one.valid_from, one.id), reverse=True))

    def set_ceiling(self, actor: Actor, product_id: str, price: Price, valid_from: dt.date, source: str) -> Ceiling:
        """Return the ceiling price of a product from a day on (政府指导价上限); refuses a day before today, no source.

        It binds plans that are published from now on; one published before keeps its price while it stands.
        """
        _check_source(source)
        if price.hao > MAX_HAO:
            raise Invalid("the ceiling price is out of range", rule="price.ceiling", accepted=f"at most {MAX_HAO} 毫")
        with self._database.work(actor) as work:
            product = work.get(PRODUCTS, product_id)
            self._policies.check(actor, "price:cap", product_resource(product), Context(at=work.now()))
            if valid_from < city_date(work.now()):
                raise Invalid(
                    "a ceiling price for the past is refused", rule="price.ceiling", accepted="today or a later day",
                    field="valid_from",
                )  # fmt: skip
            made = Ceiling(new_id("cei"), product.id, valid_from, price.hao, source.strip(), actor.id, work.now())
            work.add(CEILINGS, made)
            work.emit(
                "price:ceiling", product.id, f"ceiling of {price.yuan()} yuan from {valid_from.isoformat()}",
                data={"product": product.id, "price": price.hao, "source": made.source},
            )  # fmt: skip
            return made

    def set_cap(self, actor: Actor, authorization_id: str, new: NewCap) -> RevenueCap:
        """Return the permitted revenue of an authorization over some months (最高准许收入).

        Refuses months of which one is settled or has a cap already, a permitted revenue below 0, and no source.
        """
        _check_source(new.source)
        days_of(new.first_period), days_of(new.last_period)
        if new.last_period < new.first_period:
            raise Invalid("the permitted revenue ends before it begins", rule="price.cap", field="last_period")
        for name in ("cost_fen", "subsidy_fen", "profit_fen", "tax_fen"):
            if not 0 <= getattr(new, name) <= MAX_FEN:
                raise Invalid(f"the permitted revenue's {name} is out of range", rule="price.cap", field=name)
        with self._database.work(actor) as work:
            authorization = work.get(AUTHORIZATIONS, authorization_id)
            resource = Resource("authorization", authorization.id, authorization.operator)
            self._policies.check(actor, "price:cap", resource, Context(at=work.now()))
            made = RevenueCap(
                new_id("cap"), authorization.id, new.first_period, new.last_period, new.cost_fen, new.subsidy_fen,
                new.profit_fen, new.tax_fen, new.source.strip(), actor.id, work.now(),
            )  # fmt: skip
            self._check_cap(work, made)
            work.add(CAPS, made)
            permitted = Amount(made.cap().permitted_fen).yuan()
            work.emit(
                "price:cap", authorization.id,
                f"permitted revenue of {permitted} yuan for {made.first_period} to {made.last_period}",
                data={"authorization": authorization.id, "permitted_fen": made.cap().permitted_fen},
            )  # fmt: skip
            return made

    def list_ceilings(self, actor: Actor, product_id: str) -> tuple[Ceiling, ...]:
        """Return the ceilings of a product, the newest first: public, as the authority's fees are (W25 art. 20)."""
        with self._database.read() as work:
            self._policies.check(actor, "price:view", Resource("price"), Context(at=work.now()))
            found = work.list(CEILINGS, product=product_id)
        return tuple(sorted(found, key=lambda one: one.valid_from, reverse=True))

    def list_caps(self, actor: Actor, authorization_id: str) -> tuple[RevenueCap, ...]:
        """Return the permitted revenues of an authorization, the newest first."""
        with self._database.read() as work:
            self._policies.check(actor, "price:view", Resource("price"), Context(at=work.now()))
            found = work.list(CAPS, authorization=authorization_id)
        return tuple(sorted(found, key=lambda one: one.first_period, reverse=True))

    def _check_ceiling(self, work: Work, product: Product, plan: Plan, valid_from: dt.date) -> None:
        found = work.list(CEILINGS, product=product.id)
        # A ceiling that begins later binds this plan from then on, unless another plan takes its place.
        inside = [one for one in found if one.valid_from <= valid_from]
        binding = max(inside, key=lambda one: one.valid_from, default=None)
        bounds = [one for one in (binding, *(one for one in found if one.valid_from > valid_from)) if one]
        for one in bounds:
            if dearest_use(plan) > one.price_hao:
                raise Invalid(
                    f"cannot price product {product.id}: a use may cost more than the ceiling allows",
                    rule=f"price.ceiling ({one.source})", accepted=f"at most {Price(one.price_hao).yuan()} yuan a use",
                    field="price",
                )  # fmt: skip

    @staticmethod
    def _check_cap(work: Work, made: RevenueCap) -> None:
        if made.cap().permitted_fen < 0:
            raise Invalid(
                "the permitted revenue is less than 0", rule="price.cap", accepted="a subsidy that the rest covers",
                field="subsidy_fen",
            )  # fmt: skip
        for other in work.list(CAPS, authorization=made.authorization):
            if other.first_period <= made.last_period and made.first_period <= other.last_period:
                raise Invalid(
                    f"{made.authorization} has a permitted revenue for {other.first_period} to {other.last_period}",
                    rule="price.cap", accepted="other months", field="first_period",
                )  # fmt: skip
        newest = max((one.period for one in work.list(CLOSINGS)), default="")
        if made.first_period <= newest:
            raise Invalid(
                f"{newest} is settled", rule="price.cap", accepted=f"months after {newest}", field="first_period"
            )


def _check_product(product: Product, new: NewPrice) -> None:
    if product.state not in _PRICED:
        raise Invalid(f"cannot price product {product.id}: it is {product.state.value}", rule="product.price")
    unknown = sorted(set(new.waived_purposes) - set(product.purposes))
    if unknown:
        raise Invalid(
            f"cannot waive purpose `{unknown[0]}` of product {product.id}", rule="product.waiver",
            accepted=", ".join(product.purposes), field="waived_purposes",
        )  # fmt: skip


def _check_day(new: NewPrice, today: dt.date) -> None:
    if new.valid_from <= today:
        raise Invalid(
            f"cannot price from {new.valid_from.isoformat()}: past use keeps its price", rule="price.version",
            accepted="a day after today", field="valid_from",
        )  # fmt: skip
    if counts_by_month(new.plan) and new.valid_from.day != 1:
        raise Invalid(
            "a plan that counts over a month begins on the first of one", rule="price.version",
            accepted="the first of a month, or a price a call or a day", field="valid_from",
        )  # fmt: skip


def _check_source(source: str) -> None:
    if not source.strip() or len(source) > 500:
        raise Invalid(
            "a price rule without its source is refused", rule="price.source", accepted="the decision it rests on",
            field="source",
        )  # fmt: skip
