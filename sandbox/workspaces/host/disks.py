"""Homes on disk images: each a file system of its own, which caps its bytes and its files and ends with it.

    HOMES/WORKSPACE        where the home is seen, mounted while its workspace runs
    IMAGES/WORKSPACE.img   the image: sparse, so that it takes up what the home holds

Root and loop devices are needed. Without them a home is a plain folder: one file is capped (RLIMIT_FSIZE), and the
whole is measured now and then; `Disks.cannot` says so.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from sandbox.workspaces.host.homes import take_away
from sandbox.workspaces.host.limits import Limits
from sandbox.workspaces.host.mounts import unmount

log = logging.getLogger(__name__)

TOOLS = ("mkfs.ext4", "mount", "e2fsck", "resize2fs", "debugfs")
_WHY = "the disk of a workspace is measured, not capped: "
NEEDS_ROOT = f"{_WHY}images need root"
_PLACES = ("/usr/sbin", "/sbin", "/usr/bin", "/bin")
_OPTIONS = "loop,nosuid,nodev,noatime,discard,errors=remount-ro"
_SECONDS = 120.0
_TRIAL_BYTES = 8 * 1024**2
_NEARLY_FULL = 1024**2
_MOST_COUNTED = 500_000
DEEPEST_COPIED = 100
"""The most folders within folders of a home that a backup has."""


class DiskFailed(RuntimeError):
    """A home's disk cannot be used; the message says what failed, and never what the home holds."""


@dataclass(frozen=True, slots=True)
class DiskUse:
    """What a home takes up, and the most it may; `capped` says that the file system itself holds it to that.

    `is_full` says that hardly anything more fits. Files are None where nobody counts them: on an image at rest.
    """

    used_bytes: int
    most_bytes: int
    used_files: int | None
    most_files: int | None
    capped: bool
    is_full: bool = False


def images_folder(homes: Path) -> Path:
    """Return where the images of homes lie: beside the homes, in no workspace's sight."""
    return homes.with_name("images")


def find_hindrance(folder: Path) -> str:
    """Return, in a sentence, what keeps this host from giving homes an image; empty when a trial image works."""
    if os.geteuid() != 0:
        return NEEDS_ROOT
    missing = [tool for tool in TOOLS if _find(tool) is None]
    if missing:
        return f"{_WHY}{' and '.join(missing)} is missing (install e2fsprogs and mount)"
    try:
        with tempfile.TemporaryDirectory(dir=folder, prefix=".trial-") as scratch:
            image, place = Path(scratch) / "trial.img", Path(scratch) / "trial"
            place.mkdir()
            _make_image(image, os.geteuid(), _TRIAL_BYTES, 64)
            try:
                _mount(image, place)
            finally:
                unmount(place)
    except (DiskFailed, OSError) as error:
        return f"{_WHY}a trial image failed: {error}"
    return ""


