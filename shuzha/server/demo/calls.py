"""A product consumer's program: verification calls and files with a key, over a real socket."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import httpx

from shuzha.core.errors import Unavailable
from shuzha.core.ids import new_id
from shuzha.core.settings import Settings
from shuzha.server.demo.city import CLAIM_NAME
from shuzha.server.demo.client import Refused
from shuzha.server.demo.sheets import PURPOSE

_SERVED_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Verified:
    """One answer: the result, the use's id, and its place in the usage log."""

    result: str
    usage_id: str
    log_index: int


@dataclass(frozen=True, slots=True)
class Fetched:
    """One file as it was delivered: its bytes, the use's id, and its place in the usage log."""

    content: bytes
    usage_id: str
    log_index: int


class Caller:
    """Calls one product with one key."""

    def __init__(self, settings: Settings, secret: str, code: str) -> None:
        self._code = code
        self._client = httpx.Client(
            base_url=f"http://{settings.bind}:{settings.api_port}", timeout=10,
            headers={"Authorization": f"Bearer {secret}"},
        )  # fmt: skip

    def wait_served(self) -> None:
        """Return once the API knows key and product; news reaches it within a second."""
        deadline = time.monotonic() + _SERVED_SECONDS
        while not self._is_served():
            if time.monotonic() > deadline:
                raise Unavailable("the API does not serve the product to this key")
            time.sleep(0.05)

    def _is_served(self) -> bool:
        """Return whether the product is shown and the key is known: its own usage is shown to a known key only."""
        if self._client.get(f"/v1/products/{self._code}").is_error:
            return False
        return self._client.get("/v1/usage", params={"limit": "1"}).status_code != httpx.codes.UNAUTHORIZED

    def proof(self, usage_id: str) -> Any:
        """Return the proof that a use is in the log; the checkpoint over it is signed within a second."""
        deadline = time.monotonic() + _SERVED_SECONDS
        while True:
            try:
                return _read(self._client.get(f"/v1/ledger/proof/{usage_id}"))
            except Refused as error:
                if error.status != httpx.codes.SERVICE_UNAVAILABLE or time.monotonic() > deadline:
                    raise
                time.sleep(0.1)


class Verifier(Caller):
    """Calls one verification product with one key."""

    def verify(self, resident_id: str, name: str, idempotency_key: str = "") -> Verified:
        """Return the answer about one subject; a refusal is raised. A repeat with the same key is charged once."""
        answer = self._client.post(
            f"/v1/products/{self._code}/verify",
            json={
                "subject": {"resident_id": resident_id, "name": name}, "claim": CLAIM_NAME, "purpose": PURPOSE,
                "consent": "demo-consent-2026",
            },
            headers={"Idempotency-Key": idempotency_key or new_id("idk")},
        )  # fmt: skip
        body = _read(answer)
        return Verified(body["result"], body["usage_id"], int(answer.headers["Shuzha-Log-Index"]))


class Fetcher(Caller):
    """Fetches the file of one report with one key."""

    def fetch(self, name: str, purpose: str, idempotency_key: str = "") -> Fetched:
        """Return the file; a refusal is raised. A repeat with the same key is charged once."""
        answer = self._client.get(
            f"/v1/products/{self._code}/files/{name}", params={"purpose": purpose},
            headers={"Idempotency-Key": idempotency_key or new_id("idk")},
        )  # fmt: skip
        if answer.is_error:
            _read(answer)
        headers = answer.headers
        return Fetched(answer.content, headers["Shuzha-Usage-Id"], int(headers["Shuzha-Log-Index"]))


def _read(answer: httpx.Response) -> Any:
    body = answer.json()
    if answer.is_error:
        raise Refused(answer.status_code, body)
    return body
