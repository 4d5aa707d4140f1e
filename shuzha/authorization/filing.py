"""The filed agreement: the exact bytes that both sides signed, and a bundle of it that anybody verifies offline.

A *bundle* is one JSON file: the document's bytes, both signatures, the filing, and the platform's statement of whose
keys these are, signed with its own key. `verify_agreement` needs that key, got by another way, and nothing else.
ASSUMPTION: Ed25519 only. SM2 would need a library that the platform does not have: `cryptography` has SM3 and SM4.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from shuzha.authorization.agreement import canonical
from shuzha.authorization.document import is_own_key
from shuzha.authorization.model import Signature
from shuzha.core.errors import Conflict, Invalid
from shuzha.core.keys import KeyRing

FORMAT: Final = "shuzha-agreement-bundle/1"
KEY_NAME: Final = "agreements"
ALGORITHM: Final = "Ed25519"
MOST_BYTES: Final = 4 * 1024**2
_PARTS = {"format", "document", "signatures", "filing", "platform_signature"}


@dataclass(frozen=True, slots=True)
class Filing:
    """One filed agreement; `id` is its authorization's, `document` the canonical text that was signed."""

    id: str
    number: str
    document: str
    sha256: str
    signatures: tuple[Signature, ...]
    filed_by: str
    filed_at: dt.datetime
    revision: int = 1


@dataclass(frozen=True, slots=True)
class Checked:
    """One thing that was checked, whether it holds, and what was compared."""

    what: str
    holds: bool
    said: str


@dataclass(frozen=True, slots=True)
class AgreementReport:
    """What a bundle was found to be: its authorization, filing number, and each check in order."""

    authorization: str
    number: str
    checks: tuple[Checked, ...]

    @property
    def sound(self) -> bool:
        """Whether every check holds."""
        return all(check.holds for check in self.checks)


def number_of(year: int, place: int) -> str:
    """Return the filing number of the `place`-th agreement of a year."""
    return f"SQYY-{year}-{place:04d}"


def public_key(keys: KeyRing) -> str:
    """Return the platform's public key for filed agreements, in hex."""
    return keys.signing_key(KEY_NAME).public_key().public_bytes_raw().hex()


def write_agreement(filing: Filing, keys: KeyRing) -> bytes:
    """Return a filed agreement as a bundle, its statement of keys signed by the platform.

    Refuses a filing that was changed since: the platform states no key that is not the organisation's.
    """
    content = filing.document.encode()
    own = all(is_own_key(keys, one) and _holds(one.key, one.value, content) for one in filing.signatures)
    if not own or hashlib.sha256(content).hexdigest() != filing.sha256:
        raise Conflict(f"a signature of the filed agreement {filing.number} does not hold", rule="agreement.signature")
    stated = {
        "format": FORMAT,
        "document": base64.b64encode(filing.document.encode()).decode(),
        "signatures": [
            {"organisation": one.organisation, "account": one.account, "at": one.at.isoformat(),
             "algorithm": one.algorithm, "key": one.key, "value": one.value}
            for one in filing.signatures
        ],
        "filing": {"number": filing.number, "sha256": filing.sha256, "at": filing.filed_at.isoformat()},
    }  # fmt: skip
    signature = keys.signing_key(KEY_NAME).sign(canonical(stated)).hex()
    return canonical({**stated, "platform_signature": signature})


def verify_agreement(bundle: bytes, platform_key: bytes) -> AgreementReport:
    """Return whether a bundle is an agreement that its two parties signed and this platform filed; asks nobody.

    `platform_key` is the raw Ed25519 key of the platform. Raises Invalid for what is no bundle.
    """
    stated, content, document = _read(bundle)
    filing = stated["filing"]
    unsigned = {name: value for name, value in stated.items() if name != "platform_signature"}
    checks = [
        Checked(
            "platform", _holds(platform_key.hex(), stated["platform_signature"], canonical(unsigned)),
            "keys and filing are stated by the platform",
        ),
        Checked("document", hashlib.sha256(content).hexdigest() == filing["sha256"], "its SHA-256 is the filed one"),
        Checked("form", canonical(document) == content, "the document is in its one canonical form"),
        *_check_parties(stated["signatures"], document, content),
    ]  # fmt: skip
    return AgreementReport(str(document["authorization"]), str(filing["number"]), tuple(checks))


def _check_parties(signatures: list[Any], document: Mapping[str, Any], content: bytes) -> Iterator[Checked]:
    signed = [one["organisation"] for one in signatures]
    for role in ("operator", "authority"):
        party = document[role]
        found = [one for one in signatures if one["organisation"] == party]
        holds = len(found) == 1 and found[0]["algorithm"] == ALGORITHM
        holds = holds and _holds(found[0]["key"], found[0]["value"], content)
        yield Checked(role, holds, f"{party} signed the document" if found else f"no signature of {party}")
    parties = {document["operator"], document["authority"]}
    both = len(parties) == 2 and len(signed) == 2 and len({one["key"] for one in signatures}) == 2
    yield Checked("parties", both and set(signed) == parties, "exactly the two parties signed, with keys of their own")


def _holds(key: object, value: object, content: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(str(key))).verify(bytes.fromhex(str(value)), content)
    except (InvalidSignature, ValueError):
        return False
    return True


def _read(bundle: bytes) -> tuple[dict[str, Any], bytes, dict[str, Any]]:
    try:
        if len(bundle) > MOST_BYTES:
            raise ValueError
        stated = json.loads(bundle)
        if set(stated) != _PARTS or stated["format"] != FORMAT or set(stated["filing"]) != {"number", "sha256", "at"}:
            raise ValueError
        content = base64.b64decode(stated["document"], validate=True)
        document = json.loads(content)
        if {type(document[name]) for name in ("authorization", "operator", "authority")} != {str}:
            raise ValueError
        for one in stated["signatures"]:
            if set(one) != {"organisation", "account", "at", "algorithm", "key", "value"}:
                raise ValueError
    except (ValueError, KeyError, TypeError, RecursionError):
        raise Invalid("not an agreement bundle", rule="agreement.bundle", accepted=f"format {FORMAT}") from None
    return stated, content, document
