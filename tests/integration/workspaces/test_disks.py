"""A home on an image of its own: it ends at its size, moves in whole, grows, and leaves nothing. All is capped."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.workspaces.host.disks import (
    DEEPEST_COPIED,
    DiskFailed,
    Disks,
    copy_out,
    find_hindrance,
    list_images_at_rest,
)
from sandbox.workspaces.host.limits import Limits
from shuzha.core.clock import SystemClock
from shuzha.core.keys import KeyRing
from shuzha.core.settings import Settings
from shuzha.core.work import Database
from shuzha.server.backup import _walk, backup, restore

pytestmark = [pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")]

UID = 219_001
SMALL = Limits(home_bytes=24 * 1024**2, home_files=256)
MOST_WRITTEN = 48


@pytest.fixture
def disks() -> Iterator[Disks]:
    # Not below tmp_path: what a test leaves mounted there would be in the way of pytest's own tidying.
    folder = Path(tempfile.mkdtemp(prefix="shuzha-disks-"))
    made = Disks(folder / "homes")
    if made.cannot:
        shutil.rmtree(folder)
        pytest.skip(made.cannot)
    yield made
    for workspace in made.list_homes():
        made.destroy(workspace)
    assert str(folder) not in Path("/proc/mounts").read_text()
    shutil.rmtree(folder)


def home_of(disks: Disks, workspace: str) -> Path:
    home = disks._homes / workspace
    assert subprocess.run(["mountpoint", "-q", str(home)], check=False).returncode == 0, "a fill would hit the host"
    return home


def fill(home: Path) -> int:
    """Write until it ends, at most twice the image; return how many MiB fitted."""
    with (home / "fill").open("wb", buffering=0) as file:
        for written in range(MOST_WRITTEN):
            try:
                file.write(bytes(1024**2))
            except OSError:
                return written
    return MOST_WRITTEN


def test_home_ends_at_its_size_and_says_that_it_is_full(disks: Disks) -> None:
    disks.attach("w-1", UID, SMALL)
    home = home_of(disks, "w-1")
    assert not disks.use("w-1").is_full
    assert 10 < fill(home) < 24
    assert disks.use("w-1").is_full
    (home / "fill").unlink()
    assert not disks.use("w-1").is_full


def test_home_ends_at_its_number_of_files(disks: Disks) -> None:
    disks.attach("w-1", UID, SMALL)
    home = home_of(disks, "w-1")
    made = 0
    with contextlib.suppress(OSError):
        for made in range(2 * SMALL.home_files):
            (home / str(made)).touch()
    assert 0 < made < SMALL.home_files
    assert disks.use("w-1").is_full


def test_home_is_its_users_without_devices_or_other_peoples_rights(disks: Disks) -> None:
    disks.attach("w-1", UID, SMALL)
    home = home_of(disks, "w-1")
    assert home.stat().st_uid == UID
    assert list(home.iterdir()) == []
    options = next(line.split()[3] for line in Path("/proc/mounts").read_text().splitlines() if str(home) in line)
    assert {"nosuid", "nodev"} <= set(options.split(","))


def test_plain_folder_moves_in_whole_once(disks: Disks) -> None:
    home = disks._homes / "w-1"
    (home / "notebooks").mkdir(parents=True)
    (home / "notebooks" / "a.ipynb").write_text("kept")
    (home / "link").symlink_to("/etc/shadow")
    for path in (home, home / "notebooks", home / "notebooks" / "a.ipynb", home / "link"):
        os.lchown(path, UID, UID)
    home.chmod(0o700)
    disks.attach("w-1", UID, SMALL)
    home_of(disks, "w-1")
    assert (home / "notebooks" / "a.ipynb").read_text() == "kept"
    assert (home / "notebooks" / "a.ipynb").stat().st_uid == UID
    assert (home / "link").is_symlink()
    assert (home.stat().st_uid, home.stat().st_mode & 0o777) == (UID, 0o700)
    disks.detach("w-1")
    assert list(home.iterdir()) == []
    disks.attach("w-1", UID, SMALL)
    assert (home / "notebooks" / "a.ipynb").read_text() == "kept"


def test_folder_that_does_not_fit_stays_where_it_was(disks: Disks) -> None:
    home = disks._homes / "w-1"
    home.mkdir()
    (home / "large").write_bytes(os.urandom(30 * 1024**2))
    with pytest.raises(DiskFailed, match="cp ended"):
        disks.attach("w-1", UID, SMALL)
    assert (home / "large").stat().st_size == 30 * 1024**2
    assert disks.use("w-1", SMALL).is_full
    assert [path.name for path in disks._images.iterdir()] == []


def test_what_a_cut_short_move_left_is_no_longer_there(disks: Disks) -> None:
    disks.attach("w-1", UID, SMALL)
    (home_of(disks, "w-1") / "new").write_text("new")
    disks.detach("w-1")
    (disks._homes / "w-1" / "old").write_text("old")
    disks.attach("w-1", UID, SMALL)
    assert [path.name for path in home_of(disks, "w-1").iterdir()] == ["new"]


def test_image_grows_with_its_limit_and_keeps_what_it_has(disks: Disks) -> None:
    disks.attach("w-1", UID, SMALL)
    (home_of(disks, "w-1") / "a").write_text("a")
    before = disks.use("w-1").most_bytes
    disks.detach("w-1")
    disks.attach("w-1", UID, Limits(home_bytes=48 * 1024**2, home_files=256))
    assert disks.use("w-1").most_bytes > before + 20 * 1024**2
    assert (home_of(disks, "w-1") / "a").read_text() == "a"


def test_destroyed_home_leaves_neither_image_nor_loop_device(disks: Disks) -> None:
    disks.attach("w-1", UID, SMALL)
    (home_of(disks, "w-1") / "secret").write_text("secret")
    with (disks._homes / "w-1" / "secret").open():  # Even while somebody still reads in it.
        assert disks.destroy("w-1") == "image emptied and removed"
    assert disks.list_homes() == ()
    assert "w-1.img" not in subprocess.run(["losetup", "-a"], capture_output=True, text=True, check=False).stdout
    assert disks.use("w-1") is None


def test_home_on_an_image_is_not_started_where_images_cannot_be_mounted(disks: Disks) -> None:
    disks.attach("w-1", UID, SMALL)
    disks.detach("w-1")
    elsewhere = Disks(disks._homes, cannot="images need root")
    with pytest.raises(DiskFailed, match="images need root"):
        elsewhere.attach("w-1", UID, SMALL)


def test_a_link_in_the_place_of_a_home_is_refused(disks: Disks, tmp_path: Path) -> None:
    (disks._homes / "w-1").symlink_to(tmp_path)
    with pytest.raises(DiskFailed, match="link"):
        disks.attach("w-1", UID, SMALL)
    assert disks.destroy("w-1") == "folder removed"
    assert tmp_path.is_dir()


def test_home_at_rest_is_copied_out_of_its_image_without_links(disks: Disks, tmp_path: Path) -> None:
    disks.attach("w-1", UID, SMALL)
    home = home_of(disks, "w-1")
    home.chmod(0o700)
    (home / "notebooks").mkdir(mode=0o750)
    (home / "notebooks" / "保险 a.ipynb").write_text("kept")
    (home / "notebooks" / "link").symlink_to("/etc/shadow")
    os.mkfifo(home / "pipe")
    for path in (home / "notebooks", home / "notebooks" / "保险 a.ipynb"):
        os.chown(path, UID, UID)
    assert list_images_at_rest(disks._homes) == {}
    disks.detach("w-1")
    images = list_images_at_rest(disks._homes)
    assert list(images) == ["w-1"]
    copy = tmp_path / "with a blank" / "w-1"
    copy_out(images["w-1"], copy)
    assert sorted(path.relative_to(copy).as_posix() for path in copy.rglob("*")) == [
        "notebooks", "notebooks/保险 a.ipynb",
    ]  # fmt: skip
    found = (copy / "notebooks" / "保险 a.ipynb").stat()
    assert (found.st_uid, (copy / "notebooks").stat().st_mode & 0o777) == (UID, 0o750)
    assert (copy / "notebooks" / "保险 a.ipynb").read_text() == "kept"


def test_a_home_deeper_than_a_backup_may_be_is_cut_there(disks: Disks, tmp_path: Path) -> None:
    disks.attach("w-1", UID, Limits(home_bytes=24 * 1024**2, home_files=2000))
    number = os.open(disks._homes / "w-1", os.O_RDONLY)
    for _ in range(1100):
        os.mkdir("d", dir_fd=number)
        deeper = os.open("d", os.O_RDONLY, dir_fd=number)
        os.close(number)
        number = deeper
    os.close(number)
    assert list(_walk(disks._homes.parent)) == [], "a home in use ends no walk"
    disks.detach("w-1")
    image = list_images_at_rest(disks._homes)["w-1"]
    copy_out(image, tmp_path / "copy")
    assert len(list((tmp_path / "copy").rglob("*"))) == DEEPEST_COPIED
    assert disks.destroy("w-1") == "image emptied and removed"


def test_host_without_the_tools_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_hindrance(tmp_path) == ""
    monkeypatch.setattr(
        "sandbox.workspaces.host.disks._find", lambda tool: None if tool == "mkfs.ext4" else "/bin/true"
    )
    assert "mkfs.ext4 is missing" in find_hindrance(tmp_path)
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert "need root" in find_hindrance(tmp_path)


def test_backup_and_restore_keep_a_home_at_rest_and_one_in_use(disks: Disks, tmp_path: Path) -> None:
    settings = Settings(data=disks._homes.parent)
    KeyRing.create(settings.folder("keys"))
    Database(settings.records_url, SystemClock()).create_tables()
    for workspace in ("w-1", "w-2"):
        disks.attach(workspace, UID, SMALL)
        home = home_of(disks, workspace)
        home.chmod(0o700)
        (home / "kept").write_text(workspace)
        os.chown(home / "kept", UID, UID)
    disks.detach("w-1")
    backup(settings, tmp_path / "copy", SystemClock())
    assert not (tmp_path / "copy" / "images").exists()
    data = disks._homes.parent / "restored"
    restore(tmp_path / "copy", data)
    again = Disks(data / "homes")
    try:
        for workspace in ("w-1", "w-2"):
            again.attach(workspace, UID, SMALL)
            home = home_of(again, workspace)
            assert (home / "kept").read_text() == workspace
            assert ((home / "kept").stat().st_uid, home.stat().st_uid, home.stat().st_mode & 0o777) == (UID, UID, 0o700)
    finally:
        for workspace in again.list_homes():
            again.destroy(workspace)


def test_whoever_proves_an_exit_sees_that_an_image_is_gone_and_nothing_more(disks: Disks) -> None:
    disks.attach("one", UID, SMALL)
    image = disks._images / "one.img"
    for parent in (image.parent, *image.parent.parents):
        if parent.stat().st_uid == 0 and parent != Path("/tmp"):
            parent.chmod(parent.stat().st_mode | 0o011)
    looking = "import pathlib, sys; image = pathlib.Path(sys.argv[1]); print(image.exists())"
    assert as_another(looking, image).stdout.strip() == "True"
    for forbidden in ("open(sys.argv[1]).read(1)", "list(pathlib.Path(sys.argv[1]).parent.iterdir())"):
        assert "PermissionError" in as_another(f"import pathlib, sys; {forbidden}", image).stderr
    disks.detach("one")
    disks.destroy("one")
    assert as_another(looking, image).stdout.strip() == "False"


def as_another(code: str, image: Path) -> subprocess.CompletedProcess[str]:
    """Run this as a user who owns nothing here, as the platform's worker is one."""
    return subprocess.run(
        ["/usr/bin/python3", "-c", code, str(image)], user=UID + 1, group=UID + 1, extra_groups=[], cwd="/",
        capture_output=True, text=True, check=False,
    )  # fmt: skip
