"""Signed answers: the base and signature of RFC 9421, what may be asked for, and what is refused."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import json
import re

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from products.serving.signing import Seen, Signer, read_asked
from products.serving.wire import Answer, Refusal
from shuzha.core.clock import FixedClock

# RFC 9421 appendix B.1.4: the key of its Ed25519 examples.
RFC_KEY = b"""-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF
-----END PRIVATE KEY-----
"""
# RFC 7638's thumbprint of that key is given by RFC 8037 appendix A.3 for its own key.
RFC_8037_KEY = base64.urlsafe_b64decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=")
NOW = dt.datetime(2026, 11, 23, 6, tzinfo=dt.UTC)
SEEN = Seen(
    "POST", "/v1/products/37I/verify", "a=b", "https", {b"host": b"API.example:8001", b"idempotency-key": b"k-1"}
)
ANSWER = Answer(200, [(b"content-type", b"application/json"), (b"shuzha-log-index", b"7")], b'{"result":"match"}')


def signer() -> Signer:
    return Signer(load_pem_private_key(RFC_KEY, None), FixedClock(NOW))


def fields(answer: Answer) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in answer.headers}


def base_of(answer: Answer, values: dict[str, str]) -> bytes:
    """Build the signature base again from the answer, by RFC 9421 section 2.5."""
    made = fields(answer)["signature-input"].partition("=")[2]
    lines = [
        f'"{name}"{flag}: {values[name + flag]}'
        for name, flag in re.findall(r'"([^"]+)"(;req)?', made.partition(")")[0])
    ]
    return "\n".join([*lines, f'"@signature-params": {made}']).encode()


def signature_of(answer: Answer, label: str = "sig1") -> bytes:
    text = fields(answer)["signature"]
    assert text.startswith(f"{label}=:")
    return base64.b64decode(text.removeprefix(f"{label}=:").removesuffix(":"))


def test_our_signature_of_the_rfcs_example_is_the_rfcs() -> None:
    # RFC 9421 B.2.6 signs a request; Ed25519 is deterministic, so the key and its base give one signature.
    base = (
        '"date": Tue, 20 Apr 2021 02:07:55 GMT\n"@method": POST\n"@path": /foo\n"@authority": example.com\n'
        '"content-type": application/json\n"content-length": 18\n"@signature-params": ("date" "@method" "@path" '
        '"@authority" "content-type" "content-length");created=1618884473;keyid="test-key-ed25519"'
    )
    key = load_pem_private_key(RFC_KEY, None)
    assert isinstance(key, Ed25519PrivateKey)
    assert base64.b64encode(key.sign(base.encode())) == (
        b"wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw=="
    )


def test_the_keys_name_is_its_thumbprint() -> None:
    made = Signer(Ed25519PrivateKey.from_private_bytes(RFC_8037_KEY), FixedClock(NOW))
    assert made.key_id == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
    (key,) = json.loads(made.directory().body)["keys"]
    assert key["x"] == "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"


def test_a_signed_answer_covers_what_was_asked_and_the_digest() -> None:
    asked = read_asked(b'mine=("@status" "shuzha-log-index" "@path";req "idempotency-key";req);created;nonce="n-1"')
    signed = signer().sign(asked, ANSWER, SEEN)
    found = fields(signed)
    digest = base64.b64encode(hashlib.sha256(ANSWER.body).digest()).decode()
    assert found["content-digest"] == f"sha-256=:{digest}:"
    assert found["signature-input"] == (
        'mine=("@status" "shuzha-log-index" "@path";req "idempotency-key";req "content-digest")'
        f';created={int(NOW.timestamp())};keyid="{signer().key_id}";alg="ed25519";nonce="n-1"'
    )
    values = {
        "@status": "200", "shuzha-log-index": "7", "@path;req": SEEN.path, "idempotency-key;req": "k-1",
        "content-digest": found["content-digest"],
    }  # fmt: skip
    public = load_pem_private_key(RFC_KEY, None).public_key()
    assert isinstance(public, Ed25519PublicKey)
    public.verify(signature_of(signed, "mine"), base_of(signed, values))
    with pytest.raises(InvalidSignature):
        public.verify(signature_of(signed, "mine"), base_of(signed, values | {"@status": "201"}))


def test_what_the_answer_lacks_is_left_out_and_the_usual_is_signed_where_nothing_is_named() -> None:
    asked = read_asked(b'sig1=("retry-after")')
    assert '("@status" "content-digest")' in fields(signer().sign(asked, ANSWER, SEEN))["signature-input"]
    usual = fields(signer().sign(read_asked(b"sig1=()"), ANSWER, SEEN))["signature-input"]
    assert '("@status" "content-type" "content-digest" "@method";req "@path";req)' in usual


@pytest.mark.parametrize("component", ["@method", "@path", "@query", "@authority", "@target-uri"])
def test_every_derived_component_of_the_request_can_be_asked_for(component: str) -> None:
    value = {"@method": "POST", "@path": SEEN.path, "@query": "?a=b", "@authority": "api.example:8001",
             "@target-uri": f"https://api.example:8001{SEEN.path}?a=b"}[component]  # fmt: skip
    asked = read_asked(f'sig1=("{component}";req)'.encode())
    signed = signer().sign(asked, ANSWER, SEEN)
    values = {f"{component};req": value, "@status": "200", "content-digest": fields(signed)["content-digest"]}
    load_pem_private_key(RFC_KEY, None).public_key().verify(signature_of(signed), base_of(signed, values))


@pytest.mark.parametrize(
    "header",
    [b"", b"sig1", b"sig1=", b'sig1=("@status"', b'sig1=("@status" "@status")', b'sig1=("@path")', b'sig1=("@nothing")',
     b'sig1=("@status";sf)', b'sig1=("@status"),sig2=("@status")', b'sig1=("@status");alg="rsa-v1_5-sha256"',
     b'sig1=("@status");nonce="a\n"', b'sig1=("X-Caps")', b"x" * 1001, b'sig1=("@status");nonce="' + b"n" * 1000 + b'"',
     b'sig1=("@status";key="a")', "sig1=(“@status”)".encode()],
)  # fmt: skip
def test_another_form_is_refused(header: bytes) -> None:
    with pytest.raises(Refusal) as refused:
        read_asked(header)
    assert (refused.value.status, refused.value.code) == (400, "accept_signature")
