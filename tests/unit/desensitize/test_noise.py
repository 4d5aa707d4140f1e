"""Noise: exact, in whole steps, fresh at each run, and as wide as the plan says."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import desensitize
from desensitize import InvalidPlan, Plan
from desensitize.fingerprint import hash_content
from desensitize.release import Release
from desensitize.transform.noise import scale_in_steps
from desensitize.transform.techniques import Noise

LOCAL = {"epsilon": 1, "bottom": 0, "top": 100}


def _release(values: Any, **options: Any) -> Release:
    plan = Plan.from_dict({"columns": {"c": {"technique": "noise", **options}}})
    return desensitize.apply(pl.DataFrame({"c": values}), plan)


def _noisy(values: Any, **options: Any) -> pl.Series:
    return _release(values, **options).frame.collect()["c"]


def test_noise_has_the_scale_of_the_plan() -> None:
    # Of discrete Laplace noise with scale s: mean 0, mean size near s, P(0) = tanh(1 / 2s). Six standard errors each.
    rows, scale = 20_000, 5.0
    noise = _noisy([1000] * rows, scale=scale) - 1000
    assert noise.dtype == pl.Int64
    assert abs(noise.mean()) < 6 * scale * math.sqrt(2 / rows)  # type: ignore[arg-type, operator]
    assert abs(noise.abs().mean() - scale) < 6 * scale / math.sqrt(rows) + 0.1  # type: ignore[operator]
    zeros = math.tanh(1 / (2 * scale))
    assert abs((noise == 0).mean() - zeros) < 6 * math.sqrt(zeros / rows)  # type: ignore[operator]


def test_noise_moves_in_whole_steps_whatever_the_value() -> None:
    # The attack on naive noise reads the value out of the last bits: here every output is the same multiple.
    for value in (0.0, 1.0, 0.1, 1 / 3):
        steps = _noisy([value] * 500, scale=3, step=0.25) / 0.25
        assert (steps == steps.round()).all()


def test_local_noise_clips_first_and_covers_the_range() -> None:
    assert scale_in_steps(Noise(epsilon=1, bottom=0, top=100)) == 101
    assert scale_in_steps(Noise(epsilon=0.5, bottom=0, top=1, step=0.01)) == 202
    far = _noisy([10**12] * 2000, epsilon=50, bottom=0, top=100)
    assert 90 < far.mean() < 110  # type: ignore[operator]


def test_noise_keeps_nulls_and_drops_what_is_no_number() -> None:
    assert _noisy(pl.Series([None, None], dtype=pl.Int64), scale=1).to_list() == [None, None]
    assert _noisy([None, 1], scale=1).is_null().to_list() == [True, False]
    assert _noisy(["x", "nan", "inf", "1e300", "7"], scale=1).is_null().to_list() == [True, True, True, True, False]
    assert _noisy(pl.Series([], dtype=pl.Float64), scale=1).to_list() == []


def test_noise_is_fresh_at_each_run_and_certified_as_written(tmp_path: Path) -> None:
    release = _release([5] * 100, scale=100)
    assert release.frame.collect().to_series().to_list() != release.frame.collect().to_series().to_list()
    with pytest.raises(InvalidPlan, match="write the release first"):
        _ = release.certificate
    written = release.write(tmp_path / "out")
    content = hash_content(pl.scan_parquet(written / "data.parquet"))[0]
    assert release.certificate["output"]["content_sha256"] == content


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "either a positive scale, or epsilon"),
        ({"scale": 1, "epsilon": 1}, "either a positive scale, or epsilon"),
        ({"scale": -1}, "either a positive scale, or epsilon"),
        ({"epsilon": 1}, "never taken from the data"),
        ({"epsilon": 1, "bottom": 0}, "never taken from the data"),
        ({"scale": 1, "bottom": 0}, "scale takes no bottom and top"),
        ({"epsilon": 1, "bottom": 5, "top": 5}, "less than top"),
        ({**LOCAL, "step": 1000}, "step must fit"),
        ({**LOCAL, "step": 0}, "positive number"),
        ({"scale": math.inf}, "finite"),
    ],
)
def test_plan_refuses_noise_without_bounds_or_size(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidPlan, match=words):
        Plan.from_dict({"columns": {"c": {"technique": "noise", **options}}})


def test_noise_refuses_columns_without_numbers() -> None:
    with pytest.raises(InvalidPlan, match="need numbers"):
        _release([True], scale=1)
