"""Rows of a release found again in an export, in each dress; and tables of figures that are let be."""

from __future__ import annotations

import base64
import hashlib
import io
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl
import pytest

from sandbox.airlock.content import Limits
from sandbox.airlock.overlap import aligning, checking
from sandbox.airlock.overlap.checking import Overlap, check_overlap, find_overlap

ROWS = 24_000
LEAST = 10


@dataclass(frozen=True)
class Release:
    frame: pl.LazyFrame
    release: str = "rel_1"
    entity: str | None = "person"


def people(rows: int = ROWS) -> pl.DataFrame:
    random = np.random.default_rng(4)
    who = random.integers(0, rows // 4, rows)
    return pl.DataFrame(
        {
            "person": [f"{hashlib.sha256(str(one).encode()).hexdigest()[:12]}" for one in who],
            "month": [f"2026-{one:02d}" for one in random.integers(1, 13, rows)],
            "district": pl.Series(random.integers(310_101, 310_117, rows)).cast(pl.String),
            "kind": random.choice(["Pension", "Medical care", "Work injury"], rows),
            "base": random.integers(3_000, 30_000, rows),
            "paid": np.round(random.gamma(2, 800, rows), 2),
            "on": pl.Series(random.integers(19_000, 20_500, rows).astype(np.int32)).cast(pl.Date),
        }
    )


RELEASE = people()
TAKEN = RELEASE.sample(400, seed=2)


def found(export: pl.DataFrame, release: pl.DataFrame = RELEASE) -> Overlap:
    return find_overlap(export, Release(release.lazy()), LEAST, 60)


def hashed(columns: list[str], function: Callable[[bytes], str], separator: str = "") -> pl.DataFrame:
    joined = TAKEN.select(pl.concat_str([pl.col(name).cast(pl.String) for name in columns], separator=separator))
    return pl.DataFrame({"k": [function(one.encode()) for one in joined.to_series().to_list()]})


SOME = TAKEN.head(150)
TEXTS = SOME.select(
    pl.format("r{}", pl.int_range(pl.len())).alias("k"), pl.col("district", "base", "paid").cast(pl.String)
)
SHAPES: dict[str, pl.DataFrame] = {
    "lying on its side": SOME.select("district", "base", "paid").cast(pl.String).transpose(include_header=True),
    "numbers alone on their side": SOME.select("base", "paid").transpose(),
    "a value a row": TEXTS.unpivot(index="k"),
    "a value a row, of which kind is not said": TEXTS.unpivot(index="k").select("k", "value").sort("k", "value"),
    "running sums": SOME.select(pl.col("base").cum_sum(), pl.col("paid").floor().cast(pl.Int64).cum_sum()),
    "sentences": SOME.select(k=pl.format("in {} paid {} of {}", "district", "paid", "base")),
}
"""Shapes that a few lines of a notebook make, and one of the reader's undoes."""

DRESSES: dict[str, pl.DataFrame] = {
    "as it is": TAKEN,
    "rows and columns permuted, headings new": TAKEN.sample(fraction=1, shuffle=True, seed=1)
    .select(reversed(TAKEN.columns))
    .rename({name: f"x{place}" for place, name in enumerate(TAKEN.columns)}),
    "some columns": TAKEN.select("district", "base", "on", "kind"),
    "the key alone": TAKEN.select("person"),
    "two columns of numbers": TAKEN.select("base", "paid"),
    "numbers rounded": TAKEN.with_columns((pl.col("base") / 100).round() * 100, pl.col("paid").round(0)).drop("person"),
    "numbers cut off": TAKEN.with_columns((pl.col("base") // 50) * 50, pl.col("paid").floor()).drop("person"),
    "two digits": TAKEN.with_columns(pl.col("paid").round_sig_figs(2), pl.col("base").round_sig_figs(3)).drop("person"),
    "case and blanks": TAKEN.with_columns(
        pl.col("person").str.to_uppercase().str.replace("^(.{4})", "$1 "), pl.col("kind").str.to_lowercase()
    ),
    "days in another spelling": TAKEN.select(pl.col("on").dt.strftime("%Y/%m/%d"), "base", "paid"),
    "first letters of the key": TAKEN.select(pl.col("person").str.slice(0, 8), "base"),
    "one column of several": TAKEN.select(k=pl.concat_str(["person", "base", "paid"], separator=";")),
    "columns of chance beside": TAKEN.select("person", "base", "paid").with_columns(
        x=pl.Series(np.random.default_rng(1).integers(0, 100, 400)),
        y=pl.Series(np.random.default_rng(2).integers(3_000, 30_000, 400)),
    ),
    "everything as text": TAKEN.select(pl.all().cast(pl.String)),
}
HASHES: dict[str, pl.DataFrame] = {
    "md5 of the key": hashed(["person"], lambda one: hashlib.md5(one).hexdigest()),
    "sha-256 of the key, cut": hashed(["person"], lambda one: hashlib.sha256(one).hexdigest()[:16]),
    "sha-256 of the key in capitals": hashed(["person"], lambda one: hashlib.sha256(one.upper()).hexdigest()),
    "sha-1 in base 64": hashed(["person"], lambda one: base64.b64encode(hashlib.sha1(one).digest()).decode()),
    "crc-32": hashed(["person"], lambda one: str(zlib.crc32(one))).select(pl.col("k").cast(pl.Int64)),
    "blake2b": hashed(["person"], lambda one: hashlib.blake2b(one, digest_size=16).hexdigest()),
    "sha3 of two columns": hashed(["person", "month"], lambda one: hashlib.sha3_256(one).hexdigest(), "|"),
    "sha-256 of the row": hashed(RELEASE.columns, lambda one: hashlib.sha256(one).hexdigest(), ","),
    "the bytes in base 16": hashed(["person"], lambda one: one.hex()),
}


@pytest.mark.parametrize("dress", DRESSES)
def test_rows_are_found_in_every_dress(dress: str) -> None:
    overlap = found(DRESSES[dress])
    assert overlap.share > 0.9, overlap


QUICK = ("md5 of the key", "sha-256 of the row", "the bytes in base 16")


@pytest.mark.parametrize(
    "dress", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in HASHES]
)
def test_hashed_rows_are_found_by_common_functions(dress: str) -> None:
    overlap = found(HASHES[dress])
    assert overlap.share > 0.99, overlap
    assert "k = " in overlap.how[0]


def test_the_share_says_how_much_was_copied() -> None:
    made_up = TAKEN.select(pl.col(name).shuffle(seed=place) for place, name in enumerate(TAKEN.columns))
    mixed = pl.concat([TAKEN.head(100), made_up.tail(300)]).sample(fraction=1, shuffle=True, seed=3)
    overlap = found(mixed)
    assert 95 <= overlap.rows <= 120


def test_records_side_by_side_in_one_row_are_found() -> None:
    one, two = TAKEN.head(200).select("base", "paid", "on"), TAKEN.tail(200).select("base", "paid", "on")
    wide = pl.concat([one, two.rename({name: f"{name}2" for name in two.columns})], how="horizontal")
    assert found(wide).share > 0.9


FIGURES: dict[str, pl.DataFrame] = {
    "counts": RELEASE.group_by("district", "kind").len(),
    "means and sums": RELEASE.group_by("district", "month").agg(
        pl.col("base").mean().round(0), pl.col("paid").sum().round(0), pl.len()
    ),
    "a histogram": RELEASE.group_by(pl.col("base") // 1_000 * 1_000).len(),
    "a series by day": RELEASE.group_by("on").agg(pl.len(), pl.col("paid").mean()),
    "labels alone": RELEASE.select("district", "kind").unique(),
    "numbers of nobody": pl.DataFrame(
        {"x": np.random.default_rng(5).integers(0, 30_000, 500), "y": np.random.default_rng(6).normal(size=500)}
    ),
    "one figure": pl.DataFrame({"n": [RELEASE.height]}),
    "nothing": pl.DataFrame({"n": []}, schema={"n": pl.Int64}),
    "only empty cells": pl.DataFrame({"n": [None, None], "m": [None, None]}, schema={"n": pl.String, "m": pl.Int64}),
}


@pytest.mark.parametrize("name", FIGURES)
def test_figures_about_groups_are_let_be(name: str) -> None:
    overlap = found(FIGURES[name])
    assert (overlap.rows, overlap.rowlike) == (0, False), overlap


@pytest.mark.parametrize("share", [1, 40])
def test_a_release_beyond_the_sample_gives_the_same(monkeypatch: pytest.MonkeyPatch, share: int) -> None:
    monkeypatch.setattr(aligning, "ROWS", 3_000)
    monkeypatch.setattr(aligning, "_KEPT", 6_000)
    few = TAKEN.head(400 // share)
    assert found(few.drop("person")).share > 0.9
    assert found(few.with_columns((pl.col("base") / 100).round() * 100).drop("person")).share > 0.9


def written(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()


def judged(frame: pl.DataFrame, **limits: object) -> dict[str, str]:
    sources = [Release(RELEASE.lazy())]
    findings = check_overlap([written(frame)], sources, Limits(**limits), LEAST)  # type: ignore[arg-type]
    return {finding.rule: finding.severity.value for finding in findings}


@pytest.mark.boundary(
    rule="row_overlap", parameter="files.overlap_rows", passes="figures about groups",
    fails="9 rows of a release among 190 others (review), 10 (block)",
)  # fmt: skip
def test_ten_rows_block_and_fewer_among_many_are_for_people() -> None:
    made_up = TAKEN.select(pl.col(name).shuffle(seed=place) for place, name in enumerate(TAKEN.columns))
    for rows, severity in ((10, "block"), (9, "review")):
        mixed = pl.concat([RELEASE.head(rows), made_up.head(190)])
        assert judged(mixed, overlap_rows=10)["row_overlap"] == severity
    assert judged(RELEASE.head(3))["row_overlap"] == "block"
    assert judged(FIGURES["counts"]) == {}


@pytest.mark.boundary(
    rule="row_overlap", parameter="files.overlap_share", passes="3 rows of a release in a file of seven (review)",
    fails="3 in a file of six: half of it (block)",
)  # fmt: skip
@pytest.mark.parametrize(("rows", "of", "severity"), [(3, 7, "review"), (3, 6, "block"), (2, 2, "review")])
def test_three_rows_block_when_they_are_half_of_the_file(
    monkeypatch: pytest.MonkeyPatch, rows: int, of: int, severity: str
) -> None:
    monkeypatch.setattr(checking, "find_overlap", lambda *_: Overlap("rel_1", rows, rows / of, ("base = base",)))
    assert judged(TAKEN.head(of)) == {"row_overlap": severity}


@pytest.mark.boundary(
    rule="row_risk", passes="rows for the public of which 20 share all their values",
    fails="of which 19 do",
)  # fmt: skip
@pytest.mark.parametrize(("size", "passes"), [(19, False), (20, True)])
def test_rows_must_meet_the_limits_of_their_audience(size: int, passes: bool) -> None:
    """k = 20 and tau = 0.05 for the public (rules.md section 3): 19 that share all values do not pass, 20 do."""
    labels = RELEASE.select("district", "kind", "month").unique().sort(pl.all()).head(4)
    release = pl.concat([labels] * 40).with_row_index("person").with_columns(pl.col("person").cast(pl.String))
    rows = pl.concat([labels] * size)
    sources = [Release(release.lazy())]
    findings = check_overlap([written(rows)], sources, Limits(), LEAST)
    assert ("row_risk" in {finding.rule for finding in findings}) is not passes, findings
    assert "row_overlap" not in {finding.rule for finding in findings}


@pytest.mark.boundary(
    rule="checker_failed", parameter="files.seconds", passes="a comparison with a release that ends in its time",
    fails="one that does not",
)  # fmt: skip
def test_a_comparison_that_takes_too_long_blocks() -> None:
    assert "checker_failed" not in judged(TAKEN)
    assert judged(TAKEN, seconds=0.0) == {"checker_failed": "block"}


def test_findings_hold_no_value_of_the_data() -> None:
    (finding, *_) = check_overlap([written(TAKEN)], [Release(RELEASE.lazy())], Limits(), LEAST)
    assert re.match(r"release rel_1: (39\d|400) rows, by .*base = base", finding.place)
    assert not any(value in finding.place for value in TAKEN["person"].to_list())


@pytest.mark.parametrize(
    "shape",
    [pytest.param(name, marks=pytest.mark.slow) if name == "numbers alone on their side" else name for name in SHAPES],
)
def test_rows_in_another_shape_are_found(shape: str) -> None:
    assert judged(SHAPES[shape]).get("row_overlap") == "block"


@pytest.mark.parametrize("figures", [
    RELEASE.sort("district", "month").group_by("district", "month", maintain_order=True).agg(
        pl.len(), pl.col("base").mean()
    ).pivot("month", index="district"),
    RELEASE.sort("district").group_by("district", "kind", maintain_order=True).agg(pl.col("paid").sum()),
    RELEASE.sort("month").group_by("month", maintain_order=True).agg(pl.col("paid").sum()).with_columns(
        pl.col("paid").cum_sum()
    ),
])  # fmt: skip
def test_tables_of_figures_are_let_be_in_each_shape(figures: pl.DataFrame) -> None:
    assert "row_overlap" not in judged(figures)
