"""The logs and their witnesses over HTTP: public files, cosignatures that are brought, who is a witness."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Depends, Request
from fastapi.concurrency import run_in_threadpool

from shuzha.core.actor import Actor
from shuzha.core.errors import Invalid
from shuzha.ledger.routes import PublicLog, make_log_router
from shuzha.oversight.logs import LOGS
from shuzha.oversight.store import WitnessRecord
from shuzha.oversight.witnesses import MAX_NOTE, Seen, Witnesses

ActorDependency = Callable[..., Actor]


@dataclass(frozen=True, slots=True)
class NewWitness:
    """A witness's public key, the line of its file witness.pub."""

    key: str


@dataclass(frozen=True, slots=True)
class Reason:
    """Why something was decided."""

    reason: str


def make_router(service: Witnesses, actor: ActorDependency) -> APIRouter:
    """Return the routes `/witnesses`, for regulator and authority."""
    router = APIRouter(tags=["oversight"])

    @router.get("/witnesses")
    def list_witnesses(who: Actor = Depends(actor)) -> tuple[WitnessRecord, ...]:
        return service.list_witnesses(who)

    @router.post("/witnesses", status_code=201)
    def register(body: NewWitness, who: Actor = Depends(actor)) -> WitnessRecord:
        return service.register(who, body.key)

    @router.post("/witnesses/{witness_id}/retire")
    def retire(witness_id: str, body: Reason, who: Actor = Depends(actor)) -> WitnessRecord:
        return service.retire(who, witness_id, body.reason)

    return router


def make_public_router(service: Witnesses, folder: Path) -> APIRouter:
    """Return the public routes `/ledger/usage` and `/ledger/audit`: no sign-in, no payload, nothing to be refused."""
    router = APIRouter(include_in_schema=False)
    for name in LOGS:
        router.include_router(make_log_router(PublicLog(folder / name), f"/ledger/{name}", _no_docs))

    @router.get("/ledger/witnesses")
    def list_seen() -> tuple[Seen, ...]:
        return service.list_seen()

    @router.post("/ledger/{name}/cosignatures")
    async def cosign(name: str, request: Request) -> Seen:
        body = await request.body()
        try:
            note = body[: MAX_NOTE + 1].decode()
        except ValueError:
            raise Invalid("this is not a signed note", rule="c2sp.signed_note", accepted="text in UTF-8") from None
        return await run_in_threadpool(service.take, name, note)

    return router


def _no_docs(*_: Any) -> dict[str, Any]:
    return {}
