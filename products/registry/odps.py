"""Product sheets as ODPS 4.0, the Open Data Product Specification of the Open Data Product Initiative.

It is the one of the two standards of this name that says price, licence, service level and holder (ADR 23). The
document is JSON, which is YAML. What the specification has no word for stands under `x-shuzha`, as it provides.
"""

from __future__ import annotations

from typing import Any

from products.registry.sheet import Addresses, ProductSheet

SCHEMA = "https://opendataproducts.org/v4.0/schema/odps.yaml"
VERSION = 4.0
MEDIA_TYPE = "application/json"
TYPES = {
    "component": "dataset", "model": "algorithm", "verification": "data-driven service",
    "service": "data-driven service", "report": "reports",
}  # fmt: skip
_STATUS = {
    "designed": "acceptance", "listed": "acceptance", "in_service": "production", "suspended": "sunset",
    "delisted": "retired",
}  # fmt: skip


def write_product(sheet: ProductSheet, addresses: Addresses) -> dict[str, Any]:
    """Return one product as an ODPS 4.0 document, with its details in Chinese and English."""
    product: dict[str, Any] = {
        "details": {language: _details(sheet, title) for language, title in _titles(sheet).items()},
        "dataAccess": {"default": _access(sheet, addresses)},
        "license": {"en": _licence(sheet)},
        "dataHolder": {"en": {
            "legalName": sheet.operator_en, "businessID": sheet.operator, "email": sheet.contact, "URL": sheet.page_url,
        }},
        "dataQuality": {"declarative": {"default": {
            "displaytitle": [{"en": "newest batch of each entry"}], "dimensions": list(_quality(sheet)),
        }}},
        "SLA": {"declarative": {"default": {
            "name": [{"en": "as registered"}], "description": [{"en": sheet.limits}],
            "dimensions": [
                {"dimension": "updateFrequency", "displaytitle": [{"en": sheet.refresh}], "objective": 1,
                 "unit": one.update_cycle}
                for one in sheet.sources
            ],
        }}},
        "x-shuzha": {
            "registration": sheet.registration, "code": sheet.code, "evidence": sheet.evidence,
            "validUntil": sheet.valid_until.isoformat() if sheet.valid_until else None,
            "sources": [
                {"code": one.code, "title": one.title_zh, "provider": one.provider_zh,
                 "fields": [field.name for field in one.fields]}
                for one in sheet.sources
            ],
        },
    }  # fmt: skip
    if sheet.price_hao is not None:
        product["pricingPlans"] = {"declarative": {"en": list(_plans(sheet))}}
    return {"schema": SCHEMA, "version": VERSION, "product": product}


def _titles(sheet: ProductSheet) -> dict[str, str]:
    return {"en": sheet.title_en, "zh": sheet.title_zh}


def _details(sheet: ProductSheet, title: str) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": title[:256], "productID": sheet.code or sheet.id, "visibility": "public",
        "status": _STATUS[sheet.state], "type": TYPES[sheet.kind], "valueProposition": sheet.answers[:512],
        "description": f"{sheet.answers}\n{sheet.limits}", "productVersion": str(sheet.versions),
        "created": sheet.deposited_at.date().isoformat(), "standards": ["DCAT 3", "ODRL 2.2"],
        "contentSample": f"{sheet.page_url}#samples", "tags": list(sheet.purposes),
    }  # fmt: skip
    if sheet.registered_at is not None:
        found["updated"] = sheet.registered_at.date().isoformat()
    return found


def _access(sheet: ProductSheet, addresses: Addresses) -> dict[str, Any]:
    return {
        "name": [{"en": "consumer API"}], "description": [{"en": "one metered use a call"}], "outputPorttype": "API",
        "format": "JSON", "authenticationMethod": "API key", "specification": "OAS", "accessURL": sheet.access_url,
        "specsURL": f"{addresses.api}/openapi.json", "documentationURL": sheet.page_url,
    }  # fmt: skip


def _plans(sheet: ProductSheet) -> list[dict[str, Any]]:
    hao = sheet.price_hao or 0
    paid = {
        "name": "price of one use", "priceCurrency": "CNY", "price": f"{hao // 10_000}.{hao % 10_000:04d}",
        "billingDuration": "month", "unit": "Pay-per-use", "maxTransactionQuantity": 0,
        "offering": ["each use is metered before its answer leaves", *sheet.purposes],
    }  # fmt: skip
    if not sheet.free_for:
        return [paid]
    free = paid | {
        "name": "priced, metered and waived", "price": "0.0000", "unit": "Freemium", "offering": list(sheet.free_for),
    }  # fmt: skip
    return [paid, free]


def _licence(sheet: ProductSheet) -> dict[str, Any]:
    end = sheet.valid_until.isoformat() if sheet.valid_until else "the end of its registration"
    return {
        "scope": {"definition": sheet.limits, "permanent": False, "exclusive": False, "rights": list(sheet.purposes)},
        "termination": {"terminationConditions": f"ends with the registration: {end}"},
        "governance": {"ownership": "the data stays its provider's; what is sold is use of the product"},
    }  # fmt: skip


def _quality(sheet: ProductSheet) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for one in sheet.sources:
        if one.quality is not None:
            found += [
                {"dimension": "completeness", "displaytitle": [{"en": one.title_en}], "objective":
                    one.quality.filled_per_mille // 10, "unit": "percentage"},
                {"dimension": "timeliness", "displaytitle": [{"en": one.title_en}], "objective": one.quality.days_ago,
                 "unit": "days"},
            ]  # fmt: skip
    return found
