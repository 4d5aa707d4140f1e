from __future__ import annotations

from pathlib import Path

import pytest

from tests.authorization_kit import City


@pytest.fixture
def city(tmp_path: Path) -> City:
    return City(tmp_path)
