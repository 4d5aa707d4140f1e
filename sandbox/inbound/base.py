"""What the verbs on import requests share: what is passed in, what a decision sees of a request, one way to move it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from policies import OWN_FILE, Context, Policies, Resource
from sandbox.airlock.vault import Vault
from sandbox.inbound.child import read_apart
from sandbox.inbound.model import IMPORT, ImportRequest, ImportState, Rules, Step
from sandbox.inbound.reading import Reading
from sandbox.inbound.store import IMPORTS
from sandbox.workspaces.model import LIVING, Workspace
from sandbox.workspaces.own_files import OwnZone
from sandbox.workspaces.store import WORKSPACES
from shuzha.authorization.model import Grant
from shuzha.authorization.store import GRANTS
from shuzha.core.actor import Actor, platform_actor
from shuzha.core.errors import Invalid, NotFound
from shuzha.core.keys import KeyRing
from shuzha.core.lawbook import LawBook
from shuzha.core.work import Database, Work
from shuzha.releases.model import Release
from shuzha.releases.store import RELEASES

Reader = Callable[[Path, str, Rules], tuple[bytes, Reading]]
_DECIDED = frozenset({"approve", "reject", "return", "remove"})


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything that import requests need, passed in once. `scratch` is a folder for a file while it is read."""

    database: Database
    policies: Policies
    law: LawBook
    keys: KeyRing
    vault: Vault
    zone: OwnZone
    release_folder: Callable[[Release], Path]
    scratch: Path
    rules: Rules = field(default_factory=Rules)
    reader: Reader = read_apart


def import_resource(request: ImportRequest, organisation: str = "") -> Resource:
    """Return the request as decisions see it: its unit's, or the provider's where that is `organisation`."""
    owner = organisation or request.organisation
    return Resource("import", request.id, owner, request.author, request.authorization, request.grant)


class Desk:
    """The base of the groups of verbs on import requests."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._database = parts.database
        self._vault = parts.vault
        self._platform = platform_actor("inbound")

    @property
    def rules(self) -> Rules:
        """The parameters in force."""
        return self._parts.rules

    def _get_seen(self, work: Work, actor: Actor, import_id: str) -> ImportRequest:
        """Return a request that the actor may see; one that he may not does not exist for him."""
        request = work.get(IMPORTS, import_id)
        if not self._can_see(actor, request, work):
            raise NotFound(f"no imports with id {import_id}")
        return request

    def _can_see(self, actor: Actor, request: ImportRequest, work: Work) -> bool:
        views = (import_resource(request), import_resource(request, request.provider))
        can = self._parts.policies.can
        if can(actor, "import:view", views[0], Context(at=work.now())):
            return True
        return actor.organisation == request.provider and can(actor, "import:view", views[1], Context(at=work.now()))

    def _move(
        self, work: Work, actor: Actor, request: ImportRequest, verb: str, said: str, *, reason: str = "",
        data: Mapping[str, Any] | None = None, **changes: Any,
    ) -> ImportRequest:  # fmt: skip
        """Decide, move, store and log one verb in the open unit of work, and return the changed request."""
        now = work.now()
        permission = IMPORT.permission(verb)
        self._parts.policies.check(actor, permission, import_resource(request), Context(at=now))
        move = IMPORT.next(request.state, verb, request.id)
        due: dict[str, Any] = {"due": None, "due_provisional": False}
        if move.clock:
            found = self._parts.law.due(move.clock, now)
            due = {} if found is None else {"due": found.date, "due_provisional": found.provisional}
        steps = (*request.steps, Step(verb, actor.id, now, reason))
        fresh = work.save(IMPORTS, replace(request, state=move.target, reason=reason, steps=steps, **(due | changes)))
        approver = actor.id if verb in _DECIDED else None
        work.emit(permission, fresh.id, said, data=_told(fresh) | dict(data or {}), approver=approver, medium="file")
        return fresh

    def _check_join(self, actor: Actor, request: ImportRequest, grant: Grant, joins: str, work: Work) -> None:
        """Refuse a join that the grant does not allow, naming the policy line and the clause behind it."""
        asked = Context(
            at=work.now(), entry=grant.entry, columns=frozenset({joins}), operation="join",
            partners=frozenset({OWN_FILE}), place="workspace",
        )  # fmt: skip
        self._parts.policies.check(actor, "data:join", import_resource(request), asked)

    def _check_open(self, actor: Actor, request: ImportRequest, grant: Grant, work: Work) -> None:
        """Refuse where the grant is not in force, or not for workspaces."""
        asked = Context(at=work.now(), entry=grant.entry, place="workspace")
        self._parts.policies.check(actor, "data:view", import_resource(request), asked)

    def _workspace(self, work: Work, workspace_id: str) -> Workspace:
        """Return a workspace that is not closed."""
        found = work.get(WORKSPACES, workspace_id)
        if found.state not in LIVING:
            raise Invalid(
                f"workspace {found.id} is {found.state}", rule="own.workspace", accepted="one that is not closed"
            )
        return found

    def _forget(self, *addresses: str) -> None:
        """Remove bytes that no request needs any more; in a writing transaction, so that none is added meanwhile."""
        with self._database.work(self._platform) as work:
            for address in filter(None, dict.fromkeys(addresses)):
                if not _is_needed(work, address):
                    self._vault.remove(address)


def releases_of(work: Work, workspace: Workspace) -> tuple[Release, ...]:
    """Return the releases that the workspace has inside."""
    return tuple(work.get(RELEASES, one) for one in workspace.releases)


def grant_of(work: Work, request: ImportRequest) -> Grant:
    """Return the grant of the request's workspace."""
    return work.get(GRANTS, request.grant)


def needed_address(request: ImportRequest) -> tuple[str, ...]:
    """Return the addresses whose bytes the request still needs."""
    upload = request.sha256 if request.state is ImportState.RECEIVED else ""
    return tuple(filter(None, (upload, request.parsed, request.outcome)))


def _is_needed(work: Work, address: str) -> bool:
    table = IMPORTS.table.c
    found = work.list(IMPORTS, (table.sha256 == address) | (table.parsed == address) | (table.outcome == address))
    return any(address in needed_address(one) for one in found)


def _told(request: ImportRequest) -> dict[str, Any]:
    return {
        "import": request.id, "workspace": request.workspace, "authorization": request.authorization,
        "grant": request.grant, "organisation": request.organisation, "state": request.state.value,
        "sha256": request.sha256, "name": request.name, "rows": request.rows, "reason": request.reason,
    }  # fmt: skip
