"""Password hashes: Argon2id (RFC 9106) with the second of OWASP's recommended settings: 19 MiB, two passes."""

from __future__ import annotations

import secrets
import unicodedata

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError


class Passwords:
    """Makes and checks hashes; an unknown login costs as much time as a wrong password."""

    def __init__(self, *, memory_kib: int = 19_456, passes: int = 2) -> None:
        self._hasher = PasswordHasher(time_cost=passes, memory_cost=memory_kib, parallelism=1)
        self._decoy = self._hasher.hash(secrets.token_hex())

    def hash(self, password: str) -> str:
        """Return the hash of a password, with a fresh salt and its settings in it."""
        return self._hasher.hash(_normal(password))

    def verify(self, kept: str | None, password: str) -> bool:
        """Return whether the password is the one; without a kept hash the same work is done and the answer is no."""
        try:
            return self._hasher.verify(kept or self._decoy, _normal(password)) and bool(kept)
        except (VerificationError, InvalidHashError):
            return False

    def is_outdated(self, kept: str) -> bool:
        """Return whether the hash was made with other settings and is due to be made again."""
        return self._hasher.check_needs_rehash(kept)


def _normal(password: str) -> str:
    return unicodedata.normalize("NFKC", password)
