"""The raw zone: one Delta table per entry and an inbox for uploads, in folders that only platform processes can open.

A batch is written at most once: its id stands in the commit (as an application transaction and as metadata) and is
looked for before writing. Only platform jobs call `scan`.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from deltalake import CommitProperties, DeltaTable, Transaction, WriterProperties
from deltalake.exceptions import DeltaError, TableNotFoundError

from shuzha.catalog.changes import FEED, read_changes
from shuzha.catalog.model import BatchMode
from shuzha.core.errors import Invalid, NotFound, Unavailable

_META = "shuzha.batch"


@dataclass(frozen=True, slots=True)
class Commit:
    """A batch's place in its table: the Delta version it made, and the rows of the table at that version."""

    version: int
    table_rows: int


class RawZone:
    """The raw data of one installation, below one folder of mode 0700."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        for part in (folder, folder / "inbox", folder / "tables", folder / "locks"):
            part.mkdir(parents=True, exist_ok=True, mode=0o700)
            part.chmod(0o700)

    @property
    def folder(self) -> Path:
        """The folder that holds it all."""
        return self._folder

    def inbox(self, name: str) -> Path:
        """Return the path of an upload or working file of a batch."""
        return self._folder / "inbox" / _safe(name)

    def table(self, entry_id: str) -> Path:
        """Return the folder of an entry's table."""
        return self._folder / "tables" / _safe(entry_id)

    @contextmanager
    def lock(self, entry_id: str) -> Iterator[None]:
        """Hold the entry's table alone, among all threads and processes of this host."""
        handle = os.open(self._folder / "locks" / _safe(entry_id), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def exists(self, entry_id: str) -> bool:
        """Return whether any batch of the entry was ingested."""
        return self._find(entry_id) is not None

    def version(self, entry_id: str) -> int:
        """Return the newest version of the entry's table; raises NotFound where nothing was ingested."""
        return int(self._open(entry_id).version())

    def scan(self, entry_id: str, version: int | None = None) -> pl.LazyFrame:
        """Return the entry's rows as a lazy table, at a version or the newest; raises NotFound where there is none."""
        if version is None:
            return pl.scan_delta(self._open(entry_id))
        table = self._open(entry_id)
        if not 0 <= version <= table.version():
            raise NotFound(f"entry {entry_id} has no raw version {version}", accepted=f"0 to {table.version()}")
        table.load_as_version(version)
        return pl.scan_delta(table)

    def changes(self, entry_id: str, since: int, until: int, columns: Sequence[str]) -> pl.DataFrame | None:
        """Return the rows that came and went between two versions, as `read_changes` does; None: read them all."""
        return read_changes(self._open(entry_id), since, until, columns)

    def find_commit(self, entry_id: str, batch_id: str) -> Commit | None:
        """Return what a batch committed, or None where it never did."""
        table = self._find(entry_id)
        if table is None or table.transaction_version(batch_id) is None:
            return None
        for entry in table.history():
            if entry.get(_META) == batch_id:
                version = int(entry["version"])
                return Commit(version, _rows(self.scan(entry_id, version)))
        raise Unavailable(f"the log of entry {entry_id} no longer holds the commit of batch {batch_id}")

    def write(
        self, entry_id: str, batch_id: str, source: Path, mode: BatchMode, keys: Sequence[str], marker: str | None
    ) -> Commit:
        """Commit the Parquet file `source` as one new version and return it; a batch that is there already stays once.

        Refuses rows to append or merge whose columns are not the table's. The caller has checked keys; it holds `lock`.
        """
        done = self.find_commit(entry_id, batch_id)
        if done is not None:
            return done
        frame = pl.scan_parquet(source, glob=False)
        self.check_schema(entry_id, frame.collect_schema(), mode)
        properties = CommitProperties(custom_metadata={_META: batch_id}, app_transactions=[Transaction(batch_id, 1)])
        try:
            if mode is BatchMode.MERGE and self.exists(entry_id):
                self._merge(entry_id, frame, keys, marker, properties)
            else:
                self._sink(entry_id, frame, mode, properties)
        except DeltaError:
            # The engine's message may hold values; the log of the job names the batch, which is enough to try again.
            raise Unavailable(f"the lake did not take batch {batch_id}; nothing was changed") from None
        commit = self.find_commit(entry_id, batch_id)
        if commit is None:
            raise Unavailable(f"the lake lost the commit of batch {batch_id}")
        return commit

    def check_schema(self, entry_id: str, schema: Mapping[str, Any], mode: BatchMode) -> None:
        """Refuse to append or merge into a table of other columns: once elements changed, a full batch comes first."""
        if mode is BatchMode.FULL or not self.exists(entry_id):
            return
        if dict(self.scan(entry_id).collect_schema()) != dict(schema):
            raise Invalid(
                "the elements of the entry changed since its last batch",
                rule="batch.schema",
                accepted="a full batch first",
            )

    def count_present(self, entry_id: str, source: Path, keys: Sequence[str]) -> int:
        """Return how many rows of `source` have a key that the table holds already."""
        if not keys or not self.exists(entry_id):
            return 0
        present = self.scan(entry_id).select(keys)
        return _rows(pl.scan_parquet(source, glob=False).select(keys).join(present, on=list(keys), how="semi"))

    def _sink(self, entry_id: str, frame: pl.LazyFrame, mode: BatchMode, properties: CommitProperties) -> None:
        options: dict[str, Any] = {
            "commit_properties": properties,
            "writer_properties": WriterProperties(compression="ZSTD"),
        }
        if not self.exists(entry_id):
            options["configuration"] = {FEED: "true"}
        if mode is BatchMode.FULL:
            options["schema_mode"] = "overwrite"
        how: Any = "overwrite" if mode is BatchMode.FULL else "append"
        frame.sink_delta(self.table(entry_id), mode=how, delta_write_options=options)

    def _merge(
        self, entry_id: str, frame: pl.LazyFrame, keys: Sequence[str], marker: str | None, properties: CommitProperties
    ) -> None:
        # Delta takes a duplicate source key twice and a null key every time: the caller has refused both.
        match = " AND ".join(f'old."{key}" = new."{key}"' for key in keys)
        newer = f'old."{marker}" IS NULL OR new."{marker}" >= old."{marker}"' if marker else None
        merger = self._open(entry_id).merge(
            frame.collect(), match, source_alias="new", target_alias="old", commit_properties=properties
        )
        merger.when_matched_update_all(predicate=newer).when_not_matched_insert_all().execute()

    def _open(self, entry_id: str) -> DeltaTable:
        table = self._find(entry_id)
        if table is None:
            raise NotFound(f"entry {entry_id} has no raw data yet", accepted="a batch that was ingested")
        return table

    def _find(self, entry_id: str) -> DeltaTable | None:
        try:
            return DeltaTable(self.table(entry_id))
        except TableNotFoundError:
            return None


def _rows(frame: pl.LazyFrame) -> int:
    return int(frame.select(pl.len()).collect(engine="streaming").item())


def _safe(name: str) -> str:
    if not name.replace("_", "").replace(".", "").isalnum() or name.startswith("."):
        raise Invalid("the raw zone refuses this name", rule="lake.name", accepted="an id such as ent_01k…")
    return name
