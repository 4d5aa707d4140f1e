"""A jail on a host without control groups: its mark is enough to end it, and nothing else."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from sandbox.workspaces.host.limits import CgroupHost
from sandbox.workspaces.jails.jail import Jail, JailSpec, check_host, end_marked, start_jail
from sandbox.workspaces.jails.warden import Warden
from sandbox.workspaces.records.controls import Orders
from sandbox.workspaces.records.runtime import runtime_paths

pytestmark = pytest.mark.skipif(bool(check_host()), reason="this host builds no jails")
WORKSPACE = "w-marked"


@pytest.fixture
def jail(tmp_path: Path) -> Jail:
    """A jail whose command starts a child and forks on, in no control group."""
    command = ("/bin/sh", "-c", "sleep 300 & while true; do sleep 0.01; done")
    uid = 65534 if os.geteuid() == 0 else os.geteuid()
    paths = runtime_paths(tmp_path, WORKSPACE)
    paths.make()
    jail = start_jail(JailSpec("w-marked", uid, Path("/usr"), (), command, directory="/"), CgroupHost.detect(tmp_path))
    jail.leave_mark(paths.mark)
    yield jail
    jail.stop(grace=0)


def alive(jail: Jail) -> bool:
    deadline = time.monotonic() + 1.0
    while jail.exit_code() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    return jail.exit_code() is None


def test_warden_kills_a_suspended_jail_that_has_no_group(jail: Jail, tmp_path: Path) -> None:
    warden = Warden(CgroupHost.detect(tmp_path), tmp_path)
    warden.obey(Orders(suspended={"w-another": "held"}))
    assert jail.exit_code() is None
    warden.obey(Orders(suspended={WORKSPACE: "held"}))
    assert not alive(jail)


def test_end_marked_leaves_a_number_alone_that_another_process_has(jail: Jail, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    inner, started, outer = runtime_paths(tmp_path, WORKSPACE).mark.read_text().split()
    mark.write_text(f"{inner} {int(started) + 1} {outer}\n")
    assert not end_marked(mark)
    assert jail.exit_code() is None
    mark.write_text("nothing of the kind")
    assert not end_marked(mark)
    assert not end_marked(tmp_path / "absent")
    assert end_marked(runtime_paths(tmp_path, WORKSPACE).mark)
    assert not alive(jail)
    assert not end_marked(runtime_paths(tmp_path, WORKSPACE).mark)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root meets marks that another user has left")
def test_nobody_is_ended_by_a_mark_that_another_user_has_left(jail: Jail, tmp_path: Path) -> None:
    mark = runtime_paths(tmp_path, WORKSPACE).mark
    forged = tmp_path / "forged"
    forged.write_text(mark.read_text())
    os.chown(forged, 61_031, 61_031)
    linked = tmp_path / "linked"
    linked.symlink_to(mark)
    for one in (forged, linked):
        assert not end_marked(one)
        assert Jail.find(one, jail.group) is None
    assert jail.exit_code() is None
    os.chown(forged, 0, 0)
    assert end_marked(forged), "the control: the same mark, left by root"
