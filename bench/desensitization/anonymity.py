"""Optimal anonymization beside trying every node, beside ARX's published optima, and beside anjana.

Every figure is a ratio within one run, on the census extract in `../shared/data/adult` (said where it is not there).
`--quick` tries one configuration, and a smaller large table.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from rivals import run_rival

import desensitize
from desensitize import Hierarchy
from desensitize.anonymity.histogram import Histogram, Ints
from desensitize.anonymity.reading import Source, build
from desensitize.regions import REGIONS
from desensitize.transform.goals import METRICS

ADULT = Path(__file__).resolve().parents[3] / "shared" / "data" / "adult"
# k, share of rows that may be left out, and what ARX 3.9.2 found: loss, levels, rows left out.
ARX: tuple[tuple[int, float, float, list[int], int], ...] = (
    (5, 0.0, 0.5731509655590044, [0, 4, 1, 1, 3, 2, 2, 1, 0], 0),
    (5, 0.01, 0.3624067230103620, [0, 3, 1, 1, 2, 2, 1, 1, 0], 294),
    (5, 0.02, 0.3137130352819242, [0, 3, 0, 2, 2, 1, 1, 2, 0], 506),
    (10, 0.02, 0.3423367035654990, [0, 4, 0, 1, 2, 1, 1, 2, 0], 592),
)
RIVAL = """
import json, sys, time, csv
import pandas as pd
from anjana.anonymity import k_anonymity
folder, k, limit, columns = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), sys.argv[4].split(",")
data = pd.read_csv(folder + "/adult.csv", sep=";", dtype=str)
made = {}
for column in columns:
    with open(f"{folder}/adult_hierarchy_{column}.csv", encoding="utf-8-sig", newline="") as handle:
        rows = dict((row[0], row) for row in csv.reader(handle, delimiter=";"))
    height = len(next(iter(rows.values())))
    made[column] = {level: [row[level] for row in rows.values()] for level in range(height)}
began = time.perf_counter()
found = k_anonymity(data, [], columns, k, limit * 100, made)
seconds = time.perf_counter() - began
levels = []
for column in columns:
    labels = set(found[column])
    levels.append(next(level for level in made[column] if labels <= set(made[column][level])))
print(json.dumps({"seconds": seconds, "levels": levels, "rows": len(found)}))
"""
MEMORY = """
import sys
import polars as pl, desensitize
from desensitize import Hierarchy
folder = sys.argv[1]
adult = pl.read_csv(folder + "/adult.csv", separator=";", infer_schema=False)
made = {c: Hierarchy.from_csv(f"{folder}/adult_hierarchy_{c}.csv") for c in adult.columns}
for k, limit in ((5, 0.0), (5, 0.01), (5, 0.02), (10, 0.02)):
    desensitize.anonymize(adult, made, k=k, suppression_limit=limit)
