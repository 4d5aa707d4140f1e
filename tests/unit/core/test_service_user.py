"""Who services run as where root starts the platform, and that files are handed over without being led astray."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from shuzha.core import service_user
from shuzha.core.errors import Invalid, Unavailable
from shuzha.core.service_user import (
    UNNAMED,
    ServiceUser,
    acting_as,
    choose_user,
    give_like_folder,
    hand_over,
    starting_as,
)

as_root = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can hand files to another user"),
]
USER = ServiceUser(61_003, 61_003)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.geteuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o011)
    (tmp_path / "data" / "keys").mkdir(parents=True)
    (tmp_path / "data" / "keys" / "master.key").touch(0o600)
    return tmp_path / "data"


@pytest.mark.skipif(os.geteuid() == 0, reason="root chooses")
def test_who_is_not_root_stays_who_he_is(data: Path) -> None:
    assert choose_user("daemon", data) is None


class TestAsRoot:
    pytestmark = as_root

    def test_the_setting_goes_first_by_name_or_number(self, data: Path) -> None:
        assert choose_user("daemon", data).name == "daemon"
        assert choose_user("61009", data) == ServiceUser(61_009, 61_009)
        assert choose_user("root", data) is None
        with pytest.raises(Invalid, match="no account of this host is named 'nobody-here'"):
            choose_user("nobody-here", data)

    def test_the_datas_owner_goes_before_the_unnamed_number(self, data: Path) -> None:
        assert choose_user("", data).uid in {UNNAMED, choose_user("", data / "absent").uid}
        os.chown(data / "keys", 61_005, 61_005)
        assert choose_user("", data).uid == 61_005
        os.chown(data, 61_006, 61_006)
        assert choose_user("", data).uid == 61_006

    def test_hand_over_gives_everything_once_and_keeps_modes_and_homes(self, data: Path) -> None:
        (data / "homes" / "w-1").mkdir(parents=True)
        os.chown(data / "homes" / "w-1", 200_001, 200_001)
        os.mkfifo(data / "keys" / "pipe")
        assert hand_over(data, USER, kept=("homes",)) == 4
        assert hand_over(data, USER, kept=("homes",)) == 0
        assert {path.stat().st_uid for path in (data, data / "keys", data / "keys" / "master.key")} == {USER.uid}
        assert (data / "keys" / "master.key").stat().st_mode & 0o777 == 0o600
        assert ((data / "homes").stat().st_uid, (data / "homes" / "w-1").stat().st_uid) == (0, 200_001)

    def test_hand_over_follows_no_link_and_no_second_name(self, data: Path, tmp_path: Path) -> None:
        outside = tmp_path / "outside"
        outside.mkdir()
        (outside / "precious").touch()
        (data / "to-folder").symlink_to(outside)
        (data / "to-file").symlink_to(outside / "precious")
        os.link(outside / "precious", data / "second-name")
        hand_over(data, USER)
        assert {path.stat().st_uid for path in (outside, outside / "precious")} == {0}
        assert (data / "to-file").lstat().st_uid == USER.uid

    def test_hand_over_is_bounded(self, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(service_user, "MOST_ENTRIES", 2)
        (data / "other").touch()
        with pytest.raises(Unavailable, match="too large"):
            hand_over(data, USER)

    def test_acting_as_reaches_what_the_user_reaches_and_makes_what_is_his(self, data: Path) -> None:
        closed = data.parent / "closed"
        closed.touch(0o600)
        for_a_group = data.parent / "for-a-group"
        for_a_group.touch(0o640)
        hand_over(data, USER)
        groups = os.getgroups()
        with acting_as(USER):
            for one in (closed, for_a_group):
                with pytest.raises(PermissionError):
                    one.read_bytes()
            (data / "made").touch()
        assert os.getgroups() == groups
        closed.read_bytes()
        assert (data / "made").stat().st_uid == USER.uid

    def test_a_database_that_root_opens_stays_usable(self, data: Path) -> None:
        hand_over(data, USER)
        with acting_as(USER):
            first = sqlite3.connect(data / "records.db")
            first.execute("pragma journal_mode=wal")
            first.execute("create table one (x)")
            first.close()
        root = sqlite3.connect(data / "records.db")
        root.execute("insert into one values (1)")
        root.commit()
        assert {path.stat().st_uid for path in data.glob("records.db*")} == {USER.uid}
        assert len(list(data.glob("records.db*"))) == 3
        root.close()

    def test_a_file_of_roots_is_given_to_the_owner_of_its_folder(self, data: Path) -> None:
        hand_over(data, USER)
        (data / "orders").touch(0o600)
        give_like_folder(data / "orders")
        assert (data / "orders").stat().st_uid == USER.uid

    def test_a_started_process_is_the_user_and_nothing_more(self) -> None:
        code = (
            "import os; print(open('/proc/self/status').read()); print(os.getresuid(), os.getresgid(), os.getgroups())"
        )
        run = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, preexec_fn=starting_as(USER)
        )
        said = dict(line.split(":\t", 1) for line in run.stdout.splitlines() if ":\t" in line)
        assert [said[f"Cap{one}"].strip("0") for one in ("Inh", "Prm", "Eff", "Amb")] == ["", "", "", ""]
        assert (said["NoNewPrivs"], said["Umask"]) == ("1", "0077")
        assert "(61003, 61003, 61003) (61003, 61003, 61003) []" in run.stdout

    def test_a_started_process_ends_with_its_parent(self) -> None:
        inner = (
            "import subprocess, sys, os; sys.path.insert(0, os.getcwd());"
            "from shuzha.core.service_user import ServiceUser, starting_as;"
            "p = subprocess.Popen(['sleep', '60'], preexec_fn=starting_as(ServiceUser(61003, 61003)));"
            "print(p.pid, flush=True); os._exit(0)"
        )
        run = subprocess.run([sys.executable, "-c", inner], capture_output=True, text=True, timeout=10, check=True)
        assert not _lives(int(run.stdout))


def _lives(pid: int) -> bool:
    for _ in range(2000):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return False
        if state in {"Z", "X"}:
            return False
        time.sleep(0.005)
    return True
