"""The owner's side of a log: append durably, sign checkpoints, erase payloads. One process at a time owns a log.

`append` returns once the entries are on disk; a process killed at any moment leaves a log that opens again with every
entry whose append had returned. What an append needs besides the entries themselves (hashes, offsets) is rebuilt.
"""

from __future__ import annotations

import fcntl
import os
import struct
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import msgspec

from shuzha.core.clock import Clock
from shuzha.core.errors import Conflict, Invalid, Unavailable
from shuzha.ledger.checkpoint import Checkpoint, Signer
from shuzha.ledger.journal import Journal, replay
from shuzha.ledger.layout import (
    CHECKPOINT,
    CHECKPOINTS,
    ENTRIES,
    ENTRIES_PER_FILE,
    ERASURE,
    HASHES,
    LOCK,
    OFFSETS,
    PUBLIC_KEY,
    SALT_BYTES,
    NewEntry,
    blank_line,
    check_new_entries,
    compose,
    entries_file,
)
from shuzha.ledger.reader import LogReader, read_public_key
from shuzha.ledger.recovery import cut_torn_note, recover

HISTORY_SECONDS = 60.0
_FULL_ENOUGH = 0.5


class Seal(NamedTuple):
    """The state of a log that is to be signed, taken between two appends."""

    size: int
    root: bytes
    history: bool = False


