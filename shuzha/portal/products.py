"""Products: the price list, registration step by step, and one product with its sheet, lineage, index and keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from policies import Resource
from products.consumers.app_model import AppState
from products.consumers.model import ApiKey, KeyUse
from products.registry.codes import ProductKind
from products.registry.model import (
    PRODUCT,
    REGISTRATION,
    Product,
    ProductState,
    Registration,
    Sheet,
    check_notice_over,
)  # fmt: skip
from products.registry.service import product_resource, read_verification
from shuzha.core.actor import Actor
from shuzha.core.clock import city_date
from shuzha.core.errors import Invalid
from shuzha.core.money import HAO_PER_FEN, Price
from shuzha.portal.desk import Desk, Show, Verb, actor_of, parse, progress
from shuzha.portal.reading import read_claims
from shuzha.portal.services import Services

_R = Registration
WAY = (_R.EVIDENCE, _R.APPLIED, _R.ACCEPTED, _R.FORMAL_REVIEW, _R.PUBLIC_NOTICE, _R.CODED, _R.VALID)
SERVICE_WAY = (ProductState.DESIGNED, ProductState.LISTED, ProductState.IN_SERVICE)
ON_SALE = frozenset({ProductState.LISTED, ProductState.IN_SERVICE, ProductState.SUSPENDED})
REGISTERING = (
    Verb("apply", "Apply for registration"),
    Verb("accept", "Accept the application"),
    Verb("pass", "Pass the formal review"),
    Verb("announce", "Put on public notice"),
    Verb("resume", "Let the notice run on"),
    Verb("object", "Object", reason=True, tone="bad"),
    Verb("code", "Give the code"),
    Verb("validate", "Put in force"),
    Verb("supplement", "Ask for a supplement", reason=True, tone="bad"),
    Verb("refuse", "Refuse the registration", reason=True, tone="bad"),
    Verb("withdraw", "Withdraw the application", reason=True, tone="bad"),
)
SERVING = (
    Verb("list", "Put on the price list"),
    Verb("start", "Start the service"),
    Verb("restore", "Restore", reason=True),
    Verb("suspend", "Suspend", reason=True, tone="bad"),
    Verb("delist", "Delist for good", reason=True, tone="bad"),
)


class ProductPages:
    """The pages of products."""

    def __init__(self, desk: Desk, services: Services) -> None:
        self._desk = desk
        self._registry = services.registry
        self._keys = services.consumers
        self._apps = services.apps
        self._airlock = services.airlock
        self._api = services.settings.api_url

    def router(self) -> APIRouter:
        """Return the routes of these pages."""
        router = APIRouter()
        router.add_api_route("/products", self.show_list, methods=["GET"])
        router.add_api_route("/products", self.deposit, methods=["POST"])
        router.add_api_route("/products/new", self.new, methods=["GET"])
        router.add_api_route("/products/{product_id}", self.show, methods=["GET"])
        router.add_api_route("/products/{product_id}/price", self.price, methods=["POST"])
        router.add_api_route("/products/{product_id}/{verb}", self.move, methods=["POST"])
        return router

    def show_list(self, request: Request) -> Response:
        """Show products: those on the price list, and those in registration to whom they concern."""
        actor = actor_of(request)
        found = self._registry.list_products(actor)
        concerned = [
            one for one in found
            if one.state is ProductState.DESIGNED
            and (one.operator == actor.organisation or actor.roles & {"registry", "authority", "regulator"})
        ]  # fmt: skip
        return self._desk.page(
            request, "products.html", listed=[one for one in found if one.state in ON_SALE], registering=concerned,
            ended=[one for one in found if one.state is ProductState.DELISTED],
        )  # fmt: skip

    def new(self, request: Request, export: str = "", file: str = "") -> Response:
        """Show the form of a new product, of one released file."""
        return self._new(request, export, file)

    def show(self, request: Request, product_id: str) -> Response:
        """Show one product."""
        return self._product(request, product_id)

    def deposit(
        self, request: Request, export: Annotated[str, Form()], file: Annotated[str, Form()],
        kind: Annotated[str, Form()], title_zh: Annotated[str, Form()], title_en: Annotated[str, Form()],
        answers: Annotated[str, Form()], refresh: Annotated[str, Form()], limits: Annotated[str, Form()],
        contact: Annotated[str, Form()],
    ) -> Response:  # fmt: skip
        """Deposit the evidence of a released file: the first step of a product's registration."""
        actor = actor_of(request)

        def deposit() -> Product:
            sheet = Sheet(title_zh, title_en, answers, refresh, limits, contact)
            return self._registry.deposit(actor, export, file, parse(ProductKind, kind), sheet)

        show: Show = lambda errors, status: self._new(request, export, file, errors, status)  # noqa: E731
        return self._desk.attempt(request, deposit, lambda made: f"/products/{made.id}", show, "deposit")

    def price(
        self, request: Request, product_id: str, yuan: Annotated[str, Form()],
        waived: Annotated[list[str], Form()] = [],  # noqa: B006 - FastAPI copies a form's default
    ) -> Response:  # fmt: skip
        """Put a product on the price list, or change its price."""
        actor, registry = actor_of(request), self._registry

        def set_price() -> Product:
            price = read_price(yuan)
            found = registry.get_product(actor, product_id)
            verb = registry.list_product if found.state is ProductState.DESIGNED else registry.set_price
            return verb(actor, product_id, price, tuple(waived))

        return self._desk.attempt(
            request, set_price, f"/products/{product_id}", self._again(request, product_id), "price"
        )

    def move(self, request: Request, product_id: str, verb: str, reason: Annotated[str, Form()] = "") -> Response:
        """Move a product along its registration or its service."""
        actor, registry, one = actor_of(request), self._registry, product_id
        actions: dict[str, Callable[[], object]] = {
            "apply": lambda: registry.apply(actor, one),
            "accept": lambda: registry.accept(actor, one),
            "pass": lambda: registry.pass_review(actor, one),
            "announce": lambda: registry.announce(actor, one, reason),
            "object": lambda: registry.object_to(actor, one, reason),
            "code": lambda: registry.code(actor, one),
            "validate": lambda: registry.validate(actor, one),
            "supplement": lambda: registry.supplement(actor, one, reason),
            "refuse": lambda: registry.refuse(actor, one, reason),
            "withdraw": lambda: registry.withdraw(actor, one, reason),
            "resume": lambda: registry.resume(actor, one),
            "start": lambda: registry.start(actor, one),
            "suspend": lambda: registry.suspend(actor, one, reason),
            "restore": lambda: registry.restore(actor, one, reason),
            "delist": lambda: registry.delist(actor, one, reason),
        }
        return self._desk.act(request, actions, verb, f"/products/{one}", self._again(request, one))

    def _again(self, request: Request, product_id: str) -> Show:
        return lambda errors, status: self._product(request, product_id, errors, status)

    def _new(self, request: Request, export: str, file: str, errors: Sequence[str] = (), status: int = 200) -> Response:
        actor = actor_of(request)
        found = self._airlock.get_export(actor, export)
        chosen = found.find_file(file) or next(iter(found.files), None)
        form = chosen.form if chosen else ""
        kinds = [ProductKind.VERIFICATION] if form == "verification" else [
            ProductKind.REPORT, ProductKind.COMPONENT, ProductKind.SERVICE,
        ]  # fmt: skip
        return self._desk.page(
            request, "product_new.html", status, errors=errors, export=found, file=chosen, kinds=kinds
        )

    def _product(self, request: Request, product_id: str, errors: Sequence[str] = (), status: int = 200) -> Response:
        actor = actor_of(request)
        found = self._registry.get_product(actor, product_id)
        own = product_resource(found)
        registering = self._desk.verbs(actor, REGISTRATION, found.registration, own, REGISTERING)
        serving = self._desk.verbs(actor, PRODUCT, found.state, own, SERVING)
        claims = read_claims(found.specification.encode()) if found.specification else []
        may_key = found.state in ON_SALE and self._desk.can(actor, "key:create", self._key_resource(actor, found))
        return self._desk.page(
            request, "product.html", status, errors=errors, product=found, claims=claims,
            steps=progress(REGISTRATION, WAY, found.registration),
            service_steps=progress(PRODUCT, SERVICE_WAY, found.state), on_sale=found.state in ON_SALE,
            opens=self._desk.reachable(actor, own),
            verbs=[self._with_clock(found, verb) for verb in registering] + _ready(found, serving),
            may_price=self._desk.can(actor, "product:price", own) and (found.state in ON_SALE or _can_list(found)),
            notice_left=self._notice_left(found), keys=self._own_keys(actor, found), example=self._example(found),
            may_key=may_key, key_uses=tuple(KeyUse), apps=self._own_apps(actor) if may_key else [],
            others=self._others(actor, found) if may_key else [],
        )  # fmt: skip

    def _with_clock(self, found: Product, verb: Verb) -> Verb:
        """Return the verb greyed while the public notice runs."""
        if verb.name != "code" or verb.refusal:
            return verb
        try:
            check_notice_over(found, city_date(self._desk.clock.now()))
        except Invalid as error:
            return replace(verb, refusal=error.message)
        return verb

    def _notice_left(self, found: Product) -> int | None:
        if found.registration is not Registration.PUBLIC_NOTICE or found.notice_due is None:
            return None
        return max(0, self._desk.law.calendar.remaining(city_date(self._desk.clock.now()), found.notice_due))

    def _own_keys(self, actor: Actor, found: Product) -> tuple[ApiKey, ...]:
        return self._keys.list_keys(actor, product=found.id)

    def _own_apps(self, actor: Actor) -> list[tuple[str, str]]:
        """Return the apps that a key can be made for; the oldest is first, as it is where none is chosen."""
        return [(app.id, app.name) for app in reversed(self._apps.list_apps(actor)) if app.state is AppState.ACTIVE]

    def _others(self, actor: Actor, found: Product) -> list[Product]:
        """Return the other products on the price list that know a purpose of this one."""
        known = set(found.purposes)
        listed = [one for one in self._registry.list_products(actor) if one.state in ON_SALE and one.id != found.id]
        return [one for one in listed if known & set(one.purposes)]

    def _key_resource(self, actor: Actor, found: Product) -> Resource:
        return Resource("key", "", actor.organisation, actor.id, found.authorization, found.grant)

    def _example(self, found: Product) -> str:
        """Return a call that a consumer can paste into a terminal; the key and the subject are his to fill in."""
        if found.kind is not ProductKind.VERIFICATION or not found.code or not found.specification:
            return ""
        specification = read_verification(found.specification)
        subject = ", ".join(f'"{column}": "…"' for column in specification.subject)
        purpose = found.purposes[0] if found.purposes else "…"
        body = f'{{"subject": {{{subject}}}, "claim": "{specification.claims[0].name}", "purpose": "{purpose}"'
        body += ', "consent": "…"}'
        return (
            f"curl {self._api}/v1/products/{found.code}/verify \\\n"
            f'  -H "Authorization: Bearer $KEY" -H "Content-Type: application/json" \\\n'
            f"  -d '{body}'"
        )


def read_price(text: str) -> Price:
    """Return a price in yuan with at most four places; refuses anything else."""
    try:
        hao = Decimal(text.strip()) * HAO_PER_FEN * 100
    except InvalidOperation:
        hao = Decimal("0.5")
    if not hao.is_finite() or hao != hao.to_integral_value() or hao < 0:
        raise Invalid("the form names no price", rule="product.price", accepted="yuan with at most four places, 0.0375")
    return Price(int(hao))


def _can_list(found: Product) -> bool:
    return found.state is ProductState.DESIGNED and found.registration is Registration.VALID


def _ready(found: Product, verbs: list[Verb]) -> list[Verb]:
    """Return the service's buttons without `list`, which is a form of its own, and with why a start must wait."""
    waits = found.kind is ProductKind.VERIFICATION and not found.index_version
    shown = [verb for verb in verbs if verb.name != "list"]
    return [
        replace(verb, refusal=verb.refusal or "the index is being built by the platform's worker")
        if verb.name == "start" and waits else verb
        for verb in shown
    ]  # fmt: skip
