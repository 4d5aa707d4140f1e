"""What a file is, told by its content, and the one way in which the platform writes it: nothing else leaves.

The public face of `sandbox.airlock.files`: a free-form file is read, judged and written anew, in a process of its own.
What cannot be read so is refused; nothing is ever unpickled or executed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from sandbox.airlock.files.apart import Caps, read_apart
from sandbox.airlock.files.kinds import MODELS, FileType, Limits, Read, detect
from sandbox.airlock.files.reading import read_file
from sandbox.airlock.files.tables import write_csv
from sandbox.airlock.findings import Finding, Severity
from sandbox.airlock.labels import check_texts

__all__ = [
    "MODELS", "Caps", "FileType", "Inspection", "Limits", "check_name", "detect", "inspect", "inspect_apart",
    "write_csv",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Inspection:
    """What was found in a file: its type, what the rules say, and the bytes that may leave (None when nothing may).

    `tables` are its rows as the platform wrote them (Parquet), for a comparison with the releases.
    """

    type: FileType | None
    findings: tuple[Finding, ...]
    content: bytes | None
    rows: int = 0
    tables: tuple[bytes, ...] = ()


_NAME: Final = re.compile(r"[A-Za-z0-9一-鿿][A-Za-z0-9一-鿿._-]{0,79}")


def check_name(name: str) -> list[Finding]:
    """Return findings about a file's name: a plain name without folders, and no identifier in it."""
    if not _NAME.fullmatch(name) or ".." in name:
        accepted = "letters, digits, dot, dash and underscore, at most 80, no folder"
        return [Finding("file_type", Severity.BLOCK, accepted, place="file name")]
    return check_texts([name], "file name")


def inspect(data: bytes, limits: Limits | None = None) -> Inspection:
    """Return what these bytes are and the canonical bytes in their place, read in this process."""
    return _judged(read_file(data, limits or Limits()))


def inspect_apart(data: bytes, limits: Limits | None = None, caps: Caps | None = None) -> Inspection:
    """Return what `inspect` says, with the file read in a process of its own; no answer in time blocks."""
    return _judged(read_apart(data, limits or Limits(), caps))


def _judged(read: Read) -> Inspection:
    findings = list(read.findings)
    for place, texts in read.texts:
        findings += check_texts(texts, place)
    if read.changed:
        accepted = "a file in canonical form: the platform wrote it so"
        findings.append(Finding("canonical", Severity.NOTE, accepted, None, read.changed, place="values"))
    return Inspection(read.type, tuple(findings), read.content, read.rows, read.tables)
