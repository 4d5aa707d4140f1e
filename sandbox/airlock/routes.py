"""The HTTP face of export requests; every rule is the service's."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import msgspec
from fastapi import APIRouter, Depends, Response

from sandbox.airlock.model import Choice, ExportRequest
from sandbox.airlock.service import AirlockService
from shuzha.core.actor import Actor

ActorDependency = Callable[..., Actor]


@dataclasses.dataclass(frozen=True, slots=True)
class Ballot:
    """A reviewer's answer, and why; `withheld` names outputs that an approval holds back, each with the reason."""

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - read by pydantic from a dataclass
    choice: Choice
    reason: str
    withheld: dict[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True)
class Reason:
    """Why something is decided."""

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - read by pydantic from a dataclass
    reason: str


@dataclasses.dataclass(frozen=True, slots=True)
class Remark:
    """A comment on a request, or on one of its outputs; a private one is not for the author's unit."""

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - read by pydantic from a dataclass
    text: str
    file: str = ""
    private: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class RuleChange:
    """Parameters of the disclosure rules by their dotted names, to be in force from now on, and why."""

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - read by pydantic from a dataclass
    changes: dict[str, int | float]
    reason: str


def make_router(service: AirlockService, actor: ActorDependency) -> APIRouter:
    """Return the routes below `/exports`. A request is submitted from its workspace, not here."""
    router = APIRouter(prefix="/exports", tags=["exports"])
    _add_rules(router, service, actor)
    _add_reading(router, service, actor)
    _add_deciding(router, service, actor)
    return router


def _add_rules(router: APIRouter, service: AirlockService, actor: ActorDependency) -> None:
    @router.get("/rules")
    def get_rules(who: Actor = Depends(actor)) -> dict[str, Any]:
        rules, sets = service.rules.describe(who)
        return {"version": rules.version, "values": rules.as_dict(), "sets": _builtins(sets)}

    @router.post("/rules")
    def set_rules(body: RuleChange, who: Actor = Depends(actor)) -> dict[str, Any]:
        found: dict[str, Any] = _builtins(service.rules.set_rules(who, body.changes, body.reason))
        return found


def _builtins(value: Any) -> Any:
    return msgspec.to_builtins(value)


def _add_reading(router: APIRouter, service: AirlockService, actor: ActorDependency) -> None:
    @router.get("")
    def list_exports(workspace: str | None = None, who: Actor = Depends(actor)) -> list[dict[str, Any]]:
        return [_plain(request) for request in service.list_exports(who, workspace=workspace)]

    @router.get("/to-review")
    def list_to_review(who: Actor = Depends(actor)) -> list[dict[str, Any]]:
        return [_plain(request) for request in service.list_to_review(who)]

    @router.get("/{export_id}")
    def get_export(export_id: str, who: Actor = Depends(actor)) -> dict[str, Any]:
        return _plain(service.get_export(who, export_id))

    @router.get("/{export_id}/notebook")
    def read_notebook(export_id: str, who: Actor = Depends(actor)) -> Response:
        return _download(service.read_notebook(who, export_id), "application/x-ipynb+json")

    @router.get("/{export_id}/files/{file}")
    def read_file(export_id: str, file: str, who: Actor = Depends(actor)) -> Response:
        return _download(service.read_file(who, export_id, file), "application/octet-stream")

    @router.get("/{export_id}/record")
    def read_record(export_id: str, who: Actor = Depends(actor)) -> Response:
        record = service.read_record(who, export_id)
        headers = {"Shuzha-Signature": record.signature, "Shuzha-Public-Key": record.public_key.hex()}
        return Response(record.content, media_type="application/json", headers=headers)

    @router.get("/{export_id}/bundle")
    def read_bundle(export_id: str, who: Actor = Depends(actor)) -> Response:
        return _download(service.read_record(who, export_id).bundle(), "application/json")


def _add_deciding(router: APIRouter, service: AirlockService, actor: ActorDependency) -> None:
    @router.post("/{export_id}/vote")
    def vote(export_id: str, body: Ballot, who: Actor = Depends(actor)) -> dict[str, Any]:
        service.vote(who, export_id, body.choice, body.reason, body.withheld)
        return _plain(service.get_export(who, export_id))

    @router.post("/{export_id}/consolidate")
    def consolidate(export_id: str, body: Ballot, who: Actor = Depends(actor)) -> dict[str, Any]:
        return _plain(service.consolidate(who, export_id, body.choice, body.reason, body.withheld))

    @router.post("/{export_id}/comments")
    def comment(export_id: str, body: Remark, who: Actor = Depends(actor)) -> dict[str, Any]:
        return _plain(service.comment(who, export_id, body.text, file=body.file, private=body.private))

    verbs: dict[str, Callable[[Actor, str, str], ExportRequest]] = {
        "withdraw": service.withdraw,
        "return": service.return_for_changes,
        "reject": service.reject,
        "recall": service.recall,
    }

    for verb, act in verbs.items():
        router.post(f"/{{export_id}}/{verb}", name=f"{verb}_export")(_verb(service, actor, act))


def _verb(
    service: AirlockService, actor: ActorDependency, act: Callable[[Actor, str, str], ExportRequest]
) -> Callable[..., dict[str, Any]]:
    def run(export_id: str, body: Reason, who: Actor = Depends(actor)) -> dict[str, Any]:
        act(who, export_id, body.reason)
        return _plain(service.get_export(who, export_id))

    return run


def _plain(request: ExportRequest) -> dict[str, Any]:
    """Return a request as plain JSON, without what is only of use inside."""
    found: dict[str, Any] = msgspec.to_builtins(request)
    for name in ("revision", "held_from", "session"):
        found.pop(name)
    return found


def _download(content: bytes, media: str) -> Response:
    # An output is other people's content: a browser keeps it as a file and never shows it as a page.
    headers = {"Content-Disposition": "attachment", "X-Content-Type-Options": "nosniff"}
    return Response(content, media_type=media, headers=headers)
