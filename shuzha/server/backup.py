"""`shuzha backup | restore`: all that an installation keeps (records, usage, logs, lake, releases, vault, keys).

A backup is a folder with a manifest that holds the SHA-256 of every file. It is taken while the platform runs: the
records' write lock is held while the databases are copied, so the audit log in it is never behind the records that
feed it; the other files are immutable and are copied after the records that name them, but for the homes of
workspaces, which are copied as they are found, out of their disk images too: a restored home is a plain folder, which
moves onto an image when its workspace is started. The hub's own state is left out: no server outlives a restore, and
the hub makes it anew. A restore goes into an empty data folder, checks every hash before anything is moved, and gives
each file and folder its mode and, as root, its owner; the command then verifies both logs.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from sandbox.workspaces.host.disks import DEEPEST_COPIED, DiskFailed, copy_out, list_images_at_rest
from sandbox.workspaces.host.homes import UnsafePath, open_beneath
from shuzha import __version__
from shuzha.core.clock import Clock
from shuzha.core.errors import Conflict, Invalid, NotFound
from shuzha.core.settings import Settings
from shuzha.ledger.snapshot import HALF_WRITTEN, copy_rank

FORMAT = 1
MANIFEST = "manifest.json"
_LEFT_OUT = frozenset({"hub", "run", "scratch", "images"})
_KEPT_OF_RUN = Path("run") / "clock-offset"
"""A demonstration's clock never goes back, so its offset is kept though it lies among what is left out."""

_HOMES = "homes"
_SQLITE_BESIDE = ("-wal", "-shm", "-journal")

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class BackupFile:
    """One file of a backup: its path below the data folder, size, SHA-256, mode and owner."""

    path: str
    size: int
    sha256: str
    mode: int
    owner: int


