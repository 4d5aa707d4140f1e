"""Sheets, their exports and dossiers: written from the records, valid by their standards, proved by hashes."""

import io
import json
import zipfile

import pytest
from typer.testing import CliRunner

from products.registry import dcat, odps
from products.registry.case_model import Asked, CaseKind
from products.registry.codes import ProductKind
from products.registry.dossier import verify_dossier
from products.registry.receipts import verify_receipt
from shuzha.core.errors import Conflict, Invalid, NotAllowed, NotFound
from shuzha.core.money import Price
from shuzha.server.cli import app
from tests.products_kit import CERTIFICATE, SHEET, ProductCity, insured

# The terms of each vocabulary that the exports may use, as their specifications list them.
TERMS = {
    "dcat": {
        "Catalog", "Dataset", "DataService", "Distribution", "Resource", "accessService", "accessURL", "contactPoint",
        "dataset", "distribution", "downloadURL", "endpointDescription", "endpointURL", "keyword", "landingPage",
        "mediaType", "service", "servesDataset", "theme", "version",
    },
    "dcterms": {
        "ProvenanceStatement", "accessRights", "accrualPeriodicity", "description", "identifier", "issued", "language",
        "license", "modified", "provenance", "publisher", "title", "valid",
    },
    "foaf": {"Agent", "homepage", "name"},
    "vcard": {"Kind", "fn", "hasEmail", "note"},
    "prov": {"wasDerivedFrom"},
    "adms": {"status"},
    "odrl": {
        "Offer", "action", "constraint", "hasPolicy", "isAnyOf", "leftOperand", "operator", "permission", "purpose",
        "rightOperand", "target", "use",
    },
    "xsd": {"date", "dateTime"},
}  # fmt: skip
# What DCAT-AP 3 makes mandatory for each class.
MANDATORY = {
    "dcat:Catalog": {"dcterms:title", "dcterms:description", "dcterms:publisher"},
    "dcat:Dataset": {"dcterms:title", "dcterms:description"},
    "dcat:DataService": {"dcterms:title", "dcat:endpointURL"},
    "dcat:Distribution": {"dcat:accessURL"},
}
ODPS_DETAILS = {
    "name",
    "productID",
    "visibility",
    "status",
    "type",
    "valueProposition",
    "description",
    "productVersion",
}
ODPS_STATUS = {
    "announcement", "draft", "development", "testing", "acceptance", "production", "sunset", "retired",
}  # fmt: skip
ODPS_UNITS = {
    "One-time-payment", "Pay-per-use", "Recurring", "Revenue-sharing", "Data-volume", "Pay-what-you-want", "Freemium",
    "Open-data", "Value-based", "On-request", "Trial",
}  # fmt: skip
ODPS_TYPES = {
    "raw data", "derived data", "dataset", "reports", "analytic view", "3D visualisation", "algorithm",
    "decision support", "automated decision-making", "data-enhanced product", "data-driven service",
    "data-enabled performance", "bi-directional",
}  # fmt: skip
ODPS_QUALITY = {
    "accuracy", "completeness", "conformity", "consistency", "coverage", "timeliness", "validity", "uniqueness",
}  # fmt: skip


@pytest.fixture(scope="module")
def city(tmp_path_factory):
    return ProductCity(tmp_path_factory.mktemp("sheets"))


@pytest.fixture(scope="module")
def granted(city):
    return city.granted(output_kinds=("verification", "report"))


@pytest.fixture(scope="module")
def product(city, granted):
    entry, grant = granted
    return city.in_service(city.deposited(grant, insured(entry)), 375, ("loan-review",))


@pytest.fixture(scope="module")
def sheet(city, product):
    return city.sheets.read(city.consumer, product.id)


def nodes(value):
    if isinstance(value, dict):
        yield value
        for name, part in value.items():
            if name != "@context":
                yield from nodes(part)
    elif isinstance(value, list):
        for part in value:
            yield from nodes(part)


def check_dcat(document):
    for node in nodes(document):
        names = [name for name in node if not name.startswith("@")]
        kind = node.get("@type", "")
        used = [*names, *([kind] if ":" in str(kind) else [])]
        if str(node.get("@id", "")).startswith("odrl:"):
            used.append(node["@id"])
        unknown = [name for name in used if name.partition(":")[2] not in TERMS.get(name.partition(":")[0], set())]
        assert unknown == []
        assert MANDATORY.get(kind, set()) <= set(names), kind
        assert {name.partition(":")[0] for name in used} <= set(dcat.CONTEXT)