class Log:
    """An open log; refuses a folder that another process has open, or that another key began.

    With a `journal` (a path) entries are durable there first, and the log's own files are forced by `force`.
    """

    def __init__(self, folder: Path, signer: Signer, clock: Clock, *, journal: Path | None = None) -> None:
        self.folder = folder
        self._signer = signer
        self._clock = clock
        self._broken = False
        self._journal: Journal | None = None
        self._retired: list[int] = []
        self._signing, self._moving = threading.Lock(), threading.Lock()
        self._next_history = 0.0
        self._history_size = -1
        self._lock = _take(folder)
        try:
            signed = self._begin()
            cut_torn_note(folder)
            if journal is not None:
                replay(journal, folder, self._signer.verifier_key.id, 0 if signed is None else signed.size)
            state = recover(folder, signed)
            self._frontier, self._end = state.frontier, state.end
            self._signed_size = -1 if signed is None else signed.size
            self._entries = self._open_entries()
            self._hashes = os.open(folder / HASHES, os.O_WRONLY | os.O_APPEND)
            self._offsets = os.open(folder / OFFSETS, os.O_WRONLY | os.O_APPEND)
            self.reader = LogReader(folder)
            if journal is not None:
                os.fdatasync(self._entries)
                self._journal = Journal(journal, self._signer.verifier_key.id)
            for index in state.erasures:
                self._blank(index)
            self.publish()
        except BaseException:
            os.close(self._lock)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def size(self) -> int:
        """How many entries the log has."""
        return self._frontier.size

    def append(self, entries: Sequence[NewEntry]) -> int:
        """Store entries in order, all on disk when this returns, and return the index of the first.

        Refuses (and stores none) where one has a bad id or too large a payload. Raises Unavailable when the disk fails:
        whether the entries were stored is then known only after the log has been opened again.
        """
        if self._broken:
            raise Unavailable(f"log {self._signer.origin} is closed after a failed write", accepted="open it again")
        first = self._frontier.size
        if not entries:
            return first
        check_new_entries(entries)
        at = self._clock.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        salts = os.urandom(SALT_BYTES * len(entries)).hex().encode()
        lines, leaves = compose(entries, first, at, salts)
        try:
            with self._moving:
                offsets = self._write_entries(lines, first)
                _write(self._hashes, self._frontier.extend(leaves))
                _write(self._offsets, struct.pack(f"<{len(offsets)}Q", *offsets))
        except OSError as error:
            self._broken = True
            raise Unavailable(f"log {self._signer.origin} cannot write: {error.strerror}") from error
        return first

    @property
    def wants_force(self) -> bool:
        """Whether the journal is so full that `force` should be called now."""
        return self._journal is not None and self._journal.filled > _FULL_ENOUGH

    def force(self) -> None:
        """Force the log's files, so that the journal has room again; for any thread, appending goes on meanwhile."""
        with self._signing:
            self._force()

    def publish(self, *, history: bool = False) -> str:
        """Sign the log as it is and return the note; one a minute (or now, by `history`) also goes into the history.

        May be called from any thread, while another one appends.
        """
        return self.sign(self.seal(history=history))

    def seal(self, *, history: bool = False) -> Seal:
        """Return what is to be signed now: the state between two appends. It waits for no disk."""
        with self._moving:
            return Seal(self._frontier.size, self._frontier.root(), history)

    def sign(self, seal: Seal) -> str:
        """Sign what was sealed, make it public and return the note; may run in another thread, while more is appended.

        What the checkpoint covers is forced to disk first. A seal that was overtaken gives the newer note.
        """
        with self._signing:
            size = seal.size
            due = (seal.history or time.monotonic() >= self._next_history) and size != self._history_size
            if size < self._signed_size or (size == self._signed_size and not due):
                return self.reader.note()
            self._force()
            os.fdatasync(self._hashes)
            os.fdatasync(self._offsets)
            note = self._signer.sign(size, seal.root)
            if due:
                self._add_history(note)
                self._history_size = size
            _replace(self.folder / CHECKPOINT, note.encode())
            self._signed_size = size
            return note

    def erase(self, index: int, ground: str) -> int:
        """Erase an entry's payload for a ground in law and return the index of the entry that says so.

        The tree and every proof stay as they are. Refuses an erasure entry, and a ground that is empty.
        """
        entry = self.reader.entry(index)
        if entry.header.kind == ERASURE or not ground.strip():
            raise Invalid(
                f"cannot erase entry {index}", rule="ledger.erase", accepted="an entry that is no erasure, and a ground"
            )
        said = msgspec.json.encode({"erased": index, "id": entry.header.id, "ground": ground})
        at = self.append((NewEntry(f"erase:{index}:{self.size}", ERASURE, said),))
        self._blank(index)
        self.publish(history=True)
        return at

    def close(self) -> None:
        """Sign a last checkpoint and let the folder go."""
        if not self._broken:
            self.publish(history=True)
        self.reader.close()
        if self._journal is not None:
            self._journal.close()
        for handle in (*self._retired, self._entries, self._hashes, self._offsets, self._lock):
            os.close(handle)

    def _begin(self) -> Checkpoint | None:
        (self.folder / ENTRIES).mkdir(exist_ok=True)
        for name in (HASHES, OFFSETS):
            (self.folder / name).touch()
        mine = self._signer.verifier_key
        if not (self.folder / PUBLIC_KEY).exists():
            _replace(self.folder / PUBLIC_KEY, f"{mine.line()}\n".encode())
        if read_public_key(self.folder) != mine:
            raise Invalid(
                f"log {self.folder.name} was begun with another key or origin", rule="ledger.key",
                accepted=f"the key of {read_public_key(self.folder).name}",
            )  # fmt: skip
        try:
            return mine.verify((self.folder / CHECKPOINT).read_bytes().decode())
        except FileNotFoundError:
            return None

    def _open_entries(self) -> int:
        path = entries_file(self.folder, self._frontier.size)
        fresh = not path.exists()
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
        if fresh:
            _sync_folder(path.parent)
        return handle

    def _write_entries(self, lines: list[bytes], first: int) -> list[int]:
        offsets: list[int] = []
        place = 0
        while place < len(lines):
            room = ENTRIES_PER_FILE - (first + place) % ENTRIES_PER_FILE
            if room == ENTRIES_PER_FILE and first + place:
                self._roll(first + place)
            part = lines[place : place + room]
            for line in part:
                offsets.append(self._end)
                self._end += len(line)
            data = b"".join(part)
            in_journal = self._write_journal(first + place, data)
            _write(self._entries, data)
            if not in_journal:
                os.fdatasync(self._entries)
            place += len(part)
        return offsets

    def _write_journal(self, first: int, data: bytes) -> bool:
        if self._journal is None or self._journal.add(first, data):
            return self._journal is not None
        # Whoever forces the log was not called in time, or this is more than a half: it is forced here.
        self._force_entries()
        self._journal.start_anew()
        return self._journal.add(first, data)

    def _force(self) -> None:
        if self._journal is None:
            return
        with self._moving:
            turned = self._journal.turn()
            handles, self._retired = [*self._retired, os.dup(self._entries)], []
        try:
            for handle in handles:
                os.fdatasync(handle)
        finally:
            for handle in handles:
                os.close(handle)
        if turned:
            self._journal.free()

    def _force_entries(self) -> None:
        for handle in (*self._retired, self._entries):
            os.fdatasync(handle)
        for handle in self._retired:
            os.close(handle)
        self._retired.clear()

    def _roll(self, index: int) -> None:
        if self._journal is None:
            os.close(self._entries)
        else:
            self._retired.append(self._entries)
        path = entries_file(self.folder, index)
        self._entries = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
        self._end = 0
        _sync_folder(path.parent)

    def _add_history(self, note: str) -> None:
        handle = os.open(self.folder / CHECKPOINTS, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
        try:
            _write(handle, note.encode())
            os.fsync(handle)
        finally:
            os.close(handle)
        self._next_history = time.monotonic() + HISTORY_SECONDS

    def _blank(self, index: int) -> None:
        if self._journal is not None:
            self._force_entries()
            self._journal.wipe()
        line = self.reader.line(index)
        path = entries_file(self.folder, index)
        whole = path.read_bytes()
        _replace(path, whole.replace(line, blank_line(line), 1))
        if path == entries_file(self.folder, self._frontier.size):
            os.close(self._entries)
            self._entries = self._open_entries()


def _take(folder: Path) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o640)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise Conflict(
            f"log {folder.name} is open in another process", rule="ledger.one_owner", accepted="stop that process first"
        ) from None
    return handle


def _write(handle: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]


def _replace(path: Path, data: bytes) -> None:
    half = path.with_name(path.name + ".new")
    handle = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o640)
    try:
        _write(handle, data)
        os.fsync(handle)
    finally:
        os.close(handle)
    half.replace(path)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
