"""What a jail is built from, before anything runs."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sandbox.workspaces.gate.out_gate import allows
from sandbox.workspaces.host.homes import UnsafePath, prepare_home, read_beneath
from sandbox.workspaces.host.limits import CgroupHost, Limits
from sandbox.workspaces.jailer.verbs import KernelPorts, KernelStart
from sandbox.workspaces.jailer.workspace_jails import (
    SERVER_LIMITS,
    Places,
    build_kernel_jail,
    build_server_jail,
    choose_directory,
)
from sandbox.workspaces.jails.jail import INSIDE_HOME, JailSpec, Mount, bwrap_arguments
from sandbox.workspaces.jails.landlock import LAUNCHER_MOUNTS
from sandbox.workspaces.jails.warden import Warden, group_name, kernel_group_name
from sandbox.workspaces.records.controls import Orders
from sandbox.workspaces.records.runtime import runtime_paths
from sandbox.workspaces.records.specs import FIRST_UID, GrantedRelease, WorkspaceSpec

KERNEL = "0b9d2f6e-13a5-4c1b-9d53-0a2b7c7d3e11"


def make_spec() -> WorkspaceSpec:
    return WorkspaceSpec(
        "w-one", "u-zhao", FIRST_UID, Path("/var/homes/w-one"), (GrantedRelease("insurance", Path("/var/rel_1")),)
    )


def make_places() -> Places:
    paths = runtime_paths(Path("/run/shuzha"), "w-one")
    return Places(Path("/env"), paths, paths.notebooks, paths.sockets)


def make_server() -> tuple[JailSpec, tuple[str, ...]]:
    jail = build_server_jail(make_spec(), make_places(), {"JUPYTERHUB_API_TOKEN": "tok-1"}, 9)
    return jail, bwrap_arguments(jail, {"/etc/passwd": 5}, 6, 7)


def make_kernel(directory: str | None = None) -> tuple[JailSpec, tuple[str, ...]]:
    asked = KernelStart(KERNEL, "a-secret-of-one-kernel", KernelPorts(1, 2, 3, 4, 5), directory)
    jail = build_kernel_jail(make_spec(), make_places(), asked)
    return jail, bwrap_arguments(jail, {"/etc/passwd": 5}, 6, 7)


def pairs(arguments: tuple[str, ...], option: str) -> dict[str, str]:
    """Return inside -> host for each bind of this kind."""
    return {arguments[n + 2]: arguments[n + 1] for n, word in enumerate(arguments) if word == option}


@pytest.mark.parametrize("make", [make_server, make_kernel])
def test_jail_has_no_namespace_of_the_host_and_no_capability(make: Callable[[], tuple[JailSpec, Any]]) -> None:
    _, arguments = make()
    for option in ("--unshare-user", "--unshare-all", "--disable-userns", "--new-session", "--clearenv", "--seccomp"):
        assert option in arguments
    assert arguments[arguments.index("--cap-drop") + 1] == "ALL"
    assert "--share-net" not in arguments
    assert "--die-with-parent" not in arguments


def test_server_has_the_notebooks_and_no_data() -> None:
    jail, arguments = make_server()
    assert pairs(arguments, "--bind") == {f"{INSIDE_HOME}/notebooks": "/run/shuzha/w-one/notebooks"}
    readable = pairs(arguments, "--ro-bind")
    assert set(readable) == {"/usr", "/opt/env", "/etc/jupyter", "/gate/out", "/gate/jailer", "/gate/ipc"}
    assert readable["/gate/out"] == "/run/shuzha/w-one/out"
    assert readable["/gate/ipc"] == "/run/shuzha/w-one/sockets"
    tmpfs = [arguments[n + 1] for n, word in enumerate(arguments) if word == "--tmpfs"]
    assert INSIDE_HOME in tmpfs, "its home is in memory"
    assert arguments.index(INSIDE_HOME) < arguments.index(f"{INSIDE_HOME}/notebooks")
    assert jail.limits == SERVER_LIMITS
    assert not jail.shares_group


def test_kernel_has_data_and_home_and_no_way_to_the_hub() -> None:
    jail, arguments = make_kernel()
    assert pairs(arguments, "--bind") == {
        INSIDE_HOME: "/var/homes/w-one",
        f"{INSIDE_HOME}/notebooks": "/var/homes/w-one/notebooks",
        "/job/sockets": f"/run/shuzha/w-one/ipc/{KERNEL}",
    }
    readable = pairs(arguments, "--ro-bind")
    assert readable["/data/insurance"] == "/var/rel_1"
    assert readable["/gate/platform"] == "/run/shuzha/w-one/platform"
    launcher = {mount.inside for mount in LAUNCHER_MOUNTS}
    assert set(readable) == {"/usr", "/opt/env", "/data/insurance", "/gate/platform", *launcher}
    assert not [name for name, _ in jail.variables if "TOKEN" in name or name.startswith("JUPYTER")]
    assert jail.shares_group


def test_kernels_key_is_in_no_argument_and_no_variable() -> None:
    jail, arguments = make_kernel()
    assert "a-secret" not in " ".join((*arguments, *jail.command, *(value for _, value in jail.variables)))
    ((path, text),) = jail.files
    assert path == "/job/connection/kernel.json"
    assert json.loads(text)["key"] == "a-secret-of-one-kernel"
    assert json.loads(text)["ip"] == "/job/sockets/k"


def test_server_starts_python_without_the_users_modules() -> None:
    jail, _ = make_server()
    assert jail.command[:4] == ("/opt/env/bin/python", "-I", "-m", "jupyterhub.singleuser")
    assert "tok-1" not in " ".join(jail.command)


def test_the_two_jails_have_groups_of_their_own() -> None:
    server, kernel = make_server()[0], make_kernel()[0]
    assert (server.name, kernel.name) == ("ws-shuzha-w-one", "ws-shuzha-w-one-k")
    assert server.uid == kernel.uid


def test_kernel_stands_in_its_notebooks_folder_and_nowhere_else(tmp_path: Path) -> None:
    (tmp_path / "notebooks" / "deep" / "er").mkdir(parents=True)
    (tmp_path / "notebooks" / "link").symlink_to("/etc")
    inside = f"{INSIDE_HOME}/notebooks"
    assert choose_directory(tmp_path, None) == INSIDE_HOME
    assert choose_directory(tmp_path, ".") == inside
    assert choose_directory(tmp_path, "deep/er") == f"{inside}/deep/er"
    for odd in ("..", "/etc", "deep/../../x", "link", "link/ssl", "absent", "", "a" * 400):
        assert choose_directory(tmp_path, odd) == inside, odd


@pytest.mark.parametrize("path", ["/etc/passwd", "/job/../etc/passwd", "/usr/bin/python3"])
def test_jail_refuses_a_file_where_none_is_meant(path: str) -> None:
    with pytest.raises(ValueError, match="cannot put a file"):
        JailSpec("x", FIRST_UID, Path("/env"), (), ("true",), files=((path, "x"),))


@pytest.mark.parametrize("inside", ["/etc/passwd", "/usr/bin", "/", "/data/../etc", "/home/analyst/../../etc"])
def test_jail_refuses_a_mount_where_none_is_meant(inside: str) -> None:
    with pytest.raises(ValueError, match="cannot mount"):
        JailSpec("x", FIRST_UID, Path("/env"), (Mount(Path("/tmp"), inside),), ("true",))


@pytest.mark.parametrize("uid", [0, 1, 999])
def test_jail_refuses_a_user_of_the_system(uid: int) -> None:
    with pytest.raises(ValueError, match="cannot jail uid"):
        JailSpec("x", uid, Path("/env"), (), ("true",))


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/hub/api/", True), ("GET", "/hub/api/user", True), ("POST", "/hub/api/oauth2/token", True),
        ("POST", "/hub/api/users/u-zhao/activity", True), ("POST", "/hub/api/users/u-sun/activity", False),
        ("GET", "/hub/api/users", False), ("GET", "/hub/api/users/u-zhao", False), ("DELETE", "/hub/api/user", False),
        ("GET", "/hub/api/user/", False), ("GET", "/hub/api/../api/users", False), ("POST", "/hub/api/shutdown", False),
    ],
)  # fmt: skip
def test_out_gate_passes_four_routes(method: str, path: str, allowed: bool) -> None:
    assert allows(method, path, "u-zhao") is allowed


def fake_v1(root: Path) -> Path:
    for controller in ("memory", "pids", "cpu"):
        (root / controller / "shuzha").mkdir(parents=True)
        for folder in (root / controller, root / controller / "shuzha"):
            (folder / "cgroup.procs").write_text("")
    return root


def test_host_says_what_it_cannot_hold(tmp_path: Path) -> None:
    assert len(CgroupHost.detect(tmp_path).cannot) == 5
    partly = CgroupHost.detect(fake_v1(tmp_path))
    assert partly.controllers == {"memory", "pids", "cpu"}
    frozen, metered = partly.cannot
    assert "frozen" in frozen
    assert "metered" in metered
    assert not partly.counts_cpu


def test_group_writes_version_two_limits_where_the_host_has_them(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("cpu memory pids")
    (tmp_path / "cgroup.procs").write_text("")
    (tmp_path / "shuzha").mkdir()
    (tmp_path / "shuzha" / "cgroup.procs").write_text("")
    host = CgroupHost.detect(tmp_path)
    assert host.cannot == ()
    group = host.group("ws-one")
    group.create(Limits(memory_bytes=1024, processes=7, cpu_percent=150))
    folder = tmp_path / "shuzha" / "ws-one"
    assert (folder / "memory.max").read_text() == "1024"
    assert (folder / "pids.max").read_text() == "7"
    assert (folder / "cpu.max").read_text() == "150000 100000"


@pytest.mark.parametrize("name", ["", "../x", "a/b", "a b"])
def test_group_name_that_could_be_a_path_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="control group"):
        CgroupHost.detect(tmp_path).group(name)


def test_warden_obeys_without_any_group(tmp_path: Path) -> None:
    Warden(CgroupHost.detect(tmp_path), tmp_path).obey(Orders(suspended={"w-one": "held"}))
    assert group_name(Path("/run/shuzha/8002"), "w-one") == "ws-8002-w-one"


def test_home_is_closed_and_keeps_what_is_there(tmp_path: Path) -> None:
    starter = tmp_path / "starter"
    starter.mkdir()
    (starter / "first.ipynb").write_text("{}")
    home = tmp_path / "homes" / "w-one"
    prepare_home(home, os.geteuid() or FIRST_UID, starter)
    assert home.stat().st_mode & 0o777 == 0o700
    (home / "notebooks" / "first.ipynb").write_text("mine")
    prepare_home(home, os.geteuid() or FIRST_UID, starter)
    assert (home / "notebooks" / "first.ipynb").read_text() == "mine"


def test_read_beneath_gives_a_plain_file_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "box"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "a.csv").write_text("a,b")
    (tmp_path / "secret").write_text("s")
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "through").symlink_to(tmp_path)
    os.link(tmp_path / "secret", folder / "hard")
    os.mkfifo(folder / "pipe")
    assert read_beneath(folder, "deep/a.csv", 10) == b"a,b"
    for name in (
        "link",
        "through/secret",
        "hard",
        "pipe",
        "deep",
        "../secret",
        "/etc/passwd",
        "",
        "absent",
        "deep/../../x",
    ):
        with pytest.raises(UnsafePath) as refused:
            read_beneath(folder, name, 10)
        assert "secret" not in str(refused.value)
    with pytest.raises(UnsafePath, match="larger than 2"):
        read_beneath(folder, "deep/a.csv", 2)


def test_warden_leaves_the_workspaces_of_another_installation_alone(tmp_path: Path) -> None:
    host = CgroupHost.detect(fake_v1(tmp_path))
    freezer = tmp_path / "freezer" / "shuzha"
    # Another workspace, and the same one of a restored copy that runs beside this installation.
    others = ("ws-run-w-two", "ws-8003-w-one")
    for name in ("ws-run-w-one", *others):
        (freezer / name).mkdir(parents=True)
        (freezer / name / "freezer.state").write_text("FROZEN")
        (freezer / name / "cgroup.procs").write_text("")
    host = CgroupHost(host.parent, None, {**host.legacy, "freezer": tmp_path / "freezer"}, host.controllers, ())
    (tmp_path / "run" / "w-one").mkdir(parents=True)
    Warden(host, tmp_path / "run").obey(Orders())
    assert (freezer / "ws-run-w-one" / "freezer.state").read_text() == "THAWED"
    assert [(freezer / name / "freezer.state").read_text() for name in others] == ["FROZEN", "FROZEN"]


class Groups:
    """Control groups of version 2 that are said to be told to stand still and never do."""

    def __init__(self, root: Path, names: tuple[str, ...], pid: int) -> None:
        (root / "cgroup.controllers").write_text("")
        (root / "cgroup.procs").write_text("")
        self.folders = [root / "shuzha" / name for name in names]
        for folder in self.folders:
            folder.mkdir(parents=True)
            (folder / "cgroup.procs").write_text(str(pid))
            (folder / "cgroup.events").write_text("populated 1\nfrozen 0\n")
        (root / "shuzha" / "cgroup.procs").write_text("")
        self.host = CgroupHost.detect(root)

    def told(self) -> list[str]:
        return [(one / "cgroup.freeze").read_text() for one in self.folders if (one / "cgroup.freeze").exists()]


def test_warden_tells_all_at_once_and_ends_what_does_not_stand_still(tmp_path: Path, monkeypatch: Any) -> None:
    workspaces = [f"w-{number}" for number in range(30)]
    runtime = tmp_path / "run"
    for workspace in workspaces:
        runtime_paths(runtime, workspace).make()
    names = (*(group_name(runtime, one) for one in workspaces), kernel_group_name(runtime, "w-3"))
    with subprocess.Popen(["sleep", "60"]) as sleeping:
        groups = Groups(tmp_path, names, sleeping.pid)
        warden = Warden(groups.host, runtime)
        warden.obey(Orders(suspended=dict.fromkeys(workspaces, "held")))
        assert groups.told() == ["1"] * 31, "the first that does not stand still keeps no other waiting"
        assert sleeping.poll() is None
        monkeypatch.setattr("sandbox.workspaces.jails.warden.FREEZE_SECONDS", -1.0)
        warden.obey(Orders(suspended={"w-3": "held"}))
        assert sleeping.wait(5) == -9
