"""The way of rows into the raw zone: a batch is received into the inbox, then ingested by a job that bears a repeat."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from policies import Context, Policies, Resource
from shuzha.catalog.checks import check_receiving
from shuzha.catalog.inbox import CappedFile, plain_name
from shuzha.catalog.ingest import clear_inbox, ingest_batch
from shuzha.catalog.lake import RawZone
from shuzha.catalog.model import BATCH, Batch, BatchMode, BatchState, Entry, Receipt, Refusal
from shuzha.catalog.resources import batch_resource, entry_resource
from shuzha.catalog.store import BATCHES, ENTRIES
from shuzha.core.actor import Actor, platform_actor
from shuzha.core.errors import Conflict, Invalid, NotAllowed, NotFound, ShuzhaError, TransitionNotAllowed, Unavailable
from shuzha.core.ids import new_id
from shuzha.core.work import Database, Work

DEFAULT_UPLOAD_BYTES = 20 * 10**9
_CHUNK = 4 << 20
_ABANDONED_SECONDS = 24 * 3600
_FINAL = frozenset({BatchState.INGESTED, BatchState.REFUSED})
_WAITING = frozenset({BatchState.RECEIVED, BatchState.INGESTING})


class Aggregation:
    """Receives and ingests batches; `max_upload_bytes` caps one upload."""

    def __init__(
        self, database: Database, policies: Policies, zone: RawZone, max_upload_bytes: int = DEFAULT_UPLOAD_BYTES
    ) -> None:
        self._database = database
        self._policies = policies
        self._zone = zone
        self.max_upload_bytes = max_upload_bytes

    def receive_batch(
        self, actor: Actor, entry_id: str, path: Path, mode: BatchMode | str, file_name: str = ""
    ) -> Batch:
        """Return the batch of a copy of the file at `path`; refuses what `open_upload` and `IncomingBatch` refuse."""
        with self.open_upload(actor, entry_id, mode, file_name or path.name) as incoming, path.open("rb") as source:
            while chunk := source.read(_CHUNK):
                incoming.write(chunk)
            return incoming.finish()

    def open_upload(self, actor: Actor, entry_id: str, mode: BatchMode | str, file_name: str) -> IncomingBatch:
        """Return a place to write an upload to, chunk by chunk, before one byte of it was read.

        Refuses who may not deliver for this entry, an entry that is not published, a merge without key columns.
        """
        kind = _mode(mode)
        with self._database.read() as work:
            self._receiving_entry(work, actor, entry_id, kind)
        batch_id = new_id("bat")
        file = CappedFile(self._zone.inbox(batch_id), plain_name(file_name), self.max_upload_bytes)
        return IncomingBatch(self, actor, batch_id, entry_id, kind, file)

    def store_batch(self, actor: Actor, incoming: IncomingBatch) -> Batch:
        """Record a wholly written upload as a received batch; its event asks for the job `run_ingest`."""
        with self._database.work(actor) as work:
            entry = self._receiving_entry(work, actor, incoming.entry_id, incoming.mode)
            batch = Batch(
                incoming.id, entry.id, entry.provider, incoming.mode, BATCH.initial, incoming.file_name,
                incoming.file.size, incoming.file.sha256, actor.id, work.now(),
            )  # fmt: skip
            work.add(BATCHES, batch)
            content = f"batch of {batch.size} bytes received for entry {entry.code}, sha256 {batch.sha256}"
            work.emit(
                "batch:receive", batch.id, content, data={"entry": entry.id, "mode": batch.mode.value}, medium="file"
            )
        return batch

    def run_ingest(self, batch_id: str) -> Receipt | None:
        """Return the receipt of a batch once it is in the lake, or None where it is refused; bears any repeat.

        A batch that was committed before this process died is found by its id and not written again. What is wrong
        with the file is kept in the batch as its refusal; a fault of the platform is raised, to be tried again.
        """
        actor = platform_actor("ingest")
        with self._database.read() as work:
            entry_id = work.get(BATCHES, batch_id).entry
        with self._zone.lock(entry_id):
            batch, entry = self._start(actor, batch_id)
            if batch.state is BatchState.INGESTING:
                try:
                    receipt = ingest_batch(self._zone, entry, batch, batch.received_at)
                except (Invalid, Conflict, TransitionNotAllowed) as error:
                    batch = self._refuse(actor, batch, error)
                else:
                    batch = self._finish(actor, batch, receipt)
            clear_inbox(self._zone, batch_id)
        return batch.receipt

    def list_unfinished(self) -> tuple[str, ...]:
        """Return the ids of batches that wait for their job, oldest first: a worker asks for them when it starts."""
        with self._database.read() as work:
            found = work.list(BATCHES, BATCHES.table.c.state.in_([state.value for state in _WAITING]))
        return tuple(batch.id for batch in found)

    def sweep_inbox(self) -> int:
        """Remove uploads that broke off over a day ago and files of finished batches; return how many went."""
        waiting = set(self.list_unfinished())
        # Files bear the host's time, so their age is counted in it and not in the platform's, which a demo moves.
        now, removed = time.time(), 0
        for path in sorted((self._zone.folder / "inbox").iterdir()):
            batch_id = path.name.split(".")[0]
            if batch_id in waiting or (
                now - path.stat().st_mtime < _ABANDONED_SECONDS and not self._is_final(batch_id)
            ):
                continue
            path.unlink(missing_ok=True)
            removed += 1
        return removed

    def get_batch(self, actor: Actor, batch_id: str) -> Batch:
        """Return a batch that the actor may see; raises NotFound for those of others."""
        with self._database.read() as work:
            batch = work.find(BATCHES, batch_id)
            if batch is None or not self._policies.can(
                actor, "batch:view", batch_resource(batch), Context(at=work.now())
            ):
                raise NotFound(f"no batch with id {batch_id}")
            return batch

    def list_batches(self, actor: Actor, entry_id: str | None = None) -> tuple[Batch, ...]:
        """Return the batches that the actor may see, newest first."""
        equal = {"entry": entry_id} if entry_id else {}
        with self._database.read() as work:
            context = Context(at=work.now())
            found = work.list(BATCHES, newest_first=True, **equal)
            return tuple(
                batch for batch in found if self._policies.can(actor, "batch:view", batch_resource(batch), context)
            )

    def _receiving_entry(self, work: Work, actor: Actor, entry_id: str, mode: BatchMode) -> Entry:
        entry = work.get(ENTRIES, entry_id)
        resource = Resource("batch", organisation=entry.provider, author=actor.id)
        decision = self._policies.decide(actor, "batch:receive", resource, Context(at=work.now()))
        if not decision.allowed:
            seen = self._policies.can(actor, "entry:browse", entry_resource(entry), Context(at=work.now()))
            what = f"cannot deliver for entry {entry.code}" if seen else "cannot deliver for this entry"
            raise NotAllowed(f"{what}: {decision.reason}", rule=decision.rule)
        check_receiving(entry, mode)
        return entry

    def _start(self, actor: Actor, batch_id: str) -> tuple[Batch, Entry]:
        with self._database.work(actor) as work:
            batch = work.get(BATCHES, batch_id)
            entry = work.get(ENTRIES, batch.entry)
            self._policies.check(actor, "batch:ingest", batch_resource(batch), Context(at=work.now()))
            if batch.state is BatchState.RECEIVED:
                batch = work.save(BATCHES, replace(batch, state=BATCH.next(batch.state, "ingest", batch.id).target))
        if batch.state is BatchState.INGESTING and not self._zone.inbox(batch.id).exists():
            raise Unavailable(f"the upload of batch {batch.id} is not in the inbox")
        return batch, entry

    def _finish(self, actor: Actor, batch: Batch, receipt: Receipt) -> Batch:
        with self._database.work(actor) as work:
            move = BATCH.next(batch.state, "ingest", batch.id)
            batch = work.save(BATCHES, replace(batch, state=move.target, receipt=receipt))
            entry = work.get(ENTRIES, batch.entry)
            newest = max(receipt.delta_version, -1 if entry.raw_version is None else entry.raw_version)
            rows = receipt.table_rows if newest == receipt.delta_version else entry.raw_rows
            work.save(ENTRIES, replace(entry, raw_version=newest, raw_rows=rows))
            content = f"batch ingested for entry {entry.code}: {receipt.rows} rows, raw version {receipt.delta_version}"
            data = {"entry": entry.id, "rows": receipt.rows, "raw_version": receipt.delta_version}
            work.emit("batch:ingest", batch.id, content, data=data, medium="lake")
        return batch

    def _refuse(self, actor: Actor, batch: Batch, error: ShuzhaError) -> Batch:
        refusal = Refusal(error.message, error.code, error.rule, error.accepted)
        with self._database.work(actor) as work:
            self._policies.check(actor, "batch:refuse", batch_resource(batch), Context(at=work.now()))
            move = BATCH.next(batch.state, "refuse", batch.id)
            batch = work.save(BATCHES, replace(batch, state=move.target, refusal=refusal))
            content = f"batch refused: {error.message}"
            work.emit("batch:refuse", batch.id, content, data={"entry": batch.entry, "rule": error.rule})
        return batch

    def _is_final(self, batch_id: str) -> bool:
        with self._database.read() as work:
            batch = work.find(BATCHES, batch_id)
        return batch is not None and batch.state in _FINAL


class IncomingBatch:
    """An upload being written into the inbox; a context that ends without `finish` leaves nothing behind."""

    def __init__(
        self, aggregation: Aggregation, actor: Actor, batch_id: str, entry_id: str, mode: BatchMode, file: CappedFile
    ) -> None:
        self.id = batch_id
        self.entry_id = entry_id
        self.mode = mode
        self.file = file
        self._aggregation = aggregation
        self._actor = actor
        self._stored = False

    @property
    def file_name(self) -> str:
        """The name that the sender gave the file."""
        return self.file.name

    def rename(self, name: str) -> None:
        """Take the name that a form told only once its file had begun."""
        self.file.name = plain_name(name)

    def write(self, chunk: bytes) -> None:
        """Add bytes; refuses more than the installation's cap."""
        self.file.write(chunk)

    def finish(self) -> Batch:
        """Return the received batch once every byte is on disk; refuses an empty upload."""
        self.file.close()
        batch = self._aggregation.store_batch(self._actor, self)
        self._stored = True
        return batch

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._stored:
            self.file.discard()


def _mode(mode: BatchMode | str) -> BatchMode:
    try:
        return BatchMode(mode)
    except ValueError:
        raise Invalid("no such batch mode", rule="batch.mode", accepted=", ".join(BatchMode)) from None
