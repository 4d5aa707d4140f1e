"""`shuzha import`: a file becomes a draft entry with what was found in it, or a batch of its published entry.

Everything goes through the catalogue's own verbs, as the account that asks; nothing here writes a table.
"""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass, replace
from pathlib import Path

from policies import Context, Resource
from shuzha.catalog.importing import infer_draft
from shuzha.catalog.model import (
    EDITABLE,
    RECEIVING,
    Batch,
    BatchMode,
    BatchState,
    Entry,
    EntryDraft,
    Finding,
    SubjectKind,
    Title,
)
from shuzha.core.actor import Actor
from shuzha.core.errors import TransitionNotAllowed
from shuzha.core.settings import Settings
from shuzha.server.platform import Platform

_SETTLED = frozenset({BatchState.INGESTED, BatchState.REFUSED})
_POLL_SECONDS = 0.1
_NO_TITLE = Title("", "")


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """A file and what its provider says of it; what is left empty is proposed from the file."""

    file: Path
    code: str
    name: str = ""
    title: Title = _NO_TITLE
    abstract: str = ""
    entity_key: str | None = None
    key_columns: tuple[str, ...] = ()
    mode: BatchMode = BatchMode.FULL

    @property
    def entry_name(self) -> str:
        """The name that notebooks call the dataset by: as asked, or made of the file's name."""
        return self.name or proposed_name(self.file.stem)


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of a file: its entry with the newest findings, and the batch where the entry was published."""

    entry: Entry
    findings: tuple[Finding, ...]
    batch: Batch | None = None


class Importer:
    """Imports files for one account."""

    def __init__(self, platform: Platform, actor: Actor) -> None:
        self._platform = platform
        self._catalog = platform.catalog
        self._actor = actor

    def run(self, request: ImportRequest, wait_seconds: float = 60.0) -> Imported:
        """Return the new draft, the draft scanned again, or the batch of the published entry that has the code.

        A batch is waited for while a worker runs. Refuses an entry under review, suspended or retired.
        """
        entry = self._catalog.find_entry_by_code(self._actor, request.code)
        if entry is None:
            return self._scan(self._draft(request), request.file)
        if entry.state in EDITABLE:
            return self._scan(entry, request.file)
        if entry.state not in RECEIVING:
            raise TransitionNotAllowed(
                f"cannot import into entry {entry.code}: it is {entry.state}", rule="lifecycle.entry",
                accepted="a code that no entry has, a draft, or a published entry",
            )  # fmt: skip
        batch = self._catalog.receive_batch(self._actor, entry.id, request.file, request.mode)
        found = entry.scan.findings if entry.scan else ()
        return Imported(entry, found, self._wait(batch, wait_seconds))

    def _draft(self, request: ImportRequest) -> Entry:
        # Asked before the scan, which may take long; the verb asks again.
        actor, platform = self._actor, self._platform
        resource = Resource("entry", organisation=actor.organisation, author=actor.id)
        platform.policies.check(actor, "entry:draft", resource, Context(at=platform.clock.now()))
        name = request.entry_name
        title = Title(request.title.zh or name, request.title.en or name)
        scratch = platform.raw_zone.inbox("import").parent
        sheet = infer_draft(request.file, request.code, name, title, scratch)
        return self._catalog.draft_entry(actor, with_wishes(sheet, request))

    def _scan(self, entry: Entry, file: Path) -> Imported:
        scan = self._catalog.scan_sample(self._actor, entry.id, file)
        return Imported(self._catalog.accept_proposals(self._actor, entry.id), scan.findings)

    def _wait(self, batch: Batch, seconds: float) -> Batch:
        deadline = time.monotonic() + seconds
        while batch.state not in _SETTLED and time.monotonic() < deadline and is_taken_in(self._platform.settings):
            time.sleep(_POLL_SECONDS)
            batch = self._catalog.aggregation.get_batch(self._actor, batch.id)
        return batch


def with_wishes(sheet: EntryDraft, request: ImportRequest) -> EntryDraft:
    """Return the inferred sheet with what the provider said himself; an empty entity key means nobody's rows."""
    if request.abstract:
        sheet = replace(sheet, abstract=request.abstract)
    if request.entity_key == "":
        kept = tuple(name for name in sheet.key_columns if name != sheet.entity_key)
        sheet = replace(sheet, entity_key=None, subject_kind=SubjectKind.NONE, key_columns=kept)
    elif request.entity_key is not None:
        kind = SubjectKind.PERSON if sheet.subject_kind is SubjectKind.NONE else sheet.subject_kind
        sheet = replace(sheet, entity_key=request.entity_key, subject_kind=kind)
    return replace(sheet, key_columns=request.key_columns) if request.key_columns else sheet


def proposed_name(stem: str) -> str:
    """Return a file's name as a dataset's: a lower-case letter, then letters, digits and `_`."""
    plain = re.sub(r"[^a-z0-9]+", "_", stem.lower()).strip("_")[:63]
    return plain if plain[:1].isalpha() else f"data_{plain}".rstrip("_")


def is_taken_in(settings: Settings) -> bool:
    """Return whether a worker of this installation runs, so that a received batch will be taken in soon."""
    try:
        os.kill(int((settings.folder("run") / "worker.pid").read_text()), 0)
    except (FileNotFoundError, ValueError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True
