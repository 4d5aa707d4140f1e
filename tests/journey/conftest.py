"""One platform for the whole folder: it is started once, walked once, and every test leaves it as useful as before."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from journey_kit import ENVIRONMENT, Walked, walked_platform


@pytest.fixture(scope="session")
def walked() -> Iterator[Walked]:
    """The running platform on which the ten hops were walked."""
    if shutil.which("bwrap") is None:
        pytest.skip("the journey's workspace needs bubblewrap")
    if not ENVIRONMENT.exists():
        pytest.skip(f"there is no sandbox environment at {ENVIRONMENT}: run script/demo once")
    with walked_platform() as found:
        yield found
