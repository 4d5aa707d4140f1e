"""From beside the jails: other users of the host, and a service that was taken over, after releases and root's help."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.workspaces.host.limits import CgroupHost
from sandbox.workspaces.host.mounts import make_room, unmount
from sandbox.workspaces.host.private_view import VIEW, find_closed
from sandbox.workspaces.jails.jail import JailFailed, JailSpec, Mount, start_jail
from shuzha.core.service_user import ServiceUser, acting_as

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can show a folder that its jail's user cannot reach"),
]
UID = 230_007


@pytest.fixture
def release() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="sz-", dir="/tmp") as name:
        folder = Path(name) / "closed" / "release"
        folder.mkdir(parents=True)
        (folder / "data").write_text("rows")
        folder.chmod(0o555)
        folder.parent.chmod(0o700)
        Path(name).chmod(0o711)
        yield folder


def run_inside(*mounts: Mount, command: str) -> str:
    reading, writing = os.pipe()
    spec = JailSpec("private-view", UID, Path("/usr"), mounts, ("/bin/sh", "-c", command), directory="/")
    try:
        jail = start_jail(spec, CgroupHost.detect(), output=writing)
    finally:
        os.close(writing)
    with os.fdopen(reading) as said:
        text = said.read()
    jail.stop(grace=0)
    return text.strip()


@pytest.mark.works
def test_a_closed_folder_and_a_closed_file_are_shown_inside_and_nowhere_else(release: Path) -> None:
    mounts = (Mount(release, "/data/release"), Mount(release / "data", "/job/one"))
    assert run_inside(*mounts, command="cat /data/release/data /job/one; ls /run 2>/dev/null") == "rowsrows"
    assert list(VIEW.iterdir()) == []
    assert str(VIEW) not in Path("/proc/mounts").read_text()


@pytest.mark.attack(
    what="a release's files", route="programs of the jail's user and of a stranger on the host, outside any jail",
    layer="user of its own", control="with the folder before it open to pass, the same programs read them",
)  # fmt: skip
@pytest.mark.parametrize("uid", [UID, 61_999])
def test_nobody_reads_a_release_where_it_lies(release: Path, uid: int) -> None:
    def read() -> str:
        with acting_as(ServiceUser(uid, uid)):
            return (release / "data").read_text()

    with pytest.raises(PermissionError):
        read()
    release.parent.chmod(0o711)
    assert read() == "rows"


@pytest.mark.attack(
    what="writing to a release whose modes would allow it", route="a jail that is shown a closed folder",
    layer="read-only mount", control="the same folder shown as a home is written to",
)  # fmt: skip
def test_what_is_shown_stays_read_only(release: Path) -> None:
    release.chmod(0o777)
    said = run_inside(Mount(release, "/data/release"), command="touch /data/release/new 2>&1; echo $?")
    assert "Read-only file system" in said
    writable = Mount(release, "/home/analyst", writable=True)
    assert run_inside(writable, command="touch /home/analyst/new; echo $?") == "0", "the control: a home is writable"


@pytest.mark.works
def test_an_open_way_needs_no_view(release: Path) -> None:
    assert find_closed(UID, (release,)).sources == (release,)
    release.parent.chmod(0o711)
    assert find_closed(UID, (release,)).sources == ()


@pytest.mark.works
def test_a_jail_holds_no_mounts_of_its_neighbours(release: Path) -> None:
    """Where the host shares no mounts, what it unmounts later would live on with the jail: a neighbour's disk."""
    rooms = [release.parents[1] / name for name in ("a neighbour's", "own")]
    try:
        for room in rooms:
            room.mkdir()
            assert make_room(room, 65_536, 16, 0o711)
        shown = (Mount(release, "/data/release"), Mount(rooms[1], "/data/own"))
        spec = JailSpec("private-view", UID, Path("/usr"), shown, ("/bin/sleep", "60"), directory="/")
        jail = start_jail(spec, CgroupHost.detect())
        try:
            held = Path(f"/proc/{jail.outer}/mountinfo").read_text()
            assert str(VIEW) in held, "the control: this is the jail's own namespace of mounts"
            assert [str(room).replace(" ", "\\040") in held for room in rooms] == [False, True]
        finally:
            jail.stop(grace=0)
    finally:
        for room in rooms:
            unmount(room)


@pytest.mark.attack(
    what="a link in place of a release, or of a folder on its way, to what only root can reach",
    route="a service that was taken over", layer="jailer", control="the place itself, named without a link, is shown",
)  # fmt: skip
@pytest.mark.parametrize("place", ["release", "folder"])
def test_a_link_on_a_closed_way_is_refused(release: Path, place: str) -> None:
    elsewhere = release.parents[1] / "elsewhere"
    (elsewhere / "release").mkdir(parents=True)
    (elsewhere / "release" / "data").write_text("somebody's")
    elsewhere.chmod(0o700)
    asked = Mount(release, "/data/release")
    if place == "release":
        release.rename(release.with_name("before"))
        release.symlink_to(elsewhere / "release")
    else:
        release.parent.rename(release.parents[1] / "before")
        release.parent.symlink_to(elsewhere)
    with pytest.raises(JailFailed, match="no view of"):
        run_inside(asked, command="cat /data/release/data")
    direct = Mount(elsewhere / "release", "/data/release")
    assert run_inside(direct, command="cat /data/release/data") == "somebody's", (
        "the control: without the link it is shown"
    )
