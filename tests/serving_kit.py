"""The consumer API in this process, over a small city with three products; uses are kept in memory.

With `start_writer` the real usage writer, a process of its own, keeps them instead.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path

import httpx
import uvicorn

from policies import Policies
from products.consumers.model import NewKey, Scope
from products.forms.service import FormParts, FormService
from products.registry.codes import ProductKind
from products.registry.model import Product
from products.registry.service import product_file
from products.serving.app import Parts, make_app, make_serving
from products.serving.protocol import protocol_with
from products.serving.state import ServingState
from shuzha.authorization.agreement import Operation, OutputKind
from shuzha.authorization.model import Grant
from shuzha.authorization.service import GrantScopes, forget_ids
from shuzha.catalog.model import Entry
from shuzha.core.actor import Actor
from shuzha.core.clock import FixedClock
from shuzha.core.errors import Conflict, Unavailable
from shuzha.metering.client import UsageClient
from shuzha.metering.events import Recorded, join
from shuzha.server.schema import STORES
from tests.ports_kit import free_port
from tests.products_kit import ProductCity, half_paid, insured, who


class MemoryMeter:
    """Keeps events in memory, by the same promises as the writer: for a comparison, not for durability."""

    def __init__(self) -> None:
        self.events = []
        self.down = False

    async def record(self, event):
        if self.down:
            raise Unavailable("the usage writer is not running", rule="metering.writer")
        return self.keep(event)

    def keep(self, event):
        for place, known in enumerate(self.events):
            if (known.key_id, known.idempotency_key) == (event.key_id, event.idempotency_key):
                if known.request_digest != event.request_digest:
                    raise Conflict("the key was used for another request", code="idempotency_conflict")
                return Recorded(known.usage_id, place, known.answer, True)
        self.events.append(event)
        return Recorded(event.usage_id, len(self.events) - 1, event.answer, False)

    async def record_all(self, events):
        return [await self.record(event) for event in events]

    async def record_points(self, points):
        return [await self.record(join(*each)) for each in points]

    def send(self, series, point, told):
        if self.down:
            return False
        asyncio.get_running_loop().call_soon(self._tell, join(series, point), point, told)
        return True

    def _tell(self, event, point, told):
        try:
            done = self.keep(event)
        except Conflict as error:
            told(point, error)
        else:
            told(point, done if done.duplicate else done.log_index)


@dataclass
class ServingCity:
    """A city with a verification, a second one and a report in service, and its consumer API."""

    folder: Path
    now: dt.datetime = dt.datetime(2026, 3, 2, 4, tzinfo=dt.UTC)
    writer: subprocess.Popen[bytes] | None = field(default=None, init=False)
    forms: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.city = ProductCity(self.folder, FixedClock(self.now))
        entry, grant = self.city.granted(output_kinds=("verification", "report"))
        self.product = self.city.in_service(self.city.deposited(grant, insured(entry)), waived=("loan-review",))
        self.second = self.city.in_service(self.city.deposited(grant, insured(entry)))
        report = self.city.deposited(
            grant, b"district,count\n370102,41\n", ProductKind.REPORT, form="table", file="by_district.csv"
        )
        self.report = self.city.in_service(report)

    @property
    def socket(self) -> Path:
        return self.folder / "run" / "usage.sock"

    def start_writer(self) -> None:
        """Start the real usage writer over this city's folder, and wait until it listens."""
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
        self.writer = subprocess.Popen(
            [sys.executable, "-m", "shuzha.metering.writer", "--dir", str(self.folder)], env=environment
        )
        until = time.monotonic() + 20
        while not self.socket.exists():
            assert self.writer.poll() is None, "the writer ended"
            assert time.monotonic() < until, "the writer does not listen"
            time.sleep(0.02)

    def stop_writer(self) -> None:
        if self.writer is not None:
            self.writer.terminate()
            self.writer.wait(15)

    @cached_property
    def _granted(self) -> tuple[Entry, Grant]:
        """An entry with data, and a grant on it for a model and a data service."""
        entry = self.city.filled(half_paid(), "2020109")
        kinds = (OutputKind.MODEL, OutputKind.SERVICE)
        authorization = self.city.authorize(entry, output_kinds=kinds)
        operations = (Operation.AGGREGATE, Operation.TRAIN)
        return entry, self.city.grant(authorization, entry, output_kinds=kinds, operations=operations)

    @cached_property
    def model(self) -> Product:
        """A model in service: a line through one flag."""
        layer = {"weights": [[0.5]], "bias": [1.0], "activation": "identity"}
        content = json.dumps({"format": "shuzha-model/1", "layers": [layer]}).encode()
        declared = {
            "kind": "model", "release": "payments", "columns": ["paid"], "target": "period", "task": "regression",
            "holdout": {"share": 0.3},
        }  # fmt: skip
        product = self.city.deposited(
            self._granted[1],
            content,
            ProductKind.MODEL,
            form="model",
            file="m.json",
            specification=json.dumps(declared),
        )
        parts = FormParts(
            self.city.database, self.city.policies, self.city.keys, self.folder / "products", lambda *_: ()
        )
        terms = {"form": "model", "inputs": [{"name": "paid", "type": "flag"}]}
        FormService(parts).set_terms(self.city.operator, product.id, json.dumps(terms))
        return self.city.in_service(product)

    @cached_property
    def service(self) -> Product:
        """A data service: how many people paid, or did not."""
        parameter = {"name": "paid", "column": "paid", "domain": [True, False]}
        told = {
            "kind": "service", "entry": self._granted[0].id, "aggregate": "entities", "parameters": [parameter],
        }  # fmt: skip
        content = json.dumps(told).encode()
        product = self.city.deposited(self._granted[1], content, ProductKind.SERVICE, form="service", file="s.json")
        return self.city.in_service(product)

    def start_forms(self) -> None:
        """Start the real process of the forms over this city's folder, and wait until it listens."""
        assert STORES, "its tables are of more rooms than this city's"
        settings = self.folder / "shuzha.toml"
        settings.write_text(f'data = "{self.folder}"\ndatabase_url = "sqlite:///{self.folder}/records.db"\n')
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
        command = [sys.executable, "-m", "products.forms", "--settings", str(settings)]
        self.forms = subprocess.Popen(command, env=environment)
        until = time.monotonic() + 40
        while not (self.folder / "run" / "forms.sock").exists():
            assert self.forms.poll() is None, "the forms ended"
            assert time.monotonic() < until, "the forms do not listen"
            time.sleep(0.02)

    def stop_forms(self) -> None:
        if self.forms is not None:
            self.forms.terminate()
            self.forms.wait(15)

    def parts(self, **changes: object) -> Parts:
        """Return fresh parts: a new state that has heard all news, and an empty meter (or the writer, if started)."""
        city, folder = self.city, self.folder / "products"
        policies, scopes = Policies(GrantScopes(city.database)), GrantScopes(city.database)
        state = ServingState(city.database, policies, city.keys, folder, forget_ids)
        made = {
            "state": state, "policies": policies, "scopes": scopes, "clock": city.clock, "keys": city.keys,
            "meter": MemoryMeter() if self.writer is None else UsageClient(self.socket),
            "find_file": partial(product_file, folder), "usage_folder": self.folder / "usage",
            "log_folder": self.folder / "logs" / "usage", "socket": self.socket,
            "forms_socket": self.folder / "run" / "forms.sock",
        }  # fmt: skip
        return Parts(**(made | changes))

    def key(
        self, product: Product | None = None, scope: Scope = Scope(), who: Actor | None = None, **limits: int
    ) -> NewKey:
        product, who = product or self.product, who or self.city.consumer
        return self.city.api_keys.create_key(who, product.id, "x", ("loan-review",), scope=scope, **limits)

    def question(self, number: int = 0, **changes: object) -> dict[str, object]:
        return {
            "subject": {"resident_id": who(number)}, "claim": "insured", "purpose": "loan-review", "consent": "c-1",
        } | changes  # fmt: skip


