"""The catalogue's pages: the list, one entry with its elements, scan, batches and decisions, and a new dataset."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, File, Form, Request, UploadFile
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse, Response

from policies import Resource
from shuzha.budgets.service import BudgetService
from shuzha.catalog.importing import infer_draft
from shuzha.catalog.model import (
    EDITABLE,
    ENTRY,
    RECEIVING,
    BatchMode,
    Entry,
    EntryState,
    Opening,
    SubjectKind,
    TermsKind,
    Title,
    UpdateCycle,
)  # fmt: skip
from shuzha.catalog.routes import receive_upload
from shuzha.catalog.service import CatalogService
from shuzha.core.actor import Actor
from shuzha.core.errors import Invalid, ShuzhaError
from shuzha.portal.desk import Desk, Show, Verb, actor_of, parse, progress, status_of

SUFFIXES = frozenset({".csv", ".parquet", ".txt", ".tsv"})
WAY = (EntryState.DRAFT, EntryState.SUBMITTED, EntryState.PUBLISHED)
VERBS = (
    Verb("submit", "Submit for review"),
    Verb("publish", "Publish", reason=True),
    Verb("return", "Return for changes", reason=True, tone="bad"),
    Verb("suspend", "Suspend", reason=True, tone="bad"),
    Verb("restore", "Restore", reason=True),
    Verb("retire", "Retire", reason=True, tone="bad"),
)


class EntryPages:
    """The pages of the catalogue."""

    def __init__(self, desk: Desk, catalog: CatalogService, budgets: BudgetService) -> None:
        self._desk = desk
        self._catalog = catalog
        self._budgets = budgets

    def router(self) -> APIRouter:
        """Return the routes of these pages."""
        router = APIRouter()
        router.add_api_route("/entries", self.show_list, methods=["GET"])
        router.add_api_route("/entries", self.draft, methods=["POST"])
        router.add_api_route("/entries/{entry_id}", self.show, methods=["GET"])
        router.add_api_route("/entries/{entry_id}/sheet", self.edit, methods=["POST"])
        router.add_api_route("/entries/{entry_id}/batches", self.deliver, methods=["POST"])
        router.add_api_route("/entries/{entry_id}/budget", self.set_budget, methods=["POST"])
        router.add_api_route("/entries/{entry_id}/{verb}", self.move, methods=["POST"])
        return router

    def show_list(self, request: Request) -> Response:
        """Show the entries that the person may see, and the form for a new one to whom may list one."""
        return self._list(request)

    def show(self, request: Request, entry_id: str) -> Response:
        """Show one entry."""
        return self._entry(request, entry_id)

    def draft(
        self, request: Request, sample: Annotated[UploadFile, File()], code: Annotated[str, Form()],
        name: Annotated[str, Form()], title_zh: Annotated[str, Form()], title_en: Annotated[str, Form()],
        abstract: Annotated[str, Form()],
    ) -> Response:  # fmt: skip
        """Draft an entry from a sample: its columns, types, identifiers, roles and grade are found in it."""
        actor = actor_of(request)

        def draft() -> Entry:
            with kept(sample) as path:
                named = sample.filename or "sample"
                sheet = infer_draft(path, code, name, Title(title_zh, title_en), path.parent, file_name=named)
                entry = self._catalog.draft_entry(actor, replace(sheet, abstract=abstract))
                self._catalog.scan_sample(actor, entry.id, path, named)
                return self._catalog.accept_proposals(actor, entry.id)

        return self._desk.attempt(
            request, draft, lambda entry: f"/entries/{entry.id}", lambda *said: self._list(request, *said), "draft"
        )

    def edit(
        self, request: Request, entry_id: str, entity_key: Annotated[str, Form()] = "",
        subject_kind: Annotated[str, Form()] = "none", key_columns: Annotated[str, Form()] = "",
        update_cycle: Annotated[str, Form()] = "monthly", classification: Annotated[str, Form()] = "",
        sharing: Annotated[str, Form()] = "conditional", sharing_terms: Annotated[str, Form()] = "",
        opening: Annotated[str, Form()] = "none", opening_terms: Annotated[str, Form()] = "",
        authorizing_basis: Annotated[str, Form()] = "",
    ) -> Response:  # fmt: skip
        """Change what a draft says of its class, subject, keys, cycle, and of the terms of sharing and opening."""
        actor = actor_of(request)

        def update() -> Entry:
            sheet = self._catalog.get_entry(actor, entry_id).sheet
            sharing_kind, opening_kind = parse(TermsKind, sharing), parse(TermsKind, opening)
            condition, basis = _terms(sharing_kind, sharing_terms)
            sheet = replace(
                sheet,
                classification=classification,
                entity_key=entity_key or None,
                subject_kind=parse(SubjectKind, subject_kind),
                key_columns=tuple(part.strip() for part in key_columns.split(",") if part.strip()),
                update_cycle=parse(UpdateCycle, update_cycle),
                sharing=replace(sheet.sharing, kind=sharing_kind, condition=condition, basis=basis),
                opening=Opening(opening_kind, *_terms(opening_kind, opening_terms)),
                authorizing=replace(sheet.authorizing, basis=authorizing_basis),
            )
            return self._catalog.update_entry(actor, entry_id, sheet)

        return self._desk.attempt(request, update, f"/entries/{entry_id}", self._again(request, entry_id), "edit")

    async def deliver(self, request: Request, entry_id: str, mode: str = "full") -> Response:
        """Receive a batch of raw data, streamed into the inbox; the platform's worker takes it in.

        The form's address carries mode and token, so that the body is read once and nowhere spooled.
        """
        actor = actor_of(request)
        try:
            await receive_upload(self._catalog.aggregation, actor, entry_id, mode, request)
        except ShuzhaError as error:
            said = (self._desk.explain(request, error),)
            return await run_in_threadpool(self._entry, request, entry_id, said, status_of(error))
        return RedirectResponse(f"/entries/{entry_id}?done=deliver", 303)

    def set_budget(
        self, request: Request, entry_id: str, epsilon: Annotated[str, Form()], reason: Annotated[str, Form()],
        delta: Annotated[str, Form()] = "", authorization: Annotated[str, Form()] = "",
    ) -> Response:  # fmt: skip
        """Set the privacy budget of an entry, or an authorization's share of it."""
        actor, whose = actor_of(request), authorization.strip()

        def set_budget() -> object:
            most, part = _number(epsilon), _number(delta or "0")
            return self._budgets.set_budget(actor, entry_id, most, part, reason, authorization=whose)

        return self._desk.attempt(request, set_budget, f"/entries/{entry_id}", self._again(request, entry_id), "set")

    def move(self, request: Request, entry_id: str, verb: str, reason: Annotated[str, Form()] = "") -> Response:
        """Submit, publish, return, suspend, restore or retire an entry."""
        actor, catalog = actor_of(request), self._catalog
        actions = {
            "submit": lambda: catalog.submit_entry(actor, entry_id),
            "publish": lambda: catalog.publish_entry(actor, entry_id, reason),
            "return": lambda: catalog.return_entry(actor, entry_id, reason),
            "suspend": lambda: catalog.suspend_entry(actor, entry_id, reason),
            "restore": lambda: catalog.restore_entry(actor, entry_id, reason),
            "retire": lambda: catalog.retire_entry(actor, entry_id, reason),
        }
        return self._desk.act(request, actions, verb, f"/entries/{entry_id}", self._again(request, entry_id))

    def _again(self, request: Request, entry_id: str) -> Show:
        return lambda errors, status: self._entry(request, entry_id, errors, status)

    def _list(self, request: Request, errors: Sequence[str] = (), status: int = 200) -> Response:
        actor = actor_of(request)
        own = Resource("entry", organisation=actor.organisation, author=actor.id)
        return self._desk.page(
            request, "entries.html", status, errors=errors, entries=self._catalog.list_entries(actor),
            may_list=self._desk.can(actor, "entry:draft", own), remaining=self._catalog.remaining_days,
        )  # fmt: skip

    def _entry(self, request: Request, entry_id: str, errors: Sequence[str] = (), status: int = 200) -> Response:
        actor = actor_of(request)
        entry = self._catalog.get_entry(actor, entry_id)
        own = Resource("entry", entry.id, entry.provider, entry.compiler)
        return self._desk.page(
            request, "entry.html", status, errors=errors, entry=entry,
            steps=progress(ENTRY, WAY, entry.state), verbs=self._desk.verbs(actor, ENTRY, entry.state, own, VERBS),
            may_edit=entry.state in EDITABLE and self._desk.can(actor, "entry:draft", own),
            may_deliver=entry.state in RECEIVING and self._desk.can(actor, "batch:receive", own),
            batches=self._catalog.aggregation.list_batches(actor, entry.id), modes=list(BatchMode),
            cycles=list(UpdateCycle), subjects=list(SubjectKind),
            budgets=self._budgets.list_budgets(actor, entry.id), may_set_budget=self._may_set_budget(actor, entry),
            terms=list(TermsKind), remaining=self._catalog.remaining_days(entry),
        )  # fmt: skip

    def _may_set_budget(self, actor: Actor, entry: Entry) -> bool:
        return entry.entity_key is not None and entry.state in RECEIVING and self._budgets.may_set(actor, entry)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise Invalid("a budget that is no number", rule="dp.budget", accepted="a number such as 1 or 1e-6") from None


@contextmanager
def kept(upload: UploadFile) -> Iterator[Path]:
    """Keep an upload in a file with its own name's ending while the block runs."""
    suffix = Path(upload.filename or "").suffix.lower()
    with tempfile.TemporaryDirectory(prefix="shuzha-upload-") as folder:
        path = Path(folder) / f"upload{suffix if suffix in SUFFIXES else ''}"
        with path.open("wb") as file:
            shutil.copyfileobj(upload.file, file)
        yield path


def _terms(kind: TermsKind, text: str) -> tuple[str, str]:
    """Return a form's one line of terms as (condition, legal basis of not sharing or opening)."""
    return text if kind is TermsKind.CONDITIONAL else "", text if kind is TermsKind.NONE else ""
