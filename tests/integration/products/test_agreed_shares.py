"""The agreement as it was signed is what shares are computed from: fixed sums, bands, and its hash taken again."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from dataclasses import replace

import pytest

from shuzha.authorization.agreement import Allocation, FixedSum, Income, IncomeBand
from shuzha.authorization.document import document_hash, document_of
from shuzha.authorization.store import AUTHORIZATIONS
from shuzha.core.errors import Conflict, Invalid
from shuzha.settlement.computing import settle
from shuzha.settlement.gathering import read_terms
from shuzha.settlement.model import StatementKind, UsageFact
from tests.products_kit import ProductCity, insured

WATERFALL = Income(
    "price times calls", 1_000, Allocation(2_000, 3_000, 5_000), (FixedSum("platform", 300),),
    (IncomeBand(1_000, Allocation(6_000, 1_000, 3_000)),),
)  # fmt: skip


@pytest.fixture
def city(tmp_path) -> ProductCity:
    return ProductCity(tmp_path)


def deposited(city: ProductCity, **changes):
    entry = city.filled()
    authorization = city.authorize(entry, **changes)
    return authorization, city.deposited(city.grant(authorization, entry), insured(entry))


def test_shares_run_down_the_waterfall_of_the_signed_agreement(city: ProductCity) -> None:
    authorization, product = deposited(city, income=WATERFALL)
    assert "first platform 3.00 yuan a month; up to 10.00 yuan" in authorization.agreement.clause("allocation").text
    with city.database.read() as work:
        terms = read_terms(work, [product.id], "2026-03")
    assert terms[product.id].agreement == document_hash(authorization)
    fact = UsageFact("org_bank", product.id, "", authorization.id, 10_000, False, 30, 0, 29, dt.date(2026, 3, 4))
    (shared,) = settle("2026-03", [fact], terms).of(StatementKind.AUTHORIZATION)
    # 30 yuan: 1.70 tax, 2.83 infrastructure; of 25.47 the platform 3.00 first, 10.00 by the band, 12.47 by the shares.
    assert shared.shares == {
        "tax": 170, "infrastructure": 283, "provider": 600 + 249, "platform": 300 + 100 + 374, "operator": 300 + 624,
    }  # fmt: skip
    assert sum(shared.shares.values()) == 3_000


def test_an_agreement_of_before_has_the_document_that_it_had(city: ProductCity) -> None:
    authorization, _ = deposited(city)
    income = json.loads(document_of(authorization))["agreement"]["income"]
    assert set(income) == {"allocation", "calculation", "infrastructure_rate"}
    assert hashlib.sha256(document_of(authorization)).hexdigest() == authorization.document


def test_terms_that_were_not_signed_settle_nothing(city: ProductCity) -> None:
    authorization, product = deposited(city)
    income = replace(authorization.agreement.income, infrastructure_rate=1)
    with city.database.work(city.platform) as work:
        changed = replace(authorization, agreement=replace(authorization.agreement, income=income))
        work.save(AUTHORIZATIONS, changed)
    with city.database.read() as work, pytest.raises(Conflict, match="not the one that was signed"):
        read_terms(work, [product.id], "2026-03")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"fixed": (FixedSum("nobody", 5),)}, "a fixed sum"), ({"fixed": (FixedSum("operator", 0),)}, "a fixed sum"),
        ({"bands": (IncomeBand(10, Allocation(1, 2, 3)),)}, "the allocation sums to 6"),
        ({"bands": (IncomeBand(10, WATERFALL.allocation),) * 2}, "do not rise"),
    ],
)  # fmt: skip
def test_a_waterfall_that_makes_no_sense_is_not_agreed(city: ProductCity, changes, said: str) -> None:
    with pytest.raises(Invalid, match=said):
        deposited(city, income=replace(WATERFALL, **changes))
