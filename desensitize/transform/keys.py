"""The secret key of a release, and the keys made of it.

A subkey is HKDF-SHA-256 (RFC 5869, no salt, 32 bytes) of the release's key; its `info` is "shuzha desensitize 2" and
then the purpose and each part of the context, every one after its length in two bytes, so that no two contexts share
a subkey. The platform derives the release's key itself per authorization; so equal values have equal pseudonyms within
one authorization, and unrelated ones across two.
"""

from __future__ import annotations

from typing import NoReturn

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from desensitize.errors import InvalidPlan

LEAST_KEY_BYTES = 16
SUBKEY_BYTES = 32
DERIVATION = "shuzha desensitize 2"


class SecretKey:
    """A key that prints as nothing and refuses to be copied into a pickle, and so into a serialized query plan."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        if not isinstance(key, bytes | bytearray) or len(key) < LEAST_KEY_BYTES:
            raise InvalidPlan(f"a release's key is at least {LEAST_KEY_BYTES} bytes (32 are advised)")
        self._key = bytes(key)

    def __repr__(self) -> str:
        return "SecretKey(…)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a SecretKey is never serialized")

    def __getstate__(self) -> NoReturn:
        raise TypeError("a SecretKey is never serialized")

    def derive(self, purpose: str, *context: str) -> bytes:
        """Return the 32-byte subkey of a purpose and its context."""
        parts = [part.encode() for part in (DERIVATION, purpose, *context)]
        info = b"".join(len(part).to_bytes(2, "big") + part for part in parts)
        return HKDF(algorithm=SHA256(), length=SUBKEY_BYTES, salt=None, info=info).derive(self._key)

    def fingerprint(self) -> str:
        """Return a name for the key that tells nothing about it and is equal for equal keys."""
        return self.derive("fingerprint")[:8].hex()
