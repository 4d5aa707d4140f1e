"""Verification: the single question and the batch. A match, a mismatch and an unknown subject go the same way.

The use is on disk before its answer leaves; a repeat under the same `Idempotency-Key` gets the first answer and is
counted once. A question that is refused is not counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import msgspec

from products.consumers.model import KeyUse
from products.defence.guard import Asked
from products.serving.gate import Call, Gate, Ration
from products.serving.limits import KeyLimit
from products.serving.meter import Digests, PointMeter, make_point, make_series
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
from shuzha.metering.events import Point, Recorded, Series, UsageEvent, microseconds, split

MAX_IDEMPOTENCY_KEY = 200
MATCH, NO_MATCH = "match", "no_match"

_RETRY = (b"retry-after", b"1")
_PLACE = "\n"  # No letter of a caller's key: what he sends elsewhere cannot be the key of a place in a batch.
_Body = TypeVar("_Body", VerifyRequest, BatchRequest)

REQUEST = msgspec.json.Decoder(VerifyRequest)
_BATCH = msgspec.json.Decoder(BatchRequest)


class Recorder:
    """Records uses and keeps the quotas of key and grant true: what could not be recorded is given back."""

    def __init__(self, gate: Gate, meter: PointMeter) -> None:
        self._gate = gate
        self._meter = meter

    async def record(self, limit: KeyLimit, events: Sequence[UsageEvent], ration: Ration | None) -> list[Recorded]:
        """Return the outcomes once all are on disk; refuses a used idempotency key (409) and a silent writer (503)."""
        return await self.record_points(limit, [split(event) for event in events], ration)

    async def record_points(
        self, limit: KeyLimit, uses: Sequence[tuple[Series, Point]], ration: Ration | None
    ) -> list[Recorded]:
        """Return the outcomes of points once all are on disk; refuses as `record` does."""
        give_back = await self._gate.take_quotas(limit, ration, uses)
        answered = 0
        try:
            # The first one tells whether the idempotency key was used for another call: then nothing is metered.
            apart = 1 if len(uses) > 1 and uses[0][1].idempotency_key else 0
            done = await self._meter.record_points(uses[:apart]) if apart else []
            done += await self._meter.record_points(uses[apart:])
            answered = sum(not one.duplicate for one in done)
        except (ShuzhaError, TimeoutError, OSError) as error:
            raise meter_refusal(error) from error
        finally:
            give_back(len(uses) - answered)
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
        uses, asked = self._uses(caller, offer, request.purpose, [item], key, decision.version)
        (done,) = await self._record(limit, uses, asked, self._gate.ration(offer, decision))
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
        uses, asked = self._uses(caller, offer, request.purpose, request.items, key, decision.version)
        done = await self._record(limit, uses, asked, self._gate.ration(offer, decision))
        answers, places = b",".join(one.answer.encode() for one in done), ",".join(str(one.log_index) for one in done)
        body = b'{"answers":[%b],"log_indexes":[%b]}' % (answers, places.encode())
        return Answer(200, [JSON, *self._recorder.headers(limit)], body)

    async def _record(
        self, limit: KeyLimit, uses: Sequence[tuple[Series, Point]], asked: Sequence[Asked], ration: Ration | None
    ) -> list[Recorded]:
        """Record the uses; questions that were not answered, or not for the first time, are not counted as asked."""
        try:
            done = await self._recorder.record_points(limit, uses, ration)
        except BaseException:
            for one in asked:
                self._gate.defence.give_back(one)
            raise
        for one, outcome in zip(asked, done, strict=False):
            if outcome.duplicate:
                self._gate.defence.give_back(one)
        return done

    def _uses(
        self, caller: Caller, offer: Offer, purpose: str, items: Sequence[BatchItem], key: str, version: str
    ) -> tuple[list[tuple[Series, Point]], list[Asked]]:
        now = self._gate.clock.now()
        at = microseconds(now)
        found = [look_up(offer, item) for item in items]
        request = request_digest(self._digests, offer, purpose, items) if key else ""
        series = {
            claim: make_series(caller, offer, claim, purpose, version) for claim in {item.claim for item in items}
        }
        uses = [
            (series[item.claim], make_point(
                result, at, idempotency_key=f"{key}{_PLACE}{place}" if key and place else key, request_digest=request,
                consent=consent_digest(self._digests, item.consent),
            ))
            for place, (item, (_, result)) in enumerate(zip(items, found, strict=True))
        ]  # fmt: skip
        return uses, self._gate.ask(caller, offer, [(one, result is NO_MATCH) for one, result in found], now, uses)


def look_up(offer: Offer, item: BatchItem) -> tuple[bytes, str]:
    """Return the subject's key and whether the claim is confirmed.

    Refuses a product without its index (503), other fields or claims, and no sound reference to a consent (422).
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
    check_consent(offer, item)
    subject = subject_hash(offer.key, [item.subject[name] for name in offer.subject])
    found = index.find(subject)
    return subject, MATCH if found > 0 and found & bit else NO_MATCH


def check_consent(offer: Offer, item: BatchItem) -> None:
    """Refuse a question about a person that names no consent (422): it is a reference, and not the person's number."""
    consent = item.consent
    if not consent and not offer.personal:
        return
    if not consent or consent != consent.strip() or not consent.isprintable() or consent in item.subject.values():
        raise Refusal(
            422, "consent_required", "the question names no reference to the person's consent", rule="product.consent",
            accepted="`consent`: a reference of 1 to 200 printable letters that is no field of the subject",
        )  # fmt: skip


def request_digest(digests: Digests, offer: Offer, purpose: str, items: Sequence[BatchItem]) -> str:
    """Return the keyed digest that tells a repeat under an Idempotency-Key from another request."""
    return digests.of(b"request", purpose.encode(), *(_parts(offer, item) for item in items))


def consent_digest(digests: Digests, consent: str) -> str:
    """Return the keyed digest of a reference to a person's consent; empty where none is asked and none was named."""
    return digests.of(b"consent", consent.encode()) if consent else ""


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
