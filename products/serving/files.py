"""Report and component products: a file, fetched by a key and metered like any other use."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from products.consumers.model import KeyUse
from products.registry.codes import ProductKind
from products.registry.model import Product
from products.serving.gate import Call, Gate
from products.serving.meter import Digests, make_event
from products.serving.verify import Recorder, idempotency_key
from products.serving.wire import Answer, Headers, Refusal
from sandbox.airlock.content import detect

_TYPES = {
    ".csv": b"text/csv; charset=utf-8", ".json": b"application/json", ".parquet": b"application/vnd.apache.parquet",
    ".png": b"image/png", ".svg": b"image/svg+xml", ".txt": b"text/plain; charset=utf-8",
}  # fmt: skip


class Files:
    """Serves the files of products."""

    def __init__(self, gate: Gate, recorder: Recorder, digests: Digests, find: Callable[[Product], Path]) -> None:
        self._gate = gate
        self._recorder = recorder
        self._digests = digests
        self._find = find

    async def fetch(self, call: Call, name: str, purpose: str) -> Answer:
        """Return a product's file once its use is on disk; refuses a verification product and another name (404)."""
        caller = self._gate.identify(call)
        limit = self._gate.limit(caller)
        self._gate.take_rate(limit, 1)
        offer = self._gate.offer(caller, call.code, KeyUse.FILES)
        product = offer.product
        path = self._find(product)
        if product.kind is ProductKind.VERIFICATION or name != path.name or not path.is_file():
            raise Refusal(404, "file_unknown", "the product has no file of this name", rule="product.file")
        decision = self._gate.decide(caller, offer, purpose)
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != product.evidence.output_sha256:
            raise Refusal(503, "file_damaged", "the product's file is not what was registered", rule="product.evidence")
        event = make_event(
            caller, offer, claim="", purpose=purpose, policy_version=decision.version, result="file",
            request_digest=self._digests.of(b"file", product.id.encode(), name.encode(), purpose.encode()),
            consent="", idempotency_key=idempotency_key(call.idempotency_key), at=self._gate.clock.now(),
        )  # fmt: skip
        (done,) = await self._recorder.record(limit, [event], self._gate.ration(offer, decision))
        kind = path.suffix or _suffix_of(content)
        headers: Headers = [
            (b"content-type", _TYPES.get(kind, b"application/octet-stream")),
            (b"content-disposition", b'attachment; filename="%b"' % _plain(path.stem + kind)),
            (b"shuzha-log-index", b"%d" % done.log_index),
            (b"shuzha-usage-id", done.usage_id.encode()),
            *self._recorder.headers(limit),
        ]
        return Answer(200, headers, content)


def _suffix_of(content: bytes) -> str:
    """Return the ending that a file without one is given: outputs have names, their type is in their bytes."""
    found = detect(content)
    return f".{found.value}" if found else ""


def _plain(name: str) -> bytes:
    return "".join(
        letter if letter.isascii() and (letter.isalnum() or letter in "._-") else "_" for letter in name
    ).encode()