class Disks:
    """The homes of one installation. `attach` and `detach` bear a repeat; whoever calls has the workspace's turn."""

    def __init__(self, homes: Path, *, cannot: str | None = None) -> None:
        self._homes = homes
        self._images = images_folder(homes)
        for folder in (homes, self._images):
            folder.mkdir(parents=True, exist_ok=True)
            if folder.stat().st_uid == os.geteuid():
                # Nobody else lists either; whether one home or image is gone, the proof of an exit must be able to see.
                folder.chmod(0o711)
        self.cannot = find_hindrance(self._images) if cannot is None else cannot

    def attach(self, workspace: str, uid: int, limits: Limits) -> None:
        """Have the home at its place, on an image where this host can; a home in a plain folder moves into one.

        Refuses a home that is larger than its limit, and one on an image that this host cannot mount.
        """
        image, home = self._image(workspace), self._homes / workspace
        if home.is_symlink():
            raise DiskFailed("the home is a link")
        if self.cannot:
            if image.exists():
                raise DiskFailed(f"the home lies on an image, and {self.cannot}")
            return
        if home.is_mount():
            return
        if not image.exists():
            self._move_in(workspace, uid, limits)
        _grow(image, limits.home_bytes)
        self.attach_again(workspace)

    def attach_again(self, workspace: str) -> bool:
        """Have a home that is on an image at its place, and return whether it was not there before."""
        image, home = self._image(workspace), self._homes / workspace
        if self.cannot or not image.exists() or home.is_mount():
            return False
        # What was copied onto the image and not taken away, when that was cut short: the image has it all.
        with contextlib.suppress(OSError):
            take_away(home)
        home.mkdir(mode=0o700, exist_ok=True)
        _mount(image, home)
        _take_away_found(home)
        return True

    def detach(self, workspace: str) -> None:
        """Take the home from its place; it stays on its image."""
        if self._image(workspace).exists():
            unmount(self._homes / workspace)

    def use(self, workspace: str, limits: Limits | None = None) -> DiskUse | None:
        """Return what the home takes up, None when there is none."""
        image, home = self._image(workspace), self._homes / workspace
        if image.exists():
            if home.is_mount():
                return _ask_file_system(home)
            status = image.stat()
            return DiskUse(status.st_blocks * 512, status.st_size, None, None, capped=True)
        if not home.is_dir() or home.is_symlink():
            return None
        size, files = measure_folder(home)
        most, most_files = (limits or Limits()).home_bytes, (limits or Limits()).home_files
        return DiskUse(size, most, files, most_files, capped=False, is_full=size > most or files > most_files)

    def destroy(self, workspace: str) -> str:
        """Take the home away for good and return how: its image is emptied before it is removed."""
        image, home = self._image(workspace), self._homes / workspace
        on_image = image.exists()
        unmount(home)
        if on_image:
            os.truncate(image, 0)
            image.unlink()
        self._half(workspace).unlink(missing_ok=True)
        if home.is_symlink():
            home.unlink()
        take_away(home)
        return "image emptied and removed" if on_image else "folder removed"

    def list_homes(self) -> tuple[str, ...]:
        """Return the workspaces that have a home, on an image or in a folder."""
        images = {path.stem for path in self._images.glob("*.img")}
        return tuple(sorted(images | {path.name for path in self._homes.iterdir() if path.is_dir()}))

    def _image(self, workspace: str) -> Path:
        return self._images / f"{workspace}.img"

    def _half(self, workspace: str) -> Path:
        return self._images / f"{workspace}.half"

    def _move_in(self, workspace: str, uid: int, limits: Limits) -> None:
        """Make the image, with what a plain folder of the home holds; it has its name only once it is whole."""
        half, home = self._half(workspace), self._homes / workspace
        half.unlink(missing_ok=True)
        try:
            _make_image(half, uid, limits.home_bytes, limits.home_files)
            if home.is_dir() and any(home.iterdir()):
                with tempfile.TemporaryDirectory(dir=self._images, prefix=".move-") as place:
                    _mount(half, Path(place))
                    try:
                        _run("cp", "-a", "--", f"{home}/.", f"{place}/")
                        # A restored folder may be another's; what lies in it has its owner from the backup.
                        os.chown(place, uid, uid)
                        Path(place).chmod(0o700)
                    finally:
                        unmount(Path(place))
                log.info("the home of %s has moved onto an image", workspace)
            half.rename(self._image(workspace))
        except BaseException:
            half.unlink(missing_ok=True)
            raise


def detach_all(homes: Path) -> None:
    """Take every home from its place: what is left to do when the jails of an installation were ended, by root."""
    folder = images_folder(homes)
    if os.geteuid() != 0 or not folder.is_dir():
        return
    for image in folder.glob("*.img"):
        unmount(homes / image.stem)


def list_images_at_rest(homes: Path) -> dict[str, Path]:
    """Return the images whose homes are not at their places now, by workspace.

    Raises PermissionError where only another user can read them.
    """
    folder = images_folder(homes)
    if not folder.is_dir():
        return {}
    images = {path.stem: path for path in sorted(folder.iterdir()) if path.suffix == ".img"}
    return {workspace: image for workspace, image in images.items() if not (homes / workspace).is_mount()}


