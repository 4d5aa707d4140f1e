"""One city with an open workspace, built once; each test gets a copy of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.inbound_kit import InboundCity


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> InboundCity:
    return InboundCity(tmp_path_factory.mktemp("inbound"))


@pytest.fixture
def city(template: InboundCity, tmp_path: Path) -> InboundCity:
    return template.copied(tmp_path)
