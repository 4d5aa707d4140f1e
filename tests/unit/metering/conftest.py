"""A usage store in a temporary folder, and events to put into it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from shuzha.core.clock import FixedClock
from shuzha.core.ids import new_id
from shuzha.ledger.checkpoint import Signer
from shuzha.metering.events import UsageEvent
from shuzha.metering.store import UsageStore
from shuzha.metering.writer import open_store

NOON = dt.datetime(2026, 11, 22, 4, 0, tzinfo=dt.UTC)


@pytest.fixture
def make_event() -> Callable[..., UsageEvent]:
    def make(**changes: Any) -> UsageEvent:
        usage_id = new_id("usg")
        values: dict[str, Any] = {
            "usage_id": usage_id, "kind": "verify", "key_id": "key_1", "idempotency_key": usage_id,
            "consumer": "org_bank", "product": "370100-DV-0001", "authorization": "aut_1", "policy_version": "abc",
            "claim": "insured",
            "purpose": "loan-review", "answer": '{"result":"match"}', "price": 120, "waived": False,
            "request_digest": "d1", "occurred_at": NOON,
        }  # fmt: skip
        return UsageEvent(**{**values, **changes})

    return make


@pytest.fixture
def open_usage(tmp_path: Path) -> Callable[[], UsageStore]:
    signer = Signer("city.example/usage", Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
    return lambda: open_store(tmp_path, signer, FixedClock(NOON))
