"""Differential privacy: the price of noise beside the plain group-by, and what its last bits tell.

Floors of the same run: `plain`, the group-by with its number of rows, and `distinct`, the group-by with its number of
distinct people, which is what a count of people needs even without noise. Rivals: numpy's and diffprivlib's Laplace.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
from diffprivlib.mechanisms import Laplace

from desensitize import dp
from desensitize.dp.noise import Noise, Sensitivity, add_noise

GROUPS = 1_000


def best(work: Callable[[], Any], times: int = 5) -> float:
    """Return the seconds of the fastest of several runs."""
    found = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        found.append(time.perf_counter() - began)
    return min(found)


def make_table(rows: int, people: int) -> pl.DataFrame:
    generator = np.random.default_rng(1)
    frame = pl.DataFrame({"who": generator.integers(0, people, rows), "place": generator.integers(0, GROUPS, rows)})
    return frame.with_columns(
        pl.format("3701021980{}", pl.col("who").cast(pl.String).str.zfill(8)).alias("who"),
        pl.format("d{}", pl.col("place")).alias("place"),
        pl.Series("value", generator.uniform(0, 30_000, rows)),
    )


def speed(rows: int) -> dict[str, object]:
    frame = make_table(rows, rows // 3)
    plain = best(lambda: frame.group_by("place").len())
    distinct = best(lambda: frame.group_by("place").agg(pl.col("who").n_unique()))
    unit, noise = dp.Unit("who"), dp.Noise(epsilon=0.1)
    unknown = dp.Groups(("place",), delta=1e-9)
    known = dp.Groups(("place",), tuple((f"d{number}",) for number in range(GROUPS)))
    bounds = dp.Bounds(0, 30_000)
    wide = dp.Unit("who", 3, 4)
    queries: dict[str, dp.Query] = {
        "count, groups unknown": dp.Count(unit=unit, noise=noise, groups=unknown),
        "count, groups known": dp.Count(unit=unit, noise=noise, groups=known),
        "count in 3 groups each": dp.Count(unit=wide, noise=noise, groups=unknown),
        "sum": dp.Sum(unit=unit, noise=noise, value="value", bounds=bounds, groups=unknown),
        "mean": dp.Mean(unit=unit, noise=noise, value="value", bounds=bounds, groups=known),
        "median": dp.Quantile(
            unit=unit, noise=noise, value="value", alpha=0.5, candidates=tuple(range(0, 30_001, 30))
        ),
    }  # fmt: skip
    found = {}
    for name, query in queries.items():
        seconds = best(lambda query=query: dp.answer(frame, query, dp.Accountant(dp.Cap(1e9, 0.5))), 3)
        found[name] = {
            "ms": round(seconds * 1e3, 1), "times_plain": round(seconds / plain, 1),
            "times_distinct": round(seconds / distinct, 2),
        }  # fmt: skip
    return {
        "rows": rows, "people": rows // 3, "groups": GROUPS, "plain_ms": round(plain * 1e3, 1),
        "distinct_ms": round(distinct * 1e3, 1), "answers": found,
    }  # fmt: skip


def on_grid(outputs: Any) -> float:
    """Return P[output is a multiple of 2^-53 | output in (-1/4, 1/4)], rounded to three places."""
    near = np.asarray(outputs)[np.abs(outputs) < 0.25]
    return round(float((near * 2.0**53 % 1 == 0).mean()), 3)


def last_bits(draws: int) -> dict[str, object]:
    generator, mechanism = np.random.default_rng(), Laplace(epsilon=1.0, sensitivity=1.0)
    step, moved = 2.0**-40, Sensitivity(1, 2**40)
    makers: dict[str, Callable[[int], Any]] = {
        "numpy": lambda true: true + generator.laplace(size=draws),
        "diffprivlib": lambda true: np.array([mechanism.randomise(float(true)) for _ in range(draws)]),
        "desensitize": lambda true: np.array(add_noise([true * 2**40] * draws, Noise(epsilon=1.0), moved)) * step,
    }
    return {name: {"true 0": on_grid(make(0)), "true 1": on_grid(make(1))} for name, make in makers.items()}


def noise_rate(draws: int) -> dict[str, int]:
    found = {}
    for noise in (Noise(epsilon=0.1), Noise(rho=0.005)):
        seconds = best(lambda noise=noise: add_noise([0] * draws, noise, Sensitivity(1, 1)), 3)
        found[noise.kind] = round(draws / seconds)
    return found


def main(quick: bool) -> None:
    found = {
        "speed": speed(100_000 if quick else 1_000_000),
        "last_bits": last_bits(4_000 if quick else 40_000),
        "noise_per_second": noise_rate(10_000 if quick else 100_000),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main("--quick" in sys.argv)
