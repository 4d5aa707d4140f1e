"""Whether a use stands in the usage log: a Merkle proof (RFC 9162) under a signed checkpoint (C2SP signed-note)."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from .answers import Proof
from .ed25519 import is_valid
from .errors import NotGenuine


def check_proof(document: Mapping[str, Any], usage_id: str, log_key: str) -> Proof:
    """Return the proof where it shows that the use stands in the log of this key; raises NotGenuine where not.

    `log_key` is the line `name+id+base64` that `/v1/ledger/key` gives: keep your own.
    """
    try:
        leaf, note = str(document["leaf"]).encode(), str(document["checkpoint"])
        index, size = int(document["index"]), int(document["size"])
        hashes = [base64.b64decode(one) for one in document["hashes"]]
        header = json.loads(leaf)
        body = document["body"]
    except (KeyError, TypeError, ValueError):
        raise NotGenuine("this is no proof") from None
    signed_size, root = read_checkpoint(note, log_key)
    if header.get("id") != usage_id or header.get("index") != index or signed_size != size:
        raise NotGenuine("the proof is of another use or another log")
    if body is not None and hashlib.sha256(str(body).encode()).hexdigest() != header.get("commitment"):
        raise NotGenuine("the use's record is not what the log committed to")
    if _root(hashlib.sha256(b"\x00" + leaf).digest(), index, size, hashes) != root:
        raise NotGenuine("the proof does not lead to the signed root")
    return Proof(usage_id, index, size, root, note)


def read_checkpoint(note: str, log_key: str) -> tuple[int, bytes]:
    """Return size and root of a checkpoint that the log's key signed; raises NotGenuine for any other."""
    try:
        name, _, encoded = log_key.strip().split("+", 2)
        raw = base64.b64decode(encoded)
        text, _, signatures = note.rpartition("\n\n")
        origin, size, root, *_ = text.split("\n")
    except ValueError:
        raise NotGenuine("this is no checkpoint, or no key of a log") from None
    key_id = hashlib.sha256(f"{name}\n".encode() + raw).digest()[:4]
    for line in signatures.splitlines():
        signer, _, made = line.removeprefix("\u2014 ").partition(" ")
        blob = base64.b64decode(made)
        if signer == name and blob[:4] == key_id and is_valid(raw[1:], blob[4:], f"{text}\n".encode()):
            if origin != name:
                break
            return int(size), base64.b64decode(root)
    raise NotGenuine("the checkpoint is not signed by the log's key")


def _root(node: bytes, index: int, size: int, hashes: list[bytes]) -> bytes | None:
    """Follow RFC 9162 section 2.1.3.2; None where the proof's length cannot be right."""
    place, last = index, size - 1
    if not 0 <= index < size:
        return None
    for step in hashes:
        if last == 0:
            return None
        if place & 1 or place == last:
            node = hashlib.sha256(b"\x01" + step + node).digest()
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            node = hashlib.sha256(b"\x01" + node + step).digest()
        place, last = place >> 1, last >> 1
    return node if last == 0 else None
