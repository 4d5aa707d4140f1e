"""What an analyst's panel is told: the platform's note, the gate's count, the host's measure; nothing of the jail's."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from sandbox.workspaces.gate.status import MEASURE_SECONDS, StatusDesk
from sandbox.workspaces.records.notes import ExportLine, Note, Notes
from shuzha.core.errors import Unavailable

EXPORT = ExportLine("exp_1", "by <b>district</b>", "returned", "too small", "http://portal.localhost/exports/exp_1")
NOTE = Note(
    "wsp_1", "loan review", "2026-12-01T16:00:00+00:00", 9, "http://portal.localhost/workspaces/wsp_1", (EXPORT,),
)  # fmt: skip


def test_note_is_read_as_it_was_written_and_again_when_it_changes(tmp_path: Path) -> None:
    pen, eye = Notes(tmp_path / "notes"), Notes(tmp_path / "notes")
    assert eye.find("w-one") is None
    pen.write("w-one", NOTE)
    assert eye.find("w-one") == NOTE
    pen.write("w-one", replace(NOTE, days_left=8))
    found = eye.find("w-one")
    assert found is not None
    assert found.days_left == 8
    pen.write("w-two", NOTE)
    pen.keep_only(frozenset({"w-two"}))
    assert (eye.find("w-one"), eye.find("w-two")) == (None, NOTE)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"exports": [{}]}', '{"exports": [], "more": 1}'])
def test_note_that_is_none_says_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "w-one.json").write_text(text)
    assert Notes(tmp_path).find("w-one") is None


TOLD = {
    "groups": {
        "server": {"memory_bytes": 90, "cpu_nanoseconds": 1_500_000_000, "processes": 2},
        "kernels": {"memory_bytes": 600, "cpu_nanoseconds": 3_000_000_000, "processes": 4},
    },
    "account": {"cpu_nanoseconds": 60_000_000_000, "hits": {"memory": 2, "processes": 0, "disk": 0}, "ended_for": ""},
    "disk": {"used_bytes": 70},
    "limits": {"memory_bytes": 2000, "processes": 256, "home_bytes": 900},
}  # fmt: skip
SCREEN = {"shown": 850, "budget": 1000, "state": "low"}


def test_status_puts_note_count_and_measure_together(tmp_path: Path) -> None:
    notes = Notes(tmp_path / "notes")
    notes.write("w-one", NOTE)
    said = StatusDesk(notes, {"w-one": TOLD}.__getitem__).find("w-one", SCREEN)
    assert (said["scenario"], said["days_left"], said["portal"]) == ("loan review", 9, NOTE.portal)
    assert said["screen"] == SCREEN
    assert said["compute"] == {
        "cpu_seconds": 60, "memory_bytes": 16 * 2**20, "memory_limit": 2000, "storage_bytes": 2**20,
        "storage_limit": 900, "ended_for": "",
    }  # fmt: skip
    assert said["hits"] == [{"limit": "memory", "times": 2, "most": 2000}]
    assert said["exports"][0]["url"] == EXPORT.url
    json.dumps(said)


def test_status_without_an_account_adds_up_what_the_groups_use_now(tmp_path: Path) -> None:
    said = StatusDesk(Notes(tmp_path), {"w-one": TOLD["groups"]}.__getitem__).find("w-one", SCREEN)
    assert (said["compute"]["cpu_seconds"], said["compute"]["memory_bytes"]) == (4, 16 * 2**20)
    assert (said["days_left"], said["exports"], said["hits"]) == (None, [], [])


def test_status_goes_on_without_a_jailer(tmp_path: Path) -> None:
    def silent(workspace: str) -> dict[str, object]:
        raise Unavailable("the jailer does not answer")

    for measure in (None, silent):
        said = StatusDesk(Notes(tmp_path), measure).find("w-one", SCREEN)
        assert said["screen"] == SCREEN
        assert said["compute"]["memory_bytes"] is None


def test_figures_are_asked_for_once_in_a_while_and_told_coarsely(tmp_path: Path) -> None:
    asked, now = [], [100.0]

    def measure(workspace: str) -> dict[str, object]:
        asked.append(workspace)
        return TOLD | {"account": {"cpu_nanoseconds": 0, "hits": {"memory": 1, "processes": 987, "disk": 10}}}

    desk = StatusDesk(Notes(tmp_path), measure, clock=lambda: now[0])
    for _ in range(3):
        said = desk.find("w-one", SCREEN)
    assert asked == ["w-one"]
    assert {one["limit"]: one["times"] for one in said["hits"]} == {"memory": 1, "processes": 900, "disk": 10}
    desk.find("w-two", SCREEN)
    now[0] += MEASURE_SECONDS
    desk.find("w-one", SCREEN)
    assert asked == ["w-one", "w-two", "w-one"]
