"""The pages of the register: a stranger objects, the registry answers, a holder applies and asks for a change."""

from __future__ import annotations

import io
import json
import re
import zipfile

import pytest

from products.registry.codes import ProductKind
from products.registry.dossier import pack, verify_dossier
from products.registry.model import Product, Registration
from tests.portal_kit import PortalCity
from tests.unit.portal.conftest import post

OBJECTION = {"name": "孙先生", "contact": "sun@example.cn", "text": "报告标题与我单位注册商标相同"}


@pytest.fixture
def report(city: PortalCity):  # type: ignore[no-untyped-def]
    """Make a report that is led up to a step of its registration."""

    def lead(upto: str = "announce") -> Product:
        export = city.platform.airlock.get_export(city.people["operator"], city.made["export"])
        return city.product(export, "by_district", ProductKind.REPORT, "分区县统计", "By district", upto=upto)

    return lead


def registration_of(city: PortalCity, product: Product) -> Registration:
    return city.platform.registry.get(city.people["registry"], product.id).registration


def test_a_stranger_objects_on_the_public_page_and_reads_the_answer_there(visitor, sign_in, city, report) -> None:
    product = report()
    page = f"/public/notices/{product.id}"
    assert "分区县统计" in visitor.get(page).text
    sent = visitor.post(page, data=OBJECTION, follow_redirects=False)
    receipt = re.search(r"receipt=(obj_\w+)", sent.headers["location"])[1]
    shown = visitor.get(sent.headers["location"]).text
    assert f"异议已收到，编号 {receipt}" in shown
    assert OBJECTION["contact"] not in shown
    assert OBJECTION["text"] not in shown
    assert registration_of(city, product) is Registration.HELD

    registry = sign_in("registry")
    assert OBJECTION["contact"] in registry.get(f"/registrations/{product.id}").text
    answered = post(
        registry, f"/registrations/{product.id}/objections/{receipt}", answer="类别不同", outcome="dismissed"
    )
    assert answered.status_code == 303
    assert post(registry, f"/registrations/{product.id}/resume").status_code == 303
    assert registration_of(city, product) is Registration.PUBLIC_NOTICE
    assert "类别不同" in visitor.get(page).text


def test_an_objection_that_lacks_a_contact_is_shown_again_with_what_was_typed(visitor, city, report) -> None:
    product = report()
    shown = visitor.post(f"/public/notices/{product.id}", data={**OBJECTION, "contact": ""})
    assert shown.status_code == 422
    assert OBJECTION["text"] in shown.text
    assert registration_of(city, product) is Registration.PUBLIC_NOTICE


def test_a_form_from_another_site_does_not_object(visitor, city, report) -> None:
    product = report()
    sent = visitor.post(f"/public/notices/{product.id}", data=OBJECTION, headers={"Origin": "http://elsewhere.example"})
    assert sent.status_code == 403
    assert registration_of(city, product) is Registration.PUBLIC_NOTICE


def test_a_signed_in_person_objects_as_himself(sign_in, city, report) -> None:
    product = report()
    sent = post(sign_in("provider"), f"/public/notices/{product.id}", text="与我局统计口径不一致")
    assert "receipt=obj_" in sent.headers["location"]
    (raised,) = city.platform.registry.list_objections(city.people["registry"], product.id)
    assert raised.objector.account == city.people["provider"].id


def test_a_registration_that_is_not_announced_is_not_public(visitor, report) -> None:
    product = report("deposit")
    for path in (f"/public/notices/{product.id}", f"/public/products/{product.id}", "/public/notices/ent_1"):
        assert visitor.get(path).status_code == 404
    assert visitor.post(f"/public/notices/{product.id}", data=OBJECTION).status_code == 404


def test_a_holder_applies_on_the_letter_that_the_page_shows(sign_in, city, report) -> None:
    product, operator = report("deposit"), sign_in("operator")
    page = f"/registrations/{product.id}"
    assert "登记申请承诺书" in operator.get(page).text
    half = post(operator, f"{page}/apply", agent="代登事务所")
    assert half.status_code == 422
    sent = post(
        operator, f"{page}/apply", description="供季度研判", agent="代登事务所", agent_code="91X", mandate="2026-01-02"
    )
    assert sent.status_code == 303
    found = city.platform.registry.get(city.people["operator"], product.id)
    assert (found.registration, found.application.agent.name) == (Registration.APPLIED, "代登事务所")


