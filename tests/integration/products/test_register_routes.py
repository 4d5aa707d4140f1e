"""The platform API of the register by HTTP: resources, objections, cases, sheets and dossiers."""

from __future__ import annotations

import pytest
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient

from products.registry import routes, routes_cases
from products.registry.dossier import verify_dossier
from products.registry.receipts import verify_receipt
from shuzha.core.clock import end_of_day
from shuzha.server.problems import install
from tests.products_kit import ProductCity, insured

SHEET = {
    "title_zh": "社会保险参保信息", "title_en": "insurance", "summary": "参保", "basis": "社会保险法",
    "contact": "wang@example.cn",
}  # fmt: skip


@pytest.fixture(scope="module")
def city(tmp_path_factory):
    return ProductCity(tmp_path_factory.mktemp("register"))


@pytest.fixture(scope="module")
def granted(city):
    return city.granted()


@pytest.fixture
def send(city):
    def actor(request: Request):
        return getattr(city, request.headers["X-Who"])

    app = FastAPI()
    install(app)
    for router in (
        routes.make_router(city.registry, actor),
        routes_cases.make_resource_router(city.resources, actor),
        routes_cases.make_case_router(city.cases, actor),
        routes_cases.make_sheet_router(city.sheets, city.dossiers, city.addresses, actor),
    ):
        app.include_router(router, prefix="/api/v1")
    client = TestClient(app, raise_server_exceptions=False)

    def send(who, method, path, body=None, status=200):
        answer = client.request(method, "/api/v1" + path, json=body, headers={"X-Who": who})
        assert answer.status_code == status, answer.text
        return answer

    return send


@pytest.fixture(scope="module")
def product(city, granted):
    entry, grant = granted
    return city.in_service(city.deposited(grant, insured(entry)))


def key_of(send):
    return bytes.fromhex(send("operator", "GET", "/registry/public-key").json()["key"])


def test_a_resource_goes_from_its_duty_to_its_code_by_http(city, granted, send):
    entry, _grant = granted
    assert [one["entry"] for one in send("provider", "GET", "/resources/duties").json()] == [entry.id]
    body = {"entry": entry.id, "sheet": SHEET, "access": "apply"}
    assert send("operator", "POST", "/resources", body, 403).json()["code"] == "not_allowed"
    made = send("provider", "POST", "/resources", body, 201).json()
    path = f"/resources/{made['id']}"
    assert send("provider", "POST", "/resources", body, 409).json()["code"] == "conflict"
    assert "承诺书" in send("provider", "GET", f"{path}/commitment").json()["text"]
    agent = {"name": "代登事务所", "code": "91X", "mandate": "2026-03-01"}
    send("provider", "POST", f"{path}/apply", {"description": "x", "agent": agent})
    sent = send("registrar", "POST", f"{path}/supplement", {"reason": "依据不全"}).json()
    assert sent["registration"] == "supplement"
    send("provider", "POST", f"{path}/amend", SHEET | {"basis": "社会保险法第七十四条"})
    send("provider", "POST", f"{path}/apply")
    for verb in ("accept", "pass"):
        send("registrar", "POST", f"{path}/{verb}")
    preview = send("registrar", "GET", f"{path}/notice").json()["text"]
    noticed = send("registrar", "POST", f"{path}/announce").json()
    assert noticed["notice_text"] == preview
    raised = send("consumer", "POST", f"{path}/object", {"reason": "口径不清"}).json()
    assert raised["registration"] == "held"
    (objection,) = send("registrar", "GET", f"{path}/objections").json()
    answer = {"answer": "口径见目录", "upheld": False}
    assert send("provider", "POST", f"/resources/objections/{objection['id']}/answer", answer, 403)
    send("registrar", "POST", f"/resources/objections/{objection['id']}/answer", answer)
    send("registrar", "POST", f"{path}/resume")
    due = city.resources.find(made["id"]).notice_due
    city.clock.advance(end_of_day(due) - city.clock.now())
    send("registrar", "POST", f"{path}/code")
    assert send("registrar", "POST", f"{path}/validate").json()["code"][3:5] == "10"
    content = send("provider", "GET", f"{path}/description").content
    assert verify_receipt(send("provider", "GET", f"{path}/receipt").content, key_of(send), content).sound
    send("other_provider", "GET", path, status=404)


def test_a_case_goes_from_its_filing_to_its_grant_by_http(product, send):
    body = {"subject": product.id, "kind": "correction", "reason": "标题不准", "changes": {"title_en": "pension check"}}
    case = send("provider", "POST", "/cases", body, 201).json()
    path = f"/cases/{case['id']}"
    assert send("rival", "GET", path, status=404)
    send("registrar", "POST", f"{path}/supplement", {"reason": "写明依据"})
    send("provider", "POST", f"{path}/complete", {"reason": "依据目录"})
    send("registrar", "POST", f"{path}/accept")
    assert send("registrar", "POST", f"{path}/grant", {"reason": "属实"}, 422).json()["rule"] == "registration.hearing"
    send("operator", "POST", f"{path}/respond", {"reason": "同意"})
    assert send("registrar", "POST", f"{path}/grant", {"reason": "属实"}).json()["state"] == "granted"
    assert send("operator", "GET", f"/products/{product.id}").json()["sheet"]["title_en"] == "pension check"
    assert [one["id"] for one in send("operator", "GET", f"/cases?subject={product.id}").json()] == [case["id"]]
    send("operator", "POST", "/cases", body | {"subject": "ent_1"}, 404)
    send("operator", "POST", "/cases", body | {"kind": "theft"}, 422)


def test_sheet_exports_and_dossier_are_given_out_by_http(product, send):
    one = f"/products/{product.id}"
    assert send("consumer", "GET", f"{one}/sheet").json()["code"] == product.code
    assert send("consumer", "GET", f"{one}/dcat").headers["content-type"].startswith("application/ld+json")
    assert send("consumer", "GET", f"{one}/odps").json()["product"]["details"]["en"]["productID"] == product.code
    assert verify_dossier(send("operator", "GET", f"{one}/dossier").content, key_of(send)).sound
    assert all(check["holds"] for check in send("registrar", "GET", f"{one}/checks").json())
    for part in ("sheet", "dcat", "odps", "dossier", "receipt"):
        send("rival", "GET", f"{one}/{part}", status=404)
