"""Gathers the inputs of a settlement from the records: agreements as signed, prices, entries behind products."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from products.registry.codes import ProductKind
from products.registry.model import Product
from products.registry.service import read_verification
from products.registry.store import PRODUCTS
from shuzha.authorization.document import document_of
from shuzha.authorization.model import Authorization
from shuzha.authorization.store import AUTHORIZATIONS, GRANTS
from shuzha.core.errors import Conflict
from shuzha.core.work import Work
from shuzha.people.model import OrganisationKind
from shuzha.people.store import ORGANISATIONS
from shuzha.releases.store import RELEASES
from shuzha.settlement.inputs import (
    AgreementInput,
    EntryInput,
    Inputs,
    ProductInput,
    canonical,
    terms_of,
    vat_of,
)
from shuzha.settlement.model import INFRASTRUCTURE, days_of
from shuzha.settlement.plans import find_version, owed_without_use
from shuzha.settlement.store import CAPS, CONTRIBUTIONS, PRICES
from shuzha.settlement.terms import Terms

FREE_KINDS = frozenset({OrganisationKind.DEPARTMENT, OrganisationKind.AUTHORITY})


@dataclass(frozen=True, slots=True)
class Place:
    """A settlement's place among all: its number, and the part of the usage log that is its."""

    period: str
    sequence: int
    log_from: int
    log_size: int
    closed: tuple[str, ...]


def gather(work: Work, place: Place, used: Mapping[str, str]) -> Inputs:
    """Return the inputs of a settlement; refuses an agreement that is not the one that was signed.

    `used` is what was used, with its authorization. What is no product is infrastructure: a workspace's compute and
    storage, which the operating unit pays for (J23 art. 17).
    """
    products = sorted({*used, *_billed_anyway(work, place.period)})
    found = {one: _input(work, one, used.get(one, "")) for one in products}
    authorizations = sorted({one.authorization for one in found.values()})
    end = days_of(place.period)[1]
    versions = [one for product in products for one in work.list(PRICES, product=product) if one.valid_from < end]
    caps = [one for name in authorizations for one in work.list(CAPS, authorization=name)]
    return Inputs(
        place.period, place.sequence, place.log_from, place.log_size, place.closed,
        products=found,
        agreements={name: _agreement(work.get(AUTHORIZATIONS, name)) for name in authorizations},
        versions=tuple(one.version() for one in versions),
        departments=tuple(sorted(one.id for one in work.list(ORGANISATIONS) if one.kind in FREE_KINDS)),
        vat=vat_of(place.period),
        caps=tuple(one.cap() for one in caps if one.first_period <= place.period),
    )  # fmt: skip


def read_terms(work: Work, products: Iterable[str], period: str) -> dict[str, Terms]:
    """Return the money terms of products for a month, as they stand now."""
    known = {name: product.authorization for name in products if (product := work.find(PRODUCTS, name))}
    return terms_of(gather(work, Place(period, 0, 0, 0, ()), known))


def read_codes(work: Work) -> dict[str, str]:
    """Return the public code of every coded product by its id."""
    return {product.id: product.code for product in work.list(PRODUCTS) if product.code is not None}


def entries_of(work: Work, product: Product) -> dict[str, str]:
    """Return the raw entries that a product was made from, each with its provider.

    A verification answers from the entry of its grant; everything else from what its releases were made of.
    """
    grant = work.get(GRANTS, product.grant)
    found = {product.entry: grant.provider}
    if product.kind is ProductKind.VERIFICATION:
        return found
    for identifier in product.evidence.lineage.releases:
        release = work.find(RELEASES, identifier)
        if release is not None:
            found[release.entry] = work.get(GRANTS, release.grant).provider
    return found


def version_of(product: Product) -> str:
    """Return what tells one version of a product from the next: the hash of the output that it serves."""
    return product.evidence.output_sha256


def _billed_anyway(work: Work, period: str) -> set[str]:
    first = days_of(period)[0]
    own = [one.version() for one in work.list(PRICES) if one.consumer]
    found = ((one, find_version(own, one.product, one.consumer, first)) for one in own)
    return {one.product for one, version in found if version is not None and owed_without_use(version.plan)}


def _input(work: Work, name: str, authorization: str) -> ProductInput:
    product = work.find(PRODUCTS, name)
    if product is None:
        return ProductInput("", INFRASTRUCTURE, authorization, "", {}, {})
    return _product(work, product)


def _product(work: Work, product: Product) -> ProductInput:
    owners = entries_of(work, product)
    measured = next(iter(work.list(CONTRIBUTIONS, product=product.id, version=version_of(product))), None)
    weights = measured.weights if measured else dict.fromkeys(owners, 1)
    evidence = measured.sha256 if measured else ""
    entries = {name: EntryInput(owner, weights.get(name, 0), evidence) for name, owner in owners.items()}
    owner = owners[product.entry]
    return ProductInput(product.code or "", product.kind.value, product.authorization, owner, entries, _claims(product))


def _claims(product: Product) -> dict[str, dict[str, int]]:
    """Return by how many columns of each entry a claim is answered: those of its conditions, the subject's apart."""
    if product.kind is not ProductKind.VERIFICATION:
        return {}
    found = read_verification(product.specification)
    return {
        claim.name: {found.entry: len({one.column for one in claim.where} - set(found.subject)) or 1}
        for claim in found.claims
    }


def _agreement(authorization: Authorization) -> AgreementInput:
    document = document_of(authorization)
    plain: dict[str, Any] = msgspec.json.decode(document)
    found = AgreementInput(plain, authorization.document)
    check_agreement_input(authorization.id, found)
    return found


def check_agreement_input(authorization: str, found: AgreementInput) -> None:
    """Refuse terms that are not those of the document that was signed."""
    if hashlib.sha256(canonical(found.document)).hexdigest() != found.sha256:
        raise Conflict(
            f"the agreement of {authorization} is not the one that was signed", rule="settlement.agreement",
            accepted="the signed agreement",
        )  # fmt: skip
