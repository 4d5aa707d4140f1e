"""What a release is still good for: one where nothing changed, less where it did, and known values in between."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest
from scipy import stats

from desensitize.risk.utility import measure_utility

RNG = np.random.default_rng(1)
FRAME = pl.DataFrame({
    "age": RNG.integers(18, 90, 4_000), "town": RNG.choice(["a", "b", "c", "d"], 4_000, p=[0.5, 0.25, 0.125, 0.125]),
}).with_columns(job=pl.col("town") + "1")  # fmt: skip


def column(released: pl.DataFrame, name: str):  # type: ignore[no-untyped-def]
    return next(each for each in measure_utility(FRAME, released).columns if each.name == name)


def test_unchanged_table_keeps_everything() -> None:
    found = measure_utility(FRAME, FRAME)
    assert (found.rows_kept, found.information, found.correlation) == (1.0, 1.0, 1.0)
    assert [(each.distance, each.missing_added) for each in found.columns] == [(pytest.approx(0, abs=1e-7), 0.0)] * 3
    assert found.columns[0].shift == 0.0


def test_generalization_keeps_the_mutual_information() -> None:
    released = FRAME.with_columns(pl.col("town").replace({"b": "a", "d": "c"}))
    found = column(released, "town")
    p, q = (FRAME["town"].value_counts()["count"] / 4_000, released["town"].value_counts()["count"] / 4_000)
    assert found.information == pytest.approx(stats.entropy(q) / stats.entropy(p))
    assert found.distance is not None


def test_suppressed_column_keeps_nothing_and_counts_as_missing() -> None:
    for gone in (pl.lit("*"), pl.lit(None, dtype=pl.String)):
        found = column(FRAME.with_columns(town=gone), "town")
        assert (found.information, found.missing_added) == (0.0, 1.0)
        assert found.correlation is not None
        assert found.correlation < 0.7


def test_pseudonyms_keep_information_and_have_no_distance() -> None:
    found = column(FRAME.with_columns(pl.col("town").replace({"a": "q", "b": "r", "c": "s", "d": "t"})), "town")
    assert found.information == pytest.approx(1.0)
    assert (found.distance, found.shift) == (None, None)
    assert found.correlation == pytest.approx(1.0)


def test_shift_is_wasserstein_in_units_of_the_range() -> None:
    moved = FRAME.with_columns(pl.col("age") + 5)
    span = int(FRAME["age"].max()) - int(FRAME["age"].min())  # type: ignore[arg-type]
    assert column(moved, "age").shift == pytest.approx(5 / span)
    noisy = FRAME.with_columns(age=pl.col("age") + pl.Series(RNG.normal(0, 20, 4_000)))
    expected = stats.wasserstein_distance(FRAME["age"], noisy["age"]) / span
    assert column(noisy, "age").shift == pytest.approx(expected)


def test_bands_of_numbers_stand_for_their_middle() -> None:
    low = pl.col("age") // 10 * 10
    banded = FRAME.with_columns(age=pl.format("[{},{})", low, low + 10))
    found = column(banded, "age")
    assert found.shift is not None
    assert 0 < found.shift < 10 / 72
    assert 0.4 < found.information < 0.7


def test_hellinger_of_two_known_distributions() -> None:
    half = FRAME.filter(pl.col("town").is_in(["a", "b"]))
    p = FRAME["town"].value_counts(sort=True)["count"].to_list()
    p = [each / 4_000 for each in p[:2]]
    q = [each / sum(p) for each in p]
    expected = math.sqrt(1 - sum(math.sqrt(a * b) for a, b in zip(p, q, strict=True)))
    assert column(half, "town").distance == pytest.approx(expected)


def test_rows_left_out_cost_information() -> None:
    found = measure_utility(FRAME, FRAME[:1_000])
    assert found.rows_kept == 0.25
    assert found.information < 0.26


def test_broken_association_is_seen() -> None:
    shuffled = FRAME.with_columns(pl.col("job").shuffle(seed=2))
    assert column(shuffled, "job").correlation < 0.6
    assert column(shuffled, "age").correlation > 0.95


def test_large_tables_are_sampled_evenly() -> None:
    found = measure_utility(FRAME, FRAME, most_rows=500)
    assert found.rows_compared == 500
    assert found.information == 1.0


@pytest.mark.parametrize("rows", [0, 1])
def test_tiny_tables_have_a_utility(rows: int) -> None:
    found = measure_utility(FRAME[:rows], FRAME[:rows])
    assert len(found.columns) == 3
    assert found.rows_kept == 1.0


def test_all_null_and_constant_columns() -> None:
    frame = pl.DataFrame({"n": [None, None], "count": ["x", "x"]}, schema={"n": pl.String, "count": pl.String})
    found = {each.name: each for each in measure_utility(frame, frame).columns}
    assert (found["n"].distance, found["n"].missing_added) == (None, 0.0)
    assert found["count"].information == 1.0
