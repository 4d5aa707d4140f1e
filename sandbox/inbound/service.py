"""The service of import requests: every verb, what each person may see of them, and what a workspace has inside."""

from __future__ import annotations

from typing import Any

from policies import OWN_FILE, Context
from sandbox.inbound.asking import Asking
from sandbox.inbound.base import grant_of, import_resource, releases_of
from sandbox.inbound.deciding import Deciding
from sandbox.inbound.joining import joinable
from sandbox.inbound.model import IMPORT, ImportRequest, ImportState, as_seen_by
from sandbox.inbound.store import IMPORTS
from sandbox.inbound.working import Working
from sandbox.workspaces.records.specs import OWN_FILES, GrantedRelease
from sandbox.workspaces.store import WORKSPACES
from shuzha.core.actor import Actor
from shuzha.core.errors import Invalid, NotFound


class InboundService(Asking, Working, Deciding):
    """Import requests of one installation; `read`, `screen` and `admit` are jobs."""

    def get_import(self, actor: Actor, import_id: str) -> ImportRequest:
        """Return one request as this person may see it; raises NotFound for one that he may not see at all."""
        with self._database.read() as work:
            return as_seen_by(self._get_seen(work, actor, import_id), actor.organisation)

    def list_imports(self, actor: Actor, *, workspace: str | None = None) -> tuple[ImportRequest, ...]:
        """Return the requests that the actor may see, newest first."""
        equal = {} if workspace is None else {"workspace": workspace}
        with self._database.read() as work:
            found = work.list(IMPORTS, newest_first=True, **equal)
            seen = [one for one in found if self._can_see(actor, one, work)]
        return tuple(as_seen_by(one, actor.organisation) for one in seen)

    def list_to_review(self, actor: Actor) -> tuple[ImportRequest, ...]:
        """Return the requests that this person can decide now, the oldest due first."""
        now = self._database.clock.now()
        can = self._parts.policies.can
        mine = [
            one
            for one in self.list_imports(actor)
            if one.state is ImportState.SCREENED and can(actor, "import:approve", import_resource(one), Context(at=now))
        ]
        return tuple(sorted(mine, key=lambda one: (one.due is None, one.due, one.id)))

    def list_joinable(self, actor: Actor, import_id: str) -> tuple[str, ...]:
        """Return the columns that the request's key may join, by the grant: none where it does not allow `join`."""
        with self._database.read() as work:
            request = self._get_seen(work, actor, import_id)
            workspace, grant = work.get(WORKSPACES, request.workspace), grant_of(work, request)
            known = {name for release in releases_of(work, workspace) for name in joinable(release)}
            return tuple(sorted(name for name in known if not self._refusal(actor, request, grant, name, work)))

    def find_join_refusal(self, actor: Actor, import_id: str) -> str:
        """Return why the grant allows no join, with the rule behind it; empty where it allows one."""
        with self._database.read() as work:
            request = self._get_seen(work, actor, import_id)
            workspace, grant = work.get(WORKSPACES, request.workspace), grant_of(work, request)
            known = sorted({name for release in releases_of(work, workspace) for name in joinable(release)})
            refusals = [self._refusal(actor, request, grant, name, work) for name in known]
        if not known:
            return "the workspace has no pseudonymized column"
        return "" if "" in refusals else refusals[0]

    def list_own(self, workspace: str) -> list[dict[str, Any]]:
        """Return name, rows and columns of each file that the workspace of this id has inside now."""
        with self._database.read() as work:
            found = work.list(IMPORTS, workspace=workspace, state=ImportState.IMPORTED.value)
        return [
            {
                "name": one.name, "kind": "own", "import": one.id, "rows": one.rows, "columns": list(one.entering()),
                "joins": one.joins,
            }
            for one in found
        ]  # fmt: skip

    def mount_of(self, import_id: str) -> GrantedRelease:
        """Return the mount of one own file for a clean room; refuses one that is no longer in its workspace."""
        with self._database.read() as work:
            request = work.find(IMPORTS, import_id)
        if request is None:
            raise NotFound(f"no imports with id {import_id}")
        folder = self._parts.zone.find(request.workspace_name, request.name)
        if request.state is not ImportState.IMPORTED or folder is None:
            raise Invalid(f"own file {request.name} is {request.state}", rule="own.file", accepted="one that is inside")
        return GrantedRelease(f"{OWN_FILES}/{request.name}", folder)

    def can(self, actor: Actor, verb: str, request: ImportRequest) -> bool:
        """Return whether a page offers this verb to the actor: the state allows it and so does the policy."""
        context = Context(at=self._database.clock.now())
        allowed = self._parts.policies.can(actor, IMPORT.permission(verb), import_resource(request), context)
        return allowed and IMPORT.can(request.state, verb)

    def _refusal(self, actor: Actor, request: ImportRequest, grant: Any, name: str, work: Any) -> str:
        asked = Context(
            at=work.now(), entry=grant.entry, columns=frozenset({name}), operation="join",
            partners=frozenset({OWN_FILE}), place="workspace",
        )  # fmt: skip
        decision = self._parts.policies.decide(actor, "data:join", import_resource(request), asked)
        return "" if decision.allowed else f"{decision.reason} ({decision.rule})"
