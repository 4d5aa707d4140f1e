"""The receipt of an evidence deposit (存证凭证): one JSON file that anybody verifies offline.

It says whose evidence of what was deposited when, and is signed by the platform. `verify_receipt` needs the file, the
platform's public key, got by another way, and, to show that an output is the one deposited, the output.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from products.registry.model import Evidence
from shuzha.core.errors import Invalid
from shuzha.core.keys import KeyRing

FORMAT: Final = "shuzha-evidence-receipt/1"
KEY_NAME: Final = "registry"
MOST_BYTES: Final = 256 * 1024
_PARTS = {"format", "subject", "holder", "evidence", "sha256", "signature"}


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was checked, whether it holds, and what was compared."""

    what: str
    holds: bool
    said: str


@dataclass(frozen=True, slots=True)
class ReceiptReport:
    """What a receipt was found to be: of which subject, deposited when, and each check in order."""

    subject: str
    deposited_at: str
    checks: tuple[Check, ...]

    @property
    def sound(self) -> bool:
        """Whether every check holds."""
        return all(check.holds for check in self.checks)


def public_key(keys: KeyRing) -> str:
    """Return the registry's public key for receipts and dossiers, in hex."""
    return keys.signing_key(KEY_NAME).public_key().public_bytes_raw().hex()


def canonical(value: object) -> bytes:
    """Return a value as JSON in its one form: sorted keys, no spaces, UTF-8."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def write_receipt(keys: KeyRing, subject: str, holder: str, evidence: Evidence) -> bytes:
    """Return the signed receipt of a deposit."""
    plain = msgspec.to_builtins(evidence)
    stated = {
        "format": FORMAT, "subject": subject, "holder": holder, "evidence": plain, "sha256": plain.pop("sha256"),
    }  # fmt: skip
    signature = keys.signing_key(KEY_NAME).sign(canonical(stated)).hex()
    return canonical({**stated, "signature": signature}) + b"\n"


def verify_receipt(receipt: bytes, key: bytes, output: bytes | None = None) -> ReceiptReport:
    """Return whether a receipt is the platform's and whole, and whether `output` is what was deposited; asks nobody.

    `key` is the registry's raw Ed25519 key. Raises Invalid for what is no receipt.
    """
    stated = _read(receipt)
    unsigned = {name: value for name, value in stated.items() if name != "signature"}
    evidence: dict[str, Any] = stated["evidence"]
    digest = hashlib.sha256(canonical(evidence)).hexdigest()
    checks = [
        Check("signature", _holds(key, stated["signature"], canonical(unsigned)), "signed by the registry's key"),
        Check("evidence", digest == stated["sha256"], "the evidence has the hash that was registered"),
    ]
    if output is not None:
        same = hashlib.sha256(output).hexdigest() == evidence["output_sha256"]
        same = same and len(output) == evidence["output_size"]
        checks.append(Check("output", same, "the output has the hash and size that were deposited"))
    return ReceiptReport(str(stated["subject"]), str(evidence["deposited_at"]), tuple(checks))


def _holds(key: bytes, signature: object, content: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(bytes.fromhex(str(signature)), content)
    except (InvalidSignature, ValueError):
        return False
    return True


def _read(receipt: bytes) -> dict[str, Any]:
    try:
        if len(receipt) > MOST_BYTES:
            raise ValueError
        stated = json.loads(receipt)
        if set(stated) != _PARTS or stated["format"] != FORMAT:
            raise ValueError
        for name in ("output_sha256", "output_size", "deposited_at"):
            if name not in stated["evidence"]:
                raise ValueError
    except (ValueError, TypeError, UnicodeDecodeError, RecursionError):
        raise Invalid(
            "this is no receipt of an evidence deposit", rule="receipt.form", accepted=f"a file of format {FORMAT}"
        ) from None
    return dict(stated)
