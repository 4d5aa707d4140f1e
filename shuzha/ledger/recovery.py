"""What an owner does when it opens a log after any end of the last one: kill -9, power loss, a full disk.

The entries are the truth; `hashes.bin` and `offsets.bin` follow from them. Both are forced to disk before a checkpoint
is signed, so they are trusted up to the newest checkpoint (its root is computed from them and compared), and everything
behind it is read again from the entries. A last line without its end was never acknowledged and is cut.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import msgspec

from shuzha.core.errors import Invalid
from shuzha.ledger import tree
from shuzha.ledger.checkpoint import Checkpoint
from shuzha.ledger.layout import (
    CHECKPOINTS,
    ENTRIES,
    ENTRIES_PER_FILE,
    ERASURE,
    HASHES,
    OFFSET_BYTES,
    OFFSETS,
    LogEntry,
    entries_file,
    parse_line,
)
from shuzha.ledger.reader import LogReader

_BATCH = 4_096
_TAIL = 16_384
_SIGNATURE = "\n— ".encode()


@dataclass(slots=True)
class Recovered:
    """Where the log goes on: its frontier, the end of the file being written, and erasures to be done again."""

    frontier: tree.Frontier
    end: int
    erasures: list[int] = field(default_factory=list)


class _Derived:
    """Appends what follows from the entries, in batches."""

    def __init__(self, folder: Path, frontier: tree.Frontier) -> None:
        self.frontier = frontier
        self._hashes = (folder / HASHES).open("r+b")
        self._offsets = (folder / OFFSETS).open("r+b")
        self._hashes.truncate(tree.stored_count(frontier.size) * tree.HASH_BYTES)
        self._offsets.truncate(frontier.size * OFFSET_BYTES)
        self._hashes.seek(0, os.SEEK_END)
        self._offsets.seek(0, os.SEEK_END)

    def add(self, leaf: bytes, offset: int) -> None:
        self._hashes.write(self.frontier.extend((leaf,)))
        self._offsets.write(offset.to_bytes(OFFSET_BYTES, "little"))

    def close(self) -> None:
        self._hashes.close()
        self._offsets.close()


def recover(folder: Path, signed: Checkpoint | None) -> Recovered:
    """Return where the log goes on, its derived files made whole.

    Refuses a log with fewer entries than its own checkpoint signs, one whose entries don't give that checkpoint's root,
    and one with a damaged entry: such a folder is evidence, and nothing may be appended to it.
    """
    reader = LogReader(folder)
    try:
        size = _trusted_size(reader, signed)
        frontier = tree.Frontier(size, tree.peaks(reader.node, size))
        end = _end_of(reader, size)
        derived = _Derived(folder, frontier)
        found = Recovered(frontier, end)
        try:
            _replay(folder, derived, found)
        finally:
            derived.close()
        _check_signed(reader, frontier, signed)
        return found
    finally:
        reader.close()


def cut_torn_note(folder: Path) -> None:
    """Cut a last note without its end from the history of checkpoints."""
    path = folder / CHECKPOINTS
    if not path.exists():
        return
    with path.open("r+b") as file:
        length = file.seek(0, os.SEEK_END)
        start = file.seek(max(0, length - _TAIL))
        tail = file.read()
        end = tail.rfind(b"\n") + 1
        while end and not tail[:end].removesuffix(b"\n").rpartition(b"\n")[2].startswith(_SIGNATURE[1:]):
            end = tail[: end - 1].rfind(b"\n") + 1
        file.truncate(start + end)


def _trusted_size(reader: LogReader, signed: Checkpoint | None) -> int:
    if signed is None or signed.size > reader.indexed():
        return 0
    hashes = (reader.folder / HASHES).stat().st_size
    if hashes < tree.stored_count(signed.size) * tree.HASH_BYTES or reader.root(signed.size) != signed.root:
        return 0
    return signed.size


def _end_of(reader: LogReader, size: int) -> int:
    if size == 0:
        return 0
    path = entries_file(reader.folder, size - 1)
    end = reader.offset(size - 1) + len(reader.line(size - 1)) if path.exists() else 0
    if end == 0 or not reader.line(size - 1):
        raise Invalid(
            f"log {reader.key.name} ends before entry {size - 1}, which its signed checkpoint covers: its last entries "
            "were removed", rule="ledger.append_only", accepted="the folder as it was, from a backup",
        )  # fmt: skip
    reader.entry(size - 1)
    return end if size % ENTRIES_PER_FILE else 0


def _replay(folder: Path, derived: _Derived, found: Recovered) -> None:
    while (path := entries_file(folder, found.frontier.size)).exists():
        before = found.frontier.size
        with path.open("r+b") as lines:
            lines.seek(found.end)
            while line := lines.readline():
                if not line.endswith(b"\n"):
                    _cut_torn_line(folder, path, found)
                    return
                entry = parse_line(line, found.frontier.size)
                derived.add(sha256(b"\x00" + entry.leaf).digest(), found.end)
                found.end += len(line)
                _note_erasure(entry, found)
        if found.frontier.size % ENTRIES_PER_FILE or found.frontier.size == before:
            break
        found.end = 0
    last = max((folder / ENTRIES).glob("*.jsonl"), default=None)
    if last is not None and last > entries_file(folder, found.frontier.size):
        raise Invalid(f"the log misses entries before file {last.name}", rule="ledger.entries")


def _note_erasure(entry: LogEntry, found: Recovered) -> None:
    if entry.header.kind == ERASURE and entry.payload is not None:
        found.erasures.append(int(msgspec.json.decode(entry.payload)["erased"]))


def _cut_torn_line(folder: Path, path: Path, found: Recovered) -> None:
    if path != max((folder / ENTRIES).glob("*.jsonl")):
        raise Invalid(f"the log is damaged at entry {found.frontier.size}", rule="ledger.entry")
    os.truncate(path, found.end)


def _check_signed(reader: LogReader, frontier: tree.Frontier, signed: Checkpoint | None) -> None:
    if signed is None:
        return
    if frontier.size < signed.size:
        raise Invalid(
            f"log {signed.origin} has {frontier.size} entries, its signed checkpoint says {signed.size}: the last "
            f"{signed.size - frontier.size} were removed", rule="ledger.append_only",
            accepted="the folder as it was, from a backup",
        )  # fmt: skip
    if reader.root(signed.size) != signed.root:
        raise Invalid(
            f"the entries of log {signed.origin} do not give the root of its signed checkpoint of size {signed.size}",
            rule="ledger.append_only", accepted="`shuzha ledger verify` names what differs",
        )  # fmt: skip
