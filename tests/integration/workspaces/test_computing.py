"""What workspaces use is booked once whatever is killed; sessions end by their rules; an end is on record."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from sandbox.workspaces.compute_store import GIB
from sandbox.workspaces.computing import ComputeService
from sandbox.workspaces.hosting import Session
from sandbox.workspaces.model import Workspace, WorkspaceState
from sandbox.workspaces.sessions import IDLE, LONG, SessionKeeper, SessionRules
from shuzha.core.errors import NotFound, Unavailable
from shuzha.core.outbox import Follower
from shuzha.core.work import Event
from tests.integration.workspaces.test_service import ListingHost, Setting

HOUR = 3600.0


@dataclass
class Jailer:
    """What the jailer says: totals that only grow, or nothing."""

    epoch: str = "a"
    cpu: int = 0
    memory: int = 0
    storage: int = 0
    busy_at: float = 0.0
    hits: dict[str, int] = field(default_factory=dict)
    down: bool = False
    counts_cpu: bool = True

    def account(self, _name: str) -> dict[str, Any]:
        if self.down:
            raise Unavailable("the jailer does not answer")
        return {
            "account": {
                "epoch": self.epoch, "cpu_nanoseconds": self.cpu, "memory_byte_seconds": self.memory,
                "storage_byte_seconds": self.storage, "storage_bytes": 5000, "busy_at": self.busy_at,
                "hits": {"memory": 0, "processes": 0, "disk": 0} | self.hits, "ended_for": "",
            },
            "disk": None, "groups": {}, "limits": None, "counts_cpu": self.counts_cpu,
        }  # fmt: skip

    def describe(self) -> dict[str, list[str]]:
        return {"holds": ["memory is capped by a control group"], "cannot": []}

    def is_up(self) -> bool:
        return not self.down


class Room:
    """One open workspace and the books over it."""

    def __init__(self, folder: Path, host: ListingHost | None = None) -> None:
        self.setting = Setting(folder / "city", host)
        self.workspace: Workspace = self.setting.opened()
        self.jailer = Jailer()
        self.service = self.made()
        self.events: list[Event] = []

    def made(self) -> ComputeService:
        """Return the service as a worker that was started again has it."""
        city = self.setting.city
        return ComputeService(city.database, city.policies, self.jailer)

    def heard(self, tag: str) -> list[Event]:
        Follower(self.setting.city.database, {"*": [self.events.append]}, durable_name="test").step()
        return [one for one in self.events if one.tag == tag]

    def days(self) -> list[tuple[str, int, int, int]]:
        found = self.service.list_days(self.setting.city.regulator, self.workspace.id)
        return [(d.day, d.cpu_milliseconds, d.memory_byte_seconds, d.storage_byte_seconds) for d in found]


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room(tmp_path)


def test_use_is_booked_on_the_day_once_and_in_its_units(room: Room) -> None:
    room.jailer.cpu, room.jailer.memory, room.jailer.storage = 2_500_999_999, GIB * 1800, GIB * 43200
    assert room.service.read_accounts() == (room.workspace,)
    assert room.service.read_accounts() == ()
    room.jailer.cpu += 1
    room.made().read_accounts()
    (day,) = room.days()
    assert day[1:] == (2501, GIB * 1800, GIB * 43200)
    used = room.service.sum_authorization(room.setting.city.regulator, room.workspace.authorization)
    assert (used.cpu_seconds, used.memory_gib_hours, used.storage_gib_days) == (2.501, 0.5, 0.5)
    (month,) = room.service.list_month(room.setting.city.regulator, day[0][:7])
    assert (month.authorization, month.workspaces, month.used) == (room.workspace.authorization, 1, used)
    assert room.service.list_month(room.setting.city.regulator, "2001-01") == ()


def test_totals_that_fall_add_nothing_and_an_account_that_began_anew_counts_whole(room: Room) -> None:
    room.jailer.cpu = 5_000_000_000
    room.service.read_accounts()
    room.jailer.cpu = 3_000_000_000
    room.service.read_accounts()
    room.jailer.cpu = 6_000_000_000
    room.service.read_accounts()
    assert room.days()[0][1] == 6000
    room.jailer.epoch, room.jailer.cpu = "b", 1_000_000_000
    room.service.read_accounts()
    assert room.days()[0][1] == 7000


def test_a_day_is_told_once_when_it_is_over(room: Room) -> None:
    room.jailer.cpu = 1_000_000_000
    room.service.read_accounts()
    assert room.heard("compute:record") == []
    room.setting.city.clock.advance(dt.timedelta(days=1))
    room.jailer.cpu = 3_000_000_000
    room.service.read_accounts()
    room.made().read_accounts()
    (told,) = room.heard("compute:record")
    assert (told.data["cpu_milliseconds"], told.data["authorization"]) == (1000, room.workspace.authorization)
    assert [day[1] for day in room.days()] == [2000, 1000]


def test_a_jailer_that_is_away_is_asked_later_and_nothing_is_lost(room: Room) -> None:
    room.jailer.down = True
    assert room.service.read_accounts() == ()
    assert room.service.ask_now(room.workspace.name) is None
    room.jailer.down, room.jailer.cpu = False, 4_000_000_000
    room.service.read_accounts()
    assert room.days()[0][1] == 4000


def test_running_workspaces_are_listed_with_what_they_use_now(room: Room) -> None:
    authority = room.setting.city.authority
    assert room.service.describe_host() == {"holds": ["memory is capped by a control group"], "cannot": []}
    ((workspace, told),) = room.service.list_running(authority)
    assert workspace.id == room.workspace.id
    assert told is not None
    assert told["account"]["epoch"] == "a"
    assert room.service.list_running(room.setting.city.rival) == ()
    room.jailer.down = True
    assert room.service.describe_host() is None
    assert room.service.list_running(authority) == ((workspace, None),)


def test_a_limit_that_was_hit_is_on_record_and_shown(room: Room) -> None:
    room.jailer.hits = {"memory": 2}
    room.service.read_accounts()
    room.jailer.hits = {"memory": 2, "disk": 1}
    room.service.read_accounts()
    room.service.read_accounts()
    assert [event.data["hits"] for event in room.heard("workspace:limit")] == [{"memory": 2}, {"disk": 1}]
    hits = room.service.list_hits(room.setting.city.analyst, room.workspace.id)
    assert {one.limit: one.times for one in hits} == {"memory": 2, "disk": 1}


def test_others_see_nothing_of_it(room: Room) -> None:
    room.jailer.cpu = 1_000_000_000
    room.service.read_accounts()
    rival = room.setting.city.rival
    for look in (room.service.list_days, room.service.list_hits):
        with pytest.raises(NotFound):
            look(rival, room.workspace.id)
    day = room.days()[0][0]
    assert room.service.list_month(rival, day[:7]) == ()
    assert room.service.sum_authorization(rival, room.workspace.authorization).cpu_seconds == 0


def test_the_last_use_of_a_closed_workspace_is_booked_and_told_at_once(room: Room) -> None:
    room.jailer.cpu = 1_500_000_000
    room.setting.service.close_workspace(room.setting.city.authority, room.workspace.id, "done")
    (closed,) = room.heard("workspace:close")
    for _ in range(2):
        room.service.record_closed(closed)
    assert [event.data["cpu_milliseconds"] for event in room.heard("compute:record")] == [1500]


def test_what_a_closed_workspace_used_is_told_later_where_the_jailer_is_away(room: Room) -> None:
    room.jailer.cpu = 1_000_000_000
    room.service.read_accounts()
    room.setting.service.close_workspace(room.setting.city.authority, room.workspace.id, "done")
    (closed,) = room.heard("workspace:close")
    room.jailer.down, room.jailer.cpu = True, 1_700_000_000
    room.service.record_closed(closed)
    assert room.made().read_accounts() == ()
    assert room.heard("compute:record") == []
    room.jailer.down = False
    room.made().read_accounts()
    assert [event.data["cpu_milliseconds"] for event in room.heard("compute:record")] == [1700]


# --- sessions --------------------------------------------------------------------------------------------------------


class SessionsHost(ListingHost):
    """A host that knows when its servers were started and asked."""

    session: Session | None = Session(0.0, 0.0)

    def find_session(self, _workspace: Workspace) -> Session | None:
        return self.session


def session_room(folder: Path) -> tuple[Room, SessionsHost]:
    host = SessionsHost()
    return Room(folder, host), host


def keeper_of(room: Room, host: SessionsHost, rules: SessionRules) -> SessionKeeper:
    city = room.setting.city
    return SessionKeeper(city.database, room.setting.service, host, room.service.ask_now, rules, lambda: 100 * HOUR)


def test_session_goes_on_while_its_rules_let_it(tmp_path: Path) -> None:
    room, host = session_room(tmp_path)
    for rules, session, busy_at in (
        (SessionRules(0, 0), Session(0, 0), 0),
        (SessionRules(200, 30), Session(0, 99.9 * HOUR), 0),
        (SessionRules(200, 30), Session(99.9 * HOUR, 0), 0),
        (SessionRules(200, 30), Session(0, 0), 99.9 * HOUR),
        (SessionRules(2, 30), None, 0),
    ):
        host.session, room.jailer.busy_at = session, busy_at
        assert keeper_of(room, host, rules).end_due() == (), rules
    # Nobody can say what its kernels do.
    host.session, room.jailer.busy_at = Session(0, 0), 0
    for change in ({"down": True}, {"counts_cpu": False}):
        room.jailer = Jailer(**change)
        room.service = room.made()
        assert keeper_of(room, host, SessionRules(0, 30)).end_due() == ()


@pytest.mark.parametrize(
    ("rules", "asked", "reason"), [(SessionRules(2, 0), 100 * HOUR, LONG), (SessionRules(200, 30), 99 * HOUR, IDLE)]
)
def test_session_ends_by_its_rules_and_says_which(
    tmp_path: Path, rules: SessionRules, asked: float, reason: str
) -> None:
    room, host = session_room(tmp_path)
    host.session = Session(0, asked)
    keeper = keeper_of(room, host, rules)
    (ended,) = keeper.end_due()
    assert (ended.state, ended.id, ended.reason) == (WorkspaceState.STOPPED, room.workspace.id, reason)
    assert keeper.end_due() == ()


# --- the end ---------------------------------------------------------------------------------------------------------


def test_closing_leaves_a_record_of_what_was_destroyed(room: Room) -> None:
    authority = room.setting.city.authority
    room.setting.service.close_workspace(authority, room.workspace.id, "the project is over")
    (destroyed,) = room.heard("workspace:destroy")
    assert destroyed.approver == authority.id
    assert destroyed.data["reason"] == "the project is over"
    assert destroyed.data["own_files"] == "none"
    assert destroyed.data["home"] == {"home": True, "bytes": 4096, "method": "folder removed"}
    (release,) = destroyed.data["unmounted"]
    assert release["release"] == room.workspace.releases[0]
    assert len(release["sha256"]) == 64


def test_end_of_a_grant_closes_its_workspaces_and_destroys_releases_and_key(room: Room) -> None:
    city = room.setting.city
    key = (room.workspace.authorization, room.workspace.demand)
    assert city.keys.scenario_key(*key, "release")
    city.service.close_demand(city.authority, room.workspace.demand, "the scenario is done")
    (closed,) = room.heard("grant:close")
    for _ in range(2):
        room.setting.service.close_of_grant(closed)
    city.releases.destroy_all(city.platform, closed.subject, "the grant ended")
    workspace = room.setting.service.get_workspace(city.authority, room.workspace.id)
    assert workspace.state is WorkspaceState.CLOSED
    assert len(room.heard("workspace:destroy")) == 1
    (gone,) = room.heard("release:destroy")
    assert gone.data["key_destroyed"]
    with pytest.raises(NotFound, match="destroyed"):
        city.keys.scenario_key(*key, "release")


def test_workspace_of_an_ended_grant_is_closed_once_its_hub_answers(room: Room, monkeypatch: Any) -> None:
    city, service = room.setting.city, room.setting.service

    def refuse(_workspace: Workspace) -> None:
        raise Unavailable("the hub does not answer")

    city.service.close_demand(city.authority, room.workspace.demand, "the scenario is done")
    (closed,) = room.heard("grant:close")
    with monkeypatch.context() as away:
        away.setattr(room.setting.host, "stop", refuse)
        service.close_of_grant(closed)
        city.policies.forget(room.workspace.grant)
        assert [one.state for one in service.reconcile()] == [WorkspaceState.SUSPENDED]
        assert service.reconcile() == ()
    assert [one.state for one in service.reconcile()] == [WorkspaceState.CLOSED]
    assert len(room.heard("workspace:destroy")) == 1
