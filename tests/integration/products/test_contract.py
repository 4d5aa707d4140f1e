"""The raw path and the documented route are one contract: the same calls to both, and both as the document says."""

from __future__ import annotations

import datetime as dt
from functools import partial

import httpx
import pytest

from policies import Policies
from products.registry.codes import ProductKind
from products.registry.service import product_file
from products.serving.app import Parts, make_app
from products.serving.contract import make_documented_app
from products.serving.state import ServingState
from shuzha.authorization.service import GrantScopes, forget_ids
from shuzha.core.clock import FixedClock
from tests.integration.products.conftest import question
from tests.products_kit import ProductCity, insured
from tests.serving_kit import MemoryMeter


@pytest.fixture(scope="module")
def city(tmp_path_factory):
    made = ProductCity(tmp_path_factory.mktemp("city"), FixedClock(dt.datetime(2026, 3, 2, 4, tzinfo=dt.UTC)))
    entry, grant = made.granted(output_kinds=("verification", "report"))
    made.product = made.in_service(made.deposited(grant, insured(entry)), waived=("loan-review",))
    report = made.deposited(
        grant, b"district,count\n370102,41\n", ProductKind.REPORT, form="table", file="by_district.csv"
    )
    made.report = made.in_service(report)
    return made


@pytest.fixture
def parts(city):
    folder = city.folder / "products"
    policies = Policies(GrantScopes(city.database))
    state = ServingState(city.database, policies, city.keys, folder, forget_ids)
    return Parts(
        state, policies, GrantScopes(city.database), city.clock, MemoryMeter(), city.keys,
        partial(product_file, folder), city.folder / "usage", city.folder / "logs", city.folder / "none.sock",
    )  # fmt: skip


def client(parts, secret, *, raw=True):
    transport = httpx.ASGITransport(make_app(parts, raw=raw))
    headers = {"Authorization": f"Bearer {secret}"} if secret else {}
    return httpx.AsyncClient(transport=transport, base_url="http://api", headers=headers)


CALLS = [
    question(), question(1), question(9999), question(extra=1), question(claim="rich"), question(purpose="marketing"),
    question(subject={"name": "x"}), {}, [], "x", question(consent=""),
]  # fmt: skip


def without_chance(response):
    body = {key: value for key, value in response.json().items() if key not in ("trace", "usage_id")}
    # How much is left of a key's rate depends on the moment, so these two are compared by name.
    by_chance = ("shuzha-log-index", "ratelimit")
    headers = {name: name in by_chance or value for name, value in response.headers.items()}
    return response.status_code, headers, body


async def test_the_raw_path_answers_as_the_documented_route_does(city, parts):
    path = f"/v1/products/{city.product.code}/verify"
    secrets = [city.api_keys.create_key(city.consumer, city.product.id, "x", ("loan-review",)).secret for _ in range(2)]
    parts.state.step()
    document = make_documented_app(None, None, None, None).openapi()["paths"]["/v1/products/{code}/verify"]["post"][
        "responses"
    ]
    async with client(parts, secrets[0]) as raw, client(parts, secrets[1], raw=False) as documented:
        for call in CALLS:
            answers = [await each.post(path, json=call) for each in (raw, documented)]
            assert without_chance(answers[0]) == without_chance(answers[1])
            assert_documented(document, answers[0])
        for headers in ({"Idempotency-Key": "k" * 201}, {"Authorization": "Basic x"}, {"Idempotency-Key": "same"}):
            answers = [await each.post(path, json=question(), headers=headers) for each in (raw, documented)]
            assert without_chance(answers[0]) == without_chance(answers[1])
            assert_documented(document, answers[0])
        for content in (b"{", b"x" * 70_000):
            answers = [await each.post(path, content=content) for each in (raw, documented)]
            assert without_chance(answers[0]) == without_chance(answers[1])
            assert_documented(document, answers[0])


