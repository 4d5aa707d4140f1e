"""A product of two entries: what each contributes is measured once in the raw zone, kept, and shared by."""

from __future__ import annotations

import hashlib

import polars as pl
import pytest

from products.registry.codes import ProductKind
from products.registry.exports import ReleasedFile
from products.registry.model import Lineage
from shuzha.core.errors import Conflict, Invalid, NotAllowed
from shuzha.settlement.contributing import ContributionService, Measure, read_evidence
from shuzha.settlement.gathering import read_terms
from tests.products_kit import SHEET, ProductCity, insured
from tests.releases_kit import payments


class TwoEntries(ProductCity):
    """A city with a report made from two entries; what the first is to tell, the second knows."""

    def __post_init__(self) -> None:
        super().__post_init__()
        late = pl.col("resident_id").str.slice(-4).cast(pl.Int32) % 4 == 0
        told = payments(300).with_columns(paid=late)
        self.first, self.second = self.filled(told), self.filled(told, "2020102")
        authorization = self.authorize(self.first, self.second)
        self.grants = [self.grant(authorization, one, row_filter=()) for one in (self.first, self.second)]
        releases = tuple(self.built(one).id for one in self.grants)
        content = b"a report"
        lineage = Lineage(
            "exp_9", "report.pdf", "wsp_1", releases, self.grants[0].id, self.grants[0].demand, authorization.id,
            self.first.id,
        )  # fmt: skip
        digest = hashlib.sha256(content).hexdigest()
        self.shelf.files["exp_9", "report.pdf"] = ReleasedFile(
            "figure", content, digest, "c" * 64, self.grants[0].operator, lineage
        )
        self.report = self.registry.deposit(self.operator, "exp_9", "report.pdf", ProductKind.REPORT, SHEET)
        self.contributions = ContributionService(self.database, self.policies, self.zone)


@pytest.fixture
def city(tmp_path) -> TwoEntries:
    return TwoEntries(tmp_path)


def test_a_contribution_is_measured_once_and_the_next_settlement_shares_by_it(city: TwoEntries) -> None:
    def shares() -> dict[str, int]:
        with city.database.read() as work:
            found = read_terms(work, [city.report.id], "2026-03")[city.report.id]
        return {name: one.weight for name, one in found.entries.items()}

    assert shares() == {city.first.id: 1, city.second.id: 1}
    by = Measure(city.first.id, "paid")
    made = city.contributions.measure(city.authority, city.report.id, by)
    assert made.method == "shapley"
    assert made.weights[city.second.id] > 5 * made.weights[city.first.id]
    assert shares() == made.weights
    evidence = read_evidence(made)
    assert set(evidence["worth"]) == {
        "", city.first.id, city.second.id, "+".join(sorted((city.first.id, city.second.id)))
    }  # fmt: skip
    assert hashlib.sha256(made.evidence.encode()).hexdigest() == made.sha256
    with pytest.raises(Conflict, match="is measured"):
        city.contributions.measure(city.authority, city.report.id, by)
    with pytest.raises(NotAllowed):
        city.contributions.measure(city.operator, city.report.id, by)


def test_what_cannot_be_measured_is_refused(city: TwoEntries) -> None:
    with pytest.raises(Invalid, match="no column of the product's grants"):
        city.contributions.measure(city.authority, city.report.id, Measure(city.second.id, "salary"))
    with pytest.raises(Invalid, match="no such metric"):
        city.contributions.measure(city.authority, city.report.id, Measure(city.second.id, "paid", "beauty"))
    product = city.deposited(city.grants[0], insured(city.first))
    with pytest.raises(Invalid, match="is a verification"):
        city.contributions.measure(city.authority, product.id, Measure(product.entry, "paid"))
    assert city.contributions.list_contributions(city.authority, city.report.id) == ()
