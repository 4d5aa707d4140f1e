"""The verbs on computing: read the jailer's accounts into days, and show what workspaces used and ran into.

The jailer's totals only grow, and how far they have been read is kept in the same transaction as the days that follow
from them: whatever is killed, each second is booked once. Days are the city's; the operating unit pays for them.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from policies import Context, Policies
from sandbox.workspaces.compute_store import (
    COMPUTE_DAYS,
    COMPUTE_MARKS,
    ComputeDay,
    ComputeMark,
    LimitHits,
    Quantities,
    add_up,
    find_compute_day,
    find_mark,
)
from sandbox.workspaces.model import LIVING, Workspace, WorkspaceState
from sandbox.workspaces.service import workspace_resource
from sandbox.workspaces.store import WORKSPACES
from shuzha.core.actor import Actor, platform_actor
from shuzha.core.clock import city_date
from shuzha.core.errors import NotFound, ShuzhaError, Unavailable
from shuzha.core.ids import new_id
from shuzha.core.work import Database, Event, Work

READ_SECONDS = 60.0

log = logging.getLogger(__name__)


class Jailer(Protocol):
    """Who counts: the jailer, by the short names of workspaces."""

    def account(self, workspace: str) -> Mapping[str, Any]:
        """Return what a workspace has used: `account`, `disk`, `groups`, `limits`."""
        ...

    def describe(self) -> Mapping[str, Sequence[str]]:
        """Return what the host holds workspaces to (`holds`), and what it cannot (`cannot`)."""
        ...

    def is_up(self) -> bool:
        """Return whether it answers."""
        ...


@dataclass(frozen=True, slots=True)
class AuthorizationUse:
    """What the workspaces of one authorization used in a month."""

    authorization: str
    operator: str
    workspaces: int
    used: Quantities


class ComputeService:
    """The computing of one installation's workspaces; `jailer` counts it."""

    def __init__(self, database: Database, policies: Policies, jailer: Jailer) -> None:
        self._database = database
        self._policies = policies
        self._jailer = jailer
        self._told_before = ""

    # --- metering ----------------------------------------------------------------------------------------------------

    def read_accounts(self) -> tuple[Workspace, ...]:
        """Book what the living workspaces have used since the last time, and return those that used something."""
        with self._database.read() as work:
            living = [one for one in work.list(WORKSPACES) if one.state in LIVING and one.releases]
        read = []
        try:
            self._settle_closed()
        except ShuzhaError as error:
            log.warning("accounts of closed workspaces are read later: %s", error)
        for workspace in living:
            try:
                if self.read_account(workspace):
                    read.append(workspace)
            except Unavailable as error:
                log.warning("accounts are read later: %s", error)
                break
            except ShuzhaError as error:
                # One that cannot be asked now is booked later: its account goes on.
                log.warning("the account of %s is read later: %s", workspace.id, error)
        self._tell_days()
        return tuple(read)

    def read_account(self, workspace: Workspace) -> bool:
        """Book what one workspace has used since the last time, and return whether that was something."""
        told = self._jailer.account(workspace.name)["account"]
        with self._database.work(platform_actor("compute-record")) as work:
            mark = find_mark(work, workspace.id)
            fresh = _mark(workspace, told, work.now(), mark)
            used = _difference(fresh, mark)
            if mark is None:
                work.add(COMPUTE_MARKS, fresh)
            elif fresh != replace(mark, read_at=fresh.read_at):
                work.save(COMPUTE_MARKS, fresh)
            if any(used):
                _book(work, workspace, used)
            _tell_hits(work, workspace, fresh, mark)
        return any(used)

    def record_closed(self, event: Event) -> None:
        """Tell the days of a closed workspace, the last one too; a handler of the outbox, which bears a repeat.

        Where the jailer does not answer, `read_accounts` does it later: other handlers must not wait for it.
        """
        with self._database.read() as work:
            workspace = work.find(WORKSPACES, event.subject)
        if workspace is not None:
            try:
                self._settle(workspace)
            except ShuzhaError as error:
                log.warning("the account of the closed %s is read later: %s", workspace.id, error)

    def _settle(self, workspace: Workspace) -> None:
        self.read_account(workspace)
        self._tell(lambda day: day.workspace == workspace.id)

    def _settle_closed(self) -> None:
        """Book and tell what is left to be told of closed workspaces."""
        with self._database.read() as work:
            left = {one.workspace for one in work.list(COMPUTE_DAYS, told=False)}
            closed = [one for one in work.list(WORKSPACES, state=WorkspaceState.CLOSED) if one.id in left]
        for workspace in closed:
            self._settle(workspace)

    def _tell_days(self) -> None:
        """Put the days that are over into the audit log; costs nothing until midnight."""
        today = city_date(self._database.clock.now()).isoformat()
        if self._told_before != today:
            self._tell(lambda day: day.day < today)
            self._told_before = today

    def _tell(self, due: Callable[[ComputeDay], bool]) -> None:
        with self._database.read() as work:
            days = [one for one in work.list(COMPUTE_DAYS, told=False) if due(one)]
        for day in days:
            with self._database.work(platform_actor("compute-record")) as work:
                current = work.get(COMPUTE_DAYS, day.id)
                if not current.told:
                    _emit_day(work, work.save(COMPUTE_DAYS, replace(current, told=True)))

    # --- looking -----------------------------------------------------------------------------------------------------

    def list_days(self, actor: Actor, workspace_id: str) -> tuple[ComputeDay, ...]:
        """Return what a workspace used by day, newest first; NotFound for one that the actor may not see."""
        self._seen(actor, workspace_id)
        with self._database.read() as work:
            days = work.list(COMPUTE_DAYS, workspace=workspace_id)
        return tuple(sorted(days, key=lambda one: one.day, reverse=True))

    def list_hits(self, actor: Actor, workspace_id: str) -> tuple[LimitHits, ...]:
        """Return the limits that a workspace has run into; NotFound for one that the actor may not see."""
        self._seen(actor, workspace_id)
        with self._database.read() as work:
            mark = find_mark(work, workspace_id)
        return () if mark is None else tuple(one for one in mark.hits if one.times)

    def list_month(self, actor: Actor, period: str) -> tuple[AuthorizationUse, ...]:
        """Return what each authorization's workspaces used in a month (`2026-11`), of those that the actor may see."""
        with self._database.read() as work:
            visible = {one.id: one for one in work.list(WORKSPACES) if self._can_see(actor, one, work.now())}
            days = [one for one in work.list(COMPUTE_DAYS) if one.day[:7] == period and one.workspace in visible]
        found: dict[str, list[ComputeDay]] = {}
        for day in days:
            found.setdefault(day.authorization, []).append(day)
        return tuple(
            AuthorizationUse(name, parts[0].operator, len({one.workspace for one in parts}), add_up(parts))
            for name, parts in sorted(found.items())
        )

    def sum_authorization(self, actor: Actor, authorization: str) -> Quantities:
        """Return what the workspaces of an authorization have used in all, of those that the actor may see."""
        with self._database.read() as work:
            found = work.list(WORKSPACES, authorization=authorization)
            visible = {one.id for one in found if self._can_see(actor, one, work.now())}
            days = [one for one in work.list(COMPUTE_DAYS, authorization=authorization) if one.workspace in visible]
        return add_up(days)

    def describe_host(self) -> Mapping[str, Sequence[str]] | None:
        """Return what the host holds workspaces to and what it cannot, in sentences; None where no jailer answers."""
        try:
            return self._jailer.describe() if self._jailer.is_up() else None
        except ShuzhaError:
            return None

    def list_running(self, actor: Actor) -> tuple[tuple[Workspace, Mapping[str, Any] | None], ...]:
        """Return the open workspaces that the actor may see, each with what the jailer says of it now."""
        with self._database.read() as work:
            found = [one for one in work.list(WORKSPACES) if one.state is WorkspaceState.OPEN]
            visible = [one for one in found if self._can_see(actor, one, work.now())]
        up = self._jailer.is_up()
        return tuple((one, self.ask_now(one.name) if up else None) for one in visible)

    def ask_now(self, name: str) -> Mapping[str, Any] | None:
        """Return what the jailer says of a workspace now, None where it does not answer."""
        try:
            return self._jailer.account(name)
        except ShuzhaError:
            return None

    def _can_see(self, actor: Actor, workspace: Workspace, at: dt.datetime) -> bool:
        return self._policies.can(actor, "workspace:view", workspace_resource(workspace), Context(at=at))

    def _seen(self, actor: Actor, workspace_id: str) -> Workspace:
        with self._database.read() as work:
            workspace, now = work.get(WORKSPACES, workspace_id), work.now()
        if not self._can_see(actor, workspace, now):
            raise NotFound(f"no workspaces with id {workspace_id}")
        return workspace