def copy_out(image: Path, target: Path) -> None:
    """Copy the files of an image that is not mounted into the new folder `target`, with modes and owners.

    Nothing is mounted: whoever starts the workspace meanwhile is not in the way. Only plain files and folders are
    copied: a link could lead out of a backup. Nor is what lies below `DEEPEST_COPIED` folders: one home must not make
    a tree that whoever walks through the backup cannot.
    """
    target.mkdir(parents=True, mode=0o700)
    _run("debugfs", "-R", f'rdump / "{target}"', str(image))
    waiting = [(target, 0)]
    while waiting:
        folder, depth = waiting.pop()
        with os.scandir(folder) as entries:
            for entry in entries:
                if not entry.is_dir(follow_symlinks=False):
                    if not entry.is_file(follow_symlinks=False):
                        Path(entry.path).unlink()
                elif depth < DEEPEST_COPIED:
                    waiting.append((Path(entry.path), depth + 1))
                else:
                    take_away(Path(entry.path))
    _take_away_found(target)


def measure_folder(folder: Path) -> tuple[int, int]:
    """Return the bytes and the number of files that a folder takes up on its disk; no link is followed.

    It stops counting at half a million files. A folder that its owner has closed is opened; one that no path is long
    enough for counts as that many: what lies in it cannot be looked at.
    """
    size = files = 0
    waiting = [folder]
    while waiting and files < _MOST_COUNTED:
        try:
            with _scan(waiting.pop()) as entries:
                for entry in entries:
                    status = entry.stat(follow_symlinks=False)
                    size += status.st_blocks * 512
                    files += 1
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(Path(entry.path))
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                return size, _MOST_COUNTED
            continue  # Somebody works in it: what went away is no longer to be counted.
    return size, files


def _scan(folder: Path) -> AbstractContextManager[Iterator[os.DirEntry[str]]]:
    """Return the entries of a folder, opened by its owner where he had closed it."""
    try:
        return os.scandir(folder)
    except PermissionError:
        folder.chmod(0o700)
        return os.scandir(folder)


def _ask_file_system(home: Path) -> DiskUse:
    found = os.statvfs(home)
    return DiskUse(
        (found.f_blocks - found.f_bfree) * found.f_frsize, found.f_blocks * found.f_frsize,
        found.f_files - found.f_ffree, found.f_files, capped=True,
        is_full=found.f_bavail * found.f_frsize < _NEARLY_FULL or found.f_favail == 0,
    )  # fmt: skip


def _make_image(image: Path, uid: int, size: int, files: int) -> None:
    descriptor = os.open(image, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.ftruncate(descriptor, size)
    finally:
        os.close(descriptor)
    extended = f"lazy_itable_init=1,lazy_journal_init=1,nodiscard,root_owner={uid}:{uid}"
    _run("mkfs.ext4", "-q", "-F", "-m", "0", "-N", str(files), "-E", extended, str(image))


def _grow(image: Path, size: int) -> None:
    """Give an image that is not mounted the size of a limit that was raised; a lowered one takes nothing away."""
    if image.stat().st_size >= size:
        return
    _check(image)
    os.truncate(image, size)
    _run("resize2fs", str(image))


def _mount(image: Path, place: Path) -> None:
    try:
        _run("mount", "-t", "ext4", "-o", _OPTIONS, str(image), str(place))
    except DiskFailed:
        _check(image)
        _run("mount", "-t", "ext4", "-o", _OPTIONS, str(image), str(place))


def _check(image: Path) -> None:
    """Mend an image that is not mounted."""
    _run("e2fsck", "-f", "-p", str(image), accept=(0, 1))


def _take_away_found(home: Path) -> None:
    """Take away the empty folder that every new file system of this kind has."""
    found = home / "lost+found"
    try:
        if found.lstat().st_uid == 0:
            found.rmdir()
    except OSError:
        return


def _find(tool: str) -> str | None:
    return shutil.which(tool, path=":".join(_PLACES))


def _run(tool: str, *arguments: str, accept: tuple[int, ...] = (0,)) -> None:
    command = _find(tool)
    if command is None:
        raise DiskFailed(f"{tool} is not installed")
    try:
        done = subprocess.run(
            [command, *arguments], capture_output=True, timeout=_SECONDS, check=False, env={"LC_ALL": "C"}, cwd="/"
        )
    except subprocess.TimeoutExpired as error:
        raise DiskFailed(f"{tool} took more than {_SECONDS:.0f} seconds") from error
    if done.returncode not in accept:
        # What a tool says may hold names of files in the home.
        raise DiskFailed(f"{tool} ended with {done.returncode}")
