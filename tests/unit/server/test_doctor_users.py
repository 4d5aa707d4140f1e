"""What `shuzha doctor` says of users: the services', the jails', the running processes'."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from shuzha.core.settings import Settings
from shuzha.server import doctor
from shuzha.server.doctor_users import look_at_jail_users, look_at_processes, look_at_service_user

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has services run as somebody else")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "data" / "run").mkdir(parents=True)
    return Settings(data=tmp_path / "data")


@as_root
@pytest.mark.parametrize(
    ("wanted", "ok", "found"),
    [("root", False, "run as root"), ("61011", False, "a number that no account has"), ("daemon", True, "daemon (1)")],
)
def test_doctor_names_the_service_user(settings: Settings, wanted: str, ok: bool, found: str) -> None:
    looked = look_at_service_user(Settings(settings.data, service_user=wanted))
    assert looked.ok is ok
    assert found in looked.found
    assert ok or "adduser --system" in looked.mend


def test_doctor_warns_of_whoever_has_a_jails_user(settings: Settings, tmp_path: Path) -> None:
    delegated = tmp_path / "subuid"
    delegated.write_text("alice:100000:65536\nbob:165536:65536\n# a comment\nbroken:x:y\n")
    looked = look_at_jail_users(settings, delegated)
    assert not looked.ok
    assert "the delegated range of bob" in looked.found
    assert "alice" not in looked.found
    delegated.write_text("alice:100000:65536\n")
    assert look_at_jail_users(settings, delegated).ok


@as_root
def test_doctor_warns_of_a_service_user_among_the_jails(settings: Settings, tmp_path: Path) -> None:
    looked = look_at_jail_users(Settings(settings.data, service_user="200001"), tmp_path / "absent")
    assert not looked.ok
    assert "the service user 200001" in looked.found


@pytest.fixture
def portal(settings: Settings) -> Iterator[subprocess.Popen[bytes]]:
    """A process that looks like the portal, and its note."""
    code = "import time; print(flush=True); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", code, "shuzha.server.portal_app"], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    (settings.folder("run") / "portal.pid").write_text(str(process.pid))
    yield process
    process.kill()
    process.communicate()


@as_root
def test_doctor_warns_of_a_service_that_is_root(settings: Settings, portal: subprocess.Popen[bytes]) -> None:
    looked = look_at_processes(settings)
    assert (looked.ok, looked.found) == (False, "portal as root")
    assert "portal should not be root" in looked.mend


def test_doctor_takes_no_other_process_for_a_unit(settings: Settings) -> None:
    (settings.folder("run") / "writer.pid").write_text(str(os.getpid()))
    (settings.folder("run") / "api.pid").write_text("not a number")
    assert look_at_processes(settings).found == "the platform is not running"


def test_the_three_are_among_what_doctor_looks_at() -> None:
    assert {doctor.check_service_user, doctor.check_jail_users, doctor.check_processes} <= set(doctor.CHECKS)
