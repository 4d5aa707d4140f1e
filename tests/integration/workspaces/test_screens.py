"""Screen budgets as decisions on record, and what was shown kept as usage records in tables and audit events."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from sandbox.workspaces.gate.meter import Meter
from sandbox.workspaces.model import Workspace
from sandbox.workspaces.records.controls import ControlsWriter, FileControls
from sandbox.workspaces.records.hub_settings import HubSettings
from sandbox.workspaces.screen_files import ScreenFiles
from sandbox.workspaces.screens import MOST_BUDGET, ScreenService
from shuzha.core.errors import Invalid, NotAllowed, NotFound
from shuzha.core.outbox import Follower
from shuzha.core.work import Event
from tests.integration.workspaces.test_service import Setting

DEFAULT = 1_000_000


class Files(ScreenFiles):
    """The gate's files, on a day that the test says."""

    day = "2026-03-02"

    def today(self) -> str:
        return self.day


class Room:
    """One open workspace, the gate's files beside it, and the service over both."""

    def __init__(self, folder: Path) -> None:
        self.setting = Setting(folder / "city")
        self.workspace: Workspace = self.setting.opened()
        self.path = folder / "gate"
        settings = SimpleNamespace(
            usage=self.path / "usage.db", controls=self.path / "controls.json", screen_budget=DEFAULT
        )
        ControlsWriter(settings.controls).start()
        self.files = Files(cast("HubSettings", settings))
        city = self.setting.city
        self.service = ScreenService(city.database, city.policies, self.files)
        self.events: list[Event] = []

    def show(self, day: str, **classes: int) -> None:
        meter = Meter(self.path / "usage.db", default_budget=DEFAULT, day=lambda: day)
        for traffic, size in classes.items():
            meter.add(self.workspace.name, traffic, shown=size, received=1, messages=2)
        meter.close()

    def heard(self, tag: str) -> list[Event]:
        Follower(self.setting.city.database, {"*": [self.events.append]}, durable_name="test").step()
        return [one for one in self.events if one.tag == tag]

    def ordered(self, day: str) -> int | None:
        return FileControls(self.path / "controls.json").read().budget_of(self.workspace.name, day)


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room(tmp_path)


def test_authority_raises_the_budget_for_today_and_lastingly(room: Room) -> None:
    city, one = room.setting.city, room.workspace.id
    made = room.service.set_budget(city.authority, one, 5_000_000, "a large figure is wanted")
    assert (made.before, made.day) == (DEFAULT, "2026-03-02")
    assert (room.ordered("2026-03-02"), room.ordered("2026-03-03")) == (5_000_000, None)
    room.service.set_budget(city.authority, one, 2_000_000, "from now on", lasting=True)
    assert (room.ordered("2026-03-02"), room.ordered("2026-03-03")) == (2_000_000, 2_000_000)
    (first, second) = room.heard("workspace:budget")
    assert first.approver == city.authority.id
    assert (first.data["budget"], first.data["reason"]) == (5_000_000, "a large figure is wanted")
    assert second.data["day"] == ""
    decisions = room.service.list_budgets(city.regulator, one)
    assert [(d.budget, d.reason) for d in decisions] == [
        (2_000_000, "from now on"), (5_000_000, "a large figure is wanted"),
    ]  # fmt: skip


def test_nobody_else_raises_it_and_not_without_a_reason_or_bound(room: Room) -> None:
    city, one = room.setting.city, room.workspace.id
    for actor in (city.analyst, city.operator, city.regulator):
        with pytest.raises(NotAllowed):
            room.service.set_budget(actor, one, 5_000_000, "mine")
        assert not room.service.may_set(actor, room.workspace)
    for budget, reason in ((-1, "why"), (MOST_BUDGET + 1, "why"), (5, "  ")):
        with pytest.raises(Invalid):
            room.service.set_budget(city.authority, one, budget, reason)
    assert room.service.may_set(city.authority, room.workspace)
    assert room.ordered("2026-03-02") is None
    room.setting.service.close_workspace(city.analyst, one, "done")
    with pytest.raises(Invalid, match="closed"):
        room.service.set_budget(city.authority, one, 5, "why")


