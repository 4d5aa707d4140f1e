"""Keeps the platform's processes running: starts them, waits until each answers, restarts one that died.

A *unit* is one process. Units start together and stop in the reverse of their order. A unit that dies is started again
at once, with a growing pause when it keeps dying young. Each gets a parent-death signal, so that killing the supervisor
leaves nothing. Where the supervisor is root, a unit becomes the service user before its program starts, unless it
needs root.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from shuzha.core.errors import Unavailable
from shuzha.core.service_user import ServiceUser, acting_as, starting_as

log = logging.getLogger(__name__)

_YOUNG_SECONDS = 3.0
_LONGEST_PAUSE = 5.0
_OF_ROOT = frozenset({"HOME", "USER", "LOGNAME", "MAIL", "SUDO_COMMAND", "SUDO_GID", "SUDO_UID", "SUDO_USER"})
"""What the environment says of the person who became root; a unit that is not root is told nothing of it."""


@dataclass(frozen=True, slots=True)
class Unit:
    """One process: its command, what it adds to the environment, and a probe that is true once it answers.

    One that `needs_root` keeps what the supervisor has. One that ends while it starts is told at once, so
    `ready_seconds` may be what a busy machine needs.
    """

    name: str
    command: Sequence[str]
    is_ready: Callable[[], bool]
    environment: Mapping[str, str] = field(default_factory=dict)
    ready_seconds: float = 90.0
    stop_seconds: float = 10.0
    needs_root: bool = False


class Supervisor:
    """Runs units until told to stop; `run_folder` gets `<name>.log` and `<name>.pid` of each.

    `user` is whom the units become and whose `run_folder` is; None: they stay who the supervisor is.
    """

    def __init__(self, units: Sequence[Unit], run_folder: Path, user: ServiceUser | None = None) -> None:
        self._units = tuple(units)
        self._folder = run_folder
        self._user = user
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._started: dict[str, float] = {}
        self._pauses: dict[str, float] = {}
        self._stopping = threading.Event()
        self._watcher: threading.Thread | None = None
        self.restarts = 0

    def start(self) -> None:
        """Start every unit and return when all answer; on a failure stop what was started and raise Unavailable."""
        with acting_as(self._user):
            self._folder.mkdir(parents=True, exist_ok=True)
        try:
            for unit in self._units:
                self._spawn(unit)
            for unit in self._units:
                self._wait_ready(unit)
        except BaseException:
            self.stop()
            raise
        self._watcher = threading.Thread(target=self._watch, name="supervisor", daemon=True)
        self._watcher.start()

    def stop(self) -> None:
        """Stop every unit, the last started first: SIGTERM, then SIGKILL to its group when its time is up."""
        self._stopping.set()
        if self._watcher is not None:
            self._watcher.join(5)
        for unit in reversed(self._units):
            process = self._processes.get(unit.name)
            if process is not None:
                _end(process, unit.stop_seconds)
                with acting_as(self._user):
                    (self._folder / f"{unit.name}.pid").unlink(missing_ok=True)

    def pid(self, name: str) -> int:
        """Return the process id of a unit."""
        return self._processes[name].pid

    def wait(self) -> None:
        """Block until `stop` was called, from a signal handler for example."""
        while not self._stopping.wait(0.5):
            pass

    def request_stop(self) -> None:
        """Make `wait` return; safe in a signal handler."""
        self._stopping.set()

    def _spawn(self, unit: Unit) -> None:
        user = None if unit.needs_root else self._user
        with acting_as(self._user):
            log_file = (self._folder / f"{unit.name}.log").open("ab")
        with log_file:
            process = subprocess.Popen(
                list(unit.command),
                stdin=subprocess.DEVNULL,
                stdout=log_file,
                stderr=subprocess.STDOUT,
                cwd="/",
                env={**_environment(None if user is None else self._folder), **unit.environment},
                start_new_session=True,
                preexec_fn=starting_as(user),  # noqa: PLW1509 - only system calls in it, safe between fork and exec
            )
        self._processes[unit.name] = process
        self._started[unit.name] = time.monotonic()
        with acting_as(self._user):
            (self._folder / f"{unit.name}.pid").write_text(str(process.pid))

    def _wait_ready(self, unit: Unit) -> None:
        deadline = time.monotonic() + unit.ready_seconds
        while time.monotonic() < deadline:
            code = self._processes[unit.name].poll()
            if code is not None:
                raise Unavailable(f"{unit.name} ended with code {code} while starting", accepted=self._hint(unit))
            if unit.is_ready():
                return
            time.sleep(0.03)
        raise Unavailable(f"{unit.name} did not answer within {unit.ready_seconds:.0f} s", accepted=self._hint(unit))

    def _hint(self, unit: Unit) -> str:
        with acting_as(self._user):
            tail = (self._folder / f"{unit.name}.log").read_text(errors="replace").strip().splitlines()[-3:]
        said = (
            f"which ends: {' | '.join(tail)}"
            if tail
            else "which says nothing yet: the machine may be busy, start again"
        )
        return f"see {self._folder}/{unit.name}.log, {said}"

    def _watch(self) -> None:
        while not self._stopping.wait(0.05):
            for unit in self._units:
                if self._processes[unit.name].poll() is not None and not self._stopping.is_set():
                    self._restart(unit)

    def _restart(self, unit: Unit) -> None:
        young = time.monotonic() - self._started[unit.name] < _YOUNG_SECONDS
        pause = min(_LONGEST_PAUSE, self._pauses.get(unit.name, 0.05) * 2) if young else 0.0
        self._pauses[unit.name] = max(pause, 0.05)
        log.warning("%s ended with code %s; starting it again", unit.name, self._processes[unit.name].returncode)
        self._stopping.wait(pause)
        if not self._stopping.is_set():
            self.restarts += 1
            self._spawn(unit)


def _environment(home: Path | None) -> dict[str, str]:
    """Return what every unit is told, and where its home is when it is another user's than the supervisor's."""
    # No unit finds modules where it happens to stand: that folder could be anybody's.
    kept = {name: value for name, value in os.environ.items() if home is None or name not in _OF_ROOT}
    return {**kept, "PYTHONSAFEPATH": "1"} | ({} if home is None else {"HOME": str(home)})


def _end(process: subprocess.Popen[bytes], seconds: float) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            log.warning("process %s did not stop in %.0f s and is killed", process.pid, seconds)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(5)
