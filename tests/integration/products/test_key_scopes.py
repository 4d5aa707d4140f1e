"""What a key is limited to, as the consumer API obeys it: products, calls, networks, a term, its app's state."""

from __future__ import annotations

import datetime as dt
import time

import pytest

from products.consumers.model import KeyUse, Scope
from tests.integration.products.conftest import wait_until
from tests.serving_kit import ServingCity, caller


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return ServingCity(tmp_path_factory.mktemp("scopes"))


async def asked(made, parts, key, *, product=None, address="127.0.0.1", path="verify"):
    parts.state.step()
    body = made.question() if path == "verify" else {"purpose": "loan-review", "items": [
        {name: value for name, value in made.question().items() if name != "purpose"}
    ]}  # fmt: skip
    async with caller(parts, key, address=address) as client:
        answer = await client.post(f"/v1/products/{(product or made.product).code}/{path}", json=body)
    return answer.status_code, answer.json().get("code", "")


async def test_a_key_calls_the_products_of_its_scope_and_no_other(made):
    parts = made.parts()
    narrow, wide = made.key(), made.key(scope=Scope(also=(made.second.id,)))
    assert await asked(made, parts, narrow, product=made.second) == (403, "product_not_in_key")
    assert await asked(made, parts, wide, product=made.second) == (200, "")
    assert await asked(made, parts, wide) == (200, "")
    assert await asked(made, parts, wide, product=made.report) == (403, "product_not_in_key")
    assert {event.product for event in parts.meter.events} == {made.product.id, made.second.id}


async def test_a_key_makes_the_calls_of_its_scope_and_no_other(made):
    parts = made.parts()
    key = made.key(scope=Scope(uses=(KeyUse.BATCH,)))
    assert await asked(made, parts, key) == (403, "use_not_in_key")
    assert await asked(made, parts, key, path="verify:batch") == (200, "")
    async with caller(parts, key) as client:
        assert (await client.get("/v1/usage")).json()["code"] == "use_not_in_key"


@pytest.mark.parametrize(
    ("address", "outcome"),
    [("203.0.113.7", (200, "")), ("::ffff:203.0.113.7", (200, "")), ("203.0.114.7", (403, "address_not_allowed")),
     ("2001:db8::1", (403, "address_not_allowed")), ("", (403, "address_not_allowed"))],
)  # fmt: skip
async def test_a_bound_key_opens_from_its_networks_only(made, address, outcome):
    parts = made.parts()
    key = made.key(scope=Scope(networks=("203.0.113.0/24",)))
    assert await asked(made, parts, key, address=address) == outcome


async def test_a_key_ends_at_its_moment_and_its_successor_goes_on(made):
    parts = made.parts()
    old = made.key()
    new = made.city.api_keys.rotate_key(made.city.consumer, old.key.id, dt.timedelta(hours=1))
    assert await asked(made, parts, old) == (200, "")
    assert await asked(made, parts, new) == (200, "")
    made.city.clock.advance(dt.timedelta(minutes=59))
    assert await asked(made, parts, old) == (200, "")
    made.city.clock.advance(dt.timedelta(minutes=1))
    assert await asked(made, parts, old) == (401, "key_expired")
    assert await asked(made, parts, new) == (200, "")


async def test_an_app_stops_its_own_keys_only(made):
    parts, apps = made.parts(), made.city.apps
    first, second = (apps.create_app(made.city.consumer, name) for name in ("loans", "cards"))
    one, other = (made.key(scope=Scope(app=app.id)) for app in (first, second))
    apps.suspend_app(made.city.authority, first.id, "odd pattern")
    assert await asked(made, parts, one) == (403, "app_suspended")
    assert await asked(made, parts, other) == (200, "")
    apps.restore_app(made.city.authority, first.id, "explained")
    assert await asked(made, parts, one) == (200, "")
    apps.close_app(made.city.consumer, first.id, "replaced")
    assert await asked(made, parts, one) == (403, "app_closed")
    assert await asked(made, parts, other) == (200, "")


def test_every_process_refuses_a_closed_apps_key_within_a_second(platform):
    app = platform.city.apps.create_app(platform.city.consumer, "to be closed")
    key = platform.key(scope=Scope(app=app.id))
    assert platform.verify(key).status_code == 200
    platform.city.apps.close_app(platform.city.consumer, app.id, "replaced")
    closed = time.monotonic()
    wait_until(lambda: platform.verify(key).status_code == 403, 5)
    assert time.monotonic() - closed < 1
