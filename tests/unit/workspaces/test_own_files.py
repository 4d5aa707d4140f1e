"""The zone of own files: one folder a workspace, changed by the platform alone, whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.workspaces.own_files import DATA_FILE, OwnZone
from sandbox.workspaces.records.specs import OWN_FILES, GrantedRelease, WorkspaceRefused
from shuzha.core.errors import Conflict, Invalid
from tests.unit.workspaces.test_orders import make_spec, make_specs


def test_put_shows_a_file_that_nobody_can_write(tmp_path: Path) -> None:
    zone = OwnZone(tmp_path / "own")
    put = zone.put("w-one", "branches", b"bytes")
    assert put == zone.folder("w-one") / "branches"
    assert (put / DATA_FILE).read_bytes() == b"bytes"
    assert (put / DATA_FILE).stat().st_mode & 0o222 == 0
    assert zone.find("w-one", "branches") == put
    assert zone.find("w-two", "branches") is None


def test_put_keeps_the_file_that_has_the_name(tmp_path: Path) -> None:
    zone = OwnZone(tmp_path / "own")
    put = zone.put("w-one", "branches", b"first")
    with pytest.raises(Conflict, match="inside already"):
        zone.put("w-one", "branches", b"second")
    assert (put / DATA_FILE).read_bytes() == b"first"
    assert list((tmp_path / "own" / ".work").iterdir()) == []


def test_remove_and_destroy_leave_nothing_and_bear_a_repeat(tmp_path: Path) -> None:
    zone = OwnZone(tmp_path / "own")
    for name in ("branches", "rates"):
        zone.put("w-one", name, b"bytes")
    zone.put("w-two", "rates", b"bytes")
    zone.remove("w-one", "rates")
    zone.remove("w-one", "rates")
    assert [path.name for path in zone.folder("w-one").iterdir()] == ["branches"]
    zone.destroy("w-one")
    zone.destroy("w-one")
    zone.remove("w-one", "branches")
    assert zone.find("w-one", "branches") is None
    assert not (tmp_path / "own" / "w-one").exists()
    assert zone.find("w-two", "rates") is not None
    assert list((tmp_path / "own" / ".work").iterdir()) == []


@pytest.mark.parametrize("name", ["", "../x", "a/b", "A", ".work", "1a", "a" * 41, "a-b", "行"])
def test_a_name_that_could_lead_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    zone = OwnZone(tmp_path / "own")
    for verb in (lambda: zone.put("w-one", name, b""), lambda: zone.remove("w-one", name)):
        with pytest.raises(Invalid, match="cannot have this name"):
            verb()


def test_spec_takes_the_folder_of_its_own_workspace(tmp_path: Path) -> None:
    specs, zone = make_specs(tmp_path), OwnZone(tmp_path / "own")
    spec = make_spec(tmp_path, releases=(GrantedRelease(OWN_FILES, zone.folder("w-one")),))
    specs.write(spec)
    assert specs.load("u-zhao", "w-one") == spec


@pytest.mark.parametrize("path", ["own/w-two", "own", "own/.work", "releases/rel_1", "own/../raw", "own/linked"])
def test_spec_that_mounts_another_folder_as_own_is_refused(tmp_path: Path, path: str) -> None:
    specs, zone = make_specs(tmp_path), OwnZone(tmp_path / "own")
    zone.folder("w-one")
    (tmp_path / "own" / "linked").symlink_to(zone.folder("w-two"))
    with pytest.raises(WorkspaceRefused, match="own files"):
        specs.write(make_spec(tmp_path, releases=(GrantedRelease(OWN_FILES, tmp_path / path),)))


def test_spec_mounts_an_own_folder_under_no_other_name(tmp_path: Path) -> None:
    specs, zone = make_specs(tmp_path), OwnZone(tmp_path / "own")
    with pytest.raises(WorkspaceRefused, match="release zone"):
        specs.write(make_spec(tmp_path, releases=(GrantedRelease("r", zone.folder("w-one")),)))
