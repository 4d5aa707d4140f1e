"""Which text encoding a file has: UTF-8 (with or without mark) or GB18030. Anything else is refused."""

from __future__ import annotations

import codecs
import os
from pathlib import Path
from typing import BinaryIO

from shuzha.core.errors import Invalid

ACCEPTED = "UTF-8, UTF-8 with byte order mark, GB18030 (GBK, GB2312)"
_CHUNK = 4 << 20
_PROBE = 1 << 16
_COMMON_SHARE = 0.85


def ensure_utf8(path: Path, file_name: str, scratch: Path) -> Path:
    """Return a UTF-8 file with the text of `path`: itself, or `scratch` written from GB18030; refuses all else."""
    with path.open("rb") as file:
        start = file.read(4)
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in start:
        raise _wrong(file_name)
    if _decodes(path):
        return path
    _transcode(path, file_name, scratch)
    return scratch


def open_private(path: Path) -> BinaryIO:
    """Open a new file for writing that only this user can read."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")


def _decodes(path: Path) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                decoder.decode(chunk)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _transcode(path: Path, file_name: str, scratch: Path) -> None:
    decoder = codecs.getincrementaldecoder("gb18030")()
    probe = ""
    try:
        with path.open("rb") as source, open_private(scratch) as target:
            while chunk := source.read(_CHUNK):
                text = decoder.decode(chunk)
                if len(probe) < _PROBE:
                    probe += "".join(letter for letter in text if ord(letter) > 127)[:_PROBE]
                target.write(text.encode())
            target.write(decoder.decode(b"", final=True).encode())
    except UnicodeError:  # Also for a lone surrogate, which GB18030 can spell and UTF-8 cannot.
        raise _wrong(file_name) from None
    if not _looks_chinese(probe):
        raise _wrong(file_name)


def _looks_chinese(letters: str) -> bool:
    # GB18030 gives a meaning to nearly every byte pair, so Big5 or Latin-1 text often decodes, into rare characters.
    # Real text is nearly all of GB 2312: names and places seldom leave it.
    common = sum(1 for letter in letters if _is_common(letter))
    return bool(letters) and common >= _COMMON_SHARE * len(letters)


def _is_common(letter: str) -> bool:
    try:
        letter.encode("gb2312")
    except UnicodeEncodeError:
        return False
    return True


def _wrong(file_name: str) -> Invalid:
    return Invalid(f"{file_name} is in an encoding that is not accepted", rule="batch.encoding", accepted=ACCEPTED)
