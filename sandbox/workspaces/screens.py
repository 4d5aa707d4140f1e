"""The verbs on screen budgets and the usage record of screens: see, raise or lower, and keep what was shown.

The gate counts; this writes its counts into the platform's records and its audit log, where they outlive gate and
workspace. Nobody is charged for them, so they are no events of the usage log: what a screen shows is oversight's.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import replace

from policies import Context, Policies
from sandbox.workspaces.gate.meter import Count
from sandbox.workspaces.gate.screen import Standing
from sandbox.workspaces.model import Workspace, WorkspaceState
from sandbox.workspaces.screen_files import ScreenFiles
from sandbox.workspaces.screen_store import (
    SCREEN_BUDGETS,
    SCREEN_DAYS,
    ClassCount,
    ScreenBudget,
    ScreenDay,
    find_day,
)
from sandbox.workspaces.service import workspace_resource
from sandbox.workspaces.store import WORKSPACES, find_by_name
from shuzha.core.actor import Actor, platform_actor
from shuzha.core.errors import Invalid, NotFound
from shuzha.core.ids import new_id
from shuzha.core.work import Database, Event, Work

MOST_BUDGET = 64 * 1024**3
RULE = "workspace.screen_budget"


class ScreenService:
    """The screens of one installation's workspaces; `files` are the gate's."""

    def __init__(self, database: Database, policies: Policies, files: ScreenFiles) -> None:
        self._database = database
        self._policies = policies
        self._files = files
        self._recorded_before = ""

    def get_standing(self, actor: Actor, workspace_id: str) -> Standing:
        """Return how a workspace stands with today's screen budget; NotFound for one that the actor may not see."""
        return self._files.standing(self._seen(actor, workspace_id).name)

    def list_days(self, actor: Actor, workspace_id: str) -> tuple[ScreenDay, ...]:
        """Return what a workspace showed on each day before today, newest first."""
        workspace, today = self._seen(actor, workspace_id), self._files.today()
        with self._database.read() as work:
            days = [one for one in work.list(SCREEN_DAYS, workspace=workspace.id) if one.day != today]
        return tuple(sorted(days, key=lambda one: one.day, reverse=True))

    def list_budgets(self, actor: Actor, workspace_id: str) -> tuple[ScreenBudget, ...]:
        """Return the decisions on a workspace's screen budget, newest first."""
        workspace = self._seen(actor, workspace_id)
        with self._database.read() as work:
            return work.list(SCREEN_BUDGETS, workspace=workspace.id, newest_first=True)

    def may_set(self, actor: Actor, workspace: Workspace) -> bool:
        """Return whether a page offers the form to this person."""
        if workspace.state is WorkspaceState.CLOSED:
            return False
        at = Context(at=self._database.clock.now())
        return self._policies.can(actor, "workspace:budget", workspace_resource(workspace), at)

    def set_budget(
        self, actor: Actor, workspace_id: str, budget: int, reason: str, *, lasting: bool = False
    ) -> ScreenBudget:
        """Return the decision, which the gate obeys within a second: for today, or lastingly.

        Refuses a closed workspace, a decision without a reason, and more than MOST_BUDGET bytes a day.
        """
        if not 0 <= budget <= MOST_BUDGET:
            raise Invalid(
                f"cannot set a screen budget of {budget} bytes a day", rule=RULE,
                accepted=f"0 to {MOST_BUDGET} bytes",
            )  # fmt: skip
        if not reason.strip():
            raise Invalid("a decision without a reason", rule="decision.reason", accepted="a sentence that says why")
        with self._database.work(actor) as work:
            workspace = work.get(WORKSPACES, workspace_id)
            self._policies.check(actor, "workspace:budget", workspace_resource(workspace), Context(at=work.now()))
            if workspace.state is WorkspaceState.CLOSED:
                raise Invalid(
                    f"workspace {workspace.id} is closed", rule=RULE, accepted="a workspace that is not closed"
                )
            today = self._files.today()
            before, day = self._files.budget(workspace.name, today), "" if lasting else today
            made = ScreenBudget(new_id("scb"), workspace.id, budget, before, day, actor.id, work.now(), reason)
            work.add(SCREEN_BUDGETS, made)
            data = {
                "workspace": workspace.id, "authorization": workspace.authorization, "operator": workspace.operator,
                "budget": budget, "before": before, "day": day, "reason": reason,
            }  # fmt: skip
            work.emit("workspace:budget", workspace.id, "screen budget set", data=data, approver=actor.id)
            if budget < before:
                # What takes away is done first; what gives waits until it is on record.
                self._files.set_budget(workspace.name, budget, day)
        self._files.set_budget(workspace.name, budget, day)
        return made

    def restore_orders(self) -> None:
        """Write the budgets in force into the gate's orders again: after a fault between record and order."""
        today = self._files.today()
        with self._database.read() as work:
            decisions = work.list(SCREEN_BUDGETS)
            names = {one.id: one.name for one in work.list(WORKSPACES) if one.state is not WorkspaceState.CLOSED}
        latest: dict[str, dict[str, ScreenBudget]] = {}
        for one in decisions:
            if one.day == "":
                latest[one.workspace] = {"": one}
            elif one.day == today:
                latest.setdefault(one.workspace, {})[today] = one
        for workspace, parts in latest.items():
            if workspace in names:
                for day, one in sorted(parts.items()):
                    self._files.set_budget(names[workspace], one.budget, day)

    def record_due(self) -> tuple[ScreenDay, ...]:
        """Keep what was shown on the days that are over, and return what was new; costs nothing until midnight."""
        today = self._files.today()
        if self._recorded_before == today:
            return ()
        found = self._files.days(since=self._recorded_before)
        made = [
            kept
            for (name, day), counts in found.items()
            if day < today and (kept := self._record(name, day, counts)) is not None
        ]
        self._recorded_before = today
        return tuple(made)

    def record_closed(self, event: Event) -> None:
        """Keep all that a closed workspace has shown, today too; a handler of the outbox, which bears a repeat."""
        with self._database.read() as work:
            workspace = work.find(WORKSPACES, event.subject)
        if workspace is not None:
            for (name, day), counts in self._files.days(workspace.name).items():
                self._record(name, day, counts)
            self._files.forget(workspace.name)

    def _record(self, name: str, day: str, counts: Mapping[str, Count]) -> ScreenDay | None:
        """Return the record as it was kept now; None where it was kept before, or is of no workspace on record."""
        with self._database.work(platform_actor("screen-record")) as work:
            workspace = find_by_name(work, name)
            if workspace is None:
                return None
            fresh = self._day(workspace, day, counts, work.now())
            found = find_day(work, workspace.id, day)
            if found is None:
                kept = work.add(SCREEN_DAYS, fresh)
            elif found.classes == fresh.classes:
                return None
            else:
                # The budget stays that of the first record: a closed workspace has none any more.
                again = replace(fresh, id=found.id, budget=found.budget, revision=found.revision)
                kept = work.save(SCREEN_DAYS, again)
            _emit(work, kept)
        return kept

    def _day(self, workspace: Workspace, day: str, counts: Mapping[str, Count], at: dt.datetime) -> ScreenDay:
        classes = tuple(
            ClassCount(name, count.shown, count.received, count.messages) for name, count in sorted(counts.items())
        )
        return ScreenDay(
            id=new_id("scr"), workspace=workspace.id, author=workspace.author, operator=workspace.operator,
            authorization=workspace.authorization, grant=workspace.grant, day=day,
            budget=self._files.budget(workspace.name, day), shown=sum(one.shown for one in classes), classes=classes,
            recorded_at=at,
        )  # fmt: skip

    def _seen(self, actor: Actor, workspace_id: str) -> Workspace:
        with self._database.read() as work:
            workspace, now = work.get(WORKSPACES, workspace_id), work.now()
        if not self._policies.can(actor, "workspace:view", workspace_resource(workspace), Context(at=now)):
            raise NotFound(f"no workspaces with id {workspace_id}")
        return workspace


def _emit(work: Work, kept: ScreenDay) -> None:
    data = {
        "workspace": kept.workspace, "authorization": kept.authorization, "operator": kept.operator,
        "grant": kept.grant, "author": kept.author, "day": kept.day, "budget": kept.budget, "shown": kept.shown,
        "classes": {one.traffic: [one.shown, one.received, one.messages] for one in kept.classes},
    }  # fmt: skip
    work.emit("screen:record", kept.workspace, f"shown on screens on {kept.day}", data=data, medium="workspace")
