"""Reading a log's folder, from any process, while its one owner appends to it."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shuzha.core.errors import Invalid, NotFound, Unavailable
from shuzha.ledger import tree
from shuzha.ledger.checkpoint import Checkpoint, VerifierKey
from shuzha.ledger.layout import (
    CHECKPOINT,
    ENTRIES_PER_FILE,
    HASHES,
    OFFSET_BYTES,
    OFFSETS,
    PUBLIC_KEY,
    LogEntry,
    entries_file,
    parse_line,
)

_CHUNK = 4_096


@dataclass(frozen=True, slots=True)
class Proof:
    """Shows that one entry stands in a log: checked by anyone against the signed checkpoint, without the log."""

    entry: LogEntry
    size: int
    hashes: tuple[bytes, ...]
    checkpoint: str

    def document(self) -> dict[str, Any]:
        """Return the proof as JSON: `python verify.py --proof FILE` reads it."""
        return {
            "index": self.entry.index,
            "leaf": self.entry.leaf.decode(),
            "body": None if self.entry.body is None else self.entry.body.decode(),
            "size": self.size,
            "hashes": [base64.b64encode(node).decode() for node in self.hashes],
            "checkpoint": self.checkpoint,
        }


class LogReader:
    """The entries, proofs and checkpoints of one log folder; raises NotFound where there is no log."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = read_public_key(folder)
        self._hashes = os.open(folder / HASHES, os.O_RDONLY)
        self._offsets = os.open(folder / OFFSETS, os.O_RDONLY)

    def close(self) -> None:
        """Give the files back."""
        os.close(self._hashes)
        os.close(self._offsets)

    def note(self) -> str:
        """Return the newest signed checkpoint as text; raises Unavailable before the first."""
        try:
            return (self.folder / CHECKPOINT).read_bytes().decode()
        except FileNotFoundError:
            raise Unavailable(f"log {self.key.name} has no checkpoint yet", accepted="ask again in a second") from None

    def checkpoint(self) -> Checkpoint:
        """Return the newest checkpoint; refuses one that the log's key did not sign."""
        return self.key.verify(self.note())

    def indexed(self) -> int:
        """Return how many entries can be read by index now."""
        return os.fstat(self._offsets).st_size // OFFSET_BYTES

    def entry(self, index: int) -> LogEntry:
        """Return one entry; raises NotFound past the end and Invalid where the entry is damaged."""
        return parse_line(self.line(index), index)

    def line(self, index: int) -> bytes:
        """Return the stored line of one entry."""
        return _read_line(entries_file(self.folder, index), self.offset(index))

    def offset(self, index: int) -> int:
        """Return where the entry's line begins in its file; raises NotFound past the end of the log."""
        raw = os.pread(self._offsets, OFFSET_BYTES, index * OFFSET_BYTES) if index >= 0 else b""
        if len(raw) < OFFSET_BYTES:
            raise NotFound(f"log {self.key.name} has no entry {index}")
        return int.from_bytes(raw, "little")

    def entries(self, start: int = 0, stop: int | None = None) -> Iterator[LogEntry]:
        """Yield the entries from `start` up to `stop` (by default all there are now), checking each."""
        end = self.indexed() if stop is None else min(stop, self.indexed())
        while start < end:
            file_end = min(end, (start // ENTRIES_PER_FILE + 1) * ENTRIES_PER_FILE)
            offset = os.pread(self._offsets, OFFSET_BYTES, start * OFFSET_BYTES)
            with entries_file(self.folder, start).open("rb") as lines:
                lines.seek(int.from_bytes(offset, "little"))
                for index in range(start, file_end):
                    yield parse_line(lines.readline(), index)
            start = file_end

    def node(self, level: int, n: int) -> bytes:
        """Return the hash of a whole node of the tree."""
        found = os.pread(self._hashes, tree.HASH_BYTES, tree.stored_index(level, n) * tree.HASH_BYTES)
        if len(found) < tree.HASH_BYTES:
            raise NotFound(f"log {self.key.name} has no node ({level}, {n}) yet")
        return found

    def nodes(self, level: int, places: range) -> bytes:
        """Return the hashes of neighbouring whole nodes of one level, one after the other."""
        if level:
            return b"".join([self.node(level, n) for n in places])
        # Leaves lie close together in post-order: one read, of which the parents between them are left out.
        first, last = tree.stored_index(0, places.start), tree.stored_index(0, places.stop - 1)
        raw = os.pread(self._hashes, (last + 1 - first) * tree.HASH_BYTES, first * tree.HASH_BYTES)
        starts = [(tree.stored_index(0, n) - first) * tree.HASH_BYTES for n in places]
        found = b"".join([raw[start : start + tree.HASH_BYTES] for start in starts])
        if len(found) < len(places) * tree.HASH_BYTES:
            raise NotFound(f"log {self.key.name} has no leaf {places.stop - 1} yet")
        return found

    def root(self, size: int) -> bytes:
        """Return the root that the log had at this size."""
        return tree.root(self.node, size)

    def inclusion(self, index: int, size: int) -> tuple[bytes, ...]:
        """Return the proof that entry `index` is in the log of `size` entries."""
        try:
            return tree.inclusion_proof(self.node, index, size)
        except ValueError as error:
            raise NotFound(f"log {self.key.name}: {error}") from None

    def consistency(self, first: int, second: int) -> tuple[bytes, ...]:
        """Return the proof that the log of `first` entries is the beginning of that of `second` entries."""
        try:
            return tree.consistency_proof(self.node, first, second)
        except ValueError as error:
            raise Invalid(f"log {self.key.name}: {error}", rule="ledger.sizes") from None

    def proof(self, index: int, note: str | None = None) -> Proof:
        """Return the proof of an entry against the newest checkpoint, or against an older signed one (`note`).

        Raises NotFound past the end of the log, and Unavailable for an entry that the checkpoint does not cover yet.
        """
        entry, newest = self.entry(index), note is None
        note = self.note() if note is None else note
        size = self.key.verify(note).size
        if index >= size:
            raise Unavailable(
                f"entry {index} awaits its {'checkpoint' if newest else 'cosignature'}", accepted="ask again later"
            )
        return Proof(entry, size, self.inclusion(index, size), note)


def read_public_key(folder: Path) -> VerifierKey:
    """Return the verifier key of the log in this folder; raises NotFound where there is no log."""
    try:
        return VerifierKey.parse((folder / PUBLIC_KEY).read_bytes().decode())
    except FileNotFoundError:
        raise NotFound(f"no log in folder {folder.name}", accepted=f"a folder with a file `{PUBLIC_KEY}`") from None


def _read_line(path: Path, offset: int) -> bytes:
    handle = os.open(path, os.O_RDONLY)
    try:
        line = b""
        while b"\n" not in line:
            chunk = os.pread(handle, _CHUNK, offset + len(line))
            if not chunk:
                break
            line += chunk
    finally:
        os.close(handle)
    return line[: line.find(b"\n") + 1]
