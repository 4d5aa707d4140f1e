"""The author's verbs: submit, submit again after a return, withdraw; and the advice that a notebook can ask for."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import msgspec

from policies import Context
from sandbox.airlock.base import Desk, grant_resource
from sandbox.airlock.model import EXPORT, ExportRequest, ExportState, Submission, check_reason, check_submission
from sandbox.airlock.store import EXPORTS
from sandbox.workspaces.clean_room.outbox import Declared, OutputKind
from sandbox.workspaces.clean_room.run import NotebookRefused, parse_notebook
from shuzha.authorization.store import GRANTS
from shuzha.core.actor import Actor
from shuzha.core.errors import Invalid, NotAllowed
from shuzha.core.ids import new_id
from shuzha.core.work import Work
from shuzha.releases.store import RELEASES

MOST_A_DAY: Final = 50


class Submitting(Desk):
    """Submit, submit again, withdraw, check."""

    def submit(self, actor: Actor, submission: Submission) -> ExportRequest:
        """Return the new request, submitted: its notebook is kept unchanged from here on.

        Refuses a submission that leaves something out, bytes that are no notebook, releases of another authorization
        or of a grant that is not in force, and more submissions than a workspace has in a day.
        """
        check_submission(submission)
        _check_notebook(submission.notebook)
        notebook = self._vault.put(submission.notebook)
        with self._database.work(actor) as work:
            draft = _draft(actor, submission, notebook, work)
            self._check(actor, "export:draft", draft, work.now())
            _check_pace(work, submission.workspace)
            self._check_releases(work, actor, submission)
            work.add(EXPORTS, draft)
            work.emit("export:draft", draft.id, "export request drafted", data={"authorization": draft.authorization})
            return self._submitted(work, actor, draft)

    def resubmit(self, actor: Actor, export_id: str, submission: Submission) -> ExportRequest:
        """Return a returned request, submitted again with a new notebook; a new round of review begins."""
        check_submission(submission)
        _check_notebook(submission.notebook)
        notebook = self._vault.put(submission.notebook)
        with self._database.work(actor) as work:
            request = self._get_seen(work, actor, export_id)
            EXPORT.next(request.state, "submit", request.id)
            if (submission.workspace, submission.authorization) != (request.workspace, request.authorization):
                raise Invalid(
                    f"cannot submit {request.id} again from elsewhere", rule="export.workspace",
                    accepted="the same workspace and authorization",
                )  # fmt: skip
            self._check_releases(work, actor, submission)
            _check_pace(work, submission.workspace)
            fresh = replace(
                request, title=submission.title, context=submission.context, purpose=submission.purpose,
                releases=submission.releases, outputs=submission.outputs, notebook=notebook, round=request.round + 1,
                own_files=submission.own_files, session=submission.session,
                files=(), findings=(), run=None, verdict="", due=None,
            )  # fmt: skip
            return self._submitted(work, actor, fresh)

    def withdraw(self, actor: Actor, export_id: str, reason: str) -> ExportRequest:
        """Return the request withdrawn by its author or the unit; nothing leaves."""
        reason = check_reason(reason)
        with self._database.work(actor) as work:
            request = self._get_seen(work, actor, export_id)
            return self._move(work, actor, request, "withdraw", "export request withdrawn", reason=reason, due=None)

    def check(self, actor: Actor, submission: Submission, specification: dict[str, Any]) -> dict[str, Any]:
        """Return what the automatic checks would say of one specification: advice, which the airlock does not rest on.

        `repairs` are changed specifications that were tried and would pass (`sandbox.airlock.repairs.Suggestion`).
        `submission` says from where and for what; its notebook may be empty. Nothing is kept or changed, and
        the claims of a verification are not counted (`Screener.advisor`).
        """
        kinds = {kind.value: kind for kind in OutputKind if kind is not OutputKind.FILE}
        kind = kinds.get(str(specification.get("kind")), OutputKind.TABLE)
        with self._database.read() as work:
            draft = _draft(actor, submission, "", work)
            now = work.now()
            self._check_releases(work, actor, submission)
        declared = Declared("check", kind, "", msgspec.json.encode(specification), None, "application/json")

        def allows(source: Any, operation: str, output: str, columns: frozenset[str]) -> str | None:
            asked = Context(
                at=now, entry=source.entry, columns=columns, operation=operation, output_kind=output,
                purpose=submission.purpose, place="workspace",
            )  # fmt: skip
            return self._check_export(actor, draft, source, asked)

        screener = self._screener()
        judged = screener.advisor().advise(draft, declared, allows)
        findings = [finding.as_dict() for finding in judged.findings]
        repairs = [one.as_dict() for one in judged.repairs]
        return {
            "verdict": judged.file.verdict.value,
            "findings": findings,
            "rows": judged.file.rows,
            "repairs": repairs,
            "rules": screener.rules.as_dict() | {"version": screener.rules.version},
        }

    def _submitted(self, work: Work, actor: Actor, request: ExportRequest) -> ExportRequest:
        data = {"notebook": request.notebook, "round": request.round, "workspace": request.workspace}
        return self._move(work, actor, request, "submit", "export request submitted", data=data)

    def _check_releases(self, work: Work, actor: Actor, submission: Submission) -> None:
        """Refuse releases that are not of the request's authorization or that the author may not use now."""
        _check_distinct(submission.releases)
        for release_id in submission.releases:
            release = work.get(RELEASES, release_id)
            if release.authorization != submission.authorization:
                raise NotAllowed(
                    f"release {release_id} is not of authorization {submission.authorization}", rule="export.release"
                )
            grant = work.get(GRANTS, release.grant)
            self._parts.policies.check(
                actor, "data:view", grant_resource(grant), Context(at=work.now(), entry=grant.entry)
            )


def _check_pace(work: Work, workspace: str) -> None:
    """Refuse (more than `MOST_A_DAY`): each answer tells a little of the raw rows that claims are counted over."""
    since = work.now() - dt.timedelta(days=1)
    steps = [step for one in work.list(EXPORTS, workspace=workspace) for step in one.steps]
    if sum(step.verb == "submit" and step.at > since for step in steps) >= MOST_A_DAY:
        raise Invalid(
            f"workspace {workspace} has submitted {MOST_A_DAY} times within a day", rule="export.pace",
            accepted="another submission later",
        )  # fmt: skip


def _draft(actor: Actor, submission: Submission, notebook: str, work: Work) -> ExportRequest:
    return ExportRequest(
        id=new_id("exp"), title=submission.title, context=submission.context, author=actor.id,
        organisation=actor.organisation, workspace=submission.workspace, authorization=submission.authorization,
        scenario=submission.scenario, purpose=submission.purpose, releases=submission.releases,
        outputs=submission.outputs, notebook=notebook, state=ExportState.DRAFT, created_at=work.now(),
        own_files=submission.own_files, session=submission.session,
    )  # fmt: skip


def _check_notebook(notebook: bytes) -> None:
    try:
        parse_notebook(notebook)
    except NotebookRefused as error:
        raise Invalid(str(error), rule="export.notebook", accepted="a saved notebook of format 4") from None


def _check_distinct(releases: Sequence[str]) -> None:
    if len(set(releases)) != len(releases):
        raise Invalid(
            "the export request names a release twice", rule="export.submission", accepted="each release once"
        )
