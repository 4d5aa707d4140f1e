"""Kill -9 at random points under load: API, writer, the writer in a checkpoint, and a settlement as it is stored.

What was acknowledged is within what is metered at every kill, nothing is metered twice, and both are equal once the
callers have tried again with the same key; what is metered is billed. On SQLite and on PostgreSQL records.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import pytest

from shuzha.core.clock import FixedClock, city_date
from shuzha.core.work import Database
from shuzha.ledger.reader import LogReader
from shuzha.ledger.verify import verify_folder
from shuzha.metering.facts import FactsStore
from shuzha.metering.reports import UsageQuery, UsageReader
from shuzha.settlement.service import SettlementService
from shuzha.settlement.sources import UsageSource
from tests.integration.products.conftest import Platform, question
from tests.ports_kit import free_port
from tests.postgres_kit import BINARIES, postgres
from tests.products_kit import ProductCity

CALLERS = 12
DEADLINE = 60.0
ROOT = Path(__file__).parents[3]
SETTLE = """
import datetime as dt, json, sys
from pathlib import Path
from policies import Policies
from shuzha.authorization.service import GrantScopes
from shuzha.core.actor import Actor
from shuzha.core.clock import FixedClock
from shuzha.core.work import Database
from shuzha.settlement.service import SettlementService
from shuzha.settlement.sources import UsageSource
told = json.loads(sys.argv[1])
database = Database(told["url"], FixedClock(dt.datetime.fromisoformat(told["now"])))
folder = Path(told["folder"])
usage = UsageSource(folder / "usage", folder / "logs" / "usage")
service = SettlementService(database, Policies(GrantScopes(database)), usage)
actor = Actor(**(told["actor"] | {"roles": frozenset(told["actor"]["roles"])}))
print("ready", flush=True)
sys.stdin.readline()
service.settle(actor, told["period"])
print("done", flush=True)
"""


class Caller:
    """A consumer that never gives up: each question goes out with its key until it is answered."""

    def __init__(self, platform: Platform, secret: str, name: str, heard: dict[str, tuple[str, str]]) -> None:
        self._platform = platform
        self._secret = secret
        self._name = name
        self._heard = heard
        self.stop = False

    async def run(self) -> None:
        number = 0
        while not self.stop:
            await self._ask(f"{self._name}-{number}", number)
            number += 1

    async def _ask(self, key: str, number: int) -> None:
        body = json.dumps(question(number % 200)).encode()
        head = (
            f"POST /v1/products/{self._platform.product.code}/verify HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "
            f"{self._secret}\r\nIdempotency-Key: {key}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        async with asyncio.timeout(DEADLINE):
            while True:
                try:
                    status, answer = await self._exchange(head.encode() + body)
                except (OSError, asyncio.IncompleteReadError):
                    await asyncio.sleep(0.02)
                    continue
                if status == 200:
                    self._heard[key] = answer["usage_id"], answer["result"]
                    return
                assert status in (429, 503), answer
                await asyncio.sleep(0.02)

    async def _exchange(self, request: bytes) -> tuple[int, dict[str, str]]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._platform.port)
        try:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            return int(head[9:12]), json.loads(await reader.readexactly(length))
        finally:
            writer.close()


class Campaign:
    """Load on one platform, and the kills."""

    def __init__(self, platform: Platform, seed: int) -> None:
        self.platform = platform
        self.dice = random.Random(seed)
        self.heard: dict[str, tuple[str, str]] = {}
        self.kills: Counter[str] = Counter()
        self.secret = platform.key().secret
        self._known: dict[str, str] = {}
        self._read = 0

    async def run(self, kills: int) -> None:
        callers = [Caller(self.platform, self.secret, f"c{number}", self.heard) for number in range(CALLERS)]
        tasks = [asyncio.create_task(caller.run()) for caller in callers]
        for number in range(kills):
            wanted = len(self.heard) + self.dice.randrange(5, 120)
            async with asyncio.timeout(DEADLINE):
                while len(self.heard) < wanted:  # noqa: ASYNC110  (other processes are waited for)
                    await asyncio.sleep(0.005)
            victim = ("writer", "api", "checkpoint")[number % 3]
            await asyncio.to_thread(self._kill, victim)
            self.kills[victim] += 1
        for caller in callers:
            caller.stop = True
        await asyncio.gather(*tasks)

    def _kill(self, victim: str) -> None:
        name = "api" if victim == "api" else "writer"
        if victim == "checkpoint":
            self._await_checkpoint()
        else:
            time.sleep(self.dice.random() * 0.05)
        acknowledged = dict(self.heard)
        self.platform.stop(name, signal.SIGKILL)
        self.check_within(acknowledged)
        if name == "api":
            self.platform.start_api()
        else:
            (self.platform.city.folder / "run" / "usage.sock").unlink()
            self.platform.start_writer()

    def _await_checkpoint(self) -> None:
        # The half-written note stands there for as long as it is forced to disk: that is the moment.
        half = self.platform.city.folder / "logs" / "usage" / "checkpoint.new"
        end = time.monotonic() + 3
        while not half.exists() and time.monotonic() < end:
            time.sleep(0.0002)

    def check_within(self, acknowledged: dict[str, tuple[str, str]]) -> None:
        """Every acknowledged use is in the log, under its own key, and no key is there twice."""
        log = LogReader(self.platform.city.folder / "logs" / "usage")
        for entry in log.entries(self._read, log.indexed()):
            event = json.loads(entry.payload)
            assert event["idempotency_key"] not in self._known
            self._known[event["idempotency_key"]] = event["usage_id"]
        self._read = log.indexed()
        log.close()
        assert [key for key, (usage_id, _) in acknowledged.items() if self._known.get(key) != usage_id] == []

    def check_equal(self) -> None:
        """Metered is what was acknowledged: in the log, the table and the facts; the answers were right."""
        folder = self.platform.city.folder
        self.check_within(self.heard)
        assert self._known.keys() == self.heard.keys()
        for key, (_, result) in self.heard.items():
            number = int(key.rpartition("-")[2])
            assert result == ("match" if number % 200 % 2 == 0 else "no_match")
        reader = UsageReader(folder / "usage")
        assert reader.totals(UsageQuery()).uses == len(self.heard)
        reader.close()
        facts = FactsStore(folder / "usage")
        facts.refresh()
        made = facts.list_facts(UsageQuery())
        assert sum(fact.uses for fact in made) == len(self.heard)
        facts.rebuild()
        assert facts.list_facts(UsageQuery()) == made
        facts.close()

    def check_billed(self, kills: int) -> None:
        """Settle the month as it will stand next month, killed again and again; billed is what is metered."""
        city = self.platform.city
        period = city_date(dt.datetime.now(dt.UTC)).isoformat()[:7]
        later = dt.datetime.now(dt.UTC).replace(day=1) + dt.timedelta(days=40)
        told = {
            "url": str(city.database.engine.url.render_as_string(hide_password=False)), "now": later.isoformat(),
            "folder": str(city.folder), "period": period, "actor": asdict(city.authority) | {"roles": ["authority"]},
        }  # fmt: skip
        for number in range(kills + 1):
            process = subprocess.Popen(
                [sys.executable, "-c", SETTLE, json.dumps(told)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                text=True, cwd=ROOT,
            )  # fmt: skip
            with process:
                assert process.stdout.readline() == "ready\n"
                process.stdin.write("\n")
                process.stdin.flush()
                if number < kills:
                    time.sleep(self.dice.random() * 0.3)
                    process.kill()
                    self.kills["settlement"] += 1
                else:
                    assert process.stdout.readline() == "done\n"
        database = Database(told["url"], FixedClock(later))
        source = UsageSource(city.folder / "usage", city.folder / "logs" / "usage")
        service = SettlementService(database, city.policies, source)
        found = service.reconcile(city.regulator, period, len(self.heard))
        assert found.equal, found
        assert found.billed == found.metered == found.logged == len(self.heard)
        assert service.recount(city.regulator, period).equal
        bills = [
            (one.kind, one.subject, one.organisation) for one in service.list_statements(city.authority, period=period)
        ]
        assert max(Counter(bills).values()) == 1


@contextmanager
def records(kind):
    """Yield the URL of an empty database of this kind; empty for SQLite in the city's own folder."""
    if kind == "sqlite":
        yield ""
        return
    if not BINARIES:
        pytest.skip("PostgreSQL is not installed: apt-get install -y postgresql")
    with postgres() as url:
        yield url


