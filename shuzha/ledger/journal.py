"""A journal in front of a log: forced writes into space that is there already.

Forcing an append makes the file system write its own books too, which costs several times the data itself and waits
for whoever else forces something. So an owner in a hurry writes each batch here first: a file of two *halves*, filled
with zeros beforehand, in which a batch is a *record* (magic, index of its first entry, length, Adler-32, the lines).
While one half is written, the log's own files are forced for the other one, beside the owner's loop. After a loss of
power the entries that the log misses are appended to it again, for their lines are in the records.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

from shuzha.ledger.layout import ENTRIES, ENTRIES_PER_FILE, entries_file

MAGIC = b"SZJ1"
HALF = 4 << 20
_HEAD = struct.Struct(">4sQII")
_CHUNK = 1 << 20


class Journal:
    """The open journal of one log; a record is on disk when `add` returns.

    Whoever opens one has replayed what was in it, and forced the log. `mark` (the id of the log's key) goes into each
    record's checksum, so that a journal is never taken for that of another log.
    """

    def __init__(self, path: Path, mark: bytes) -> None:
        self.path = path
        self._seed = _seed(mark)
        self._which = 0
        self._place = 0
        self._other_free = True
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.stat().st_size != 2 * HALF:
            self._fill()
        self._handle = os.open(path, os.O_WRONLY | os.O_DSYNC)
        for half in (0, 1):
            os.pwrite(self._handle, bytes(_HEAD.size), half * HALF)

    @property
    def filled(self) -> float:
        """How full the half is that is being written, from 0 to 1."""
        return self._place / HALF

    def close(self) -> None:
        """Let the file go; what is in it is for the next owner."""
        os.close(self._handle)

    def add(self, first: int, lines: bytes) -> bool:
        """Put a batch on disk and return True; False, and nothing is written, where this half has no room for it."""
        size = _HEAD.size + len(lines)
        if self._place + size + _HEAD.size > HALF:
            return False
        head = _HEAD.pack(MAGIC, first, len(lines), _check(self._seed, first, lines))
        # The head behind is cleared by the same write, so that nobody reads on into an older record.
        parts = (head, lines, bytes(_HEAD.size))
        if os.pwritev(self._handle, parts, self._which * HALF + self._place) != size + _HEAD.size:
            raise OSError(28, "the journal takes no more")
        self._place += size
        return True

    def turn(self) -> bool:
        """Go over to the other half and return True; False while that one is not free.

        All records so far must be in the log's files. Once those are forced, `free` gives the half back.
        """
        if not self._other_free:
            return False
        self._other_free = False
        self._which, self._place = 1 - self._which, 0
        return True

    def free(self) -> None:
        """Say that the log's files were forced after the last turn."""
        self._other_free = True

    def start_anew(self) -> None:
        """Write this half from its front again: all records are in the log's files, and these are forced."""
        self._place = 0

    def wipe(self) -> None:
        """Leave no byte of any record: all are in the log's files, these are forced, and one is to be erased."""
        os.close(self._handle)
        self._fill()
        self._handle = os.open(self.path, os.O_WRONLY | os.O_DSYNC)
        self._place = 0

    def _fill(self) -> None:
        # Over the old bytes where there are some, so that none stay behind on the disk.
        handle = os.open(self.path, os.O_WRONLY | os.O_CREAT, 0o640)
        try:
            for offset in range(0, 2 * HALF, _CHUNK):
                os.pwrite(handle, bytes(_CHUNK), offset)
            os.truncate(handle, 2 * HALF)
            os.fsync(handle)
        finally:
            os.close(handle)


def replay(path: Path, folder: Path, mark: bytes, signed: int) -> int:
    """Append to the log in `folder` what the journal at `path` has and the log has not; return how many entries.

    A line that the log has otherwise than the journal, as a loss of power leaves one, is cut with all behind it; but
    none of the first `signed` entries, which a checkpoint covers: they were forced before it was signed.
    """
    if not path.exists() or not (folder / ENTRIES).is_dir():
        return 0
    lines = {
        index: line
        for first, text in sorted(_records(path.read_bytes(), _seed(mark)))
        for index, line in enumerate(text.splitlines(keepends=True), first)
        if index >= signed
    }
    if not lines:
        return 0
    size = _agreed(folder, lines)
    added = 0
    while size + added in lines:
        _append(folder, size + added, lines[size + added])
        added += 1
    return added


def _seed(mark: bytes) -> int:
    return zlib.crc32(mark)


def _check(seed: int, first: int, lines: bytes) -> int:
    return zlib.adler32(lines, seed ^ (first & 0xFFFFFFFF)) & 0xFFFFFFFF


def _records(data: bytes, seed: int) -> Iterator[tuple[int, bytes]]:
    for half in (0, HALF):
        place = half
        while place + _HEAD.size <= min(half + HALF, len(data)):
            magic, first, length, check = _HEAD.unpack_from(data, place)
            place += _HEAD.size
            lines = data[place : place + length]
            if magic != MAGIC or len(lines) != length or _check(seed, first, lines) != check:
                break
            yield first, lines
            place += length


def _agreed(folder: Path, lines: dict[int, bytes]) -> int:
    """Return how many entries the log keeps: all whole lines up to the first that the journal has otherwise."""
    paths = sorted((folder / ENTRIES).glob("*.jsonl"))
    lowest = min(lines)
    size = 0
    for place, path in enumerate(paths):
        size = int(path.stem) * ENTRIES_PER_FILE
        if size + ENTRIES_PER_FILE <= lowest and place + 1 < len(paths):
            continue
        kept = 0
        with path.open("r+b") as file:
            for line in file:
                if not line.endswith(b"\n") or lines.get(size, line) != line:
                    file.truncate(kept)
                    os.fsync(file.fileno())
                    for later in paths[place + 1 :]:
                        later.unlink()
                    return size
                kept += len(line)
                size += 1
    return size


def _append(folder: Path, index: int, line: bytes) -> None:
    handle = os.open(entries_file(folder, index), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
    try:
        os.write(handle, line)
        os.fsync(handle)
    finally:
        os.close(handle)
