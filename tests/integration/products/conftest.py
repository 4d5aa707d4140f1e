"""A city with a product in service, the real usage writer and the real consumer API, each its own process."""

from __future__ import annotations

import datetime as dt
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from products.consumers.model import NewKey
from products.registry.model import Product
from shuzha.core.clock import FixedClock
from tests.ports_kit import free_port
from tests.products_kit import ProductCity, who

READY_SECONDS = 60.0


def wait_until(is_so: Callable[[], bool], seconds: float = READY_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            raise AssertionError("not so in time")
        time.sleep(0.01)


@dataclass
class Platform:
    """The processes over one folder, and short ways to call them."""

    city: ProductCity
    product: Product
    port: int
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def settings(self) -> Path:
        return self.city.folder / "shuzha.toml"

    def start_writer(self) -> None:
        self._start("writer", "shuzha.metering.writer", "--dir", str(self.city.folder))
        wait_until((self.city.folder / "run" / "usage.sock").exists)

    def start_api(self) -> None:
        self._start("api", "products.serving", "--settings", str(self.settings))
        wait_until(lambda: self._answers("/healthz"))

    def stop(self, name: str, how: signal.Signals = signal.SIGTERM) -> None:
        process = self.processes.pop(name)
        process.send_signal(how)
        process.wait(15)

    def key(self, **changes: object) -> NewKey:
        """Return a new key that the API knows."""
        options = {"purposes": ("loan-review",), "rate": 5_000} | changes
        made = self.city.api_keys.create_key(self.city.consumer, self.product.id, "test", **options)
        wait_until(lambda: self.get("/v1/usage", made).status_code == 200)
        return made

    def client(self, key: NewKey | str) -> httpx.Client:
        secret = key if isinstance(key, str) else key.secret
        headers = {"Authorization": f"Bearer {secret}"} if secret else {}
        return httpx.Client(base_url=self.url, headers=headers, timeout=20)

    def get(self, path: str, key: NewKey | str = "") -> httpx.Response:
        with self.client(key) as client:
            return client.get(path)

    def post(self, path: str, key: NewKey | str, body: object, **headers: str) -> httpx.Response:
        with self.client(key) as client:
            how = {"content": body} if isinstance(body, bytes) else {"json": body}
            return client.post(path, headers=headers, **how)

    def verify(self, key: NewKey | str, number: int = 0, *, idempotency: str = "", **changes: object) -> httpx.Response:
        headers = {"Idempotency-Key": idempotency} if idempotency else {}
        return self.post(f"/v1/products/{self.product.code}/verify", key, question(number, **changes), **headers)

    def metered(self, key: NewKey) -> int:
        return int(self.get("/v1/usage", key).json()["uses"])

    def _start(self, name: str, module: str, *arguments: str) -> None:
        log = (self.city.folder / f"{name}.log").open("ab")
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
        self.processes[name] = subprocess.Popen(
            [sys.executable, "-m", module, *arguments], stdout=log, stderr=log, env=environment
        )

    def _answers(self, path: str) -> bool:
        assert self.processes["api"].poll() is None, (self.city.folder / "api.log").read_text()
        try:
            return httpx.get(self.url + path, timeout=2).status_code == 200
        except httpx.TransportError:
            return False


def question(number: int = 0, **changes: object) -> dict[str, object]:
    return {
        "subject": {"resident_id": who(number)}, "claim": "insured", "purpose": "loan-review", "consent": "c-1",
    } | changes  # fmt: skip


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    folder = tmp_path_factory.mktemp("platform")
    # The processes have the host's clock, so the city's past begins a month before it.
    city = ProductCity(folder, FixedClock(dt.datetime.now(dt.UTC) - dt.timedelta(days=40)))
    product = city.verification()
    found = Platform(city, product, free_port())
    found.settings.write_text(
        f'data = "{folder}"\ndatabase_url = "sqlite:///{folder}/records.db"\napi_port = {found.port}\n'
    )
    found.start_writer()
    found.start_api()
    yield found
    for name in list(found.processes):
        found.stop(name)