def test_a_sheet_is_read_from_grant_catalogue_and_register(city, granted, product, sheet):
    entry, _grant = granted
    assert (sheet.code, sheet.registration, sheet.state, sheet.price_hao) == (product.code, "valid", "in_service", 375)
    (source,) = sheet.sources
    assert (source.code, source.provider) == (entry.code, entry.provider)
    assert [one.name for one in source.fields] == list(product.columns)
    assert sheet.free_for == ("loan-review",)
    (sample,) = sheet.samples
    assert sample.path == f"/v1/products/{product.code}/verify"
    assert json.loads(sample.request)["subject"] == {"resident_id": "…"}
    assert sheet.access_url.endswith(f"/v1/products/{product.code}")


def test_a_sheet_is_public_from_the_notice_on(city, granted, product):
    entry, grant = granted
    other = city.deposited(grant, insured(entry))
    with pytest.raises(NotFound):
        city.sheets.read_public(other.id)
    city.registry.apply(city.operator, other.id)
    city.registry.accept(city.registrar, other.id)
    city.registry.pass_review(city.registrar, other.id)
    with pytest.raises(NotFound):
        city.sheets.read_public(other.id)
    city.registry.announce(city.registrar, other.id)
    assert city.sheets.read_public(other.id).registration == "public_notice"
    assert city.sheets.read_public(product.code).id == product.id
    assert [one.id for one in city.sheets.list_public()] == [product.id]


def test_a_new_price_is_on_the_sheet_at_once(city, granted):
    entry, grant = granted
    other = city.in_service(city.deposited(grant, insured(entry)))
    city.registry.set_price(city.operator, other.id, Price(500))
    assert city.sheets.read(city.consumer, other.id).price_hao == 500
    city.registry.delist(city.operator, other.id, "no longer sold")
    assert city.sheets.read(city.consumer, other.id).price_hao is None


def test_dcat_uses_terms_of_its_vocabularies_and_all_that_is_mandatory(city, sheet):
    document = dcat.write_product(sheet, city.addresses)
    check_dcat(document)
    json.dumps(document)
    assert document["@type"] == "dcat:Dataset"
    assert document["dcterms:identifier"] == sheet.code
    service = document["dcat:distribution"][0]["dcat:accessService"]
    assert service["dcat:endpointURL"] == {"@id": sheet.access_url}
    assert document["prov:wasDerivedFrom"][0]["dcterms:identifier"] == sheet.sources[0].code
    constraint = document["odrl:hasPolicy"]["odrl:permission"]["odrl:constraint"]
    assert constraint["odrl:rightOperand"] == list(sheet.purposes)


def test_the_check_of_dcat_finds_a_term_that_does_not_exist(city, sheet):
    with pytest.raises(AssertionError):
        check_dcat({"@context": {}, "@type": "dcat:Dataset", "dcterms:title": "x", "dcat:price": 1})
    lacking = dcat.write_product(sheet, city.addresses)
    del lacking["dcterms:description"]
    with pytest.raises(AssertionError):
        check_dcat(lacking)


def test_the_catalogue_holds_every_registered_product(city, sheet):
    document = dcat.write_catalog(city.sheets.list_public(), city.addresses, "城市", "city")
    check_dcat(document)
    assert sheet.code in [one["dcterms:identifier"] for one in document["dcat:dataset"]]


def test_odps_has_what_its_specification_requires(city, sheet):
    document = odps.write_product(sheet, city.addresses)
    json.dumps(document)
    assert set(document) == {"schema", "version", "product"}
    assert (document["schema"], document["version"]) == ("https://opendataproducts.org/v4.0/schema/odps.yaml", 4.0)
    made = document["product"]
    for language in ("en", "zh"):
        details = made["details"][language]
        assert set(details) >= ODPS_DETAILS
        assert details["status"] in ODPS_STATUS
        assert details["type"] in ODPS_TYPES
        assert details["visibility"] == "public"
        assert len(details["name"]) <= 256
        assert len(details["valueProposition"]) <= 512
    assert made["dataAccess"]["default"]["outputPorttype"] == "API"
    assert set(made["license"]["en"]) >= {"scope", "termination", "governance"}
    paid, free = made["pricingPlans"]["declarative"]["en"]
    assert (paid["price"], paid["priceCurrency"], free["price"]) == ("0.0375", "CNY", "0.0000")
    assert {paid["unit"], free["unit"]} <= ODPS_UNITS
    known = {"details", "dataAccess", "license", "dataHolder", "dataQuality", "SLA", "pricingPlans"}
    assert all(name in known or name.startswith("x-") for name in made)
    for one in made["dataQuality"]["declarative"]["default"]["dimensions"]:
        assert one["dimension"] in ODPS_QUALITY
        assert isinstance(one["objective"], int)


def test_every_form_has_a_type_and_a_sample():
    assert set(odps.TYPES) == {kind.value for kind in ProductKind}
    assert set(odps.TYPES.values()) <= ODPS_TYPES