def crash(folder, kind, seed, kills, settlements):
    with records(kind) as url:
        city = ProductCity(folder, FixedClock(dt.datetime.now(dt.UTC) - dt.timedelta(days=40)), url)
        platform = Platform(city, city.verification(), free_port())
        address = url or f"sqlite:///{folder}/records.db"
        platform.settings.write_text(f'data = "{folder}"\ndatabase_url = "{address}"\napi_port = {platform.port}\n')
        try:
            platform.start_writer()
            platform.start_api()
            campaign = Campaign(platform, seed)
            asyncio.run(campaign.run(kills))
            platform.stop("writer")
            campaign.check_equal()
            campaign.check_billed(settlements)
        finally:
            for name in list(platform.processes):
                platform.stop(name)
            city.database.engine.dispose()
        report = verify_folder(folder / "logs" / "usage")
        assert (report.faults, report.size) == ([], len(campaign.heard))
        assert campaign.kills.total() == kills + settlements
        assert threading.active_count() < 50


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_five_kills_lose_nothing_and_count_nothing_twice(tmp_path, kind):
    crash(tmp_path, kind, 7, kills=4, settlements=1)


@pytest.mark.slow
@pytest.mark.timeout(1_500)
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_hundred_kills_lose_nothing_and_count_nothing_twice(tmp_path, kind):
    crash(tmp_path, kind, 20261123, kills=75, settlements=25)
