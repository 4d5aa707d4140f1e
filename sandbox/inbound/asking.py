"""The applicant's verbs: bring a file, say what it is for, withdraw the request, take the file away."""

from __future__ import annotations

import datetime as dt
import hashlib
from dataclasses import replace

from policies import Context
from sandbox.inbound.base import Desk, grant_of, import_resource, releases_of
from sandbox.inbound.joining import joinable
from sandbox.inbound.model import (
    IMPORT,
    LIVING,
    ImportRequest,
    ImportState,
    Wanted,
    check_reason,
    check_wanted,
    use_columns,
)  # fmt: skip
from sandbox.inbound.store import IMPORTS
from sandbox.workspaces.model import Workspace
from sandbox.workspaces.records.specs import OWN_FILES
from shuzha.authorization.store import GRANTS
from shuzha.catalog.inbox import plain_name
from shuzha.core.actor import Actor
from shuzha.core.errors import Invalid, NotFound
from shuzha.core.ids import new_id
from shuzha.core.work import Work


class Asking(Desk):
    """Receive, submit, withdraw, remove."""

    def check_may_bring(self, actor: Actor, workspace_id: str) -> None:
        """Refuse, before a byte is read, who may not bring files into this workspace and one that has its fill."""
        with self._database.read() as work:
            self._check_quota(work, self._blank(work, actor, workspace_id))

    def receive(self, actor: Actor, workspace_id: str, file_name: str, content: bytes) -> ImportRequest:
        """Return the new request of a file for a workspace of the actor's unit; the platform reads it next.

        Refuses another unit's workspace, a closed one, a grant that is not in force, an empty or too large file, and
        more files than an authorization may bring.
        """
        if not 0 < len(content) <= self.rules.bytes:
            raise Invalid(
                f"the file is empty or has more than {self.rules.bytes} bytes", rule="own.bytes",
                accepted=f"1 to {self.rules.bytes} bytes",
            )  # fmt: skip
        with self._database.work(actor) as work:
            blank = self._blank(work, actor, workspace_id)
            self._check_quota(work, blank)
            request = replace(
                blank, id=new_id("imp"), file_name=plain_name(file_name), size=len(content),
                sha256=hashlib.sha256(content).hexdigest(),
            )  # fmt: skip
            self._vault.put(content)
            work.add(IMPORTS, request)
            data = {"workspace": request.workspace, "sha256": request.sha256, "bytes": request.size}
            work.emit("import:receive", request.id, "own file received", data=data, medium="file")
        return request

    def submit(self, actor: Actor, import_id: str, wanted: Wanted) -> ImportRequest:
        """Return the request submitted with what it is for and what becomes of each column; it is screened next.

        Refuses what `check_wanted` refuses, a join that the grant does not allow (naming the line and clause), and more
        submissions than an authorization has in a day.
        """
        with self._database.work(actor) as work:
            request = self._get_seen(work, actor, import_id)
            self._parts.policies.check(actor, "import:submit", import_resource(request), Context(at=work.now()))
            IMPORT.next(request.state, "submit", request.id)
            workspace, grant = self._workspace(work, request.workspace), grant_of(work, request)
            releases = releases_of(work, workspace)
            columns = {name: release.id for release in releases for name in joinable(release)}
            taken = [OWN_FILES, *(release.name for release in releases), *_names(work, request)]
            check_wanted(request, wanted, columns, taken)
            self._check_open(actor, request, grant, work)
            if wanted.key:
                self._check_join(actor, request, grant, wanted.joins, work)
            _check_pace(work, request, self.rules.submissions_a_day)
            said = "own file submitted: " + ("it joins" if wanted.key else "no join")
            return self._move(
                work, actor, request, "submit", said, name=wanted.name, purpose=wanted.purpose.strip(),
                origin=wanted.origin.value, statement=wanted.statement.strip(), columns=use_columns(request, wanted),
                key=wanted.key, joins=wanted.joins, release=columns.get(wanted.joins, ""), findings=(), closed=(),
                data={"key": wanted.key, "joins": wanted.joins, "origin": wanted.origin.value},
            )  # fmt: skip

    def withdraw(self, actor: Actor, import_id: str, reason: str) -> ImportRequest:
        """Return the request withdrawn; nothing of the file is kept."""
        return self._end(actor, import_id, "withdraw", "own file withdrawn", reason)

    def remove(self, actor: Actor, import_id: str, reason: str) -> ImportRequest:
        """Return the request removed: the file is out of the workspace at once.

        Its pseudonyms are kept by the platform while the workspace lives: someone may have copied them into his home,
        and the next list is measured together with them.
        """
        reason = check_reason(reason)
        with self._database.work(actor) as work:
            request = self._get_seen(work, actor, import_id)
            removed = self._move(work, actor, request, "remove", "own file removed", reason=reason)
            self._parts.zone.remove(removed.workspace_name, removed.name)
        return removed

    def _end(self, actor: Actor, import_id: str, verb: str, said: str, reason: str) -> ImportRequest:
        reason = check_reason(reason)
        with self._database.work(actor) as work:
            request = self._get_seen(work, actor, import_id)
            ended = self._move(work, actor, request, verb, said, reason=reason, parsed="", outcome="")
        self._forget(request.sha256, request.parsed, request.outcome)
        return ended

    def _blank(self, work: Work, actor: Actor, workspace_id: str) -> ImportRequest:
        """Return a request without a file; refuses who may not bring any here, and a grant that is not in force."""
        workspace = self._workspace(work, workspace_id)
        request = _blank(actor, workspace, work)
        if not self._parts.policies.can(actor, "import:receive", import_resource(request), Context(at=work.now())):
            self._check_known(actor, workspace, work)
        self._parts.policies.check(actor, "import:receive", import_resource(request), Context(at=work.now()))
        self._check_open(actor, request, work.get(GRANTS, workspace.grant), work)
        return request

    def _check_known(self, actor: Actor, workspace: Workspace, work: Work) -> None:
        """Say that there is no such workspace to whoever may not even see it."""
        seen = import_resource(_blank(actor, workspace, work))
        if not self._parts.policies.can(actor, "workspace:view", seen, Context(at=work.now())):
            raise NotFound(f"no workspaces with id {workspace.id}")

    def _check_quota(self, work: Work, request: ImportRequest) -> None:
        known = work.list(IMPORTS, authorization=request.authorization)
        living, rules = [one for one in known if one.state in LIVING], self.rules
        since = work.now() - dt.timedelta(days=1)
        figures = (
            ("files", len(living), rules.files, "files at once"),
            ("total_bytes", sum(one.size for one in living), rules.total_bytes, "bytes at once"),
            ("uploads", sum(one.created_at > since for one in known), rules.uploads_a_day, "files in a day"),
        )
        for name, figure, most, what in figures:
            if figure >= most:
                raise Invalid(
                    f"authorization {request.authorization} has brought {most} {what}", rule=f"own.{name}",
                    accepted=f"at most {most} {what}: remove one, or wait",
                )  # fmt: skip


