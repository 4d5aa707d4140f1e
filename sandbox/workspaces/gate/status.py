"""The status of a workspace as its panel shows it: the platform's note, the gate's count, the jailer's measure.

The gate answers it itself, outside the jail, so that no notebook can change a figure in it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from sandbox.workspaces.records.notes import Note, Notes
from shuzha.core.errors import ShuzhaError

log = logging.getLogger(__name__)

Measure = Callable[[str], Mapping[str, Any]]
"""Returns what a workspace uses, in the jailer's words: `groups` (`server`, `kernels`), `account`, `disk`, `limits`."""

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
            "cpu_seconds": None if nanoseconds is None else nanoseconds / 1e9,
            "memory_bytes": memory,
            "memory_limit": limits.get("memory_bytes"),
            "storage_bytes": disk.get("used_bytes"),
            "storage_limit": limits.get("home_bytes"),
            "ended_for": account.get("ended_for", ""),
        },
        "hits": [{"limit": name, "times": times, "most": limits.get(_MOST[name])} for name, times in hits.items()],
    }


class StatusDesk:
    """Where the gate looks a status up: the notes' folder, and who measures workspaces on this host."""

    def __init__(self, notes: Notes, measure: Measure | None) -> None:
        self._notes = notes
        self._measure = measure

    def find(self, workspace: str, screen: Mapping[str, Any]) -> dict[str, Any]:
        """Return the status of `workspace`, whose screen figures the gate knows.

        A jailer that does not answer now leaves its figures out.
        """
        told: Mapping[str, Any] = {}
        if self._measure is not None:
            try:
                told = self._measure(workspace)
            except ShuzhaError as error:
                log.warning("what %s uses is not known now: %s", workspace, error)
        return describe(workspace, self._notes.find(workspace), screen, told)
