"""The client for programs that await."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import httpx

from . import calls
from .answers import Answer, BatchItem, File, Proof, Result, Usage, Use
from .calls import Call, Got, make_call, product_path
from .errors import Unreachable
from .proofs import check_proof


class AsyncClient:
    """Calls the consumer API with one key; safe to share among tasks. Close it, or use it as a context.

    With `signed` every answer of a use is asked to be signed and is checked: by `keys` (name to 32 bytes) where they
    are given, else by the platform's key directory. `attempts` are made of each call, with the same idempotency key.
    """

    def __init__(
        self, url: str, key: str = "", *, signed: bool = False, keys: Mapping[str, bytes] | None = None,
        attempts: int = 4, timeout: float = 10.0, max_age: float | None = 300.0,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:  # fmt: skip
        self._key = key
        self._signed = signed
        self._keys: dict[str, bytes] | None = dict(keys) if keys is not None else None
        self._attempts = max(1, attempts)
        self._max_age = max_age
        self._http = httpx.AsyncClient(base_url=url, timeout=timeout, transport=transport)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def verify(
        self, code: str, subject: Mapping[str, str], *, claim: str, purpose: str, consent: str,
        idempotency_key: str = "",
    ) -> Answer:  # fmt: skip
        """Return the answer to one question about one subject; raises Problem where it is refused."""
        body = calls.verify_body(subject, claim, purpose, consent)
        call = self._use("POST", product_path(code, "verify"), idempotency_key, body=body)
        got, signed_by = await self._ask_signed(call)
        return calls.read_answer(call, got, signed_by)

    async def verify_batch(
        self, code: str, items: Sequence[BatchItem], *, purpose: str, idempotency_key: str = ""
    ) -> tuple[Answer, ...]:
        """Return the answers to up to 100 questions; one that is refused refuses them all, and none is charged."""
        call = self._use(
            "POST", product_path(code, "verify:batch"), idempotency_key, body=calls.batch_body(items, purpose)
        )
        got, signed_by = await self._ask_signed(call)
        return calls.read_batch(call, got, signed_by)

    async def predict(self, code: str, inputs: Mapping[str, Any], *, purpose: str, idempotency_key: str = "") -> Result:
        """Return a model's answer to one input; raises Problem for a field that does not fit."""
        body = {"inputs": dict(inputs), "purpose": purpose}
        call = self._use("POST", product_path(code, "predict"), idempotency_key, body=body)
        got, signed_by = await self._ask_signed(call)
        return calls.read_result(call, got, "output", signed_by)

    async def query(
        self, code: str, parameters: Mapping[str, str], *, purpose: str, idempotency_key: str = ""
    ) -> Result:
        """Return a data service's answer; where its `withheld` is true it is metered and not charged."""
        query = {**parameters, "purpose": purpose}
        call = self._use("GET", product_path(code, "query"), idempotency_key, query=query)
        got, signed_by = await self._ask_signed(call)
        return calls.read_result(call, got, "result", signed_by)

    async def file(self, code: str, name: str, *, purpose: str, idempotency_key: str = "") -> File:
        """Return the file of a report or component; raises NotGenuine where its bytes are not what was said."""
        call = self._use("GET", product_path(code, "files", name), idempotency_key, query={"purpose": purpose})
        got, _ = await self._ask_signed(call)
        return calls.read_file(call, got, name)

    async def products(self) -> list[dict[str, Any]]:
        """Return the sheets of the products on the price list."""
        return list((await self._read("/v1/products")).json()["products"])

    async def product(self, code: str) -> dict[str, Any]:
        """Return one product's sheet: subject fields, claims, price, purposes."""
        return dict((await self._read(product_path(code))).json())

    async def usage(self, period: str = "", *, limit: int = 100, before: int | None = None) -> Usage:
        """Return a page of the organisation's uses of a month (YYYY-MM, this one by default), newest first."""
        query = {"period": period, "limit": str(limit)} | ({} if before is None else {"before": str(before)})
        return calls.read_usage(await self._read("/v1/usage", query))

    async def uses(self, period: str = "") -> AsyncIterator[Use]:
        """Yield every use of a month, newest first, page after page."""
        before: int | None = None
        while items := (await self.usage(period, limit=1000, before=before)).items:
            for one in items:
                yield one
            before = items[-1].log_index

    async def log_key(self) -> str:
        """Return the usage log's public key: fetch it once, compare it with what you were told, and keep it."""
        got = await self._read("/v1/ledger/key")
        got.check()
        return got.body.decode().strip()

    async def prove(self, usage_id: str, log_key: str) -> Proof:
        """Return the proof that a use stands in the log of this key; raises NotGenuine where it does not hold."""
        return check_proof((await self._read(f"/v1/ledger/proof/{usage_id}")).json(), usage_id, log_key)

    def _use(self, method: str, path: str, key: str, **rest: Any) -> Call:
        return make_call(method, path, metered=True, signed=self._signed, key=key, **rest)

    async def _read(self, path: str, query: Mapping[str, str] | None = None) -> Got:
        return await self._ask(make_call("GET", path, metered=False, signed=False, query=query or {}))

    async def _ask_signed(self, call: Call) -> tuple[Got, str]:
        got = await self._ask(call)
        if not call.nonce:
            return got, ""
        keys = await self._known_keys()
        return got, calls.check_signature(call, got, keys.get, self._max_age)

    async def _known_keys(self) -> dict[str, bytes]:
        if self._keys is None:
            self._keys = calls.read_keys(await self._read(calls.DIRECTORY))
        return self._keys

    async def _ask(self, call: Call) -> Got:
        for tried in range(self._attempts):
            last = tried + 1 == self._attempts
            try:
                got = await self._send(call)
            except httpx.TransportError as error:
                if last:
                    raise Unreachable(f"no answer: {type(error).__name__}", call.idempotency_key) from error
                await asyncio.sleep(calls.pause(tried))
                continue
            wait = got.wait(tried)
            if wait is None or last:
                return got
            await asyncio.sleep(wait)
        raise AssertionError("every attempt returns or raises")

    async def _send(self, call: Call) -> Got:
        answer = await self._http.request(
            call.method, call.path, json=call.body, params=dict(call.query), headers=call.headers(self._key)
        )
        request = answer.request
        return Got(
            answer.status_code, dict(answer.headers), answer.content, request.url.raw_path.decode(),
            dict(request.headers),
        )  # fmt: skip
