"""Synthetic tables of the census extract: distances of marginals, a classifier trained on them, seconds and memory.

Beside it: dpmm's MST, AIM and PrivBayes in an environment of their own, on the same codes with the same budget, 1,000
steps of estimation each, once and not longer than five minutes; and floors made of the original itself without any
privacy: every column alone, and a Chow-Liu tree, the best that any spanning tree of pairs can do.
"""

from __future__ import annotations

import itertools
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
from rivals import run_rival
from sklearn.ensemble import HistGradientBoostingClassifier

from desensitize.dp.synthetic import METHODS, synthesize
from desensitize.dp.synthetic_domain import Domain
from desensitize.dp.synthetic_estimation import Measurement, estimate
from desensitize.dp.synthetic_report import evaluate
from desensitize.dp.synthetic_sampling import draw
from desensitize.dp.synthetic_tally import tally
from desensitize.hierarchy import Hierarchy

ADULT = Path(__file__).resolve().parents[2].parent / "shared/data/adult"
LABEL = "salary-class"
TRAINED_SHARE = 0.8
PATIENCE = 300

DPMM = """
import json, resource, sys, time
import pandas as pd
kind, codes, sizes, target, epsilon, delta = sys.argv[1:]
table, domain = pd.read_csv(codes), json.loads(sizes)
from dpmm.models.aim import AIMGM
from dpmm.models.mst import MSTGM
from dpmm.models.priv_bayes import PrivBayesGM
began = time.perf_counter()
maker = {"aim": AIMGM, "mst": MSTGM, "privbayes": PrivBayesGM}[kind]
steps = {} if kind == "privbayes" else {"n_iters": 1000}
model = maker(epsilon=float(epsilon), delta=float(delta), n_jobs=1, **steps)
model.set_domain(domain)
model.check_fit(table)
model.fit(table)
made = model.generate(n_records=len(table))
seconds = time.perf_counter() - began
made[list(domain)].to_csv(target, index=False)
print(json.dumps({"seconds": seconds, "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))
"""


