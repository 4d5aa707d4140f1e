"""The small city of `authorization_kit` with a raw zone and releases: synthetic payments of invented people."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from shuzha.authorization.model import Grant
from shuzha.budgets.purse import ReleasePurse
from shuzha.budgets.service import BudgetService
from shuzha.catalog.lake import RawZone
from shuzha.catalog.model import BatchMode, Entry
from shuzha.releases.build import ReleaseBuilder
from shuzha.releases.model import Release, RiskPolicy
from shuzha.releases.service import ReleaseService
from tests.authorization_kit import City

DISTRICTS = ("370102", "370103", "370104", "370105", "370112", "370113")
KINDS = ("pension", "medical")


def payments(people: int = 200, seed: int = 5, lonely: str | None = None) -> pl.DataFrame:
    """Return each person's payments of two kinds; `lonely` is a district that one person alone lives in."""
    rng = random.Random(seed)
    rows = []
    for number in range(people):
        who, district = f"37010219800101{number:04d}", rng.choice(DISTRICTS)
        if lonely is not None and number == 0:
            district = lonely
        shared = {
            "resident_id": who, "name": f"张{number:04d}", "period": "2026-02",
            "employer": f"9137010000000{number % 9:04d}X", "district_code": district,
            "note": f"联系电话1380000{number:04d}" if number % 10 == 0 else None,
        }  # fmt: skip
        rows += [
            {**shared, "kind": kind, "base": rng.randint(4_494, 22_470), "paid": rng.random() > 0.03} for kind in KINDS
        ]
    return pl.DataFrame(rows)


@dataclass
class ReleaseCity(City):
    """A city with data in it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.zone = RawZone(self.folder / "raw")
        self.use(RiskPolicy())

    def use(self, policy: RiskPolicy) -> None:
        purse = ReleasePurse(self.database, BudgetService(self.database, self.policies))
        self.builder = ReleaseBuilder(self.folder / "releases", self.zone, self.keys, policy, purse)
        self.releases = ReleaseService(self.database, self.policies, self.keys, self.builder, purse)

    def ingest(self, entry: Entry, frame: pl.DataFrame, batch: str = "bat_1") -> Entry:
        source = self.folder / f"{batch}.parquet"
        frame.write_parquet(source)
        commit = self.zone.write(entry.id, batch, source, BatchMode.FULL, (), None)
        return self.change_entry(entry, raw_version=commit.version, raw_rows=commit.table_rows)

    def filled(self, frame: pl.DataFrame | None = None, code: str = "2020101") -> Entry:
        return self.ingest(self.add_entry(code), payments() if frame is None else frame, f"bat_{code}")

    def built(self, grant: Grant) -> Release:
        return self.releases.run_build(self.releases.request_release(self.analyst, grant.id).id)

    def files(self, release: Release) -> Path:
        return self.releases.path(release)
