from __future__ import annotations

import msgspec
import pytest
from fastapi import FastAPI, Header
from fastapi.testclient import TestClient

from shuzha.authorization.filing import public_key, verify_agreement
from shuzha.authorization.qualification import clear_checks
from shuzha.authorization.routes import make_router
from shuzha.core.actor import Actor
from shuzha.server import problems
from tests.authorization_kit import City

OPERATOR = {"person": "operator", "content-type": "application/octet-stream"}
EXPERTS = ["acc_expert1", "acc_expert2", "acc_expert3"]


@pytest.fixture
def client(city: City) -> TestClient:
    def actor(person: str = Header()) -> Actor:
        return city.experts[int(person[-1])] if person.startswith("expert") else getattr(city, person)

    app = FastAPI()
    problems.install(app)
    app.include_router(make_router(city.service, actor), prefix="/api/v1")
    return TestClient(app)


def post(client: TestClient, person: str, path: str, body: object, status: int = 200) -> dict:
    answer = client.post(
        f"/api/v1{path}", content=msgspec.json.encode(body),
        headers={"person": person, "content-type": "application/json"},
    )  # fmt: skip
    assert answer.status_code == status, answer.text
    return answer.json()


def test_walks_the_procedure_over_http(city: City, client: TestClient) -> None:
    entry = city.add_entry()
    found = post(client, "operator", "/authorizations", city.application(entry), 201)
    path = f"/authorizations/{found['id']}"
    for kind in ("operation", "competence", "plan"):
        attached = client.post(
            f"/api/v1{path}/evidence", params={"kind": kind, "name": "a.txt"}, content=b"sound", headers=OPERATOR
        )
        assert attached.status_code == 201, attached.text
    post(client, "authority", f"{path}/qualify", {"checks": clear_checks(city.today), "reason": "clear"})
    asked = post(client, "authority", f"{path}/experts", {"experts": EXPERTS, "reason": "third parties"}, 201)
    for number, one in enumerate(asked):
        expert = f"expert{number}"
        assert client.get(f"/api/v1/assessments/{one['id']}/application", headers={"person": expert}).status_code == 403
        post(client, expert, f"/assessments/{one['id']}/declare", {})
        blind = client.get(f"/api/v1/assessments/{one['id']}/application", headers={"person": expert}).json()
        points = [{"criterion": each["name"], "points": each["most"] - 1} for each in blind["criteria"]]
        post(client, expert, f"/assessments/{one['id']}/score", {"points": points, "comment": "able"})
    assert post(client, "authority", f"{path}/review", {"reason": "able"})["score"] == 96
    post(client, "authority", f"{path}/approve", {"number": "JZ-1", "reason": "approved"})
    post(client, "authority", f"{path}/publicize", {"reason": "public"})
    post(client, "operator", f"{path}/sign", {"reason": "signed"})
    active = post(client, "authority", f"{path}/countersign", {"reason": "signed"})
    assert active["state"] == "active"
    bundle = client.get(f"/api/v1{path}/agreement", headers={"person": "regulator"})
    assert verify_agreement(bundle.content, bytes.fromhex(public_key(city.keys))).sound
    signed = client.get(f"/api/v1{path}/document", headers={"person": "regulator"}).json()
    assert signed["signed_by"] == ["org_operator", "org_authority"]
    assert signed["sha256"] == active["document"]
    draft = city.draft(city.service.get_authorization(city.operator, found["id"]), entry)
    demand = post(client, "operator", "/demands", draft, 201)
    post(client, "operator", f"/demands/{demand['id']}/submit", {})
    post(client, "authority", f"/demands/{demand['id']}/check", {"reason": "clear"})
    grant = post(client, "provider", f"/demands/{demand['id']}/grant", {"reason": "yes"}, 201)
    assert set(grant["scope"]["columns"]) == set(draft.columns)
    shown = client.get(f"/api/v1/grants/{grant['id']}", headers={"person": "analyst"})
    assert shown.json()["scope"]["version"] == grant["scope"]["version"]
    suspended = post(client, "authority", f"{path}/suspend", {"reason": "the report is late"})
    assert suspended["state"] == "suspended"


def test_refuses_with_a_problem(city: City, client: TestClient) -> None:
    entry = city.add_entry()
    found = city.authorize(entry)
    refused = post(client, "operator", f"/authorizations/{found.id}/suspend", {"reason": "x"}, 403)
    assert refused["code"] == "not_allowed"
    assert post(client, "authority", f"/authorizations/{found.id}/sign", {"reason": "x"}, 403)["rule"]
    assert client.get(f"/api/v1/authorizations/{found.id}", headers={"person": "rival"}).status_code == 404
    draft = msgspec.to_builtins(city.draft(found, entry))
    draft["row_filter"] = [{"column": "kind", "op": "regex", "value": ".*"}]
    post(client, "operator", "/demands", draft, 422)
    draft["row_filter"] = [{"column": "kind", "op": "lt", "value": True}]
    assert post(client, "operator", "/demands", draft, 422)["rule"] == "conditions.grammar"
    draft["row_filter"] = []
    draft["collumns"] = ["kind"]
    post(client, "operator", "/demands", draft, 422)
