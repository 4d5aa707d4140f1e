from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from shuzha.authorization.model import Grant
from shuzha.releases.model import Release
from tests.airlock_kit import AirlockCity

Template = tuple[Path, Grant, Release]


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    """A city whose release is built: made once, since it takes most of a test's time, and copied for each test."""
    folder = tmp_path_factory.mktemp("template")
    grant, release = AirlockCity(folder).ready()
    return folder, grant, release


@pytest.fixture
def city(template: Template, tmp_path: Path) -> AirlockCity:
    folder, grant, release = template
    shutil.copytree(folder, tmp_path / "city")
    city = AirlockCity(tmp_path / "city")
    city.made = (grant, release)
    return city