async def test_a_raw_batch_is_answered_as_the_documented_route_does(city, parts):
    path = f"/v1/products/{city.product.code}/verify:batch"
    secrets = [city.api_keys.create_key(city.consumer, city.product.id, "x", ("loan-review",)).secret for _ in range(2)]
    parts.state.step()
    items = [{name: value for name, value in question(number).items() if name != "purpose"} for number in range(4)]
    async with client(parts, secrets[0]) as raw, client(parts, secrets[1], raw=False) as documented:
        for call in (items, [], items * 30, [items[0], {"claim": "rich"}], [items[0] | {"claim": "rich"}]):
            body = {"purpose": "loan-review", "items": call}
            answers = [await each.post(path, json=body) for each in (raw, documented)]
            told = [without_chance(answer) for answer in answers]
            if answers[0].status_code == 200:
                results = [[one["result"] for one in answer.json()["answers"]] for answer in answers]
                assert results == [["match", "no_match", "match", "no_match"]] * 2
                told = [(status, headers) for status, headers, _ in told]
            assert told[0][0] == told[1][0]
            assert {**told[0][1], "content-length": 0} == {**told[1][1], "content-length": 0}


def assert_documented(document, response):
    stated = document[str(response.status_code)]["content"]
    assert response.headers["content-type"] in stated
    if response.status_code == 200:
        assert set(response.json()) == {"result", "usage_id"}


def test_the_document_is_whole():
    document = make_documented_app(None, None, None, None).openapi()
    assert document["openapi"].startswith("3.1")
    assert set(document["paths"]) >= {
        "/v1/products", "/v1/products/{code}", "/v1/products/{code}/verify", "/v1/products/{code}/verify:batch",
        "/v1/products/{code}/files/{name}", "/v1/usage", "/v1/ledger/checkpoint", "/v1/ledger/proof/{usage_id}",
        "/healthz", "/readyz", "/metrics", "/problems", "/problems/{code}",
        "/.well-known/http-message-signatures-directory",
    }  # fmt: skip
    schemas = document["components"]["schemas"]
    assert {"VerifyRequest", "VerifyAnswer", "BatchRequest", "BatchAnswer", "Problem"} <= set(schemas)
    assert schemas["VerifyAnswer"]["properties"]["result"]["enum"] == ["match", "no_match"]
    assert set(schemas["VerifyRequest"]["required"]) == {"subject", "claim", "purpose"}


async def test_a_waived_purpose_is_metered_at_full_price(city, parts):
    secret = city.api_keys.create_key(city.consumer, city.product.id, "x", ("loan-review",)).secret
    parts.state.step()
    async with client(parts, secret) as caller:
        assert (await caller.post(f"/v1/products/{city.product.code}/verify", json=question())).status_code == 200
    (event,) = parts.meter.events
    assert (event.price, event.waived, event.claim, event.kind) == (120, True, "insured", "verification")
    assert event.policy_version
    assert "370102" not in str(event)
    assert "c-1" not in str(event)
    assert (len(event.consent), event.request_digest) == (40, "")


async def test_a_report_is_fetched_and_metered(city, parts):
    secret = city.api_keys.create_key(city.consumer, city.report.id, "x", ("loan-review",)).secret
    parts.state.step()
    path = f"/v1/products/{city.report.code}/files/by_district.csv"
    async with client(parts, secret) as caller:
        answer = await caller.get(path, params={"purpose": "loan-review"})
        assert (answer.status_code, answer.content) == (200, b"district,count\n370102,41\n")
        assert answer.headers["content-type"].startswith("text/csv")
        assert answer.headers["shuzha-usage-id"] == parts.meter.events[0].usage_id
        other = path.replace("by_district", "..%2F..%2Frecords")
        assert (await caller.get(other, params={"purpose": "loan-review"})).status_code == 404
        assert (await caller.get(path)).json()["code"] == "invalid"
        assert (await caller.get(path, params={"purpose": "marketing"})).json()["code"] == "purpose_not_allowed"
        parts.meter.down = True
        assert (await caller.get(path, params={"purpose": "loan-review"})).json()["code"] == "meter_unavailable"
    assert len(parts.meter.events) == 1


async def test_nothing_is_answered_when_the_news_stop(city, parts):
    secret = city.api_keys.create_key(city.consumer, city.product.id, "x", ("loan-review",)).secret
    parts.state.step()
    parts.state._heard -= 60
    async with client(parts, secret) as caller:
        answer = await caller.post(f"/v1/products/{city.product.code}/verify", json=question())
        assert (answer.status_code, answer.json()["code"]) == (503, "state_unknown")
        assert (await caller.get("/readyz")).status_code == 503
    assert parts.meter.events == []
