"""What whoever receives an output can check by himself: the record, its signature, and its place in the audit log.

A *bundle* is one JSON file. `verify_bundle` needs the bundle, the output's bytes, and the two public keys that the
receiver got by another way; it asks nobody and trusts nothing that the bundle says of keys.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from sandbox.airlock.record import said_of, verify_record
from shuzha.core.errors import Invalid
from shuzha.ledger import verify as verifier
from shuzha.ledger.reader import Proof

FORMAT: Final = "shuzha-release-bundle/1"
MOST_BYTES: Final = 16 * 1024**2


@dataclass(frozen=True, slots=True)
class Checked:
    """One thing that was checked, whether it holds, and what was compared."""

    what: str
    holds: bool
    said: str


@dataclass(frozen=True, slots=True)
class BundleReport:
    """What a bundle was found to be: the request that it speaks of, and each check in order."""

    request: str
    checks: tuple[Checked, ...]

    @property
    def sound(self) -> bool:
        """Whether every check holds."""
        return all(check.holds for check in self.checks)


def write_bundle(record: bytes, signature: str, proof: Proof | None) -> bytes:
    """Return a bundle as canonical JSON; without a proof while the audit log has not signed for the record yet."""
    document = {
        "format": FORMAT,
        "record": base64.b64encode(record).decode(),
        "signature": signature,
        "proof": None if proof is None else proof.document(),
    }
    return msgspec.json.encode(document, order="deterministic")


def verify_bundle(bundle: bytes, outputs: Mapping[str, bytes], airlock_key: bytes, log_key: str) -> BundleReport:
    """Return whether a bundle is the platform's, stands in its audit log, and is about exactly these outputs.

    `outputs` maps names to bytes (at least one); `airlock_key` is the raw Ed25519 key of the airlock, `log_key` the
    line `name+id+base64` of the audit log's. Raises Invalid for what is no bundle.
    """
    document, record = _read(bundle)
    facts = _facts(record)
    signed = verify_record(record, str(document["signature"]), airlock_key)
    checks = [Checked("signature", signed, "the record is signed with the airlock's key")]
    checks.append(_check_log(document["proof"], record, str(facts["request"]), log_key))
    released = {str(one["name"]): str(one["sha256"]) for one in facts["outputs"]}
    if not outputs:
        checks.append(Checked("outputs", False, "no output was given to be compared"))
    for name, content in outputs.items():
        same = released.get(name) == hashlib.sha256(content).hexdigest()
        said = "its SHA-256 is the record's" if name in released else "the record releases no output of this name"
        checks.append(Checked(f"output {name}", same, said))
    return BundleReport(str(facts["request"]), tuple(checks))


def _check_log(proof: Any, record: bytes, request: str, log_key: str) -> Checked:
    what = "audit log"
    if proof is None:
        return Checked(what, False, "the bundle has no proof: it was taken before the log's next checkpoint")
    try:
        report = verifier.check_proof(proof, verifier.parse_key(log_key), "the bundle's proof")
        entry = json.loads(proof["body"])["payload"] if proof["body"] else {}
    except (verifier.BadInput, ValueError, KeyError, TypeError) as error:
        return Checked(what, False, str(error) or "the proof cannot be read")
    about = (entry.get("tag"), entry.get("subject"), entry.get("content"))
    if about != ("export:seal", request, said_of(hashlib.sha256(record).hexdigest())):
        return Checked(what, False, "the proven entry is not about this record")
    said = "; ".join(str(fault) for fault in report.faults) or f"entry {proof['index']} of {report.origin}"
    return Checked(what, report.sound, said)


def _read(bundle: bytes) -> tuple[dict[str, Any], bytes]:
    try:
        if len(bundle) > MOST_BYTES:
            raise ValueError
        document = json.loads(bundle)
        if document["format"] != FORMAT or set(document) != {"format", "record", "signature", "proof"}:
            raise ValueError
        return document, base64.b64decode(document["record"], validate=True)
    except (ValueError, KeyError, TypeError, RecursionError):
        raise _no_bundle() from None


def _facts(record: bytes) -> dict[str, Any]:
    try:
        facts: dict[str, Any] = json.loads(record)
        if [one["name"] for one in facts["outputs"]] and facts["request"]:
            return facts
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    raise _no_bundle()


def _no_bundle() -> Invalid:
    return Invalid("not a release bundle", rule="airlock.bundle", accepted=f"a file of format {FORMAT}")
