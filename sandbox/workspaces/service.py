"""The verbs on workspaces: open, start, stop, suspend, restore, close; and what each person may see.

`run_start` and `run_stop` are jobs: they take an id, look at the record first and bear a repeat. Everything that takes
rights away acts on the host first and writes the record after, so that a fault never leaves a door open.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from policies import Context, Policies, Resource, ScopeSource
from sandbox.workspaces.hosting import Host
from sandbox.workspaces.model import LIVING, WORKSPACE, Workspace, WorkspaceState, workspace_name
from sandbox.workspaces.own_files import OwnZone
from sandbox.workspaces.records.specs import OWN_FILES, GrantedRelease
from sandbox.workspaces.store import WORKSPACES, find_living, next_uid
from shuzha.authorization.model import Demand, DemandState, Grant, GrantState
from shuzha.authorization.store import DEMANDS, GRANTS
from shuzha.core.actor import Actor, platform_actor
from shuzha.core.errors import Conflict, Invalid, NotAllowed, NotFound, TransitionNotAllowed, Unavailable
from shuzha.core.ids import new_id
from shuzha.core.work import Database, Event, Work
from shuzha.people.staff_store import check_account_ready
from shuzha.people.store import ACCOUNTS
from shuzha.releases.model import Release, ReleaseState
from shuzha.releases.store import RELEASES

FOLLOWED_TAGS = (
    "authorization:*", "grant:*", "training:*", "account:suspend", "account:restore", "account:change",
    "account:identify",
)  # fmt: skip
"""The events after which `WorkspaceService.follow` brings workspaces in line; join it in the worker."""

JOBS = {"workspace:open": "workspace.start", "workspace:suspend": "workspace.stop"}
"""The job to be asked for, with the event's subject, after an event: `run_start` and `run_stop`."""

log = logging.getLogger(__name__)


def workspace_resource(workspace: Workspace) -> Resource:
    """Return the workspace as decisions see it: its analyst's, of his organisation, on its grant."""
    return Resource(
        "workspace", workspace.id, workspace.operator, workspace.author, workspace.authorization, workspace.grant
    )


