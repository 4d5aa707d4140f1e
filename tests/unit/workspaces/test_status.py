"""What an analyst's panel is told: the platform's note, the gate's count, the host's measure; nothing of the jail's."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from sandbox.workspaces.gauge import Gauge, Hit, Use
from sandbox.workspaces.notes import ExportLine, Note, Notes
from sandbox.workspaces.status import StatusDesk

EXPORT = ExportLine("exp_1", "by <b>district</b>", "returned", "too small", "http://portal.localhost/exports/exp_1")
NOTE = Note(
    "wsp_1", "loan review", "2026-12-01T16:00:00+00:00", 9, "http://portal.localhost/workspaces/wsp_1", (EXPORT,),
    2 * 1024**3, 256,
)  # fmt: skip


def put(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)


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


def test_gauge_reads_groups_of_version_1(tmp_path: Path) -> None:
    for group, nanoseconds in (("ws-a-k", "3000000000"), ("ws-a", "1500000000")):
        put(tmp_path / "cpuacct/shuzha" / group, cpuacct__usage=nanoseconds)
        put(tmp_path / "pids/shuzha" / group, pids__current="4", pids__events="max 2\n")
    put(
        tmp_path / "memory/shuzha/ws-a-k", memory__usage_in_bytes="900", memory__limit_in_bytes="1000",
        memory__stat="inactive_file 9\ntotal_inactive_file 300\n",
        memory__oom_control="oom_kill_disable 0\nunder_oom 0\noom_kill 1\n",
    )  # fmt: skip
    used = Gauge(tmp_path).read(("ws-a-k", "ws-a"))
    assert used == Use(4.5, 600, 1000, 8, (Hit("memory", 1), Hit("processes", 4)))


def test_gauge_reads_groups_of_version_2(tmp_path: Path) -> None:
    put(
        tmp_path / "shuzha/ws-a", cpu__stat="usage_usec 2500000\nuser_usec 1\n", memory__current="500",
        memory__max="max", memory__stat="inactive_file 100\n", memory__events="oom 0\noom_kill 0\n",
        pids__current="3", pids__events="max 0\n",
    )  # fmt: skip
    assert Gauge(tmp_path).read(("ws-a-k", "ws-a")) == Use(2.5, 400, None, 3, ())


def test_gauge_says_nothing_of_what_is_not_there(tmp_path: Path) -> None:
    assert Gauge(tmp_path).read(("ws-a",)) == Use()


def test_status_puts_note_count_and_measure_together(tmp_path: Path) -> None:
    put(
        tmp_path / f"memory/shuzha/ws-{tmp_path.name}-w-one",
        memory__usage_in_bytes="900",
        memory__events="oom_kill 2\n",
    )
    notes = Notes(tmp_path / "notes")
    notes.write("w-one", NOTE)
    said = StatusDesk(notes, Gauge(tmp_path), tmp_path).find("w-one", {"shown": 850, "budget": 1000, "state": "low"})
    assert (said["scenario"], said["days_left"], said["portal"]) == ("loan review", 9, NOTE.portal)
    assert said["screen"]["shown"] == 850
    assert (said["compute"]["memory_bytes"], said["compute"]["memory_limit"]) == (900, 2 * 1024**3)
    assert said["hits"] == [{"limit": "memory", "times": 2, "most": 2 * 1024**3}]
    assert said["exports"][0]["url"] == EXPORT.url
    json.dumps(said)


def test_status_without_a_note_says_what_the_gate_knows(tmp_path: Path) -> None:
    said = StatusDesk(Notes(tmp_path), Gauge(tmp_path), tmp_path).find(
        "w-one", {"shown": 1, "budget": 2, "state": "fine"}
    )
    assert (said["days_left"], said["exports"], said["hits"]) == (None, [], [])
    assert said["compute"]["memory_limit"] is None
