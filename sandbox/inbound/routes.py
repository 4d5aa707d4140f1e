"""The HTTP face of import requests; every rule is the service's."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import msgspec
from fastapi import APIRouter, Depends, Request
from fastapi.concurrency import run_in_threadpool

from sandbox.inbound.model import ImportRequest, Wanted
from sandbox.inbound.service import InboundService
from shuzha.catalog.uploads import RequestFile
from shuzha.core.actor import Actor
from shuzha.core.errors import Invalid

ActorDependency = Callable[..., Actor]
_FILE_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
            "multipart/form-data": {
                "schema": {"type": "object", "properties": {"file": {"type": "string", "format": "binary"}}}
            },
        },
    },
}


@dataclasses.dataclass(frozen=True, slots=True)
class Reason:
    """Why something is decided."""

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - read by pydantic from a dataclass
    reason: str


def make_router(service: InboundService, actor: ActorDependency) -> APIRouter:
    """Return the routes of own files: brought to a workspace, decided below `/imports`."""
    router = APIRouter(tags=["imports"])
    _add_reading(router, service, actor)
    _add_asking(router, service, actor)
    for verb, act in {
        "approve": service.approve, "return": service.return_for_changes, "reject": service.reject,
        "withdraw": service.withdraw, "remove": service.remove,
    }.items():  # fmt: skip
        router.post(f"/imports/{{import_id}}/{verb}", name=f"{verb}_import")(_verb(service, actor, act))
    return router


def _add_reading(router: APIRouter, service: InboundService, actor: ActorDependency) -> None:
    @router.get("/imports")
    def list_imports(workspace: str | None = None, who: Actor = Depends(actor)) -> list[dict[str, Any]]:
        return [_plain(request) for request in service.list_imports(who, workspace=workspace)]

    @router.get("/imports/to-review")
    def list_imports_to_review(who: Actor = Depends(actor)) -> list[dict[str, Any]]:
        return [_plain(request) for request in service.list_to_review(who)]

    @router.get("/imports/{import_id}")
    def get_import(import_id: str, who: Actor = Depends(actor)) -> dict[str, Any]:
        return _plain(service.get_import(who, import_id))


def _add_asking(router: APIRouter, service: InboundService, actor: ActorDependency) -> None:
    async def receive_import(workspace_id: str, request: Request, who: Actor = Depends(actor)) -> dict[str, Any]:
        """Bring a file: a raw body (`?file=` names it) or a form with one file."""
        await run_in_threadpool(service.check_may_bring, who, workspace_id)
        name, content = await read_upload(request, service.rules.bytes)
        return _plain(await run_in_threadpool(service.receive, who, workspace_id, name, content))

    router.add_api_route(
        "/workspaces/{workspace_id}/imports", receive_import, methods=["POST"], status_code=202,
        openapi_extra=_FILE_BODY,
    )  # fmt: skip

    @router.post("/imports/{import_id}/submit")
    def submit_import(import_id: str, body: Wanted, who: Actor = Depends(actor)) -> dict[str, Any]:
        service.submit(who, import_id, body)
        return _plain(service.get_import(who, import_id))


async def read_upload(request: Request, most: int) -> tuple[str, bytes]:
    """Return name and bytes of a request's file; refuses more than `most` bytes where they grow beyond."""
    file, held = RequestFile(request), bytearray()
    async for piece in file.chunks():
        held += piece
        if len(held) > most:
            raise Invalid(f"the file has more than {most} bytes", rule="own.bytes", accepted=f"at most {most} bytes")
    return file.file_name, bytes(held)


def _verb(
    service: InboundService, actor: ActorDependency, act: Callable[[Actor, str, str], ImportRequest]
) -> Callable[..., dict[str, Any]]:
    def run(import_id: str, body: Reason, who: Actor = Depends(actor)) -> dict[str, Any]:
        act(who, import_id, body.reason)
        return _plain(service.get_import(who, import_id))

    return run


def _plain(request: ImportRequest) -> dict[str, Any]:
    """Return a request as plain JSON, without what is only of use inside."""
    found: dict[str, Any] = msgspec.to_builtins(request)
    for name in ("revision", "parsed", "outcome", "workspace_name"):
        found.pop(name)
    return found
