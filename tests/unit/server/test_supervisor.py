"""The supervisor starts in order, restarts what dies, stops everything, and says why something did not start."""

import os
import signal
import sys
import time

import pytest

from shuzha.core.errors import Unavailable
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
