"""The HTTP face of export requests."""

from __future__ import annotations

import pytest
from fastapi import FastAPI, Header
from fastapi.testclient import TestClient

from sandbox.airlock.model import ExportState
from sandbox.airlock.record import verify_record
from sandbox.airlock.routes import make_router
from shuzha.core.actor import Actor
from shuzha.server import problems
from tests.airlock_kit import AirlockCity


@pytest.fixture
def client(city: AirlockCity) -> TestClient:
    def actor(person: str = Header()) -> Actor:
        return getattr(city, person)

    app = FastAPI()
    problems.install(app)
    app.include_router(make_router(city.airlock, actor))
    return TestClient(app)


def as_(person: str) -> dict[str, str]:
    return {"person": person}


def test_two_reviewers_decide_over_the_api(city: AirlockCity, client: TestClient) -> None:
    _, release = city.ready()
    request = city.request_at(ExportState.SCREENED, release)
    path = f"/exports/{request.id}"
    assert [one["id"] for one in client.get("/exports/to-review", headers=as_("checker")).json()] == [request.id]
    first = client.post(f"{path}/vote", json={"choice": "approve", "reason": "fine"}, headers=as_("checker"))
    assert (first.status_code, first.json()["state"], len(first.json()["votes"])) == (200, "under_review", 1)
    assert client.get(path, headers=as_("second")).json()["votes"] == []
    second = client.post(f"{path}/vote", json={"choice": "approve", "reason": "fine"}, headers=as_("second"))
    assert (second.json()["state"], len(second.json()["votes"])) == ("approved", 2)
    city.airlock.finish(request.id)
    file = client.get(f"{path}/files/by_district", headers=as_("analyst"))
    assert file.content.startswith(b"district_code,entities\n")
    assert file.headers["content-disposition"] == "attachment"
    record = client.get(f"{path}/record", headers=as_("regulator"))
    key = bytes.fromhex(record.headers["Shuzha-Public-Key"])
    assert verify_record(record.content, record.headers["Shuzha-Signature"], key)
    recalled = client.post(f"{path}/recall", json={"reason": "an error"}, headers=as_("authority"))
    assert recalled.json()["state"] == "recalled"


@pytest.mark.parametrize(
    ("person", "verb", "body", "status"),
    [
        ("analyst", "vote", {"choice": "approve", "reason": "mine"}, 403),
        ("rival", "vote", {"choice": "approve", "reason": "mine"}, 404),
        ("checker", "vote", {"choice": "approve", "reason": " "}, 422),
        ("checker", "vote", {"choice": "yes", "reason": "x"}, 422),
        ("checker", "vote", {"choice": "approve", "reason": "x", "count": 2}, 422),
        ("checker", "consolidate", {"choice": "approve", "reason": "x"}, 409),
        ("checker", "recall", {"reason": "x"}, 403),
        ("authority", "recall", {"reason": "x"}, 409),
    ],
)
def test_refusals_say_why_and_change_nothing(
    city: AirlockCity, client: TestClient, person: str, verb: str, body: dict[str, object], status: int
) -> None:
    _, release = city.ready()
    request = city.request_at(ExportState.SCREENED, release)
    answer = client.post(f"/exports/{request.id}/{verb}", json=body, headers=as_(person))
    assert answer.status_code == status, answer.text
    standing = city.airlock.get_export(city.authority, request.id)
    assert (standing.state, standing.votes, standing.revision) == (request.state, (), request.revision)


def test_withdraw_and_notebook(city: AirlockCity, client: TestClient) -> None:
    _, release = city.ready()
    request = city.request_at(ExportState.SUBMITTED, release)
    notebook = client.get(f"/exports/{request.id}/notebook", headers=as_("checker"))
    assert b"nbformat" in notebook.content
    assert client.get(f"/exports/{request.id}/record", headers=as_("checker")).status_code == 404
    gone = client.post(f"/exports/{request.id}/withdraw", json={"reason": "a mistake"}, headers=as_("analyst"))
    assert gone.json()["state"] == "withdrawn"
    assert client.get("/exports", headers=as_("rival")).json() == []
