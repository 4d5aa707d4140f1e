"""The verbs on workspaces over real records, grants and releases; the host is one that lists what it was asked."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import replace
from pathlib import Path

import pytest

from sandbox.workspaces.model import WORKSPACE, Workspace, WorkspaceState
from sandbox.workspaces.records.specs import FIRST_UID, GrantedRelease
from sandbox.workspaces.service import FOLLOWED_TAGS, JOBS, WorkspaceService
from sandbox.workspaces.verbs import WorkspaceVerbs
from shuzha.authorization.model import Demand, Grant
from shuzha.authorization.service import GrantScopes
from shuzha.core.actor import Actor
from shuzha.core.errors import Invalid, NotAllowed, NotFound, TransitionNotAllowed, Unavailable
from shuzha.core.outbox import Follower
from shuzha.people.model import Account, AccountState
from shuzha.people.staff_service import Staff
from shuzha.people.store import ACCOUNTS
from tests.releases_kit import ReleaseCity
from tests.staff_kit import ADMINISTRATOR, AUTHORITY, PROOF, identity_number, make_ready, train

S = WorkspaceState


class ListingHost:
    """A host that does nothing and lists what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, ...]] = []
        self.ended: set[str] = set()
        self.mounts: tuple[GrantedRelease, ...] = ()

    def prepare(self, workspace: Workspace, releases: tuple[GrantedRelease, ...]) -> None:
        self.asked.append(("prepare", workspace.name))
        self.mounts = releases

    def start(self, workspace: Workspace) -> None:
        self.asked.append(("start", workspace.name))

    def stop(self, workspace: Workspace) -> None:
        self.asked.append(("stop", workspace.name))

    def has_ended(self, workspace: Workspace) -> bool:
        return workspace.name in self.ended

    def why_ended(self, workspace: Workspace) -> str:
        return ""

    def hold(self, workspace: Workspace, reason: str) -> None:
        self.asked.append(("hold", workspace.name, reason))

    def release(self, workspace: Workspace) -> None:
        self.asked.append(("release", workspace.name))

    def destroy(self, workspace: Workspace) -> dict[str, object]:
        self.asked.append(("destroy", workspace.name))
        return {"home": True, "bytes": 4096, "method": "folder removed"}

    def read_notebook(self, workspace: Workspace, name: str) -> bytes:
        return b"{}"

    def screen_bytes(self, workspace: Workspace) -> dict[str, int]:
        return {}

    def screen_budget(self, workspace: Workspace) -> int:
        return 1000


class HubIsDown(ListingHost):
    """A host whose hub does not answer."""

    def start(self, workspace: Workspace) -> None:
        raise Unavailable("the hub does not answer")

    def stop(self, workspace: Workspace) -> None:
        raise Unavailable("the hub does not answer")


class Setting:
    """A city with one granted demand, one built release and the service of workspaces."""

    def __init__(self, folder: Path, host: ListingHost | None = None) -> None:
        self.city = ReleaseCity(folder)
        self.host = host or ListingHost()
        for actor in (self.city.analyst, self.city.rival, self.city.operator):
            self._add_account(actor)
        self.entry = self.city.filled()
        self.authorization = self.city.authorize(self.entry)
        self.grant: Grant = self.city.grant(self.authorization, self.entry)
        self.demand: Demand = self.city.service.get_demand(self.city.analyst, self.grant.demand)
        self.service = WorkspaceService(
            self.city.database, self.city.policies, GrantScopes(self.city.database), self.host, self.city.releases.path
        )

    def _add_account(self, actor: Actor) -> None:
        account = Account(
            actor.id, actor.name, f"u-{actor.name}", actor.name, actor.organisation, actor.roles, "",
            AccountState.ACTIVE,
            self.city.clock.now(),
        )  # fmt: skip
        with self.city.database.work(self.city.platform) as work:
            work.add(ACCOUNTS, account)
        self.staff = Staff(self.city.database, self.city.policies, self.city.law, b"identities")
        make_ready(self.staff, self.city.database, actor.id)

    def change_account(self, actor: Actor, tag: str, changes: dict[str, object]) -> None:
        with self.city.database.work(self.city.platform) as work:
            work.save(ACCOUNTS, replace(work.get(ACCOUNTS, actor.id), **changes))  # type: ignore[arg-type]
            work.emit(tag, actor.id, "changed")

    def opened(self) -> Workspace:
        self.city.built(self.grant)
        workspace = self.service.open_workspace(self.city.analyst, self.demand.id)
        return self.service.run_start(workspace.id)

    def deliver(self) -> None:
        """Let the workspaces hear what the records say, as the worker does."""
        handlers = {tag: [self.forget, self.service.follow] for tag in FOLLOWED_TAGS}
        Follower(self.city.database, handlers, durable_name="workspaces").step()

    def forget(self, event: object) -> None:
        self.city.policies.forget(self.grant.id)


