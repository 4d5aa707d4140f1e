"""Orders, specifications and settings: files between processes, each read with doubt."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sandbox.workspaces.records.controls import ControlsUnreadable, ControlsWriter, FileControls, parse_orders
from sandbox.workspaces.records.hub_settings import HubSettings, HubSettingsInvalid, parse_settings, read_secret
from sandbox.workspaces.records.runtime import runtime_paths, unix_url
from sandbox.workspaces.records.specs import FIRST_UID, FileSpecs, GrantedRelease, WorkspaceRefused, WorkspaceSpec


def test_orders_are_read_as_they_were_written(tmp_path: Path) -> None:
    writer, controls = ControlsWriter(tmp_path / "c.json"), FileControls(tmp_path / "c.json")
    writer.start()
    assert controls.read().suspended == {}
    writer.suspend("w-one", "协议暂停 the agreement is suspended")
    writer.set_budget("w-two", 5)
    assert controls.read().suspended == {"w-one": "协议暂停 the agreement is suspended"}
    assert controls.read().budgets == {"w-two": 5}
    writer.resume("w-one")
    writer.resume("w-one")
    assert controls.read().suspended == {}


def test_orders_survive_a_start(tmp_path: Path) -> None:
    writer = ControlsWriter(tmp_path / "c.json")
    writer.suspend("w-one", "held")
    writer.start()
    assert FileControls(tmp_path / "c.json").read().suspended == {"w-one": "held"}


def test_orders_of_many_writers_are_all_kept(tmp_path: Path) -> None:
    writer = ControlsWriter(tmp_path / "c.json")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: writer.suspend(f"w-{n}", "held"), range(40)))
    assert len(FileControls(tmp_path / "c.json").read().suspended) == 40


@pytest.mark.parametrize(
    "text", [b"", b"[]", b"{", b'{"suspended": []}', b'{"suspended": {}}', b'{"budgets": {"a": "x"}}']
)
def test_orders_that_are_malformed_are_no_orders(text: bytes) -> None:
    with pytest.raises(ControlsUnreadable):
        parse_orders(text)


def test_orders_that_are_gone_are_no_orders(tmp_path: Path) -> None:
    writer, controls = ControlsWriter(tmp_path / "c.json"), FileControls(tmp_path / "c.json")
    writer.start()
    controls.read()
    (tmp_path / "c.json").unlink()
    with pytest.raises(ControlsUnreadable):
        controls.read()


@pytest.mark.parametrize("name", ["", "../x", "W-ONE", "-a", "a-", "a" * 31, "a b", "a/b", "é"])
def test_workspace_name_that_could_be_a_path_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="workspace name"):
        ControlsWriter(tmp_path / "c.json").suspend(name, "x")


def make_specs(folder: Path) -> FileSpecs:
    writer = ControlsWriter(folder / "c.json")
    writer.start()
    (folder / "releases" / "rel_1").mkdir(parents=True)
    return FileSpecs(
        folder / "specs", release_root=folder / "releases", home_root=folder / "homes",
        controls=FileControls(folder / "c.json"), own_root=folder / "own",
    )  # fmt: skip


def make_spec(folder: Path, **changes: object) -> WorkspaceSpec:
    values = {
        "workspace": "w-one", "account": "u-zhao", "uid": FIRST_UID, "home": folder / "homes" / "w-one",
        "releases": (GrantedRelease("social_insurance", folder / "releases" / "rel_1"),),
    }  # fmt: skip
    return WorkspaceSpec(**{**values, **changes})  # type: ignore[arg-type]


def test_spec_comes_back_as_it_was_written(tmp_path: Path) -> None:
    specs, spec = make_specs(tmp_path), make_spec(tmp_path)
    specs.write(spec)
    assert specs.load("u-zhao", "w-one") == spec
    assert (tmp_path / "specs" / "w-one.json").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(("account", "workspace"), [("u-sun", "w-one"), ("u-zhao", "w-two")])
def test_spec_of_somebody_else_is_refused_like_an_unknown_one(tmp_path: Path, account: str, workspace: str) -> None:
    specs = make_specs(tmp_path)
    specs.write(make_spec(tmp_path))
    with pytest.raises(WorkspaceRefused, match="no open workspace of this name"):
        specs.load(account, workspace)


def test_spec_of_a_suspended_workspace_is_refused_with_the_reason(tmp_path: Path) -> None:
    specs = make_specs(tmp_path)
    specs.write(make_spec(tmp_path))
    ControlsWriter(tmp_path / "c.json").suspend("w-one", "a complaint")
    with pytest.raises(WorkspaceRefused, match="a complaint"):
        specs.load("u-zhao", "w-one")


@pytest.mark.parametrize("path", ["raw/social_insurance", "releases/../raw", "../etc", "releases/linked"])
def test_spec_that_mounts_beyond_the_release_zone_is_refused(tmp_path: Path, path: str) -> None:
    specs = make_specs(tmp_path)
    (tmp_path / "raw").mkdir()
    (tmp_path / "releases" / "linked").symlink_to(tmp_path / "raw")
    with pytest.raises(WorkspaceRefused, match="release zone"):
        specs.write(make_spec(tmp_path, releases=(GrantedRelease("r", tmp_path / path),)))


@pytest.mark.parametrize("uid", [0, 1000, FIRST_UID - 1, 300_000])
def test_spec_takes_no_user_of_the_host(tmp_path: Path, uid: int) -> None:
    with pytest.raises(ValueError, match="uid"):
        make_spec(tmp_path, uid=uid)


def make_settings(folder: Path) -> HubSettings:
    paths = {
        n: folder / n for n in ("state", "runtime", "specs", "releases", "homes", "controls", "usage", "environment")
    }
    return HubSettings("127.0.0.1", 8002, "http://sandbox.localhost:8002/", service_token_file=folder / "t",
                       test_password="x", **paths)  # fmt: skip


def test_settings_come_back_as_they_were_written(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    assert parse_settings(settings.to_json()) == settings


@pytest.mark.parametrize(
    ("change", "said"),
    [({"surprise": 1}, "surprise"), ({"runtime": "run"}, "runtime"), ({"test_password": None}, "exactly one of")],
)
def test_settings_that_cannot_be_meant_are_refused_by_name(
    tmp_path: Path, change: dict[str, object], said: str
) -> None:
    body = json.loads(make_settings(tmp_path).to_json()) | change
    with pytest.raises(HubSettingsInvalid, match=said):
        parse_settings(json.dumps(body))


def test_secret_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("s3cret\n")
    path.chmod(0o644)
    with pytest.raises(HubSettingsInvalid, match="0600") as refused:
        read_secret(path)
    assert "s3cret" not in str(refused.value)
    path.chmod(0o600)
    assert read_secret(path) == "s3cret"


def test_sockets_must_have_short_lower_case_paths() -> None:
    assert (
        unix_url(runtime_paths(Path("/run/shuzha"), "w-one").inward)
        == "http+unix://%2Frun%2Fshuzha%2Fw-one%2Fin%2Fin.sock"
    )
    for folder in (Path("/run/Shuzha"), Path("/" + "x" * 90)):
        with pytest.raises(ValueError, match="lower case"):
            runtime_paths(folder, "w-one")
