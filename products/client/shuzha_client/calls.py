"""Calls without a network: how each is asked, when it is tried again, and how its answer is read."""

from __future__ import annotations

import base64
import hashlib
import json
import random
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from .answers import Answer, BatchItem, File, Result, Usage, Use
from .errors import NotGenuine, Problem
from .signatures import Signed, new_request

AGENT = "shuzha-client/0.1.0"
DIRECTORY = "/.well-known/http-message-signatures-directory"
AGAIN = frozenset({408, 429, 502, 503, 504})
NOT_AGAIN = frozenset({"quota_exceeded", "grant_quota_exceeded", "file_damaged"})
LONGEST_WAIT = 30.0


@dataclass(frozen=True, slots=True)
class Call:
    """One request, ready to be sent as often as it takes; `nonce` is set where a signed answer is asked for."""

    method: str
    path: str
    body: Any = None
    query: Mapping[str, str] = field(default_factory=dict)
    idempotency_key: str = ""
    nonce: str = ""
    accept_signature: str = ""

    def headers(self, key: str) -> dict[str, str]:
        """Return the header fields of the request."""
        made = {"user-agent": AGENT, "accept": "application/json, application/problem+json, */*"}
        if key:
            made["authorization"] = f"Bearer {key}"
        if self.idempotency_key:
            made["idempotency-key"] = self.idempotency_key
        if self.accept_signature:
            made["accept-signature"] = self.accept_signature
        return made


@dataclass(frozen=True, slots=True)
class Got:
    """What came back, with the request as it was sent."""

    status: int
    fields: Mapping[str, str]
    body: bytes
    path: str
    request: Mapping[str, str]

    def json(self) -> Any:
        """Return the body; raises Problem for an error."""
        self.check()
        return json.loads(self.body)

    def check(self) -> None:
        """Raise Problem where the API refused the call."""
        if self.status < 400:
            return
        try:
            document = json.loads(self.body)
        except ValueError:
            document = {}
        raise Problem(self.status, document if isinstance(document, dict) else {})

    def wait(self, tried: int) -> float | None:
        """Return how many seconds to wait before the next attempt; None where trying again helps nothing."""
        if self.status not in AGAIN:
            return None
        try:
            code = json.loads(self.body).get("code", "")
        except (ValueError, AttributeError):
            code = ""
        if code in NOT_AGAIN:
            return None
        stated = self.fields.get("retry-after", "")
        return min(float(stated), LONGEST_WAIT) if stated.isdigit() else pause(tried)


def pause(tried: int) -> float:
    """Return a pause that doubles with each attempt, from 0.2 s on, with up to a half more by chance."""
    return float(min(0.2 * 2**tried, LONGEST_WAIT) * (1 + random.random() / 2))  # noqa: S311


def make_call(method: str, path: str, *, metered: bool, signed: bool, key: str = "", **rest: Any) -> Call:
    """Return a call; a metered one always has an idempotency key."""
    chosen = (key or str(uuid.uuid4())) if metered else ""
    accept, nonce = new_request(with_key=bool(chosen)) if signed else ("", "")
    return Call(method, path, idempotency_key=chosen, nonce=nonce, accept_signature=accept, **rest)


def product_path(code: str, *rest: str) -> str:
    """Return a path of a product."""
    return "/".join(["/v1/products", quote(code, safe=""), *(quote(each, safe=":") for each in rest)])


def verify_body(subject: Mapping[str, str], claim: str, purpose: str, consent: str) -> dict[str, Any]:
    """Return the body of one question."""
    return {"subject": dict(subject), "claim": claim, "purpose": purpose, "consent": consent}


def batch_body(items: Sequence[BatchItem], purpose: str) -> dict[str, Any]:
    """Return the body of a batch."""
    return {"purpose": purpose, "items": [one.document() for one in items]}


def read_answer(call: Call, got: Got, signed_by: str) -> Answer:
    """Return the answer to one question."""
    told = got.json()
    index = int(got.fields.get("shuzha-log-index", "-1"))
    return Answer(told["result"], told["usage_id"], index, call.idempotency_key, signed_by)


def read_result(call: Call, got: Got, name: str, signed_by: str) -> Result:
    """Return what a model or a data service answered."""
    told = got.json()
    index = int(got.fields.get("shuzha-log-index", "-1"))
    return Result(told[name], told["usage_id"], index, call.idempotency_key, signed_by)


def read_batch(call: Call, got: Got, signed_by: str) -> tuple[Answer, ...]:
    """Return the answers of a batch, in the order of its questions."""
    told = got.json()
    pairs = zip(told["answers"], told["log_indexes"], strict=True)
    return tuple(
        Answer(one["result"], one["usage_id"], int(index), call.idempotency_key, signed_by) for one, index in pairs
    )


def read_file(call: Call, got: Got, name: str) -> File:
    """Return a file; raises NotGenuine where its bytes are not what the API says they are."""
    got.check()
    digest = hashlib.sha256(got.body)
    stated = got.fields.get("repr-digest", "")
    if stated and f"sha-256=:{base64.b64encode(digest.digest()).decode()}:" not in stated:
        raise NotGenuine("the file is not what its digest says")
    return File(
        name, got.body, got.fields.get("content-type", ""), digest.hexdigest(), got.fields.get("shuzha-usage-id", ""),
        int(got.fields.get("shuzha-log-index", "-1")), call.idempotency_key,
    )  # fmt: skip


def read_usage(got: Got) -> Usage:
    """Return a page of uses."""
    told = got.json()
    items = tuple(Use.read(one) for one in told["items"])
    return Usage(told["period"], told["uses"], told["quantity"], told["charged_hao"], told["waived_hao"], items)


def read_keys(got: Got) -> dict[str, bytes]:
    """Return the Ed25519 keys of the platform's key directory by their names."""
    keys = got.json()["keys"]
    return {
        one["kid"]: base64.urlsafe_b64decode(one["x"] + "=" * (-len(one["x"]) % 4))
        for one in keys
        if one.get("crv") == "Ed25519"
    }


def check_signature(call: Call, got: Got, key_of: Callable[[str], bytes | None], max_age: float | None) -> str:
    """Return the name of the key that signed the answer to this call."""
    path = got.path.partition("?")[0]
    return Signed(got.status, got.fields, got.body, call.method, path, got.request).check(call.nonce, key_of, max_age)