class WorkspaceService:
    """Workspaces of one installation; `release_folder` says where a release's files lie, `own` where own files do.

    `environment` says the hash of the packages that a workspace starts with now.
    """

    def __init__(
        self, database: Database, policies: Policies, scopes: ScopeSource, host: Host,
        release_folder: Callable[[Release], Path], own: OwnZone | None = None,
        environment: Callable[[], str] | None = None,
    ) -> None:  # fmt: skip
        self._database = database
        self._policies = policies
        self._scopes = scopes
        self._host = host
        self._release_folder = release_folder
        self._own = own
        self._environment = environment or (lambda: "")

    def open_workspace(self, actor: Actor, demand_id: str) -> Workspace:
        """Return the actor's workspace of a granted demand, on its way to open: a new one, or the one he has.

        Refuses a demand that is not granted or not in force, one without a ready release, and a person whose name was
        not checked or who was not trained before the job (J23 art. 12(4)).
        """
        with self._database.work(actor) as work:
            demand = work.get(DEMANDS, demand_id)
            resource = Resource("workspace", "", demand.operator, actor.id, demand.authorization, demand.grant)
            self._policies.check(actor, "workspace:request", resource, Context(at=work.now()))
            grant = _granted(work, demand)
            self._check_data(actor, grant, work.now())
            check_account_ready(work, actor.id, work.now())
            found = find_living(work, demand.id, actor.id) or self._add(work, actor, demand, grant)
            if found.state in {WorkspaceState.OPENING, WorkspaceState.OPEN}:
                return found
            releases = tuple(release.id for release in _ready_releases(work, grant))
            if not releases:
                raise Invalid(
                    f"demand {demand.id} has no ready release", rule="workspace.release", accepted="a built release"
                )
            return self._move(work, actor, replace(found, releases=releases), "open", "opening")

    def run_start(self, workspace_id: str) -> Workspace:
        """Start an opening workspace and return it open; a job. One that is not opening is returned as it stands."""
        actor = platform_actor("workspace-start")
        with self._database.read() as work:
            workspace = work.get(WORKSPACES, workspace_id)
            releases = tuple(work.get(RELEASES, one) for one in workspace.releases)
            now = work.now()
        if workspace.state is not WorkspaceState.OPENING:
            return workspace
        with self._database.read() as work:
            self._check_data(actor, work.get(GRANTS, workspace.grant), now)
        mounts = [GrantedRelease(one.name, self._release_folder(one)) for one in releases]
        if self._own is not None:
            mounts.append(GrantedRelease(OWN_FILES, self._own.folder(workspace.name)))
        self._host.prepare(workspace, tuple(mounts))
        try:
            self._host.start(workspace)
        except Unavailable as error:
            self._change(actor, workspace.id, "stop", str(error))
            raise
        return self._change(actor, workspace.id, "start", "ready", opened_at=now)

    def stop_workspace(self, actor: Actor, workspace_id: str, reason: str = "stopped by its analyst") -> Workspace:
        """Return the workspace stopped: its server has ended, home and releases stay."""
        with self._database.read() as work:
            workspace = self._seen(actor, work.get(WORKSPACES, workspace_id), work.now())
            self._policies.check(actor, "workspace:stop", workspace_resource(workspace), Context(at=work.now()))
        WORKSPACE.next(workspace.state, "stop", workspace.id)
        self._host.stop(workspace)
        return self._change(actor, workspace.id, "stop", reason)

    def suspend_workspace(self, actor: Actor, workspace_id: str, reason: str, *, cause: str = "decision") -> Workspace:
        """Return the workspace suspended: the gate passes no byte, its processes stand still, and `reason` is said."""
        with self._database.read() as work:
            workspace = self._seen(actor, work.get(WORKSPACES, workspace_id), work.now())
            self._policies.check(actor, "workspace:suspend", workspace_resource(workspace), Context(at=work.now()))
        _check_reason(reason)
        WORKSPACE.next(workspace.state, "suspend", workspace.id)
        self._host.hold(workspace, reason)
        return self._change(actor, workspace.id, "suspend", reason, cause=cause)

    def restore_workspace(self, actor: Actor, workspace_id: str, reason: str) -> Workspace:
        """Return a suspended workspace as stopped: its analyst may open it again. Refuses while its rights are held."""
        with self._database.read() as work:
            now = work.now()
            workspace = self._seen(actor, work.get(WORKSPACES, workspace_id), now)
            self._policies.check(actor, "workspace:restore", workspace_resource(workspace), Context(at=now))
            held = self._find_hold(workspace, now)
        if held:
            raise Invalid(f"workspace {workspace.id} cannot be restored: {held}", rule="workspace.scope")
        WORKSPACE.next(workspace.state, "restore", workspace.id)
        self._host.stop(workspace)
        self._host.release(workspace)
        return self._change(actor, workspace.id, "restore", reason, cause="")

    def close_workspace(self, actor: Actor, workspace_id: str, reason: str) -> Workspace:
        """Return the workspace closed: server ended, home and own files destroyed. What was exported stays."""
        with self._database.read() as work:
            workspace = self._seen(actor, work.get(WORKSPACES, workspace_id), work.now())
            self._policies.check(actor, "workspace:close", workspace_resource(workspace), Context(at=work.now()))
        _check_reason(reason)
        WORKSPACE.next(workspace.state, "close", workspace.id)
        self._host.hold(workspace, reason)
        self._host.stop(workspace)
        home = self._host.destroy(workspace)
        if self._own is not None:
            self._own.destroy(workspace.name)
        with self._database.work(actor) as work:
            closed = self._move(work, actor, work.get(WORKSPACES, workspace.id), "close", reason)
            releases = [work.get(RELEASES, one) for one in workspace.releases]
            work.emit(
                "workspace:destroy", closed.id, "home and own files destroyed, releases no longer mounted",
                data=_destruction(closed, home, releases) | {"own_files": "none" if self._own is None else "removed"},
                approver=actor.id, medium="workspace",
            )  # fmt: skip
        return closed

    def close_of_grant(self, event: Event) -> None:
        """Close the workspaces of a grant that was closed for good; a handler of the outbox, which bears a repeat."""
        with self._database.read() as work:
            ended = [one for one in work.list(WORKSPACES, grant=event.subject) if one.state in LIVING]
        for workspace in ended:
            try:
                self.close_workspace(platform_actor("workspace-exit"), workspace.id, f"its grant {event.subject} ended")
            except (Unavailable, Conflict, TransitionNotAllowed) as error:
                # It is suspended meanwhile, and `reconcile` tries again: others must not wait for its hub.
                log.warning("workspace %s of an ended grant is closed later: %s", workspace.id, error)

    def run_stop(self, workspace_id: str) -> None:
        """End the server of a suspended or closed workspace, so that the hub's record follows; a job."""
        with self._database.read() as work:
            workspace = work.get(WORKSPACES, workspace_id)
        if workspace.state in {WorkspaceState.SUSPENDED, WorkspaceState.CLOSED}:
            self._host.stop(workspace)

    def follow(self, event: Event) -> None:
        """Bring workspaces in line with the data rights that an event changed; bears a repeat."""
        log.info("bringing workspaces in line after %s of %s", event.tag, event.subject)
        self.reconcile()

    def reconcile(self) -> tuple[Workspace, ...]:
        """Suspend what has lost its data rights, restore what has them again, and return what was changed.

        An open workspace whose server has ended (a crash, a restart of the host, a restored backup) becomes stopped.
        A suspended one whose grant was closed for good is closed. Called on every change of an authorization or grant,
        and by the clock for terms that end.
        """
        actor = platform_actor("workspace-reconcile")
        with self._database.read() as work:
            living, now = [one for one in work.list(WORKSPACES) if one.state in LIVING], work.now()
            ended = {one.id for one in work.list(GRANTS, state=GrantState.CLOSED)}
        changed: list[Workspace] = []
        for workspace in living:
            held = self._find_hold(workspace, now)
            suspended = workspace.state is WorkspaceState.SUSPENDED
            try:
                if suspended and workspace.grant in ended:
                    changed.append(self.close_workspace(actor, workspace.id, f"its grant {workspace.grant} ended"))
                elif held and not suspended:
                    changed.append(self.suspend_workspace(actor, workspace.id, held, cause="scope"))
                elif not held and suspended and workspace.cause == "scope":
                    changed.append(self.restore_workspace(actor, workspace.id, "its data rights are in force again"))
                elif workspace.state is WorkspaceState.OPEN and self._host.has_ended(workspace):
                    why = self._host.why_ended(workspace) or "its server has ended"
                    changed.append(self._change(actor, workspace.id, "stop", why))
            except (Unavailable, Conflict, TransitionNotAllowed) as error:
                # One workspace that cannot be reached, or that somebody else moves now, must not keep the orders from
                # the others.
                log.warning("workspace %s is brought in line later: %s", workspace.id, error)
        return tuple(changed)

    def get_workspace(self, actor: Actor, workspace_id: str) -> Workspace:
        """Return one workspace; raises NotFound for one that the actor may not see."""
        with self._database.read() as work:
            return self._seen(actor, work.get(WORKSPACES, workspace_id), work.now())

    def list_workspaces(
        self, actor: Actor, *, demand: str | None = None, authorization: str | None = None
    ) -> tuple[Workspace, ...]:
        """Return the workspaces that the actor may see, newest first."""
        equal = {k: v for k, v in (("demand", demand), ("authorization", authorization)) if v is not None}
        with self._database.read() as work:
            found, now = work.list(WORKSPACES, newest_first=True, **equal), work.now()
        return tuple(one for one in found if self._can_see(actor, one, now))

    def read_notebook(self, actor: Actor, workspace_id: str, name: str) -> bytes:
        """Return a notebook that is saved in the actor's own workspace, as the airlock submits it."""
        workspace = self.get_workspace(actor, workspace_id)
        if actor.id != workspace.author:
            raise NotFound(f"no workspace with id {workspace_id}")
        return self._host.read_notebook(workspace, name)

    def _check_data(self, actor: Actor, grant: Grant, at: dt.datetime) -> None:
        resource = Resource("data", "", grant.operator, actor.id, grant.authorization, grant.id)
        operation = min(grant.scope.operations, default="")
        context = Context(at=at, entry=grant.entry, operation=operation, place="workspace")
        self._policies.check(actor, "data:open", resource, context)

    def _find_hold(self, workspace: Workspace, at: dt.datetime) -> str:
        """Return why nobody may work in the workspace at this moment, empty when its analyst may.

        Its grant must be in force, and its analyst a checked and trained person whose account may still start it.
        """
        with self._database.read() as work:
            author = work.find(ACCOUNTS, workspace.author)
            if author is None or not author.active:
                return f"the account of its analyst {workspace.author} is not in use"
            try:
                check_account_ready(work, author.id, at)
            except NotAllowed as error:
                return error.message
        asked = Context(at=at)
        decision = self._policies.decide(
            author.actor("workspace"), "workspace:start", workspace_resource(workspace), asked
        )
        if not decision.allowed:
            return decision.reason
        found = self._scopes.find_scope(workspace.grant)
        if found is None:
            return f"grant {workspace.grant} does not exist any more"
        if not found.active:
            return found.reason
        if not found.scope.valid_from <= at < found.scope.valid_until:
            return f"the term of grant {workspace.grant} has ended"
        return ""

    def _add(self, work: Work, actor: Actor, demand: Demand, grant: Grant) -> Workspace:
        identifier = new_id("wsp")
        workspace = Workspace(
            id=identifier, name=workspace_name(identifier), handle=work.get(ACCOUNTS, actor.id).handle,
            author=actor.id, operator=demand.operator, authorization=demand.authorization, demand=demand.id,
            grant=grant.id, entry=grant.entry, scenario=demand.content.scenario, uid=next_uid(work), releases=(),
            state=WORKSPACE.initial, requested_at=work.now(), valid_until=grant.valid_until,
        )  # fmt: skip
        work.add(WORKSPACES, workspace)
        work.emit("workspace:request", workspace.id, "workspace requested", data=_data(workspace))
        return workspace

    def _change(self, actor: Actor, workspace_id: str, verb: str, reason: str, **fields: Any) -> Workspace:
        with self._database.work(actor) as work:
            workspace = replace(work.get(WORKSPACES, workspace_id), **fields)
            return self._move(work, actor, workspace, verb, reason)

    def _move(self, work: Work, actor: Actor, workspace: Workspace, verb: str, reason: str) -> Workspace:
        self._policies.check(actor, f"workspace:{verb}", workspace_resource(workspace), Context(at=work.now()))
        move = WORKSPACE.next(workspace.state, verb, workspace.id)
        saved = work.save(WORKSPACES, replace(workspace, state=move.target, reason=reason))
        # Which packages somebody worked with is asked years later, of the audit log.
        ran = {"environment": self._environment()} if verb == "start" else {}
        data = {**_data(saved), **ran}
        work.emit(f"workspace:{verb}", saved.id, f"workspace {move.target}", data=data, medium="workspace")
        return saved

    def _can_see(self, actor: Actor, workspace: Workspace, at: dt.datetime) -> bool:
        return self._policies.can(actor, "workspace:view", workspace_resource(workspace), Context(at=at))

    def _seen(self, actor: Actor, workspace: Workspace, at: dt.datetime) -> Workspace:
        if not self._can_see(actor, workspace, at):
            raise NotFound(f"no workspaces with id {workspace.id}")
        return workspace


