"""Counts of a day that all API processes of a host share, in one mapped file of fixed size.

| part | bytes |
|---|---|
| header: magic, the number of columns in use | 64 |
| rows, one a key and product: its mark, then a cell a process (new subjects << 32, negatives) | 16,384 x 8 x (1 + 16) |
| slots, open addressing: 48 bits of a hash, 16 bits of a count | 8 x 2^23 |

A cell has one writer, so sums over a row are exact; a process sees another's cell at once. A slot may be written by
two processes in the same instant: then one of the two asks is lost, or counts for a new subject again. When the slots
round a place are all taken (beyond some 6 million in a day), an ask there counts as about a new subject each time.
The file outlives processes; the host's loss of power forgets what the kernel had not written, half a minute at most.
"""

from __future__ import annotations

import datetime as dt
import fcntl
import hashlib
import mmap
import os
import struct
from dataclasses import dataclass
from pathlib import Path

ROWS, COLUMNS = 16_384, 16
SLOT_BITS, PROBES = 23, 16
HEADER_WORDS = 8
MAGIC = int.from_bytes(b"SZASKS01", "little")
KEPT_DAYS = 2
_ROW_WORDS = 1 + COLUMNS
_SLOTS_AT = HEADER_WORDS + ROWS * _ROW_WORDS
_MASK = (1 << SLOT_BITS) - 1
_HALF = (1 << 32) - 1
_PARTS = struct.Struct("<QQ")


@dataclass(frozen=True, slots=True)
class Row:
    """Where a key's cells at a product are, and by what its hashes differ from those of other keys."""

    first: int
    mine: int
    salt: int
    mark_salt: int


class Counters:
    """The counts of one day."""

    def __init__(self, folder: Path, day: dt.date, column: int) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.day = day
        self._column = column
        path = folder / f"asks-{day.isoformat()}.map"
        self._file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b", buffering=0)
        self._handle = self._file.fileno()
        with _held(self._handle):
            os.ftruncate(self._handle, 8 * (_SLOTS_AT + (1 << SLOT_BITS)))
            self._map = mmap.mmap(self._handle, 0)
            self.words = memoryview(self._map).cast("Q")
            if self.words[0] not in (0, MAGIC):
                raise ValueError(f"{path.name} is no file of counts")
            self.words[0] = MAGIC
            self.words[1] = max(self.words[1], column + 1)

    def row(self, key: str, product: str) -> Row:
        """Return the row of a key at a product, taking one where it has none; beyond 16,384, rows are shared."""
        digest = hashlib.sha256(f"{key}\n{product}".encode()).digest()
        mark = int.from_bytes(digest[:8]) or 1
        start = mark % ROWS
        first = HEADER_WORDS + start * _ROW_WORDS
        with _held(self._handle):
            for step in range(ROWS):
                at = HEADER_WORDS + (start + step) % ROWS * _ROW_WORDS
                if self.words[at] in (0, mark):
                    self.words[at], first = mark, at
                    break
        return Row(first + 1, first + 1 + self._column, *_PARTS.unpack(digest[16:]))

    def totals(self, row: Row) -> tuple[int, int]:
        """Return how many new subjects a key asked about, and its negative answers, over all processes."""
        used = self.words[1]
        found = self.words[row.mine] if used == 1 else sum(self.words[row.first : row.first + used])
        return found >> 32, found & _HALF

    def find(self, place: int, mark: int) -> int:
        """Return the word of a mark whose place is `place`, or -1 where neither it nor a free one is near."""
        words, place = self.words, place & _MASK
        for _ in range(PROBES):
            word = words[_SLOTS_AT + place]
            if word >> 16 == mark or not word:
                return _SLOTS_AT + place
            place = (place + 1) & _MASK
        return -1

    def ask(self, row: Row, subject: bytes, most: int, most_of_one: int, most_subjects: int) -> int:
        """Count a question of a key about a subject and return 1 for a new subject, 0 for one it asked about before.

        Where it is past a limit nothing is counted: -1 for too many subjects, -2 for too many asks about this one.
        """
        words = self.words
        place, mark = _PARTS.unpack(subject)
        mark >>= 16
        mine = mark ^ row.mark_salt >> 16
        at = _SLOTS_AT + (place & _MASK)
        word = words[at]
        if word >> 16 != mark:
            at = self.find(place, mark)
            word = words[at] if at >= 0 else 0
        here = _SLOTS_AT + ((place ^ row.salt) & _MASK)
        own = words[here]
        if own >> 16 != mine:
            here = self.find(place ^ row.salt, mine)
            own = words[here] if here >= 0 else 0
        own &= 0xFFFF
        asks = word & 0xFFFF
        if not own and self.totals(row)[0] >= most_subjects:
            return -1
        if asks >= most or own >= most_of_one:
            return -2
        if at >= 0:
            words[at] = mark << 16 | asks + 1
        if here == at:
            here = self.find(place ^ row.salt, mine)
        if here >= 0:
            words[here] = mine << 16 | own + 1
        return not own

    def forget(self, row: Row, subject: bytes) -> None:
        """Take one question of a key about a subject back."""
        place, mark = _PARTS.unpack(subject)
        for start, one in ((place, mark >> 16), (place ^ row.salt, mark >> 16 ^ row.mark_salt >> 16)):
            at = self.find(start, one)
            if at >= 0 and self.words[at] & 0xFFFF:
                self.words[at] -= 1

    def add(self, row: Row, subjects: int, negatives: int) -> None:
        """Count new subjects and negative answers of a key, or take them back."""
        # The halves are added apart: what is taken back must not borrow from the other.
        word = self.words[row.mine]
        self.words[row.mine] = max(0, (word >> 32) + subjects) << 32 | max(0, (word & _HALF) + negatives)

    def close(self) -> None:
        """Give the file back."""
        self.words.release()
        self._map.close()
        self._file.close()


class Column:
    """The column of a process among those of its host, its own while it lives; beyond 16 processes they share."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.number = 0
        for number in range(COLUMNS):
            self._handle = os.open(folder / f"column-{number:02d}.lock", os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(self._handle)
                continue
            self.number = number
            return
        self._handle = os.open(folder / "column-00.lock", os.O_RDWR)
        self.number = os.getpid() % COLUMNS

    def close(self) -> None:
        """Let another process have it."""
        os.close(self._handle)


def forget_old(folder: Path, today: dt.date) -> None:
    """Remove the counts of days that are over, but yesterday's."""
    for path in folder.glob("asks-*.map"):
        if path.stem.removeprefix("asks-") < (today - dt.timedelta(days=KEPT_DAYS - 1)).isoformat():
            path.unlink(missing_ok=True)


class _held:  # noqa: N801 -- a context manager that reads as a word.
    def __init__(self, handle: int) -> None:
        self._handle = handle

    def __enter__(self) -> None:
        fcntl.flock(self._handle, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        fcntl.flock(self._handle, fcntl.LOCK_UN)
