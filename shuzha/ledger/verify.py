#!/usr/bin/env python3
"""Verify a Shuzha log offline: one file that needs Python 3.11 and nothing else (formats: docs/reference/ledger.md).

    python verify.py DIR [--checkpoint FILE] [--public-key FILE] [--witness FILE] [--json]
    python verify.py --proof FILE --public-key FILE [--checkpoint FILE] [--witness FILE]
    python verify.py --consistency FILE --checkpoint FILE --public-key FILE [--witness FILE]
    python verify.py --note FILE --public-key FILE [--witness FILE]

Every entry is recomputed: the body's hash is the header's commitment, the header's hash is the tree's leaf, the tree's
roots are those of every signed checkpoint. A checkpoint and a public key that you kept yourself also find a log that
was cut or written anew by whoever holds its key; so does a witness's cosignature on them.
Exit codes: 0 sound, 1 refused, 2 bad input.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import hashlib
import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

ENTRIES_PER_FILE = 65_536
MAX_FAULTS = 50
ERASURE = "ledger:erase"
HEADER_FIELDS = {"index", "id", "kind", "at", "commitment"}
_NAME = re.compile(r"[!-*,-~]{1,200}")
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")


class BadInput(Exception):
    """What was given can't be read as what it should be: exit code 2."""


@dataclass(frozen=True)
class Fault:
    """One thing that is not as it was signed: the entry (where it is one) and what differs."""

    what: str
    index: int | None = None
    id: str | None = None

    def __str__(self) -> str:
        entry = "" if self.index is None else f"entry {self.index}{f' ({self.id})' if self.id else ''}: "
        return entry + self.what


