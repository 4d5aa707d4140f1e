"""Where two rooms that do not know each other meet: what workspaces ask of the airlock and of the privacy budget."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sandbox.airlock.model import ExportRequest, Submission
from sandbox.airlock.service import AirlockService
from sandbox.inbound.model import ImportState
from sandbox.inbound.store import IMPORTS
from sandbox.workspaces.model import Workspace
from shuzha.authorization.store import GRANTS
from shuzha.budgets.answering import AnswerService, Asker
from shuzha.core.actor import Actor
from shuzha.core.clock import city_date
from shuzha.core.errors import Invalid, NotAllowed
from shuzha.core.work import Database
from shuzha.oversight.model import Lack
from shuzha.oversight.requirements import Asked, Requirements
from shuzha.people.service import People


def submission_of(
    database: Database, workspace: Workspace, notebook: bytes, *, title: str, context: str, outputs: Mapping[str, str]
) -> Submission:
    """Return what an analyst submits from a workspace, whose grant names the purpose."""
    with database.read() as work:
        purposes = sorted(work.get(GRANTS, workspace.grant).scope.purposes)
        own = work.list(IMPORTS, workspace=workspace.id, state=ImportState.IMPORTED.value)
    return Submission(
        workspace=workspace.id, authorization=workspace.authorization, scenario=workspace.scenario,
        purpose=purposes[0], title=title, context=context, releases=workspace.releases, notebook=notebook,
        outputs=tuple(outputs), session=tuple(sorted(outputs.items())),
        own_files=tuple(one.id for one in own),
    )  # fmt: skip


class ExportWindow:
    """The airlock as the workspaces' sockets see it: whoever asks is the workspace's own analyst."""

    def __init__(self, database: Database, people: People, airlock: AirlockService) -> None:
        self._database = database
        self._people = people
        self._airlock = airlock

    def check_specification(self, workspace: Workspace, specification: dict[str, Any]) -> dict[str, Any]:
        """Return what the automatic checks would find: verdict and findings."""
        asked = submission_of(self._database, workspace, b"", title="check", context="check", outputs={})
        return self._airlock.check(self._analyst(workspace), asked, specification)

    def submit_notebook(
        self, workspace: Workspace, name: str, notebook: bytes, outputs: dict[str, str], context: str
    ) -> dict[str, Any]:
        """Submit an export request in the analyst's name; return its id and state."""
        asked = submission_of(
            self._database, workspace, notebook, title=name.removesuffix(".ipynb"), context=context, outputs=outputs
        )
        return _said(self._airlock.submit(self._analyst(workspace), asked))

    def list_requests(self, workspace: Workspace) -> list[dict[str, Any]]:
        """Return the workspace's export requests, newest first."""
        return [_said(each) for each in self._airlock.list_exports(self._analyst(workspace), workspace=workspace.id)]

    def _analyst(self, workspace: Workspace) -> Actor:
        return self._people.get_account(workspace.author).actor("socket")


class AnswerWindow:
    """Differentially private answers as the workspaces' sockets see them: whoever asks is the workspace's analyst."""

    def __init__(self, people: People, answers: AnswerService) -> None:
        self._people = people
        self._answers = answers

    def answer(self, workspace: Workspace, entry: str, query: dict[str, Any]) -> dict[str, Any]:
        """Return the noisy figures, their intervals and cost."""
        analyst = self._people.get_account(workspace.author).actor("socket")
        return self._answers.answer(Asker(analyst, workspace.id, workspace.grant), entry, query)

    def budget(self, workspace: Workspace) -> dict[str, Any]:
        """Return what is left of the privacy budget."""
        return self._answers.budget(workspace.grant)


class RequirementWindow:
    """Governance requirements as the workspaces' sockets see them: raised in the analyst's name, a few a day.

    Words that a notebook sends leave the sandbox without a reviewer: so they are few and short, and the provider, whose
    data it is, reads them first.
    """

    A_DAY = 5

    def __init__(self, people: People, requirements: Requirements) -> None:
        self._people = people
        self._requirements = requirements

    def raise_requirement(self, workspace: Workspace, lack: str, text: str, columns: tuple[str, ...]) -> dict[str, Any]:
        """Raise one on the workspace's entry; refuses an unknown kind, and a sixth on one day."""
        analyst = self._people.get_account(workspace.author).actor("socket")
        if lack not in set(Lack):
            raise Invalid("no such kind of lack", rule="requirement.lack", accepted=", ".join(Lack))
        day = city_date(self._requirements.clock.now())
        known = self._requirements.list_requirements(analyst, entry=workspace.entry)
        today = [one for one in known if one.workspace == workspace.id and city_date(one.raised_at) == day]
        if len(today) >= self.A_DAY:
            raise NotAllowed(
                "this workspace raised enough requirements today", rule="requirement.a_day",
                accepted=f"{self.A_DAY} a day, or the portal's page of requirements",
            )  # fmt: skip
        asked = Asked(workspace.entry, Lack(lack), text, columns, workspace.id)
        made = self._requirements.raise_requirement(analyst, asked)
        return {"id": made.id, "state": made.state.value, "due": made.due.isoformat() if made.due else ""}


def _said(request: ExportRequest) -> dict[str, Any]:
    last = request.steps[-1].reason if request.steps else ""
    return {"id": request.id, "title": request.title, "state": request.state.value, "reason": last}
