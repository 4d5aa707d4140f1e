"""Every endpoint of the consumer API refuses what it must: the routes are taken from the app, so none is forgotten.

An operation stands in `OPEN` with the reason why anybody may call it, or in `CALLS` with a call that would be answered.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from dataclasses import dataclass, field
from typing import Any

import pytest

from products.consumers.model import KeyUse, Scope
from products.serving.contract import make_documented_app
from products.serving.documents import operations
from tests.serving_kit import ServingCity, caller

OPEN = {
    "GET /v1/products": "the price list is public",
    "GET /v1/products/{code}": "the price list is public",
    "GET /v1/ledger/checkpoint": "checkpoints are public",
    "GET /v1/ledger/key": "the log's public key",
    "GET /v1/ledger/cosigned": "checkpoints are public",
    "GET /v1/ledger/tile/{path}": "hashes and commitments, never payloads",
    "GET /v1/ledger/consistency": "hashes between two public checkpoints",
    "GET /healthz": "alive or not",
    "GET /readyz": "able to answer or not",
    "GET /metrics": "totals, for who reaches the port",
    "GET /problems": "what problems mean",
    "GET /problems/{code}": "what a problem means",
    "GET /.well-known/http-message-signatures-directory": "public keys",
}


@dataclass(frozen=True)
class Call:
    """A call that is answered with 200: its product, its body or query, and another body under the same key."""

    product: str = ""
    body: dict[str, Any] | None = None
    other: dict[str, Any] | None = None
    query: dict[str, str] = field(default_factory=dict)
    uses: tuple[KeyUse, ...] = (KeyUse.ACCOUNT,)

    @property
    def is_metered(self) -> bool:
        return bool(self.product)


def items(question: dict[str, Any]) -> dict[str, Any]:
    item = {name: value for name, value in question.items() if name != "purpose"}
    return {"purpose": question["purpose"], "items": [item]}


def calls(made: ServingCity) -> dict[str, Call]:
    first, second = made.question(0), made.question(1)
    return {
        "POST /v1/products/{code}/verify": Call("product", first, second, uses=(KeyUse.VERIFY,)),
        "POST /v1/products/{code}/verify:batch": Call("product", items(first), items(second), uses=(KeyUse.BATCH,)),
        "GET /v1/products/{code}/files/{name}": Call("report", query={"purpose": "loan-review"}, uses=(KeyUse.FILES,)),
        "POST /v1/products/{code}/predict": Call(
            "model",
            {"inputs": {"paid": True}, "purpose": "loan-review"},
            {"inputs": {"paid": False}, "purpose": "loan-review"},
            uses=(KeyUse.PREDICT,),
        ),
        "POST /v1/products/{code}/predict:batch": Call(
            "model",
            {"items": [{"paid": True}], "purpose": "loan-review"},
            {"items": [{"paid": False}], "purpose": "loan-review"},
            uses=(KeyUse.PREDICT,),
        ),
        "GET /v1/products/{code}/query": Call(
            "service",
            query={"purpose": "loan-review", "paid": "true"},
            uses=(KeyUse.QUERY,),
        ),
        "GET /v1/usage": Call(),
        "GET /v1/ledger/proof/{usage_id}": Call(),
    }


OPERATIONS = dict(operations(make_documented_app(None, None, None, None).openapi()))
KEYED = sorted(OPERATIONS.keys() - OPEN.keys())
METERED = [name for name in KEYED if "/products/" in name]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    # The process of the forms has the host's clock, so the city's past begins months before it.
    city = ServingCity(tmp_path_factory.mktemp("refusals"), dt.datetime.now(dt.UTC) - dt.timedelta(days=75))
    city.start_writer()
    city.start_forms()
    yield city
    city.stop_forms()
    city.stop_writer()


class Api:
    """The API with fresh limits, and one operation of it."""

    def __init__(self, made: ServingCity, name: str) -> None:
        self.made = made
        self.method, self.path = name.split(" ")
        self.call = calls(made)[name]
        self.product = getattr(made, self.call.product or "product")
        self.parts = made.parts()

    def key(self, **changes: Any):
        return self.made.key(self.product, **changes)

    async def ask(self, key, *, body=None, idempotency="", address="127.0.0.1", usage_id="", parts=None):
        parts = parts or self.parts
        parts.state.step()
        path = self.path.format(code=self.product.code, name="by_district.csv", usage_id=usage_id)
        headers = {"Idempotency-Key": idempotency} if idempotency else {}
        async with caller(parts, key, address=address) as client:
            if "{usage_id}" in self.path and not usage_id:
                path = self.path.format(usage_id=await self.use(client, parts, key))
            sent = {"json": body or self.call.body} if self.call.body else {}
            return await client.request(self.method, path, params=self.call.query, headers=headers, **sent)

    async def use(self, client, parts, key) -> str:
        """Make a use of the key's own organisation, to ask for its proof: anybody's where the key opens nothing."""
        if not hasattr(self, "own"):
            maker = self.made.key(self.made.product)
            parts.state.step()
            async with caller(parts, maker) as other:
                path = f"/v1/products/{self.made.product.code}/verify"
                self.own = (await other.post(path, json=self.made.question())).json()["usage_id"]
        return self.own


@pytest.fixture(params=KEYED)
def api(request, made):
    return Api(made, request.param)


def refused(answer, status: int, code: str) -> None:
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == f"/problems/{code}"


def test_every_operation_is_open_for_a_reason_or_has_a_call(made) -> None:
    assert set(KEYED) == set(calls(made)), "say in OPEN why anybody may call it, or give it a call here"


async def test_it_answers_a_key_that_may(api) -> None:
    key = api.key()
    for _ in range(50):
        answer = await api.ask(key)
        # A use can be proved under the next checkpoint, which is signed within a second.
        if "proof" not in api.path or answer.status_code == 200:
            break
        await asyncio.sleep(0.1)
    assert answer.status_code == 200, answer.text


async def test_it_refuses_no_key_and_a_wrong_one(api) -> None:
    right = api.key().secret
    wrong = right[:-1] + ("A" if right[-1] != "A" else "B")
    refused(await api.ask("", usage_id="usg_x"), 401, "key_missing")
    refused(await api.ask(wrong, usage_id="usg_x"), 401, "key_unknown")
    refused(await api.ask("sk_live_of_somebody_else", usage_id="usg_x"), 401, "key_unknown")


async def test_it_refuses_a_key_that_opens_nothing_any_more(api) -> None:
    city = api.made.city
    for stop, status, code in (
        (city.api_keys.revoke_key, 401, "key_unknown"), (city.api_keys.suspend_key, 403, "key_suspended"),
    ):  # fmt: skip
        key = api.key()
        stop(city.consumer if code == "key_unknown" else city.authority, key.key.id, "for a test")
        refused(await api.ask(key, usage_id="usg_x"), status, code)
    app = city.apps.create_app(city.consumer, "short-lived")
    key = api.key(scope=Scope(app=app.id))
    city.apps.close_app(city.consumer, app.id, "for a test")
    refused(await api.ask(key, usage_id="usg_x"), 403, "app_closed")
    ended = api.key(scope=Scope(expires_at=city.clock.now() + dt.timedelta(seconds=1)))
    city.clock.advance(dt.timedelta(seconds=2))
    refused(await api.ask(ended, usage_id="usg_x"), 401, "key_expired")


async def test_it_refuses_another_address_and_another_call_than_the_keys(api) -> None:
    bound = api.key(scope=Scope(networks=("203.0.113.0/24",)))
    refused(await api.ask(bound, usage_id="usg_x"), 403, "address_not_allowed")
    other = tuple(use for use in KeyUse if use not in api.call.uses)
    refused(await api.ask(api.key(scope=Scope(uses=other)), usage_id="usg_x"), 403, "use_not_in_key")


async def test_it_refuses_what_is_another_tenants(api) -> None:
    if api.call.is_metered:
        refused(await api.ask(api.made.key(api.made.second)), 403, "product_not_in_key")
    elif "{usage_id}" in api.path:
        stranger = api.made.key(who=api.made.city.other_consumer)
        refused(await api.ask(stranger), 404, "not_found")
    else:
        stranger = api.made.key(who=api.made.city.other_consumer)
        answer = await api.ask(stranger)
        assert answer.status_code == 200
        assert api.made.city.consumer.organisation not in answer.text


async def test_it_refuses_more_than_the_rate(api) -> None:
    key = api.key(rate=1)
    api.parts.state.step()
    async with caller(api.parts, key) as client:
        path = api.path.format(code=api.product.code, name="by_district.csv", usage_id="usg_x")
        sent = {"json": api.call.body} if api.call.body else {}
        answers = [await client.request(api.method, path, params=api.call.query, **sent) for _ in range(3)]
    refused(answers[2], 429, "rate_exceeded")
    assert answers[2].headers["retry-after"] == "1"
    assert answers[2].headers["ratelimit-policy"].startswith('"second";q=1;w=1')


@pytest.mark.parametrize("name", METERED)
async def test_it_refuses_more_than_the_quota(made, name) -> None:
    api = Api(made, name)
    key = api.key(daily_quota=1)
    assert (await api.ask(key)).status_code == 200
    refused(await api.ask(key), 429, "quota_exceeded")


@pytest.mark.parametrize("name", [name for name in METERED if name.startswith("POST")])
async def test_it_refuses_another_request_under_a_used_idempotency_key(made, name) -> None:
    api = Api(made, name)
    key = api.key()
    first = await api.ask(key, idempotency="same")
    again = await api.ask(key, idempotency="same")
    assert (again.status_code, again.content) == (200, first.content)
    refused(await api.ask(key, body=api.call.other, idempotency="same"), 409, "idempotency_conflict")
    refused(await api.ask(key, idempotency="k" * 201), 400, "idempotency_key")


async def test_a_refusal_is_signed_like_an_answer(api) -> None:
    async with caller(api.parts) as client:
        path = api.path.format(code=api.product.code, name="x", usage_id="usg_x")
        asked = {"Accept-Signature": 'sig1=("@status" "@path";req)'}
        sent = {"json": api.call.body} if api.call.body else {}
        answer = await client.request(api.method, path, headers=asked, params=api.call.query, **sent)
        refused(answer, 401, "key_missing")
        assert answer.headers["signature-input"].startswith('sig1=("@status" "@path";req "content-digest")')
        unsigned = await client.request(api.method, path, params=api.call.query, **sent)
        assert "signature" not in unsigned.headers
        bad = await client.request(api.method, path, headers={"Accept-Signature": "?"}, params=api.call.query, **sent)
        refused(bad, 400, "accept_signature")
