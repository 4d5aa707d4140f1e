"""The platform's side of the socket: what a workspace's notebook may ask, answered from the records."""

from __future__ import annotations

from typing import Any, Protocol

from policies import Context, Policies, Resource
from sandbox.workspaces.describing import describe_entry
from sandbox.workspaces.gate.meter import today
from sandbox.workspaces.hosting import Host
from sandbox.workspaces.model import Workspace, WorkspaceState
from sandbox.workspaces.own_files import NoOwnFiles, OwnDesk
from sandbox.workspaces.store import WORKSPACES, find_by_name
from shuzha.authorization.store import GRANTS
from shuzha.catalog.store import ENTRIES
from shuzha.core.errors import NotAllowed, NotFound, Unavailable
from shuzha.core.work import Database
from shuzha.people.store import ACCOUNTS
from shuzha.releases.model import ReleaseKind
from shuzha.releases.store import RELEASES

SYNTHETIC_NOTICE = (
    "合成数据：行非真人，不得据以认定个人，合计非官方数字 "
    "synthetic: no row is anybody's, and no sum is an official figure"
)


class ExportDesk(Protocol):
    """The airlock, as workspaces need it; the room above implements it."""

    def check_specification(self, workspace: Workspace, specification: dict[str, Any]) -> dict[str, Any]:
        """Return what the automatic checks would find: verdict and findings."""
        ...

    def submit_notebook(
        self, workspace: Workspace, name: str, notebook: bytes, outputs: dict[str, str], context: str
    ) -> dict[str, Any]:
        """Open and submit an export request in the analyst's name; return its id and state.

        `outputs` are the names meant, with the digest of what the session declared by each.
        """
        ...

    def list_requests(self, workspace: Workspace) -> list[dict[str, Any]]:
        """Return id, state and reason of the workspace's export requests, newest first."""
        ...


class AnswerDesk(Protocol):
    """Whoever answers with differential privacy, as workspaces need it: in the analyst's name, under his grant."""

    def answer(self, workspace: Workspace, entry: str, query: dict[str, Any]) -> dict[str, Any]:
        """Return the noisy figures, their intervals and cost."""
        ...

    def budget(self, workspace: Workspace) -> dict[str, Any]:
        """Return what is left of the privacy budget."""
        ...


class RequirementDesk(Protocol):
    """Whoever takes requirements on data (J23 art. 11), as workspaces need it: in the analyst's name."""

    def raise_requirement(self, workspace: Workspace, lack: str, text: str, columns: tuple[str, ...]) -> dict[str, Any]:
        """Raise one on the workspace's entry; return its id, state and due day."""
        ...


class WorkspaceVerbs:
    """The verbs of `platform_socket.Verbs`, each decided anew for the workspace's analyst and its grant.

    A workspace that is not open is refused whatever it asks; so is an open one whose data rights have just been held.
    """

    def __init__(
        self, database: Database, policies: Policies, host: Host, desk: ExportDesk, answers: AnswerDesk,
        own: OwnDesk | None = None, requirements: RequirementDesk | None = None,
    ) -> None:  # fmt: skip
        self._database = database
        self._policies = policies
        self._host = host
        self._desk = desk
        self._answers = answers
        self._own = own or NoOwnFiles()
        self._requirements = requirements

    def datasets(self, workspace: str) -> list[dict[str, Any]]:
        """Return name, kind, rows and columns of each granted release, and of each own file that was let in."""
        found = self._open(workspace)
        with self._database.read() as work:
            releases = [work.get(RELEASES, one) for one in found.releases]
            entries = [work.get(ENTRIES, one.entry) for one in releases]
        granted: list[dict[str, Any]] = [
            {
                "name": one.name,
                "kind": "synthetic" if one.kind is ReleaseKind.SYNTHETIC else "release",
                "release": one.id,
                "rows": one.rows,
                "columns": list(one.columns),
                "version": one.raw_version,
            }
            | describe_entry(entry, one.columns)
            | ({"notice": SYNTHETIC_NOTICE} if one.kind is ReleaseKind.SYNTHETIC else {})
            for one, entry in zip(releases, entries, strict=True)
        ]
        return [*granted, *self._own.list_own(found.id)]

    def status(self, workspace: str) -> dict[str, Any]:
        """Return how the workspace and its export requests stand."""
        found = self._open(workspace)
        return {
            "workspace": found.id,
            "state": found.state.value,
            "scenario": found.scenario,
            "valid_until": found.valid_until.isoformat(),
            "exports": self._desk.list_requests(found),
        }

    def budget(self, workspace: str) -> dict[str, Any]:
        """Return what is left of the term, of today's screen budget, and of the privacy budget."""
        found = self._open(workspace)
        budget, shown = self._host.screen_budget(found), self._host.screen_bytes(found).get(today(), 0)
        with self._database.read() as work:
            left = found.valid_until - work.now()
        return {
            "days_left": max(left.days, 0),
            "screen_bytes_today": shown,
            "screen_bytes_left": max(budget - shown, 0),
            "screen_budget": budget,
            "privacy": self._answers.budget(found),
        }

    def dp(self, workspace: str, entry: str, query: dict[str, Any]) -> dict[str, Any]:
        """Return a differentially private answer, paid for before it is made.

        A workspace that was suspended while it was computed gets nothing; what was spent stays spent.
        """
        answer = self._answers.answer(self._open(workspace), entry, query)
        self._open(workspace)
        return answer

    def check(self, workspace: str, specification: dict[str, Any]) -> dict[str, Any]:
        """Return what the airlock's checks would find."""
        return self._desk.check_specification(self._open(workspace), specification)

    def submit(self, workspace: str, notebook: str, outputs: dict[str, str], context: str) -> dict[str, Any]:
        """Read the saved notebook and ask for the export of its outputs."""
        found = self._open(workspace)
        content = self._host.read_notebook(found, notebook)
        return self._desk.submit_notebook(found, notebook, content, outputs, context)

    def require(self, workspace: str, lack: str, text: str, columns: list[str]) -> dict[str, Any]:
        """Ask the provider of the workspace's entry to mend it, in the analyst's name."""
        found = self._open(workspace)
        if self._requirements is None:
            raise Unavailable("no requirements are taken here", accepted="the portal's page of requirements")
        return self._requirements.raise_requirement(found, lack, text, tuple(columns))

    def sockets(self) -> dict[str, int]:
        """Return the workspaces that have a socket now, with their users: for `PlatformSockets.follow`."""
        with self._database.read() as work:
            living = (*work.list(WORKSPACES, state="opening"), *work.list(WORKSPACES, state="open"))
        return {one.name: one.uid for one in living}

    def _open(self, name: str) -> Workspace:
        with self._database.read() as work:
            found, at = find_by_name(work, name), work.now()
            author = None if found is None else work.find(ACCOUNTS, found.author)
            grant = None if found is None else work.find(GRANTS, found.grant)
        if found is None or grant is None:
            raise NotFound(f"no workspace named {name}")
        if found.state not in {WorkspaceState.OPENING, WorkspaceState.OPEN}:
            raise NotAllowed(f"workspace {found.id} is {found.state}: {found.reason}", rule="workspace.state")
        if author is None or not author.active:
            raise NotAllowed(f"the account of the analyst of {found.id} is not in use", rule="account.state")
        resource = Resource("data", "", found.operator, author.id, found.authorization, grant.id)
        operation = min(grant.scope.operations, default="")
        asked = Context(at=at, entry=grant.entry, operation=operation, place="workspace")
        self._policies.check(author.actor("socket"), "data:open", resource, asked)
        return found