def _mark(workspace: Workspace, told: Mapping[str, Any], at: dt.datetime, mark: ComputeMark | None) -> ComputeMark:
    """Return how far the account has been read now; within one epoch no total ever falls."""
    same = mark is not None and mark.epoch == told["epoch"]
    before = mark if same and mark is not None else None

    def total(name: str) -> int:
        return max(int(told[name]), 0 if before is None else int(getattr(before, name)))

    return ComputeMark(
        id=new_id("cmk") if mark is None else mark.id, workspace=workspace.id, epoch=str(told["epoch"]),
        cpu_nanoseconds=total("cpu_nanoseconds"), memory_byte_seconds=total("memory_byte_seconds"),
        storage_byte_seconds=total("storage_byte_seconds"), storage_bytes=int(told["storage_bytes"]),
        hits=tuple(LimitHits(name, int(times)) for name, times in sorted(told["hits"].items())), read_at=at,
        revision=1 if mark is None else mark.revision,
    )  # fmt: skip


def _difference(fresh: ComputeMark, mark: ComputeMark | None) -> tuple[int, int, int]:
    """Return the milliseconds and byte-seconds between two readings; an account that began anew counts whole."""
    before = (0, 0, 0)
    if mark is not None and mark.epoch == fresh.epoch:
        before = (mark.cpu_nanoseconds, mark.memory_byte_seconds, mark.storage_byte_seconds)
    # Whole milliseconds of the totals, so that nothing is lost between readings.
    cpu = fresh.cpu_nanoseconds // 10**6 - before[0] // 10**6
    return cpu, fresh.memory_byte_seconds - before[1], fresh.storage_byte_seconds - before[2]


