"""Kill -9 of API and writer under load: what was acknowledged is metered, nothing twice, and the month bills it."""

from __future__ import annotations

import asyncio
import datetime as dt
import signal

import httpx

from shuzha.core.clock import city_date
from shuzha.settlement.service import SettlementService
from shuzha.settlement.sources import UsageSource
from tests.integration.products.conftest import question

CALLS = 400
DEADLINE = 60.0


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
