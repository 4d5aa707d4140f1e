"""One segment of an index: the subjects whose keys begin with the same few bits, sorted, in one immutable file.

A *key* is 16 bytes, uniform. Of an index with `P` prefix bits over `2^S` segments (S <= P), the first S bits choose the
segment, the next P - S bits one of its *buckets*, and the 8 bytes from byte P // 8 on, the *tail*, tell the subjects of
a bucket apart. A wrong hit needs 64 + 8 * (P // 8) equal bits: for 100 million subjects (P = 22) 80.

| part | bytes |
|---|---|
| magic `SZINDEX2`, subjects (u64), P (u32), S (u32), number of the segment (u32), claims (u32), reserved | 64 |
| offsets: where each bucket begins, and the end (little-endian u32) | 4 x (2^(P - S) + 1) |
| tails, in the order of the keys | 8 x subjects |
| values: bit i says whether claim i is true | 1 x subjects |
"""

from __future__ import annotations

import hashlib
import os
import struct
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from shuzha.core.errors import Invalid

MAGIC = b"SZINDEX2"
HEADER = struct.Struct(">8sQIIII32x")
MAX_SUBJECTS = 2**32 - 2
MAX_PREFIX = 32
BUCKET = 8
KEY_BYTES, TAIL_BYTES = 16, 8

Words = npt.NDArray[np.uint64]
Bits = npt.NDArray[np.uint8]


class SegmentEntry(msgspec.Struct, frozen=True):
    """What the manifest says of a segment; `true` counts the subjects of whom each claim is true."""

    file: str
    sha256: str
    subjects: int
    size: int
    true: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Shape:
    """How the keys of an index are cut: `prefix` bits in all, of which `segment` bits choose the segment."""

    prefix: int
    segment: int

    @property
    def segments(self) -> int:
        """How many segments there are."""
        return 1 << self.segment

    @property
    def buckets(self) -> int:
        """How many buckets a segment has."""
        return 1 << (self.prefix - self.segment)

    @property
    def tail_at(self) -> int:
        """The byte of a key at which its tail begins."""
        return self.prefix // 8


def shape_for(subjects: int, segment_bits: int) -> Shape:
    """Return the shape with 8 to 16 subjects a bucket."""
    wanted = max(0, (max(subjects, 1) // BUCKET).bit_length() - 1)
    return Shape(min(MAX_PREFIX, max(wanted, segment_bits)), segment_bits)


def reduce_rows(high: Words, low: Words, bits: Bits) -> tuple[Words, Words, Bits]:
    """Return the keys in order, each once, with the claims of equal keys joined (a claim holds if one row says so)."""
    if not len(high):
        return high, low, bits
    order = np.argsort(high)
    high, low, bits = high[order], low[order], bits[order]
    new = high[1:] != high[:-1]
    if bool(((~new) & (low[1:] != low[:-1])).any()):
        # Two subjects share the first half of their keys, which hardly ever happens by chance.
        order = np.lexsort((low, high))
        high, low, bits = high[order], low[order], bits[order]
        new = high[1:] != high[:-1]
    starts = np.flatnonzero(np.concatenate([[True], new | (low[1:] != low[:-1])]))
    return high[starts], low[starts], np.bitwise_or.reduceat(bits, starts)


def write_segment(
    folder: Path, number: int, shape: Shape, claims: int, keys: tuple[Words, Words], bits: Bits
) -> SegmentEntry:
    """Write the segment of reduced keys (high and low words) and claim bits, and return its entry.

    The file has its content's hash for a name: an equal segment is the same file. Refuses more subjects than fit.
    """
    high, low = keys
    count = len(high)
    if count > MAX_SUBJECTS:
        raise Invalid(f"a segment refuses {count} subjects", rule="index.size", accepted=f"at most {MAX_SUBJECTS}")
    local = (high >> np.uint64(64 - shape.prefix)) & np.uint64(shape.buckets - 1) if shape.prefix else high * 0
    counts = np.bincount(local.astype(np.int64), minlength=shape.buckets)
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype("<u4")
    parts = [
        HEADER.pack(MAGIC, count, shape.prefix, shape.segment, number, claims),
        offsets.tobytes(), _tails(high, low, shape).astype(">u8").tobytes(), np.ascontiguousarray(bits).tobytes(),
    ]  # fmt: skip
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    name = f"{digest.hexdigest()[:32]}.segment"
    if not (folder / name).exists():
        _write(folder / name, parts)
    return SegmentEntry(name, digest.hexdigest(), count, sum(map(len, parts)), count_true(bits, claims))


def read_segment(path: Path, shape: Shape) -> tuple[Words, Words, Bits]:
    """Return a segment's keys and claim bits; of a key, only the bits that the file holds: the rest are zero."""
    content = np.fromfile(path, np.uint8)
    magic, count, prefix, segment, number, _claims = HEADER.unpack(content[: HEADER.size].tobytes())
    if magic != MAGIC or (prefix, segment) != (shape.prefix, shape.segment):
        raise Invalid(f"index file {path.name} has a wrong form", rule="index.format")
    at = HEADER.size + 4 * (shape.buckets + 1)
    offsets = content[HEADER.size : at].view("<u4")
    tails = content[at : at + 8 * count].view(">u8").astype(np.uint64)
    values = content[at + 8 * count : at + 9 * count].copy()
    bucket = np.repeat(np.arange(shape.buckets, dtype=np.uint64), (offsets[1:] - offsets[:-1]).astype(np.int64))
    first = (np.uint64(number) << np.uint64(shape.prefix - segment)) | bucket
    return *_keys(first, tails, shape), values


def cut_keys(high: Words, low: Words, shape: Shape) -> tuple[Words, Words]:
    """Return keys as a segment holds them: without the bits behind the tail."""
    behind = 8 * (KEY_BYTES - TAIL_BYTES - shape.tail_at)
    return high, (low >> np.uint64(behind)) << np.uint64(behind) if behind < 64 else low * np.uint64(0)


def count_true(bits: Bits, claims: int) -> tuple[int, ...]:
    """Return of each claim the number of subjects of whom it is true."""
    return tuple(int(((bits >> place) & 1).sum()) for place in range(claims))


def _tails(high: Words, low: Words, shape: Shape) -> Words:
    skipped = 8 * shape.tail_at
    if not skipped:
        return high
    return (high << np.uint64(skipped)) | (low >> np.uint64(64 - skipped))


def _keys(first: Words, tails: Words, shape: Shape) -> tuple[Words, Words]:
    skipped = 8 * shape.tail_at
    if not skipped:
        return tails, np.zeros_like(tails)
    # The bits before the tail come from the bucket: its first `skipped` of `prefix` bits.
    head = first >> np.uint64(shape.prefix - skipped)
    return (head << np.uint64(64 - skipped)) | (tails >> np.uint64(skipped)), tails << np.uint64(64 - skipped)


def _write(path: Path, parts: list[bytes]) -> None:
    half = path.with_name(f".{path.name}")
    with half.open("wb") as file:
        for part in parts:
            file.write(part)
        file.flush()
        os.fsync(file.fileno())
    half.replace(path)
