"""A new output against a thousand kept ones over a million entities, beside the same by joins, and its floor.

The floor is reading every kept population once. The rival compares one pair as one would with what polars gives: both
populations as tables of (hash, cell), joined and grouped; it is run on some of the pairs, and said for one pair. The
same is done with fewer outputs over ten million entities. Each measure runs in a process of its own, which says its own
peak of memory. `--quick` takes a hundredth.
"""

from __future__ import annotations

import datetime as dt
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from desensitize.transform.keys import SecretKey
from desensitize.transform.pseudonyms import pseudonymize
from desensitize.transform.techniques import Pseudonymize
from sandbox.airlock.inputs import Source
from sandbox.airlock.memory.comparing import Effort
from sandbox.airlock.memory.layers import Layers
from sandbox.airlock.memory.population import ENTITY, HASH
from sandbox.airlock.memory.records import KEPT, KeptOutput
from sandbox.airlock.memory.service import Memory, Output
from sandbox.airlock.memory.zone import MemoryZone
from sandbox.airlock.recompute import compute_table
from sandbox.airlock.specification import Aggregate, Condition, TableSpecification
from shuzha.core.actor import platform_actor
from shuzha.core.clock import FixedClock
from shuzha.core.conditions import Op
from shuzha.core.work import Database

NOW = dt.datetime(2026, 3, 2, tzinfo=dt.UTC)
PAIRS = 5
KEY = SecretKey(bytes(range(32)))
DISTRICTS = 12


class Hashes:
    """Keyed hashes of the entities as the platform makes them."""

    def of_release(self, source: Source) -> pl.LazyFrame:
        text = pseudonymize(pl.col(ENTITY), Pseudonymize(length=16), KEY)
        known = source.frame.select(pl.col("person").alias(ENTITY)).unique()
        return known.with_columns(text.str.to_integer(base=16, dtype=pl.UInt64).alias(HASH))

    def of_entry(self, source: Source) -> pl.LazyFrame:
        return self.of_release(source)

    def key(self, entry: str) -> bytes:
        return bytes(32)


def people(entities: int) -> pl.DataFrame:
    rng = np.random.default_rng(7)
    return pl.DataFrame(
        {
            "person": pl.int_range(entities, eager=True).cast(pl.String).str.zfill(18),
            "district": rng.integers(0, DISTRICTS, entities, dtype=np.uint8),
            "age": rng.integers(18, 90, entities, dtype=np.uint8),
        }
    )


def database(folder: Path) -> Database:
    return Database(f"sqlite:///{folder}/records.db", FixedClock(NOW))


def source(folder: Path) -> Source:
    return Source(
        "rel_1", "people", "grt_1", "dem_1", "aut_1", "org_1", "ent_1", "20", "people", 1, "person", False,
        ("person", "district", "age"), pl.scan_parquet(folder / "people.parquet"),
    )  # fmt: skip


def build(folder: Path, outputs: int, entities: int) -> dict[str, Any]:
    """Keep outputs of all kinds: tables of everybody or of some, of 2 to 40 cells, by groupings of their own."""
    frame = people(entities)
    frame.write_parquet(folder / "people.parquet")
    zone, records = MemoryZone(folder / "memory"), database(folder)
    records.create_tables()
    known = Hashes().of_release(source(folder)).collect()
    hashes = frame.select(pl.col("person").alias(ENTITY)).join(known, on=ENTITY, how="left", maintain_order="left")
    zone.write_roll("ent_1", hashes[HASH].to_numpy())
    rng, size = np.random.default_rng(11), 0
    with records.work(platform_actor("bench")) as work:
        for number in range(outputs):
            cells = rng.integers(1, int(rng.integers(3, 42)), entities, dtype=np.uint8)
            if number % 3:
                cells[rng.random(entities, dtype=np.float32) < rng.random() * 0.9] = 0
            ones = (cells > 0).astype(np.uint16)
            layers = Layers((cells,), (ones,), (ones,), int(cells.max()), "entities")
            name = f"kep_{number:06d}"
            sha256 = zone.write("ent_1", name, layers)
            size += (folder / "memory" / "ent_1" / f"{name}.parquet").stat().st_size
            work.add(KEPT, KeptOutput(
                name, "ent_1", "org_2", f"exp_{number}", "table", "table", "rel_1", 1, "", "entities", layers.count,
                int((cells > 0).sum()), name, sha256, NOW,
            ))  # fmt: skip
    return {"bytes_an_entity_and_output": round(size / entities / outputs, 2)}


