"""A restarted hub ends the gate whose process id it noted: the note must not name anybody else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from sandbox.workspaces.hub.config import forget_foreign_gate
from sandbox.workspaces.records.hub_settings import HubSettings


def settings_of(folder: Path) -> HubSettings:
    return cast("HubSettings", SimpleNamespace(state=folder, controls=folder / "controls.json"))


@pytest.mark.parametrize("text", ["this process", "4194399", "no number", ""])
def test_note_of_another_process_or_of_none_is_taken_away(tmp_path: Path, text: str) -> None:
    note = tmp_path / "gate.pid"
    note.write_text(text.replace("this process", str(os.getpid())))
    forget_foreign_gate(settings_of(tmp_path))
    assert not note.exists()
    forget_foreign_gate(settings_of(tmp_path))


def test_note_of_this_installations_gate_is_kept(tmp_path: Path) -> None:
    note = tmp_path / "gate.pid"
    settings = settings_of(tmp_path)
    command = [sys.executable, "-c", "input(chr(10))", "--controls", str(settings.controls)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as gate:
        assert gate.stdout is not None
        gate.stdout.readline()  # It runs: before that its command line may not be readable yet.
        note.write_text(str(gate.pid))
        forget_foreign_gate(settings)
        kept: Any = note.exists()
        gate.communicate(b"\n")
    assert kept
