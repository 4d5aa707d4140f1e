"""Attacks by later data: a batch puts identifiers of people where the scanned sample had none."""

from __future__ import annotations

import polars as pl
import pytest

from shuzha.catalog.model import Element, ElementType, Finding, Role, ScanEvidence
from shuzha.releases.model import ReleaseState
from tests.authorization_kit import INSURANCE, NOW
from tests.releases_kit import ReleaseCity, payments

COLUMNS = ("resident_id", "kind", "paid", "district_code")
MOBILE = pl.format("1380013{}", pl.int_range(pl.len()).cast(pl.String).str.zfill(4))


def built(city: ReleaseCity, frame: pl.DataFrame, *found: Finding):  # type: ignore[no-untyped-def]
    evidence = ScanEvidence(NOW, "acc_wang", 20, found)
    elements = tuple(
        Element(one.name, one.title, ElementType.INTEGER if frame[one.name].dtype == pl.Int64 else one.type, one.role)
        for one in INSURANCE
    )
    entry = city.ingest(city.add_entry(elements=elements, scan=evidence), frame, "bat_later")
    return city.built(city.grant(city.authorize(entry), entry, columns=COLUMNS, row_filter=()))


@pytest.mark.parametrize(
    "leak",
    [
        MOBILE, pl.format("{} paid by {}", "kind", MOBILE), pl.format("138\u200b{}", MOBILE.str.tail(8)),
        # One cell of four hundred.
        pl.when(pl.int_range(pl.len()) == 7).then(MOBILE).otherwise("kind"),
        MOBILE.cast(pl.Int64),
    ],
)  # fmt: skip
def test_refuses_identifiers_that_the_scanned_sample_did_not_have(city: ReleaseCity, leak: pl.Expr) -> None:
    release = built(city, payments().with_columns(leak.alias("kind")))
    assert release.state is ReleaseState.FAILED
    assert "column `kind`" in release.reason
    assert "CN_MOBILE" in release.reason
    assert "1380013" not in release.reason
    assert not city.files(release).exists()


def test_releases_what_somebody_judged_with_a_reason(city: ReleaseCity) -> None:
    seen = Finding("kind", Role.DIRECT, 3, ("CN_MOBILE",), 1.0)
    release = built(city, payments().with_columns(MOBILE.alias("kind")), seen)
    assert release.state is ReleaseState.READY, release.reason


def test_a_number_that_happens_to_look_like_one_is_no_leak(city: ReleaseCity) -> None:
    amounts = pl.when(pl.int_range(pl.len()) == 7).then(13_800_130_007).otherwise(pl.int_range(pl.len()) * 1_000)
    release = built(city, payments().with_columns(amounts.alias("kind")))
    assert release.state is ReleaseState.READY, release.reason
