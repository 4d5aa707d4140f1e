"""Files on their way in: written once, capped, hashed as they are written, readable by the platform's user only."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path, PurePath
from types import TracebackType
from typing import Self

from shuzha.catalog.encoding import open_private
from shuzha.core.errors import Invalid


class CappedFile:
    """A new file of mode 0600 that refuses to grow beyond `cap` bytes; `name` is what its sender calls it.

    As a context it is a temporary file: gone at the end.
    """

    def __init__(self, path: Path, name: str, cap: int) -> None:
        self.path = path
        self.name = name
        self.size = 0
        self._cap = cap
        self._hash = hashlib.sha256()
        self._file = open_private(path)

    @property
    def sha256(self) -> str:
        """The hash of what was written so far."""
        return self._hash.hexdigest()

    def write(self, chunk: bytes) -> None:
        """Add bytes; refuses more than the cap."""
        self.size += len(chunk)
        if self.size > self._cap:
            raise Invalid(
                f"{self.name} is larger than the cap", rule="batch.size", accepted=f"at most {self._cap} bytes"
            )
        self._hash.update(chunk)
        self._file.write(chunk)

    def close(self) -> Path:
        """Return the path once every byte is on disk; refuses an empty file."""
        if not self.size:
            raise Invalid(f"{self.name} is empty", rule="batch.file", accepted="a CSV or Parquet file with rows")
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        return self.path

    def discard(self) -> None:
        """Remove the file."""
        self._file.close()
        self.path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.discard()


def plain_name(name: str) -> str:
    """Return the last part of a file name, printable and short: it stands in messages and pages."""
    last = PurePath(name.replace("\\", "/")).name
    return "".join(letter for letter in last if letter.isprintable())[:120] or "upload"
