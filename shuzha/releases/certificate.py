"""The certificate of a release: what was found, done and measured, signed over its very bytes.

It holds no key and no value of the data. Whoever has the public key can check it without the platform.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

CERTIFICATE_FILE = "certificate.json"
SIGNATURE_FILE = "certificate.sig"
DATA_FILE = "data.parquet"
PLAN_FILE = "plan.toml"
SIGNING_KEY = "certificate"
_CHUNK = 1 << 20


def write_certificate(content: Mapping[str, Any]) -> bytes:
    """Return the bytes of a certificate: JSON with sorted keys, so that equal content has equal bytes."""
    return (json.dumps(content, ensure_ascii=False, sort_keys=True, indent=1, default=str) + "\n").encode()


def sign_certificate(certificate: bytes, key: Ed25519PrivateKey) -> str:
    """Return the Ed25519 signature of the bytes, in hex."""
    return key.sign(certificate).hex()


def verify_certificate(certificate: bytes, signature: str, public_key: bytes) -> bool:
    """Return whether the signature holds over exactly these bytes under a raw Ed25519 public key."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(bytes.fromhex(signature), certificate)
    except (InvalidSignature, ValueError):
        return False
    return True


def verify_release(folder: Path, public_key: bytes) -> tuple[str, ...]:
    """Return what is wrong with a release folder, nothing where signature and every file's hash hold."""
    try:
        certificate = (folder / CERTIFICATE_FILE).read_bytes()
        signature = (folder / SIGNATURE_FILE).read_text("ascii").strip()
    except (FileNotFoundError, UnicodeDecodeError):
        return ("the certificate or its signature is missing",)
    if not verify_certificate(certificate, signature, public_key):
        return ("the signature of the certificate does not hold",)
    files = json.loads(certificate)["files"]
    wrong = [f"`{name}` is missing" for name in files if not (folder / name).is_file()]
    wrong += [
        f"`{name}` is not the file that was certified"
        for name, known in files.items()
        if (folder / name).is_file() and hash_file(folder / name) != known["sha256"]
    ]
    return tuple(wrong)


def describe_files(folder: Path, names: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """Return size and SHA-256 of each file."""
    return {
        name: {"bytes": (folder / name).stat().st_size, "sha256": hash_file(folder / name)} for name in sorted(names)
    }


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file, in hex, read piece by piece."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_CHUNK):
            digest.update(piece)
    return digest.hexdigest()
