"""One hash for the content of a table, whatever the order of its rows: streamed, bounded in memory, mergeable.

Words: a *row digest* is the BLAKE3 hash (32 bytes) of one row's canonical bytes; a *group* holds the row digests that
share their first byte, so there are 256. The content hash, version 2, is

    SHA-256( "shuzha content 2" LF  JSON list of the column names LF  number of rows LF  256 group hashes )

where a group hash is the SHA-256 (32 bytes) of the group's row digests, sorted and joined. Canonical bytes of a row
are version 1 of the row encoding of polars-hash: typed cells with their lengths, so that no two rows share their bytes
and Int32 5 is Int64 5. Equal tables have equal hashes on one machine and on many: groups are independent.

Why sorted and not added up: sums of row hashes (a 256-bit sum, LtHash) merge without keeping digests, but someone who
may choose rows finds two tables of one sum by the generalized birthday attack (Wagner, CRYPTO 2002) or, where rows may
repeat millions of times, by lattice reduction. Two tables of one sorted hash are a collision of SHA-256 or BLAKE3.
"""

from __future__ import annotations

import binascii
import hashlib
import json
import shutil
import tempfile
import weakref
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl
import polars_hash as plh

from desensitize.errors import InvalidInput
from desensitize.tables import run_quietly

CONTENT_HASH_VERSION = 2
GROUPS = 256
DIGEST_BYTES = 32
Digests: TypeAlias = npt.NDArray[np.uint8]
_BATCH = 400_000
# Digests held before they go to disk: 64 MB.
_MOST_IN_MEMORY = 2_000_000


class ContentHash:
    """The hash of a table that arrives in pieces, in any order, here or on several machines.

    Beyond two million rows the row digests (32 bytes a row) wait in a folder of their own, which goes with the object.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = list(names)
        self._rows = 0
        self._waiting: list[Digests] = []
        self._waiting_rows = 0
        self._folder: Path | None = None

    @property
    def rows(self) -> int:
        """Return how many rows have been taken in."""
        return self._rows

    def update(self, frame: pl.DataFrame) -> ContentHash:
        """Take in the rows of a piece of the table and return this object; refuses other columns or another order."""
        if frame.columns != self._names:
            raise InvalidInput(f"a piece of this table has the columns {', '.join(self._names)}, in this order")
        if frame.height and self._names:
            self.update_digests(frame.lazy().select(row_digests()).collect().to_series())
        return self

    def update_digests(self, digests: pl.Series) -> None:
        """Take in row digests as `row_digests` writes them (hexadecimal text, no nulls)."""
        if len(digests):
            joined = digests.str.join("").item().encode()
            self._take(np.frombuffer(binascii.unhexlify(joined), dtype=np.uint8).reshape(-1, DIGEST_BYTES))

    def merge(self, other: ContentHash) -> ContentHash:
        """Take in all rows of another piece's hash and return this object; refuses a table of other columns."""
        if other._names != self._names:
            raise InvalidInput("only hashes of tables with the same columns in the same order can be merged")
        for piece in other._pieces():
            self._take(piece)
        return self

    def hexdigest(self) -> str:
        """Return the content hash of all rows taken in so far, in hexadecimal; more may be taken in afterwards."""
        return combine_groups(self._names, self._rows, (hash_group(group) for group in self._groups()))

    def _take(self, digests: Digests) -> None:
        self._waiting.append(digests)
        self._waiting_rows += len(digests)
        self._rows += len(digests)
        if self._waiting_rows > _MOST_IN_MEMORY:
            self._spill()

    def _spill(self) -> None:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="shuzha-content-"))
            weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        for number, group in enumerate(_split(self._waiting)):
            with (self._folder / f"{number:02x}").open("ab") as handle:
                handle.write(group.tobytes())
        self._waiting, self._waiting_rows = [], 0

    def _groups(self) -> Iterator[Digests]:
        """Yield the row digests of each group, unsorted."""
        if self._folder is None:
            yield from _split(self._waiting)
            return
        self._spill()
        yield from self._stored()

    def _stored(self) -> Iterator[Digests]:
        if self._folder is not None:
            for path in sorted(self._folder.iterdir()):
                yield np.frombuffer(path.read_bytes(), dtype=np.uint8).reshape(-1, DIGEST_BYTES)

    def _pieces(self) -> Iterator[Digests]:
        yield from self._waiting
        yield from self._stored()


def row_digests() -> pl.Expr:
    """Return the expression of a frame's row digests (hexadecimal text, one a row, never null), named `digest`."""
    return plh.hash_rows(pl.all(), version=1).chash.blake3().alias("digest")


def hash_group(digests: Digests) -> bytes:
    """Return the hash (32 bytes) of one group's row digests, an array of shape (rows, 32) in any order."""
    return hashlib.sha256(_sort(digests).tobytes()).digest()


def combine_groups(names: Sequence[str], rows: int, groups: Iterable[bytes]) -> str:
    """Return the content hash, in hexadecimal, of a table with these columns, rows and 256 group hashes in order."""
    head = f"shuzha content {CONTENT_HASH_VERSION}\n{json.dumps(list(names), ensure_ascii=False)}\n{rows}\n"
    whole = hashlib.sha256(head.encode())
    for group in groups:
        whole.update(group)
    return whole.hexdigest()


def hash_content(table: pl.LazyFrame) -> tuple[str, int]:
    """Return (content hash in hexadecimal, number of rows) of a table, read once, streamed.

    Refuses nested columns, and a table that cannot be read.
    """
    names = table.collect_schema().names()
    content = ContentHash(names)
    if names:
        digests = table.select(row_digests())
        run_quietly(lambda: _take_all(content, digests))
    return content.hexdigest(), content.rows


def _take_all(content: ContentHash, digests: pl.LazyFrame) -> None:
    for batch in digests.collect_batches(chunk_size=_BATCH, maintain_order=False):
        content.update_digests(batch.to_series())


def _split(pieces: Sequence[Digests]) -> list[Digests]:
    """Return the digests of the 256 groups, in order."""
    whole = np.concatenate(pieces) if pieces else np.empty((0, DIGEST_BYTES), dtype=np.uint8)
    first = whole[:, 0]
    ends = np.cumsum(np.bincount(first, minlength=GROUPS))
    return np.split(whole[np.argsort(first, kind="stable")], ends[:-1])


def _sort(digests: Digests) -> Digests:
    """Return the digests in the order of their bytes: by the first eight, and by all where these are not enough."""
    words = np.ascontiguousarray(digests).view(">u8").astype(np.uint64)
    order = np.argsort(words[:, 0])
    words = words[order]
    equal = words[1:, 0] == words[:-1, 0]
    if np.any(equal & np.any(words[1:] != words[:-1], axis=1)):
        order = np.lexsort(np.ascontiguousarray(digests).view(">u8").astype(np.uint64).T[::-1])
    return np.ascontiguousarray(digests)[order]
