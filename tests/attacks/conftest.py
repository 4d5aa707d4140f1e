"""Attacks from inside a real workspace. A test passes only if the named layer refuses, and its control succeeds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from workspace_kit import RunningHub, running_hub


@pytest.fixture(scope="package")
def hub() -> Iterator[RunningHub]:
    yield from running_hub()


@pytest.fixture(scope="package")
def workspace(hub: RunningHub) -> str:
    """A workspace of acc_alice; another of acc_bob runs beside it."""
    hub.open_workspace("acc_bob")
    return hub.open_workspace("acc_alice")