def _book(work: Work, workspace: Workspace, used: tuple[int, int, int]) -> None:
    day = city_date(work.now()).isoformat()
    cpu, memory, storage = used
    found = find_compute_day(work, workspace.id, day)
    if found is None:
        work.add(COMPUTE_DAYS, ComputeDay(
            id=new_id("cmp"), workspace=workspace.id, author=workspace.author, operator=workspace.operator,
            authorization=workspace.authorization, grant=workspace.grant, day=day, cpu_milliseconds=cpu,
            memory_byte_seconds=memory, storage_byte_seconds=storage, recorded_at=work.now(),
        ))  # fmt: skip
        return
    work.save(COMPUTE_DAYS, replace(
        found, cpu_milliseconds=found.cpu_milliseconds + cpu, memory_byte_seconds=found.memory_byte_seconds + memory,
        storage_byte_seconds=found.storage_byte_seconds + storage, recorded_at=work.now(), told=False,
    ))  # fmt: skip


def _tell_hits(work: Work, workspace: Workspace, fresh: ComputeMark, mark: ComputeMark | None) -> None:
    before = {one.limit: one.times for one in mark.hits} if mark is not None and mark.epoch == fresh.epoch else {}
    new = {one.limit: one.times - before.get(one.limit, 0) for one in fresh.hits}
    new = {limit: times for limit, times in new.items() if times > 0}
    if new:
        work.emit(
            "workspace:limit", workspace.id, f"ran into {', '.join(sorted(new))}",
            data={**_whose(workspace), "hits": new}, medium="workspace",
        )  # fmt: skip


def _emit_day(work: Work, day: ComputeDay) -> None:
    data = {
        "workspace": day.workspace, "authorization": day.authorization, "operator": day.operator, "grant": day.grant,
        "author": day.author, "day": day.day, "cpu_milliseconds": day.cpu_milliseconds,
        "memory_byte_seconds": day.memory_byte_seconds, "storage_byte_seconds": day.storage_byte_seconds,
    }  # fmt: skip
    work.emit("compute:record", day.workspace, f"used on {day.day}", data=data, medium="workspace")


def _whose(workspace: Workspace) -> dict[str, Any]:
    return {
        "workspace": workspace.id, "authorization": workspace.authorization, "operator": workspace.operator,
        "grant": workspace.grant,
    }  # fmt: skip
