"""The airlock's pages: the queue, and one request with its files, findings, run, blind vote and record."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import PurePosixPath
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from sandbox.airlock.base import export_resource
from sandbox.airlock.model import (
    ENDED,
    EXPORT,
    IN_REVIEW,
    REVIEWERS,
    Choice,
    ExportFile,
    ExportRequest,
    ExportState,
    check_reviewer,
)  # fmt: skip
from sandbox.airlock.rulebook import RULES, flatten
from sandbox.airlock.rules import NOTES, Rules
from sandbox.airlock.ways import WAYS
from shuzha.core.actor import Actor
from shuzha.core.calendar import Due
from shuzha.core.errors import NotAllowed, NotFound
from shuzha.portal.desk import Desk, Show, Verb, actor_of, parse, progress
from shuzha.portal.finding_words import say_place
from shuzha.portal.reading import (
    Cell,
    Grounds,
    is_picture,
    is_table,
    is_verification,
    read_cells,
    read_claims,
    read_grounds,
    read_number,
    read_subject,
    read_table,
)
from shuzha.portal.render import speech_of
from shuzha.portal.services import Services

_E = ExportState
WAY = (_E.SUBMITTED, _E.RERUNNING, _E.SCREENED, _E.UNDER_REVIEW, _E.APPROVED, _E.SEALED, _E.RELEASED)
MOVING = frozenset({_E.SUBMITTED, _E.RERUNNING, _E.APPROVED, _E.SEALED})
VERBS = (
    Verb("withdraw", "Withdraw", reason=True, tone="bad"),
    Verb("return", "Return without waiting for votes", reason=True, tone="bad"),
    Verb("reject", "Reject", reason=True, tone="bad"),
    Verb("hold", "Hold", reason=True, tone="bad"),
    Verb("resume", "Resume", reason=True),
    Verb("recall", "Recall what was released", reason=True, tone="bad"),
)
CHOICES = (
    (Choice.APPROVE, "Approve", ""),
    (Choice.CHANGES, "Ask for changes", "plain"),
    (Choice.REJECT, "Reject", "bad"),
)
VIEWS = ("review", "mine", "all", "fared", "rules")
MOST_RELATED = 12
_KINDS = {"csv": "text/csv; charset=utf-8", "json": "application/json", "png": "image/png", "svg": "image/svg+xml"}


class ExportPages:
    """The pages of export requests."""

    def __init__(self, desk: Desk, services: Services) -> None:
        self._desk = desk
        self._airlock = services.airlock
        self._law = services.law

    def router(self) -> APIRouter:
        """Return the routes of these pages."""
        router = APIRouter()
        router.add_api_route("/exports", self.show_list, methods=["GET"])
        router.add_api_route("/exports/rules", self.set_rule, methods=["POST"])
        router.add_api_route("/exports/{export_id}", self.show, methods=["GET"])
        router.add_api_route("/exports/{export_id}/files/{name}", self.download, methods=["GET"])
        router.add_api_route("/exports/{export_id}/record", self.record, methods=["GET"])
        router.add_api_route("/exports/{export_id}/bundle", self.bundle, methods=["GET"])
        router.add_api_route("/exports/{export_id}/files/{name}/evidence", self.evidence, methods=["GET"])
        router.add_api_route("/exports/{export_id}/comments", self.comment, methods=["POST"])
        router.add_api_route("/exports/{export_id}/vote", self.vote, methods=["POST"])
        router.add_api_route("/exports/{export_id}/{verb}", self.move, methods=["POST"])
        return router

    def show_list(self, request: Request, show: str = "") -> Response:
        """Show the queue (what awaits this reviewer, the person's own requests, all), or how requests fared."""
        actor = actor_of(request)
        chosen = show if show in VIEWS else "review" if actor.has("checker") else "all"
        if chosen == "fared":
            fared = self._airlock.count_causes(actor)
            return self._desk.page(
                request, "exports_fared.html", chosen=chosen, views=self._views(actor), fared=fared,
                meanings={note.rule: note.meaning for note in NOTES},
            )  # fmt: skip
        if chosen == "rules":
            return self._rules(request)
        found = self._airlock.list_to_review(actor) if chosen == "review" else self._airlock.list_exports(actor)
        if chosen == "mine":
            found = tuple(one for one in found if one.author == actor.id)
        return self._desk.page(
            request, "exports.html", exports=found, chosen=chosen, views=self._views(actor), left=self._left
        )

    def set_rule(
        self, request: Request, parameter: Annotated[str, Form()] = "", value: Annotated[str, Form()] = "",
        reason: Annotated[str, Form()] = "",
    ) -> Response:  # fmt: skip
        """Put one parameter of the rules in force."""
        actor, rules = actor_of(request), self._airlock.rules
        return self._desk.attempt(
            request, lambda: rules.set_rules(actor, {parameter: read_number(value)}, reason), "/exports?show=rules",
            lambda errors, status: self._rules(request, errors, status), "set",
        )  # fmt: skip

    def _rules(self, request: Request, errors: Sequence[str] = (), status: int = 200) -> Response:
        """Show the rules with the parameters in force, and every change that the authority made."""
        actor, book = actor_of(request), self._airlock.rules
        rules, sets = book.describe(actor)
        return self._desk.page(
            request, "exports_rules.html", status, errors=errors, chosen="rules", views=self._views(actor), notes=NOTES,
            version=rules.version, values=flatten(rules), defaults=flatten(Rules()), sets=sets,
            may_set=book.can_set(actor),
        )  # fmt: skip

    def show(self, request: Request, export_id: str, file: str = "") -> Response:
        """Show one request, with one of its files."""
        return self._export(request, export_id, file=file)

    def download(self, request: Request, export_id: str, name: str) -> Response:
        """Give an output's bytes, as they would leave or have left."""
        actor = actor_of(request)
        content = self._airlock.read_file(actor, export_id, name)
        found = self._airlock.get_export(actor, export_id).find_file(name)
        kind = found.type if found else ""
        label = f"{PurePosixPath(name).stem}.{kind or 'txt'}".encode("ascii", "replace").decode()
        headers = {"Content-Disposition": f'attachment; filename="{label}"', "X-Content-Type-Options": "nosniff"}
        return Response(content, media_type=_KINDS.get(kind, "application/octet-stream"), headers=headers)

    def record(self, request: Request, export_id: str) -> Response:
        """Give the release record's exact bytes, over which the signature is."""
        found = self._airlock.read_record(actor_of(request), export_id)
        headers = {
            "Content-Disposition": f'attachment; filename="{export_id}.json"',
            "Shuzha-Signature": found.signature,
        }
        return Response(found.content, media_type="application/json", headers=headers)

    def bundle(self, request: Request, export_id: str) -> Response:
        """Give record, signature and log proof as the file that a receiver checks offline."""
        found = self._airlock.read_record(actor_of(request), export_id).bundle()
        headers = {"Content-Disposition": f'attachment; filename="{export_id}.bundle.json"'}
        return Response(found, media_type="application/json", headers=headers)

    def evidence(self, request: Request, export_id: str, name: str) -> Response:
        """Give the whole report of the rules on one output."""
        found = self._airlock.read_evidence(actor_of(request), export_id, name)
        headers = {"Content-Disposition": f'attachment; filename="{export_id}.evidence.json"'}
        return Response(found, media_type="application/json", headers=headers)

    def comment(
        self, request: Request, export_id: str, text: Annotated[str, Form()] = "", file: Annotated[str, Form()] = "",
        private: Annotated[str, Form()] = "",
    ) -> Response:  # fmt: skip
        """Leave a remark on a request."""
        actor = actor_of(request)
        return self._desk.attempt(
            request, lambda: self._airlock.comment(actor, export_id, text, file=file, private=bool(private)),
            f"/exports/{export_id}", self._again(request, export_id), "comment",
        )  # fmt: skip

    def vote(
        self, request: Request, export_id: str, choice: Annotated[str, Form()], reason: Annotated[str, Form()] = "",
        withhold: Annotated[list[str], Form()] = [], why: Annotated[str, Form()] = "",  # noqa: B006 - FastAPI copies it
    ) -> Response:  # fmt: skip
        """Vote on a request, or decide one on which two reviewers differed; `withhold` names outputs held back."""
        actor = actor_of(request)
        kept = dict.fromkeys(withhold, why)

        def vote() -> object:
            chosen = parse(Choice, choice)
            if self._airlock.get_export(actor, export_id).state is _E.CONSOLIDATION:
                return self._airlock.consolidate(actor, export_id, chosen, reason, kept)
            return self._airlock.vote(actor, export_id, chosen, reason, kept)

        return self._desk.attempt(request, vote, f"/exports/{export_id}", self._again(request, export_id), "vote")

    def move(self, request: Request, export_id: str, verb: str, reason: Annotated[str, Form()] = "") -> Response:
        """Withdraw, return, reject, hold, resume or recall a request."""
        actor, service = actor_of(request), self._airlock
        actions = {
            "withdraw": lambda: service.withdraw(actor, export_id, reason),
            "return": lambda: service.return_for_changes(actor, export_id, reason),
            "reject": lambda: service.reject(actor, export_id, reason),
            "hold": lambda: service.hold(actor, export_id, reason),
            "resume": lambda: service.resume(actor, export_id, reason),
            "recall": lambda: service.recall(actor, export_id, reason),
        }
        return self._desk.act(request, actions, verb, f"/exports/{export_id}", self._again(request, export_id))

    def _again(self, request: Request, export_id: str) -> Show:
        return lambda errors, status: self._export(request, export_id, errors, status)

    def _views(self, actor: Actor) -> list[tuple[str, str]]:
        names = {
            "review": "Awaiting my review", "mine": "My requests", "all": "All", "fared": "How requests fare",
            "rules": "Rules in force",
        }  # fmt: skip
        may = dict.fromkeys(VIEWS, True) | {"review": actor.has("checker"), "mine": actor.has("analyst")}
        may["rules"] = self._desk.can(actor, "rules:view", RULES)
        return [(view, names[view]) for view in VIEWS if may[view]]

    def _left(self, found: ExportRequest) -> int | None:
        """Return the working days that are left for the review."""
        if found.due is None:
            return None
        return self._law.remaining(Due(found.due, found.due_provisional), self._desk.clock.now())

    def _export(
        self, request: Request, export_id: str, errors: Sequence[str] = (), status: int = 200, *, file: str = ""
    ) -> Response:
        actor = actor_of(request)
        found = self._airlock.get_export(actor, export_id)
        wanted = file or request.query_params.get("file", "")
        chosen = found.find_file(wanted) or next(iter(found.files), None)
        verbs = self._desk.verbs(actor, EXPORT, found.state, export_resource(found), _offered(actor))
        findings = [one for one in found.findings if chosen is None or one.file in ("", chosen.name)]
        return self._desk.page(
            request, "export.html", status, errors=errors, export=found, chosen=chosen, verbs=verbs,
            steps=progress(EXPORT, WAY, found.state, _reached(found)),
            moving=found.state in MOVING, left=self._left(found),
            content=self._content(actor, found, chosen) if chosen else {}, choices=CHOICES,
            grounds=self._grounds(actor, found, chosen) if chosen else None,
            findings=findings, firsts={one.rule: one for one in reversed(findings)},
            opens=self._desk.reachable(actor, export_resource(found)), voting=self._voting(actor, found),
            demand=next((one.demand for one in found.files if one.demand), ""),
            votes=found.round_votes, reviewers=REVIEWERS,
            complete=len(found.round_votes) >= REVIEWERS or found.state not in IN_REVIEW,
            cells=self._cells(actor, found), record=self._record(actor, found),
            meanings={note.rule: note.meaning for note in NOTES}, ways=WAYS,
            where=partial(say_place, translate=speech_of(request).t),
            rules_now=self._airlock.rules.in_force().version,
            related=self._airlock.list_related(actor, found.id)[:MOST_RELATED],
            may_comment=found.state not in ENDED and self._desk.can(actor, "export:comment", export_resource(found)),
            may_private=actor.organisation != found.organisation,
            may_deposit=found.state is _E.RELEASED and _is_operator(actor, found),
            may_resubmit=found.state is _E.RETURNED and actor.id == found.author,
        )  # fmt: skip

    def _content(self, actor: Actor, found: ExportRequest, chosen: ExportFile) -> dict[str, Any]:
        """Return what the page shows of a file, or why it shows nothing."""
        try:
            content = self._airlock.read_file(actor, found.id, chosen.name)
        except (NotAllowed, NotFound) as error:
            return {"refusal": error.message}
        if is_table(chosen):
            return {"table": read_table(content)}
        if is_picture(chosen):
            return {"picture": f"/exports/{found.id}/files/{quote(chosen.name, safe='')}"}
        if is_verification(chosen):
            return {"claims": read_claims(content), "subject": read_subject(content)}
        return {"size": len(content)}

    def _grounds(self, actor: Actor, found: ExportRequest, chosen: ExportFile) -> Grounds | None:
        """Return what the cells of a file rest on, for a reviewer; None for the author's unit, which may not see it."""
        try:
            return read_grounds(self._airlock.read_evidence(actor, found.id, chosen.name))
        except (NotAllowed, NotFound):
            return None

    def _cells(self, actor: Actor, found: ExportRequest) -> list[Cell]:
        """Return the cells of the submitted notebook; none for the author's unit, which has it in its workspace."""
        try:
            return read_cells(self._airlock.read_notebook(actor, found.id))
        except NotAllowed:
            return []

    def _voting(self, actor: Actor, found: ExportRequest) -> dict[str, str] | None:
        """Return how the vote form stands for this person: None for nobody's form, else why it is closed, or ''."""
        if not actor.has("checker") or found.state not in IN_REVIEW:
            return None
        if any(vote.reviewer == actor.id for vote in found.round_votes):
            return {"refusal": "You have voted in this round."}
        try:
            check_reviewer(found, actor.id, actor.organisation)
        except NotAllowed as error:
            return {"refusal": error.message}
        return {"refusal": ""}

    def _record(self, actor: Actor, found: ExportRequest) -> dict[str, Any] | None:
        if not found.record:
            return None
        signed = self._airlock.read_record(actor, found.id)
        facts, key = json.loads(signed.content), signed.public_key.hex()
        return {"holds": signed.holds(), "signature": signed.signature, "key": key, "facts": facts}


def _reached(found: ExportRequest) -> ExportState | None:
    """Return how far a request came in its present round before it left the usual way."""
    way = {move.verb: move.target for move in EXPORT.moves if move.target in WAY and move.verb != "resume"}
    for step in reversed(found.steps):
        if step.verb in way:
            return way[step.verb]
    return None


def _is_operator(actor: Actor, found: ExportRequest) -> bool:
    return actor.has("operator") and actor.organisation == found.organisation


def _offered(actor: Actor) -> tuple[Verb, ...]:
    """Return the verbs beside the vote; a reviewer rejects by voting, so only the authority has a button for it."""
    return tuple(verb for verb in VERBS if verb.name != "reject" or actor.has("authority"))