@dataclass
class Report:
    """What was found; the log is sound when there are no faults."""

    origin: str = ""
    key: str = ""
    size: int = 0
    root: str = ""
    signed_size: int = 0
    checkpoints: int = 0
    erased: int = 0
    cosigned_size: int = 0
    cosigned_at: str = ""
    faults: list[Fault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        """Whether nothing was found to differ."""
        return not self.faults

    def add(self, what: str, index: int | None = None, identifier: str | None = None) -> None:
        """Note a fault; past MAX_FAULTS only the first ones are kept."""
        if len(self.faults) < MAX_FAULTS:
            self.faults.append(Fault(what, index, identifier))


# --- Ed25519 (RFC 8032 section 5.1.7), for machines without the `cryptography` package ---

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
_ROOT_OF_MINUS_ONE = pow(2, (P - 1) // 4, P)
Point = tuple[int, int, int, int]


def _add(a: Point, b: Point) -> Point:
    e = (a[1] - a[0]) * (b[1] - b[0]) % P
    f = (a[1] + a[0]) * (b[1] + b[0]) % P
    g, h = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    x, t, z, y = f - e, h - g, h + g, f + e
    return (x * t % P, z * y % P, t * z % P, x * y % P)


def _multiply(scalar: int, point: Point) -> Point:
    found: Point = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            found = _add(found, point)
        point = _add(point, point)
        scalar >>= 1
    return found


def _decompress(raw: bytes) -> Point | None:
    y = int.from_bytes(raw, "little")
    sign, y = y >> 255, y & ((1 << 255) - 1)
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * _ROOT_OF_MINUS_ONE % P
    if (x * x - square) % P or (x == 0 and sign):
        return None
    if x & 1 != sign:
        x = P - x
    return (x, y, 1, x * y % P)


_BASE = _decompress((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))


def multiply_base(scalar: int) -> Point:
    """Return so many times the base point: what a public key and the first half of a signature are made of."""
    assert _BASE is not None
    return _multiply(scalar, _BASE)


def compress(point: Point) -> bytes:
    """Return a point as 32 bytes."""
    inverse = pow(point[2], P - 2, P)
    x, y = point[0] * inverse % P, point[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def ed25519_valid_in_python(public: bytes, signature: bytes, message: bytes) -> bool:
    """Return whether the signature is valid, by plain arithmetic (some milliseconds each)."""
    if len(public) != 32 or len(signature) != 64:
        return False
    a, r, s = _decompress(public), _decompress(signature[:32]), int.from_bytes(signature[32:], "little")
    if a is None or r is None or s >= L or _BASE is None:
        return False
    digest = hashlib.sha512(signature[:32] + public + message).digest()
    left = _multiply(s, _BASE)
    right = _add(r, _multiply(int.from_bytes(digest, "little") % L, a))
    return (left[0] * right[2] - right[0] * left[2]) % P == 0 and (left[1] * right[2] - right[1] * left[2]) % P == 0


def ed25519_valid(public: bytes, signature: bytes, message: bytes) -> bool:
    """Return whether the signature is valid; uses `cryptography` where it is installed, for speed."""
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except ImportError:
        return ed25519_valid_in_python(public, signature, message)
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


# --- Notes, checkpoints, keys (C2SP signed-note, tlog-checkpoint) ---


LOG_KEY, WITNESS_KEY = 1, 4


@dataclass(frozen=True)
class Key:
    """A verifier key: the name of a log or of a witness (`kind`), and its Ed25519 public key."""

    name: str
    public: bytes
    kind: int = LOG_KEY

    @property
    def id(self) -> bytes:
        """The four bytes that a signature line starts with."""
        return hashlib.sha256(self.name.encode() + b"\n" + bytes([self.kind]) + self.public).digest()[:4]


@dataclass(frozen=True)
class Checkpoint:
    """A signed statement of size and root, and where it was found."""

    size: int
    root: bytes
    source: str


def parse_key(line: str) -> Key:
    """Return the key of a line `name+id+base64`."""
    parts = line.removesuffix("\n").split("+", 2)
    raw = _decode(parts[2]) if len(parts) == 3 else b""
    if len(raw) == 33 and raw[0] in (LOG_KEY, WITNESS_KEY) and _NAME.fullmatch(parts[0]):
        key = Key(parts[0], raw[1:], raw[0])
        if key.id.hex() == parts[1]:
            return key
    raise BadInput("not a verifier key: expected one line `name+id+base64`")


def parse_note(note: str, source: str, key: Key | None) -> Checkpoint:
    """Return the checkpoint of a note that `key` signed (None: whoever signed it); raises BadInput for any other."""
    text, blank, rest = note.rpartition("\n\n")
    lines, signed = text.split("\n"), rest.split("\n")
    root = _decode(lines[2]) if blank and len(lines) >= 3 else b""
    if len(root) != 32 or not _NAME.fullmatch(lines[0]) or not _SIZE.fullmatch(lines[1]) or "" in lines:
        raise BadInput(f"{source}: not a checkpoint of origin, size, root, a blank line and signatures")
    ended = signed.pop() == ""
    signatures = [found for found in map(_signature, signed) if found]
    if not ended or not signatures or len(signatures) < len(signed):
        raise BadInput(f"{source}: a signature line is damaged (checkpoint of size {lines[1]})")
    if key is not None:
        mine = [raw for name, raw in signatures if name == key.name and raw[:4] == key.id]
        if not any(ed25519_valid(key.public, raw[4:], f"{text}\n".encode()) for raw in mine):
            reason = "its signature is not valid" if mine else f"it is not signed by {key.name} {key.id.hex()}"
            raise BadInput(f"{source}: the checkpoint of size {lines[1]} is refused: {reason}")
        if lines[0] != key.name:
            raise BadInput(f"{source}: the checkpoint is of another log, {lines[0]}")
    return Checkpoint(int(lines[1]), root, source)


def cosigned_at(note: str, witness: Key) -> int | None:
    """Return when a witness cosigned a note, in seconds since 1970; None where it did not (C2SP cosignature/v1)."""
    text, _, rest = note.rpartition("\n\n")
    for found in map(_signature, rest.splitlines()):
        if found and found[0] == witness.name and found[1][:4] == witness.id and len(found[1]) == 76:
            at = int.from_bytes(found[1][4:12], "big")
            if ed25519_valid(witness.public, found[1][12:], cosigned_text(text, at)):
                return at
    return None


def cosigned_text(text: str, at: int) -> bytes:
    """Return what a witness signs: the checkpoint's text (without its last newline) and the time."""
    return f"cosignature/v1\ntime {at}\n{text}\n".encode()


def _signature(line: str) -> tuple[str, bytes] | None:
    parts = line.split(" ")
    raw = _decode(parts[2]) if len(parts) == 3 and parts[0] == "—" else b""
    return (parts[1], raw) if len(raw) > 4 else None


def _decode(text: str) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""
    return raw if base64.b64encode(raw).decode() == text else b""


def split_notes(text: str) -> Iterator[str]:
    """Yield the notes of a history: each ends with its last signature line. What is left over comes last."""
    note: list[str] = []
    for line in text.splitlines(keepends=True):
        if note and note[-1].startswith("— ") and not line.startswith("— "):
            yield "".join(note)
            note = []
        note.append(line)
    if note:
        yield "".join(note)


# --- The tree (RFC 9162) ---


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of the node above two nodes."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def fold(peaks: list[bytes]) -> bytes:
    """Return the root over the peaks of a tree."""
    if not peaks:
        return hashlib.sha256().digest()
    top = peaks[-1]
    for peak in reversed(peaks[:-1]):
        top = node_hash(peak, top)
    return top


def inclusion_root(leaf: bytes, index: int, size: int, proof: list[bytes]) -> bytes | None:
    """Return the root that an inclusion proof leads to, None where its length can't be right (RFC 9162 2.1.3.2)."""
    position, last, node = index, size - 1, leaf
    for step in proof:
        if last == 0:
            return None
        if position & 1 or position == last:
            node = node_hash(step, node)
            while position and not position & 1:
                position, last = position >> 1, last >> 1
        else:
            node = node_hash(node, step)
        position, last = position >> 1, last >> 1
    return node if last == 0 and 0 <= index < size else None


def consistent(first: int, second: int, first_root: bytes, second_root: bytes, proof: list[bytes]) -> bool:
    """Return whether a proof shows that the second tree only adds to the first (RFC 9162 2.1.4.2)."""
    if not 0 < first <= second:
        return False
    if first == second:
        return not proof and first_root == second_root
    path = [first_root, *proof] if first & (first - 1) == 0 else list(proof)
    if not path:
        return False
    position, last = first - 1, second - 1
    while position & 1:
        position, last = position >> 1, last >> 1
    old = new = path[0]
    for step in path[1:]:
        if last == 0:
            return False
        if position & 1 or position == last:
            old, new = node_hash(step, old), node_hash(step, new)
            while position and not position & 1:
                position, last = position >> 1, last >> 1
        else:
            new = node_hash(new, step)
        position, last = position >> 1, last >> 1
    return last == 0 and old == first_root and new == second_root


class Scan:
    """One pass over a log's folder."""

    def __init__(
        self, folder: Path, report: Report, signed: list[Checkpoint], progress: Callable[[int], None] | None
    ) -> None:
        self.folder, self.report, self.progress = folder, report, progress
        self.signed: dict[int, list[Checkpoint]] = {}
        for checkpoint in signed:
            self.signed.setdefault(checkpoint.size, []).append(checkpoint)
        self.peaks: list[bytes] = []
        self.index = 0
        self.bad: set[int] = set()
        self.forked = False
        self.erased: dict[int, str] = {}
        self.erasures: set[int] = set()
        # Sizes are taken before the entries are read: a living log may grow meanwhile, and entries are written first.
        self.node_count = self._length("hashes.bin", 32)
        self.offset_count = self._length("offsets.bin", 8)
        self.hashes = (folder / "hashes.bin").open("rb")
        self.offsets = (folder / "offsets.bin").open("rb")

    def run(self) -> None:
        """Check everything; what differs goes into the report."""
        self._check_roots()
        while (path := self.folder / "entries" / f"{self.index // ENTRIES_PER_FILE:06d}.jsonl").exists():
            before = self.index
            self._file(path)
            if self.index % ENTRIES_PER_FILE or self.index == before:
                break
        self._finish()

    def _length(self, name: str, width: int) -> int:
        size = (self.folder / name).stat().st_size
        if size % width:
            self.report.add(f"{name} has {size} bytes, not a multiple of {width}")
        return size // width

    def _file(self, path: Path) -> None:
        offset, damaged = 0, False
        last = (self.index // ENTRIES_PER_FILE + 1) * ENTRIES_PER_FILE
        with path.open("rb") as lines:
            for line in lines:
                if not line.endswith(b"\n") and self._torn(line):
                    break
                header = _header(line)
                if header is None and not damaged and self.index - 1 not in self.bad:
                    self._fault(
                        self.index, None, "its line cannot be read: header, tab, body and newline were expected"
                    )
                    damaged = True
                elif header is not None:
                    self._skip_to(header, damaged, last)
                    damaged = False
                    self._entry(line, header, offset)
                offset += len(line)
        if damaged:
            self._advance(self._stored_leaf(self.index))

    def _torn(self, line: bytes) -> bool:
        # A line without its end behind every checkpoint is what kill -9 leaves: it was never acknowledged. If only
        # the newline was changed into something else, the rest of the line is whole, and that is a fault.
        covered = any(size > self.index for size in self.signed)
        if covered or _body_fault(line[:-1], _header(line[:-1] + b"\n")) is None:
            return False
        self.report.notes.append(
            f"{len(line)} bytes behind entry {self.index - 1} are no whole entry; no checkpoint covers them "
            "(a writer was stopped while writing; it cuts them when it starts)"
        )
        return True

    def _skip_to(self, header: dict[str, Any], damaged: bool, last: int) -> None:
        found = header["index"]
        if damaged and found != self.index:
            self._advance(self._stored_leaf(self.index))
        if found == self.index:
            return
        if self.index < found < last:
            self._fault(self.index, None, f"is missing: the next line is entry {found} ({header['id']})")
            while self.index < found:
                self.bad.add(self.index)
                self._advance(self._stored_leaf(self.index))
        else:
            self._fault(self.index, header["id"], f"its line says index {found}")

    def _entry(self, line: bytes, header: dict[str, Any], offset: int) -> None:
        index, identifier = self.index, header["id"]
        raw, _, body = line.removesuffix(b"\n").partition(b"\t")
        leaf = hashlib.sha256(b"\x00" + raw).digest()
        what = _body_fault(line.removesuffix(b"\n"), header)
        if what:
            self._fault(index, identifier, what)
        if body.rstrip(b" ") == b"-":
            self.erased[index] = identifier
        elif header["kind"] == ERASURE and not what:
            self.erasures.add(int(json.loads(body)["payload"]["erased"]))
        at = self.offsets.read(8)
        if index < self.offset_count and int.from_bytes(at, "little") != offset:
            self._fault(index, identifier, "offsets.bin says another place in its file")
        self._advance(leaf, identifier)

    def _advance(self, leaf: bytes, identifier: str | None = None) -> None:
        index = self.index
        if self.offsets.tell() < 8 * (index + 1):
            self.offsets.seek(8 * (index + 1))
        if (stored := self._next_node()) not in (None, leaf):
            self._fault(index, identifier, "its header does not give the leaf hash in hashes.bin")
        node, rest, width = leaf, index, 2
        while rest & 1:
            node = node_hash(self.peaks.pop(), node)
            stored = self._next_node()
            below = range(index + 1 - width, index + 1)
            if stored not in (None, node) and not any(leaf_index in self.bad for leaf_index in below):
                self._fault(index, identifier, f"hashes.bin differs in the node over entries {below[0]} to {index}")
            rest, width = rest >> 1, width * 2
        self.peaks.append(node)
        self.index = index + 1
        self._check_roots()
        if self.progress and not self.index % 10_000:
            self.progress(self.index)

    def _next_node(self) -> bytes | None:
        self.node_count -= 1
        return self.hashes.read(32) if self.node_count >= 0 else None

    def _stored_leaf(self, index: int) -> bytes:
        here = self.hashes.tell()
        found = self.hashes.read(32)
        self.hashes.seek(here)
        return found.ljust(32, b"\0")

    def _fault(self, index: int, identifier: str | None, what: str) -> None:
        self.bad.add(index)
        self.report.add(what, index, identifier)

    def _check_roots(self) -> None:
        for checkpoint in self.signed.pop(self.index, ()):
            if fold(self.peaks) == checkpoint.root:
                self.report.signed_size = self.index
            elif not self.forked:
                self.forked, since = True, self.report.signed_size
                self.report.add(
                    f"{checkpoint.source}: the entries do not give the signed root of size {checkpoint.size}; "
                    f"what differs is among entries {since} to {checkpoint.size - 1}"
                )

    def _finish(self) -> None:
        self.hashes.close()
        self.offsets.close()
        report = self.report
        report.size, report.root, report.erased = (
            self.index,
            base64.b64encode(fold(self.peaks)).decode(),
            len(self.erased),
        )
        for checkpoint in (found for size in sorted(self.signed) for found in self.signed[size]):
            report.add(
                f"{checkpoint.source}: signs {checkpoint.size} entries, the folder has {self.index}: "
                f"entries {self.index} to {checkpoint.size - 1} are missing", self.index,
            )  # fmt: skip
        if self.node_count > 0 or self.offset_count > self.index:
            report.add(f"hashes.bin or offsets.bin goes on behind the last entry, {self.index - 1}")
        elif report.signed_size and (self.node_count < 0 or self.offset_count < self.index):
            self._check_short()
        for index in sorted(set(self.erased) - self.erasures):
            report.add("its payload is gone and no entry of the log says that it was erased", index, self.erased[index])

    def _check_short(self) -> None:
        # Behind the newest checkpoint both files may lag; up to it they may not.
        size = self.report.signed_size
        have = 2 * self.index - self.index.bit_count() + self.node_count
        if have < 2 * size - size.bit_count() or self.offset_count < size:
            self.report.add(f"hashes.bin or offsets.bin ends before entry {size - 1}, which a checkpoint covers")


def _header(line: bytes) -> dict[str, Any] | None:
    raw, tab, _ = line.partition(b"\t")
    try:
        header = json.loads(raw)
    except ValueError:
        return None
    whole = isinstance(header, dict) and set(header) == HEADER_FIELDS and type(header["index"]) is int
    return header if whole and tab and line.endswith(b"\n") else None


def _body_fault(line: bytes, header: dict[str, Any] | None) -> str | None:
    body = line.partition(b"\t")[2]
    if header is None or not body:
        return "its line cannot be read"
    if body.rstrip(b" ") == b"-" or hashlib.sha256(body).hexdigest() == header["commitment"]:
        return None
    return "its salt and payload do not give the commitment in its header"


# --- What is asked for ---


def verify_folder(
    folder: Path,
    held_checkpoint: Path | None = None,
    held_key: Path | None = None,
    progress: Callable[[int], None] | None = None,
    witness: Key | None = None,
) -> Report:
    """Return what was found in a log's folder; raises BadInput where it is no log or what you hold can't be read.

    With a witness's key each note in the folder's `cosigned` must bear its cosignature, and there must be one.
    """
    names = ("public-key", "checkpoint", "checkpoints", "hashes.bin", "offsets.bin", "entries")
    if not folder.is_dir() or sum((folder / name).exists() for name in names) < 2:
        raise BadInput(f"{folder}: not a log folder; expected {', '.join(names)}")
    for path in (folder / name for name in names):
        if path.exists() and not os.access(path, os.R_OK):
            raise BadInput(f"{path}: you may not read it")
    report = Report()
    key = _key(folder, held_key, report)
    signed: list[Checkpoint] = []
    for name in ("checkpoints", "checkpoint"):
        signed += _folder_notes(folder / name, key, report)
    if witness or (folder / "cosigned").exists():
        signed += _cosigned_notes(folder / "cosigned", key, witness, report)
    if held_checkpoint:
        signed += _held_note(held_checkpoint, key, report)
    report.checkpoints = len(signed)
    for name in ("hashes.bin", "offsets.bin", "entries"):
        if not (folder / name).exists():
            report.add(f"{name} is missing")
            return report
    try:
        Scan(folder, report, signed, progress).run()
    except OSError as error:
        report.add(f"{Path(error.filename or folder).name} cannot be read: {error.strerror}")
    return report


def _cosigned_notes(path: Path, key: Key | None, witness: Key | None, report: Report) -> list[Checkpoint]:
    if not path.exists():
        report.add(f"no checkpoint is cosigned by {witness.name if witness else 'a witness'}")
        return []
    found = _folder_notes(path, key, report)
    if witness is None:
        report.notes.append("cosignatures were not checked: give the witness's key with --witness")
        return found
    for place, note in enumerate(split_notes(_text(path))):
        at = cosigned_at(note, witness)
        if at is None:
            report.add(f"cosigned, note {place + 1}: not cosigned by {witness.name} {witness.id.hex()}")
        elif place < len(found) and found[place].size >= report.cosigned_size:
            report.cosigned_size, report.cosigned_at = found[place].size, _said(at)
    return found


def _said(at: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(min(at, 253_402_300_799)))


def _key(folder: Path, held: Path | None, report: Report) -> Key | None:
    found = None
    try:
        line = _text(folder / "public-key")
        found = parse_key(line if line.endswith("\n") else "")
    except BadInput:
        report.add("public-key is missing or damaged")
    if held:
        mine = parse_key(_text(held))
        if found not in (None, mine):
            report.add("public-key is another key than the one you hold")
        found = mine
    else:
        report.notes.append("the public key was taken from the folder itself: compare it with one that you keep")
    if found:
        report.origin, report.key = found.name, found.id.hex()
    return found


def _folder_notes(path: Path, key: Key | None, report: Report) -> list[Checkpoint]:
    try:
        text = _text(path)
    except BadInput:
        report.add(f"{path.name} is missing or damaged")
        return []
    notes = list(split_notes(text))
    found = []
    for place, note in enumerate(notes):
        source = path.name if path.name == "checkpoint" else f"{path.name}, note {place + 1}"
        try:
            found.append(parse_note(note, source, key))
        except BadInput as refusal:
            if not (path.name == "checkpoints" and place == len(notes) - 1 and _torn_note(note)):
                report.add(str(refusal))
    if not notes:
        report.add(f"{path.name} is empty")
    return found


def _torn_note(note: str) -> bool:
    return not note.endswith("\n") and "\n— " not in note[:-2]


def _held_note(path: Path, key: Key | None, report: Report) -> list[Checkpoint]:
    note = _text(path)
    found = parse_note(note, f"the checkpoint you hold ({path.name})", None)
    try:
        return [parse_note(note, found.source, key)]
    except BadInput as refusal:
        report.add(str(refusal))
        return []


@dataclass(frozen=True)
class Held:
    """What you keep yourself: the log's key, and if you have them an earlier checkpoint and a witness's key."""

    key: Key
    checkpoint: Path | None = None
    witness: Key | None = None


def verify_note(path: Path, held: Held) -> Report:
    """Return whether one checkpoint is signed by the log's key and, where a witness is given, cosigned by it."""
    return _check_note(_text(path), path.name, held)[0]


def verify_consistency(path: Path, held: Held) -> Report:
    """Return whether the log of a consistency proof's checkpoint only adds to the checkpoint that you hold."""
    try:
        proof = json.loads(_text(path))
        first, second, hashes = int(proof["first"]), int(proof["second"]), [_decode(one) for one in proof["hashes"]]
        note = str(proof["checkpoint"])
    except (ValueError, KeyError, TypeError):
        raise BadInput(f"{path}: not a consistency proof") from None
    if held.checkpoint is None:
        raise BadInput("a consistency proof is checked against a checkpoint that you hold: give --checkpoint")
    report, signed = _check_note(note, "the proof's checkpoint", held)
    mine = parse_note(_text(held.checkpoint), f"the checkpoint you hold ({held.checkpoint.name})", held.key)
    if signed is None:
        return report
    if (first, second) != (mine.size, signed.size):
        report.add(f"the proof is from {first} to {second} entries, the checkpoints have {mine.size} and {signed.size}")
    elif not consistent(first, second, mine.root, signed.root, hashes):
        report.add(f"the log of {second} entries does not continue the {first} entries of the checkpoint you hold")
    return report


def verify_proof(path: Path, held: Held) -> Report:
    """Return whether a proof of one entry holds against the checkpoint in it; raises BadInput for no proof."""
    try:
        proof = json.loads(_text(path))
    except ValueError:
        raise BadInput(f"{path}: not a proof") from None
    return check_proof(proof, held.key, str(path), held)


def check_proof(proof: Any, key: Key, source: str, held: Held | None = None) -> Report:
    """Return whether the proof of one entry, as read from `source`, holds under a key; raises BadInput for no proof.

    With a held checkpoint of the same size both must be one.
    """
    try:
        leaf, body, note = proof["leaf"].encode(), proof["body"], proof["checkpoint"]
        index, size, hashes = int(proof["index"]), int(proof["size"]), [_decode(text) for text in proof["hashes"]]
        header = json.loads(leaf)
        identifier, stated, commitment = header["id"], header["index"], header["commitment"]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise BadInput(f"{source}: not a proof") from None
    report, signed = _check_note(note, "the proof's checkpoint", held or Held(key))
    if signed is None:
        return report
    report.size = signed.size
    if body is not None and hashlib.sha256(body.encode()).hexdigest() != commitment:
        report.add("its salt and payload do not give the commitment in its header", index, identifier)
    root = inclusion_root(hashlib.sha256(b"\x00" + leaf).digest(), index, size, hashes)
    if stated != index or size != signed.size or root != signed.root:
        report.add("the proof does not lead to the signed root", index, identifier)
    if held and held.checkpoint:
        mine = parse_note(_text(held.checkpoint), f"the checkpoint you hold ({held.checkpoint.name})", key)
        if mine.size == signed.size and mine.root != signed.root:
            report.add(f"the checkpoint you hold has another root for the same {mine.size} entries: the log was forked")
        elif mine.size != signed.size:
            report.notes.append("the checkpoint you hold has another size: a consistency proof joins the two")
    return report


def _check_note(note: Any, source: str, held: Held) -> tuple[Report, Checkpoint | None]:
    report = Report(held.key.name, held.key.id.hex())
    try:
        signed = parse_note(str(note), source, held.key)
    except BadInput as refusal:
        report.add(str(refusal))
        return report, None
    report.checkpoints, report.signed_size = 1, signed.size
    report.root = base64.b64encode(signed.root).decode()
    if held.witness:
        at = cosigned_at(str(note), held.witness)
        if at is None:
            report.add(f"{source} is not cosigned by {held.witness.name} {held.witness.id.hex()}")
        else:
            report.cosigned_size, report.cosigned_at = signed.size, _said(at)
    return report, signed


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode()  # Bytes, for text mode would read a changed `\r` as the newline it was.
    except (OSError, ValueError) as error:
        raise BadInput(f"{path}: cannot be read ({type(error).__name__})") from None


def main(arguments: list[str] | None = None) -> int:
    """Verify what the command line names; return the exit code."""
    parser = argparse.ArgumentParser(prog="verify.py", description="Verify a Shuzha log offline.")
    parser.add_argument(
        "folder", nargs="?", type=Path, metavar="DIR", help="the log's folder, such as var/data/logs/usage"
    )
    parser.add_argument(
        "--checkpoint", type=Path, help="a checkpoint that you kept: finds a log that was cut or forked"
    )
    parser.add_argument("--public-key", type=Path, help="the log's public key that you kept")
    parser.add_argument("--witness", type=Path, help="a witness's public key: its cosignature is asked for")
    parser.add_argument("--proof", type=Path, help="verify the proof of one entry instead (needs --public-key)")
    parser.add_argument(
        "--consistency", type=Path, help="verify that a log only grew since --checkpoint (needs --public-key)"
    )
    parser.add_argument("--note", type=Path, help="verify one checkpoint (needs --public-key)")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    options = parser.parse_args(arguments)
    try:
        report = _verify(options)
    except BadInput as error:
        sys.stderr.write((json.dumps({"error": str(error)}) if options.json else f"bad input: {error}") + "\n")
        return 2
    if options.json:
        text = json.dumps({"sound": report.sound, **asdict(report)}, ensure_ascii=False, indent=1)
    else:
        text = "\n".join(_lines(report))
    sys.stdout.write(text + "\n")
    return 0 if report.sound else 1


def _verify(options: argparse.Namespace) -> Report:
    witness = _key_of(options.witness, WITNESS_KEY) if options.witness else None
    asked = [one for one in ("proof", "consistency", "note") if getattr(options, one)]
    if asked and options.public_key:
        held = Held(_key_of(options.public_key, LOG_KEY), options.checkpoint, witness)
        act = {"proof": verify_proof, "consistency": verify_consistency, "note": verify_note}[asked[0]]
        return act(getattr(options, asked[0]), held)
    if options.folder and not asked:
        return verify_folder(options.folder, options.checkpoint, options.public_key, _progress(), witness)
    raise BadInput("give a log's folder, or --proof, --consistency or --note with --public-key")


def _key_of(path: Path, kind: int) -> Key:
    found = parse_key(_text(path))
    if found.kind != kind:
        raise BadInput(f"{path}: the key of a {'witness' if kind == LOG_KEY else 'log'}, where the other is asked for")
    return found


def _lines(report: Report) -> Iterator[str]:
    yield f"log: {report.origin}, key {report.key}"
    yield f"entries: {report.size}; under a signed checkpoint: {report.signed_size}; erased payloads: {report.erased}"
    yield f"checkpoints verified: {report.checkpoints}; root: {report.root}"
    if report.cosigned_size:
        yield f"cosigned by the witness: up to {report.cosigned_size} entries, at {report.cosigned_at}"
    yield from (f"note: {note}" for note in report.notes)
    yield from (f"refused: {fault}" for fault in report.faults)
    yield "sound" if report.sound else f"NOT SOUND: {len(report.faults)} differences"


def _progress() -> Callable[[int], None] | None:
    if not sys.stderr.isatty():
        return None

    def show(count: int) -> None:
        sys.stderr.write(f"\r{count:,} entries\r")
        sys.stderr.flush()

    return show


if __name__ == "__main__":
    sys.exit(main())
