"""Models and data services at the consumer API: the same gate and meter as a verification, the answer from the forms.

The forms' own process checks, counts and computes (`products.forms`); here is who may, how often, and that the use is
on disk before its answer leaves.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Final

import msgspec

from products.consumers.model import KeyUse
from products.forms.line import FormsClient, Refused
from products.registry.codes import ProductKind
from products.serving.gate import Call, Gate
from products.serving.meter import Digests, make_event
from products.serving.state import Caller, Offer
from products.serving.verify import Recorder, idempotency_key
from products.serving.wire import JSON, Answer, Headers, Name, Refusal
from shuzha.metering.events import UsageEvent

MAX_INPUTS: Final = 100
MOST_ANSWER: Final = 48_000
MOST_PARAMETERS: Final = 50
WITHHELD: Final = b'{"withheld":true'
_PLACE: Final = "\n"

Value = str | float | bool | None
Inputs = Annotated[dict[Name, Value], msgspec.Meta(min_length=1, max_length=500)]


class PredictRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One input of a model, by the fields of its sheet, and for which purpose."""

    inputs: Inputs
    purpose: Name


class PredictBatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Up to 100 inputs for one purpose; all are refused together or answered and metered one by one."""

    purpose: Name
    items: Annotated[list[Inputs], msgspec.Meta(min_length=1, max_length=MAX_INPUTS)]


class Prediction(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a model says: a rounded `value`, or the likeliest `class`, with the bucket of its `chance` where told."""

    value: float | None = None
    class_: str | None = msgspec.field(default=None, name="class")
    chance: str | None = None


class PredictAnswer(msgspec.Struct, frozen=True):
    """A model's answer to one input."""

    output: Prediction
    usage_id: str


class PredictAnswers(msgspec.Struct, frozen=True):
    """A model's answers, in the order of the inputs; `log_indexes` are their places in the usage log."""

    answers: list[PredictAnswer]
    log_indexes: list[int]


class QueryResult(msgspec.Struct, frozen=True):
    """A data service's table: `columns` are its groups and its figure, a cell of null is held back.

    `withheld` says that the whole answer is; `data_version` is that of the raw data that it was computed from.
    """

    withheld: bool
    data_version: int
    columns: list[str]
    cells: list[list[str | int | float | bool | None]]


class QueryAnswer(msgspec.Struct, frozen=True):
    """A data service's answer."""

    result: QueryResult
    usage_id: str


_REQUEST = msgspec.json.Decoder(PredictRequest)
_BATCH = msgspec.json.Decoder(PredictBatch)


