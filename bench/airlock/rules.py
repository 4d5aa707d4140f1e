"""All rules for the cells of a 3-way table beside the grouping that they rest on, and beside ACRO on the same table.

The floor is polars' own streaming `group_by` on (cell, entity) with a count. Each measure runs in a process of its own,
which says its own peak of memory. ACRO (in its own environment) checks the table of sums by `crosstab` of pandas: it
counts rows, so cells of many rows and few entities are planted, and what each says of them stands beside the times.
ACRO is given its rows as categories, which is the fastest that it takes.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent))

from running.rivals import ROOT, Rivals  # noqa: E402 - a script of this folder finds the one beside it

DIMENSIONS = ["district", "kind", "period"]
SIZES = (12, 5, 6)
PLANTED = 8
LIMIT = 1.5

AGGREGATES = ("sum", "mean", "count", "max", "median")
WORK = """
import json, sys, time
import polars as pl
from pathlib import Path
from sandbox.airlock import cells
from sandbox.airlock.disclosure import check_table
frame = pl.scan_parquet(sys.argv[1])
dimensions = ["district", "kind", "period"]
said = {}
def floor():
    said["pairs"] = frame.group_by(*dimensions, "person").agg(pl.len()).collect(engine="streaming").height
def check(aggregate):
    value = None if aggregate in ("count", "entities") else "base"
    report = check_table(frame, rows=dimensions, value=value, aggregate=aggregate, entity="person")
    blocked = report.cells.filter(pl.col("verdict") == "block").select(dimensions)
    said[aggregate] = {"cells": report.cells.height, "blocked": [list(row) for row in blocked.iter_rows()]}
def in_parts():
    asked = cells.table(frame, dimensions, "base", "person", numeric=True)
    said["cells"] = cells.collect_facts(asked, cells.Wanted(2), pairs=2_500_000).height
def timed(work, *arguments):
    began = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - began
"""
# The floor is run right before each check, and the median of the ratios of neighbours is told, so that what else the
# machine does falls on both.
TIMES = """
aggregates = sys.argv[2].split(",")
seconds = {one: [] for one in ("floor", *aggregates)}
ratios = {one: [] for one in aggregates}
floor()
for _ in range(5):
    for one in aggregates:
        seconds["floor"].append(timed(floor))
        seconds[one].append(timed(check, one))
        ratios[one].append(seconds[one][-1] / seconds["floor"][-1])
