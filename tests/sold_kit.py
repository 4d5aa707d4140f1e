"""A small city that has sold: a verification and a report in use, for the tests of oversight."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

from products.registry.codes import ProductKind
from products.registry.model import Product
from shuzha.core.ids import new_id
from shuzha.ledger.checkpoint import Signer
from shuzha.metering.events import UsageEvent
from shuzha.metering.writer import DEFAULT_ORIGIN, KEY_NAME, open_store
from shuzha.oversight.service import Oversight
from shuzha.oversight.trace import Trace
from tests.portal_kit import PortalCity


@dataclass
class Sold:
    """A city with a verification and a report in use, and the ids of the uses."""

    city: PortalCity
    verification: Product
    report: Product

    def __post_init__(self) -> None:
        self.uses = {product.id: self.use(product, 3) for product in (self.verification, self.report)}
        self.waived = self.use(self.report, 2, waived=True)

    @property
    def oversight(self) -> Oversight:
        return self.city.platform.oversight

    @property
    def period(self) -> str:
        return f"{self.city.today:%Y-%m}"

    def trace(self, product: Product) -> Trace:
        return self.oversight.trace(self.city.people["regulator"], self.uses[product.id][0])

    def use(
        self, product: Product, count: int, *, waived: bool = False, at: dt.datetime | None = None, answer: str = "{}",
        key: str = "key_1",
    ) -> list[str]:  # fmt: skip
        """Meter uses as the writer does, and return their ids."""
        platform = self.city.platform
        scope = platform.scopes.find_scope(product.grant)
        assert scope is not None
        signer = Signer(DEFAULT_ORIGIN, platform.keys.signing_key(KEY_NAME))
        store = open_store(platform.settings.data, signer, platform.clock)
        events = []
        for _ in range(count):
            usage_id = new_id("usg")
            events.append(
                UsageEvent(
                    usage_id=usage_id, kind=product.kind.value, key_id=key, idempotency_key=usage_id,
                    consumer=self.city.people["consumer"].organisation, product=product.id,
                    authorization=product.authorization, policy_version=scope.scope.version, claim="",
                    purpose="loan-review", answer=answer, price=product.price.hao, waived=waived, request_digest="d",
                    occurred_at=at or platform.clock.now(),
                )
            )  # fmt: skip
        try:
            store.record(events)
            store.publish()
        finally:
            store.close()
        return [event.usage_id for event in events]


def make_sold(folder: Path) -> Sold:
    """Return a city in which two products of one export were used: three times each, and twice waived."""
    city = PortalCity(folder)
    entry = city.entry()
    city.fill(entry)
    demand = city.demand(city.authorize(entry), entry, "贷前核验申请人是否连续参保")
    city.release(demand)
    export = city.export(city.workspace(demand))
    verification = city.product(export, "insured", ProductKind.VERIFICATION, "社保参保核验", "Insurance check")
    report = city.product(export, "by_district", ProductKind.REPORT, "各区参保人数", "Insured by district")
    return Sold(city, verification, report)
