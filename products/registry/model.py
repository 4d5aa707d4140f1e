"""What a product is, and the two tables of its life: its registration and its service.

*Evidence* (存证) is deposited before anyone applies: hashes of the output and of its certificate, and its lineage. The
*sheet* says in words what the product answers. Registration is the registry's; service is the operating unit's.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from products.registry.codes import ProductKind
from products.registry.registration import Application, Commitment, check_texts, make_registration
from products.registry.registration import Registration as Registration
from products.registry.registration import check_notice_over as check_notice_over
from shuzha.core.errors import Invalid, NotAllowed
from shuzha.core.lifecycle import Lifecycle, Move
from shuzha.core.money import Price

FREE = Price(0)


class ProductState(StrEnum):
    """Where the service stands; only a product in service answers calls."""

    DESIGNED = "designed"
    LISTED = "listed"
    IN_SERVICE = "in_service"
    SUSPENDED = "suspended"
    DELISTED = "delisted"


_S = ProductState

REGISTRATION = make_registration("product")

PRODUCT = Lifecycle(
    "product",
    ProductState,
    _S.DESIGNED,
    [
        Move("list", (_S.DESIGNED,), _S.LISTED, owner="operator"),
        Move("start", (_S.LISTED,), _S.IN_SERVICE),
        Move("suspend", (_S.LISTED, _S.IN_SERVICE), _S.SUSPENDED, owner="operator"),
        Move("restore", (_S.SUSPENDED,), _S.IN_SERVICE),
        Move("refit", (_S.LISTED, _S.IN_SERVICE), _S.LISTED, owner="operator"),
        Move("refit", (_S.SUSPENDED,), _S.SUSPENDED, owner="operator"),
        Move("delist", (_S.LISTED, _S.IN_SERVICE, _S.SUSPENDED), _S.DELISTED),
    ],
)


@dataclass(frozen=True, slots=True)
class Lineage:
    """The ids behind a product, from the released file back to the raw entry."""

    export: str
    file: str
    workspace: str
    releases: tuple[str, ...]
    grant: str
    demand: str
    authorization: str
    entry: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was deposited, by hashes; `sha256` is that of all the rest in canonical JSON."""

    output_sha256: str
    output_size: int
    certificate_sha256: str
    lineage: Lineage
    deposited_at: dt.datetime
    sha256: str = ""

    def computed_sha256(self) -> str:
        """Return the hash of everything but itself."""
        plain = msgspec.to_builtins(self, order="sorted")
        del plain["sha256"]
        return hashlib.sha256(msgspec.json.encode(plain, order="sorted")).hexdigest()


@dataclass(frozen=True, slots=True)
class Sheet:
    """What a buyer reads before buying, in the operating unit's words; each field but `contact` may be in Chinese."""

    title_zh: str
    title_en: str
    answers: str
    refresh: str
    limits: str
    contact: str


@dataclass(frozen=True, slots=True)
class Product:
    """One product; `registration` and `state` are its two lives, `state_reason` says why the newest one changed.

    `due` is the last day of whoever's turn it is in the registration; `notice_left` the working days that a held notice
    had left. `superseded` is the evidence of what was served before a registered change, oldest first.
    """

    id: str
    kind: ProductKind
    sheet: Sheet
    operator: str
    author: str
    demand: str
    grant: str
    authorization: str
    entry: str
    columns: tuple[str, ...]
    purposes: tuple[str, ...]
    specification: str
    evidence: Evidence
    created_at: dt.datetime
    registration: Registration = Registration.EVIDENCE
    state: ProductState = ProductState.DESIGNED
    code: str | None = None
    price: Price = FREE
    waived_purposes: tuple[str, ...] = ()
    notice_text: str = ""
    accepted_at: dt.datetime | None = None
    review_due: dt.date | None = None
    noticed_at: dt.datetime | None = None
    notice_due: dt.date | None = None
    provisional_due: bool = False
    coded_at: dt.datetime | None = None
    valid_until: dt.date | None = None
    index_version: int = 0
    index_subjects: int = 0
    state_reason: str = ""
    suspended_by: str = ""
    application: Application | None = None
    commitment: Commitment | None = None
    applied_at: dt.datetime | None = None
    due: dt.date | None = None
    notice_left: int = 0
    reminded_on: dt.date | None = None
    superseded: tuple[Evidence, ...] = ()
    revision: int = 0

    @property
    def holder(self) -> str:
        """The organisation whose registration it is."""
        return self.operator

    def title(self, language: str) -> str:
        """Return the title in a language; any tag that starts with `zh` is Chinese."""
        return self.sheet.title_zh if language.startswith("zh") else self.sheet.title_en


def check_sheet(sheet: Sheet) -> None:
    """Refuse a sheet that leaves a buyer without an answer."""
    check_texts("the product sheet", sheet, "product.sheet")


def check_can_list(product: Product) -> None:
    """Refuse a price list entry for a product that is not validly registered (W25 art. 23)."""
    if product.registration is not Registration.VALID:
        raise Invalid(
            f"cannot list product {product.id}: its registration is {product.registration.value}",
            rule="product.registered (W25 art. 23)",
            accepted="a valid registration",
        )


def check_can_start(product: Product) -> None:
    """Refuse to start a verification product without an index, or a product whose registration has ended."""
    check_can_list(product)
    if product.kind is ProductKind.VERIFICATION and not product.index_version:
        raise Invalid(
            f"cannot start product {product.id}: it has no index", rule="product.index", accepted="a built index"
        )


def check_can_restore(product: Product, organisation: str, *, supervises: bool) -> None:
    """Refuse that an operating unit lifts a suspension which another body ordered (J23 art. 14)."""
    if product.suspended_by != organisation and not supervises:
        raise NotAllowed(
            f"cannot restore product {product.id}: another organisation suspended it",
            rule="product.restore (J23 art. 14)",
            accepted="a decision of the data authority",
        )


def check_waiver(product: Product, waived: tuple[str, ...]) -> None:
    """Refuse a waiver for a purpose that the grant does not name (计价免费: priced, metered and waived)."""
    unknown = sorted(set(waived) - set(product.purposes))
    if unknown:
        raise Invalid(
            f"cannot waive purpose `{unknown[0]}` of product {product.id}",
            rule="product.waiver",
            accepted=", ".join(product.purposes),
        )