@dataclass(frozen=True, slots=True)
class BackupFolder:
    """One folder of a backup: its path below the data folder, mode and owner."""

    path: str
    mode: int
    owner: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup holds, when and by which version it was taken."""

    format: int
    version: str
    taken_at: dt.datetime
    files: tuple[BackupFile, ...]
    folders: tuple[BackupFolder, ...]

    @property
    def size(self) -> int:
        """The bytes of all files."""
        return sum(file.size for file in self.files)


def backup(settings: Settings, target: Path, clock: Clock, progress: Progress = lambda _text: None) -> Manifest:
    """Write a backup into the new folder `target` and return its manifest; nothing is left of one that failed.

    Refuses an existing target, and records that are not SQLite (back those up with their own database's tools).
    """
    records = _records_file(settings)
    if target.exists():
        raise Conflict(
            "the backup's folder exists already", rule="backup.target", accepted="a folder that does not exist"
        )
    half = target.with_name(target.name + ".partial")
    shutil.rmtree(half, ignore_errors=True)
    half.mkdir(parents=True, mode=0o700)
    try:
        with _write_lock(records):
            for path in sorted(_databases(settings.data)):
                progress(f"database {path.relative_to(settings.data)}")
                _copy_database(path, half / path.relative_to(settings.data))
        for path in sorted(_plain_files(settings.data), key=copy_rank):
            progress(str(path.relative_to(settings.data)))
            if _is_in_home(settings.data, path):
                _copy_from_home(settings.data, path.relative_to(settings.data), half)
            else:
                _copy_file(path, half / path.relative_to(settings.data))
        copied = _copy_images(settings.data / _HOMES, half / _HOMES, progress)
        folders = tuple(_describe_folders(half, settings.data, copied))
        manifest = Manifest(FORMAT, __version__, clock.now(), tuple(_describe(half)), folders)
        (half / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=1))
        half.rename(target)
    except BaseException:
        shutil.rmtree(half, ignore_errors=True)
        raise
    return manifest


def restore(source: Path, data: Path, progress: Progress = lambda _text: None) -> Manifest:
    """Put a backup into the empty folder `data` and return its manifest; every hash is checked before it is moved."""
    manifest = read_manifest(source)
    if data.exists() and any(data.iterdir()):
        raise Conflict("the data folder is not empty", rule="restore.empty", accepted="an empty or a new folder")
    half = data.with_name(data.name + ".partial")
    shutil.rmtree(half, ignore_errors=True)
    try:
        for file in manifest.files:
            progress(file.path)
            place = _inside(half, file.path)
            _copy_file(source / file.path, place)
            if _sha256(place) != file.sha256:
                raise Invalid(f"the backup is damaged: {file.path} has another hash", rule="restore.hash")
            _give(place, file.mode, file.owner)
        for folder in reversed(manifest.folders):
            _give(_inside(half, folder.path), folder.mode, folder.owner)
        if data.exists():
            data.rmdir()
        half.rename(data)
    except BaseException:
        shutil.rmtree(half, ignore_errors=True)
        raise
    return manifest


def read_manifest(source: Path) -> Manifest:
    """Return the manifest of a backup folder, or say that it is none."""
    path = source / MANIFEST
    if not path.is_file():
        raise NotFound(f"{source.name} is no backup: it has no {MANIFEST}")
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except msgspec.DecodeError:
        raise Invalid(f"{MANIFEST} of the backup cannot be read", rule="restore.manifest") from None
    if manifest.format != FORMAT:
        raise Invalid(f"the backup has format {manifest.format}", rule="restore.format", accepted=f"format {FORMAT}")
    return manifest


def _records_file(settings: Settings) -> Path:
    if not settings.records_url.startswith("sqlite:///"):
        raise Invalid(
            "the records are not in SQLite", rule="backup.records", accepted="the database's own dump for them"
        )
    return Path(settings.records_url.removeprefix("sqlite:///"))


@contextlib.contextmanager
def _write_lock(records: Path) -> Iterator[None]:
    with contextlib.closing(sqlite3.connect(records, timeout=60, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            connection.execute("ROLLBACK")


def _walk(data: Path) -> Iterator[Path]:
    if (data / _KEPT_OF_RUN).exists():
        yield data / _KEPT_OF_RUN
    for folder, names, files in os.walk(data):
        if Path(folder) == data:
            names[:] = [name for name in names if name not in _LEFT_OUT]
        if len(Path(folder).relative_to(data).parts) >= DEEPEST_COPIED + 2:
            names.clear()  # a home that is deeper would end the walk, and with it the backup of all others
        yield from (Path(folder) / name for name in files if not (Path(folder) / name).is_symlink())


def _is_in_home(data: Path, path: Path) -> bool:
    return path.relative_to(data).parts[0] == _HOMES


def _is_database(path: Path) -> bool:
    if path.suffix not in {".db", ".sqlite"}:
        return False
    with path.open("rb") as file:
        return file.read(16) == b"SQLite format 3\0"


def _databases(data: Path) -> Iterator[Path]:
    # A database in a home is somebody else's file: it is copied as bytes and never opened.
    return (path for path in _walk(data) if not _is_in_home(data, path) and _is_database(path))


def _plain_files(data: Path) -> Iterator[Path]:
    beside = (HALF_WRITTEN, *(suffix + end for suffix in (".db", ".sqlite") for end in _SQLITE_BESIDE))
    for path in _walk(data):
        if _is_in_home(data, path):
            kept = path.is_file()
        else:
            kept = not path.name.endswith(beside) and path.is_file() and not _is_database(path)
        if kept:
            yield path


def _copy_database(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.closing(sqlite3.connect(source)) as here, contextlib.closing(sqlite3.connect(target)) as there:
        here.backup(there)
    _give_as(target, source)


def _copy_file(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target, follow_symlinks=False)
    _give_as(target, source)


def _copy_from_home(data: Path, place: Path, half: Path) -> None:
    """Copy a file of a workspace's home, whose analyst may put a link in any place or delete anything meanwhile."""
    home = Path(*place.parts[:2])
    try:
        number = open_beneath(data / home, str(place.relative_to(home)))
    except (UnsafePath, OSError):
        return
    target = half / place
    target.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(number, "rb") as source, target.open("wb") as copy:
        shutil.copyfileobj(source, copy)
        status = os.fstat(number)
    _give(target, status.st_mode & 0o777, status.st_uid)


def _copy_images(homes: Path, target: Path, progress: Progress) -> frozenset[str]:
    """Copy the homes of workspaces that do not run out of their images, and return which."""
    try:
        images = list_images_at_rest(homes)
    except PermissionError:
        raise Invalid(
            "the homes of workspaces lie on images that this user cannot read", rule="backup.homes",
            accepted="the user who runs the workspaces: root",
        ) from None  # fmt: skip
    for workspace, image in images.items():
        progress(f"{_HOMES}/{workspace}")
        shutil.rmtree(target / workspace, ignore_errors=True)
        try:
            copy_out(image, target / workspace)
        except (DiskFailed, FileNotFoundError) as error:
            # A workspace that was closed meanwhile has no home any more.
            shutil.rmtree(target / workspace, ignore_errors=True)
            if image.exists():
                raise Invalid(f"the home of {workspace} cannot be read: {error}", rule="backup.homes") from None
    return frozenset(images)


def _give_as(target: Path, source: Path) -> None:
    status = source.stat(follow_symlinks=False)
    _give(target, status.st_mode & 0o777, status.st_uid)


def _give(path: Path, mode: int, owner: int) -> None:
    if os.geteuid() == 0:
        os.lchown(path, owner, owner)
    if not path.is_symlink():
        path.chmod(mode)


def _describe(folder: Path) -> Iterator[BackupFile]:
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        status = path.stat()
        place, mode = path.relative_to(folder).as_posix(), status.st_mode & 0o777
        yield BackupFile(place, status.st_size, _sha256(path), mode, status.st_uid)


def _describe_folders(folder: Path, data: Path, copied: frozenset[str]) -> Iterator[BackupFolder]:
    """Yield the data folder and each below it of which something was copied, outer ones first.

    Of homes `copied` out of an image, the copy says what their folders are.
    """
    for path in (folder, *sorted(path for path in folder.rglob("*") if path.is_dir())):
        place = path.relative_to(folder)
        on_image = place.parts[:1] == (_HOMES,) and place.parts[1:2] != () and place.parts[1] in copied
        # A workspace that was closed meanwhile has no home any more; the copy's own folder stands in for it.
        status = (data / place if (data / place).is_dir() and not on_image else path).stat()
        yield BackupFolder(place.as_posix(), status.st_mode & 0o777, status.st_uid)


def _inside(folder: Path, relative: str) -> Path:
    place = (folder / relative).resolve()
    if not place.is_relative_to(folder.resolve()):
        raise Invalid("the backup's manifest names a path outside its folder", rule="restore.path")
    return place


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