def _granted(work: Work, demand: Demand) -> Grant:
    if demand.state is not DemandState.GRANTED:
        raise Invalid(f"demand {demand.id} is {demand.state}", rule="J23 art. 16", accepted="a granted demand")
    return work.get(GRANTS, demand.grant)


def _ready_releases(work: Work, grant: Grant) -> tuple[Release, ...]:
    """Return the newest ready release of the grant, for each name one."""
    newest: dict[str, Release] = {}
    for release in work.list(RELEASES, grant=grant.id):
        if release.state is ReleaseState.READY:
            newest[release.name] = release
    return tuple(newest.values())


def _check_reason(reason: str) -> None:
    if not reason.strip():
        raise Invalid("a decision without a reason", rule="decision.reason", accepted="a sentence that says why")


def _destruction(workspace: Workspace, home: Mapping[str, Any], releases: Iterable[Release]) -> dict[str, Any]:
    """Return the record of what a closed workspace's end destroyed, and how; what each release was stays known."""
    return {
        "workspace": workspace.id, "name": workspace.name, "grant": workspace.grant,
        "authorization": workspace.authorization, "operator": workspace.operator, "reason": workspace.reason,
        "home": dict(home),
        "unmounted": [{"release": one.id, "sha256": one.sha256} for one in releases],
    }  # fmt: skip


def _data(workspace: Workspace) -> dict[str, Any]:
    return {
        "workspace": workspace.id, "name": workspace.name, "state": workspace.state.value, "demand": workspace.demand,
        "grant": workspace.grant, "authorization": workspace.authorization, "operator": workspace.operator,
        "releases": list(workspace.releases), "reason": workspace.reason,
    }  # fmt: skip
