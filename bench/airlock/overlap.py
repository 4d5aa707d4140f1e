"""A release's rows found again in an export of a million rows, in each dress; and figures that are let be.

Ten million rows of invented people on disk, an export of a million of them. Each dress is compared in a process of its
own whose memory is capped; the floor is one semi-join of both tables on all columns, which finds plain copies alone.
"""

from __future__ import annotations

import hashlib
import io
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from sandbox.airlock.files.kinds import Limits
from sandbox.airlock.files.tables import read_csv
from sandbox.airlock.findings import Severity
from sandbox.airlock.overlap.checking import check_overlap

MEMORY = 4 * 1024**3
LEAST = 10
CHUNK = 1_000_000
KINDS = ("pension", "medical care", "work injury", "birth", "unemployment")


@dataclass(frozen=True)
class Release:
    frame: pl.LazyFrame
    release: str = "rel_1"
    entity: str | None = "person"


def make(folder: Path, rows: int) -> None:
    """Write the release and the export, piece by piece."""
    parts = []
    for place, start in enumerate(range(0, rows, CHUNK)):
        size = min(CHUNK, rows - start)
        random = np.random.default_rng(place)
        frame = pl.DataFrame(
            {
                "person": pl.Series(random.integers(0, rows // 10, size)).hash(7).cast(pl.String),
                "month": [f"2026-{one:02d}" for one in random.integers(1, 13, size)],
                "district": pl.Series(random.integers(310_101, 310_117, size)).cast(pl.String),
                "kind": np.array(KINDS)[random.integers(0, 5, size)],
                "base": random.integers(3_000, 30_000, size),
                "paid": np.round(random.gamma(2, 800, size), 2),
                "on": pl.Series(random.integers(19_000, 20_500, size).astype(np.int32)).cast(pl.Date),
            }
        )
        frame.write_parquet(folder / f"part-{place:03d}.parquet")
        parts.append(frame.sample(fraction=0.1, seed=place))
    pl.scan_parquet(folder / "part-*.parquet").sink_parquet(folder / "release.parquet")
    pl.concat(parts).write_parquet(folder / "export.parquet")


def rounded(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.drop("person").with_columns((pl.col("base") / 100).round() * 100, pl.col("paid").round(0))


def half(frame: pl.DataFrame) -> pl.DataFrame:
    size = frame.height // 2
    made_up = frame[size:].select(pl.col(name).shuffle(seed=place) for place, name in enumerate(frame.columns))
    return pl.concat([frame[:size], made_up])


def hashed(frame: pl.DataFrame) -> pl.DataFrame:
    known = frame["person"].unique()
    made = pl.Series([hashlib.sha256(one.encode()).hexdigest() for one in known.to_list()])
    return frame.select(pl.col("person").replace_strict(known, made).alias("k"))


DRESSES: dict[str, tuple[Callable[[pl.DataFrame], pl.DataFrame], float]] = {
    "exact": (lambda frame: frame, 1.0),
    "permuted": (
        lambda frame: frame.sample(fraction=1, shuffle=True, seed=1)
        .select(reversed(frame.columns))
        .rename({name: f"x{place}" for place, name in enumerate(frame.columns)}),
        1.0,
    ),
    "partial": (lambda frame: frame.select("district", "kind", "base", "on"), 1.0),
    "rounded": (rounded, 1.0),
    "respelt": (
        lambda frame: frame.with_columns(
            pl.concat_str(pl.lit(" "), pl.col("person").str.slice(0, 4), pl.lit("-"), pl.col("person").str.slice(4)),
            pl.col("kind").str.to_uppercase(), pl.col("month").str.replace("-", "/"),
        ),
        1.0,
    ),
    "half made up": (half, 0.5),
    "the key alone": (lambda frame: frame.select("person"), 1.0),
    "sha-256 of the key": (hashed, 1.0),
}  # fmt: skip

FIGURES: dict[str, Callable[[pl.LazyFrame], pl.LazyFrame]] = {
    "counts": lambda rows: rows.group_by("district", "kind").len(),
    "means": lambda rows: rows.group_by("district", "month").agg(pl.col("base", "paid").mean(), pl.len()),
    "sums by day": lambda rows: rows.group_by("on").agg(pl.col("paid").sum().round(0), pl.len()),
    "histogram": lambda rows: rows.group_by(pl.col("base") // 500 * 500).len(),
    "fine counts": lambda rows: rows.group_by("district", "month", "kind", pl.col("base") // 3_000).len(),
    "labels": lambda rows: rows.select("district", "kind", "month").unique(),
    "deciles": lambda rows: rows.select(pl.col("paid").quantile(one / 10).alias(f"d{one}") for one in range(1, 10)),
}


def measure(folder: Path, name: str) -> dict[str, Any]:
    """Return what the whole check of one dress or one table of figures costs, and the share found, in this process."""
    release = pl.scan_parquet(folder / "release.parquet")
    if name in DRESSES:
        export = DRESSES[name][0](pl.read_parquet(folder / "export.parquet"))
    else:
        export = FIGURES[name](release).collect(engine="streaming")
    table = io.BytesIO()
    export.write_parquet(table)
    began, busy = time.perf_counter(), time.process_time()
    told = check_overlap([table.getvalue()], [Release(release)], Limits(), LEAST)
    seconds, busy = time.perf_counter() - began, time.process_time() - busy
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    rows = [one for one in told if one.rule == "row_overlap"]
    return {
        "rows": export.height, "seconds": round(seconds, 2), "cpu_seconds": round(busy, 2),
        "share": max((one.figure or 0.0 for one in rows), default=0.0),
        "blocks": any(one.severity is Severity.BLOCK for one in rows), "peak_mib": peak // 1024**2,
    }  # fmt: skip


def floor(folder: Path) -> dict[str, Any]:
    """Return the seconds of one semi-join on all columns: plain copies, nothing else."""
    release, export = pl.scan_parquet(folder / "release.parquet"), pl.scan_parquet(folder / "export.parquet")
    names = export.collect_schema().names()
    began = time.perf_counter()
    met = export.join(release, on=names, how="semi", nulls_equal=True).select(pl.len())
    rows = int(met.collect(engine="streaming").item())
    seconds = time.perf_counter() - began
    return {
        "seconds": round(seconds, 2),
        "found": rows,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def canonical(rows: int) -> dict[str, Any]:
    """Return what writing a CSV anew costs beside polars reading and writing it."""
    random = np.random.default_rng(3)
    frame = pl.DataFrame(
        {"place": np.array(KINDS)[random.integers(0, 5, rows)], "n": random.integers(0, 10**6, rows),
         "share": random.random(rows)}
    )  # fmt: skip
    data = frame.write_csv().encode()
    began = time.perf_counter()
    pl.read_csv(data).write_csv()
    least = time.perf_counter() - began
    began = time.perf_counter()
    assert read_csv(data, Limits(rows=rows, bytes=len(data))).content is not None
    seconds = time.perf_counter() - began
    return {"rows": rows, "seconds": round(seconds, 2), "floor_seconds": round(least, 3),
            "times_the_floor": round(seconds / least, 1)}  # fmt: skip


def apart(*arguments: str) -> dict[str, Any]:
    """Return what one measurement says, made in a process of its own with its memory capped."""
    command = [sys.executable, __file__, *arguments]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.strip().splitlines()[-1]) if done.stdout.strip() else {}


def main(arguments: list[str]) -> None:
    if arguments[:1] == ["--part"]:
        folder, name = Path(arguments[1]), arguments[2]
        # Addresses are more than memory: the cap leaves room for what polars only reserves.
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
        print(json.dumps(floor(folder) if name == "floor" else measure(folder, name)))
        return
    if arguments[:1] == ["--make"]:
        make(Path(arguments[1]), int(arguments[2]))
        return
    rows = 200_000 if "--quick" in arguments else 10_000_000
    with tempfile.TemporaryDirectory() as folder:
        apart("--make", folder, str(rows))
        least = apart("--part", folder, "floor")
        dresses = {name: apart("--part", folder, name) for name in DRESSES}
        figures = {name: apart("--part", folder, name) for name in FIGURES}
    for name, found in dresses.items():
        found["recall"] = round(found["share"] / DRESSES[name][1], 3)
        found["times_the_floor"] = round(found["seconds"] / least["seconds"], 2)
    said = {"release_rows": rows, "memory_cap_mib": MEMORY // 1024**2, "floor": least, "dresses": dresses,
            "figures": figures, "false_alarms": sum(1 for found in figures.values() if found["share"]),
            "false_blocks": sum(1 for found in figures.values() if found["blocks"]),
            "slowest_seconds": max(found["seconds"] for found in dresses.values()),
            "canonical": canonical(20_000 if "--quick" in arguments else 500_000)}  # fmt: skip
    print(json.dumps(said, ensure_ascii=False))


if __name__ == "__main__":
    main(sys.argv[1:])
