"""Signed answers on request: HTTP Message Signatures (RFC 9421) with Ed25519, over a Content-Digest (RFC 9530).

A caller asks with `Accept-Signature` (RFC 9421 section 5.1); a call without it is not looked at here. What is signed is
the status, the digest of the body, and whatever else was asked for that the answer or the request has.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from products.serving.wire import Answer, Refusal
from shuzha.core.clock import Clock

KEY_NAME = "answers"
MAX_HEADER = 1_000
DIRECTORY = "/.well-known/http-message-signatures-directory"
DIRECTORY_TYPE = b"application/http-message-signatures-directory+json"
USUAL = (("@status", False), ("content-type", False), ("content-digest", False), ("@method", True), ("@path", True))
_OF_REQUEST = frozenset({"@method", "@path", "@query", "@authority", "@target-uri"})
_MUST = (("@status", False), ("content-digest", False))

_LABEL = re.compile(r"\s*([a-z*][a-z0-9_\-.*]*)=\(")
_ITEM = re.compile(r' *"([a-z@][a-z0-9\-]*)"((?:;[a-z]+)*)(?= |\))')
_PARAMETER = re.compile(r';\s*([a-z*][a-z0-9_\-.*]*)(?:=("(?:[ !#-\[\]-~])*"|[0-9]{1,15}|[A-Za-z][A-Za-z0-9_\-]*))?')
_KEPT = ("nonce", "tag")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a caller wants signed: the label, the components (with whether each is the request's), nonce and tag."""

    label: str
    components: tuple[tuple[str, bool], ...]
    parameters: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Seen:
    """The request as a signature can name it."""

    method: str
    path: str
    query: str
    scheme: str
    headers: Mapping[bytes, bytes]

    def value(self, name: str) -> str | None:
        """Return a component of the request, None where it has none of this name."""
        authority = self.headers.get(b"host", b"").decode("latin-1").lower()
        derived = {
            "@method": self.method, "@path": self.path, "@query": f"?{self.query}", "@authority": authority,
            "@target-uri": f"{self.scheme}://{authority}{self.path}" + (f"?{self.query}" if self.query else ""),
        }  # fmt: skip
        if name in derived:
            return derived[name]
        found = self.headers.get(name.encode())
        return None if found is None else found.decode("latin-1").strip()


def read_asked(header: bytes) -> Asked:
    """Return what an `Accept-Signature` asks for; refuses (400) another form, another algorithm and several labels."""
    text = header.decode("latin-1")
    label = _LABEL.match(text) if len(text) <= MAX_HEADER else None
    if label is None:
        raise _refused()
    place, components = label.end(), []
    while text[place : place + 1] != ")":
        item = _ITEM.match(text, place)
        if item is None:
            raise _refused()
        components.append(_component(item[1], item[2]))
        place = item.end()
    parameters = []
    place += 1
    while place < len(text.rstrip()):
        found = _PARAMETER.match(text, place)
        if found is None:
            raise _refused()
        if found[1] == "alg" and found[2] != '"ed25519"':
            raise _refused()
        if found[1] in _KEPT and (found[2] or "").startswith('"'):
            parameters.append((found[1], found[2]))
        place = found.end()
    chosen = components or list(USUAL)
    chosen += [each for each in _MUST if each not in chosen]
    if len(set(chosen)) != len(chosen):
        raise _refused()
    return Asked(label[1], tuple(chosen), tuple(parameters))


class Signer:
    """Signs answers with the platform's key of answers; its public half stands in the key directory."""

    def __init__(self, key: Ed25519PrivateKey, clock: Clock) -> None:
        self._key = key
        self._clock = clock
        public = _base64url(key.public_key().public_bytes_raw())
        # RFC 7638 with RFC 8037's required members, in their order.
        thumb = f'{{"crv":"Ed25519","kty":"OKP","x":"{public}"}}'.encode()
        self.key_id = _base64url(hashlib.sha256(thumb).digest())
        self._jwk = {"kty": "OKP", "crv": "Ed25519", "x": public, "kid": self.key_id, "use": "sig"}

    def directory(self) -> Answer:
        """Return the key directory: a JSON Web Key Set (RFC 7517) with the key that answers are signed by."""
        headers = [(b"content-type", DIRECTORY_TYPE), (b"cache-control", b"max-age=3600")]
        return Answer(200, headers, json.dumps({"keys": [self._jwk]}).encode())

    def sign(self, asked: Asked, answer: Answer, seen: Seen) -> Answer:
        """Return the answer with Content-Digest, Signature-Input and Signature; what it does not have is left out."""
        digest = f"sha-256=:{base64.b64encode(hashlib.sha256(answer.body).digest()).decode()}:"
        headers = [*answer.headers, (b"content-digest", digest.encode())]
        own = {name.decode(): value.decode("latin-1") for name, value in headers} | {"@status": str(answer.status)}
        lines, names = [], []
        for name, of_request in asked.components:
            value = seen.value(name) if of_request else own.get(name)
            if value is not None:
                names.append(f'"{name}"' + (";req" if of_request else ""))
                lines.append(f"{names[-1]}: {value}")
        made = f'({" ".join(names)});created={int(self._clock.now().timestamp())};keyid="{self.key_id}";alg="ed25519"'
        made += "".join(f";{name}={value}" for name, value in asked.parameters)
        base = "\n".join([*lines, f'"@signature-params": {made}'])
        signature = base64.b64encode(self._key.sign(base.encode())).decode()
        headers.append((b"signature-input", f"{asked.label}={made}".encode()))
        headers.append((b"signature", f"{asked.label}=:{signature}:".encode()))
        return Answer(answer.status, headers, answer.body)


def _component(name: str, flags: str) -> tuple[str, bool]:
    of_request = flags == ";req"
    known = name in _OF_REQUEST if of_request else name == "@status"
    if flags not in ("", ";req") or (name.startswith("@") and not known):
        raise _refused()
    return name, of_request


def _refused() -> Refusal:
    return Refusal(
        400, "accept_signature", "the Accept-Signature is refused", rule="http.accept_signature",
        accepted='one label, such as sig1=("@status" "content-digest" "@path";req);nonce="x", Ed25519 only',
    )  # fmt: skip


def _base64url(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")