@pytest.fixture
def setting(tmp_path: Path) -> Setting:
    return Setting(tmp_path)


def test_open_mounts_exactly_the_granted_release(setting: Setting) -> None:
    workspace = setting.opened()
    assert workspace.state is S.OPEN
    assert [mount.name for mount in setting.host.mounts] == ["social_insurance"]
    assert (setting.host.mounts[0].path / "data.parquet").exists()
    assert workspace.uid >= FIRST_UID
    assert workspace.handle == "u-zhao"
    assert workspace.name.startswith("w-")
    assert len(workspace.name) <= 30


def test_open_again_gives_the_same_workspace(setting: Setting) -> None:
    workspace = setting.opened()
    assert setting.service.open_workspace(setting.city.analyst, setting.demand.id).id == workspace.id


def test_open_refuses_a_demand_without_a_ready_release(setting: Setting) -> None:
    with pytest.raises(Invalid, match="no ready release"):
        setting.service.open_workspace(setting.city.analyst, setting.demand.id)
    assert setting.service.list_workspaces(setting.city.analyst) == ()


def test_open_refuses_another_organisation(setting: Setting) -> None:
    setting.city.built(setting.grant)
    with pytest.raises(NotAllowed):
        setting.service.open_workspace(setting.city.rival, setting.demand.id)


def test_open_refuses_a_demand_that_is_not_granted(setting: Setting) -> None:
    demand = setting.city.demand(setting.authorization, setting.entry)
    with pytest.raises(Invalid, match="accepted: a granted demand"):
        setting.service.open_workspace(setting.city.analyst, demand.id)


def test_open_refuses_after_the_term(setting: Setting) -> None:
    setting.city.built(setting.grant)
    setting.city.clock.advance(dt.timedelta(days=400))
    with pytest.raises(NotAllowed):
        setting.service.open_workspace(setting.city.analyst, setting.demand.id)


def test_start_that_fails_leaves_a_stopped_workspace_with_the_reason(tmp_path: Path) -> None:
    setting = Setting(tmp_path, HubIsDown())
    setting.city.built(setting.grant)
    workspace = setting.service.open_workspace(setting.city.analyst, setting.demand.id)
    with pytest.raises(Unavailable):
        setting.service.run_start(workspace.id)
    found = setting.service.get_workspace(setting.city.analyst, workspace.id)
    assert (found.state, "does not answer" in found.reason) == (S.STOPPED, True)
    assert setting.service.open_workspace(setting.city.analyst, setting.demand.id).state is S.OPENING


def test_authorization_suspended_holds_its_workspaces_and_says_why(setting: Setting) -> None:
    workspace = setting.opened()
    setting.city.service.suspend(setting.city.authority, setting.authorization.id, "a complaint is looked into")
    setting.deliver()
    found = setting.service.get_workspace(setting.city.analyst, workspace.id)
    assert found.state is S.SUSPENDED
    assert "a complaint is looked into" in found.reason
    holds = [asked for asked in setting.host.asked if asked[0] == "hold"]
    assert len(holds) == 1
    assert "a complaint is looked into" in holds[0][2]
    with pytest.raises((NotAllowed, TransitionNotAllowed)):
        setting.service.open_workspace(setting.city.analyst, setting.demand.id)


def test_authorization_restored_gives_its_workspaces_back(setting: Setting) -> None:
    workspace = setting.opened()
    setting.city.service.suspend(setting.city.authority, setting.authorization.id, "a complaint is looked into")
    setting.deliver()
    setting.city.service.restore(setting.city.authority, setting.authorization.id, "nothing was found")
    setting.deliver()
    found = setting.service.get_workspace(setting.city.analyst, workspace.id)
    assert found.state is S.STOPPED
    assert setting.host.asked[-2:] == [("stop", workspace.name), ("release", workspace.name)]
    assert setting.service.open_workspace(setting.city.analyst, setting.demand.id).state is S.OPENING


def test_workspace_suspended_by_a_person_is_not_given_back_by_the_clock(setting: Setting) -> None:
    workspace = setting.opened()
    setting.service.suspend_workspace(setting.city.authority, workspace.id, "odd printing at night")
    assert setting.service.reconcile() == ()
    assert setting.service.get_workspace(setting.city.analyst, workspace.id).state is S.SUSPENDED


def test_term_that_ends_suspends(setting: Setting) -> None:
    workspace = setting.opened()
    setting.city.clock.advance(dt.timedelta(days=200))
    setting.city.policies.forget(setting.grant.id)
    changed = setting.service.reconcile()
    assert [one.id for one in changed] == [workspace.id]
    assert "term" in changed[0].reason


