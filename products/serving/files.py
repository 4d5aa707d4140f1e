"""Report and component products: a file, fetched by a key and metered like any other use."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from products.consumers.model import KeyUse
from products.forms.delivery import Copies, Copy
from products.registry.codes import ProductKind
from products.registry.model import Product
from products.serving.gate import Call, Gate
from products.serving.meter import Digests, make_event
from products.serving.ranges import read_range
from products.serving.verify import Recorder, idempotency_key
from products.serving.wire import Answer, Headers, Refusal
from sandbox.airlock.content import detect
from shuzha.core.errors import ShuzhaError

log = logging.getLogger(__name__)

_SERVED = (ProductKind.COMPONENT, ProductKind.REPORT)

_TYPES = {
    ".csv": b"text/csv; charset=utf-8", ".json": b"application/json", ".parquet": b"application/vnd.apache.parquet",
    ".png": b"image/png", ".svg": b"image/svg+xml", ".txt": b"text/plain; charset=utf-8",
}  # fmt: skip

FILE_TYPES = sorted({kind.decode().partition(";")[0] for kind in _TYPES.values()} | {"application/octet-stream"})
"""The content types that a file can have."""


@dataclass(frozen=True, slots=True)
class Part:
    """Which bytes of a file are asked for: the header fields `Range` and `If-Range` as they came."""

    range: str = ""
    condition: str = ""


class Files:
    """Serves the files of components and reports, each buyer's with its own marks."""

    def __init__(
        self, gate: Gate, recorder: Recorder, digests: Digests, find: Callable[[Product], Path], copies: Copies
    ) -> None:
        self._gate = gate
        self._recorder = recorder
        self._digests = digests
        self._find = find
        self._copies = copies

    async def fetch(self, call: Call, name: str, purpose: str, part: Part = Part()) -> Answer:
        """Return a product's file, or the asked part of it (206), once its use is on disk.

        Refuses a product of another form and another name (404), a part without an Idempotency-Key (400): a resumed
        download repeats the key of the first one and is charged once; and a part that the file has not (416).
        """
        caller = self._gate.identify(call)
        limit = self._gate.limit(caller)
        self._gate.take_rate(limit, 1)
        offer = self._gate.offer(caller, call.code, KeyUse.FILES)
        product = offer.product
        path = self._find(product)
        if product.kind not in _SERVED or name != path.name or not path.is_file():
            raise Refusal(404, "file_unknown", "the product has no file of this name", rule="product.file")
        decision = self._gate.decide(caller, offer, purpose)
        key = idempotency_key(call.idempotency_key)
        if part.range and not key:
            raise Refusal(
                400, "idempotency_key", "a part of a file is asked for without an Idempotency-Key",
                rule="http.range", accepted="the Idempotency-Key of the download that is resumed",
            )  # fmt: skip
        copy = await asyncio.to_thread(self._copy, product, path, caller.key.organisation)
        tag = f'"{copy.sha256}"'
        span = read_range(part.range, part.condition, tag, len(copy.content)) if part.range else None
        event = make_event(
            caller, offer, claim="", purpose=purpose, policy_version=decision.version, result="file",
            request_digest=self._digests.of(b"file", product.id.encode(), name.encode(), purpose.encode()),
            consent="", idempotency_key=key, at=self._gate.clock.now(),
        )  # fmt: skip
        (done,) = await self._recorder.record(limit, [event], self._gate.ration(offer, decision))
        kind = path.suffix or _suffix_of(copy.content)
        headers: Headers = [
            (b"content-type", _TYPES.get(kind, b"application/octet-stream")),
            (b"content-disposition", b'attachment; filename="%b"' % _plain(path.stem + kind)),
            (b"accept-ranges", b"bytes"),
            (b"etag", tag.encode()),
            (b"repr-digest", b"sha-256=:%b:" % base64.b64encode(bytes.fromhex(copy.sha256))),
            (b"shuzha-marked", b"?1" if copy.marked else b"?0"),
            (b"shuzha-log-index", b"%d" % done.log_index),
            (b"shuzha-usage-id", done.usage_id.encode()),
            *self._recorder.headers(limit),
        ]
        if span is None:
            return Answer(200, headers, copy.content)
        return Answer(206, [*headers, (b"content-range", span.content_range)], copy.content[span.first : span.end])

    def _copy(self, product: Product, path: Path, buyer: str) -> Copy:
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != product.evidence.output_sha256:
            raise Refusal(503, "file_damaged", "the product's file is not what was registered", rule="product.evidence")
        try:
            return self._copies.make(product, path, content, buyer)
        except ShuzhaError as error:
            log.error("no copy of %s can be made: %s", product.id, error)
            raise Refusal(
                503, "file_unmarked", "the buyer's copy of the file cannot be made", rule="forms.marks"
            ) from None


def _suffix_of(content: bytes) -> str:
    """Return the ending that a file without one is given: outputs have names, their type is in their bytes."""
    found = detect(content)
    return f".{found.value}" if found else ""


def _plain(name: str) -> bytes:
    return "".join(
        letter if letter.isascii() and (letter.isalnum() or letter in "._-") else "_" for letter in name
    ).encode()
