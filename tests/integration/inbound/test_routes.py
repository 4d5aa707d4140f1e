"""The HTTP face of import requests."""

from __future__ import annotations

import pytest
from fastapi import FastAPI, Header
from fastapi.testclient import TestClient

from sandbox.inbound.model import ImportState, Rules
from sandbox.inbound.routes import make_router
from shuzha.core.actor import Actor
from shuzha.server import problems
from tests.inbound_kit import BRANCHES, InboundCity, listed, people


@pytest.fixture
def client(city: InboundCity) -> TestClient:
    return client_of(city)


def client_of(city: InboundCity) -> TestClient:
    def actor(person: str = Header()) -> Actor:
        return getattr(city, person)

    app = FastAPI()
    problems.install(app)
    app.include_router(make_router(city.inbound, actor))
    return TestClient(app)


def as_(person: str) -> dict[str, str]:
    return {"person": person}


WISH = {
    "name": "branches", "purpose": "distance", "origin": "open", "statement": "published by the bank",
    "keep": ["district_code", "branches"],
}  # fmt: skip


def test_a_file_is_brought_submitted_and_let_in_over_the_api(city: InboundCity, client: TestClient) -> None:
    path = f"/workspaces/{city.workspace.id}/imports"
    brought = client.post(f"{path}?file=branches.csv", content=BRANCHES, headers=as_("analyst"))
    assert (brought.status_code, brought.json()["state"], brought.json()["file_name"]) == (
        202,
        "received",
        "branches.csv",
    )
    identifier = brought.json()["id"]
    city.inbound.read(identifier)
    submitted = client.post(f"/imports/{identifier}/submit", json=WISH, headers=as_("analyst"))
    assert submitted.json()["state"] == "submitted"
    city.inbound.screen(identifier)
    assert [one["id"] for one in client.get("/imports/to-review", headers=as_("checker")).json()] == [identifier]
    approved = client.post(f"/imports/{identifier}/approve", json={"reason": "needed"}, headers=as_("checker"))
    assert approved.json()["state"] == "approved"
    assert city.inbound.admit(identifier).state is ImportState.IMPORTED
    removed = client.post(f"/imports/{identifier}/remove", json={"reason": "done"}, headers=as_("operator"))
    assert removed.json()["state"] == "removed"
    assert city.inside("branches") is None
    assert not {"parsed", "outcome", "revision"} & set(removed.json())


def test_a_form_with_a_file_is_the_same_as_its_bytes(city: InboundCity, client: TestClient) -> None:
    path, file = f"/workspaces/{city.workspace.id}/imports", {"file": ("网点.csv", BRANCHES, "text/csv")}
    brought = client.post(path, files=file, headers=as_("operator")).json()
    assert (brought["file_name"], brought["size"]) == ("网点.csv", len(BRANCHES))
    missing = client.post(path, files={"other": (None, "x")}, headers=as_("operator"))
    assert missing.status_code == 422


@pytest.mark.parametrize(
    ("person", "path", "body", "status"),
    [
        ("rival", "workspace", BRANCHES, 404), ("checker", "workspace", BRANCHES, 404),
        ("analyst", "workspace", b"", 422), ("rival", "submit", WISH, 404), ("checker", "submit", WISH, 403),
        ("analyst", "submit", {**WISH, "surprise": 1}, 422), ("analyst", "submit", {**WISH, "origin": "found"}, 422),
        ("analyst", "submit", {**WISH, "purpose": ""}, 422), ("analyst", "approve", {"reason": "mine"}, 409),
        ("analyst", "remove", {"reason": "x"}, 409), ("analyst", "withdraw", {"reason": " "}, 422),
    ],
)  # fmt: skip
def test_refusals_have_their_status_and_change_nothing(
    city: InboundCity, client: TestClient, person: str, path: str, body: object, status: int
) -> None:
    made = city.bring(upto=ImportState.DRAFT)
    if path == "workspace":
        answer = client.post(f"/workspaces/{city.workspace.id}/imports", content=body, headers=as_(person))  # type: ignore[arg-type]
    else:
        answer = client.post(f"/imports/{made.id}/{path}", json=body, headers=as_(person))
    assert answer.status_code in ({status, 403} if path == "approve" else {status}), answer.text
    assert [one.state for one in city.inbound.list_imports(city.regulator)] == [ImportState.DRAFT]


def test_a_body_beyond_the_cap_ends_where_it_grows_beyond(template: InboundCity, tmp_path) -> None:  # type: ignore[no-untyped-def]
    city = template.copied(tmp_path, rules=Rules(bytes=1000))
    answer = client_of(city).post(
        f"/workspaces/{city.workspace.id}/imports", content=b"a\n" + b"1\n" * 1000, headers=as_("analyst")
    )
    assert (answer.status_code, answer.json()["rule"]) == (422, "own.bytes")
    assert city.inbound.list_imports(city.regulator) == ()


def test_the_applicants_unit_does_not_get_what_rests_on_the_release(city: InboundCity, client: TestClient) -> None:
    made = city.bring(people(range(100)), listed(), upto=ImportState.SCREENED)
    for person, known in (("analyst", 0), ("colleague", 0), ("operator", 0), ("checker", 1), ("regulator", 1)):
        found = client.get(f"/imports/{made.id}", headers=as_(person)).json()
        assert len(found["closed"]) == known, person
        assert "100" not in str([one for one in found["findings"] if one["place"] == "in the release"])
    assert client.get(f"/imports/{made.id}", headers=as_("rival")).status_code == 404
    assert client.get(f"/imports/{made.id}", headers=as_("insider")).status_code == 404