def caller(parts: Parts, key: NewKey | str = "", *, raw: bool = True, address: str = "127.0.0.1") -> httpx.AsyncClient:
    """Return a client of the API that comes from an address."""
    secret = key if isinstance(key, str) else key.secret
    transport = httpx.ASGITransport(make_app(parts, raw=raw), client=(address, 5000))
    headers = {"Authorization": f"Bearer {secret}"} if secret else {}
    return httpx.AsyncClient(transport=transport, base_url="http://api.localhost:8001", headers=headers)


@dataclass
class Short:
    """The API behind its own protocol on a port of this process, and which calls its short way took."""

    port: int
    took: list[bool]

    def client(self, key: NewKey | str = "") -> httpx.AsyncClient:
        secret = key if isinstance(key, str) else key.secret
        headers = {"Authorization": f"Bearer {secret}"} if secret else {}
        return httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}", headers=headers)


@asynccontextmanager
async def served(parts: Parts) -> AsyncIterator[Short]:
    """Serve the API as its process does, with the short way, until the block ends."""
    app, fast = make_serving(parts)
    short = Short(free_port(), [])
    serve = fast.serve

    def counted(*call: object) -> bool:
        short.took.append(serve(*call))
        return short.took[-1]

    fast.serve = counted
    config = uvicorn.Config(
        app, host="127.0.0.1", port=short.port, http=protocol_with(fast), ws="none", lifespan="off",
        log_level="warning", server_header=False, proxy_headers=False,
    )  # fmt: skip
    server = uvicorn.Server(config)
    task = asyncio.create_task(server._serve())
    while not server.started:  # noqa: ASYNC110  (uvicorn has no event for it)
        await asyncio.sleep(0.005)
    try:
        yield short
    finally:
        server.should_exit = True
        await task