def _blank(actor: Actor, workspace: Workspace, work: Work) -> ImportRequest:
    grant = work.get(GRANTS, workspace.grant)
    return ImportRequest(
        id="", workspace=workspace.id, workspace_name=workspace.name, author=actor.id, organisation=workspace.operator,
        authorization=workspace.authorization, demand=workspace.demand, grant=workspace.grant, entry=workspace.entry,
        provider=grant.provider, file_name="", size=0, sha256="", state=ImportState.RECEIVED, created_at=work.now(),
    )  # fmt: skip


def _names(work: Work, request: ImportRequest) -> list[str]:
    """Return the names that other requests of the workspace have taken."""
    return [
        one.name
        for one in work.list(IMPORTS, workspace=request.workspace)
        if one.id != request.id and one.state in LIVING and one.name
    ]


def _check_pace(work: Work, request: ImportRequest, most: int) -> None:
    """Refuse more than `most` submissions a day: each answer says something, if only whether a list passed."""
    since = work.now() - dt.timedelta(days=1)
    steps = [step for one in work.list(IMPORTS, authorization=request.authorization) for step in one.steps]
    if sum(step.verb == "submit" and step.at > since for step in steps) >= most:
        raise Invalid(
            f"authorization {request.authorization} has submitted {most} times within a day", rule="own.pace",
            accepted="another submission later",
        )  # fmt: skip