def measure_ours(folder: Path) -> dict[str, Any]:
    """Compare one table of two groupings, from its specification on."""
    memory = Memory(database(folder), MemoryZone(folder / "memory"), Hashes())
    asked = TableSpecification("rel_1", ["district"], aggregate=Aggregate.ENTITIES, where=[Condition("age", Op.LT, 60)])
    one = source(folder)
    output = Output("new", asked, one, compute_table(asked, one.frame, "person"))
    began = time.perf_counter()
    memory.compare([output], 10, unit="org_none")
    placing = time.perf_counter() - began
    began = time.perf_counter()
    Memory(database(folder), MemoryZone(folder / "memory"), Hashes(), Effort(outputs=0)).compare([output], 10)
    pairs = time.perf_counter() - began - placing
    began = time.perf_counter()
    (compared,) = memory.compare([output], 10)
    near = [f"{one.how}: {one.figure}" for one in compared.near]
    seconds = time.perf_counter() - began
    return {"seconds": seconds, "placing_seconds": placing, "pairs_seconds": pairs, "near": near}


def measure_floor(folder: Path) -> dict[str, Any]:
    """Read every kept population."""
    zone = MemoryZone(folder / "memory")
    with database(folder).read() as work:
        kept = work.list(KEPT)
    began = time.perf_counter()
    cells = sum(zone.read(one.entry, one.id, one.sha256).count for one in kept)
    return {"seconds": time.perf_counter() - began, "outputs": len(kept), "cells": cells}


def measure_joins(folder: Path) -> dict[str, Any]:
    """Compare pairs by joins of sorted hashes."""
    zone = MemoryZone(folder / "memory")
    roll = zone.read_roll("ent_1")
    with database(folder).read() as work:
        kept = work.list(KEPT)[:PAIRS]
    cells = people(len(roll)).filter(pl.col("age") < 60).select("person", "district")
    new = cells.with_columns(pseudonymize(pl.col("person"), Pseudonymize(length=16), KEY).alias("h")).select(
        pl.col("h").str.to_integer(base=16, dtype=pl.UInt64), "district"
    )
    tables = []
    for one in kept:
        held = zone.read(one.entry, one.id, one.sha256).cells[0]
        tables.append(pl.DataFrame({"h": roll[: len(held)], "cell": held}).filter(pl.col("cell") > 0))
    began = time.perf_counter()
    for table in tables:
        met = new.join(table, on="h").group_by("district", "cell").len()
        met.join(new.group_by("district").len("one"), on="district").join(table.group_by("cell").len("two"), on="cell")
    return {"seconds_a_pair": (time.perf_counter() - began) / len(tables)}


MEASURES = {"ours": measure_ours, "floor": measure_floor, "joins": measure_joins}


def run(name: str, folder: Path) -> dict[str, Any]:
    done = subprocess.run([sys.executable, __file__, "--measure", name, folder], check=True, stdout=subprocess.PIPE)
    found = json.loads(done.stdout)
    return {key: round(value, 3) if isinstance(value, float) else value for key, value in found.items()}


def compare(outputs: int, entities: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        kept = build(folder, outputs, entities)
        ours, floor, joins = (run(one, folder) for one in MEASURES)
    each = ours["pairs_seconds"] / outputs
    return {
        "outputs": outputs, "entities": entities, **kept, "ours": ours, "floor": floor, "joins": joins,
        "seconds_a_pair": round(each, 4), "joins_to_ours_a_pair": round(joins["seconds_a_pair"] / each, 1),
        "pairs_to_floor": round(ours["pairs_seconds"] / floor["seconds"], 2),
        "ours_to_floor": round(ours["seconds"] / floor["seconds"], 2),
    }  # fmt: skip


def main() -> None:
    if "--measure" in sys.argv:
        found = MEASURES[sys.argv[2]](Path(sys.argv[3]))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({**found, "peak_mib": round(peak)}))
        return
    quick = "--quick" in sys.argv
    found = {"million": compare(50, 20_000) if quick else compare(1_000, 1_000_000)}
    found["ten_million"] = compare(5, 100_000) if quick else compare(10, 10_000_000)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
