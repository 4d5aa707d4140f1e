"""What a consumer reads and does not pay for: products, its own usage, the log's checkpoint and proofs; and health."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from products.consumers.model import ApiKey, KeyUse
from products.forms.sheets import FormSheets
from products.registry.codes import ProductKind
from products.registry.model import ProductState
from products.serving.gate import Call, Gate
from products.serving.limits import Span
from products.serving.state import Caller, Offer
from products.serving.wire import Refusal
from shuzha.core.clock import city_date
from shuzha.core.errors import NotFound
from shuzha.ledger.cosignature import newest_cosigned
from shuzha.ledger.reader import LogReader
from shuzha.metering.events import UsageEvent
from shuzha.metering.reports import UsageQuery, UsageReader, month


class UsageFolder:
    """The meter's table, opened once there is one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._reader: UsageReader | None = None

    def open(self) -> UsageReader:
        """Return the reader; raises NotFound before anything was ever metered."""
        if self._reader is None:
            self._reader = UsageReader(self._folder)
        return self._reader

    def used_on(self, key: ApiKey, day: dt.date) -> int:
        """Return how many uses of a key were metered on a day of the city."""
        query = UsageQuery(consumer=key.organisation, key_id=key.id, first=day, end=day + dt.timedelta(days=1))
        try:
            return self.open().totals(query).quantity
        except NotFound:
            return 0

    def used_in(self, products: Sequence[str], span: Span) -> int:
        """Return how many uses of some products were metered in a span of days; callable from any thread."""
        try:
            reader = UsageReader(self._folder)
        except NotFound:
            return 0
        try:
            return reader.count(products, span.first, span.end)
        finally:
            reader.close()

    def has(self, event: UsageEvent) -> bool:
        """Return whether the meter knows a use: whether this would be a repeat of it."""
        try:
            return self.open().has(event.key_id, event.idempotency_key)
        except NotFound:
            return False


_SHOWN = (ProductState.LISTED, ProductState.IN_SERVICE, ProductState.SUSPENDED)


class Lists:
    """The reading side of the consumer API."""

    def __init__(
        self, gate: Gate, usage: UsageFolder, log_folder: Path, socket: Path, forms: FormSheets | None = None
    ) -> None:
        self._gate = gate
        self._usage = usage
        self.log_folder = log_folder
        self._socket = socket
        self._forms = forms
        self._log: LogReader | None = None

    def products(self) -> list[dict[str, Any]]:
        """Return the sheets of the products on the price list, by code."""
        offers = self._gate.state.offers
        return [_sheet(offers[code]) for code in sorted(offers) if offers[code].product.state in _SHOWN]

    def product(self, code: str) -> dict[str, Any]:
        """Return one product's sheet; refuses an unknown code (404)."""
        offer = self._gate.state.offers.get(code)
        if offer is None or offer.product.state not in _SHOWN:
            raise Refusal(404, "product_unknown", "no product has this code", rule="product.code")
        return _sheet(offer) | (self._forms.of(offer.product) if self._forms is not None else {})

    def usage(self, call: Call, period: str, limit: int, before: int | None) -> dict[str, Any]:
        """Return the uses of the caller's organisation in a month, and their sums in yuan."""
        caller = self._enter(call)
        period = period or city_date(self._gate.clock.now()).isoformat()[:7]
        first, end = month(period)
        query = UsageQuery(consumer=caller.key.organisation, first=first, end=end)
        try:
            reader = self._usage.open()
        except NotFound:  # Nothing was ever metered here.
            return {"period": period, "uses": 0, "quantity": 0, "charged_hao": 0, "waived_hao": 0, "items": []}
        totals = reader.totals(query)
        return {
            "period": period,
            "uses": totals.uses,
            "quantity": totals.quantity,
            "charged_hao": totals.charged,
            "waived_hao": totals.waived,
            "items": [msgspec.to_builtins(use) for use in reader.list_uses(query, limit=limit, before=before)],
        }

    def checkpoint(self) -> str:
        """Return the newest signed checkpoint of the usage log."""
        return self._open_log().note()

    def proof(self, call: Call, usage_id: str, *, cosigned: bool = False) -> dict[str, Any]:
        """Return the proof of a use of the caller's organisation; another's is not found (404).

        With `cosigned` it is against the newest checkpoint that a witness cosigned; without one yet it is not found.
        """
        caller = self._enter(call)
        use = self._usage.open().get_use(usage_id)
        if use.consumer != caller.key.organisation:
            raise NotFound(f"no metered use with id {usage_id}")
        log = self._open_log()
        note = newest_cosigned(log) if cosigned else None
        if cosigned and note is None:
            raise NotFound("no witness has cosigned a checkpoint of this log yet")
        return log.proof(use.log_index, note).document()

    def check_ready(self) -> None:
        """Refuse (503) while a call could not be answered."""
        if not self._gate.state.fresh:
            raise Refusal(
                503, "state_unknown", "the records have not been heard of for some seconds", rule="serving.fresh"
            )
        if not self._socket.exists():
            raise Refusal(503, "meter_unavailable", "the usage writer is not there", rule="metering.writer")

    def gauges(self) -> dict[str, float]:
        """Return what the process holds."""
        state = self._gate.state
        return {
            "products": len(state.offers),
            "keys": len(state.callers),
            "state_fresh": float(state.fresh),
            "index_subjects": sum(offer.index.count for offer in state.offers.values() if offer.index),
        }

    def _enter(self, call: Call) -> Caller:
        caller = self._gate.identify(call)
        self._gate.take_rate(self._gate.limit(caller), 1)
        self._gate.check_use(caller, KeyUse.ACCOUNT)
        return caller

    def _open_log(self) -> LogReader:
        if self._log is None:
            self._log = LogReader(self.log_folder)
        return self._log


def _sheet(offer: Offer) -> dict[str, Any]:
    product = offer.product
    found: dict[str, Any] = {
        "code": product.code,
        "kind": product.kind.value,
        "state": product.state.value,
        "title": {"zh": product.sheet.title_zh, "en": product.sheet.title_en},
        "answers": product.sheet.answers,
        "refresh": product.sheet.refresh,
        "limits": product.sheet.limits,
        "contact": product.sheet.contact,
        "entry": product.entry,
        "fields": list(product.columns),
        "price_yuan": product.price.yuan(),
        "price_hao": product.price.hao,
        "purposes": list(product.purposes),
        "waived_purposes": list(product.waived_purposes),
        "operator": product.operator,
        "evidence_sha256": product.evidence.sha256,
        "valid_until": product.valid_until.isoformat() if product.valid_until else None,
    }
    if product.kind is ProductKind.VERIFICATION:
        found |= {"subject": list(offer.subject), "claims": list(offer.claims)}
        if offer.index is not None:
            manifest = offer.index.manifest
            found["index"] = {
                "version": manifest.version,
                "subjects": manifest.subjects,
                "built_at": manifest.built_at,
                "sha256": manifest.sha256,
            }
    else:
        found["file"] = {"name": Path(product.evidence.lineage.file).name, "size": product.evidence.output_size}
    return found
