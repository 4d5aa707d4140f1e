"""Signed answers: asking for one and checking it (RFC 9421, with RFC 9530's digest)."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
import time
from collections.abc import Callable, Mapping

from .ed25519 import is_valid
from .errors import NotGenuine

MUST = ('"@status"', '"content-digest"', '"@method";req', '"@path";req')
_COMPONENT = re.compile(r'"([^"]+)"((?:;[a-z]+)*)')
_PARAMETER = re.compile(r';([a-z]+)=("[^"]*"|[0-9]+)')
_LABEL = "answer"


def new_request(*, with_key: bool) -> tuple[str, str]:
    """Return an `Accept-Signature` and the nonce in it; with an idempotency key that is covered as well."""
    nonce = secrets.token_urlsafe(16)
    parts = (*MUST, '"idempotency-key";req') if with_key else MUST
    return f'{_LABEL}=({" ".join(parts)});nonce="{nonce}"', nonce


class Signed:
    """One answer as a signature sees it: its status and fields, and the request's method, path and fields."""

    def __init__(
        self, status: int, fields: Mapping[str, str], body: bytes, method: str, path: str, request: Mapping[str, str]
    ) -> None:
        self._status = status
        self._fields = fields
        self._body = body
        self._request = {"@method": method, "@path": path, **request}

    def check(self, nonce: str, key_of: Callable[[str], bytes | None], max_age: float | None) -> str:
        """Return the name of the key that signed this very answer to this very request; raises NotGenuine."""
        stated = self._fields.get("signature-input", "")
        label, _, made = stated.partition("=")
        inner, _, tail = made.partition(")")
        if label != _LABEL or not inner.startswith("("):
            raise NotGenuine("the answer is not signed, though that was asked for")
        parameters = {name: value.strip('"') for name, value in _PARAMETER.findall(tail)}
        components = _COMPONENT.findall(inner)
        covered = {f'"{name}"{flags}' for name, flags in components}
        if not covered.issuperset(MUST) or parameters.get("nonce") != nonce:
            raise NotGenuine("the signature does not cover this call")
        self._check_digest()
        age = abs(time.time() - int(parameters.get("created", "0")))
        if max_age is not None and age > max_age:
            raise NotGenuine(f"the signature was made {age:.0f} s from now")
        key = key_of(parameters.get("keyid", ""))
        if key is None:
            raise NotGenuine("the answer is signed by a key that is not known")
        lines = [f'"{name}"{flags}: {self._value(name, flags)}' for name, flags in components]
        base = "\n".join([*lines, f'"@signature-params": {made}'])
        if not is_valid(key, self._signature(), base.encode("latin-1")):
            raise NotGenuine("the signature of the answer does not hold")
        return str(parameters["keyid"])

    def _check_digest(self) -> None:
        digest = base64.b64encode(hashlib.sha256(self._body).digest()).decode()
        if self._fields.get("content-digest") != f"sha-256=:{digest}:":
            raise NotGenuine("the answer's body is not what its digest says")

    def _value(self, name: str, flags: str) -> str:
        if name == "@status" and not flags:
            return str(self._status)
        found = self._request.get(name) if flags == ";req" else self._fields.get(name) if not flags else None
        if found is None:
            raise NotGenuine("the signature covers what the message does not have")
        return found

    def _signature(self) -> bytes:
        text = self._fields.get("signature", "")
        try:
            return base64.b64decode(text.removeprefix(f"{_LABEL}=:").removesuffix(":"), validate=True)
        except ValueError:
            raise NotGenuine("the signature is no base64") from None
