"""The platform API of products, keys and statements: from a deposit to a key, by HTTP, as the lead mounts it."""

from __future__ import annotations

import pytest
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient

from products.consumers import routes as key_routes
from products.registry import routes as product_routes
from shuzha.core.clock import end_of_day
from shuzha.server.problems import install
from shuzha.settlement import routes as statement_routes
from shuzha.settlement.approving import StatementDesk
from shuzha.settlement.contributing import ContributionService
from shuzha.settlement.pricing import PricingService
from shuzha.settlement.service import SettlementService
from shuzha.settlement.sources import UsageSource
from tests.products_kit import SHEET, ProductCity, insured


@pytest.fixture
def city(tmp_path):
    return ProductCity(tmp_path)


@pytest.fixture
def call(city):
    def actor(request: Request):
        return getattr(city, request.headers["X-Who"])

    app = FastAPI()
    install(app)
    source = UsageSource(city.folder / "usage", city.folder / "logs" / "usage")
    statements = SettlementService(city.database, city.policies, source)
    for router in (
        product_routes.make_router(city.registry, actor),
        key_routes.make_router(city.api_keys, actor),
        statement_routes.make_router(
            statements,
            StatementDesk(city.database, city.policies),
            PricingService(city.database, city.policies),
            ContributionService(city.database, city.policies, city.zone),
            actor,
        ),
    ):
        app.include_router(router, prefix="/api/v1")
    client = TestClient(app, raise_server_exceptions=False)

    def send(who, method, path, body=None, status=200):
        answer = client.request(method, "/api/v1" + path, json=body, headers={"X-Who": who})
        assert answer.status_code == status, answer.text
        return answer.json()

    return send


def test_a_product_goes_from_deposit_to_key_by_http(city, call):
    entry, grant = city.granted()
    export = city.release_file(grant, insured(entry))
    sheet = {name: getattr(SHEET, name) for name in SHEET.__dataclass_fields__}
    deposit = {"export": export, "file": "insured.json", "kind": "verification", "sheet": sheet}
    product = call("operator", "POST", "/products", deposit, 201)
    path = f"/products/{product['id']}"
    call("operator", "POST", f"{path}/apply")
    assert call("operator", "POST", f"{path}/accept", status=403)["code"] == "not_allowed"
    call("registrar", "POST", f"{path}/accept")
    call("registrar", "POST", f"{path}/pass")
    noticed = call("registrar", "POST", f"{path}/announce", {"text": "公示"})
    refused = call("registrar", "POST", f"{path}/code", status=422)
    assert noticed["notice_due"] in refused["detail"]
    due = city.registry.get_product(city.registrar, product["id"]).notice_due
    city.clock.advance(end_of_day(due) - city.clock.now())
    code = call("registrar", "POST", f"{path}/code")["code"]
    assert call("registrar", "POST", f"{path}/code", status=409)["code"] == "transition_not_allowed"
    call("registrar", "POST", f"{path}/validate")
    listed = call("operator", "POST", f"{path}/list", {"price_hao": 120})
    assert listed["price"] == {"hao": 120}
    city.index.run_build(product["id"])
    assert call("operator", "POST", f"{path}/start")["state"] == "in_service"
    made = call("consumer", "POST", "/keys", {"product": product["id"], "name": "x", "purposes": ["loan-review"]}, 201)
    assert made["secret"].startswith("szk_")
    shown = call("consumer", "GET", "/keys")
    assert shown == [made["key"]]
    assert "digest" not in shown[0]
    assert call("rival", "GET", path, status=404)["code"] == "not_found"
    assert [one["code"] for one in call("regulator", "GET", "/products")] == [code]
    assert call("consumer", "GET", f"/keys/{made['key']['id']}")["prefix"] == made["key"]["prefix"]


def test_statements_are_read_by_http(call):
    assert call("regulator", "GET", "/statements") == []
    assert call("authority", "GET", "/statements/so-far?period=2026-03") == []
    assert call("authority", "POST", "/statements", {"period": "2026-03"}, 422)["code"] == "period_unfinished"
    assert call("operator", "POST", "/statements", {"period": "2026-02"}, 403)["code"] == "not_allowed"
    assert call("regulator", "GET", "/statements/reconciliation?period=2026-02")["equal"] is True
    assert call("regulator", "GET", "/statements/recount?period=2026-02")["equal"] is True
    assert call("regulator", "GET", "/statements/stm_none", status=404)["code"] == "not_found"
