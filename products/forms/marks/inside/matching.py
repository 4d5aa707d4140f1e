"""A leaked copy laid over the original: which row is which, and which way each marked cell differs.

Rows are told by the columns that carry no mark, whatever their order; where these do not tell, by how many marked
values lie within a step. Nothing here knows a buyer: what is found does not depend on anybody's signs.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from products.forms.marks.tables import as_floats, decimals_of, read_table
from products.forms.terms import Mark

ALIKE = 0.8
"""The share of a nameless column's values that must be the original's, for it to be that column."""

CLOSE = 0.5
MOST_GROUP = 200
MOST_PAIRS = 20_000_000
_ROW, _COPY = "original\0row", "copy\0row"


@dataclass(frozen=True, slots=True)
class Found:
    """What a copy says: its rows, those found in the original, and a column's rows and signs (+1, -1) there."""

    rows: int
    matched: int
    columns: dict[str, str]
    signs: dict[str, tuple[NDArray[np.int32], NDArray[np.int8]]]


def read_copy(content: bytes) -> pl.DataFrame:
    """Return a copy as a table of text or numbers: CSV with commas, semicolons or tabs, UTF-8 or GB 18030; Parquet."""
    if content[:4] == b"PAR1":
        return read_table(content)[1]
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("gb18030")
    head = text.partition("\n")[0]
    separator = max(",;\t", key=head.count)
    return pl.read_csv(io.BytesIO(text.encode()), infer_schema=False, separator=separator, truncate_ragged_lines=True)


def match(original: pl.DataFrame, copy: pl.DataFrame, marks: Mapping[str, Mark]) -> Found:
    """Return what the copy says of the original's marked cells, each cell once."""
    named = _same_names(original, copy)
    anchors = {own: other for own, other in named.items() if own not in marks}
    anchors |= _alike_columns(original, copy, marks, set(named), set(named.values()))
    marked = {own: other for own, other in named.items() if own in marks}
    left = pl.DataFrame({_ROW: np.arange(original.height, dtype=np.int32)}).with_columns(
        *(_normal(original[own]).alias(f"a{place}") for place, own in enumerate(anchors)),
        *(_scaled(original[own], marks[own]).alias(f"o{place}") for place, own in enumerate(marked)),
    )
    right = pl.DataFrame({_COPY: np.arange(copy.height, dtype=np.int32)}).with_columns(
        *(_normal(copy[other]).alias(f"a{place}") for place, other in enumerate(anchors.values())),
        *(_scaled(copy[other], marks[own]).alias(f"c{place}") for place, (own, other) in enumerate(marked.items())),
    )
    steps = [_step(marks[own]) for own in marked]
    pairs = _pairs(left, right, len(anchors), steps)
    rows = _choose(pairs, steps, alone=bool(anchors))
    marked |= _by_values(original, copy, rows, marks, marked, set(anchors.values()))
    return Found(copy.height, rows.height, {**anchors, **marked}, _signs(original, copy, rows, marks, marked))


def _same_names(original: pl.DataFrame, copy: pl.DataFrame) -> dict[str, str]:
    there = {name.strip().casefold(): name for name in reversed(copy.columns)}
    return {name: there[key] for name in original.columns if (key := name.strip().casefold()) in there}


def _alike_columns(
    original: pl.DataFrame, copy: pl.DataFrame, marks: Mapping[str, Mark], known: set[str], taken: set[str]
) -> dict[str, str]:
    """Return columns under other names, by their values: of text and codes, which no mark changed."""
    found: dict[str, str] = {}
    for own in original.columns:
        if own in known or own in marks:
            continue
        values = _normal(original[own]).unique().drop_nulls()
        for other in copy.columns:
            if other in taken:
                continue
            there = _normal(copy[other]).unique().drop_nulls()
            if len(there) > 1 and there.is_in(values.implode()).mean() >= ALIKE:  # type: ignore[operator]
                found[own] = other
                taken.add(other)
                break
    return found


