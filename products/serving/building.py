"""Building an index: rows stream in, are dealt out by the first bits of their keys, and each part is sorted by itself.

What is dealt out lies in one file without a name, so that a build which is killed leaves nothing of it; segments are
made in a folder of their own that the next build empties. Memory holds a batch of rows and one part, never all.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Protocol

import numpy as np

from products.serving.rows import KeyedRows, Take
from products.serving.segments import (
    Bits,
    SegmentEntry,
    Shape,
    Words,
    cut_keys,
    read_segment,
    reduce_rows,
    shape_for,
    write_segment,
)
from products.serving.snapshot import BUILDING, Manifest

SEGMENT_ROWS = 400_000
MAX_SEGMENT_BITS = 6
_ROW_BYTES = 17


class Watch(Protocol):
    """Whoever follows a build; `step` may raise, and the build then ends and leaves the old index as it was."""

    def step(self, stage: str, done: int, total: int) -> None:
        """Hear that so much of a stage is done."""
        ...


class Unwatched:
    """Nobody follows."""

    def step(self, stage: str, done: int, total: int) -> None:
        """Hear nothing."""


@dataclass(frozen=True, slots=True)
class Built:
    """Segments that are made and not yet published."""

    shape: Shape
    segments: tuple[SegmentEntry, ...]

    @property
    def subjects(self) -> int:
        """How many subjects they hold."""
        return sum(one.subjects for one in self.segments)

    def shares(self, claims: int) -> tuple[float, ...]:
        """Return of each claim the share of subjects of whom it is true, to four places."""
        count = max(1, self.subjects)
        return tuple(round(sum(one.true[place] for one in self.segments) / count, 4) for place in range(claims))


class Spill:
    """Rows dealt out by the first bits of their keys, in one file that has no name."""

    def __init__(self, folder: Path, bits: int) -> None:
        self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 -- closed by `close`
        self._bits = bits
        self._extents: list[list[tuple[int, int]]] = [[] for _ in range(1 << bits)]
        self._end = 0

    def add(self, rows: KeyedRows) -> None:
        """Deal a batch out."""
        parts = (rows.high >> np.uint64(64 - self._bits)).astype(np.uint8) if self._bits else np.zeros(len(rows), "u1")
        order = np.argsort(parts, kind="stable")
        edges = np.searchsorted(parts[order], np.arange((1 << self._bits) + 1))
        high, low, bits = rows.high[order], rows.low[order], rows.bits[order]
        for part, (start, end) in enumerate(pairwise(edges.tolist())):
            if end > start:
                content = b"".join((high[start:end].tobytes(), low[start:end].tobytes(), bits[start:end].tobytes()))
                self._file.write(content)
                self._extents[part].append((self._end, end - start))
                self._end += len(content)

    def part(self, number: int) -> KeyedRows:
        """Return the rows of one part."""
        high: list[Words] = []
        low: list[Words] = []
        bits: list[Bits] = []
        for at, count in self._extents[number]:
            self._file.seek(at)
            content = np.frombuffer(self._file.read(_ROW_BYTES * count), np.uint8)
            high.append(content[: 8 * count].view(np.uint64))
            low.append(content[8 * count : 16 * count].view(np.uint64))
            bits.append(content[16 * count :])
        if not high:
            return KeyedRows(np.empty(0, np.uint64), np.empty(0, np.uint64), np.empty(0, np.uint8))
        return KeyedRows(np.concatenate(high), np.concatenate(low), np.concatenate(bits))

    def close(self) -> None:
        """Give the file back."""
        self._file.close()


def build_all(read: Callable[[Take], None], rows: int, claims: int, folder: Path, watch: Watch) -> Built:
    """Return the segments of what `read` hands over (about `rows` rows), made in the building folder of `folder`."""
    bits = min(MAX_SEGMENT_BITS, max(0, rows // SEGMENT_ROWS).bit_length())
    made = empty_building(folder)
    spill = Spill(made, bits)
    try:
        done = 0

        def take(batch: KeyedRows) -> None:
            nonlocal done
            spill.add(batch)
            done += len(batch)
            watch.step("read", done, max(rows, done))

        read(take)
        first = spill.part(0)
        shape = shape_for(len(reduce_rows(first.high, first.low, first.bits)[0]) << bits, bits)
        segments = []
        for number in range(shape.segments):
            part = first if number == 0 else spill.part(number)
            high, low, values = reduce_rows(*cut_keys(part.high, part.low, shape), part.bits)
            segments.append(write_segment(made, number, shape, claims, (high, low), values))
            watch.step("sort", number + 1, shape.segments)
    finally:
        spill.close()
    return Built(shape, tuple(segments))


def build_changes(
    manifest: Manifest, folder: Path, changed: tuple[Words, Words], fresh: KeyedRows, watch: Watch
) -> Built:
    """Return the segments of an index in which some subjects changed; a segment with none of them stays its file.

    `changed` are the keys of whom the old answer no longer counts; `fresh` the rows that count from now on, of them and
    of those to whom rows were only added.
    """
    shape, claims = manifest.shape, len(manifest.claims)
    made = empty_building(folder)
    dropped = _dealt(*cut_keys(*changed, shape), shape)
    added = _dealt(*cut_keys(fresh.high, fresh.low, shape), shape, fresh.bits)
    segments = []
    for number, entry in enumerate(manifest.segments):
        gone, new = dropped[number], added[number]
        if not len(gone[0]) and not len(new[0]):
            segments.append(entry)
        else:
            high, low, bits = read_segment(folder / entry.file, shape)
            if len(gone[0]):
                keep = ~among(high, low, gone[0], gone[1])
                high, low, bits = high[keep], low[keep], bits[keep]
            high, low, bits = reduce_rows(
                np.concatenate([high, new[0]]), np.concatenate([low, new[1]]), np.concatenate([bits, new[2]])
            )
            segments.append(write_segment(made, number, shape, claims, (high, low), bits))
        watch.step("update", number + 1, shape.segments)
    return Built(shape, tuple(segments))


def adopt(folder: Path, segments: Sequence[SegmentEntry]) -> None:
    """Move made segments beside the manifest, where `publish` finds them, and remove the building folder."""
    made = folder / BUILDING
    for one in segments:
        if (made / one.file).exists():
            (made / one.file).replace(folder / one.file)
    shutil.rmtree(made, ignore_errors=True)


def empty_building(folder: Path) -> Path:
    """Return the building folder, without what a build before may have left there."""
    made = folder / BUILDING
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir(parents=True)
    return made


def _dealt(high: Words, low: Words, shape: Shape, bits: Bits | None = None) -> list[tuple[Words, Words, Bits]]:
    """Return keys by segment, sorted."""
    order = np.lexsort((low, high))
    high, low = high[order], low[order]
    bits = np.zeros(len(high), np.uint8) if bits is None else bits[order]
    parts = (high >> np.uint64(64 - shape.segment)).astype(np.int64) if shape.segment else np.zeros(len(high), np.int64)
    edges = np.searchsorted(parts, np.arange(shape.segments + 1)).tolist()
    return [(high[one:two], low[one:two], bits[one:two]) for one, two in pairwise(edges)]


def among(high: Words, low: Words, some_high: Words, some_low: Words) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Return which keys are among some sorted ones."""
    start = np.searchsorted(some_high, high, "left")
    inside = start < len(some_high)
    found = np.zeros(len(high), np.bool_)
    found[inside] = some_high[start[inside]] == high[inside]
    same = np.zeros(len(high), np.bool_)
    same[found] = some_low[start[found]] == low[found]
    # Only where two subjects share the first half of their keys must more than one be looked at.
    for place in np.flatnonzero(found & ~same):
        first, end = start[place], np.searchsorted(some_high, high[place], "right")
        same[place] = low[place] in some_low[first:end]
    return same
