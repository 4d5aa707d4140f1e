"""A backup holds everything, is restored only whole, and refuses to overwrite."""

import dataclasses
import datetime as dt
import sqlite3
import threading

import pytest

from shuzha.core.actor import platform_actor
from shuzha.core.clock import OffsetClock, SystemClock
from shuzha.core.errors import Conflict, Invalid, NotFound
from shuzha.core.keys import KeyRing
from shuzha.core.settings import Settings
from shuzha.core.work import Database
from shuzha.server.backup import backup, restore

ACTOR = platform_actor("test")


@pytest.fixture
def settings(tmp_path):
    settings = Settings(data=tmp_path / "data")
    KeyRing.create(settings.folder("keys"))
    database = Database(settings.records_url, SystemClock())
    database.create_tables()
    with database.work(ACTOR) as work:
        work.emit("test:event", "x", "something happened")
    part = settings.folder("raw") / "ent_1" / "part-0.parquet"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"PAR1 not really")
    run = settings.folder("run")
    run.mkdir()
    (run / "writer.pid").write_text("1")
    return settings


def test_restore_gives_back_records_files_and_closed_keys(settings, tmp_path):
    backup(settings, tmp_path / "copy", SystemClock())
    restore(tmp_path / "copy", tmp_path / "new")
    again = dataclasses.replace(settings, data=tmp_path / "new")
    assert Database(again.records_url, SystemClock()).last_sequence() == 1
    assert (again.folder("raw") / "ent_1" / "part-0.parquet").read_bytes() == b"PAR1 not really"
    assert KeyRing(again.folder("keys")).derive("a") == KeyRing(settings.folder("keys")).derive("a")
    assert not again.folder("run").exists()


def test_restore_gives_back_modes_and_homes_as_bytes_and_no_state_of_the_hub(settings, tmp_path):
    home = settings.folder("homes") / "w-1"
    home.mkdir(parents=True)
    (home / "notes.db").write_bytes(b"SQLite format 3\0 says a file that is none")
    (home / "kept.db-wal").write_bytes(b"also somebody's own file")
    home.chmod(0o700)
    settings.folder("homes").chmod(0o711)
    hub = settings.folder("hub")
    hub.mkdir()
    (hub / "gate.pid").write_text("1")
    backup(settings, tmp_path / "copy", SystemClock())
    restore(tmp_path / "copy", tmp_path / "new")
    again = tmp_path / "new" / "homes"
    assert (again / "w-1" / "notes.db").read_bytes() == (home / "notes.db").read_bytes()
    assert (again / "w-1" / "kept.db-wal").exists()
    assert [again.stat().st_mode & 0o777, (again / "w-1").stat().st_mode & 0o777] == [0o711, 0o700]
    assert (tmp_path / "new" / "keys").stat().st_mode & 0o777 == 0o700
    assert not (tmp_path / "new" / "hub").exists()


def test_backup_follows_no_link_that_is_put_into_a_home_while_it_is_copied(settings, tmp_path):
    folder = settings.folder("homes") / "w-1" / "notebooks"
    folder.mkdir(parents=True)
    (folder / "master.key").write_bytes(b"mine")
    (folder.parent / "own.txt").write_text("own")

    def swap(text):
        if text == "homes/w-1/notebooks/master.key":
            folder.rename(folder.with_name("aside"))
            folder.symlink_to(settings.folder("keys"))

    backup(settings, tmp_path / "copy", SystemClock(), swap)
    assert (tmp_path / "copy" / "homes" / "w-1" / "own.txt").read_text() == "own"
    secret = (settings.folder("keys") / "master.key").read_bytes()
    found = [path for path in (tmp_path / "copy").rglob("*") if path.is_file() and path.read_bytes() == secret]
    assert found == [tmp_path / "copy" / "keys" / "master.key"]


def test_restore_keeps_the_clock_of_a_demonstration(settings, tmp_path):
    OffsetClock(settings.folder("run") / "clock-offset").advance(dt.timedelta(days=40))
    backup(settings, tmp_path / "copy", SystemClock())
    restore(tmp_path / "copy", tmp_path / "new")
    assert OffsetClock(tmp_path / "new" / "run" / "clock-offset").offset() == dt.timedelta(days=40)
    assert [path.name for path in (tmp_path / "new" / "run").iterdir()] == ["clock-offset"]


def test_backup_under_load_is_a_consistent_copy(settings, tmp_path):
    stop = threading.Event()
    database = Database(settings.records_url, SystemClock())

    def write():
        while not stop.is_set():
            with database.work(ACTOR) as work:
                work.emit("test:event", "x", "something happened")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        backup(settings, tmp_path / "copy", SystemClock())
    finally:
        stop.set()
        writer.join()
    with sqlite3.connect(tmp_path / "copy" / "records" / "records.db") as copy:
        assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_restore_refuses_a_damaged_backup_and_leaves_nothing(settings, tmp_path):
    backup(settings, tmp_path / "copy", SystemClock())
    (tmp_path / "copy" / "raw" / "ent_1" / "part-0.parquet").write_bytes(b"PAR1 not reallY")
    with pytest.raises(Invalid, match=r"part-0\.parquet has another hash"):
        restore(tmp_path / "copy", tmp_path / "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "data"]


def test_restore_refuses_a_folder_that_holds_something(settings, tmp_path):
    backup(settings, tmp_path / "copy", SystemClock())
    with pytest.raises(Conflict, match="not empty"):
        restore(tmp_path / "copy", settings.data)


def test_restore_refuses_a_folder_that_is_no_backup(settings, tmp_path):
    with pytest.raises(NotFound, match="no backup"):
        restore(settings.data, tmp_path / "new")


def test_restore_refuses_a_manifest_that_leaves_its_folder(settings, tmp_path):
    backup(settings, tmp_path / "copy", SystemClock())
    manifest = tmp_path / "copy" / "manifest.json"
    manifest.write_text(manifest.read_text().replace("raw/ent_1/part-0.parquet", "../../escaped"))
    (tmp_path / "escaped").write_bytes(b"PAR1 not really")
    with pytest.raises(Invalid, match="outside"):
        restore(tmp_path / "copy", tmp_path / "deep" / "new")


def test_backup_refuses_an_existing_target(settings, tmp_path):
    (tmp_path / "copy").mkdir()
    with pytest.raises(Conflict, match="exists"):
        backup(settings, tmp_path / "copy", SystemClock())
