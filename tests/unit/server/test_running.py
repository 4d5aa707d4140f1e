"""What a prepared installation shows to other users of its host: the way to homes and releases, and nothing else."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from shuzha.core.settings import Settings
from shuzha.server.platform import Platform
from shuzha.server.running import prepare

PASSED_THROUGH = {"homes", "releases", "scratch", "gate"}


def test_prepare_closes_every_folder_that_no_jail_passes_through(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path / "data")
    for name in ("usage", "products", "jobs"):  # as an older installation left them
        settings.folder(name).mkdir(parents=True, mode=0o755)
    prepare(Platform(dataclasses.replace(settings)))
    modes = {path.name: path.stat().st_mode & 0o777 for path in settings.data.iterdir() if path.is_dir()}
    assert {name: mode for name, mode in modes.items() if mode != 0o700 and name not in PASSED_THROUGH} == {}
    assert modes.keys() >= {"usage", "products", "jobs", "keys", "logs", "records", "raw", "vault"}
    assert settings.data.stat().st_mode & 0o777 == 0o711
