from __future__ import annotations

from pathlib import Path

import pytest

from tests.releases_kit import ReleaseCity


@pytest.fixture
def city(tmp_path: Path) -> ReleaseCity:
    return ReleaseCity(tmp_path)
