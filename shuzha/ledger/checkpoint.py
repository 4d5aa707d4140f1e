"""Signed checkpoints: the state of a log at one size, as a C2SP tlog-checkpoint in a C2SP signed note (Ed25519).

A *note* is a text, a blank line and one or more signature lines. The text of a checkpoint is three lines: the log's
*origin*, its size, its root in base64 (further lines are allowed and kept). A signature line is an em dash, the name of
the key, and base64 of four bytes of key id and the signature. A *verifier key* is one line, `name+id+base64`, that a
regulator keeps. Any byte of either can be checked, so decoding is strict: one text for one value.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from shuzha.core.errors import Invalid

ED25519 = b"\x01"
_NAME = re.compile(r"[!-*,-~]{1,200}")  # Visible ASCII without `+`, which divides a verifier key.
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a log says of itself: its origin, how many entries it has, and the root over them."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """Return the text that is signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A log's public key and its name."""

    name: str
    public: bytes

    @property
    def id(self) -> bytes:
        """The four bytes by which a signature line names this key."""
        return sha256(self.name.encode() + b"\n" + ED25519 + self.public).digest()[:4]

    def line(self) -> str:
        """Return the key as one line for people to keep and compare."""
        return f"{self.name}+{self.id.hex()}+{base64.b64encode(ED25519 + self.public).decode()}"

    @classmethod
    def parse(cls, line: str) -> VerifierKey:
        """Return the key of such a line; refuses one whose id is not that of the key."""
        parts = line.strip("\n").split("+", 2)
        raw = _decode(parts[2]) if len(parts) == 3 else b""
        if len(parts) == 3 and len(raw) == 33 and raw[:1] == ED25519 and _NAME.fullmatch(parts[0]):
            key = cls(parts[0], raw[1:])
            if key.id.hex() == parts[1]:
                return key
        raise Invalid("this is not a verifier key", rule="c2sp.signed_note", accepted="a line `name+id+base64`")

    def verify(self, note: str) -> Checkpoint:
        """Return the checkpoint of a note that this key signed; refuses any other note."""
        text, checkpoint, signatures = _parse_note(note)
        public = Ed25519PublicKey.from_public_bytes(self.public)
        for name, key_id, signature in signatures:
            if name == self.name and key_id == self.id:
                try:
                    public.verify(signature, text.encode())
                except InvalidSignature:
                    raise Invalid(
                        f"the checkpoint of size {checkpoint.size} is refused: its signature by {name} is not valid",
                        rule="c2sp.signed_note",
                    ) from None
                return checkpoint
        raise Invalid(
            f"the checkpoint of size {checkpoint.size} is refused: no signature by {self.name} {self.id.hex()}",
            rule="c2sp.signed_note",
        )


class Signer:
    """The private half: makes notes for one log."""

    def __init__(self, origin: str, key: Ed25519PrivateKey) -> None:
        if not _NAME.fullmatch(origin):
            raise Invalid(
                "this origin is refused", rule="c2sp.signed_note",
                accepted="visible ASCII without blanks and `+`, such as `city.example/usage`",
            )  # fmt: skip
        self._key = key
        self.verifier_key = VerifierKey(origin, key.public_key().public_bytes_raw())

    @property
    def origin(self) -> str:
        """The log's name, which is also its key's."""
        return self.verifier_key.name

    def sign(self, size: int, root: bytes) -> str:
        """Return the signed note of the log at this size."""
        text = Checkpoint(self.origin, size, root).text()
        signature = self.verifier_key.id + self._key.sign(text.encode())
        return f"{text}\n— {self.origin} {base64.b64encode(signature).decode()}\n"


def parse_checkpoint(note: str) -> Checkpoint:
    """Return the checkpoint that a note states, without asking who signed it; refuses what is not a note."""
    return _parse_note(note)[1]


def _parse_note(note: str) -> tuple[str, Checkpoint, list[tuple[str, bytes, bytes]]]:
    text, blank, rest = note.rpartition("\n\n")
    lines = text.split("\n")
    signed = rest.split("\n")
    if not blank or len(lines) < 3 or signed.pop() != "" or not signed:
        raise _not_a_checkpoint()
    root = _decode(lines[2])
    if not _NAME.fullmatch(lines[0]) or not _SIZE.fullmatch(lines[1]) or len(root) != 32 or "" in lines:
        raise _not_a_checkpoint()
    return text + "\n", Checkpoint(lines[0], int(lines[1]), root), [_parse_signature(line) for line in signed]


def _parse_signature(line: str) -> tuple[str, bytes, bytes]:
    parts = line.split(" ")
    raw = _decode(parts[2]) if len(parts) == 3 else b""
    if len(parts) != 3 or parts[0] != "—" or len(raw) < 5:
        raise _not_a_checkpoint()
    return parts[1], raw[:4], raw[4:]


def _decode(text: str) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""
    return raw if base64.b64encode(raw).decode() == text else b""


def _not_a_checkpoint() -> Invalid:
    return Invalid(
        "this is not a signed checkpoint", rule="c2sp.tlog_checkpoint",
        accepted="origin, size and root, each on a line, a blank line, and signature lines",
    )  # fmt: skip
