"""The status of a workspace as its panel shows it: the platform's note, the gate's count, the jailer's measure.

The gate answers it itself, outside the jail, so that no notebook can change a figure in it. But a notebook decides how
much it uses, and this answer is not counted against the screen budget: figures told finely and often would be a way out
for data. So they are told coarsely, and anew only every few seconds, however often somebody asks.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from sandbox.workspaces.records.notes import Note, Notes
from shuzha.core.errors import ShuzhaError

log = logging.getLogger(__name__)

Measure = Callable[[str], Mapping[str, Any]]
"""Returns what a workspace uses, in the jailer's words: `groups` (`server`, `kernels`), `account`, `disk`, `limits`."""

MEASURE_SECONDS = 5.0
"""How long what was measured is told again."""

MEMORY_STEP = 16 * 1024**2
STORAGE_STEP = 1024**2
"""The steps in which bytes are told."""

_MOST = {"memory": "memory_bytes", "processes": "processes", "disk": "home_bytes"}


def describe(workspace: str, note: Note | None, screen: Mapping[str, Any], told: Mapping[str, Any]) -> dict[str, Any]:
    """Return the panel's JSON: term, screen budget, compute, limits hit, export requests; what is unknown is null.

    `screen` is the gate's own standing: shown, budget and state at least; `told` what the jailer says, or nothing.
    """
    known = note or Note(workspace, "", "", 0)
    return {
        "workspace": workspace,
        "scenario": known.scenario,
        "valid_until": known.valid_until,
        "days_left": None if note is None else note.days_left,
        "portal": known.portal,
        "screen": dict(screen),
        **_compute(told),
        "exports": [asdict(line) for line in known.exports],
    }


def _compute(told: Mapping[str, Any]) -> dict[str, Any]:
    groups = told.get("groups") or {part: told[part] for part in ("server", "kernels") if part in told}
    account, disk, limits = (told.get(part) or {} for part in ("account", "disk", "limits"))
    used = [one["cpu_nanoseconds"] for one in groups.values() if one.get("cpu_nanoseconds") is not None]
    nanoseconds = account.get("cpu_nanoseconds", sum(used) if used else None)
    # The kernels' memory is what an analyst can do something about, and what ends them.
    memory = groups.get("kernels", {}).get("memory_bytes")
    hits = {name: times for name, times in account.get("hits", {}).items() if times}
    return {
        "compute": {
            "cpu_seconds": None if nanoseconds is None else nanoseconds // 10**9,
            "memory_bytes": _coarse(memory, MEMORY_STEP),
            "memory_limit": limits.get("memory_bytes"),
            "storage_bytes": _coarse(disk.get("used_bytes"), STORAGE_STEP),
            "storage_limit": limits.get("home_bytes"),
            "ended_for": account.get("ended_for", ""),
        },
        "hits": [
            {"limit": name, "times": _first_digit(times), "most": limits.get(_MOST[name])}
            for name, times in hits.items()
        ],
    }


def _coarse(size: int | None, step: int) -> int | None:
    """Return a size in whole steps, rounded up: what is there is not told as nothing."""
    return None if size is None else -(-size // step) * step


def _first_digit(times: int) -> int:
    """Return a count down to its first digit: 7, 10, 20, ... 100, 200, ..."""
    unit = int(10 ** (len(str(times)) - 1))
    return times // unit * unit


class StatusDesk:
    """Where the gate looks a status up: the notes' folder, and who measures workspaces on this host.

    `find` may be called from any thread; a workspace is measured once in `MEASURE_SECONDS`, by one of them.
    """

    def __init__(self, notes: Notes, measure: Measure | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._notes = notes
        self._measure = measure
        self._clock = clock
        self._told: dict[str, tuple[float, Mapping[str, Any]]] = {}
        self._turn = threading.Lock()

    def find(self, workspace: str, screen: Mapping[str, Any]) -> dict[str, Any]:
        """Return the status of `workspace`, whose screen figures the gate knows.

        A jailer that does not answer now leaves its figures out.
        """
        return describe(workspace, self._notes.find(workspace), screen, self._ask(workspace))

    def _ask(self, workspace: str) -> Mapping[str, Any]:
        """Return what the jailer says, or said a moment ago; who asks while another does is told what was said last."""
        now = self._clock()
        with self._turn:
            since, told = self._told.get(workspace, (float("-inf"), {}))
            if self._measure is None or now - since < MEASURE_SECONDS:
                return told
            self._told[workspace] = (now, told)
        try:
            told = self._measure(workspace)
        except ShuzhaError as error:
            log.warning("what %s uses is not known now: %s", workspace, error)
            told = {}
        with self._turn:
            self._told[workspace] = (now, told)
        return told
