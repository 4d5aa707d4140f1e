"""The supervisor starts in order, restarts what dies, stops everything, and says why something did not start."""

import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from shuzha.core.errors import Unavailable
from shuzha.core.service_user import ServiceUser
from shuzha.server.supervisor import Supervisor, Unit

NAP = "import time, pathlib, sys; pathlib.Path(sys.argv[1]).touch(); time.sleep(60)"


def unit(tmp_path, name, code=NAP, seconds=10.0):
    mark = tmp_path / name
    return Unit(name, [sys.executable, "-c", code, str(mark)], mark.exists, ready_seconds=seconds, stop_seconds=2.0)


def until(condition, seconds=5.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "this did not come true in time"
        time.sleep(0.02)


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_killed_unit_is_started_again_and_stop_leaves_nothing(tmp_path):
    supervisor = Supervisor([unit(tmp_path, "one"), unit(tmp_path, "two")], tmp_path / "run")
    supervisor.start()
    first = supervisor.pid("one")
    os.kill(first, signal.SIGKILL)
    until(lambda: supervisor.pid("one") != first)
    pids = [supervisor.pid("one"), supervisor.pid("two")]
    supervisor.stop()
    assert not any(is_alive(pid) for pid in pids)


def test_start_says_how_a_unit_failed_and_stops_the_others(tmp_path):
    broken = unit(tmp_path, "broken", "raise SystemExit('the port is taken')")
    supervisor = Supervisor([unit(tmp_path, "good"), broken], tmp_path / "run")
    with pytest.raises(Unavailable, match="the port is taken"):
        supervisor.start()
    assert not is_alive(supervisor.pid("good"))


def test_start_gives_up_on_a_unit_that_never_answers(tmp_path):
    supervisor = Supervisor([unit(tmp_path, "deaf", "import time; time.sleep(60)", seconds=0.3)], tmp_path / "run")
    with pytest.raises(Unavailable, match="did not answer"):
        supervisor.start()


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts units as another user")
def test_units_are_the_service_user_but_for_the_one_that_needs_root(tmp_path):
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.geteuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o011)
    marks = tmp_path / "marks"
    marks.mkdir(mode=0o777)
    marks.chmod(0o777)
    (tmp_path / "run").mkdir()
    os.chown(tmp_path / "run", 61_017, 61_017)
    (tmp_path / "run" / "served.log").symlink_to("/etc/hostname")  # As a service that was taken over might leave it.
    units = [unit(marks, "served"), replace(unit(marks, "jailing"), needs_root=True)]
    supervisor = Supervisor(units, tmp_path / "run", ServiceUser(61_017, 61_017))
    with pytest.raises(PermissionError):
        supervisor.start()
    (tmp_path / "run" / "served.log").unlink()
    supervisor.start()
    try:
        users = {name: Path(f"/proc/{supervisor.pid(name)}").stat().st_uid for name in ("served", "jailing")}
        environment = Path(f"/proc/{supervisor.pid('served')}/environ").read_bytes()
        owners = {path.stat().st_uid for path in (tmp_path / "run").iterdir()}
    finally:
        supervisor.stop()
    assert users == {"served": 61_017, "jailing": 0}
    assert owners == {61_017}
    assert b"HOME=/root" not in environment
