"""The catalogue over HTTP: JSON in and out, uploads streamed to the inbox as they arrive.

Permission is asked in the service; what it refuses is raised to the one error map of the server.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict
from starlette.concurrency import run_in_threadpool

from shuzha.catalog.aggregation import Aggregation
from shuzha.catalog.checks import can_submit
from shuzha.catalog.model import ENTRY, Batch, BatchMode, Entry, EntryDraft, EntryState, ScanEvidence
from shuzha.catalog.service import CatalogService
from shuzha.catalog.uploads import RequestFile
from shuzha.core.actor import Actor
from shuzha.core.errors import Invalid

ActorDependency = Callable[..., Any]
_PIECE = 1 << 20
_FILE_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            kind: {"schema": {"type": "string", "format": "binary"}}
            for kind in ("text/csv", "application/vnd.apache.parquet", "application/octet-stream")
        }
        | {
            "multipart/form-data": {
                "schema": {"type": "object", "properties": {"file": {"type": "string", "format": "binary"}}}
            }
        },
    }
}


class Reason(BaseModel):
    """A decision's reason; `grade` is what the authority confirms when it publishes."""

    model_config = ConfigDict(extra="forbid")
    reason: str
    grade: int | None = None


class ProposedChange(BaseModel):
    """A next sheet of a published entry, and why."""

    model_config = ConfigDict(extra="forbid")
    sheet: EntryDraft
    reason: str


class EntryView(BaseModel):
    """An entry, with what can be done with it next and the working days left of its review."""

    entry: Entry
    verbs: tuple[str, ...]
    complete: bool
    remaining_days: int | None


class EntryList(BaseModel):
    """Entries, newest first."""

    items: list[EntryView]


class BatchList(BaseModel):
    """Batches, newest first."""

    items: list[Batch]


def make_router(service: CatalogService, actor: ActorDependency) -> APIRouter:
    """Return the routes of entries and batches; `actor` is the dependency that says who asks."""
    router = APIRouter(tags=["catalog"])
    _add_entry_routes(router, service, actor)
    _add_decision_routes(router, service, actor)
    _add_file_routes(router, service, actor)
    return router


def _view(service: CatalogService, entry: Entry) -> EntryView:
    return EntryView(
        entry=entry,
        verbs=ENTRY.verbs(entry.state),
        complete=can_submit(entry),
        remaining_days=service.remaining_days(entry),
    )


def _add_entry_routes(router: APIRouter, service: CatalogService, who: ActorDependency) -> None:
    def list_entries(
        actor: Actor = Depends(who), state: EntryState | None = None, provider: str | None = None
    ) -> EntryList:
        """List the entries that the caller may see."""
        return EntryList(items=[_view(service, entry) for entry in service.list_entries(actor, state, provider)])

    def draft_entry(sheet: EntryDraft, actor: Actor = Depends(who)) -> EntryView:
        """Draft an entry for the caller's organisation."""
        return _view(service, service.draft_entry(actor, sheet))

    def get_entry(entry_id: str, actor: Actor = Depends(who)) -> EntryView:
        """Get one entry."""
        return _view(service, service.get_entry(actor, entry_id))

    def update_entry(entry_id: str, sheet: EntryDraft, actor: Actor = Depends(who)) -> EntryView:
        """Replace the sheet of a draft or returned entry."""
        return _view(service, service.update_entry(actor, entry_id, sheet))

    def change_entry(entry_id: str, change: ProposedChange, actor: Actor = Depends(who)) -> EntryView:
        """Propose a next version of a published entry."""
        return _view(service, service.change_entry(actor, entry_id, change.sheet, change.reason))

    router.add_api_route("/entries", list_entries, methods=["GET"])
    router.add_api_route("/entries", draft_entry, methods=["POST"], status_code=201)
    router.add_api_route("/entries/{entry_id}", get_entry, methods=["GET"])
    router.add_api_route("/entries/{entry_id}", update_entry, methods=["PATCH"])
    router.add_api_route("/entries/{entry_id}/change", change_entry, methods=["POST"])


