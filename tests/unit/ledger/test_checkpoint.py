"""Notes and checkpoints, against the example of the signed-note specification, and every bit flipped."""

from __future__ import annotations

import base64
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from shuzha.core.errors import Invalid
from shuzha.ledger.checkpoint import Checkpoint, Signer, VerifierKey, parse_checkpoint

ROOT = sha256(b"root").digest()


def test_verifier_key_reads_the_published_example() -> None:
    line = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
    key = VerifierKey.parse(line)
    assert (key.name, key.id.hex(), key.line()) == ("PeterNeumann", "c74f20a3", line)
    text = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
    signature = "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="
    raw = base64.b64decode(signature)
    assert raw[:4] == key.id
    Ed25519PublicKey.from_public_bytes(key.public).verify(raw[4:], text.encode())


def test_verify_returns_what_was_signed(signer: Signer) -> None:
    note = signer.sign(1234, ROOT)
    assert signer.verifier_key.verify(note) == Checkpoint("city.example/usage", 1234, ROOT)
    assert parse_checkpoint(note).size == 1234
    assert VerifierKey.parse(signer.verifier_key.line() + "\n") == signer.verifier_key


def test_verify_refuses_any_changed_bit(signer: Signer) -> None:
    note = signer.sign(77, ROOT).encode()
    for place in range(len(note)):
        for bit in range(8):
            changed = bytearray(note)
            changed[place] ^= 1 << bit
            with pytest.raises((Invalid, UnicodeDecodeError)):
                signer.verifier_key.verify(changed.decode())


def test_verify_refuses_another_key(signer: Signer) -> None:
    other = Signer("city.example/usage", Ed25519PrivateKey.from_private_bytes(bytes(32)))
    with pytest.raises(Invalid, match=r"no signature by city\.example/usage"):
        other.verifier_key.verify(signer.sign(1, ROOT))


def test_verify_accepts_a_note_that_a_witness_signed_too(signer: Signer) -> None:
    witness = Signer("regulator.example", Ed25519PrivateKey.from_private_bytes(bytes(32)))
    note = signer.sign(5, ROOT)
    cosigned = note + "— regulator.example " + witness.sign(5, ROOT).rsplit(" ", 1)[1]
    assert signer.verifier_key.verify(cosigned).size == 5


def test_parse_refuses_a_changed_verifier_key(signer: Signer) -> None:
    line = signer.verifier_key.line()
    for place in range(len(line)):
        with pytest.raises(Invalid):
            VerifierKey.parse(line[:place] + chr(ord(line[place]) ^ 1) + line[place + 1 :])


def test_signer_refuses_an_origin_with_a_blank() -> None:
    with pytest.raises(Invalid, match="origin"):
        Signer("my city", Ed25519PrivateKey.from_private_bytes(bytes(32)))