@pytest.mark.parametrize(
    ("tag", "lost", "back"),
    [
        ("account:suspend", {"state": AccountState.SUSPENDED}, {"state": AccountState.ACTIVE}),
        ("account:change", {"roles": frozenset({"operator"})}, {"roles": frozenset({"analyst"})}),
    ],
)
def test_workspace_of_an_analyst_who_may_not_work_any_more_is_suspended(
    setting: Setting, tag: str, lost: dict[str, object], back: dict[str, object]
) -> None:
    workspace = setting.opened()
    setting.deliver()
    setting.change_account(setting.city.analyst, tag, lost)
    setting.deliver()
    held = setting.service.get_workspace(setting.city.authority, workspace.id)
    assert held.state is S.SUSPENDED
    assert ("hold", workspace.name, held.reason) in setting.host.asked
    setting.change_account(setting.city.analyst, tag, back)
    setting.deliver()
    assert setting.service.get_workspace(setting.city.authority, workspace.id).state is S.STOPPED


def test_hold_comes_before_the_record_so_that_a_fault_leaves_it_closed(tmp_path: Path) -> None:
    setting = Setting(tmp_path, HubIsDown())
    setting.city.built(setting.grant)
    workspace = setting.service.open_workspace(setting.city.analyst, setting.demand.id)
    suspended = setting.service.suspend_workspace(setting.city.authority, workspace.id, "at once")
    assert suspended.state is S.SUSPENDED
    assert ("hold", workspace.name, "at once") in setting.host.asked


def test_suspend_refuses_the_analyst_and_a_decision_without_reason(setting: Setting) -> None:
    workspace = setting.opened()
    with pytest.raises(NotAllowed):
        setting.service.suspend_workspace(setting.city.analyst, workspace.id, "my own")
    with pytest.raises(Invalid, match="reason"):
        setting.service.suspend_workspace(setting.city.authority, workspace.id, "  ")


def test_close_destroys_the_home_and_is_final(setting: Setting) -> None:
    workspace = setting.opened()
    closed = setting.service.close_workspace(setting.city.analyst, workspace.id, "the scenario is done")
    assert closed.state is S.CLOSED
    assert [asked[0] for asked in setting.host.asked[-3:]] == ["hold", "stop", "destroy"]
    with pytest.raises(TransitionNotAllowed):
        setting.service.close_workspace(setting.city.analyst, workspace.id, "again")
    fresh = setting.service.open_workspace(setting.city.analyst, setting.demand.id)
    assert fresh.id != workspace.id
    assert fresh.uid != workspace.uid


def test_workspace_of_another_unit_does_not_exist_for_a_rival(setting: Setting) -> None:
    workspace = setting.opened()
    with pytest.raises(NotFound):
        setting.service.get_workspace(setting.city.rival, workspace.id)
    assert setting.service.list_workspaces(setting.city.rival) == ()
    assert setting.service.list_workspaces(setting.city.authority)[0].id == workspace.id


def test_every_verb_is_an_event_and_the_jobs_follow_real_ones(setting: Setting) -> None:
    workspace = setting.opened()
    tags = [event.tag for event in setting.city.database.events_after(0) if event.subject == workspace.id]
    assert tags == ["workspace:request", "workspace:open", "workspace:start"]
    assert set(JOBS) <= {f"workspace:{move.verb}" for move in WORKSPACE.moves}


class Silent:
    """An answer desk without a budget."""

    def answer(self, workspace: Workspace, entry: str, query: dict[str, object]) -> dict[str, object]:
        raise NotAllowed("no privacy budget")

    def budget(self, workspace: Workspace) -> dict[str, object]:
        return {"set": False}


class Shut:
    """An export desk that takes nothing."""

    def check_specification(self, workspace: Workspace, specification: dict[str, object]) -> dict[str, object]:
        return {"verdict": "pass"}

    def submit_notebook(
        self, workspace: Workspace, name: str, notebook: bytes, outputs: dict[str, str], context: str
    ) -> dict[str, object]:
        raise Invalid("the desk is shut")

    def list_requests(self, workspace: Workspace) -> list[dict[str, object]]:
        return []