def _add_decision_routes(router: APIRouter, service: CatalogService, who: ActorDependency) -> None:
    def submit_entry(entry_id: str, actor: Actor = Depends(who)) -> EntryView:
        """Submit an entry for review."""
        return _view(service, service.submit_entry(actor, entry_id))

    def accept_proposals(entry_id: str, actor: Actor = Depends(who)) -> EntryView:
        """Raise roles and grades to what the scan proposes."""
        return _view(service, service.accept_proposals(actor, entry_id))

    def publish_entry(entry_id: str, body: Reason, actor: Actor = Depends(who)) -> EntryView:
        """Publish an entry, or its pending change, confirming its grade."""
        return _view(service, service.publish_entry(actor, entry_id, body.reason, body.grade))

    router.add_api_route("/entries/{entry_id}/submit", submit_entry, methods=["POST"])
    router.add_api_route("/entries/{entry_id}/accept-proposals", accept_proposals, methods=["POST"])
    router.add_api_route("/entries/{entry_id}/publish", publish_entry, methods=["POST"])
    for verb, decide in (
        ("return", service.return_entry),
        ("suspend", service.suspend_entry),
        ("restore", service.restore_entry),
        ("retire", service.retire_entry),
    ):
        _add_decision(router, service, who, verb, decide)


def _add_decision(
    router: APIRouter,
    service: CatalogService,
    who: ActorDependency,
    verb: str,
    decide: Callable[[Actor, str, str], Entry],
) -> None:
    def decide_entry(entry_id: str, body: Reason, actor: Actor = Depends(who)) -> EntryView:
        return _view(service, decide(actor, entry_id, body.reason))

    router.add_api_route(
        f"/entries/{{entry_id}}/{verb}", decide_entry, methods=["POST"], name=f"{verb}_entry",
        description=f"{verb.capitalize()} an entry, for a reason.",
    )  # fmt: skip


def _add_file_routes(router: APIRouter, service: CatalogService, who: ActorDependency) -> None:
    aggregation = service.aggregation

    async def scan_sample(entry_id: str, request: Request, actor: Actor = Depends(who)) -> ScanEvidence:
        """Scan an uploaded sample; only findings are kept, the sample is removed."""
        file = RequestFile(request)
        with service.open_sample(actor, entry_id) as sample:
            async for piece in _pieces(file):
                await run_in_threadpool(sample.write, piece)
            return await run_in_threadpool(service.scan_sample, actor, entry_id, sample.close(), file.file_name)

    async def receive_batch(
        entry_id: str, request: Request, actor: Actor = Depends(who), mode: BatchMode = BatchMode.FULL
    ) -> Batch:
        """Deliver a batch: a raw body (`?file=` names it) or a form with one file."""
        return await receive_upload(aggregation, actor, entry_id, mode, request)

    def list_batches(entry_id: str, actor: Actor = Depends(who)) -> BatchList:
        """List the batches of an entry."""
        return BatchList(items=list(aggregation.list_batches(actor, entry_id)))

    def get_batch(batch_id: str, actor: Actor = Depends(who)) -> Batch:
        """Get one batch with its receipt or refusal."""
        return aggregation.get_batch(actor, batch_id)

    router.add_api_route("/entries/{entry_id}/scan", scan_sample, methods=["POST"], openapi_extra=_FILE_BODY)
    router.add_api_route(
        "/entries/{entry_id}/batches", receive_batch, methods=["POST"], status_code=202, openapi_extra=_FILE_BODY
    )
    router.add_api_route("/entries/{entry_id}/batches", list_batches, methods=["GET"])
    router.add_api_route("/batches/{batch_id}", get_batch, methods=["GET"])


async def receive_upload(
    aggregation: Aggregation, actor: Actor, entry_id: str, mode: BatchMode | str, request: Request
) -> Batch:
    """Return the batch of a request's file, streamed into the inbox; used by the API and by the portal's form.

    Refuses before reading who may not deliver, and a body whose announced length is over the cap.
    """
    file = RequestFile(request)
    incoming = await run_in_threadpool(aggregation.open_upload, actor, entry_id, mode, file.file_name)
    with incoming:
        if file.announced_bytes > aggregation.max_upload_bytes + _PIECE:
            raise Invalid(
                f"{incoming.file_name} is larger than the cap", rule="batch.size",
                accepted=f"at most {aggregation.max_upload_bytes} bytes",
            )  # fmt: skip
        async for piece in _pieces(file):
            await run_in_threadpool(incoming.write, piece)
        incoming.rename(file.file_name)
        return await run_in_threadpool(incoming.finish)


async def _pieces(file: RequestFile) -> AsyncIterator[bytes]:
    """Yield the file in pieces that are worth a thread each."""
    held = bytearray()
    async for chunk in file.chunks():
        held += chunk
        if len(held) >= _PIECE:
            yield bytes(held)
            held.clear()
    if held:
        yield bytes(held)
