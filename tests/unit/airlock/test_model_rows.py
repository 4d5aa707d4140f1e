"""Rows of a release among a program's numbers: whole ones, columns of them, and those that a sample would not have."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from models_kit import COLUMNS, people, source

from sandbox.airlock.models.inside import measuring
from sandbox.airlock.models.inside.program import Array, Input, Program
from sandbox.airlock.models.training import write_numbers

FRAME = people(1200)


def holding(numbers: Array) -> Program:
    """Return a program that holds these numbers, in single precision as most files do."""
    return Program((Input("x", (0, 1)),), (), "x", constants={"w": np.asarray(numbers, dtype=np.float32)})


def found(folder: Path, program: Program, frame: pl.DataFrame = FRAME, entity: str | None = "person") -> int:
    path = folder / "numbers.parquet"
    write_numbers(source(frame, entity), path)
    return measuring.find_rows(program, str(path))[0]


@pytest.mark.parametrize("columns", [["income"], ["age", "income"], COLUMNS])
@pytest.mark.parametrize("entity", ["person", None])
def test_rows_are_found_however_few_columns_they_have(tmp_path: Path, columns: list[str], entity: str | None) -> None:
    frame = FRAME.select("person", *columns, "place")
    held = frame.select(columns).head(12).to_numpy()
    for weights in (held, held.T):
        assert found(tmp_path, holding(weights), frame, entity) >= 12
    fitted = np.random.default_rng(0).normal(0, 300, (12, len(columns)))
    assert found(tmp_path, holding(fitted), frame, entity) == 0


def test_two_values_beside_each_other_are_no_trace(tmp_path: Path) -> None:
    two = np.array([FRAME["income"][0], FRAME["income"][1], 0.123, FRAME["income"][2]])
    assert found(tmp_path, holding(two), FRAME.select("person", "income")) == 0


def test_values_that_many_have_are_no_trace(tmp_path: Path) -> None:
    frame = FRAME.select("person", "income").with_columns(pl.lit(4_100.25).alias("floor"))
    assert found(tmp_path, holding(np.full(8, 4_100.25)), frame) == 0
    assert found(tmp_path, holding(np.arange(18.0, 60.0)), FRAME.select("person", "age")) == 0


def test_rows_of_nobody_are_found(tmp_path: Path) -> None:
    frame = FRAME.with_columns(pl.when(pl.int_range(pl.len()) >= 20).then("person").alias("person"))
    assert found(tmp_path, holding(frame.select(COLUMNS).head(6).to_numpy()), frame) == 6


def test_no_row_is_left_out_of_a_large_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "_COUNTED_ROWS", 100)
    for start in (0, 95, 600, 1_194):
        held = FRAME.select(COLUMNS).slice(start, 6).to_numpy()
        scaled = (held - FRAME.select(COLUMNS).to_numpy().mean(axis=0)) / FRAME.select(COLUMNS).to_numpy().std(axis=0)
        assert found(tmp_path, holding(held)) == 6
        assert found(tmp_path, holding(scaled)) == 6
