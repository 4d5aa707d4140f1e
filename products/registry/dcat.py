"""Product sheets as DCAT 3 (W3C Recommendation of 2024-08-22), in JSON-LD.

A product is a `dcat:Dataset` with one `dcat:Distribution` behind a `dcat:DataService`; the entries that it is made
from are datasets too, that it `prov:wasDerivedFrom`. Its purposes are an ODRL 2.2 offer. Terms that DCAT-AP 3 makes
mandatory for these classes are always there.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Any

from products.registry.sheet import Addresses, ProductSheet, Source

CONTEXT: Mapping[str, str] = {
    "adms": "http://www.w3.org/ns/adms#", "dcat": "http://www.w3.org/ns/dcat#",
    "dcterms": "http://purl.org/dc/terms/", "foaf": "http://xmlns.com/foaf/0.1/",
    "odrl": "http://www.w3.org/ns/odrl/2/", "prov": "http://www.w3.org/ns/prov#",
    "vcard": "http://www.w3.org/2006/vcard/ns#", "xsd": "http://www.w3.org/2001/XMLSchema#",
}  # fmt: skip
MEDIA_TYPE = "application/ld+json"
_OFTEN = {
    "real_time": "continuous", "daily": "daily", "weekly": "weekly", "ten_days": "threeTimesAMonth",
    "monthly": "monthly", "quarterly": "quarterly", "yearly": "annual",
}  # fmt: skip
_EU = "http://publications.europa.eu/resource/authority/"
_STATUS = {"valid": "COMPLETED", "expired": "DEPRECATED", "cancelled": "WITHDRAWN"}
_FREQUENCY = "http://purl.org/cld/freq/"


def write_product(sheet: ProductSheet, addresses: Addresses) -> dict[str, Any]:
    """Return one product as a DCAT document."""
    return {"@context": dict(CONTEXT), **_product(sheet, addresses)}


def write_catalog(sheets: Iterable[ProductSheet], addresses: Addresses, title_zh: str, title_en: str) -> dict[str, Any]:
    """Return the registered products as a DCAT catalogue."""
    found = list(sheets)
    return {
        "@context": dict(CONTEXT),
        "@id": f"{addresses.portal}/public/products",
        "@type": "dcat:Catalog",
        "dcterms:title": _both(title_zh, title_en),
        "dcterms:description": _both("已登记的公共数据产品和服务", "registered public data products and services"),
        "dcterms:publisher": {"@type": "foaf:Agent", "foaf:name": title_zh},
        "foaf:homepage": {"@id": f"{addresses.portal}/public"},
        "dcat:dataset": [_product(one, addresses) for one in found],
        "dcat:service": [{"@id": f"{one.access_url}#service"} for one in found],
    }


def _product(sheet: ProductSheet, addresses: Addresses) -> dict[str, Any]:
    sources = [_source(one, addresses) for one in sheet.sources]
    service = {
        "@id": f"{sheet.access_url}#service", "@type": "dcat:DataService",
        "dcterms:title": _both(sheet.title_zh, sheet.title_en),
        "dcat:endpointURL": {"@id": sheet.access_url},
        "dcat:endpointDescription": {"@id": f"{addresses.api}/openapi.json"},
        "dcat:servesDataset": {"@id": sheet.page_url},
    }  # fmt: skip
    found: dict[str, Any] = {
        "@id": sheet.page_url, "@type": "dcat:Dataset",
        "dcterms:identifier": sheet.code or sheet.id,
        "dcterms:title": _both(sheet.title_zh, sheet.title_en),
        "dcterms:description": f"{sheet.answers}\n{sheet.limits}",
        "dcat:keyword": [sheet.kind, *sheet.purposes],
        "dcterms:publisher": {"@type": "foaf:Agent", "foaf:name": _both(sheet.operator_zh, sheet.operator_en)},
        "dcat:contactPoint": {"@type": "vcard:Kind", "vcard:fn": sheet.operator_zh, "vcard:note": sheet.contact},
        "dcat:landingPage": {"@id": sheet.page_url},
        "dcterms:accessRights": {"@id": f"{_EU}access-right/RESTRICTED"},
        "adms:status": {"@id": f"{_EU}dataset-status/{_STATUS.get(sheet.registration, 'DEVELOP')}"},
        "dcat:version": str(sheet.versions),
        "dcterms:provenance": {
            "@type": "dcterms:ProvenanceStatement", "dcterms:description": f"evidence SHA-256 {sheet.evidence}",
        },
        "odrl:hasPolicy": _offer(sheet),
        "prov:wasDerivedFrom": sources,
        "dcat:distribution": [{
            "@type": "dcat:Distribution", "dcterms:title": _both(sheet.title_zh, sheet.title_en),
            "dcat:accessURL": {"@id": sheet.access_url}, "dcat:accessService": service,
        }],
    }  # fmt: skip
    if sheet.sources:
        found["dcterms:accrualPeriodicity"] = _frequency(sheet.sources[0])
    if sheet.registered_at is not None:
        found["dcterms:issued"] = _date(sheet.registered_at.date())
    if sheet.valid_until is not None:
        found["dcterms:valid"] = _date(sheet.valid_until)
    return found


def _source(source: Source, addresses: Addresses) -> dict[str, Any]:
    found: dict[str, Any] = {
        "@id": f"{addresses.portal}/public#{source.entry}", "@type": "dcat:Dataset",
        "dcterms:identifier": source.code,
        "dcterms:title": _both(source.title_zh, source.title_en),
        "dcterms:description": "; ".join(f"{one.name}: {one.title_zh} ({one.type})" for one in source.fields),
        "dcterms:publisher": {"@type": "foaf:Agent", "foaf:name": _both(source.provider_zh, source.provider_en)},
        "dcterms:accrualPeriodicity": _frequency(source),
    }  # fmt: skip
    if source.quality is not None:
        found["dcterms:modified"] = {"@value": source.quality.updated_at.isoformat(), "@type": "xsd:dateTime"}
    return found


def _offer(sheet: ProductSheet) -> dict[str, Any]:
    return {
        "@id": f"{sheet.page_url}#offer", "@type": "odrl:Offer",
        "odrl:permission": {
            "odrl:target": {"@id": sheet.page_url}, "odrl:action": {"@id": "odrl:use"},
            "odrl:constraint": {
                "odrl:leftOperand": {"@id": "odrl:purpose"}, "odrl:operator": {"@id": "odrl:isAnyOf"},
                "odrl:rightOperand": list(sheet.purposes),
            },
        },
    }  # fmt: skip


def _frequency(source: Source) -> dict[str, str]:
    return {"@id": _FREQUENCY + _OFTEN[source.update_cycle]}


def _both(zh: str, en: str) -> list[dict[str, str]]:
    return [{"@value": zh, "@language": "zh"}, {"@value": en, "@language": "en"}]


def _date(day: dt.date) -> dict[str, str]:
    return {"@value": day.isoformat(), "@type": "xsd:date"}
