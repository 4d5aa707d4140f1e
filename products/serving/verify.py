"""Verification: the single question and the batch. A match, a mismatch and an unknown subject go the same way.

The use is on disk before its answer leaves; a repeat under the same `Idempotency-Key` gets the first answer and is
counted once. A question that is refused is not counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import msgspec

from products.consumers.model import KeyUse
from products.serving.gate import Call, Gate, Ration
from products.serving.limits import KeyLimit
from products.serving.meter import Digests, Meter, make_event
from products.serving.state import Caller, Offer
from products.serving.subjects import subject_hash
from products.serving.wire import (
    JSON,
    Answer,
    BatchItem,
    BatchRequest,
    Headers,
    Refusal,
    VerifyRequest,
    refusal_of,
)
from shuzha.core.errors import Conflict, ShuzhaError
from shuzha.metering.events import Recorded, UsageEvent

MAX_IDEMPOTENCY_KEY = 200
MATCH, NO_MATCH = "match", "no_match"

_RETRY = (b"retry-after", b"1")
_PLACE = "\n"  # No letter of a caller's key: what he sends elsewhere cannot be the key of a place in a batch.
_Body = TypeVar("_Body", VerifyRequest, BatchRequest)

REQUEST = msgspec.json.Decoder(VerifyRequest)
_BATCH = msgspec.json.Decoder(BatchRequest)


class Recorder:
    """Records uses and keeps the quotas of key and grant true: what could not be recorded is given back."""

    def __init__(self, gate: Gate, meter: Meter) -> None:
        self._gate = gate
        self._meter = meter

    async def record(self, limit: KeyLimit, events: Sequence[UsageEvent], ration: Ration | None) -> list[Recorded]:
        """Return the outcomes once all are on disk; refuses a used idempotency key (409) and a silent writer (503)."""
        give_back = await self._gate.take_quotas(limit, ration, events)
        answered = 0
        try:
            # The first one tells whether the idempotency key was used for another call: then nothing is metered.
            done = [await self._meter.record(events[0])]
            if len(events) > 1:
                done += await self._meter.record_all(events[1:])
            answered = sum(not one.duplicate for one in done)
        except (ShuzhaError, TimeoutError, OSError) as error:
            raise meter_refusal(error) from error
        finally:
            give_back(len(events) - answered)
        return done

    def headers(self, limit: KeyLimit) -> Headers:
        """Return the rate header fields as they are now."""
        return limit.headers(self._gate.clock.now())


class Verification:
    """Answers questions about subjects."""

    def __init__(self, gate: Gate, recorder: Recorder, digests: Digests) -> None:
        self._gate = gate
        self._recorder = recorder
        self._digests = digests

    async def verify(self, call: Call) -> Answer:
        """Return the answer to one question; raises Refusal."""
        caller = self._gate.identify(call)
        limit = self._gate.limit(caller)
        self._gate.take_rate(limit, 1)
        offer = self._gate.offer(caller, call.code, KeyUse.VERIFY)
        request = _decode(REQUEST, call.body)
        item = BatchItem(request.subject, request.claim, request.consent)
        key = idempotency_key(call.idempotency_key)
        decision = self._gate.decide(caller, offer, request.purpose)
        (event,) = self._events(caller, offer, request.purpose, [item], key, decision.version)
        (done,) = await self._recorder.record(limit, [event], self._gate.ration(offer, decision))
        headers = [JSON, (b"shuzha-log-index", b"%d" % done.log_index), *self._recorder.headers(limit)]
        return Answer(200, headers, done.answer.encode())

    async def verify_batch(self, call: Call) -> Answer:
        """Return the answers to up to 100 questions, each metered; one bad question refuses them all, unmetered."""
        caller = self._gate.identify(call)
        limit = self._gate.limit(caller)
        offer = self._gate.offer(caller, call.code, KeyUse.BATCH)
        request = _decode(_BATCH, call.body)
        self._gate.take_rate(limit, len(request.items))
        key = idempotency_key(call.idempotency_key)
        decision = self._gate.decide(caller, offer, request.purpose)
        events = self._events(caller, offer, request.purpose, request.items, key, decision.version)
        done = await self._recorder.record(limit, events, self._gate.ration(offer, decision))
        answers, places = b",".join(one.answer.encode() for one in done), ",".join(str(one.log_index) for one in done)
        body = b'{"answers":[%b],"log_indexes":[%b]}' % (answers, places.encode())
        return Answer(200, [JSON, *self._recorder.headers(limit)], body)

    def _events(
        self, caller: Caller, offer: Offer, purpose: str, items: Sequence[BatchItem], key: str, version: str
    ) -> list[UsageEvent]:
        now = self._gate.clock.now()
        results = [look_up(offer, item) for item in items]
        request = request_digest(self._digests, offer, purpose, items) if key else ""
        return [
            make_event(
                caller, offer, claim=item.claim, purpose=purpose, policy_version=version,
                result=result, request_digest=request, consent=consent_digest(self._digests, item.consent),
                idempotency_key=f"{key}{_PLACE}{place}" if key and place else key, at=now,
            )
            for place, (item, result) in enumerate(zip(items, results, strict=True))
        ]  # fmt: skip


def look_up(offer: Offer, item: BatchItem) -> str:
    """Return whether the claim is confirmed; refuses a product without its index (503), other fields or claims (422).

    A mismatch and an unknown subject cost the same and are answered alike.
    """
    index = offer.index
    if index is None:
        raise Refusal(503, "index_missing", "the product has no index at hand", rule="index.missing", headers=[_RETRY])
    bit = offer.claims.get(item.claim)
    if bit is None:
        raise Refusal(
            422, "claim_unknown", "the product does not answer this claim", rule="product.claims",
            accepted=", ".join(offer.claims),
        )  # fmt: skip
    if len(item.subject) != len(offer.subject) or not all(map(item.subject.__contains__, offer.subject)):
        raise Refusal(
            422, "subject_fields", "the subject has other fields than the product asks for", rule="product.subject",
            accepted=", ".join(offer.subject),
        )  # fmt: skip
    found = index.find(subject_hash(offer.key, [item.subject[name] for name in offer.subject]))
    return MATCH if found > 0 and found & bit else NO_MATCH


def request_digest(digests: Digests, offer: Offer, purpose: str, items: Sequence[BatchItem]) -> str:
    """Return the keyed digest that tells a repeat under an Idempotency-Key from another request."""
    return digests.of(b"request", purpose.encode(), *(_parts(offer, item) for item in items))


def consent_digest(digests: Digests, consent: str) -> str:
    """Return the keyed digest of a reference to a person's consent."""
    return digests.of(b"consent", consent.encode())


