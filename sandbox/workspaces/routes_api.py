"""The HTTP face of workspaces in the platform's API; every rule is the service's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fastapi import APIRouter, Depends

from sandbox.workspaces.gate.screen import Standing
from sandbox.workspaces.model import Workspace
from sandbox.workspaces.screen_store import ScreenBudget, ScreenDay
from sandbox.workspaces.screens import ScreenService
from sandbox.workspaces.service import WorkspaceService
from shuzha.core.actor import Actor

ActorDependency = Callable[..., Actor]


@dataclass(frozen=True, slots=True)
class WorkspaceRequest:
    """Of which granted demand a workspace is wanted."""

    demand: str


@dataclass(frozen=True, slots=True)
class Reason:
    """Why something is decided."""

    reason: str


@dataclass(frozen=True, slots=True)
class BudgetDecision:
    """How many bytes a day may be shown on screens: today only, or lastingly; and why."""

    budget: int
    reason: str
    lasting: bool = False


@dataclass(frozen=True, slots=True)
class ScreenUse:
    """What a workspace shows and may: today by class, the days before, the decisions on its budget."""

    shown: int
    left: int
    state: str
    today: Standing
    days: tuple[ScreenDay, ...]
    decisions: tuple[ScreenBudget, ...]


def make_router(service: WorkspaceService, screens: ScreenService, actor: ActorDependency) -> APIRouter:
    """Return the routes below `/workspaces`."""
    router = APIRouter(prefix="/workspaces", tags=["workspaces"])

    @router.get("")
    def list_workspaces(
        demand: str | None = None, authorization: str | None = None, who: Actor = Depends(actor)
    ) -> tuple[Workspace, ...]:
        return service.list_workspaces(who, demand=demand, authorization=authorization)

    @router.post("", status_code=202)
    def open_workspace(body: WorkspaceRequest, who: Actor = Depends(actor)) -> Workspace:
        return service.open_workspace(who, body.demand)

    @router.get("/{workspace_id}")
    def get_workspace(workspace_id: str, who: Actor = Depends(actor)) -> Workspace:
        return service.get_workspace(who, workspace_id)

    @router.post("/{workspace_id}/stop")
    def stop_workspace(workspace_id: str, who: Actor = Depends(actor)) -> Workspace:
        return service.stop_workspace(who, workspace_id)

    @router.post("/{workspace_id}/suspend")
    def suspend_workspace(workspace_id: str, body: Reason, who: Actor = Depends(actor)) -> Workspace:
        return service.suspend_workspace(who, workspace_id, body.reason)

    @router.post("/{workspace_id}/restore")
    def restore_workspace(workspace_id: str, body: Reason, who: Actor = Depends(actor)) -> Workspace:
        return service.restore_workspace(who, workspace_id, body.reason)

    @router.post("/{workspace_id}/close")
    def close_workspace(workspace_id: str, body: Reason, who: Actor = Depends(actor)) -> Workspace:
        return service.close_workspace(who, workspace_id, body.reason)

    @router.get("/{workspace_id}/screen")
    def get_screen(workspace_id: str, who: Actor = Depends(actor)) -> ScreenUse:
        standing = screens.get_standing(who, workspace_id)
        return ScreenUse(
            standing.shown, standing.left, standing.state, standing, screens.list_days(who, workspace_id),
            screens.list_budgets(who, workspace_id),
        )  # fmt: skip

    @router.post("/{workspace_id}/screen-budget")
    def set_screen_budget(workspace_id: str, body: BudgetDecision, who: Actor = Depends(actor)) -> ScreenBudget:
        return screens.set_budget(who, workspace_id, body.budget, body.reason, lasting=body.lasting)

    return router