def test_the_registry_previews_the_notice_before_it_is_published(sign_in, city, report) -> None:
    product, registrar = report("deposit"), city.people["registry"]
    city.platform.registry.apply(city.people["operator"], product.id)
    city.platform.registry.accept(registrar, product.id)
    city.platform.registry.pass_review(registrar, product.id)
    registry = sign_in("registry")
    assert "公示期自" in registry.get(f"/registrations/{product.id}").text
    assert post(registry, f"/registrations/{product.id}/announce", reason="附注").status_code == 303
    found = city.platform.registry.get(registrar, product.id)
    assert found.notice_text.endswith("附注")


def test_a_change_is_filed_from_the_fields_that_were_rewritten(sign_in, city) -> None:
    operator, one = sign_in("operator"), city.made["product"]
    sheet = city.platform.registry.get(city.people["operator"], one).sheet
    fields = {name: getattr(sheet, name) for name in sheet.__dataclass_fields__} | {"limits": "每次一人，每日一千次"}
    sent = post(operator, "/cases", subject=one, kind="change", reason="调整限额", **fields)
    case = re.search(r"/cases/(cas_\w+)", sent.headers["location"])[1]
    assert city.platform.cases.get(city.people["registry"], case).changes == {"limits": "每次一人，每日一千次"}
    assert "每次一人，每日一千次" in sign_in("registry").get(f"/cases/{case}").text
    assert post(operator, f"/cases/{case}/withdraw", reason="不再调整").status_code == 303


def test_tasks_name_what_waits_in_the_register(sign_in) -> None:
    assert "Answer the objection" in sign_in("registry").get("/tasks").text
    provider = sign_in("provider").get("/tasks").text
    assert "Complete the application" in provider
    assert "Say what you think of another" in sign_in("operator").get("/tasks").text


def test_receipt_and_dossier_are_given_out(sign_in, city) -> None:
    operator, one = sign_in("operator"), city.made["product"]
    receipt = operator.get(f"/registrations/{one}/receipt")
    assert json.loads(receipt.content)["subject"] == one
    with zipfile.ZipFile(io.BytesIO(operator.get(f"/registrations/{one}/dossier").content)) as archive:
        assert "certificate.json" in archive.namelist()
        assert all(each["holds"] for each in json.loads(archive.read("checks.json")))


def test_the_audit_log_proves_when_the_evidence_was_deposited(sign_in, city) -> None:
    city.audit()
    content = sign_in("operator").get(f"/registrations/{city.made['product']}/dossier").content
    log_key = city.platform.logs.get_log(city.people["regulator"], "audit").public_key
    key = bytes.fromhex(city.platform.registry.public_key())
    report = verify_dossier(content, key, log_key)
    assert report.sound, report.checks
    assert report.checks[-1].said.startswith("deposited at ")

    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist() if name != "manifest.json"}
    keys = city.platform.keys
    lacking = {name: part for name, part in parts.items() if name != "deposit-proof.json"}
    assert not verify_dossier(pack(keys, city.made["product"], lacking), key, log_key).sound
    other = parts | {"receipt.json": parts["receipt.json"].replace(b'"sha256":"', b'"sha256":"0')}
    assert not verify_dossier(pack(keys, city.made["product"], other), key, log_key).checks[-1].holds
    assert not verify_dossier(pack(keys, "prd_other", parts), key, log_key).checks[-1].holds
    assert verify_dossier(pack(keys, city.made["product"], lacking), key).sound


def test_sheets_are_given_out_to_programs_without_a_session(visitor, city) -> None:
    product = city.platform.registry.get(city.people["operator"], city.made["product"])
    base = f"/public/products/{product.code}"
    assert visitor.get(f"{base}/sheet.json").json()["code"] == product.code
    shared = visitor.get(f"{base}/dcat.jsonld")
    assert shared.headers["content-type"].startswith("application/ld+json")
    assert shared.json()["dcterms:identifier"] == product.code
    assert visitor.get(f"{base}/odps.json").json()["version"] == 4.0
    listed = visitor.get("/public/products.jsonld").json()["dcat:dataset"]
    assert product.code in [one["dcterms:identifier"] for one in listed]
    assert visitor.get("/public/products/37I2300000099X/sheet.json").status_code == 404
