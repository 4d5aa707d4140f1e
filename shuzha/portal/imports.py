"""Own files' pages: what a unit brings into its workspaces, one request with its columns and findings, the decision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse, Response

from sandbox.airlock.findings import Finding
from sandbox.inbound.base import import_resource
from sandbox.inbound.model import IMPORT, ImportRequest, ImportState, Origin, Use, Wanted
from sandbox.inbound.routes import read_upload
from sandbox.inbound.screening import ACCEPTED, RULES
from shuzha.core.actor import Actor
from shuzha.core.calendar import Due
from shuzha.portal.desk import Desk, Show, Verb, actor_of, parse, progress
from shuzha.portal.services import Services

_I = ImportState
WAY = (_I.RECEIVED, _I.DRAFT, _I.SUBMITTED, _I.SCREENED, _I.APPROVED, _I.IMPORTED)
MOVING = frozenset({_I.RECEIVED, _I.SUBMITTED, _I.APPROVED})
VERBS = (
    Verb("approve", "Let the file in", reason=True),
    Verb("return", "Return for changes", reason=True, tone="bad"),
    Verb("reject", "Reject", reason=True, tone="bad"),
    Verb("withdraw", "Withdraw", reason=True, tone="bad"),
    Verb("remove", "Take the file away", reason=True, tone="bad"),
)
ORIGINS: Mapping[Origin, str] = {
    Origin.OWN: "The unit's own data",
    Origin.LICENSED: "Licensed or bought",
    Origin.OPEN: "Open to anybody",
}


class ImportPages:
    """The pages of own files."""

    def __init__(self, desk: Desk, services: Services) -> None:
        self._desk = desk
        self._law = services.law
        self._inbound = services.inbound

    def router(self) -> APIRouter:
        """Return the routes of these pages."""
        router = APIRouter()
        router.add_api_route("/imports", self.show_list, methods=["GET"])
        router.add_api_route("/workspaces/{workspace_id}/imports", self.bring, methods=["POST"])
        router.add_api_route("/imports/{import_id}", self.show, methods=["GET"])
        router.add_api_route("/imports/{import_id}/submit", self.submit, methods=["POST"])
        router.add_api_route("/imports/{import_id}/{verb}", self.move, methods=["POST"])
        return router

    def show_list(self, request: Request) -> Response:
        """Show the requests that the person may see."""
        actor = actor_of(request)
        return self._desk.page(request, "imports.html", imports=self._inbound.list_imports(actor), left=self._left)

    def show(self, request: Request, import_id: str) -> Response:
        """Show one request."""
        return self._import(request, import_id)

    async def bring(self, request: Request, workspace_id: str) -> Response:
        """Receive a file for a workspace; the platform reads it.

        The form's address carries the token, so that the body is read once and nowhere spooled.
        """
        actor, inbound = actor_of(request), self._inbound
        await run_in_threadpool(inbound.check_may_bring, actor, workspace_id)
        name, content = await read_upload(request, inbound.rules.bytes)
        made = await run_in_threadpool(inbound.receive, actor, workspace_id, name, content)
        return RedirectResponse(f"/imports/{made.id}?done=receive", 303)

    def submit(
        self, request: Request, import_id: str, name: Annotated[str, Form()], purpose: Annotated[str, Form()],
        origin: Annotated[str, Form()], statement: Annotated[str, Form()],
        keep: Annotated[list[str] | None, Form()] = None, key: Annotated[str, Form()] = "",
        joins: Annotated[str, Form()] = "",
    ) -> Response:  # fmt: skip
        """Submit a file that was read, with what it is for and what becomes of each column."""
        actor = actor_of(request)

        def submit() -> object:
            kept = tuple(column for column in keep or () if column != key)
            wanted = Wanted(name, purpose, parse(Origin, origin), statement, kept, key, joins if key else "")
            return self._inbound.submit(actor, import_id, wanted)

        show = self._again(request, import_id)
        return self._desk.attempt(request, submit, f"/imports/{import_id}", show, "submit")

    def move(self, request: Request, import_id: str, verb: str, reason: Annotated[str, Form()] = "") -> Response:
        """Approve, return, reject, withdraw or remove."""
        actor, service = actor_of(request), self._inbound
        actions = {
            "approve": lambda: service.approve(actor, import_id, reason),
            "return": lambda: service.return_for_changes(actor, import_id, reason),
            "reject": lambda: service.reject(actor, import_id, reason),
            "withdraw": lambda: service.withdraw(actor, import_id, reason),
            "remove": lambda: service.remove(actor, import_id, reason),
        }
        return self._desk.act(request, actions, verb, f"/imports/{import_id}", self._again(request, import_id))

    def _again(self, request: Request, import_id: str) -> Show:
        return lambda errors, status: self._import(request, import_id, errors, status)

    def _import(self, request: Request, import_id: str, errors: Sequence[str] = (), status: int = 200) -> Response:
        actor = actor_of(request)
        found = self._inbound.get_import(actor, import_id)
        own = import_resource(found)
        may_submit = found.state is _I.DRAFT and self._desk.can(actor, "import:submit", own)
        return self._desk.page(
            request, "import.html", status, errors=errors, own_file=found, steps=progress(IMPORT, WAY, found.state),
            moving=found.state in MOVING, verbs=self._desk.verbs(actor, IMPORT, found.state, own, VERBS),
            left=self._left(found), findings=_with_rules(found.findings), closed=_with_rules(found.closed),
            may_submit=may_submit, origins=ORIGINS, origin=_origin(found), uses=Use,
            opens=self._desk.reachable(actor, own), **self._joins(actor, found, may_submit=may_submit),
        )  # fmt: skip

    def _joins(self, actor: Actor, found: ImportRequest, *, may_submit: bool) -> dict[str, Any]:
        """Return what a form offers to join, and why nothing where it offers nothing."""
        if not may_submit:
            return {"joinable": (), "no_join": "", "keys": []}
        return {
            "keys": [(column.name, column.name) for column in found.columns],
            "joinable": [(name, name) for name in self._inbound.list_joinable(actor, found.id)],
            "no_join": self._inbound.find_join_refusal(actor, found.id),
        }

    def _left(self, found: ImportRequest) -> int | None:
        """Return the working days that are left for the review."""
        if found.due is None:
            return None
        return self._law.remaining(Due(found.due, found.due_provisional), self._desk.clock.now())


def _origin(found: ImportRequest) -> str:
    """Return from where the file is, as a message id; empty while nobody has said so."""
    return ORIGINS[Origin(found.origin)] if found.origin else ""


def _with_rules(findings: Sequence[Finding]) -> list[tuple[Finding, str, str]]:
    """Return each finding with the sentence of its rule and what would be accepted, both message ids."""
    return [(one, RULES.get(one.rule, one.rule), ACCEPTED.get(one.rule, "")) for one in findings]
