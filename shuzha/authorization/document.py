"""The document that both sides sign: the canonical JSON of what an authorization says, and Ed25519 signatures over it.

ASSUMPTION: each organisation's key is derived by the platform from its master key until cities bring their own
certificates; a signature proves that the organisation's signed-in account asked for it, and that nothing changed since.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from shuzha.authorization.agreement import Agreement, canonical, sha256
from shuzha.authorization.model import Authorization, Signature
from shuzha.core.actor import Actor
from shuzha.core.errors import Conflict
from shuzha.core.keys import KeyRing

ALGORITHM = "Ed25519"


def document_of(authorization: Authorization) -> bytes:
    """Return the canonical bytes of what is signed: parties, mode, named persons and every clause.

    Form 1 is what was signed before applications rested on announcements; its signatures still hold.
    """
    content: dict[str, object] = {
        "type": "shuzha/agreement/1",
        "authorization": authorization.id,
        "authority": authorization.authority,
        "operator": authorization.operator,
        "providers": authorization.providers,
        "title": authorization.title,
        "mode": authorization.mode,
        "field": authorization.field,
        "responsible_person": authorization.responsible_person,
        "approval": authorization.approval,
        "agreement": _agreement(authorization.agreement),
        "clauses": authorization.agreement.clauses(),
    }
    if authorization.announcement:
        content |= {
            "type": "shuzha/agreement/2",
            "announcement": authorization.announcement,
            "approved_on": authorization.approved_on,
            "legal_representative": authorization.legal_representative,
            "renews": authorization.renews,
        }
    return canonical(content)


def _agreement(agreement: Agreement) -> dict[str, Any]:
    """Return an agreement as it is signed: what agreements of before could not say is left out where it is empty."""
    plain: dict[str, Any] = msgspec.to_builtins(agreement, order="sorted")
    for name in ("fixed", "bands"):
        if not plain["income"][name]:
            del plain["income"][name]
    return plain


def document_hash(authorization: Authorization) -> str:
    """Return the SHA-256 of the document, in hex."""
    return sha256(document_of(authorization))


def sign_document(keys: KeyRing, actor: Actor, authorization: Authorization, at: dt.datetime) -> Signature:
    """Return the signature of the actor's organisation over the document as it stands."""
    key = keys.signing_key(f"organisation:{actor.organisation}")
    content = document_of(authorization)
    return Signature(
        organisation=actor.organisation,
        account=actor.id,
        at=at,
        algorithm=ALGORITHM,
        key=key.public_key().public_bytes_raw().hex(),
        value=key.sign(content).hex(),
        document=sha256(content),
    )


def check_document(keys: KeyRing, authorization: Authorization, *parties: str) -> None:
    """Refuse an authorization that does not say what was made public and what each of these parties signed.

    A key that stands in a record proves nothing: it has to be the one that the platform knows of that organisation.
    """
    if document_hash(authorization) != authorization.document:
        raise Conflict(f"the document of {authorization.id} is not the one made public", rule="agreement.document")
    own = all(is_own_key(keys, one) and is_signed(authorization, one) for one in authorization.signatures)
    if not own or not set(parties) <= {one.organisation for one in authorization.signatures}:
        raise Conflict(f"a signature of {authorization.id} does not hold", rule="agreement.signature")


def is_own_key(keys: KeyRing, signature: Signature) -> bool:
    """Return whether a signature names the key of its organisation."""
    key = keys.signing_key(f"organisation:{signature.organisation}").public_key()
    return signature.key == key.public_bytes_raw().hex()


def is_signed(authorization: Authorization, signature: Signature) -> bool:
    """Return whether the signature holds over the document as it stands now; false for a foreign or broken one."""
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(signature.key))
        key.verify(bytes.fromhex(signature.value), document_of(authorization))
    except (InvalidSignature, ValueError):
        return False
    return signature.algorithm == ALGORITHM and signature.document == document_hash(authorization)
