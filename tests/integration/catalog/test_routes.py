import dataclasses
import json

import msgspec
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from fastapi.testclient import TestClient

from shuzha.catalog.routes import make_router
from shuzha.core.errors import Conflict, Invalid, NotAllowed, NotFound, ShuzhaError
from tests.catalog_kit import ROWS, CatalogKit, make_sheet, scan_as_plain

_STATUS = {NotFound: 404, NotAllowed: 403, Conflict: 409, Invalid: 422}


@pytest.fixture
def kit(tmp_path):
    return CatalogKit(tmp_path, scanner=scan_as_plain, max_upload_bytes=5_000_000)


@pytest.fixture
def client(kit):
    people = {"provider": kit.provider, "other": kit.other_provider, "authority": kit.authority, "analyst": kit.analyst}

    def who(request: Request):
        return people[request.headers["x-test-person"]]

    app = FastAPI()
    app.include_router(make_router(kit.service, who), prefix="/api/v1")

    @app.exception_handler(ShuzhaError)
    def answer(_: Request, error: ShuzhaError) -> JSONResponse:
        return JSONResponse({"code": error.code, "detail": str(error)}, _STATUS.get(type(error), 409))

    with TestClient(app, base_url="http://portal.localhost/api/v1") as client:
        yield client


def as_(person):
    return {"x-test-person": person}


def sheet_json(**changes):
    return json.loads(msgspec.json.encode(make_sheet(**changes)))


def publish(client):
    made = client.post("/entries", json=sheet_json(), headers=as_("provider"))
    assert made.status_code == 201, made.text
    path = f"/entries/{made.json()['entry']['id']}"
    scanned = client.post(f"{path}/scan", files={"file": ("样本.csv", ROWS.encode("gb18030"))}, headers=as_("provider"))
    assert scanned.json()["rows"] == 3, scanned.text
    assert client.post(f"{path}/submit", headers=as_("provider")).json()["remaining_days"] == 3
    done = client.post(f"{path}/publish", json={"reason": "complete", "grade": 4}, headers=as_("authority"))
    assert done.json()["entry"]["state"] == "published", done.text
    return path


def test_an_entry_is_drafted_scanned_submitted_and_published_over_http(client):
    path = publish(client)
    seen = client.get(path, headers=as_("analyst")).json()
    assert seen["entry"]["sheet"] == sheet_json()
    assert seen["entry"]["confirmed_grade"] == 4
    assert "suspend" in seen["verbs"]
    assert len(client.get("/entries?state=published", headers=as_("analyst")).json()["items"]) == 1
    assert client.get("/entries?state=draft", headers=as_("analyst")).json()["items"] == []


def test_a_misspelt_or_wrong_field_is_refused(client):
    for body in ({**sheet_json(), "grad": 3}, {**sheet_json(), "update_cycle": "sometimes"}):
        answer = client.post("/entries", json=body, headers=as_("provider"))
        assert answer.status_code == 422
    assert client.get("/entries", headers=as_("authority")).json()["items"] == []


def test_a_draft_is_changed_and_a_taken_code_is_a_conflict(client):
    made = client.post("/entries", json=sheet_json(), headers=as_("provider")).json()["entry"]
    changed = client.patch(f"/entries/{made['id']}", json=sheet_json(abstract="better"), headers=as_("provider"))
    assert changed.json()["entry"]["sheet"]["abstract"] == "better"
    answer = client.post("/entries", json=sheet_json(), headers=as_("other"))
    assert answer.status_code == 409
    assert "3010001" in answer.json()["detail"]
    assert client.get(f"/entries/{made['id']}", headers=as_("other")).status_code == 404


def test_decisions_over_http_ask_for_role_and_reason(client):
    path = publish(client)
    assert client.post(f"{path}/suspend", json={"reason": "x"}, headers=as_("provider")).status_code == 403
    assert client.post(f"{path}/suspend", json={"reason": ""}, headers=as_("authority")).status_code == 422
    assert client.post(f"{path}/suspend", json={"reason": "x"}, headers=as_("authority")).status_code == 200
    assert client.post(f"{path}/restore", json={"reason": "y"}, headers=as_("authority")).status_code == 200
    change = {"sheet": sheet_json(abstract="new"), "reason": "clearer"}
    pending = client.post(f"{path}/change", json=change, headers=as_("provider")).json()
    assert pending["entry"]["state"] == "change_pending"
    back = client.post(f"{path}/return", json={"reason": "no"}, headers=as_("authority")).json()
    assert back["entry"]["state"] == "published"
    gone = client.post(f"{path}/retire", json={"reason": "merged"}, headers=as_("provider")).json()
    assert (gone["entry"]["state"], gone["verbs"]) == ("retired", [])


@pytest.mark.parametrize("as_form", [True, False])
def test_a_batch_is_streamed_in_and_its_receipt_can_be_read(client, kit, as_form):
    path = publish(client)
    if as_form:
        form = {"file": ("缴费.csv", ROWS.encode(), "text/csv")}
        sent = client.post(f"{path}/batches?mode=full", data={"note": "x"}, files=form, headers=as_("provider"))
    else:
        url = f"{path}/batches?mode=full&file=%E7%BC%B4%E8%B4%B9.csv"
        sent = client.post(url, content=ROWS.encode(), headers={**as_("provider"), "content-type": "text/csv"})
    assert sent.status_code == 202, sent.text
    batch = sent.json()
    assert (batch["state"], batch["file_name"], batch["size"]) == ("received", "缴费.csv", len(ROWS.encode()))
    kit.service.run_ingest(batch["id"])
    done = client.get(f"/batches/{batch['id']}", headers=as_("provider")).json()
    assert done["receipt"]["rows"] == 3
    assert [item["id"] for item in client.get(f"{path}/batches", headers=as_("authority")).json()["items"]] == [
        batch["id"]
    ]
    assert client.get(f"{path}/batches", headers=as_("analyst")).json()["items"] == []


def test_an_upload_is_refused_before_it_is_read_and_leaves_nothing(client, kit):
    path = publish(client)
    assert client.post(f"{path}/batches", content=b"x", headers=as_("other")).status_code == 403
    large = client.post(f"{path}/batches", content=b"x" * 7_000_000, headers=as_("provider"))
    assert large.status_code == 422
    assert "cap" in large.json()["detail"]
    chunked = client.post(f"{path}/batches", content=(b"x" * 1_000_000 for _ in range(9)), headers=as_("provider"))
    assert chunked.status_code == 422
    assert client.post(f"{path}/batches?mode=upsert", content=b"x", headers=as_("provider")).status_code == 422
    no_file = client.post(f"{path}/batches", data={"a": "b"}, files={"c": (None, "d")}, headers=as_("provider"))
    assert no_file.status_code == 422
    assert list((kit.zone.folder / "inbox").iterdir()) == []


def test_the_contract_names_every_field_of_a_sheet(client):
    schema = client.get("http://portal.localhost/openapi.json").json()["components"]["schemas"]["EntryDraft"]
    assert set(schema["properties"]) == {field.name for field in dataclasses.fields(make_sheet())}
