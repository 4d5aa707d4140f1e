"""The certificate of an exit, and its check by anybody: no server, no database, only the file and two public keys.

A *bundle* holds the certificate, the signatures over its canonical JSON, and for each act that it cites the proof that
the act stands in the audit log. Whoever keeps the log's key and the platform's key need not trust who hands it over.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from shuzha.authorization.agreement import canonical, sha256
from shuzha.exits.model import Exit, total_shares
from shuzha.ledger.verify import BadInput, check_proof, parse_key

TYPE = "shuzha/exit/1"
KEPT = (
    "released outputs, statements, usage and audit logs and this certificate are kept as the law asks; "
    "none of them holds raw or released rows"
)


# Which act of the log destroys a thing of each kind; of a kind that is not here, looking for it is the only act.
DESTROYING = MappingProxyType(
    {"release": "release:destroy", "home": "workspace:destroy", "index": "product:delist", "consumer key": "key:revoke"}
)
PROVING = "exit:prove"


def certificate_of(found: Exit, agreement_sha256: str, authority_key: str, at: dt.datetime) -> bytes:
    """Return the canonical bytes of the certificate: what ended, why, and what became of each thing.

    It names the authority's public key (hex), so that the platform's signature says whose the other one has to be.
    """
    frozen, hand_over = found.frozen, found.hand_over
    return canonical(
        {
            "type": TYPE, "exit": found.id, "authorization": found.authorization, "operator": found.operator,
            "authority": found.authority, "authority_key": authority_key,
            "agreement_sha256": agreement_sha256, "cause": found.cause,
            "reason": found.reason, "opened_at": found.opened_at, "frozen": frozen, "hand_over": hand_over,
            "destroyed": found.destroyed, "destroyed_at": found.destroyed_at, "settled": found.settled,
            "settled_at": found.settled_at, "due_fen": sum(one.due_fen for one in found.settled),
            "shares": total_shares(found.settled), "kept": KEPT, "certified_at": at,
        }
    )  # fmt: skip


def cited_events(found: Exit) -> tuple[str, ...]:
    """Return the ids of the acts that the certificate cites, each once, in order."""
    return tuple(sorted({one.event for one in found.destroyed}))


def bundle_of(found: Exit, proofs: Mapping[str, Any]) -> bytes:
    """Return the bundle as JSON; `proofs` are the documents of the cited acts and of the closing, by event id."""
    signatures = [
        {"party": one.party, "by": one.by, "key": one.key, "value": one.value, "algorithm": one.algorithm}
        for one in found.signatures
    ]
    bundle = {"certificate": found.certificate, "signatures": signatures, "proofs": dict(proofs)}
    return json.dumps(bundle, ensure_ascii=False, indent=1, sort_keys=True).encode()


def verify_bundle(content: bytes, *, log_key: str, platform_key: str) -> tuple[str, ...]:
    """Return what is wrong with a bundle, in sentences; nothing where all of it holds.

    `log_key` is the audit log's verifier line, `platform_key` the platform's Ed25519 key in hex. Raises BadInput for
    a file that is no bundle.
    """
    try:
        bundle = json.loads(content)
        text, signatures, proofs = bundle["certificate"], bundle["signatures"], dict(bundle["proofs"])
        certificate = json.loads(text)
        wrong = [] if certificate["type"] == TYPE else [f"the certificate is of another type than {TYPE}"]
        wrong += _check_signatures(text.encode(), signatures, platform_key, certificate)
        wrong += _check_money(certificate)
        wrong += _check_order(certificate)
        wrong += _check_acts(certificate, proofs, log_key, sha256(text.encode()))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BadInput(f"not the bundle of an exit ({type(error).__name__})") from None
    return tuple(wrong)


def _check_signatures(
    text: bytes, signatures: list[dict[str, str]], platform_key: str, certificate: Mapping[str, Any]
) -> list[str]:
    wrong = []
    parties = {}
    for one in signatures:
        try:
            Ed25519PublicKey.from_public_bytes(bytes.fromhex(one["key"])).verify(bytes.fromhex(one["value"]), text)
            parties[one["party"]] = one["key"]
        except (InvalidSignature, ValueError, KeyError, TypeError):
            wrong.append(f"the signature of {one.get('party', 'nobody')} does not hold")
    if parties.get("platform") != platform_key.strip().lower():
        wrong.append("the platform's signature is missing or of another key than the one kept")
    if certificate["authority"] not in parties:
        wrong.append("the authority has not signed")
    elif parties[certificate["authority"]] != certificate["authority_key"]:
        wrong.append("the authority has not signed with its own key")
    return wrong


def _check_money(certificate: Mapping[str, Any]) -> list[str]:
    settled = certificate["settled"]
    due, shares = sum(one["due_fen"] for one in settled), sum(sum(one["shares"].values()) for one in settled)
    stated = sum(certificate["shares"].values())
    return [] if due == shares == stated == certificate["due_fen"] else ["the money does not add up"]


def _check_order(certificate: Mapping[str, Any]) -> list[str]:
    said = (
        certificate["opened_at"], certificate["frozen"]["at"], certificate["hand_over"]["at"],
        certificate["destroyed_at"], certificate["settled_at"], certificate["certified_at"],
    )  # fmt: skip
    steps = [dt.datetime.fromisoformat(one) for one in said]
    return [] if steps == sorted(steps) else ["the steps are not in their order"]


def _check_acts(certificate: Mapping[str, Any], proofs: dict[str, Any], log_key: str, digest: str) -> list[str]:
    wrong, key = [], parse_key(log_key)
    acts: dict[str, dict[str, Any]] = {}
    for event, proof in proofs.items():
        report = check_proof(proof, key, event)
        if not report.sound:
            wrong.append(f"the proof of act {event}: {report.faults[0]}")
            continue
        payload = _payload(proof)
        if payload.get("id") == event:
            acts[event] = payload
    for one in certificate["destroyed"]:
        act = acts.get(one["event"])
        accepted = {(DESTROYING.get(one["kind"], ""), one["id"]), (PROVING, certificate["exit"])}
        if act is None or (act["tag"], act["subject"]) not in accepted:
            wrong.append(f"no proven act destroyed the {one['kind']} {one['id']}")
    closing = [act for act in acts.values() if act["tag"] == "exit:close" and act["subject"] == certificate["exit"]]
    if not any(digest in act["content"] for act in closing):
        wrong.append("no proven act closed the exit with this certificate")
    return wrong


def _payload(proof: Mapping[str, Any]) -> dict[str, Any]:
    try:
        found = json.loads(proof["body"])["payload"]
    except (ValueError, KeyError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}
