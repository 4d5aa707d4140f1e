"""One real hub for the tests of this folder; each test opens the workspaces that it needs."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from workspace_kit import RunningHub, running_hub

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="jails with users of their own need root")


@pytest.fixture(scope="package")
def hub() -> Iterator[RunningHub]:
    yield from running_hub()


@pytest.fixture(scope="module")
def workspace(hub: RunningHub) -> str:
    return hub.open_workspace("acc_alice")
