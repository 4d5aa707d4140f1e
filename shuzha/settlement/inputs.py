"""What a settlement was computed from, besides the usage log: one canonical document that is kept with it and hashed.

It holds the signed agreements whole (so that their hash can be taken again and their terms read from them), the price
plans, the raw entries behind each product with their weights, the tax rate, the caps and who is a department. Whoever
has it and the usage log can compute the month again.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from shuzha.core.actor import SYSTEM_ORGANISATION
from shuzha.settlement.model import INFRASTRUCTURE, Cap, days_of
from shuzha.settlement.plans import Version
from shuzha.settlement.terms import Band, EntryShare, FixedShare, Terms

FORM = "shuzha/settlement-inputs/1"
_RATES = Path(__file__).with_name("vat.toml")


class Vat(msgspec.Struct, frozen=True):
    """The tax rate of a month, in basis points, and the rule that sets it."""

    rate: int
    source: str


class EntryInput(msgspec.Struct, frozen=True):
    """Whose a raw entry is, its weight in the provider's part, and how that was found."""

    provider: str
    weight: int
    evidence: str = ""


class ProductInput(msgspec.Struct, frozen=True):
    """A product: its agreement, the raw entries behind it, and by how many of whose columns each claim is answered.

    `provider` owns the entry of its grant.
    """

    code: str
    kind: str
    authorization: str
    provider: str
    entries: dict[str, EntryInput]
    claims: dict[str, dict[str, int]]


class AgreementInput(msgspec.Struct, frozen=True):
    """A signed agreement: the document, and its SHA-256 as it was signed."""

    document: dict[str, Any]
    sha256: str


class Inputs(msgspec.Struct, frozen=True):
    """The inputs of one settlement; months in `closed` were settled before it, the log up to `log_from` counted."""

    period: str
    sequence: int
    log_from: int
    log_size: int
    closed: tuple[str, ...]
    products: dict[str, ProductInput]
    agreements: dict[str, AgreementInput]
    versions: tuple[Version, ...]
    departments: tuple[str, ...]
    vat: Vat
    caps: tuple[Cap, ...]
    type: str = FORM

    def document(self) -> bytes:
        """Return its canonical JSON."""
        return canonical(self)

    def sha256(self) -> str:
        """Return the hash of its canonical JSON."""
        return hashlib.sha256(self.document()).hexdigest()


def canonical(value: object) -> bytes:
    """Return the one JSON text of a value: keys sorted, no spaces."""
    return msgspec.json.encode(msgspec.to_builtins(value, order="sorted"), order="sorted")


def read_inputs(text: str | bytes) -> Inputs:
    """Return the inputs of their JSON."""
    return msgspec.json.decode(text, type=Inputs)


def vat_of(period: str) -> Vat:
    """Return the tax rate on the first day of a month."""
    first = days_of(period)[0]
    found = [pair for pair in _rates() if pair[0] <= first]
    return max(found, key=lambda pair: pair[0])[1] if found else Vat(0, "none in force")


def terms_of(inputs: Inputs, earlier: Inputs | None = None) -> dict[str, Terms]:
    """Return the terms of each product, read from the signed documents.

    For a settled month that is corrected give its inputs as `earlier`: its terms and tax rate stay what they were.
    """
    vat = (earlier or inputs).vat.rate
    found = {name: _terms(inputs, name, one, vat) for name, one in inputs.products.items()}
    return found if earlier is None else {**found, **terms_of(earlier)}


def _terms(inputs: Inputs, name: str, product: ProductInput, vat: int) -> Terms:
    agreed = inputs.agreements[product.authorization]
    document = agreed.document
    income = document["agreement"]["income"]
    return Terms(
        authorization=product.authorization, infrastructure=income["infrastructure_rate"],
        shares=income["allocation"],
        organisations={
            "provider": product.provider, "platform": document["authority"] or SYSTEM_ORGANISATION,
            "operator": document["operator"],
        },
        agreement=agreed.sha256,
        fixed=tuple(FixedShare(one["party"], one["amount_fen"]) for one in income.get("fixed", ())),
        bands=tuple(Band(one["up_to_fen"], one["allocation"]) for one in income.get("bands", ())),
        versions=tuple(one for one in inputs.versions if one.product == name), vat=vat,
        entries={key: EntryShare(one.provider, one.weight) for key, one in product.entries.items()},
        claims=product.claims, is_infrastructure=product.kind == INFRASTRUCTURE,
        departments=frozenset(inputs.departments), code=product.code,
    )  # fmt: skip


@cache
def _rates() -> tuple[tuple[dt.date, Vat], ...]:
    found = tomllib.loads(_RATES.read_text("utf-8"))["rate"]
    return tuple((one["valid_from"], Vat(one["rate"], one["source"])) for one in found)
