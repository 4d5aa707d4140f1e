"""Every secret of the platform, from one master key (a file of mode 0600).

A *derived key* is HKDF-SHA-256 (RFC 5869) of the master key; its `info` is the length-prefixed purpose and context, so
two contexts never collide. A *scenario key* is salted by 32 random bytes kept in a file of its own: when that file is
destroyed the key cannot be made again, also by one who holds the master key, which is how an exit is provable.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from shuzha.core.errors import Invalid, NotFound

KEY_BYTES = 32
_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


class KeyRing:
    """The keys of one installation; never printed, logged or passed on a command line."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._master = read_secret(folder / "master.key")

    @classmethod
    def create(cls, folder: Path) -> KeyRing:
        """Return the ring of `folder`, making its master key where there is none."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = folder / "master.key"
        if not path.exists():
            write_secret(path, secrets.token_bytes(KEY_BYTES))
        return cls(folder)

    def derive(self, purpose: str, *context: str) -> bytes:
        """Return the 32-byte key of a purpose and its context, the same each time."""
        return _hkdf(self._master, None, purpose, *context)

    def signing_key(self, name: str) -> Ed25519PrivateKey:
        """Return the platform's Ed25519 key of this name (certificates, checkpoints, answers)."""
        return Ed25519PrivateKey.from_private_bytes(self.derive("sign", name))

    def es256_key(self, name: str) -> ec.EllipticCurvePrivateKey:
        """Return the platform's P-256 key of this name, for those who do not speak Ed25519 (OpenID clients)."""
        number = int.from_bytes(self.derive("sign-p256", name)) % (_P256_ORDER - 1) + 1
        return ec.derive_private_key(number, ec.SECP256R1())

    def scenario_key(self, authorization: str, scenario: str, purpose: str) -> bytes:
        """Return the key of one scenario of one authorization, making its salt at the first call.

        Refuses once the salt has been destroyed.
        """
        path = self._salt_path(authorization, scenario)
        if path.with_suffix(".destroyed").exists():
            raise NotFound(f"the key of scenario {scenario} was destroyed", rule="keys.destroyed")
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_secret(path, secrets.token_bytes(KEY_BYTES))
        return _hkdf(self._master, read_secret(path), purpose, authorization, scenario)

    def has_scenario_key(self, authorization: str, scenario: str) -> bool:
        """Return whether the salt of a scenario's keys is there: without it they cannot be made."""
        return self._salt_path(authorization, scenario).exists()

    def destroy_scenario_key(self, authorization: str, scenario: str) -> None:
        """Destroy the salt of a scenario's keys: what they made can no longer be linked or made again."""
        path = self._salt_path(authorization, scenario)
        if path.exists():
            path.write_bytes(secrets.token_bytes(KEY_BYTES))
            path.unlink()
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.with_suffix(".destroyed").touch()

    def _salt_path(self, authorization: str, scenario: str) -> Path:
        for part in (authorization, scenario):
            if not part.replace("_", "").isalnum():
                raise Invalid("a scenario key refuses this id", rule="keys.id", accepted="an id such as aut_01k…")
        return self._folder / "salts" / f"{authorization}.{scenario}"


def _hkdf(master: bytes, salt: bytes | None, *parts: str) -> bytes:
    info = b"".join(len(part.encode()).to_bytes(4, "big") + part.encode() for part in parts)
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=salt, info=b"shuzha/1" + info).derive(master)


def write_secret(path: Path, secret: bytes) -> None:
    """Write a new secret file of mode 0600; refuses to overwrite one."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(secret)
        file.flush()
        os.fsync(file.fileno())


def read_secret(path: Path) -> bytes:
    """Return the bytes of a secret file; refuses one that others can read."""
    try:
        mode = path.stat().st_mode & 0o777
    except FileNotFoundError:
        raise NotFound(f"the key file {path.name} is missing", accepted="`shuzha doctor` says how to make it") from None
    if mode & 0o077:
        raise Invalid(f"the key file {path.name} is open to others (mode {mode:o})", rule="keys.mode", accepted="0600")
    return path.read_bytes()