def meter_refusal(error: Exception) -> Refusal:
    """Return the refusal of a use that the meter did not take: a used key (409), or a silent writer (503)."""
    if isinstance(error, Conflict):
        return refusal_of(error, 409)
    detail = "the call cannot be metered now, so it is not answered; trying again is safe with the same key"
    return Refusal(503, "meter_unavailable", detail, rule="metering.writer", headers=[_RETRY])


def idempotency_key(text: str) -> str:
    """Return the caller's key, empty where none was sent; refuses one too long or with unprintable letters (400)."""
    if text and (len(text) > MAX_IDEMPOTENCY_KEY or not text.isascii() or not text.isprintable()):
        raise Refusal(
            400, "idempotency_key", "the Idempotency-Key is refused", rule="http.idempotency_key",
            accepted=f"1 to {MAX_IDEMPOTENCY_KEY} printable ASCII letters",
        )  # fmt: skip
    return text


def _parts(offer: Offer, item: BatchItem) -> bytes:
    fields = [item.subject[name] for name in offer.subject]
    return msgspec.json.encode((item.claim, item.consent, fields))


def _decode(decoder: msgspec.json.Decoder[_Body], body: bytes) -> _Body:
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        # msgspec's sentence names the place and the rule; its first half may quote a field that the caller made up.
        place = str(error).partition(" - at ")[2].strip("`") or "$"
        what = "unknown or missing field" if "field" in str(error) else "wrong type or length"
        detail = f"the request does not fit its form at {place}: {what}"
        raise Refusal(422, "invalid", detail, rule="http.form", accepted="the fields of /openapi.json") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Refusal(400, "not_json", "the request is not JSON", rule="http.form") from None
