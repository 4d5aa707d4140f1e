"""The page of the host: what it holds workspaces to, what it cannot, and what the running ones use now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from policies import Resource
from sandbox.workspaces.model import Workspace
from shuzha.core.errors import NotAllowed
from shuzha.portal.desk import Desk, actor_of
from shuzha.portal.services import Services


@dataclass(frozen=True, slots=True)
class Running:
    """A workspace that runs, and what it uses now; None where nobody counts it."""

    workspace: Workspace
    cpu_seconds: float | None = None
    memory_bytes: int | None = None
    processes: int | None = None
    disk_bytes: int | None = None
    disk_most: int | None = None
    hits: int = 0


class HostPages:
    """The page of the workspaces' host."""

    def __init__(self, desk: Desk, services: Services) -> None:
        self._desk = desk
        self._services = services

    def router(self) -> APIRouter:
        """Return the route of this page."""
        router = APIRouter()
        router.add_api_route("/host", self.show, methods=["GET"])
        return router

    def show(self, request: Request) -> Response:
        """Show what the jailer says of its host, and of the workspaces that the person may see."""
        actor = actor_of(request)
        if not self._desk.can(actor, "settings:view", Resource("settings")):
            raise NotAllowed(
                "cannot see the host's settings", rule="settings:view",
                accepted="an administrator, the authority or the regulator",
            )  # fmt: skip
        compute = self._services.compute
        running = [_describe(workspace, told) for workspace, told in compute.list_running(actor)]
        return self._desk.page(request, "host.html", host=compute.describe_host(), running=running)


def _describe(workspace: Workspace, told: Mapping[str, Any] | None) -> Running:
    if told is None:
        return Running(workspace)
    groups = [one for one in told["groups"].values() if one["incarnation"]]
    disk = told["disk"] or {}
    memory = [one["memory_bytes"] for one in groups if one["memory_bytes"] is not None]
    return Running(
        workspace, told["account"]["cpu_nanoseconds"] / 1e9, sum(memory) if memory else None,
        sum(one["processes"] for one in groups) if groups else None, disk.get("used_bytes"), disk.get("most_bytes"),
        sum(told["account"]["hits"].values()),
    )  # fmt: skip
