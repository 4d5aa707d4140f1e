"""The verbs on entries: draft, scan, submit, publish, return, change, suspend, restore, retire; and who sees them."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path

from policies import Context, Policies, Resource
from shuzha.catalog.aggregation import Aggregation
from shuzha.catalog.checks import check_complete, check_draft, check_grade, check_not_secret, check_reason
from shuzha.catalog.inbox import CappedFile
from shuzha.catalog.lake import RawZone
from shuzha.catalog.model import (
    EDITABLE,
    ENTRY,
    PUBLIC,
    Batch,
    BatchMode,
    Change,
    Entry,
    EntryDraft,
    EntryState,
    Receipt,
    ScanEvidence,
)
from shuzha.catalog.resources import entry_resource
from shuzha.catalog.scanning import Scanner, propose, scan_file, scan_frame
from shuzha.catalog.store import ENTRIES
from shuzha.core.actor import Actor
from shuzha.core.calendar import Due
from shuzha.core.errors import Conflict, Invalid, NotFound, TransitionNotAllowed
from shuzha.core.ids import new_id
from shuzha.core.lawbook import LawBook
from shuzha.core.lifecycle import Move
from shuzha.core.work import Database, Work

SAMPLE_BYTES = 64 << 20


class CatalogService:
    """The catalogue of one city; `aggregation` is the way of rows into the raw zone."""

    def __init__(
        self, database: Database, policies: Policies, law: LawBook, zone: RawZone, aggregation: Aggregation,
        scanner: Scanner = scan_frame,
    ) -> None:  # fmt: skip
        self._scanner = scanner
        self._database = database
        self._policies = policies
        self._law = law
        self._zone = zone
        self.aggregation = aggregation

    def draft_entry(self, actor: Actor, sheet: EntryDraft) -> Entry:
        """Return a new draft of the actor's organisation; refuses state secrets and a code that is taken."""
        with self._database.work(actor) as work:
            now = work.now()
            resource = Resource("entry", organisation=actor.organisation, author=actor.id)
            self._policies.check(actor, "entry:draft", resource, Context(at=now))
            check_draft(sheet)
            self._check_code_free(work, sheet.code)
            entry = Entry(new_id("ent"), sheet.code, actor.organisation, actor.id, sheet, ENTRY.initial, now, now)
            work.add(ENTRIES, entry)
            work.emit("entry:draft", entry.id, f"entry {entry.code} drafted")
        return entry

    def update_entry(self, actor: Actor, entry_id: str, sheet: EntryDraft) -> Entry:
        """Return the draft or returned entry with a new sheet; refuses another state, a secret, a taken code."""
        with self._database.work(actor) as work:
            entry = self._permitted(work, actor, entry_id, "entry:draft")
            _check_editable(entry)
            check_draft(sheet)
            if sheet.code != entry.code:
                self._check_code_free(work, sheet.code)
            entry = self._save(work, replace(entry, code=sheet.code, sheet=sheet))
            work.emit("entry:draft", entry.id, f"sheet of entry {entry.code} changed")
        return entry

    def scan_sample(self, actor: Actor, entry_id: str, path: Path, file_name: str = "") -> ScanEvidence:
        """Return what a sample file shows of each column, kept with the entry as evidence: types and rates, no values.

        Refuses a sample whose columns are not the sheet's, unless the entry is published: a change may add columns.
        """
        with self._database.read() as work:
            entry = self._permitted(work, actor, entry_id, "entry:scan")
            now = work.now()
        names = None if entry.state is EntryState.PUBLISHED else [element.name for element in entry.elements]
        scratch = self._zone.inbox(f"{new_id('smp')}.utf8")
        try:
            evidence = scan_file(
                path, file_name or path.name, scratch, names=names, at=now, by=actor.id, scanner=self._scanner
            )
        finally:
            scratch.unlink(missing_ok=True)
        with self._database.work(actor) as work:
            entry = self._permitted(work, actor, entry_id, "entry:scan")
            self._save(work, replace(entry, scan=evidence))
            work.emit("entry:scan", entry.id, f"sample of entry {entry.code} scanned: {evidence.rows} rows")
        return evidence

    def open_sample(self, actor: Actor, entry_id: str) -> CappedFile:
        """Return a temporary file in the raw zone for a sample that is sent; refuses who may not scan."""
        with self._database.read() as work:
            self._permitted(work, actor, entry_id, "entry:scan")
        return CappedFile(self._zone.inbox(new_id("smp")), "sample", SAMPLE_BYTES)

    def accept_proposals(self, actor: Actor, entry_id: str) -> Entry:
        """Return the draft with roles and grades raised to what its scan proposes; refuses one without a scan."""
        with self._database.work(actor) as work:
            entry = self._permitted(work, actor, entry_id, "entry:draft")
            _check_editable(entry)
            if entry.scan is None:
                raise Invalid(
                    f"entry {entry.code}: no sample of it was scanned",
                    rule="entry.scan",
                    accepted="scan a sample first",
                )
            entry = self._save(work, replace(entry, sheet=propose(entry.sheet, entry.scan)))
            work.emit("entry:draft", entry.id, f"proposals of the scan accepted for entry {entry.code}")
        return entry

    def submit_entry(self, actor: Actor, entry_id: str) -> Entry:
        """Return the entry under review, with the last day of it; refuses an incomplete sheet or one without a scan."""
        with self._database.work(actor) as work:
            entry, move = self._moved(work, actor, entry_id, "submit")
            check_complete(entry.sheet, entry.scan)
            entry = self._with_clock(replace(entry, state=move.target, submitted_at=work.now()), move, work.now())
            entry = self._save(work, entry)
            work.emit("entry:submit", entry.id, f"entry {entry.code} submitted", data=_due_data(entry))
        return entry

    def publish_entry(self, actor: Actor, entry_id: str, reason: str, grade: int | None = None) -> Entry:
        """Return the published entry (a new version of it after a change) with its grade confirmed for a reason.

        Refuses a grade below that of the highest element (就高从严), and state secrets.
        """
        with self._database.work(actor) as work:
            entry, move = self._moved(work, actor, entry_id, "publish")
            check_reason(reason, f"entry {entry.code}")
            sheet = entry.change.sheet if entry.change else entry.sheet
            confirmed = sheet.grade if grade is None else grade
            check_not_secret(sheet)
            check_grade(sheet, confirmed)
            entry = replace(
                _without_clock(entry), state=move.target, sheet=sheet, change=None, version=entry.version + 1,
                confirmed_grade=confirmed, grade_reason=reason, decision=reason,
                published_at=entry.published_at or work.now(),
            )  # fmt: skip
            entry = self._save(work, entry)
            content = f"entry {entry.code} published as version {entry.version}, grade {confirmed}: {reason}"
            work.emit("entry:publish", entry.id, content, approver=actor.id, data={"version": entry.version})
        return entry

    def return_entry(self, actor: Actor, entry_id: str, reason: str) -> Entry:
        """Return the entry to its provider to be mended (退回修改, no rejection); published stays published."""
        with self._database.work(actor) as work:
            entry, move = self._moved(work, actor, entry_id, "return")
            check_reason(reason, f"entry {entry.code}")
            entry = replace(_without_clock(entry), state=move.target, change=None, decision=reason)
            entry = self._save(work, entry)
            work.emit("entry:return", entry.id, f"entry {entry.code} returned: {reason}", approver=actor.id)
        return entry

    def change_entry(self, actor: Actor, entry_id: str, sheet: EntryDraft, reason: str) -> Entry:
        """Return the published entry with a proposed next sheet under review; the published one stays in force.

        Refuses another code, an incomplete sheet, and elements that the newest scan did not see.
        """
        with self._database.work(actor) as work:
            entry, move = self._moved(work, actor, entry_id, "change")
            check_reason(reason, f"entry {entry.code}")
            if sheet.code != entry.code:
                raise Invalid(
                    f"entry {entry.code} keeps its code when it changes", rule="entry.code", accepted=entry.code
                )
            check_complete(sheet, entry.scan)
            entry = replace(entry, state=move.target, change=Change(sheet, reason), submitted_at=work.now())
            entry = self._save(work, self._with_clock(entry, move, work.now()))
            content = f"change of entry {entry.code} submitted: {reason}"
            work.emit("entry:change", entry.id, content, data=_due_data(entry))
        return entry

    def suspend_entry(self, actor: Actor, entry_id: str, reason: str) -> Entry:
        """Return the suspended entry: no batches and no new grants until it is restored; a pending change falls."""
        return self._decide(actor, entry_id, "suspend", reason)

    def restore_entry(self, actor: Actor, entry_id: str, reason: str) -> Entry:
        """Return the entry published again, for a reason."""
        return self._decide(actor, entry_id, "restore", reason)

    def retire_entry(self, actor: Actor, entry_id: str, reason: str) -> Entry:
        """Return the entry at its end, for a reason; its code is never used again."""
        return self._decide(actor, entry_id, "retire", reason)

    def get_entry(self, actor: Actor, entry_id: str) -> Entry:
        """Return an entry that the actor may see; raises NotFound for others' drafts, as if they did not exist.

        Who may only browse it sees its number of rows rounded: the exact one would tell of one person more or less.
        """
        with self._database.read() as work:
            entry = work.find(ENTRIES, entry_id)
            if entry is None or not self._sees(actor, entry, work.now()):
                raise NotFound(f"no entry with id {entry_id}")
            return self._as_seen(actor, entry, work.now())

    def find_entry_by_code(self, actor: Actor, code: str) -> Entry | None:
        """Return the entry of this code where there is one that the actor may see."""
        return next(iter(entry for entry in self.list_entries(actor) if entry.code == code), None)

    def list_entries(
        self, actor: Actor, state: EntryState | None = None, provider: str | None = None
    ) -> tuple[Entry, ...]:
        """Return the entries that the actor may see, newest first: published ones, its own, all for the authority."""
        equal = {key: value for key, value in (("state", state), ("provider", provider)) if value is not None}
        with self._database.read() as work:
            now = work.now()
            found = work.list(ENTRIES, newest_first=True, **equal)
            return tuple(self._as_seen(actor, entry, now) for entry in found if self._sees(actor, entry, now))

    def remaining_days(self, entry: Entry) -> int | None:
        """Return the working days left of the authority's review, negative when late; None where no review runs."""
        if entry.due is None:
            return None
        return self._law.remaining(Due(entry.due, entry.due_provisional), self._database.clock.now())

    def receive_batch(
        self, actor: Actor, entry_id: str, path: Path, mode: BatchMode | str, file_name: str = ""
    ) -> Batch:
        """Take a file into the inbox of the raw zone: see `Aggregation.receive_batch`."""
        return self.aggregation.receive_batch(actor, entry_id, path, mode, file_name)

    def run_ingest(self, batch_id: str) -> Receipt | None:
        """Ingest a received batch, as a platform job: see `Aggregation.run_ingest`."""
        return self.aggregation.run_ingest(batch_id)

    def _decide(self, actor: Actor, entry_id: str, verb: str, reason: str) -> Entry:
        with self._database.work(actor) as work:
            entry, move = self._moved(work, actor, entry_id, verb)
            check_reason(reason, f"entry {entry.code}")
            entry = replace(_without_clock(entry), state=move.target, change=None, decision=reason)
            entry = self._save(work, entry)
            content, data = f"entry {entry.code} {verb}: {reason}", {"entry": entry.id, "reason": reason}
            work.emit(f"entry:{verb}", entry.id, content, approver=actor.id, data=data)
        return entry

    def _moved(self, work: Work, actor: Actor, entry_id: str, verb: str) -> tuple[Entry, Move[EntryState]]:
        entry = self._permitted(work, actor, entry_id, ENTRY.permission(verb))
        return entry, ENTRY.next(entry.state, verb, entry.code)

    def _permitted(self, work: Work, actor: Actor, entry_id: str, permission: str) -> Entry:
        entry = work.get(ENTRIES, entry_id)
        self._policies.check(actor, permission, entry_resource(entry), Context(at=work.now()))
        return entry

    def _sees(self, actor: Actor, entry: Entry, now: dt.datetime) -> bool:
        resource, context = entry_resource(entry), Context(at=now)
        if entry.state in PUBLIC and self._policies.can(actor, "entry:browse", resource, context):
            return True
        return self._policies.can(actor, "entry:view", resource, context)

    def _as_seen(self, actor: Actor, entry: Entry, now: dt.datetime) -> Entry:
        if entry.raw_rows is None or self._policies.can(actor, "entry:view", entry_resource(entry), Context(at=now)):
            return entry
        return replace(entry, raw_rows=round_rows(entry.raw_rows))

    def _save(self, work: Work, entry: Entry) -> Entry:
        return work.save(ENTRIES, replace(entry, updated_at=work.now()))

    def _with_clock(self, entry: Entry, move: Move[EntryState], now: dt.datetime) -> Entry:
        due = self._law.due(move.clock, now) if move.clock else None
        return replace(entry, due=due.date if due else None, due_provisional=bool(due and due.provisional))

    def _check_code_free(self, work: Work, code: str) -> None:
        if work.list(ENTRIES, code=code):
            raise Conflict(f"entry code {code} is taken", rule="entry.code", accepted="a code that no entry has or had")


def _without_clock(entry: Entry) -> Entry:
    return replace(entry, due=None, due_provisional=False)


def _check_editable(entry: Entry) -> None:
    if entry.state not in EDITABLE:
        raise TransitionNotAllowed(
            f"cannot edit entry {entry.code}: it is {entry.state}", rule="lifecycle.entry",
            accepted="a draft or returned entry; propose a change to a published one",
        )  # fmt: skip


def _due_data(entry: Entry) -> dict[str, object]:
    return {"due": entry.due.isoformat() if entry.due else None, "provisional": entry.due_provisional}


def round_rows(rows: int) -> int:
    """Return a number of rows with its first digit alone, in hundreds and never 0: what everybody may know of it."""
    step = max(100, int(10 ** (len(str(rows)) - 1)))
    return max(step, round(rows / step) * step)