def test_socket_answers_from_the_records_while_the_workspace_is_open(setting: Setting) -> None:
    workspace = setting.opened()
    verbs = WorkspaceVerbs(setting.city.database, setting.city.policies, setting.host, Shut(), Silent())
    assert verbs.sockets() == {workspace.name: workspace.uid}
    granted = verbs.datasets(workspace.name)[0]
    assert granted["name"] == "social_insurance"
    assert granted["title"]["zh"]
    assert [one["name"] for one in granted["elements"]] == granted["columns"], "no column that was not granted"
    assert verbs.status(workspace.name)["state"] == "open"
    assert verbs.budget(workspace.name)["screen_bytes_left"] == 1000
    json.dumps([verbs.datasets(workspace.name), verbs.status(workspace.name), verbs.budget(workspace.name)])
    with pytest.raises(NotFound):
        verbs.status("w-unknown")
    setting.service.suspend_workspace(setting.city.authority, workspace.id, "held")
    with pytest.raises(NotAllowed, match="held"):
        verbs.datasets(workspace.name)
    for ask in (lambda: verbs.budget(workspace.name), lambda: verbs.dp(workspace.name, "social_insurance", {})):
        with pytest.raises(NotAllowed, match="held"):
            ask()
    assert verbs.sockets() == {}


def test_reconcile_stops_an_open_workspace_whose_server_has_ended(setting: Setting) -> None:
    workspace = setting.opened()
    assert setting.service.reconcile() == ()
    setting.host.ended.add(workspace.name)
    (changed,) = setting.service.reconcile()
    assert (changed.state, changed.reason) == (S.STOPPED, "its server has ended")
    assert setting.service.reconcile() == ()
    assert setting.service.open_workspace(setting.city.analyst, setting.demand.id).state is S.OPENING


def test_open_refuses_who_was_not_checked_or_not_trained_before_the_job(setting: Setting) -> None:
    city = setting.city
    city.built(setting.grant)
    novice = replace(city.analyst, id="acc_novice", name="novice")
    account = Account(
        novice.id, "novice", "u-novice", "novice", novice.organisation, novice.roles, "", AccountState.ACTIVE,
        city.clock.now(),
    )  # fmt: skip
    with city.database.work(city.platform) as work:
        work.add(ACCOUNTS, account)
    with pytest.raises(NotAllowed, match="no checked person"):
        setting.service.open_workspace(novice, setting.demand.id)
    setting.staff.identify(ADMINISTRATOR, novice.id, "novice", identity_number())
    made = setting.staff.record_training(city.operator, novice.id, "pre-job", PROOF, city.today)
    with pytest.raises(NotAllowed, match="is recorded") as refused:
        setting.service.open_workspace(novice, setting.demand.id)
    assert refused.value.rule == "J23 art. 12(4)"
    setting.staff.confirm_training(AUTHORITY, made.id, "seen")
    assert setting.service.open_workspace(novice, setting.demand.id).state is S.OPENING


def test_a_revoked_training_holds_its_persons_workspace_until_he_is_trained_again(setting: Setting) -> None:
    workspace = setting.opened()
    first = setting.staff.list_trainings(setting.city.analyst, account=setting.city.analyst.id)[0]
    setting.staff.revoke_training(AUTHORITY, first.id, "the paper was forged")
    setting.deliver()
    held = setting.service.get_workspace(setting.city.analyst, workspace.id)
    assert (held.state, held.cause) == (S.SUSPENDED, "scope")
    assert "is revoked" in held.reason
    train(setting.staff, setting.city.database, setting.city.analyst.id)
    setting.deliver()
    assert setting.service.get_workspace(setting.city.analyst, workspace.id).state is S.STOPPED


def test_a_training_that_runs_out_holds_the_workspace_at_the_edge(setting: Setting) -> None:
    city, clock = setting.city, setting.city.clock
    (first,) = setting.staff.list_trainings(city.analyst, account=city.analyst.id)
    setting.staff.revoke_training(AUTHORITY, first.id, "trained longer ago than was said")
    short = train(setting.staff, city.database, city.analyst.id, city.today - dt.timedelta(days=355))
    workspace = setting.opened()
    clock.advance(short.valid_until - clock.now() - dt.timedelta(seconds=1))
    assert setting.service.reconcile() == ()
    clock.advance(dt.timedelta(seconds=1))
    (held,) = setting.service.reconcile()
    assert (held.id, held.state) == (workspace.id, S.SUSPENDED)
    assert "out of date" in held.reason


def test_a_socket_refuses_at_once_when_the_grant_is_held_before_the_workspace_follows(setting: Setting) -> None:
    workspace = setting.opened()
    verbs = WorkspaceVerbs(setting.city.database, setting.city.policies, setting.host, Shut(), Silent())
    assert verbs.datasets(workspace.name)
    setting.city.service.suspend_grant(setting.city.authority, setting.grant.id, "a complaint")
    setting.forget(None)
    for ask in (verbs.datasets, verbs.status, verbs.budget):
        with pytest.raises(NotAllowed, match="a complaint"):
            ask(workspace.name)
