"""What a prepared installation shows to other users of its host: the way to homes and releases, and nothing else."""

from __future__ import annotations

import dataclasses
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from shuzha.core.errors import Conflict, Invalid
from shuzha.core.service_user import ServiceUser
from shuzha.core.settings import Settings
from shuzha.server.platform import Platform
from shuzha.server.running import OF_THE_JAILER, clear_sockets, end_gate, give_data, prepare
from shuzha.server.units import check_ports, make_units, write_jailer_settings

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


USER = ServiceUser(61_013, 61_013)
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root hands data to another user")


def test_a_port_of_roots_is_refused_with_what_stands_in_front(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path, portal_port=443, api_port=0, sandbox_port=0)
    with pytest.raises(Invalid, match="port 443 is root's") as refusal:
        check_ports(settings, USER)
    assert "proxy" in str(refusal.value.accepted)


def test_a_taken_port_is_refused_by_its_setting(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        settings = Settings(data=tmp_path, portal_port=0, api_port=taken.getsockname()[1], sandbox_port=0)
        with pytest.raises(Conflict, match="is in use") as refusal:
            check_ports(settings, USER)
    assert refusal.value.rule == "settings.api_port"


def test_only_the_jailer_needs_root_and_its_settings_are_not_the_services(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path / "data", runtime_folder=str(tmp_path / "run")).pinned()
    platform = Platform(settings)
    settings.runtime.mkdir(parents=True)
    prepare(platform)
    written = write_jailer_settings(platform)
    assert written.is_relative_to(settings.runtime)
    units = {unit.name: unit for unit in make_units(platform, tmp_path / "settings.toml")}
    assert {name for name, unit in units.items() if unit.needs_root} == {"jailer"}
    told = {name: unit.environment.get("SHUZHA_HUB_CONFIG") for name, unit in units.items()}
    assert told["jailer"] == str(written)
    assert told["hub"] == str(settings.folder("run") / "hub.json")


@as_root
def test_given_data_keeps_what_is_the_jailers_and_takes_no_link_for_it(tmp_path: Path) -> None:
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.geteuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o011)
    settings = Settings(data=tmp_path / "data", sandbox_environment=tmp_path / "absent")
    (settings.folder("homes") / "w-one").mkdir(parents=True)
    os.chown(settings.folder("homes") / "w-one", 200_009, 200_009)
    settings.folder("keys").mkdir()
    give_data(settings, USER)
    owners = {path.name: path.stat().st_uid for path in settings.data.iterdir()}
    assert owners == {**dict.fromkeys(OF_THE_JAILER, 0), "keys": USER.uid}
    assert (settings.folder("homes") / "w-one").stat().st_uid == 200_009
    assert settings.data.stat().st_mode & 0o1777 == 0o1770
    settings.folder("images").rmdir()
    settings.folder("images").symlink_to(tmp_path)
    with pytest.raises(Conflict, match="is a link"):
        give_data(settings, USER)
    assert tmp_path.stat().st_uid == 0


@as_root
def test_sockets_of_an_earlier_user_are_taken_away(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as old, socket.socket(socket.AF_UNIX) as own:
        old.bind(str(tmp_path / "hub.sock"))
        own.bind(str(tmp_path / "gate.sock"))
    os.chown(tmp_path / "gate.sock", USER.uid, USER.gid)
    (tmp_path / "jailer.json").touch()
    clear_sockets(tmp_path, USER)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["gate.sock", "jailer.json"]


def test_a_gate_that_a_failed_hub_left_is_ended_and_nobody_else(tmp_path: Path) -> None:
    platform = Platform(Settings(data=tmp_path / "data", service_user="root"))
    hub = platform.hub_settings
    hub.state.mkdir(parents=True)
    code = "import time; print(flush=True); time.sleep(60)"
    for arguments, ended in (["--controls", "elsewhere"], False), (["--controls", str(hub.controls)], True):
        command = [sys.executable, "-c", code, *arguments]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            (hub.state / "gate.pid").write_text(str(process.pid))
            end_gate(platform)
            try:
                assert (process.wait(1) == -signal.SIGTERM) is ended
            except subprocess.TimeoutExpired:
                assert not ended
            finally:
                process.kill()
