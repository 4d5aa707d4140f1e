"""What a jail is built from, before anything runs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sandbox.workspaces.controls import Orders
from sandbox.workspaces.homes import UnsafePath, prepare_home, read_beneath
from sandbox.workspaces.jail import INSIDE_HOME, JailSpec, Mount, bwrap_arguments
from sandbox.workspaces.limits import CgroupHost, Limits
from sandbox.workspaces.out_gate import allows
from sandbox.workspaces.runtime import runtime_paths
from sandbox.workspaces.spawner import build_jail
from sandbox.workspaces.specs import FIRST_UID, GrantedRelease, WorkspaceSpec
from sandbox.workspaces.warden import Warden, group_name


def make_jail() -> tuple[JailSpec, tuple[str, ...]]:
    spec = WorkspaceSpec(
        "w-one", "u-zhao", FIRST_UID, Path("/var/homes/w-one"), (GrantedRelease("insurance", Path("/var/rel_1")),)
    )
    paths = runtime_paths(Path("/run/shuzha"), "w-one")
    jail = build_jail(spec, paths, Path("/env"), {"JUPYTERHUB_API_TOKEN": "tok-1"}, 9)
    return jail, bwrap_arguments(jail, {"/etc/passwd": 5}, 6, 7)


def pairs(arguments: tuple[str, ...], option: str) -> dict[str, str]:
    """Return inside -> host for each bind of this kind."""
    return {arguments[n + 2]: arguments[n + 1] for n, word in enumerate(arguments) if word == option}


def test_jail_has_no_namespace_of_the_host_and_no_capability() -> None:
    _, arguments = make_jail()
    for option in ("--unshare-user", "--unshare-all", "--disable-userns", "--new-session", "--clearenv", "--seccomp"):
        assert option in arguments
    assert arguments[arguments.index("--cap-drop") + 1] == "ALL"
    assert "--share-net" not in arguments
    assert "--die-with-parent" not in arguments


def test_jail_writes_to_its_home_only() -> None:
    _, arguments = make_jail()
    assert pairs(arguments, "--bind") == {INSIDE_HOME: "/var/homes/w-one"}
    readable = pairs(arguments, "--ro-bind")
    assert readable["/data/insurance"] == "/var/rel_1"
    assert readable["/gate/out"] == "/run/shuzha/w-one/out"
    assert readable["/gate/platform"] == "/run/shuzha/w-one/platform"
    assert not any(host.startswith("/run/shuzha/w-one/in") for host in readable.values())
    assert set(readable) == {"/usr", "/opt/env", "/data/insurance", "/etc/jupyter", "/gate/out", "/gate/platform"}


def test_jail_starts_python_without_the_users_modules() -> None:
    jail, _ = make_jail()
    assert jail.command[:4] == ("/opt/env/bin/python", "-I", "-m", "jupyterhub.singleuser")
    assert "tok-1" not in " ".join(jail.command)


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
    assert len(CgroupHost.detect(tmp_path).cannot) == 4
    partly = CgroupHost.detect(fake_v1(tmp_path))
    assert partly.controllers == {"memory", "pids", "cpu"}
    assert len(partly.cannot) == 1
    assert "frozen" in partly.cannot[0]


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
