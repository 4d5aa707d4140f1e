"""A vault, of the airlock or of what comes in: bytes kept by their SHA-256, written once, checked whenever read."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from pathlib import Path
from typing import Final

from shuzha.core.errors import Invalid, NotFound

_ADDRESS: Final = re.compile(r"[0-9a-f]{64}")


class Vault:
    """A folder of mode 0700 that only platform processes open."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder.chmod(0o700)

    def put(self, content: bytes) -> str:
        """Keep these bytes and return their SHA-256; the same bytes are kept once."""
        address = hashlib.sha256(content).hexdigest()
        path = self._path(address)
        if path.exists():
            return address
        path.parent.mkdir(exist_ok=True, mode=0o700)
        half = path.with_name(f".{secrets.token_hex(8)}")
        handle = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        half.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return address

    def get(self, address: str) -> bytes:
        """Return the bytes of this SHA-256; raises NotFound for none, Invalid for bytes that were changed."""
        try:
            content = self._path(address).read_bytes()
        except FileNotFoundError:
            raise NotFound(f"the vault does not hold {address[:12]}") from None
        if hashlib.sha256(content).hexdigest() != address:
            raise Invalid(f"the vault's bytes of {address[:12]} were changed", rule="vault.address")
        return content

    def remove(self, address: str) -> None:
        """Remove the bytes of this SHA-256 for good; nothing there is no error. What was released is never removed."""
        self._path(address).unlink(missing_ok=True)

    def list_addresses(self) -> tuple[str, ...]:
        """Return the SHA-256 of everything that is kept."""
        return tuple(sorted(path.name for path in self._folder.glob("??/*") if _ADDRESS.fullmatch(path.name)))

    def _path(self, address: str) -> Path:
        if not _ADDRESS.fullmatch(address):
            raise Invalid("the vault refuses this address", rule="vault.address", accepted="a SHA-256 in hex")
        return self._folder / address[:2] / address
