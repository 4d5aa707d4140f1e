"""The HTTP face of workspaces in the platform's API; every rule is the service's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fastapi import APIRouter, Depends

from sandbox.workspaces.model import Workspace
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


def make_router(service: WorkspaceService, actor: ActorDependency) -> APIRouter:
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

    return router
