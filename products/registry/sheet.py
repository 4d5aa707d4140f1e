"""The product sheet: everything that a buyer, or anybody, may know of a registered product, read from the live records.

What the operating unit wrote (`Sheet`) is a part of it; entries and fields, refresh, quality, price, limits and status
come from the catalogue, the grant and the register as they are now, so the sheet cannot say another thing than is sold.
It holds no row and no value of the data: samples are the shape of a question and of its answer.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from policies import ScopeSource
from products.registry.codes import ProductKind
from products.registry.model import Product, ProductState, Registration
from products.registry.outputs import read_verification
from products.registry.registering import name_of
from products.registry.registration import PUBLIC
from products.registry.service import RegistryService
from products.registry.store import PRODUCTS
from shuzha.catalog.model import BatchState, Entry, Receipt
from shuzha.catalog.store import BATCHES, ENTRIES
from shuzha.core.actor import Actor
from shuzha.core.clock import city_date
from shuzha.core.errors import NotFound
from shuzha.core.work import Database, Work
from shuzha.people.store import ORGANISATIONS

SERVED = frozenset({ProductState.LISTED, ProductState.IN_SERVICE, ProductState.SUSPENDED})


@dataclass(frozen=True, slots=True)
class Field:
    """One element of an entry that a product uses: its name, titles and type."""

    name: str
    title_zh: str
    title_en: str
    type: str


@dataclass(frozen=True, slots=True)
class Quality:
    """The newest batch of an entry: when it came, with which share of cells filled in the fields used, in per mille."""

    updated_at: dt.datetime
    days_ago: int
    filled_per_mille: int


@dataclass(frozen=True, slots=True)
class Source:
    """One entry that a product is made from; `quality` is None before its first batch."""

    entry: str
    code: str
    title_zh: str
    title_en: str
    provider: str
    provider_zh: str
    provider_en: str
    update_cycle: str
    grade: int
    fields: tuple[Field, ...]
    quality: Quality | None


@dataclass(frozen=True, slots=True)
class Sample:
    """How one asks and what comes back: the shapes, never a value of anybody's."""

    method: str
    path: str
    request: str
    response: str


@dataclass(frozen=True, slots=True)
class Limit:
    """A quota that the grant sets on all uses of a kind of output together: so many in a day, month or term."""

    uses: int
    per: str


@dataclass(frozen=True, slots=True)
class ProductSheet:
    """One product as anybody may read of it. `price_hao` is None before it is on the price list."""

    id: str
    kind: str
    title_zh: str
    title_en: str
    answers: str
    purposes: tuple[str, ...]
    refresh: str
    limits: str
    quotas: tuple[Limit, ...]
    contact: str
    operator: str
    operator_zh: str
    operator_en: str
    code: str | None
    registration: str
    registered_at: dt.datetime | None
    valid_until: dt.date | None
    state: str
    price_hao: int | None
    free_for: tuple[str, ...]
    sources: tuple[Source, ...]
    samples: tuple[Sample, ...]
    access_url: str
    page_url: str
    evidence: str
    deposited_at: dt.datetime
    versions: int


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the consumer API and the portal are."""

    api: str
    portal: str


class Sheets:
    """The sheets of products."""

    def __init__(
        self, database: Database, registry: RegistryService, scopes: ScopeSource, addresses: Addresses
    ) -> None:
        self._database = database
        self._registry = registry
        self._scopes = scopes
        self._addresses = addresses

    def read(self, actor: Actor, product_id: str) -> ProductSheet:
        """Return the sheet of a product that the actor may see, or raise NotFound."""
        product = self._registry.get(actor, product_id)
        with self._database.read() as work:
            return self._write(work, product)

    def read_public(self, name: str) -> ProductSheet:
        """Return the sheet of a product by its code or id; raises NotFound for one that is not public.

        A product is public from its notice on.
        """
        with self._database.read() as work:
            found = work.find(PRODUCTS, name) or next(iter(work.list(PRODUCTS, code=name)), None)
            if found is None or found.registration not in PUBLIC:
                raise NotFound("no registered product has this code")
            return self._write(work, found)

    def encode_public(self, name: str) -> bytes:
        """Return a public product's sheet as JSON."""
        return msgspec.json.encode(self.read_public(name))

    def list_public(self) -> tuple[ProductSheet, ...]:
        """Return the sheets of the products that are registered now, newest first: the disclosure list."""
        with self._database.read() as work:
            found = work.list(PRODUCTS, newest_first=True, registration=Registration.VALID.value)
            return tuple(self._write(work, one) for one in found)

    def _write(self, work: Work, product: Product) -> ProductSheet:
        sheet, operator = product.sheet, work.find(ORGANISATIONS, product.operator)
        on_sale = product.state in SERVED
        return ProductSheet(
            product.id, product.kind.value, sheet.title_zh, sheet.title_en, sheet.answers, product.purposes,
            sheet.refresh, sheet.limits, self._quotas(product), sheet.contact, product.operator,
            name_of(work, product.operator), operator.title("en") if operator else product.operator, product.code,
            product.registration.value, product.coded_at, product.valid_until, product.state.value,
            product.price.hao if on_sale else None, product.waived_purposes, self._sources(work, product),
            samples_of(product), f"{self._addresses.api}/v1/products/{product.code or product.id}",
            f"{self._addresses.portal}/public/products/{product.code or product.id}", product.evidence.sha256,
            product.evidence.deposited_at, 1 + len(product.superseded),
        )  # fmt: skip

    def _quotas(self, product: Product) -> tuple[Limit, ...]:
        state = self._scopes.find_scope(product.grant)
        if state is None:
            return ()
        kept = {
            (line.quota.limit, line.quota.per.value) for line in state.scope.lines
            if line.quota is not None and product.kind.value in line.output_kinds
        }  # fmt: skip
        return tuple(Limit(uses, per) for uses, per in sorted(kept))

    def _sources(self, work: Work, product: Product) -> tuple[Source, ...]:
        entry = work.find(ENTRIES, product.entry)
        if entry is None:
            return ()
        provider = work.find(ORGANISATIONS, entry.provider)
        return (Source(
            entry.id, entry.code, entry.title.zh, entry.title.en, entry.provider, name_of(work, entry.provider),
            provider.title("en") if provider else entry.provider, entry.sheet.update_cycle.value, entry.grade,
            _fields(entry, product.columns), _quality(work, entry, product.columns),
        ),)  # fmt: skip


