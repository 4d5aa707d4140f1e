"""A workspace that nothing holds to its disk is stopped, and is told why; groups of version 2 are written and read."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sandbox.workspaces.host.limits import Cgroup, CgroupHost, Limits
from sandbox.workspaces.jailer import books
from sandbox.workspaces.jailer.keeper import Keeper
from sandbox.workspaces.jails.jail import check_host
from sandbox.workspaces.records.hub_settings import HubSettings
from tests.integration.workspaces.test_jailer import NAME, find_specs, make_settings

MIB = 1024**2


@pytest.fixture
def keeper(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Keeper, HubSettings]]:
    """A keeper on a host that is said to have neither control groups nor images, over one small workspace."""
    if reasons := check_host():
        pytest.skip(f"this host builds no jails: {reasons[0]}")
    monkeypatch.setattr("sandbox.workspaces.host.disks.find_hindrance", lambda _: "images need root")
    monkeypatch.setattr(books, "SAMPLE_SECONDS", 0.0)
    folder = Path(tempfile.mkdtemp(prefix="sz-", dir="/tmp"))
    folder.chmod(0o711)
    settings = make_settings(folder)
    specs = find_specs(settings)
    spec = specs.find(NAME)
    assert spec is not None
    specs.write(replace(spec, limits=Limits(home_bytes=2 * MIB, home_files=50)))
    keeper = Keeper(settings, CgroupHost.detect(folder / "none"))
    yield keeper, settings
    keeper.stop(NAME, 0.0)
    shutil.rmtree(folder)


@pytest.mark.parametrize("many", [False, True])
def test_workspace_that_holds_more_than_it_may_is_stopped_and_told(
    keeper: tuple[Keeper, HubSettings], many: bool
) -> None:
    one, settings = keeper
    one.start(NAME, "acc_alice", {})
    one.sweep()
    assert one.poll(NAME) is None
    home = settings.homes / NAME
    assert not home.is_mount()
    if many:
        for number in range(60):
            (home / str(number)).touch()
    else:
        (home / "large").write_bytes(b"x" * 3 * MIB)
    one.sweep()
    assert one.poll(NAME) is not None
    told = one.account(NAME)
    assert told["account"]["ended_for"] == "disk"
    assert told["account"]["hits"]["disk"] == 1
    assert (told["disk"]["capped"], told["counts_cpu"]) == (False, False)
    shutil.rmtree(home)
    one.start(NAME, "acc_alice", {})
    assert one.account(NAME)["account"]["ended_for"] == ""


def test_destroyed_home_is_told_and_its_account_stays(keeper: tuple[Keeper, HubSettings]) -> None:
    one, settings = keeper
    one.prepare(NAME)
    (settings.homes / NAME / "a").write_bytes(b"x" * 5000)
    find_specs(settings).remove(NAME)
    done = one.destroy(NAME)
    assert done["home"]
    assert done["bytes"] >= 5000
    assert done["method"] == "folder removed"
    assert not (settings.homes / NAME).exists()
    assert one.destroy(NAME) == {"home": False, "bytes": 0, "method": "folder removed"}
    assert one.account(NAME)["account"]["storage_bytes"] == 0


def test_groups_of_version_2_get_their_limits_and_are_read(tmp_path: Path) -> None:
    """The files as the kernel's documentation has them: a host with such groups was not at hand."""
    group = Cgroup("ws-a", {"unified": tmp_path / "ws-a"}, frozenset({"memory", "pids", "cpu"}))
    group.create(Limits(memory_bytes=512 * MIB, processes=64, cpu_percent=150))
    folder = tmp_path / "ws-a"
    written = {path.name: path.read_text() for path in folder.iterdir()}
    assert written == {
        "memory.max": str(512 * MIB), "memory.swap.max": "0", "pids.max": "64", "cpu.max": "150000 100000",
    }  # fmt: skip
    (folder / "memory.current").write_text("4096\n")
    (folder / "cpu.stat").write_text("usage_usec 2500\nuser_usec 2000\nsystem_usec 500\n")
    (folder / "memory.events").write_text("low 0\nhigh 0\nmax 9\noom 3\noom_kill 2\noom_group_kill 0\n")
    (folder / "pids.events").write_text("max 7\n")
    (folder / "cgroup.procs").write_text("12\n13\n")
    found = group.measure()
    assert (found.memory_bytes, found.cpu_nanoseconds, found.processes) == (4096, 2_500_000, 2)
    assert (found.kills, found.refusals) == (2, 7)
    assert found.incarnation.endswith(f":unified:{folder.stat().st_ino}")
