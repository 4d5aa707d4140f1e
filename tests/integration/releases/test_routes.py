from __future__ import annotations

import pytest
from fastapi import FastAPI, Header
from fastapi.testclient import TestClient

from shuzha.core.actor import Actor
from shuzha.releases.certificate import verify_certificate
from shuzha.releases.routes import make_router
from shuzha.server import problems
from tests.releases_kit import ReleaseCity


@pytest.fixture
def client(city: ReleaseCity) -> TestClient:
    def actor(person: str = Header()) -> Actor:
        return getattr(city, person)

    app = FastAPI()
    problems.install(app)
    app.include_router(make_router(city.releases, actor))
    return TestClient(app)


def test_asks_for_shows_and_destroys_a_release(city: ReleaseCity, client: TestClient) -> None:
    entry = city.filled()
    grant = city.grant(city.authorize(entry), entry)
    asked = client.post("/releases", json={"grant": grant.id}, headers={"person": "analyst"})
    assert (asked.status_code, asked.json()["state"]) == (202, "building")
    path = f"/releases/{asked.json()['id']}"
    city.releases.run_build(asked.json()["id"])
    assert client.get(path, headers={"person": "provider"}).json()["rows"] == 200
    paper = client.get(f"{path}/certificate", headers={"person": "regulator"})
    assert verify_certificate(paper.content, paper.headers["Shuzha-Signature"], city.builder.public_key)
    checked = client.post(f"{path}/verify", headers={"person": "regulator"})
    assert checked.json() == {"holds": True, "wrong": []}
    assert client.get(path, headers={"person": "rival"}).status_code == 404
    refused = client.post(f"{path}/destroy", json={"reason": "x"}, headers={"person": "operator"})
    assert refused.status_code == 403
    gone = client.post(f"{path}/destroy", json={"reason": "exit"}, headers={"person": "authority"})
    assert gone.json()["state"] == "destroyed"
    listed = client.get("/releases", params={"grant": grant.id}, headers={"person": "operator"})
    assert [one["state"] for one in listed.json()] == ["destroyed"]
