"""Where a settlement's input comes from: the meter's facts, the usage log itself, and the agreements."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import msgspec

from products.registry.model import Product
from products.registry.store import PRODUCTS
from shuzha.authorization.store import AUTHORIZATIONS, GRANTS
from shuzha.core.actor import SYSTEM_ORGANISATION
from shuzha.core.errors import NotFound
from shuzha.core.work import Work
from shuzha.ledger.reader import LogReader
from shuzha.metering.events import UsageEvent
from shuzha.metering.facts import FactsStore
from shuzha.metering.reports import UsageQuery, UsageReader, month
from shuzha.metering.store import KIND
from shuzha.settlement.model import Terms, UsageFact, merge_facts

_EVENT = msgspec.json.Decoder(UsageEvent)


class UsageSource:
    """The usage of one installation: by its facts, and counted again from the log."""

    def __init__(self, usage_folder: Path, log_folder: Path) -> None:
        self._usage_folder = usage_folder
        self._log_folder = log_folder

    def facts(self, period: str, codes: Mapping[str, str]) -> tuple[UsageFact, ...]:
        """Return the facts of a month, brought up to the newest event; none where nothing was ever metered."""
        first, end = month(period)
        try:
            store = FactsStore(self._usage_folder)
        except NotFound:
            return ()
        try:
            store.refresh()
            found = store.list_facts(UsageQuery(first=first, end=end))
        finally:
            store.close()
        return merge_facts(
            UsageFact(
                one.consumer, one.product, codes.get(one.product, ""), one.authorization, one.price, one.waived,
                one.quantity, one.first_index, one.last_index,
            )
            for one in found
        )  # fmt: skip

    def metered(self, period: str) -> int:
        """Return how many uses the meter's table holds of a month."""
        first, end = month(period)
        try:
            reader = UsageReader(self._usage_folder)
        except NotFound:
            return 0
        try:
            return reader.totals(UsageQuery(first=first, end=end)).quantity
        finally:
            reader.close()

    def recount(self, period: str, codes: Mapping[str, str]) -> tuple[UsageFact, ...]:
        """Return the facts of a month counted from the log's own entries: what a regulator does without the meter."""
        try:
            log = LogReader(self._log_folder)
        except NotFound:
            return ()
        try:
            return count_events(_events(log), period, codes)
        finally:
            log.close()


def count_events(
    events: Iterable[tuple[int, UsageEvent]], period: str, codes: Mapping[str, str]
) -> tuple[UsageFact, ...]:
    """Return the facts of the events of a month; each event comes with its place in the log."""
    first, end = (day.isoformat() for day in month(period))
    return merge_facts(
        UsageFact(
            event.consumer, event.product, codes.get(event.product, ""), event.authorization, event.price,
            event.waived, event.quantity, place, place,
        )
        for place, event in events
        if first <= event.day < end
    )  # fmt: skip


def read_terms(work: Work, products: Iterable[str]) -> dict[str, Terms]:
    """Return the money terms of products: the agreement's rates and which organisation is which party.

    The provider is the one whose entry the product's grant is on; the platform's party is the authority that signed.
    """
    found = {}
    for product_id in products:
        product: Product = work.get(PRODUCTS, product_id)
        authorization = work.get(AUTHORIZATIONS, product.authorization)
        income = authorization.agreement.income
        organisations = {
            "provider": work.get(GRANTS, product.grant).provider,
            "platform": authorization.authority or SYSTEM_ORGANISATION,
            "operator": authorization.operator,
        }
        found[product_id] = Terms(
            authorization.id, income.infrastructure_rate, income.allocation.shares(), organisations
        )
    return found


def read_codes(work: Work) -> dict[str, str]:
    """Return the public code of every coded product by its id."""
    return {product.id: product.code for product in work.list(PRODUCTS) if product.code is not None}


def _events(log: LogReader) -> Iterator[tuple[int, UsageEvent]]:
    for entry in log.entries():
        if entry.header.kind == KIND and entry.payload is not None:
            yield entry.index, _EVENT.decode(entry.payload)
