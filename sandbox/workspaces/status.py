"""The status of a workspace as its panel shows it: the platform's note, the gate's count, the host's measure.

The gate answers it itself, outside the jail, so that no notebook can change a figure in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sandbox.workspaces.gauge import Gauge, Use
from sandbox.workspaces.notes import Note, Notes
from sandbox.workspaces.warden import group_name


def describe(workspace: str, note: Note | None, screen: Mapping[str, Any], use: Use) -> dict[str, Any]:
    """Return the panel's JSON: term, screen budget, compute, limits hit, export requests; what is unknown is null.

    `screen` is the gate's own standing: shown, budget and state at least.
    """
    known = note or Note(workspace, "", "", 0)
    most = {"memory": use.memory_limit or known.memory_limit, "processes": known.process_limit}
    return {
        "workspace": workspace,
        "scenario": known.scenario,
        "valid_until": known.valid_until,
        "days_left": None if note is None else note.days_left,
        "portal": known.portal,
        "screen": dict(screen),
        "compute": {
            "cpu_seconds": use.cpu_seconds,
            "memory_bytes": use.memory_bytes,
            "memory_limit": use.memory_limit or known.memory_limit or None,
            "processes": use.processes,
            "process_limit": known.process_limit or None,
            "storage_bytes": known.storage_bytes,
            "storage_limit": known.storage_limit,
        },
        "hits": [{"limit": hit.limit, "times": hit.times, "most": most[hit.limit]} for hit in use.hits],
        "exports": [asdict(line) for line in known.exports],
    }


class StatusDesk:
    """Where the gate looks a status up: the notes' folder and this host's control groups."""

    def __init__(self, notes: Notes, gauge: Gauge, runtime: Path | None) -> None:
        self._notes = notes
        self._gauge = gauge
        self._runtime = runtime

    def find(self, workspace: str, screen: Mapping[str, Any]) -> dict[str, Any]:
        """Return the status of `workspace`, whose screen figures the gate knows."""
        use = Use()
        if self._runtime is not None:
            # Where kernels have a jail of their own, their memory is what an analyst can do something about.
            name = group_name(self._runtime, workspace)
            use = self._gauge.read((f"{name}-k", name))
        return describe(workspace, self._notes.find(workspace), screen, use)