def read_adult(*, fine: bool) -> tuple[pl.DataFrame, Domain]:
    """Return the extract at the middle level of each hierarchy, or as it stands (ages in bands of five years)."""
    table = pl.read_csv(ADULT / "adult.csv", separator=";", infer_schema=False)
    hierarchies = {name: Hierarchy.from_csv(ADULT / f"adult_hierarchy_{name}.csv") for name in table.columns}
    middle = {name: (len(each.rows[0]) - 1) // 2 for name, each in hierarchies.items()}
    levels = {"age": 1} if fine else middle
    generalized = [
        pl.col(name).replace_strict(
            [row[0] for row in each.rows], [row[levels.get(name, 0)] for row in each.rows], return_dtype=pl.String
        )
        for name, each in hierarchies.items()
    ]
    return table.select(generalized), Domain.from_hierarchies(hierarchies, levels)


def split(table: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the rows that are synthesized, and those that classifiers are tested on."""
    shuffled = table.sample(fraction=1, shuffle=True, seed=1)
    cut = int(len(shuffled) * TRAINED_SHARE)
    return shuffled[:cut], shuffled[cut:]


def to_codes(table: pl.DataFrame, domain: Domain) -> pl.DataFrame:
    return table.select(column.encode(pl.col(name), pl.String()).alias(name) for name, column in domain.columns.items())


def from_codes(codes: pl.DataFrame, domain: Domain) -> pl.DataFrame:
    random = np.random.default_rng(0)
    return pl.DataFrame(
        {name: column.decode(codes[name].cast(pl.Int32).to_numpy(), random) for name, column in domain.columns.items()}
    )


def score(made: pl.DataFrame, train: pl.DataFrame, test: pl.DataFrame, domain: Domain) -> dict[str, float]:
    """Return the mean distances from the original, and the accuracy on unseen real rows of a model of these rows."""
    found = evaluate(train, made, domain)
    features = [name for name in domain.columns if name != LABEL]
    learned, asked = to_codes(made, domain), to_codes(test, domain)
    model = HistGradientBoostingClassifier(categorical_features=list(range(len(features))), random_state=0)
    model.fit(learned.select(features).to_numpy(), learned[LABEL].to_numpy())
    right = model.score(asked.select(features).to_numpy(), asked[LABEL].to_numpy())
    distances = {f"distance_{size}_way": round(value, 5) for size, value in found.mean.items()}
    return {**distances, "largest_2_way": round(found.largest[2], 5), "accuracy": round(float(right), 4)}


def make_floors(train: pl.DataFrame, domain: Domain) -> dict[str, pl.DataFrame]:
    """Return tables made of the original's exact marginals: columns alone, and the tree of most information."""
    counted, columns = tally(train, domain), range(len(domain.columns))

    def inform(pair: tuple[int, int]) -> float:
        joint = counted.count(pair) / len(train)
        apart = np.outer(joint.sum(1), joint.sum(0))
        seen = joint > 0
        return float((joint[seen] * np.log(joint[seen] / apart[seen])).sum())

    tree, group = [], list(columns)
    for one, other in sorted(itertools.combinations(columns, 2), key=inform, reverse=True):
        if group[one] != group[other]:
            tree.append((one, other))
            group = [group[one] if each == group[other] else each for each in group]
    made = {}
    singles = [(column,) for column in columns]
    for name, cliques in (("columns alone", singles), ("Chow-Liu tree", [*singles, *tree])):
        exact = [Measurement(clique, counted.count(clique).astype(float), 1.0) for clique in cliques]
        codes = draw(estimate(exact, domain.sizes, len(train), steps=3000), len(train), np.random.default_rng(0))
        made[name] = from_codes(pl.DataFrame(dict(zip(domain.columns, codes, strict=True))), domain)
    random = np.random.default_rng(0)
    uniform = {name: random.integers(0, column.size, len(train)) for name, column in domain.columns.items()}
    made["uniform"] = from_codes(pl.DataFrame(uniform), domain)
    return made


def make_one(folder: str, fine: str, method: str, epsilon: str, delta: str) -> None:
    """Make one table of our own in this process, and print its seconds and peak memory."""
    train = pl.read_parquet(Path(folder) / "train.parquet")
    _, domain = read_adult(fine=fine == "fine")
    began = time.perf_counter()
    made = synthesize(train, domain, epsilon=float(epsilon), delta=float(delta), method=method)
    seconds = time.perf_counter() - began
    made.frame.write_parquet(Path(folder) / "made.parquet")
    print(json.dumps({"seconds": seconds, "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))


def run_own(folder: Path, fine: bool, method: str, epsilon: float, delta: float) -> tuple[pl.DataFrame, dict[str, Any]]:
    arguments = ["--one", str(folder), "fine" if fine else "middle", method, str(epsilon), str(delta)]
    done = subprocess.run([sys.executable, __file__, *arguments], check=True, stdout=subprocess.PIPE, text=True)
    return pl.read_parquet(folder / "made.parquet"), json.loads(done.stdout.splitlines()[-1])


def run_other(
    folder: Path, kind: str, train: pl.DataFrame, domain: Domain, epsilon: float, delta: float
) -> tuple[pl.DataFrame, dict[str, Any]]:
    codes, made = folder / "codes.csv", folder / "made.csv"
    to_codes(train, domain).write_csv(codes)
    sizes = json.dumps(dict(zip(domain.columns, domain.sizes, strict=True)))
    facts = run_rival("dpmm", DPMM, kind, str(codes), sizes, str(made), str(epsilon), str(delta), timeout=PATIENCE)
    return from_codes(pl.read_csv(made), domain), facts


def measure(fine: bool, tries: int, epsilon: float, delta: float, rivals: list[str]) -> dict[str, Any]:
    """Return the mean scores of several runs of each maker, floors among them, and the ratios that matter."""
    table, domain = read_adult(fine=fine)
    train, test = split(table)
    found: dict[str, Any] = {"real rows": {"accuracy": score(train, train, test, domain)["accuracy"]}}
    for name, made in make_floors(train, domain).items():
        found[name] = score(made, train, test, domain)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        train.write_parquet(folder / "train.parquet")
        makers: dict[str, Any] = {
            f"desensitize {method}": (lambda method=method: run_own(folder, fine, method, epsilon, delta))
            for method in METHODS
        }
        for kind in rivals:
            makers[f"dpmm {kind}"] = lambda kind=kind: run_other(folder, kind, train, domain, epsilon, delta)
        for name, make in makers.items():
            times = tries if name.startswith("desensitize") else 1
            found[name] = average([run_once(make, train, test, domain) for _ in range(times)])
    ours, tree = found["desensitize aim"]["distance_2_way"], found["Chow-Liu tree"]["distance_2_way"]
    return {
        "domain": dict(zip(domain.columns, domain.sizes, strict=True)), "rows": len(train), "epsilon": epsilon,
        "delta": delta, "tries": tries, **found,
        "aim_times_better_than_columns_alone": round(found["columns alone"]["distance_2_way"] / ours, 2),
        "aim_times_better_than_exact_tree": round(tree / ours, 2),
    }  # fmt: skip


def run_once(make: Any, train: pl.DataFrame, test: pl.DataFrame, domain: Domain) -> dict[str, Any]:
    try:
        made, facts = make()
    except subprocess.CalledProcessError as error:
        return {"failed": (error.stderr or "").strip().splitlines()[-1:]}
    except subprocess.TimeoutExpired:
        return {"failed": "out of time"}
    rounded = {name: round(value, 1) for name, value in facts.items()}
    return {**score(made, train, test, domain), **rounded}


def average(runs: list[dict[str, Any]]) -> dict[str, Any]:
    if failed := [run for run in runs if "failed" in run]:
        return failed[0]
    return {name: round(float(np.mean([run[name] for run in runs])), 5) for name in runs[0]}


def main(arguments: list[str]) -> None:
    if "--one" in arguments:
        make_one(*arguments[1:])
        return
    quick = "--quick" in arguments
    tries = 1 if quick else 3
    rivals = [] if quick else ["mst", "aim", "privbayes"]
    found: dict[str, Any] = {"middle": measure(False, tries, 1.0, 1e-9, rivals)}
    if not quick:
        found["middle, delta 1e-6"] = measure(False, tries, 1.0, 1e-6, [])
        found["fine"] = measure(True, tries, 1.0, 1e-9, [])
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1:])
