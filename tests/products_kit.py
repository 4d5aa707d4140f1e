"""The small city with products: released files stand in for the airlock, everything below is real."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field

import polars as pl

from products.consumers.apps import AppService
from products.consumers.service import KeyService
from products.defence.service import DefenceService
from products.registry.cases import CaseService
from products.registry.codes import ProductKind
from products.registry.dossier import Dossiers
from products.registry.exports import ReleasedFile
from products.registry.model import Lineage, Product, Sheet
from products.registry.resources import ResourceService
from products.registry.service import RegistryService, RegistrySettings
from products.registry.sheet import Addresses, Sheets
from products.serving.index import IndexService
from shuzha.authorization.model import Grant
from shuzha.authorization.service import GrantScopes
from shuzha.catalog.model import Entry
from shuzha.core.actor import Actor
from shuzha.core.clock import end_of_day
from shuzha.core.errors import NotFound
from shuzha.core.money import Price
from tests.authorization_kit import person
from tests.releases_kit import ReleaseCity, payments

SHEET = Sheet(
    "社保参保核验", "insurance check", "Is this person insured?", "monthly", "one person a call", "li@example.com"
)
SUBJECT = ("resident_id",)
CERTIFICATE = b'{"record":"of a release that stands on the shelf"}'


def who(number: int) -> str:
    """Return a person of the register; the even ones paid their pension."""
    return f"37010219800101{number:04d}"


def half_paid(people: int = 200) -> pl.DataFrame:
    paid = pl.col("resident_id").str.slice(-4).cast(pl.Int32) % 2 == 0
    return payments(people).with_columns(paid=paid)


def insured(entry: Entry, **changes: object) -> bytes:
    """Return a specification with a claim that is true of about a half of the people."""
    claims = [
        {"name": "insured", "title": "pension paid in 2026-02", "where": [
            {"column": "kind", "op": "eq", "value": "pension"}, {"column": "paid", "op": "eq", "value": True},
        ]},
    ]  # fmt: skip
    made = {"kind": "verification", "entry": entry.id, "subject": list(SUBJECT), "claims": claims} | changes
    return json.dumps(made, ensure_ascii=False).encode()


@dataclass
class Shelf:
    """Released files by export and name."""

    files: dict[tuple[str, str], ReleasedFile] = field(default_factory=dict)
    recalled: dict[str, str] = field(default_factory=dict)

    def read_released(self, actor: Actor, export_id: str, file: str) -> ReleasedFile:
        if (export_id, file) not in self.files:
            raise NotFound(f"no export with id {export_id}")
        return self.files[export_id, file]

    def recall_of(self, export_id: str) -> str | None:
        return self.recalled.get(export_id)

    def read_certificate(self, actor: Actor, export_id: str) -> bytes:
        return CERTIFICATE


@dataclass
class ProductCity(ReleaseCity):
    """A city with a registry, an index job and keys."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.shelf = Shelf()
        scopes = GrantScopes(self.database)
        settings = RegistrySettings(self.folder / "products", "370100")
        self.registry = RegistryService(self.database, self.policies, self.law, self.shelf, scopes, settings, self.keys)
        self.resources = ResourceService(self.database, self.policies, self.law, settings, self.keys)
        registers = {"product": self.registry, "resource": self.resources}
        self.cases = CaseService(self.database, self.policies, self.law, registers)
        self.addresses = Addresses("http://api.localhost:8100", "http://portal.localhost:8000")
        self.sheets = Sheets(self.database, self.registry, scopes, self.addresses)
        self.dossiers = Dossiers(
            self.registry, self.cases, self.sheets, self.shelf, scopes, self.keys, self.addresses,
            lambda _tag, _subject: None,
        )  # fmt: skip
        self.index = IndexService(
            self.database, self.policies, self.registry, scopes, self.zone, self.keys, self.folder / "products"
        )
        self.defence = DefenceService(self.database, self.policies)
        self.apps = AppService(self.database, self.policies)
        self.api_keys = KeyService(self.database, self.policies)
        self.registrar = person("zheng", "org_registry", "registry")
        self.consumer = person("feng", "org_bank", "consumer")
        self.other_consumer = person("han", "org_shop", "consumer")

    def release_file(
        self,
        grant: Grant,
        content: bytes,
        *,
        form: str = "verification",
        file: str = "insured.json",
        specification: str = "",
    ) -> str:
        """Put a released file on the shelf and return its export's id."""
        export = f"exp_{len(self.shelf.files)}"
        digest = hashlib.sha256(content).hexdigest()
        lineage = Lineage(export, file, "wsp_1", ("rel_1",), grant.id, grant.demand, grant.authorization, grant.entry)
        self.shelf.files[export, file] = ReleasedFile(
            form,
            content,
            digest,
            hashlib.sha256(CERTIFICATE).hexdigest(),
            grant.operator,
            lineage,
            specification,
        )
        return export

    def deposited(
        self, grant: Grant, content: bytes, kind: ProductKind = ProductKind.VERIFICATION, **file: str
    ) -> Product:
        export = self.release_file(grant, content, **file)
        return self.registry.deposit(self.operator, export, file.get("file", "insured.json"), kind, SHEET)

    def coded(self, product: Product) -> Product:
        """Lead a registration through its verbs; the clock moves past the notice."""
        registry = self.registry
        registry.apply(self.operator, product.id)
        registry.accept(self.registrar, product.id)
        registry.pass_review(self.registrar, product.id)
        noticed = registry.announce(self.registrar, product.id, "拟赋码公示")
        assert noticed.notice_due is not None
        self.clock.advance(end_of_day(noticed.notice_due) - self.clock.now())
        registry.code(self.registrar, product.id)
        return registry.validate(self.registrar, product.id)

    def in_service(self, product: Product, price: int = 120, waived: tuple[str, ...] = ()) -> Product:
        self.registry.list_product(self.operator, self.coded(product).id, Price(price), waived)
        if product.kind is ProductKind.VERIFICATION:
            self.index.run_build(product.id)
            self.limited(product)
        return self.registry.start(self.operator, product.id)

    def limited(self, product: Product, subjects: int = 10**9, asks: int = 65_000, negatives: int = 10**9) -> None:
        """Set what may be asked of a product a day: as good as everything, where nothing else is said."""
        self.defence.set_limits(
            self.operator, product.id, "test", distinct_subjects=subjects, subject_asks=asks, negatives=negatives
        )

    def granted(self, people: int = 200, **changes: object) -> tuple[Entry, Grant]:
        """Return an entry with data and a grant on it for verification and reports."""
        entry = self.filled(half_paid(people))
        authorization = self.authorize(entry)
        return entry, self.grant(authorization, entry, **changes)

    def granted_elsewhere(self) -> tuple[Entry, Grant]:
        """Return another entry, with a grant on it."""
        entry = self.filled(half_paid(), "2020102")
        return entry, self.grant(self.authorize(entry), entry)

    def verification(self, people: int = 200, **changes: object) -> Product:
        """Return a verification product in service."""
        entry, grant = self.granted(people)
        return self.in_service(self.deposited(grant, insured(entry, **changes)))