lines = open("/proc/self/status").read().splitlines()
print(next(int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM")))
"""


def read_adult() -> tuple[pl.DataFrame, dict[str, Hierarchy]]:
    adult = pl.read_csv(ADULT / "adult.csv", separator=";", infer_schema=False)
    return adult, {name: Hierarchy.from_csv(ADULT / f"adult_hierarchy_{name}.csv") for name in adult.columns}


def clock(work: Callable[[], Any], times: int = 1) -> tuple[float, Any]:
    """Return the least wall time of some runs, and what the last one returned."""
    least, result = float("inf"), None
    for _ in range(times):
        began = time.perf_counter()
        result = work()
        least = min(least, time.perf_counter() - began)
    return least, result


class Pricing:
    """The geometric-mean loss of nodes: what levels alone cost is summed once, each node adds what is left out."""

    def __init__(self, histogram: Histogram) -> None:
        self.histogram, self.total = histogram, histogram.total_rows
        self.base = [
            [float(rows @ share) for share in attribute.shares]
            for attribute, rows in zip(histogram.attributes, histogram.marginals, strict=True)
        ]

    def loss(self, levels: tuple[int, ...], gone: Ints) -> float:
        rows, product = self.histogram.rows[gone], 1.0
        for position, level in enumerate(levels):
            attribute, leaf = self.histogram.attributes[position], self.histogram.leaf[position]
            covered = self.base[position][level] + float(rows @ (1 - attribute.shares[level][leaf[gone]]))
            least = self.total / len(attribute.leaves)
            product *= (1 + (covered - least) / (self.total - least)) ** (1 / len(levels))
        return product - 1


def enumerate_nodes(histogram: Histogram, k: int, limit: int) -> tuple[float, tuple[int, ...], int]:
    """Return the best node by trying every one: class numbers are built up attribute by attribute and shared.

    So each node costs one multiplication, one addition and one count over the distinct tuples; a node that leaves
    too much out is not priced.
    """
    codes = [
        [codes[leaf] for codes in attribute.codes]
        for attribute, leaf in zip(histogram.attributes, histogram.leaf, strict=True)
    ]
    sizes = [[len(labels) for labels in attribute.labels] for attribute in histogram.attributes]
    best: tuple[float, tuple[int, ...], int] = (float("inf"), (), 0)
    pricing = Pricing(histogram)

    def visit(position: int, key: Ints, space: int, levels: tuple[int, ...]) -> None:
        nonlocal best
        if position < len(codes):
            for level, code in enumerate(codes[position]):
                size = sizes[position][level]
                visit(position + 1, key if size == 1 else key * size + code, space * size, (*levels, level))
            return
        if space > 300_000:
            _, key = np.unique(key, return_inverse=True)
        small = np.bincount(key, histogram.rows) < k
        gone = np.flatnonzero(small[key])
        if histogram.rows[gone].sum() <= limit:
            best = min(best, (pricing.loss(levels, gone), levels, int(histogram.rows[gone].sum())))

    visit(0, np.zeros(len(histogram.rows), np.int64), 1, ())
    return best


def beside_every_node(adult: pl.DataFrame, made: dict[str, Hierarchy], quick: bool) -> list[dict[str, Any]]:
    found = []
    histogram = build(Source(adult.lazy(), made))
    for k, share, loss, levels, suppressed in ARX[: 1 if quick else None]:
        call = {"k": k, "suppression_limit": share}
        seconds, ours = clock(lambda call=call: desensitize.anonymize(adult, made, **call), 3)
        every, (least, node, _) = clock(
            lambda k=k, share=share: enumerate_nodes(histogram, k, int(share * adult.height))
        )
        found.append({
            "k": k, "suppression_limit": share, "loss": ours.loss, "levels": list(ours.levels.values()),
            "suppressed": ours.suppressed, "proved": ours.optimal, "visited": ours.visited,
            "equals_arx": abs(ours.loss - loss) < 1e-8 and list(ours.levels.values()) == levels
            and ours.suppressed == suppressed,
            "equals_every_node": abs(ours.loss - least) < 1e-9 and list(node) == levels,
            "seconds": round(seconds, 3), "every_node_seconds": round(every, 3),
            "share_of_every_node": round(seconds / every, 3),
        })  # fmt: skip
    return found


def beside_metrics(adult: pl.DataFrame, made: dict[str, Hierarchy]) -> list[dict[str, Any]]:
    """Return what the other metrics and models cost in time, at k = 5 and 2 % (sensitive: occupation)."""
    rest = {name: hierarchy for name, hierarchy in made.items() if name != "occupation"}
    close = {"column": "occupation", "t": 0.2}
    diverse = {"column": "occupation", "l": 5}
    tree = {**close, "distance": "hierarchical", "hierarchy": made["occupation"]}
    cases: list[tuple[str, dict[str, Hierarchy], dict[str, Any]]] = [
        *((metric, made, {"metric": metric}) for metric in METRICS[1:]),
        ("distinct 3-diversity", rest, {"l_diversity": {"column": "occupation", "l": 3}}),
        ("entropy 5-diversity", rest, {"l_diversity": {**diverse, "kind": "entropy"}}),
        ("recursive (4,5)-diversity", rest, {"l_diversity": {**diverse, "kind": "recursive", "c": 4.0}}),
        ("0.2-closeness, equal", rest, {"t_closeness": close}),
        ("0.2-closeness, hierarchical", rest, {"t_closeness": tree}),
    ]
    found = []
    for name, hierarchies, call in cases:
        seconds, ours = clock(lambda h=hierarchies, c=call: desensitize.anonymize(adult, h, k=5, **c))
        found.append({
            "what": name, "cost": ours.loss, "levels": list(ours.levels.values()), "suppressed": ours.suppressed,
            "proved": ours.optimal, "visited": ours.visited, "seconds": round(seconds, 3),
        })  # fmt: skip
    return found


def beside_rival(adult: pl.DataFrame, made: dict[str, Hierarchy]) -> dict[str, Any]:
    columns = [name for name in adult.columns if name != "salary-class"]
    chosen = {name: made[name] for name in columns}
    histogram = build(Source(adult.lazy(), chosen))
    found = {}
    for share in (0.0, 0.02):
        theirs = run_rival("anjana", RIVAL, str(ADULT), "10", str(share), ",".join(columns), threads=1)
        key, space = histogram.classes(tuple(theirs["levels"]))
        gone = np.flatnonzero((np.bincount(key, histogram.rows, space) < 10)[key])
        assert adult.height - theirs["rows"] == histogram.rows[gone].sum(), "anjana's table is not what its levels say"
        seconds, ours = clock(
            lambda share=share: desensitize.anonymize(adult, chosen, k=10, suppression_limit=share), 3
        )
        found[f"{share:.0%}"] = {
            "seconds": round(seconds, 3), "anjana_seconds": round(theirs["seconds"], 3),
            "times_faster": round(theirs["seconds"] / seconds, 1), "loss": ours.loss,
            "anjana_loss": Pricing(histogram).loss(tuple(theirs["levels"]), gone),
        }  # fmt: skip
    return found


def local(adult: pl.DataFrame, made: dict[str, Hierarchy]) -> dict[str, Any]:
    seconds, ours = clock(lambda: desensitize.recode_locally(adult, made, k=10), 2)
    smallest = ours.frame.group_by(adult.columns).len()["len"].min()
    return {
        "k": 10,
        "loss": ours.loss,
        "classes": ours.classes.height,
        "smallest": smallest,
        "seconds": round(seconds, 3),
    }


def large(adult: pl.DataFrame, made: dict[str, Hierarchy], quick: bool) -> dict[str, Any]:
    """Return the census extract many times over: reading alone, and everything (the table in memory, then lazy)."""
    times = 4 if quick else 33
    table = pl.concat([adult] * times).rechunk()
    seconds, ours = clock(lambda: desensitize.anonymize(table, made, k=5 * times), 2)
    return {
        "rows": table.height,
        "loss": ours.loss,
        "suppressed": ours.suppressed,
        "seconds_beyond_reading": round(seconds, 3),
    }


def wide(rows: int) -> dict[str, Any]:
    """Return what a table costs whose rows are nearly all different: days, districts, wages, three more."""
    rng = np.random.default_rng(7)
    districts = [code for code in REGIONS if not code.endswith("00")]
    days = np.datetime64("1940-01-01") + rng.integers(0, 30_000, rows).astype("timedelta64[D]")
    table = pl.DataFrame({
        "born": days, "area": pl.Series(districts).gather(rng.integers(0, len(districts), rows)),
        "wage": rng.integers(2_000, 30_000, rows), **{f"c{i}": rng.integers(0, 4 + i, rows) for i in range(3)},
    })  # fmt: skip
    made = {
        "born": Hierarchy.dates(), "area": Hierarchy.regions(), "wage": Hierarchy.numbers((100, 1_000, 5_000)),
        **{f"c{i}": Hierarchy.flat() for i in range(3)},
    }  # fmt: skip
    seconds, ours = clock(lambda: desensitize.anonymize(table, made, k=5, time_limit=60))
    return {
        "rows": rows, "distinct": table.n_unique(), "loss": ours.loss, "gap": ours.gap, "proved": ours.optimal,
        "visited": ours.visited, "levels": ours.levels, "seconds": round(seconds, 3),
        "peak_mb": peak_mb(),
    }  # fmt: skip


def huge_lattice(adult: pl.DataFrame, made: dict[str, Hierarchy]) -> dict[str, Any]:
    """Return what can be said of a lattice of millions of nodes: every column twice, cut off after some seconds."""
    twice = adult.with_columns(pl.col(name).alias(f"{name} again") for name in adult.columns[:6])
    both = {**made, **{f"{name} again": made[name] for name in adult.columns[:6]}}
    nodes = int(np.prod([len(hierarchy.rows[0]) for hierarchy in both.values()]))
    seconds, ours = clock(lambda: desensitize.anonymize(twice, both, k=5, time_limit=10))
    return {"nodes": nodes, "loss": ours.loss, "gap": ours.gap, "proved": ours.optimal, "seconds": round(seconds, 3)}


def peak_mb() -> int:
    """Return the most memory this process held (ru_maxrss would count what its parent held, too)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM"))


def apart(*arguments: str) -> Any:
    """Return what this script prints when it runs with these arguments in a process of its own."""
    done = subprocess.run([sys.executable, __file__, *arguments], check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)


def memory() -> int:
    done = subprocess.run([sys.executable, "-c", MEMORY, ADULT], check=True, capture_output=True, text=True)
    return int(done.stdout)


def main(arguments: list[str]) -> int:
    quick = "--quick" in arguments
    if arguments[:1] == ["--wide"]:
        print(json.dumps(wide(int(arguments[1]))))
        return 0
    if not ADULT.is_dir():
        print(json.dumps({"skipped": "the census extract ../shared/data/adult is not here"}))
        return 0
    adult, made = read_adult()
    report: dict[str, Any] = {"adult": beside_every_node(adult, made, quick), "local": local(adult, made)}
    report["large"] = large(adult, made, quick)
    report["peak_mb"] = memory()
    if not quick:
        report["metrics_and_models"] = beside_metrics(adult, made)
        report["anjana"] = beside_rival(adult, made)
        report["huge_lattice"] = huge_lattice(adult, made)
    report["wide"] = apart("--wide", "100000" if quick else "10000000")
    print(json.dumps(report))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