def test_order_that_a_fault_lost_is_written_again_from_the_record(room: Room) -> None:
    city, one = room.setting.city, room.workspace.id
    room.service.set_budget(city.authority, one, 3_000_000, "lasting", lasting=True)
    room.service.set_budget(city.authority, one, 9_000_000, "today")
    (room.path / "controls.json").unlink()
    room.service.restore_orders()
    assert (room.ordered("2026-03-02"), room.ordered("2026-03-03")) == (9_000_000, 3_000_000)
    room.files.day = "2026-03-03"
    (room.path / "controls.json").unlink()
    room.service.restore_orders()
    assert room.ordered("2026-03-03") == 3_000_000


def test_standing_is_seen_by_class_and_by_those_who_may(room: Room) -> None:
    city, one = room.setting.city, room.workspace.id
    room.show("2026-03-02", kernelws=600_000, contents=250_000)
    for actor in (city.analyst, city.operator, city.authority, city.regulator):
        standing = room.service.get_standing(actor, one)
        assert (standing.shown, standing.left, standing.state) == (850_000, 150_000, "low")
        assert standing.classes["contents"].shown == 250_000
    with pytest.raises(NotFound):
        room.service.get_standing(city.rival, one)


def test_day_that_is_over_becomes_a_record_and_an_event_once(room: Room) -> None:
    city = room.setting.city
    room.show("2026-03-01", kernelws=700, http=50)
    room.show("2026-03-02", kernelws=5)
    (kept,) = room.service.record_due()
    assert (kept.day, kept.shown, kept.budget) == ("2026-03-01", 750, DEFAULT)
    assert [(one.traffic, one.shown, one.messages) for one in kept.classes] == [("http", 50, 2), ("kernelws", 700, 2)]
    assert room.service.record_due() == ()
    again = ScreenService(city.database, city.policies, room.files)
    assert again.record_due() == (), "a restarted worker keeps it no second time"
    (event,) = room.heard("screen:record")
    assert event.data["classes"] == {"http": [50, 1, 2], "kernelws": [700, 1, 2]}
    assert event.data["authorization"] == room.workspace.authorization
    assert [one.day for one in room.service.list_days(city.regulator, room.workspace.id)] == ["2026-03-01"]
    room.files.day = "2026-03-03"
    assert [one.day for one in room.service.record_due()] == ["2026-03-02"]


def test_record_outlives_the_workspace_and_the_gates_file(room: Room) -> None:
    city = room.setting.city
    room.show("2026-03-02", kernelws=700)
    room.setting.service.close_workspace(city.analyst, room.workspace.id, "done")
    (closed,) = room.heard("workspace:close")
    room.service.record_closed(closed)
    room.service.record_closed(closed)
    (room.path / "usage.db").unlink()
    room.files.day = "2026-03-03"
    (kept,) = room.service.list_days(city.regulator, room.workspace.id)
    assert (kept.day, kept.shown) == ("2026-03-02", 700)
    assert len(room.heard("screen:record")) == 1


def test_what_was_counted_after_the_close_is_added_at_midnight(room: Room) -> None:
    city = room.setting.city
    room.show("2026-03-02", kernelws=700)
    room.service.set_budget(city.authority, room.workspace.id, 3_000_000, "lasting", lasting=True)
    room.setting.service.close_workspace(city.analyst, room.workspace.id, "done")
    room.service.record_closed(room.heard("workspace:close")[0])
    assert room.ordered("2026-03-02") is None, "no order about it stays with the gate"
    room.show("2026-03-02", kernelws=20)
    room.files.day = "2026-03-03"
    assert [(one.shown, one.budget) for one in room.service.record_due()] == [(720, 3_000_000)]
    assert [one.data["shown"] for one in room.heard("screen:record")] == [700, 720]
