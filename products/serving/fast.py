"""The short way of a verification: what can be known before a call is prepared once a key, product and purpose.

It answers calls with which all is well, and does exactly what `Verification.verify` does, without a task, a coroutine
or a header list. Whatever it finds wrong it leaves as it was: then the call goes the documented way, which refuses it.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256

import msgspec

from policies import Held
from products.consumers.model import KeyUse
from products.defence.guard import Asked
from products.defence.model import AlarmKind
from products.serving.gate import Call, Gate, Ration, Taken
from products.serving.limits import KeyLimit
from products.serving.meter import Digests, PointMeter, make_point, make_series
from products.serving.metrics import Metrics
from products.serving.state import Caller, Offer
from products.serving.verify import (
    NO_MATCH,
    REQUEST,
    consent_digest,
    idempotency_key,
    look_up,
    meter_refusal,
    request_digest,
)
from products.serving.wire import BatchItem, Refusal
from shuzha.core.errors import ShuzhaError
from shuzha.metering.events import Point, Recorded, Series, microseconds

Finish = Callable[[int, bytes, bytes], None]
"""Sends an answer: its status, its own header fields as bytes, its body."""

_MOST_KEPT = 20_000


@dataclass(slots=True)
class _Right:
    """What is prepared for one purpose: the question to the policy layer, the grant's quota, a series a claim."""

    held: Held
    version: str
    ration: Ration | None
    series: dict[str, Series]


@dataclass(slots=True)
class _Pass:
    """What is prepared for one key at one product, while both are as they were."""

    caller: Caller
    offer: Offer
    limit: KeyLimit
    rights: dict[str, _Right]


class Fast:
    """Answers verifications in the loop's own turn, and says False, having done nothing, where it will not."""

    def __init__(self, gate: Gate, meter: PointMeter, digests: Digests, metrics: Metrics) -> None:
        self._gate = gate
        self._meter = meter
        self._digests = digests
        self._metrics = metrics
        self._passes: dict[tuple[bytes, str], _Pass] = {}

    def serve(self, code: str, authorization: bytes, idempotency: bytes, body: bytes, finish: Finish) -> bool:
        """Take a call and return True, and its answer goes to `finish` once it is metered; or return False."""
        try:
            known = self._find(code, authorization)
            if known is None:
                return False
            request = REQUEST.decode(body)
            now = self._gate.clock.now()
            right = known.rights.get(request.purpose) or self._right(known, request.purpose)
            decision = right.held.decide(now)
            if not decision.allowed:
                return False
            if decision.version != right.version:
                right = self._right(known, request.purpose)
            item = BatchItem(request.subject, request.claim, request.consent)
            subject, result = look_up(known.offer, item)
            key = idempotency_key(idempotency.decode("latin-1"))
        except (Refusal, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return False
        series = right.series.get(request.claim)
        if series is None:
            series = right.series[request.claim] = make_series(
                known.caller, known.offer, request.claim, request.purpose, right.version
            )
        digest = request_digest(self._digests, known.offer, request.purpose, [item]) if key else ""
        consent = consent_digest(self._digests, request.consent)
        point = make_point(result, microseconds(now), idempotency_key=key, request_digest=digest, consent=consent)
        asked = self._gate.defence.take(
            series.key_id, series.product, subject, now, negative=result is NO_MATCH
        )  # fmt: skip
        if isinstance(asked, AlarmKind):
            return False
        if self._send(known.limit, right.ration, now, (series, point), asked, finish):
            return True
        self._gate.defence.give_back(asked)
        return False

    def _send(
        self, limit: KeyLimit, ration: Ration | None, now: dt.datetime, use: tuple[Series, Point], asked: Asked,
        finish: Finish,
    ) -> bool:  # fmt: skip
        if not limit.take(1, time.monotonic()):
            return False
        taken = self._gate.take_quotas_now(limit, ration, now)
        if taken is not None:
            if self._meter.send(*use, _Use(self, limit, taken, asked, finish).told):
                return True
            taken.give_back(1)
        limit.give_back(1)
        return False

    def give_back(self, asked: Asked) -> None:
        """Take a question back that was not answered, or not for the first time."""
        self._gate.defence.give_back(asked)

    def _find(self, code: str, authorization: bytes) -> _Pass | None:
        state = self._gate.state
        if not state.fresh:
            return None
        known = self._passes.get((sha256(authorization).digest(), code))
        if (
            known is None or known.offer is not state.offers.get(code)
            or known.caller is not state.callers.get(known.caller.key.digest)
        ):  # fmt: skip
            known = self._prepare(code, authorization)
        if known is not None and known.caller.guarded:
            self._gate.check_guards(known.caller, "")
        return known

    def _prepare(self, code: str, authorization: bytes) -> _Pass | None:
        call = Call(code, authorization.decode("latin-1"), "", "")
        caller = self._gate.state.find_caller(call.authorization)
        if caller is None or caller.networks:
            # Who is unknown is counted by its address, which a proxy may have to tell: the other way knows.
            return None
        self._gate.identify(call)
        offer = self._gate.offer(caller, code, KeyUse.VERIFY)
        if len(self._passes) >= _MOST_KEPT:
            self._passes.clear()
        made = self._passes[sha256(authorization).digest(), code] = _Pass(caller, offer, self._gate.limit(caller), {})
        return made

    def _right(self, known: _Pass, purpose: str) -> _Right:
        decision = self._gate.decide(known.caller, known.offer, purpose)
        held = self._gate.hold(known.caller, known.offer, purpose)
        made = _Right(held, decision.version, self._gate.ration(known.offer, decision), {})
        known.rights[purpose] = made
        return made

    def answer(self, use: _Use, body: bytes, index: int) -> None:
        """Send the answer of a use that is on disk."""
        limit = use.limit.header_bytes(self._gate.clock.now())
        use.finish(200, b"content-type: application/json\r\nshuzha-log-index: %d\r\n%b" % (index, limit), body)
        self._metrics.count("verify", 200, time.perf_counter() - use.started)

    def refuse(self, use: _Use, error: ShuzhaError) -> None:
        """Send the refusal of a use that the meter did not take."""
        answer = meter_refusal(error).answer()
        use.finish(answer.status, b"".join(b"%b: %b\r\n" % each for each in answer.headers), answer.body)
        self._metrics.count("verify", answer.status, time.perf_counter() - use.started)


class _Use:
    """One call that waits for the disk, and what it took from the quotas."""

    __slots__ = ("_asked", "_fast", "_taken", "finish", "limit", "started")

    def __init__(self, fast: Fast, limit: KeyLimit, taken: Taken, asked: Asked, finish: Finish) -> None:
        self._fast = fast
        self._asked = asked
        self._taken = taken
        self.limit = limit
        self.finish = finish
        self.started = time.perf_counter()

    def told(self, point: Point, outcome: int | Recorded | ShuzhaError) -> None:
        """Hear from the meter."""
        if isinstance(outcome, int):
            self._fast.answer(self, point.answer.encode(), outcome)
            return
        self._taken.give_back(1)
        self._fast.give_back(self._asked)
        if isinstance(outcome, Recorded):
            self._fast.answer(self, outcome.answer.encode(), outcome.log_index)
        else:
            self._fast.refuse(self, outcome)
