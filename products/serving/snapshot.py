"""The index file: sorted keys, a table of prefix offsets, one byte of claims a subject; immutable and memory-mapped.

Layout, all integers big-endian except the offsets, which are little-endian uint32:

| part | bytes |
|---|---|
| magic `SZINDEX1`, count (u64), prefix bits (u32), claims (u32), reserved | 64 |
| offsets: where each prefix begins, and the end | 4 x (2^prefix + 1) |
| tails: the 64 bits of the key that follow the prefix, in order | 8 x count |
| values: bit i says whether claim i is true | 1 x count |

A key is found by its prefix (two offsets) and its tail among about 16. A wrong hit needs 64 + prefix equal bits.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import struct
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from shuzha.core.errors import Invalid, NotFound

MAGIC = b"SZINDEX1"
MAX_COUNT = 2**32 - 2
_HEADER = struct.Struct(">8sQII40x")
_PER_BUCKET = 16


@dataclass(frozen=True, slots=True)
class Manifest:
    """What one index file is: written beside it and read before it."""

    product: str
    version: int
    file: str
    sha256: str
    subjects: int
    claims: tuple[str, ...]
    subject: tuple[str, ...]
    shares: tuple[float, ...]
    entry: str
    raw_version: int
    scope_version: str
    specification: str
    built_at: str
    size: int = 0


class Snapshot:
    """One open index file; readers of an older one keep it until they let go."""

    __slots__ = ("_data", "_file", "_offsets", "_shift", "_tails", "_tails_end", "_values", "count", "manifest")

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.manifest = manifest
        self._file = path.open("rb")
        self._data = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
        if len(self._data) < _HEADER.size:
            raise Invalid(f"index file {path.name} is cut short", rule="index.format")
        magic, count, bits, _claims = _HEADER.unpack_from(self._data)
        self._tails = _HEADER.size + 4 * (2**bits + 1)
        self._tails_end = self._tails + 8 * count
        self._values = self._tails_end
        if magic != MAGIC or len(self._data) != self._values + count:
            raise Invalid(f"index file {path.name} has a wrong form", rule="index.format")
        self._offsets = struct.Struct("<II")
        self._shift = 128 - bits
        self.count = int(count)

    def find(self, key: bytes) -> int:
        """Return the claim bits of a key's subject, or -1 when the index does not hold it."""
        number = int.from_bytes(key, "big")
        start, end = self._offsets.unpack_from(self._data, _HEADER.size + 4 * (number >> self._shift))
        tail = (number >> (self._shift - 64) & 0xFFFFFFFFFFFFFFFF).to_bytes(8, "big")
        place, stop = self._tails + 8 * start, self._tails + 8 * end
        while True:
            place = self._data.find(tail, place, stop)
            if place < 0:
                return -1
            row, odd = divmod(place - self._tails, 8)
            if not odd:
                return int(self._data[self._values + row])
            place += 1

    def close(self) -> None:
        """Let go of the file."""
        self._data.close()
        self._file.close()


def merge(
    hashes: npt.NDArray[np.uint64], values: npt.NDArray[np.uint8]
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint8]]:
    """Return the keys in order, each once, with the claims of equal keys joined (a claim holds if one row says so)."""
    if not len(hashes):
        return hashes, values
    order = np.lexsort((hashes[:, 1], hashes[:, 0]))
    hashes, values = hashes[order], values[order]
    starts = np.flatnonzero(np.concatenate([[True], (hashes[1:] != hashes[:-1]).any(axis=1)]))
    return hashes[starts], np.bitwise_or.reduceat(values, starts)


def pack(hashes: npt.NDArray[np.uint64], values: npt.NDArray[np.uint8], claims: int) -> bytes:
    """Return the bytes of an index file for merged keys (count x 2 words of 64 bits, high first) and claim bits."""
    count = len(hashes)
    if count > MAX_COUNT:
        raise Invalid(f"an index refuses {count} subjects", rule="index.size", accepted=f"at most {MAX_COUNT}")
    high, low = hashes[:, 0], hashes[:, 1]
    bits = max(0, (count // _PER_BUCKET).bit_length() - 1)
    if bits:
        prefix = high >> np.uint64(64 - bits)
        tails = (high << np.uint64(bits)) | (low >> np.uint64(64 - bits))
    else:
        prefix, tails = np.zeros(count, np.uint64), high
    counts = np.bincount(prefix.astype(np.int64), minlength=2**bits)
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype("<u4")
    header = _HEADER.pack(MAGIC, count, bits, claims)
    return b"".join([header, offsets.tobytes(), tails.astype(">u8").tobytes(), values.tobytes()])


def numbered(manifest: Manifest, version: int) -> Manifest:
    """Return the manifest with its version number."""
    return replace(manifest, version=version)


def publish(folder: Path, content: bytes, manifest: Manifest) -> Manifest:
    """Store an index file and make it the current one in one rename; the file before it stays for its readers."""
    folder.mkdir(parents=True, exist_ok=True)
    name = f"v{manifest.version:06d}.index"
    full = replace(manifest, file=name, sha256=hashlib.sha256(content).hexdigest(), size=len(content))
    _write(folder / name, content)
    _write(folder / "current.json", msgspec.json.format(msgspec.json.encode(full)))
    for old in sorted(folder.glob("v*.index"))[:-2]:
        old.unlink()
    return full


def read_manifest(folder: Path) -> Manifest | None:
    """Return what the current index of a folder is, or None where none was built."""
    try:
        content = (folder / "current.json").read_bytes()
    except FileNotFoundError:
        return None
    return msgspec.json.decode(content, type=Manifest)


def open_current(folder: Path, *, verify: bool = True) -> Snapshot:
    """Return the current index of a folder, open; refuses one whose content is not what its manifest says."""
    manifest = read_manifest(folder)
    if manifest is None:
        raise NotFound("the product has no index yet", rule="index.missing", accepted="build it first")
    path = folder / manifest.file
    if verify:
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != manifest.sha256:
                raise Invalid(f"index file {manifest.file} is not what its manifest says", rule="index.sha256")
    return Snapshot(path, manifest)


def _write(path: Path, content: bytes) -> None:
    half = path.with_name(f".{path.name}.{os.getpid()}")
    with half.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    half.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
