"""The record that goes with whatever leaves: what was asked, run, checked and decided, signed by the platform.

It says which rules spoke and how, by count; it holds no figure of the data, and of what was withheld no hash either: a
small output could be guessed from it.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from sandbox.airlock.model import ExportFile, ExportRequest
from sandbox.airlock.rules import Rules

SIGNING_KEY: Final = "airlock"
FORMAT: Final = "shuzha-release-record/1"


def write_record(
    request: ExportRequest, rules: Rules, *, agreement: str, inputs: list[dict[str, Any]], sealed_at: str
) -> bytes:
    """Return the release record of an approved request as canonical JSON (airlock.md section 6)."""
    run = request.run
    document = {
        "format": FORMAT,
        "request": request.id,
        "title": request.title,
        "purpose": request.purpose,
        "author": {"account": request.author, "organisation": request.organisation},
        "authorization": request.authorization,
        "agreement": agreement,
        "scenario": request.scenario,
        "workspace": request.workspace,
        "inputs": inputs,
        "own_files": request.own_files,
        "notebook": request.notebook,
        "environment": run.environment if run else "",
        "run": {"id": run.id, "seconds": run.seconds, "state": run.state} if run else None,
        "rules": {"version": request.rules_version, "values": rules.as_dict()},
        "results": _results(request),
        "reviewers": [
            {
                "account": vote.reviewer,
                "organisation": vote.organisation,
                "choice": vote.choice,
                "reason": vote.reason,
                "withheld": vote.withheld,
                "at": vote.at,
            }
            for vote in request.round_votes
        ],
        "outputs": [_output(file) for file in request.leaving],
        "withheld": [{"name": file.name, "reason": file.withheld} for file in request.files if file.withheld],
        "privacy_budget": {"epsilon": 0, "delta": 0},
        "sealed_at": sealed_at,
    }
    return msgspec.json.encode(document, order="deterministic")


def said_of(address: str) -> str:
    """Return what the audit log says when a record of this SHA-256 is sealed: an offline check looks for it."""
    return f"outputs and record sealed; the record's SHA-256 is {address}"


def sign_record(record: bytes, key: Ed25519PrivateKey) -> str:
    """Return the platform's signature over a record, in hex."""
    return key.sign(record).hex()


def verify_record(record: bytes, signature: str, public_key: bytes) -> bool:
    """Return whether the platform of this raw Ed25519 public key signed exactly these bytes; needs nothing else."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(bytes.fromhex(signature), record)
    except (InvalidSignature, ValueError):
        return False
    return True


def _results(request: ExportRequest) -> list[dict[str, Any]]:
    counted = Counter((finding.file, finding.rule, finding.severity.value) for finding in request.findings)
    return [
        {"file": file, "rule": rule, "severity": severity, "findings": count}
        for (file, rule, severity), count in sorted(counted.items())
    ]


def _output(file: ExportFile) -> dict[str, Any]:
    return {
        "name": file.name, "form": file.form, "type": file.type, "sha256": file.sha256, "size": file.size,
        "verdict": file.verdict, "specification": file.specification, "release": file.release, "grant": file.grant,
        "entry": file.entry, "columns": file.columns, "evidence": file.evidence,
    }  # fmt: skip
