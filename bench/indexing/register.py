"""A register of so many subjects in the raw zone, with a verification product on it."""

from __future__ import annotations

import sys
import time
import types
from pathlib import Path

import polars as pl

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT)]
# Some distributions install a package `tests` of their own, which a plain import would find first.
sys.modules["tests"] = tests = types.ModuleType("tests")
tests.__path__ = [str(ROOT / "tests")]


from products.serving.places import KEY_PURPOSE  # noqa: E402
from products.serving.snapshot import Manifest, Snapshot  # noqa: E402
from products.serving.subjects import subject_hash  # noqa: E402
from products.serving.watching import Say  # noqa: E402
from shuzha.catalog.model import BatchMode  # noqa: E402
from tests.products_kit import ProductCity, insured  # noqa: E402

CHANGED = 100
"""One of so many subjects changes."""


class Register:
    """Every second subject is insured; then the claim of one in a hundred turns."""

    def __init__(self, folder: Path, subjects: int) -> None:
        self.city = ProductCity(folder)
        self.subjects = subjects
        self._folder = folder
        self._changed = False
        entry = self.city.filled(self._rows(0, 100).collect())
        grant = self.city.grant(self.city.authorize(entry), entry)
        self._entry = entry.id
        made = self.city.coded(self.city.deposited(grant, insured(entry)))
        self.product = made.id
        self._secret = self.city.keys.derive(KEY_PURPOSE, made.id)

    def fill(self) -> float:
        """Put all rows into the raw zone and return the seconds that it took."""
        return self._write(self._rows(0, self.subjects), BatchMode.FULL, "bat_all")

    def change(self) -> float:
        """Turn the claim of 1 % of the subjects, by a batch that replaces their rows; return its seconds."""
        rows = self._rows(0, self.subjects, CHANGED).with_columns(paid=~pl.col("paid"))
        self._changed = True
        return self._write(rows, BatchMode.MERGE, "bat_change")

    def build(self, say: Say) -> Manifest:
        """Run the index job."""
        return self.city.index.run_build(self.product, say)

    def keys(self, count: int) -> list[bytes]:
        """Return the keys of some subjects, evenly spread."""
        return [
            subject_hash(self._secret, [name(at)]) for at in range(0, self.subjects, max(1, self.subjects // count))
        ]

    def wrong_answers(self, index: Snapshot, sample: int) -> int:
        """Return how many of a sample are answered otherwise than the rows say, half of them nobody's."""
        step, wrong = max(1, self.subjects // sample), 0
        for at in range(0, self.subjects, step):
            paid = at % 2 == (1 if self._changed and at % CHANGED == 0 else 0)
            wrong += index.find(subject_hash(self._secret, [name(at)])) != int(paid)
            wrong += index.find(subject_hash(self._secret, [name(self.subjects + at)])) != -1
        return wrong

    def _rows(self, first: int, end: int, step: int = 1) -> pl.LazyFrame:
        number = pl.int_range(first, end, step, dtype=pl.Int64).alias("number")
        return (
            pl.select(number).lazy().select(
                resident_id=pl.lit("3701") + pl.col("number").cast(pl.String).str.zfill(14),
                kind=pl.lit("pension"), paid=pl.col("number") % 2 == 0, name=pl.lit("x"), period=pl.lit("2026-02"),
                employer=pl.lit("e"), base=pl.lit(1), district_code=pl.lit("370102"), note=pl.lit(""),
            )
        )  # fmt: skip

    def _write(self, rows: pl.LazyFrame, mode: BatchMode, batch: str) -> float:
        began, source = time.perf_counter(), self._folder / f"{batch}.parquet"
        rows.sink_parquet(source, compression="lz4")
        self.city.zone.write(self._entry, batch, source, mode, ("resident_id", "kind"), None)
        source.unlink()
        return round(time.perf_counter() - began, 1)


def name(number: int) -> str:
    """Return the number of a subject."""
    return f"3701{number:014d}"
