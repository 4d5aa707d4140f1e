"""A small log, and its signer."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from shuzha.core.clock import FixedClock
from shuzha.ledger.checkpoint import Signer
from shuzha.ledger.log import Log

NOON = dt.datetime(2026, 11, 22, 4, 0, tzinfo=dt.UTC)


@pytest.fixture
def signer() -> Signer:
    return Signer("city.example/usage", Ed25519PrivateKey.from_private_bytes(bytes(range(32))))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "usage"


@pytest.fixture
def open_log(folder: Path, signer: Signer) -> Callable[[], Log]:
    return lambda: Log(folder, signer, FixedClock(NOON))
