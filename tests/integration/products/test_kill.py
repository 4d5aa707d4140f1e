"""Kill -9 of API and writer under load: what was acknowledged is metered, nothing twice, and the month bills it.

And the quota of a grant: exact under calls at once, a batch, a kill and another key.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import signal
from collections import Counter

import httpx
import pytest

from policies import Period, Quota
from shuzha.authorization.store import AUTHORIZATIONS
from shuzha.catalog.store import ENTRIES
from shuzha.core.clock import city_date
from shuzha.settlement.service import SettlementService
from shuzha.settlement.sources import UsageSource
from tests.integration.products.conftest import question, wait_until
from tests.integration.products.test_consumer_api import problem
from tests.products_kit import insured, who

CALLS = 400
DEADLINE = 60.0
QUOTA = 15


async def test_acknowledged_is_metered_is_billed_through_two_kills(platform):
    key = platform.key()
    before = platform.metered(key)
    path = f"/v1/products/{platform.product.code}/verify"
    acknowledged: dict[str, str] = {}
    doubled: list[str] = []

    async def ask(client: httpx.AsyncClient, number: int) -> None:
        name = f"kill-{number}"
        while True:
            try:
                answer = await client.post(path, json=question(number % 200), headers={"Idempotency-Key": name})
            except httpx.TransportError:
                await asyncio.sleep(0.05)
                continue
            if answer.status_code == 200:
                break
            assert answer.status_code in (429, 503), answer.text
            await asyncio.sleep(0.05)
        usage_id = answer.json()["usage_id"]
        if usage_id in acknowledged.values():
            doubled.append(usage_id)
        acknowledged[name] = usage_id

    async def some(numbers: list[int]) -> None:
        headers = {"Authorization": f"Bearer {key.secret}"}
        async with httpx.AsyncClient(base_url=platform.url, headers=headers, timeout=5) as client:
            for number in numbers:
                await ask(client, number)

    async def kill() -> None:
        for name, restart in (
            ("writer", platform.start_writer),
            ("api", platform.start_api),
            ("writer", platform.start_writer),
        ):
            wanted = len(acknowledged) + CALLS // 5
            while len(acknowledged) < wanted:  # noqa: ASYNC110 -- the calls themselves are what is waited for.
                await asyncio.sleep(0.005)
            await asyncio.to_thread(platform.stop, name, signal.SIGKILL)
            await asyncio.to_thread(restart)

    async with asyncio.timeout(DEADLINE):
        await asyncio.gather(kill(), *(some(list(range(first, CALLS, 16))) for first in range(16)))
    assert len(acknowledged) == CALLS
    assert doubled == []
    assert platform.metered(key) == before + CALLS
    again = platform.verify(key, 7, idempotency="kill-7")
    assert again.json()["usage_id"] == acknowledged["kill-7"]
    folder = platform.city.folder
    service = SettlementService(
        platform.city.database, platform.city.policies, UsageSource(folder / "usage", folder / "logs" / "usage")
    )
    period = city_date(dt.datetime.now(dt.UTC)).isoformat()[:7]
    found = service.so_far(platform.city.authority, period)
    everything = service.reconcile(platform.city.regulator, period)
    assert found.billed_uses() == everything.metered == everything.logged


@pytest.fixture(scope="module")
def limited(platform):
    """Return the platform with a product under a grant of 15 uses in its term, known to the API."""
    offer_another(platform, quota=Quota(QUOTA, Period.TERM))
    return platform


def offer_another(platform, **granted):
    """Put another product in service, under a grant of its own on the same entry."""
    city = platform.city
    with city.database.read() as work:
        entry = work.get(ENTRIES, platform.product.entry)
        authorization = work.get(AUTHORIZATIONS, platform.product.authorization)
    grant = city.grant(authorization, entry, **granted)
    platform.product = city.in_service(city.deposited(grant, insured(entry)))
    wait_until(lambda: platform.get(f"/v1/products/{platform.product.code}").json().get("state") == "in_service")


def used(platform):
    """Return how many uses of the limited product any key was charged."""
    uses = platform.get("/v1/usage", platform.key()).json()["items"]
    return sum(one["product"] == platform.product.id for one in uses)


async def call_at_once(platform, keys, count):
    path = f"/v1/products/{platform.product.code}/verify"
    async with httpx.AsyncClient(base_url=platform.url, timeout=30) as client:
        calls = [
            client.post(
                path, json=question(number), headers={"Authorization": f"Bearer {keys[number % len(keys)].secret}"}
            )
            for number in range(count)
        ]
        return await asyncio.gather(*calls)


async def test_a_grants_quota_is_exact_over_keys_calls_at_once_a_batch_and_a_kill(limited):
    keys = [limited.key(), limited.key()]
    first = limited.verify(keys[0], idempotency="the first use")
    assert first.status_code == 200

    items = [{"subject": {"resident_id": who(number)}, "claim": "insured", "consent": "c"} for number in range(QUOTA)]
    path = f"/v1/products/{limited.product.code}/verify:batch"
    whole = {"purpose": "loan-review", "items": items}
    problem(limited.post(path, keys[0], whole), 429, "grant_quota_exceeded")
    assert limited.post(path, keys[0], whole | {"items": items[:4]}).status_code == 200
    problem(limited.verify(keys[0], claim="rich"), 422, "claim_unknown")
    assert used(limited) == 5

    answers = await call_at_once(limited, keys, 7)
    limited.stop("api", signal.SIGKILL)
    limited.start_api()
    answers += await call_at_once(limited, keys, 17)
    assert Counter(answer.status_code for answer in answers) == {200: QUOTA - 5, 429: 24 - (QUOTA - 5)}
    assert used(limited) == QUOTA

    refused = problem(limited.verify(keys[1]), 429, "grant_quota_exceeded")
    assert f"{QUOTA} uses a term" in refused["detail"]
    assert limited.product.grant in refused["detail"]
    assert "quota: the scenario demand (J23 art. 16)" in refused["rule"]
    assert refused["rule"].startswith(f"scope {limited.product.grant}@")
    assert refused["accepted"] == "a grant with a larger quota"
    # Who was charged gets his answer however often he asks; another question under his key is refused as before.
    again = limited.verify(keys[0], idempotency="the first use")
    assert (again.status_code, again.json()) == (200, first.json())
    problem(limited.verify(keys[0], 1, idempotency="the first use"), 409, "idempotency_conflict")
    assert used(limited) == QUOTA


def test_a_repeat_is_answered_when_the_keys_own_quota_is_used_up_too(platform):
    offer_another(platform)
    key = platform.key(daily_quota=1)
    first = platform.verify(key, idempotency="once")
    problem(platform.verify(key), 429, "quota_exceeded")
    assert platform.verify(key, idempotency="once").json() == first.json()
