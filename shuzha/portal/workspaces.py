"""Workspaces: open one for a granted demand, see what it has and may still show, and submit a notebook from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from policies import Resource
from sandbox.workspaces.compute_store import GIB, add_up
from sandbox.workspaces.hosting import OVERFULL
from sandbox.workspaces.model import LIVING, WORKSPACE, Workspace, WorkspaceState
from sandbox.workspaces.service import workspace_resource
from sandbox.workspaces.sessions import IDLE, LONG
from shuzha.authorization.model import Demand, DemandState
from shuzha.core.actor import Actor
from shuzha.core.errors import Invalid, NotFound
from shuzha.portal.desk import Desk, Show, Verb, actor_of, progress
from shuzha.portal.services import Services
from shuzha.releases.model import Release, ReleaseState

_W = WorkspaceState
WAY = (_W.REQUESTED, _W.OPENING, _W.OPEN, _W.CLOSED)
MOVING = frozenset({_W.REQUESTED, _W.OPENING})
VERBS = (
    Verb("stop", "Stop the server"),
    Verb("suspend", "Suspend", reason=True, tone="bad"),
    Verb("restore", "Restore", reason=True),
    Verb("close", "Close for good", reason=True, tone="bad"),
)


ENDS = (LONG, IDLE, OVERFULL)
"""The limits that end a session, as its reason says."""

SCREEN_WORDS = {
    "kernelws": "Kernel output", "contents": "Notebooks", "http": "Answers of the server",
    "unsettled": "Unsettled after a fault of the gate",
}  # fmt: skip


LIMIT_WORDS = {
    "memory": "Memory: a process that took more than the limit was ended",
    "processes": "Processes: no further one could be started",
    "disk": "Disk: the home was full",
}


class WorkspacePages:
    """The pages of workspaces."""

    def __init__(self, desk: Desk, services: Services) -> None:
        self._desk = desk
        self._services = services
        self._workspaces = services.workspaces

    def router(self) -> APIRouter:
        """Return the routes of these pages."""
        router = APIRouter()
        router.add_api_route("/workspaces", self.show_list, methods=["GET"])
        router.add_api_route("/workspaces", self.open, methods=["POST"])
        router.add_api_route("/workspaces/{workspace_id}", self.show, methods=["GET"])
        router.add_api_route("/workspaces/{workspace_id}/exports", self.submit, methods=["POST"])
        router.add_api_route("/workspaces/{workspace_id}/screen-budget", self.set_screen_budget, methods=["POST"])
        router.add_api_route("/workspaces/{workspace_id}/{verb}", self.move, methods=["POST"])
        return router

    def show_list(self, request: Request) -> Response:
        """Show the workspaces that the person may see, and the demands for which one can be opened."""
        return self._list(request)

    def show(self, request: Request, workspace_id: str) -> Response:
        """Show one workspace."""
        return self._workspace(request, workspace_id)

    def open(self, request: Request, demand: Annotated[str, Form()]) -> Response:
        """Open the person's workspace of a granted demand, or start a stopped one again."""
        actor = actor_of(request)
        show: Show = lambda errors, status: self._list(request, errors, status)  # noqa: E731
        return self._desk.attempt(
            request, lambda: self._workspaces.open_workspace(actor, demand),
            lambda found: f"/workspaces/{found.id}", show, "open",
        )  # fmt: skip

    def move(self, request: Request, workspace_id: str, verb: str, reason: Annotated[str, Form()] = "") -> Response:
        """Start again, stop, suspend, restore or close a workspace."""
        actor, service, one = actor_of(request), self._workspaces, workspace_id
        actions = {
            "open": lambda: service.open_workspace(actor, service.get_workspace(actor, one).demand),
            "stop": lambda: service.stop_workspace(actor, one),
            "suspend": lambda: service.suspend_workspace(actor, one, reason),
            "restore": lambda: service.restore_workspace(actor, one, reason),
            "close": lambda: service.close_workspace(actor, one, reason),
        }
        return self._desk.act(request, actions, verb, f"/workspaces/{one}", self._again(request, one))

    def submit(
        self, request: Request, workspace_id: str, notebook: Annotated[str, Form()], context: Annotated[str, Form()],
        title: Annotated[str, Form()] = "", again: Annotated[str, Form()] = "",
    ) -> Response:  # fmt: skip
        """Submit a saved notebook as an export request; the platform runs it again in a clean room."""
        actor = actor_of(request)
        name = notebook if notebook.endswith(".ipynb") else f"{notebook}.ipynb"
        named = title.strip() or name.removesuffix(".ipynb")

        def submit() -> object:
            return self._services.submit_export(actor, workspace_id, name, named, context, again)

        show = self._again(request, workspace_id)
        return self._desk.attempt(request, submit, lambda made: f"/exports/{made.id}", show, "submit")

    def set_screen_budget(
        self, request: Request, workspace_id: str, mebibytes: Annotated[str, Form()],
        reason: Annotated[str, Form()] = "", span: Annotated[str, Form()] = "today",
    ) -> Response:  # fmt: skip
        """Set how much a workspace may show a day: today only, or lastingly."""
        actor = actor_of(request)

        def set_budget() -> object:
            budget = _mebibytes(mebibytes)
            return self._services.screens.set_budget(actor, workspace_id, budget, reason, lasting=span == "lasting")

        show = self._again(request, workspace_id)
        return self._desk.attempt(request, set_budget, f"/workspaces/{workspace_id}", show, "set")

    def _again(self, request: Request, workspace_id: str) -> Show:
        return lambda errors, status: self._workspace(request, workspace_id, errors, status)

    def _list(self, request: Request, errors: Sequence[str] = (), status: int = 200) -> Response:
        actor = actor_of(request)
        return self._desk.page(
            request, "workspaces.html", status, errors=errors, workspaces=self._workspaces.list_workspaces(actor),
            demands=self._openable(actor), may_open=actor.has("analyst"),
        )  # fmt: skip

    def _openable(self, actor: Actor) -> list[tuple[Demand, bool]]:
        """Return the granted demands for which the person may open a workspace, each with whether data is ready."""
        ready = {one.demand for one in self._services.releases.list_releases(actor) if one.state is ReleaseState.READY}
        found = []
        for demand in self._services.authorization.list_demands(actor):
            resource = Resource("workspace", "", demand.operator, actor.id, demand.authorization, demand.grant)
            if demand.state is DemandState.GRANTED and self._desk.can(actor, "workspace:request", resource):
                found.append((demand, demand.id in ready))
        return found

    def _workspace(
        self, request: Request, workspace_id: str, errors: Sequence[str] = (), status: int = 200
    ) -> Response:
        actor = actor_of(request)
        found = self._workspaces.get_workspace(actor, workspace_id)
        verbs = self._desk.verbs(actor, WORKSPACE, found.state, workspace_resource(found), self._offered(actor, found))
        screens = self._services.screens
        mine = actor.id == found.author
        return self._desk.page(
            request, "workspace.html", status, errors=errors, workspace=found, verbs=verbs, mine=mine,
            steps=progress(WORKSPACE, WAY, found.state), moving=found.state in MOVING,
            lab=self._lab(found) if mine and found.state is WorkspaceState.OPEN else "",
            screen=screens.get_standing(actor, found.id), screen_days=screens.list_days(actor, found.id),
            screen_budgets=screens.list_budgets(actor, found.id), may_set_screen=screens.may_set(actor, found),
            days_used=(used := self._services.compute.list_days(actor, found.id)), used=add_up(used), gib=GIB,
            hits=[(LIMIT_WORDS[one.limit], one.times) for one in self._services.compute.list_hits(actor, found.id)],
            rules=self._services.settings, ended=found.reason in ENDS,
            screen_word=lambda name: SCREEN_WORDS.get(name, name),
            privacy=self._services.answers.budget(found.grant), releases=self._releases(actor, found),
            left=self._days_left(found),
            exports=self._services.airlock.list_exports(actor, workspace=found.id),
            imports=self._services.inbound.list_imports(actor, workspace=found.id), most=self._services.inbound.rules,
            may_bring=found.state in LIVING and self._desk.can(actor, "import:receive", workspace_resource(found)),
        )  # fmt: skip

    def _offered(self, actor: Actor, found: Workspace) -> tuple[Verb, ...]:
        start = () if actor.id != found.author else (Verb("open", "Start it again"),)
        return (*start, *VERBS)

    def _lab(self, found: Workspace) -> str:
        return f"{self._services.settings.sandbox_url}/user/{found.handle}/{found.name}/lab"

    def _days_left(self, found: Workspace) -> int:
        return max(0, (found.valid_until - self._desk.clock.now()).days)

    def _releases(self, actor: Actor, found: Workspace) -> list[Release]:
        shown = []
        for release_id in found.releases:
            try:
                shown.append(self._services.releases.get_release(actor, release_id))
            except NotFound:
                continue  # Not everybody who sees a workspace sees each release in it.
        return shown


def _mebibytes(text: str) -> int:
    """Return the bytes that a person wrote as mebibytes."""
    if not text.strip().isdigit():
        raise Invalid(
            "a screen budget that is no number", rule="workspace.screen_budget", accepted="a whole number of MiB"
        )
    return int(text) * 1024**2