print(json.dumps({
    "seconds": {name: sorted(some)[len(some) // 2] for name, some in seconds.items()},
    "ratios": {name: sorted(some)[len(some) // 2] for name, some in ratios.items()}, **said,
}))
"""
# A process's own peak, from after it was started: what its parent held is not in it.
PEAK = """
one = sys.argv[2]
{"floor": floor, "parts": in_parts}[one]() if one in ("floor", "parts") else check(one)
lines = Path("/proc/self/status").read_text().splitlines()
print(json.dumps({"mib": next(int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM"))}))
"""
ACRO = """
import json, logging, sys, time, warnings
import numpy as np, pandas as pd
warnings.simplefilter("ignore")
logging.disable(logging.CRITICAL)
from acro import ACRO
data = np.load(sys.argv[1])
labels = json.loads(sys.argv[2])
frame = pd.DataFrame({name: pd.Categorical.from_codes(data[name], labels[name]) for name in labels})
frame["base"] = data["base"]
checker = ACRO(suppress=False)
began = time.perf_counter()
checker.crosstab([frame["district"], frame["kind"]], frame["period"], values=frame["base"], aggfunc="sum")
seconds = time.perf_counter() - began
outcome = list(checker.results.results.values())[0].outcome
bad = []
for (district, kind), row in outcome.iterrows():
    for period, said in row.items():
        if str(said).strip() not in ("ok", ""):
            bad.append([district, kind, str(period[-1] if isinstance(period, tuple) else period)])
lines = open("/proc/self/status").read().splitlines()
peak = next(int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM"))
print(json.dumps({"seconds": seconds, "peak_mib": peak, "blocked": sorted(bad)}))
"""


def main(quick: bool) -> None:
    """Print the measures as JSON."""
    rows, people = (300_000, 30_000) if quick else (10_000_000, 1_000_000)
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        planted = make(Path(folder), rows, people)
        parquet = str(Path(folder) / "table.parquet")
        times = measure(TIMES, parquet, ",".join(AGGREGATES))
        floor = times["seconds"]["floor"]
        found: dict[str, Any] = {"rows": rows, "entities": people, "planted": len(planted), "pairs": times["pairs"]}
        found["floor_seconds"] = round(floor, 2)
        found["times_the_floor"] = {one: round(times["ratios"][one], 2) for one in AGGREGATES}
        # A median needs the values themselves once more: it is no fact of (cell, entity).
        found["worst"] = max(times for one, times in found["times_the_floor"].items() if one != "median")
        found["within_limit"] = found["worst"] <= LIMIT
        found["planted_blocked"] = {one: len(within(times[one]["blocked"], planted)) for one in AGGREGATES}
        found["peak_mib"] = {one: measure(PEAK, parquet, one)["mib"] for one in ("floor", "sum", "median", "parts")}
        acro = beside_acro(Path(folder))
        found["acro"] = {
            "seconds": round(acro["seconds"], 2), "times_ours": round(acro["seconds"] / times["seconds"]["sum"], 1),
            "peak_mib": acro["peak_mib"], "planted_blocked": len(within(acro["blocked"], planted)),
        }  # fmt: skip
    print(json.dumps(found))


def within(cells: list[list[str]], planted: set[tuple[str, ...]]) -> set[tuple[str, ...]]:
    """Return which of the planted cells are among these."""
    return {tuple(cell) for cell in cells} & planted


def make(folder: Path, rows: int, people: int) -> set[tuple[str, ...]]:
    """Write the table, and return the cells in which two persons have all forty rows."""
    chance = np.random.default_rng(7)
    codes = {name: chance.integers(0, size, rows) for name, size in zip(DIMENSIONS, SIZES, strict=True)}
    person = chance.integers(0, people, rows)
    base = np.round(chance.lognormal(8, 1, rows), 2)
    planted = set()
    places = chance.choice(int(np.prod(SIZES)), PLANTED, replace=False)
    labels = {
        "district": [f"3701{n:02d}" for n in range(SIZES[0])], "kind": [f"kind-{n}" for n in range(SIZES[1])],
        "period": [f"2026-{n + 1:02d}" for n in range(SIZES[2])],
    }  # fmt: skip
    for place in places:
        cell = np.unravel_index(place, SIZES)
        inside = np.flatnonzero(
            np.logical_and.reduce([codes[name] == at for name, at in zip(DIMENSIONS, cell, strict=True)])
        )
        codes["district"][inside[40:]] = (cell[0] + 1) % SIZES[0]
        person[inside[:40]] = np.arange(40) % 2
        base[inside[:40]] = 3_000 + 10 * np.arange(40)
        planted.add(tuple(labels[name][at] for name, at in zip(DIMENSIONS, cell, strict=True)))
    np.savez(folder / "table.npz", base=base, **{name: code.astype(np.int8) for name, code in codes.items()})
    (folder / "labels.json").write_text(json.dumps(labels))
    frame = pl.DataFrame({name: pl.Series(labels[name]).gather(codes[name]) for name in DIMENSIONS})
    frame = frame.with_columns(person=pl.format("r{}", pl.Series(person)), base=pl.Series(base))
    frame.write_parquet(folder / "table.parquet")
    # A cell that a later planting filled again is none any more.
    held = frame.group_by(DIMENSIONS).agg(pl.col("person").n_unique().alias("who")).filter(pl.col("who") == 2)
    return planted & {tuple(row) for row in held.select(DIMENSIONS).iter_rows()}


def measure(body: str, parquet: str, what: str) -> dict[str, Any]:
    """Return what the body prints in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", WORK + body, parquet, what], check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def beside_acro(folder: Path) -> dict[str, Any]:
    """Return how long ACRO takes for the table of sums and which cells it would not let pass."""
    labels = (folder / "labels.json").read_text()
    found: dict[str, Any] = Rivals(HERE).run("acro", ACRO, str(folder / "table.npz"), labels, timeout=1800)
    return found


if __name__ == "__main__":
    main("--quick" in sys.argv)