def _pairs(left: pl.DataFrame, right: pl.DataFrame, anchors: int, steps: list[int]) -> pl.DataFrame:
    """Return the pairs of rows that may be the same."""
    if anchors:
        on = [f"a{place}" for place in range(anchors)]
        size = pl.len().over(on)
        left = left.filter(size <= MOST_GROUP)
        most = int(left.select(size.max()).item() or 1) if left.height else 1
        return right.head(MOST_PAIRS // most).join(left, on=on, nulls_equal=True)
    if not steps:
        return right.clear().join(left.clear(), how="cross")
    widest = max(range(len(steps)), key=lambda place: left[f"o{place}"].n_unique())
    wide = 4 * steps[widest]
    near = left.with_columns((pl.col(f"o{widest}") // wide).alias("b")).drop_nulls("b")
    near = near.filter(pl.len().over("b") <= MOST_GROUP)
    there = right.with_columns((pl.col(f"c{widest}") // wide).alias("b")).drop_nulls("b")
    there = there.with_columns(pl.concat_list(pl.col("b") - 1, "b", pl.col("b") + 1)).explode("b")
    return there.head(MOST_PAIRS // MOST_GROUP).join(near, on="b")


def _choose(pairs: pl.DataFrame, steps: list[int], *, alone: bool) -> pl.DataFrame:
    """Return of each row of the copy the one row that it is, left out where two are as likely."""
    close = [
        ((pl.col(f"c{place}") - pl.col(f"o{place}")).abs() <= step).fill_null(value=False).cast(pl.Int32)
        for place, step in enumerate(steps)
    ]
    score = pl.sum_horizontal(close) if close else pl.lit(0)
    found = pairs.with_columns(score.alias("s")).with_columns(
        pl.col("s").max().over(_COPY).alias("m"), pl.len().over(_COPY).alias("n")
    )
    best = found.filter(pl.col("s") == pl.col("m"))
    best = best.filter(pl.len().over(_COPY) == 1)
    sure = (pl.col("s") >= 1) | ((pl.col("n") == 1) & pl.lit(alone))
    return best.filter(sure).select(_ROW, _COPY)


def _by_values(
    original: pl.DataFrame, copy: pl.DataFrame, rows: pl.DataFrame, marks: Mapping[str, Mark],
    known: Mapping[str, str], taken: set[str],
) -> dict[str, str]:  # fmt: skip
    """Return marked columns under other names: those whose values lie within a step in most matched rows."""
    found: dict[str, str] = {}
    if not rows.height:
        return found
    used = taken | set(known.values())
    for own, mark in marks.items():
        if own in known:
            continue
        values = _scaled(original[own], mark)[rows[_ROW]]
        for other in copy.columns:
            if other in used:
                continue
            differ = (_scaled(copy[other], mark)[rows[_COPY]] - values).abs()
            if float((differ <= _step(mark)).fill_null(value=False).mean() or 0.0) >= CLOSE:  # type: ignore[arg-type]
                found[own] = other
                used.add(other)
                break
    return found


def _signs(
    original: pl.DataFrame, copy: pl.DataFrame, rows: pl.DataFrame, marks: Mapping[str, Mark], marked: Mapping[str, str]
) -> dict[str, tuple[NDArray[np.int32], NDArray[np.int8]]]:
    """Return each marked column's rows and signs; where copies of one row disagree the more often said counts."""
    signs = {}
    for own, other in marked.items():
        differ = _scaled(copy[other], marks[own])[rows[_COPY]] - _scaled(original[own], marks[own])[rows[_ROW]]
        step = _step(marks[own])
        said = pl.DataFrame({"r": rows[_ROW], "d": differ}).drop_nulls()
        # A value that was written with fewer digits still says which way, as long as it is nearer to one step than
        # to none or to two.
        near = pl.col("d").abs().is_between(step / 2, step * 3 / 2, closed="none")
        told = said.filter(near).group_by("r").agg(pl.col("d").sign().sum().sign().alias("y"))
        told = told.filter(pl.col("y") != 0).sort("r")
        signs[own] = (told["r"].to_numpy().astype(np.int32), told["y"].to_numpy().astype(np.int8))
    return signs


def _normal(series: pl.Series) -> pl.Series:
    """Return a column as text in which one value has one form: 7, 7.0 and 07 are the same."""
    text = series.cast(pl.String, strict=False).str.strip_chars()
    number = as_floats(series).cast(pl.String)
    return pl.select(pl.coalesce(number, text)).to_series()


def _step(mark: Mark) -> int:
    return 2 * round(mark.step * float(10 ** decimals_of(mark.step)))


def _scaled(series: pl.Series, mark: Mark) -> pl.Series:
    """Return values in half units of a step's last decimal, so that half a step is a whole number."""
    halves = as_floats(series) * float(2 * 10 ** decimals_of(mark.step))
    return halves.round().cast(pl.Int64, strict=False)
