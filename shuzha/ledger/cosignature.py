"""Cosignatures: a witness's word that a checkpoint continues the one it saw before (C2SP tlog-cosignature, Ed25519).

A *witness* keeps the newest checkpoint of a log that it found consistent and signs it with the time. A log that shows
two histories cannot get both of them signed. Notes with cosignatures are kept beside the log, in its file `cosigned`.
"""

from __future__ import annotations

import base64
import fcntl
import os
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from shuzha.core.errors import Conflict, Invalid
from shuzha.ledger import verify as alone
from shuzha.ledger.checkpoint import Checkpoint, VerifierKey
from shuzha.ledger.reader import LogReader

COSIGNED = "cosigned"
COSIGNATURE = b"\x04"
_TAIL = 65_536
_STAMPED = 8 + 64


@dataclass(frozen=True, slots=True)
class WitnessKey:
    """A witness's name and Ed25519 public key."""

    name: str
    public: bytes

    @property
    def id(self) -> bytes:
        """The four bytes by which a signature line names this key."""
        return sha256(self.name.encode() + b"\n" + COSIGNATURE + self.public).digest()[:4]

    def line(self) -> str:
        """Return the key as one line for people to keep and compare."""
        return f"{self.name}+{self.id.hex()}+{base64.b64encode(COSIGNATURE + self.public).decode()}"

    @classmethod
    def parse(cls, line: str) -> WitnessKey:
        """Return the key of such a line; refuses the key of a log, and one whose id is not that of the key."""
        try:
            found = alone.parse_key(line)
        except alone.BadInput:
            found = None
        if found is None or found.kind != COSIGNATURE[0]:
            raise Invalid(
                "this is not a witness's key", rule="c2sp.tlog_cosignature",
                accepted="a line `name+id+base64`, such as the witness's file witness.pub",
            )  # fmt: skip
        return cls(found.name, found.public)


@dataclass(frozen=True, slots=True)
class Cosigned:
    """A checkpoint under a witness's cosignature: when it was given (seconds since 1970), and the whole note."""

    checkpoint: Checkpoint
    at: int
    note: str


def verify_cosigned(note: str, log: VerifierKey, witness: WitnessKey) -> Cosigned:
    """Return what a note says that the log signed and the witness cosigned; refuses any other."""
    checkpoint = log.verify(note)
    text, _, rest = note.rpartition("\n\n")
    for line in rest.splitlines():
        name, raw = line.split(" ")[1], base64.b64decode(line.split(" ")[2])
        if name == witness.name and raw[:4] == witness.id and len(raw) == 4 + _STAMPED:
            at = int.from_bytes(raw[4:12], "big")
            said = f"cosignature/v1\ntime {at}\n{text}\n"
            try:
                Ed25519PublicKey.from_public_bytes(witness.public).verify(raw[12:], said.encode())
            except InvalidSignature:
                break
            return Cosigned(checkpoint, at, note)
    raise Invalid(
        f"the checkpoint of size {checkpoint.size} has no valid cosignature by {witness.name} {witness.id.hex()}",
        rule="c2sp.tlog_cosignature",
    )


def keep_cosigned(reader: LogReader, found: Cosigned, witness: WitnessKey) -> bool:
    """Store a cosigned checkpoint beside its log; False where the witness's newest is as new already.

    Raises Conflict where the log's own entries don't give the root that was signed and cosigned: whoever holds such a
    note holds the proof that this log has two histories.
    """
    checkpoint = found.checkpoint
    current = reader.checkpoint()
    if checkpoint.size > current.size or reader.root(checkpoint.size) != checkpoint.root:
        raise Conflict(
            f"log {reader.key.name} does not have the root that its key signed for size {checkpoint.size}",
            rule="ledger.fork", accepted="keep this note: it proves that the log was cut or written anew",
        )  # fmt: skip
    path = reader.folder / COSIGNED
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o640)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        newest = find_cosigned(reader, witness)
        if newest is not None and newest.checkpoint.size >= checkpoint.size:
            return False
        data = memoryview(found.note.encode())
        while data:
            data = data[os.write(handle, data) :]
        os.fsync(handle)
    finally:
        os.close(handle)
    return True


def find_cosigned(reader: LogReader, witness: WitnessKey) -> Cosigned | None:
    """Return the newest checkpoint that a witness cosigned, None where there is none."""
    for note in reversed(_newest_notes(reader.folder / COSIGNED)):
        try:
            return verify_cosigned(note, reader.key, witness)
        except Invalid:
            continue
    return None


def newest_cosigned(reader: LogReader) -> str | None:
    """Return the newest note that was kept with a cosignature, None where there is none."""
    notes = _newest_notes(reader.folder / COSIGNED)
    return notes[-1] if notes else None


def _newest_notes(path: Path) -> list[str]:
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL))
            # A first note that the cut tore is no note, and is refused as one.
            return list(alone.split_notes(file.read().decode(errors="replace")))
    except FileNotFoundError:
        return []