def samples_of(product: Product) -> tuple[Sample, ...]:
    """Return how a product of its form is asked, and the shape of what it answers."""
    return _SAMPLES[product.kind](product)


def _verification(product: Product) -> tuple[Sample, ...]:
    specification = read_verification(product.specification)
    subject = dict.fromkeys(specification.subject, "…")
    purpose = product.purposes[0] if product.purposes else "…"
    return tuple(
        Sample("POST", f"/v1/products/{product.code or product.id}/verify", _text({
            "subject": subject, "claim": claim.name, "purpose": purpose, "consent": "…",
        }), _text({"result": "match | no_match", "usage_id": "usg_…"}))
        for claim in specification.claims
    )  # fmt: skip


def _asked(method: str, verb: str, request: object, response: object) -> Callable[[Product], tuple[Sample, ...]]:
    def sample(product: Product) -> tuple[Sample, ...]:
        path = f"/v1/products/{product.code or product.id}/{verb}".replace("{name}", product.evidence.lineage.file)
        return (Sample(method, path, _text(request), _text(response)),)

    return sample


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


_FILE = _asked("GET", "files/{name}", "purpose=…", "the file, marked for its buyer")
_SAMPLES: dict[ProductKind, Callable[[Product], tuple[Sample, ...]]] = {
    ProductKind.VERIFICATION: _verification,
    ProductKind.COMPONENT: _FILE,
    ProductKind.REPORT: _FILE,
    ProductKind.MODEL: _asked(
        "POST", "predict", {"rows": [{"…": "…"}], "purpose": "…"}, {"predictions": ["…"], "usage_id": "usg_…"}
    ),
    ProductKind.SERVICE: _asked("GET", "query", "purpose=…&…", {"rows": [{"…": "…"}], "usage_id": "usg_…"}),
}


def _fields(entry: Entry, columns: tuple[str, ...]) -> tuple[Field, ...]:
    found = ((name, entry.find_element(name)) for name in columns)
    return tuple(
        Field(name, one.title.zh if one else name, one.title.en if one else name, one.type.value if one else "text")
        for name, one in found
    )


def _quality(work: Work, entry: Entry, columns: tuple[str, ...]) -> Quality | None:
    newest: Receipt | None = None
    for batch in work.list(BATCHES, entry=entry.id, state=BatchState.INGESTED.value):
        newest = batch.receipt or newest
    if newest is None:
        return None
    used = [one for one in newest.quality if one.name in columns]
    cells = newest.rows * len(used)
    filled = 1000 * (cells - sum(one.nulls for one in used)) // cells if cells else 1000
    days = (city_date(work.now()) - city_date(newest.received_at)).days
    return Quality(newest.received_at, max(0, days), filled)