class Forms:
    """Answers for models and data services."""

    def __init__(self, gate: Gate, recorder: Recorder, digests: Digests, client: FormsClient) -> None:
        self._gate = gate
        self._recorder = recorder
        self._digests = digests
        self._client = client

    async def predict(self, call: Call) -> Answer:
        """Return a model's answer to one input; raises Refusal."""
        done, headers = await self._predict(call, _read_one)
        ((body, place),) = done
        return Answer(200, [JSON, (b"shuzha-log-index", b"%d" % place), *headers], body)

    async def predict_batch(self, call: Call) -> Answer:
        """Return a model's answers to up to 100 inputs, each metered; one bad input refuses them all, unmetered."""
        done, headers = await self._predict(call, _read_batch)
        answers, places = b",".join(body for body, _ in done), ",".join(str(place) for _, place in done)
        body = b'{"answers":[%b],"log_indexes":[%b]}' % (answers, places.encode())
        return Answer(200, [JSON, *headers], body)

    async def _predict(
        self, call: Call, read: Callable[[bytes], PredictBatch]
    ) -> tuple[list[tuple[bytes, int]], Headers]:
        caller = self._gate.identify(call)
        limit = self._gate.limit(caller)
        offer = _of_kind(self._gate.offer(caller, call.code, KeyUse.PREDICT), ProductKind.MODEL)
        request = read(call.body)
        self._gate.take_rate(limit, len(request.items))
        key = idempotency_key(call.idempotency_key)
        decision = self._gate.decide(caller, offer, request.purpose)
        try:
            outputs = await self._client.predict(offer.product.id, caller.key.organisation, list(request.items))
        except Refused as refusal:
            raise _refusal(refusal) from None
        digest = self._digests.of(b"predict", request.purpose.encode(), *(_canonical(one) for one in request.items))
        keys = [f"{key}{_PLACE}{place}" if key and place else key for place in range(len(outputs))]
        events = [
            self._event(caller, offer, request.purpose, decision.version, digest, each, b'"output":' + output)
            for each, output in zip(keys, outputs, strict=True)
        ]
        done = await self._recorder.record(limit, events, self._gate.ration(offer, decision))
        return [(one.answer.encode(), one.log_index) for one in done], self._recorder.headers(limit)

    async def query(self, call: Call, purpose: str, parameters: Sequence[tuple[str, str]]) -> Answer:
        """Return a data service's answer; one that is withheld is metered and not charged. Raises Refusal."""
        caller = self._gate.identify(call)
        limit = self._gate.limit(caller)
        self._gate.take_rate(limit, 1)
        offer = _of_kind(self._gate.offer(caller, call.code, KeyUse.QUERY), ProductKind.SERVICE)
        key = idempotency_key(call.idempotency_key)
        asked = dict(parameters)
        if len(asked) != len(parameters) or len(asked) > MOST_PARAMETERS:
            raise Refusal(
                422, "parameter_twice", "a parameter is sent twice, or there are too many", rule="product.parameters",
                accepted="each parameter of the sheet once",
            )  # fmt: skip
        decision = self._gate.decide(caller, offer, purpose)
        try:
            (found,) = await self._client.query(offer.product.id, caller.key.organisation, asked)
        except Refused as refusal:
            raise _refusal(refusal) from None
        digest = self._digests.of(b"query", purpose.encode(), _canonical(asked))
        event = self._event(
            caller, offer, purpose, decision.version, digest, key, b'"result":' + found,
            waived=found.startswith(WITHHELD), claim="withheld" if found.startswith(WITHHELD) else "",
        )  # fmt: skip
        (done,) = await self._recorder.record(limit, [event], self._gate.ration(offer, decision))
        headers = [JSON, (b"shuzha-log-index", b"%d" % done.log_index), *self._recorder.headers(limit)]
        return Answer(200, headers, done.answer.encode())

    def _event(
        self, caller: Caller, offer: Offer, purpose: str, version: str, digest: str, key: str, said: bytes,
        *, waived: bool = False, claim: str = "",
    ) -> UsageEvent:  # fmt: skip
        event = make_event(
            caller, offer, claim=claim, purpose=purpose, policy_version=version, result="answer",
            request_digest=digest, consent="", idempotency_key=key, at=self._gate.clock.now(),
        )  # fmt: skip
        answer = f'{{{said.decode()},"usage_id":"{event.usage_id}"}}'
        return msgspec.structs.replace(event, answer=answer, waived=event.waived or waived)


def _read_one(body: bytes) -> PredictBatch:
    request = _decode(_REQUEST, body)
    return PredictBatch(request.purpose, [request.inputs])


def _read_batch(body: bytes) -> PredictBatch:
    found: PredictBatch = _decode(_BATCH, body)
    return found


def _of_kind(offer: Offer, kind: ProductKind) -> Offer:
    if offer.product.kind is not kind:
        raise Refusal(
            404, "form_unknown", f"the product is no {kind.value}", rule="product.kind",
            accepted=f"the call of a {offer.product.kind.value}",
        )  # fmt: skip
    return offer


def _refusal(refused: Refused) -> Refusal:
    headers = [(b"retry-after", b"%d" % refused.retry_after)] if refused.retry_after else []
    return Refusal(
        refused.status, refused.code, refused.detail, rule=refused.rule, accepted=refused.accepted, headers=headers
    )


def _canonical(inputs: Mapping[str, Any]) -> bytes:
    return msgspec.json.encode(inputs, order="deterministic")


def _decode(decoder: msgspec.json.Decoder[Any], body: bytes) -> Any:
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        place = re.search(r" - at `([^`]*)`", str(error))
        where = place[1] if place else "$"
        raise Refusal(
            422, "invalid", f"the request does not fit its form at {where}", rule="http.form",
            accepted="the fields of /openapi.json",
        ) from None  # fmt: skip
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Refusal(400, "not_json", "the request is not JSON", rule="http.form") from None
