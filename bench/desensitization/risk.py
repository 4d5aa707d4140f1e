"""Risk: a million rows' classes beside reading and grouping them, and attacks beside anonymeter's in one run.

The census extract, or where it is absent invented people. `measure_risk` is set against its floor, one polars group-by
of the same columns; `measure_attacks` against anonymeter (numpy 1) on the same half-copied table, with what each finds.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import polars as pl
from rivals import run_rival

import desensitize

ADULT = Path(__file__).resolve().parents[3] / "shared" / "data" / "adult" / "adult.csv"
ANONYMETER = """
import json, sys, time, pandas as pd
from anonymeter.evaluators import InferenceEvaluator, LinkabilityEvaluator, SinglingOutEvaluator
original, released, control = (pd.read_csv(path, dtype=str) for path in sys.argv[1:4])
attacks = int(sys.argv[4])
for frame in (original, released, control):
    frame["age"] = frame["age"].astype(int)
known = [name for name in original.columns if name != "occupation"]
found, began = {}, time.perf_counter()
one = SinglingOutEvaluator(ori=original, syn=released, control=control, n_attacks=attacks, n_cols=3)
one.evaluate(mode="multivariate")
found["singling_out_many"] = one.risk().value
tables = {"ori": original, "syn": released, "control": control, "n_attacks": attacks}
two = LinkabilityEvaluator(**tables, aux_cols=(known[::2], known[1::2]), n_neighbors=10)
two.evaluate(n_jobs=1)
found["linkability"] = two.risk().value
three = InferenceEvaluator(**tables, aux_cols=known, secret="occupation")
three.evaluate(n_jobs=1)
found["inference"] = three.risk().value
print(json.dumps({"seconds": time.perf_counter() - began, "risk": found}))
"""


def read() -> pl.DataFrame:
    """Return the census extract, or invented people of the same shape."""
    if ADULT.is_file():
        return pl.read_csv(ADULT, separator=";", infer_schema=False).sample(fraction=1.0, shuffle=True, seed=1)
    rng = np.random.default_rng(1)
    kinds = {"sex": 2, "race": 5, "education": 16, "workclass": 7, "occupation": 14, "salary-class": 2}
    columns = {name: rng.integers(0, count, 30_000).astype(str) for name, count in kinds.items()}
    return pl.DataFrame({"age": rng.integers(17, 90, 30_000).astype(str), **columns})


def fastest(work: Callable[[], Any], times: int = 3) -> tuple[float, Any]:
    """Return the least seconds of some runs, and the last result."""
    seconds = []
    for _ in range(times):
        began = time.perf_counter()
        result = work()
        seconds.append(time.perf_counter() - began)
    return min(seconds), result


def measure_classes(frame: pl.DataFrame, rows: int) -> dict[str, Any]:
    """Return seconds for the risk of so many rows, beside a group-by of the same columns."""
    many = pl.concat([frame] * (rows // frame.height + 1))[:rows].with_row_index("who")
    columns = frame.columns
    floor, _ = fastest(lambda: many.lazy().group_by(columns).len().collect(engine="streaming"))
    plain, risk = fastest(lambda: desensitize.measure_risk(many, columns, population_size=100 * rows))
    owned, _ = fastest(lambda: desensitize.measure_risk(many, columns, "who"))
    return {
        "rows": rows, "classes": risk.classes, "floor_seconds": floor, "seconds": plain, "by_entity_seconds": owned,
        "times_the_floor": plain / floor,
    }  # fmt: skip


def measure_attack(frame: pl.DataFrame, attacks: int) -> dict[str, Any]:
    """Return seconds and findings of both on a table of which half is copied and half shuffled."""
    size = frame.height * 2 // 3
    original, control = frame[:size], frame[size:]
    shuffled = pl.DataFrame({name: original[name].shuffle(seed=i) for i, name in enumerate(frame.columns)})
    released = pl.concat([original[: size // 2], shuffled[size // 2 :]])
    known = [name for name in frame.columns if name != "occupation"]
    seconds, found = fastest(
        lambda: desensitize.measure_attacks(original, released, control, known, ["occupation"], attacks), 1
    )
    ours = {each.kind: each.risk for each in found.attacks}
    with TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{name}.csv" for name in ("original", "released", "control")]
        for table, path in zip((original, released, control), paths, strict=True):
            table.write_csv(path)
        theirs = run_rival("anonymeter", ANONYMETER, *map(str, paths), str(attacks))
    return {
        "rows": size, "attacks": attacks, "seconds": seconds, "risk": ours, "anonymeter": theirs,
        "times_faster": theirs["seconds"] / seconds,
    }  # fmt: skip


def main(arguments: list[str]) -> None:
    quick = "--quick" in arguments
    frame = read()
    classes = measure_classes(frame, 100_000 if quick else 1_000_000)
    attacks = measure_attack(frame[:6_000] if quick else frame, 100 if quick else 500)
    print(json.dumps({"classes": classes, "attacks": attacks}))


if __name__ == "__main__":
    main(sys.argv[1:])
