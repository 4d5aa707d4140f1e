"""What an applicant proves its words with: files in a few plain kinds, kept by their SHA-256.

A file's type is read from its first bytes, never from its name. The description is part of the authorization's record;
the bytes are a record of their own, so that a list of applications never reads them.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from dataclasses import dataclass
from enum import StrEnum

from shuzha.core.errors import Invalid

MOST_BYTES = 4 * 1024**2
MOST_FILES = 24
LONGEST_NAME = 120
_TYPES = (
    (b"%PDF-", "application/pdf"), (b"\x89PNG\r\n\x1a\n", "image/png"), (b"\xff\xd8\xff", "image/jpeg"),
)  # fmt: skip
TEXT = "text/plain"


class EvidenceKind(StrEnum):
    """What a file is to show; `plan` is what the experts read, so it does not name the unit."""

    OPERATION = "operation"
    COMPETENCE = "competence"
    SECURITY = "security"
    PLAN = "plan"
    TRAINING = "training"
    OTHER = "other"


BLIND_KINDS = frozenset({EvidenceKind.PLAN})


@dataclass(frozen=True, slots=True)
class Evidence:
    """One file's description: what it is to show, its name, type, size, hash, and who attached it when."""

    id: str
    kind: EvidenceKind
    name: str
    type: str
    size: int
    sha256: str
    by: str
    at: dt.datetime


@dataclass(frozen=True, slots=True)
class EvidenceFile:
    """The bytes of one piece of evidence; `id` is the evidence's."""

    id: str
    authorization: str
    content: bytes
    revision: int = 1


def make_evidence(identifier: str, kind: EvidenceKind, name: str, content: bytes, by: str, at: dt.datetime) -> Evidence:
    """Return the description of a file; refuses an empty, large or nameless one and types other than the four."""
    plain = name.strip().replace("\\", "/").rsplit("/", 1)[-1]
    if not plain or len(plain) > LONGEST_NAME or any(ord(letter) < 32 for letter in plain):
        raise Invalid("the evidence has no usable name", rule="evidence.name", accepted=f"1 to {LONGEST_NAME} letters")
    if not 0 < len(content) <= MOST_BYTES:
        raise Invalid(
            "the evidence is empty or too large", rule="evidence.size", accepted=f"1 to {MOST_BYTES // 1024**2} MiB"
        )
    return Evidence(
        identifier, kind, plain, find_type(content), len(content), hashlib.sha256(content).hexdigest(), by, at
    )


def find_type(content: bytes) -> str:
    """Return the media type of a file's bytes; refuses all but PDF, PNG, JPEG and UTF-8 text."""
    for start, kind in _TYPES:
        if content.startswith(start):
            return kind
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        text = "\0"
    if any(ord(letter) < 32 and letter not in "\t\n\r" for letter in text):
        raise Invalid("the evidence is of another type", rule="evidence.type", accepted="PDF, PNG, JPEG or UTF-8 text")
    return TEXT


def check_complete(attached: tuple[Evidence, ...], needed: tuple[EvidenceKind, ...]) -> None:
    """Refuse an application to which a kind of evidence that the announcement asks for is not attached."""
    there = {each.kind for each in attached}
    missing = [kind.value for kind in needed if kind not in there]
    if missing:
        raise Invalid(
            f"the application lacks evidence of: {', '.join(missing)}", rule="J23 art. 9",
            accepted="a file of each kind that the announcement names",
        )  # fmt: skip
