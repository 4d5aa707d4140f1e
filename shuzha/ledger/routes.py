"""A log over HTTP, for anybody and without signing in: checkpoint, key, tiles, consistency proofs, cosigned checkpoint.

The layout is that of C2SP tlog-tiles, so that any client of such logs reads it. A payload or a salt is given nowhere.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi import Path as InPath
from fastapi.responses import PlainTextResponse, Response
from pydantic import BaseModel

from shuzha.core.errors import Invalid, NotFound
from shuzha.ledger.cosignature import newest_cosigned
from shuzha.ledger.reader import LogReader
from shuzha.ledger.tiles import parse_tile, read_tile

FOREVER = {"Cache-Control": "public, max-age=31536000, immutable"}
NOT_KEPT = {"Cache-Control": "no-cache"}
_LARGEST = 2**62

Docs = Callable[..., dict[str, Any]]


class ConsistencyProof(BaseModel):
    """Shows that a log of `first` entries is the beginning of its `second` entries (RFC 9162, section 2.1.4).

    `hashes` are base64; `checkpoint` is the signed note of `second` entries where that is the newest, else empty.
    """

    first: int
    second: int
    hashes: list[str]
    checkpoint: str


class PublicLog:
    """One log's folder as the public reads it; it is opened when somebody first asks, and may not exist yet."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._reader: LogReader | None = None

    def open(self) -> LogReader:
        """Return the reader; raises NotFound before the log was begun."""
        if self._reader is None:
            self._reader = LogReader(self._folder)
        return self._reader

    def tile(self, path: str) -> bytes:
        """Return a tile by its path; raises NotFound for one that no signed checkpoint covers."""
        reader = self.open()
        return read_tile(reader, parse_tile(path), reader.checkpoint().size)

    def consistency(self, first: int, second: int | None) -> ConsistencyProof:
        """Return the proof between two sizes, the second by default that of the newest checkpoint.

        Refuses sizes that are not in order, and one that no signed checkpoint covers.
        """
        reader = self.open()
        note = reader.note()
        size = reader.key.verify(note).size
        to = size if second is None else second
        if to > size:
            raise Invalid(
                f"log {reader.key.name} has {size} entries under a signed checkpoint", rule="ledger.sizes",
                accepted=f"a size of at most {size}",
            )  # fmt: skip
        proof = reader.consistency(first, to)
        hashes = [base64.b64encode(one).decode() for one in proof]
        return ConsistencyProof(first=first, second=to, hashes=hashes, checkpoint=note if to == size else "")


def make_log_router(log: PublicLog, prefix: str, docs: Docs, *, checkpoint: bool = True) -> APIRouter:
    """Return the public routes of one log below `prefix`; `docs` says to OpenAPI which problems a route answers with.

    Without `checkpoint` the app has a route of its own for it.
    """
    router = APIRouter(prefix=prefix, tags=["ledger"])

    @router.get("/key", openapi_extra=docs(None, None, 404), response_class=PlainTextResponse)
    def read_key() -> Response:
        """Read the log's public key, to keep and to compare: `name+id+base64`."""
        return PlainTextResponse(log.open().key.line() + "\n", headers=NOT_KEPT)

    @router.get("/cosigned", openapi_extra=docs(None, None, 404), response_class=PlainTextResponse)
    def read_cosigned() -> Response:
        """Read the newest checkpoint that a witness cosigned."""
        note = newest_cosigned(log.open())
        if note is None:
            raise NotFound("no witness has cosigned a checkpoint of this log yet")
        return PlainTextResponse(note, headers=NOT_KEPT)

    @router.get("/tile/{path:path}", openapi_extra=docs(None, None, 404, 503), response_class=Response)
    def read_one_tile(
        path: Annotated[str, InPath(max_length=60, description="level, or `entries`, and number: 0/x001/067.p/12")],
    ) -> Response:
        """Read 256 hashes of the tree, or the leaf data of 256 entries: headers with commitments, never payloads."""
        return Response(log.tile(path), media_type="application/octet-stream", headers=FOREVER)

    @router.get("/consistency", openapi_extra=docs(None, None, 404, 422, 503))
    def prove_consistency(
        first: Annotated[int, Query(ge=1, le=_LARGEST, description="the size of a checkpoint that you hold")],
        second: Annotated[
            int | None, Query(ge=1, le=_LARGEST, description="the newest checkpoint's by default")
        ] = None,
    ) -> ConsistencyProof:
        """Get the proof that the log only grew between two sizes, for `shuzha ledger verify --consistency`."""
        return log.consistency(first, second)

    if checkpoint:

        @router.get("/checkpoint", openapi_extra=docs(None, None, 404, 503), response_class=PlainTextResponse)
        def read_checkpoint() -> Response:
            """Read the newest signed checkpoint, a second old at most while the log grows."""
            return PlainTextResponse(log.open().note(), headers=NOT_KEPT)

    return router