@pytest.fixture(scope="module")
def dossier(city, product):
    return city.dossiers.write(city.operator, product.id)


def parts_of(content):
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def repacked(parts):
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return held.getvalue()


def test_a_dossier_holds_every_part_of_the_form(city, product, dossier):
    parts = parts_of(dossier)
    assert set(parts) >= {
        "manifest.json", "basic.json", "agent.json", "storage.json", "description.md", "commitment.txt",
        "lineage.json", "certificate.json", "receipt.json", "notice.txt", "sheet.json", "dcat.jsonld", "odps.json",
    }  # fmt: skip
    assert parts["certificate.json"] == CERTIFICATE
    assert parts["notice.txt"].decode() == product.notice_text
    assert json.loads(parts["basic.json"])["code"] == product.code
    key = bytes.fromhex(city.registry.public_key())
    assert verify_receipt(parts["receipt.json"], key, city.registry.file_path(product).read_bytes()).sound
    assert all(one["holds"] for one in json.loads(parts["checks.json"]))
    assert city.dossiers.write(city.operator, product.id) == dossier


def test_a_dossier_is_verified_offline_and_any_change_is_found(city, product, dossier):
    key = bytes.fromhex(city.registry.public_key())
    report = verify_dossier(dossier, key)
    assert (report.sound, report.subject) == (True, product.id)
    parts = parts_of(dossier)
    for name in parts:
        if name != "manifest.json":
            assert not verify_dossier(repacked(parts | {name: parts[name] + b" "}), key).sound
            assert not verify_dossier(repacked({n: c for n, c in parts.items() if n != name}), key).sound
    assert not verify_dossier(repacked(parts | {"more.txt": b"x"}), key).sound
    manifest = json.loads(parts["manifest.json"]) | {"subject": "prd_other"}
    assert not verify_dossier(repacked(parts | {"manifest.json": json.dumps(manifest).encode()}), key).sound
    assert not verify_dossier(dossier, b"\2" * 32).sound
    for rubbish in (b"", b"PK", repacked({"a": b"b"}), repacked({"manifest.json": b"[]"})):
        with pytest.raises(Invalid, match="no registration dossier"):
            verify_dossier(rubbish, key)


def test_a_dossier_that_the_records_contradict_is_not_made(city, granted):
    entry, grant = granted
    other = city.in_service(city.deposited(grant, insured(entry)))
    path = city.registry.file_path(other)
    content = path.read_bytes()
    path.write_bytes(b"another file")
    with pytest.raises(Conflict, match="would contradict its records: file"):
        city.dossiers.write(city.operator, other.id)
    path.write_bytes(content)
    assert verify_dossier(city.dossiers.write(city.operator, other.id), bytes.fromhex(city.registry.public_key())).sound


def test_a_dossier_tells_what_was_changed_and_when(city, granted):
    entry, grant = granted
    other = city.in_service(city.deposited(grant, insured(entry)))
    case = city.cases.file(city.operator, other.id, Asked(CaseKind.CHANGE, "每日更新", {"refresh": "daily"}))
    city.cases.accept(city.registrar, case.id)
    city.cases.grant(city.registrar, case.id, "属实")
    (told,) = json.loads(parts_of(city.dossiers.write(city.operator, other.id))["cases.json"])
    assert (told["before"]["refresh"], told["changes"]["refresh"]) == (SHEET.refresh, "daily")


def test_a_dossier_is_not_for_strangers(city, product):
    with pytest.raises(NotFound):
        city.dossiers.write(city.rival, product.id)


def test_the_commands_verify_receipt_and_dossier(city, product, dossier, tmp_path):
    key = ("--registry-key", city.registry.public_key())
    files = {
        "receipt": city.registry.read_receipt(city.operator, product.id), "dossier": dossier,
        "output": city.registry.file_path(product).read_bytes(), "other": b"x",
    }  # fmt: skip
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)

    def run(*arguments):
        return CliRunner().invoke(app, [str(one) for one in arguments])

    receipt, output = tmp_path / "receipt", tmp_path / "output"
    held = run("receipt", "verify", receipt, *key, "--output", output, "--json")
    assert json.loads(held.output)["sound"] is True
    assert json.loads(run("dossier", "verify", tmp_path / "dossier", *key, "--json").output)["subject"] == product.id
    refused = run("receipt", "verify", receipt, *key, "--output", tmp_path / "other")
    assert isinstance(refused.exception, NotAllowed)
    for arguments in (("receipt", "verify", tmp_path / "other", *key), ("dossier", "verify", output, *key),
                      ("receipt", "verify", receipt, "--registry-key", "zz")):  # fmt: skip
        assert isinstance(run(*arguments).exception, Invalid)
